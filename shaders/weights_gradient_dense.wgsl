// gradient[f, r] = Σ_s X[s, f]·dz[s, column + r], added to what stands there when `accumulate` is 1.
// An invocation computes 4 features × 4 rows in registers, a workgroup 32 × 32. Past the edges it reads the last
// element again and writes nothing.
struct Params {
    samples: u32,
    inputs: u32,
    hidden: u32,
    stride: u32,
    column: u32,
    accumulate: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>; // [samples, inputs]
@group(0) @binding(1) var<storage, read> dz: array<f32>; // [samples, stride]
@group(0) @binding(2) var<storage, read_write> gradient: array<f32>; // [inputs, hidden]
@group(0) @binding(3) var<uniform> params: Params;

const TILE = 32u;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let tiles = (params.hidden + TILE - 1u) / TILE;
    let index = group_index(group, groups);
    let feature = (index / tiles) * TILE + (invocation / 8u) * 4u;
    let row = (index % tiles) * TILE + (invocation % 8u) * 4u;
    if (feature >= params.inputs || row >= params.hidden) {
        return;
    }
    let features = min(vec4(feature) + vec4(0u, 1u, 2u, 3u), vec4(params.inputs - 1u));
    let rows = min(vec4(row) + vec4(0u, 1u, 2u, 3u), vec4(params.hidden - 1u)) + params.column;
    var sum0 = vec4(0.0);
    var sum1 = vec4(0.0);
    var sum2 = vec4(0.0);
    var sum3 = vec4(0.0);
    for (var s = 0u; s < params.samples; s++) {
        let at = rows + s * params.stride;
        let g = vec4(dz[at.x], dz[at.y], dz[at.z], dz[at.w]);
        let here = s * params.inputs;
        sum0 += x[here + features.x] * g;
        sum1 += x[here + features.y] * g;
        sum2 += x[here + features.z] * g;
        sum3 += x[here + features.w] * g;
    }
    store(feature, row, sum0);
    store(feature + 1u, row, sum1);
    store(feature + 2u, row, sum2);
    store(feature + 3u, row, sum3);
}

fn store(feature: u32, row: u32, sum: vec4<f32>) {
    if (feature >= params.inputs) {
        return;
    }
    let at = feature * params.hidden + row;
    put(at, sum.x);
    if (row + 1u < params.hidden) {
        put(at + 1u, sum.y);
    }
    if (row + 2u < params.hidden) {
        put(at + 2u, sum.z);
    }
    if (row + 3u < params.hidden) {
        put(at + 3u, sum.w);
    }
}

fn put(at: u32, value: f32) {
    if (params.accumulate == 1u) {
        gradient[at] += value;
    } else {
        gradient[at] = value;
    }
}
