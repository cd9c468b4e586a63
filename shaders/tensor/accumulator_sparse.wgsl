// Z[s, column + r] = B[r] + Σ_i A[indices[i], r] for i in starts[s]..starts[s + 1]: an accumulator
// on index lists.
//
// A workgroup computes 64 lanes of one sample, so neighboring invocations read neighboring weights.
struct Params {
    samples: u32,
    hidden: u32,
    stride: u32,
    column: u32,
    bias: u32, // offset of B in `small`
    inputs: u32, // N; only the count of bytes uses `inputs` and `entries`
    entries: u32,
}

@group(0) @binding(0) var<storage, read> starts: array<u32>; // [samples + 1]
@group(0) @binding(1) var<storage, read> indices: array<u32>; // one list per sample
@group(0) @binding(2) var<storage, read> weights: array<f32>; // [N, hidden]
@group(0) @binding(3) var<storage, read> small: array<f32>; // the buffer that B is in
@group(0) @binding(4) var<storage, read_write> z: array<f32>; // [samples, stride]
@group(0) @binding(5) var<uniform> params: Params;

const COLUMNS = 64u;

@compute @workgroup_size(COLUMNS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let tiles = (params.hidden + COLUMNS - 1u) / COLUMNS;
    let index = group_index(group, groups);
    let sample = index / tiles;
    let lane = (index % tiles) * COLUMNS + invocation;
    if (sample >= params.samples || lane >= params.hidden) {
        return;
    }
    var sum = small[params.bias + lane];
    let end = starts[sample + 1u];
    for (var i = starts[sample]; i < end; i++) {
        sum += weights[indices[i] * params.hidden + lane];
    }
    z[sample * params.stride + params.column + lane] = sum;
}
