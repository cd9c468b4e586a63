// gradient[first + (b, u)] = Σ activation(Z[s, u])·e[s] over the samples s of bucket b, added to
// the old gradient if `accumulate` is 1.
//
// A workgroup has COLUMNS columns. HEIGHT invocations sum each of them, and a tree adds their sums.
struct Params {
    samples: u32,
    width: u32, // 2K
    buckets: u32,
    clip: f32,
    accumulate: u32,
    first: u32, // offset of the gradient
}

@group(0) @binding(0) var<storage, read> z: array<f32>; // [samples, width]
@group(0) @binding(1) var<storage, read> e: array<f32>; // [samples]
@group(0) @binding(2) var<storage, read> bucket: array<u32>; // [samples]; not read with 1 bucket
// [buckets, width] from `first` on.
@group(0) @binding(3) var<storage, read_write> gradient: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

const COLUMNS = 16u;
const HEIGHT = 16u;
var<workgroup> partial_sums: array<f32, COLUMNS * HEIGHT>;

@compute @workgroup_size(COLUMNS * HEIGHT)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let tiles = (params.width + COLUMNS - 1u) / COLUMNS;
    let index = group_index(group, groups);
    let b = index / tiles;
    let u = (index % tiles) * COLUMNS + invocation % COLUMNS;
    let live = b < params.buckets && u < params.width;
    var sum = 0.0;
    if (live) {
        for (var s = invocation / COLUMNS; s < params.samples; s += HEIGHT) {
            if (params.buckets == 1u || bucket[s] == b) {
                sum += activate(z[s * params.width + u], params.clip) * e[s];
            }
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
        let at = params.first + b * params.width + u;
        if (params.accumulate == 1u) {
            gradient[at] += partial_sums[invocation];
        } else {
            gradient[at] = partial_sums[invocation];
        }
    }
}
