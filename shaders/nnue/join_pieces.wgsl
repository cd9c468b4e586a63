// gradient[i] = Σ of the stretches' gradients of one matrix, in order, added to the old gradient if
// `accumulate` is 1. A stretch stores its rows lane group by lane group; `gradient` is row-major.
struct Params {
    rows: u32,
    hidden: u32, // lanes of a row
    first: u32, // offset of the matrix in a stretch
    stride: u32, // distance from one stretch to the next
    pieces: u32,
    accumulate: u32,
}

@group(0) @binding(0) var<storage, read> pieces: array<f32>;
@group(0) @binding(1) var<storage, read_write> gradient: array<f32>; // [rows, hidden]
@group(0) @binding(2) var<uniform> params: Params;

const INVOCATIONS = 64u;
const GROUP_LANES = 128u;

@compute @workgroup_size(INVOCATIONS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let index = group_index(group, groups) * INVOCATIONS + invocation;
    if (index >= params.rows * params.hidden) {
        return;
    }
    let lane = index % params.hidden;
    let start = lane / GROUP_LANES * GROUP_LANES;
    let width = min(GROUP_LANES, params.hidden - start);
    let offset = params.first + start * params.rows + index / params.hidden * width + lane % GROUP_LANES;
    var sum = 0.0;
    if (params.accumulate == 1u) {
        sum = gradient[index];
    }
    for (var piece = 0u; piece < params.pieces; piece++) {
        sum += pieces[piece * params.stride + offset];
    }
    gradient[index] = sum;
}
