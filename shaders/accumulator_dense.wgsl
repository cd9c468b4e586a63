// Z[s, column + r] = B[r] + Σ_f X[s, f]·A[f, r]: the accumulator of one perspective on dense inputs.
// An invocation computes 4 samples × 4 rows in registers, a workgroup 32 × 32. Past the edges it reads the last
// element again and writes nothing.
struct Params {
    samples: u32,
    hidden: u32,
    inputs: u32,
    stride: u32,
    column: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>; // [samples, inputs]
@group(0) @binding(1) var<storage, read> weights: array<f32>; // [inputs, hidden]
@group(0) @binding(2) var<storage, read> bias: array<f32>; // [hidden]
@group(0) @binding(3) var<storage, read_write> z: array<f32>; // [samples, stride]
@group(0) @binding(4) var<uniform> params: Params;

const TILE = 32u;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let tiles = (params.hidden + TILE - 1u) / TILE;
    let index = group_index(group, groups);
    let sample = (index / tiles) * TILE + (invocation / 8u) * 4u;
    let row = (index % tiles) * TILE + (invocation % 8u) * 4u;
    if (sample >= params.samples || row >= params.hidden) {
        return;
    }
    let samples = min(vec4(sample) + vec4(0u, 1u, 2u, 3u), vec4(params.samples - 1u)) * params.inputs;
    let rows = min(vec4(row) + vec4(0u, 1u, 2u, 3u), vec4(params.hidden - 1u));
    let start = vec4(bias[rows.x], bias[rows.y], bias[rows.z], bias[rows.w]);
    var sum0 = start;
    var sum1 = start;
    var sum2 = start;
    var sum3 = start;
    for (var f = 0u; f < params.inputs; f++) {
        let at = rows + f * params.hidden;
        let a = vec4(weights[at.x], weights[at.y], weights[at.z], weights[at.w]);
        sum0 += x[samples.x + f] * a;
        sum1 += x[samples.y + f] * a;
        sum2 += x[samples.z + f] * a;
        sum3 += x[samples.w + f] * a;
    }
    store(sample, row, sum0);
    store(sample + 1u, row, sum1);
    store(sample + 2u, row, sum2);
    store(sample + 3u, row, sum3);
}

fn store(sample: u32, row: u32, sum: vec4<f32>) {
    if (sample >= params.samples) {
        return;
    }
    let at = sample * params.stride + params.column + row;
    z[at] = sum.x;
    if (row + 1u < params.hidden) {
        z[at + 1u] = sum.y;
    }
    if (row + 2u < params.hidden) {
        z[at + 2u] = sum.z;
    }
    if (row + 3u < params.hidden) {
        z[at + 3u] = sum.w;
    }
}
