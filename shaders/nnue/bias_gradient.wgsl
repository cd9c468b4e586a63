// gradient[first + r] = Σ_s dz[s, column + r], added to the old gradient if `accumulate` is 1.
//
// A workgroup has COLUMNS columns. HEIGHT invocations sum each of them, and a tree adds their sums.
struct Params {
    samples: u32,
    hidden: u32,
    stride: u32,
    column: u32,
    accumulate: u32,
    first: u32, // offset of the gradient
}

@group(0) @binding(0) var<storage, read> dz: array<f32>; // [samples, stride]
@group(0) @binding(1) var<storage, read_write> gradient: array<f32>; // [hidden] from `first` on
@group(0) @binding(2) var<uniform> params: Params;

const COLUMNS = 16u;
const HEIGHT = 16u;
var<workgroup> partial_sums: array<f32, COLUMNS * HEIGHT>;

@compute @workgroup_size(COLUMNS * HEIGHT)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let lane = group_index(group, groups) * COLUMNS + invocation % COLUMNS;
    let live = lane < params.hidden;
    var sum = 0.0;
    if (live) {
        for (var s = invocation / COLUMNS; s < params.samples; s += HEIGHT) {
            sum += dz[s * params.stride + params.column + lane];
        }
    }
    partial_sums[invocation] = sum;
    for (var reach = HEIGHT / 2u; reach > 0u; reach /= 2u) {
        workgroupBarrier();
        if (invocation < reach * COLUMNS) {
            partial_sums[invocation] += partial_sums[invocation + reach * COLUMNS];
        }
    }
    if (live && invocation < COLUMNS) {
        let at = params.first + lane;
        if (params.accumulate == 1u) {
            gradient[at] += partial_sums[invocation];
        } else {
            gradient[at] = partial_sums[invocation];
        }
    }
}
