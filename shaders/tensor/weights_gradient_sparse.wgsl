// gradient[f, r] = Σ dz[s, column + r] over the samples s that have feature f, in ascending order,
// added to the old gradient if `accumulate` is 1.
//
// The transposed index names the samples, so no two invocations write the same element.
struct Params {
    inputs: u32,
    hidden: u32,
    stride: u32,
    column: u32,
    accumulate: u32,
    samples: u32, // only the count of bytes uses `samples` and `entries`
    entries: u32,
}

@group(0) @binding(0) var<storage, read> offsets: array<u32>; // [inputs + 1]
@group(0) @binding(1) var<storage, read> samples: array<u32>; // one ascending list per feature
@group(0) @binding(2) var<storage, read> dz: array<f32>; // [L, stride]
@group(0) @binding(3) var<storage, read_write> gradient: array<f32>; // [inputs, hidden]
@group(0) @binding(4) var<uniform> params: Params;

const COLUMNS = 64u;

@compute @workgroup_size(COLUMNS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let tiles = (params.hidden + COLUMNS - 1u) / COLUMNS;
    let index = group_index(group, groups);
    let feature = index / tiles;
    let lane = (index % tiles) * COLUMNS + invocation;
    if (feature >= params.inputs || lane >= params.hidden) {
        return;
    }
    let begin = offsets[feature];
    let end = offsets[feature + 1u];
    var sum = 0.0;
    for (var i = begin; i < end; i++) {
        sum += dz[samples[i] * params.stride + params.column + lane];
    }
    let at = feature * params.hidden + lane;
    if (params.accumulate == 1u) {
        gradient[at] += sum;
    } else {
        gradient[at] = sum;
    }
}
