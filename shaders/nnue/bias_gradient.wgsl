// gradient[first + r] = Σ_s dz[s, column + r], added to what stands there when `accumulate` is 1.
// A workgroup sums 16 rows in 16 slices of samples and joins the slices by a tree.
struct Params {
    samples: u32,
    hidden: u32,
    stride: u32,
    column: u32,
    accumulate: u32,
    first: u32, // where the gradient begins
}

@group(0) @binding(0) var<storage, read> dz: array<f32>; // [samples, stride]
@group(0) @binding(1) var<storage, read_write> gradient: array<f32>; // [first + hidden] and more
@group(0) @binding(2) var<uniform> params: Params;

const ROWS = 16u;
const SLICES = 16u;
var<workgroup> parts: array<f32, ROWS * SLICES>;

@compute @workgroup_size(ROWS * SLICES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let row = group_index(group, groups) * ROWS + invocation % ROWS;
    let live = row < params.hidden;
    var sum = 0.0;
    if (live) {
        for (var s = invocation / ROWS; s < params.samples; s += SLICES) {
            sum += dz[s * params.stride + params.column + row];
        }
    }
    parts[invocation] = sum;
    for (var reach = SLICES / 2u; reach > 0u; reach /= 2u) {
        workgroupBarrier();
        if (invocation < reach * ROWS) {
            parts[invocation] += parts[invocation + reach * ROWS];
        }
    }
    if (live && invocation < ROWS) {
        let at = params.first + row;
        if (params.accumulate == 1u) {
            gradient[at] += parts[invocation];
        } else {
            gradient[at] = parts[invocation];
        }
    }
}
