// gradient[f, r] = Σ dz[s, column + r] over the samples s that have feature f, in ascending order, added to what
// stands there when `accumulate` is 1. The transposed index names the samples, so no two invocations write one place.
struct Params {
    inputs: u32,
    hidden: u32,
    stride: u32,
    column: u32,
    accumulate: u32,
    samples: u32, // for the count of bytes alone, as entries is
    entries: u32,
}

@group(0) @binding(0) var<storage, read> offsets: array<u32>; // [inputs + 1]
@group(0) @binding(1) var<storage, read> samples: array<u32>; // one ascending list a feature
@group(0) @binding(2) var<storage, read> dz: array<f32>; // [L, stride]
@group(0) @binding(3) var<storage, read_write> gradient: array<f32>; // [inputs, hidden]
@group(0) @binding(4) var<uniform> params: Params;

const ROWS = 64u;

@compute @workgroup_size(ROWS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let tiles = (params.hidden + ROWS - 1u) / ROWS;
    let index = group_index(group, groups);
    let feature = index / tiles;
    let row = (index % tiles) * ROWS + invocation;
    if (feature >= params.inputs || row >= params.hidden) {
        return;
    }
    let begin = offsets[feature];
    let end = offsets[feature + 1u];
    var sum = 0.0;
    for (var i = begin; i < end; i++) {
        sum += dz[samples[i] * params.stride + params.column + row];
    }
    let at = feature * params.hidden + row;
    if (params.accumulate == 1u) {
        gradient[at] += sum;
    } else {
        gradient[at] = sum;
    }
}
