// gradient[first + (b, u)] = Σ activation(Z[s, u])·e[s] over the samples s of bucket b, added to what stands there when
// `accumulate` is 1. A workgroup sums 16 units in 16 slices of samples and joins the slices by a tree.
struct Params {
    samples: u32,
    width: u32, // 2K
    buckets: u32,
    clip: f32,
    accumulate: u32,
    first: u32, // where the gradient begins
}

@group(0) @binding(0) var<storage, read> z: array<f32>; // [samples, width]
@group(0) @binding(1) var<storage, read> e: array<f32>; // [samples]
@group(0) @binding(2) var<storage, read> bucket: array<u32>; // [samples]; not read with 1 bucket
@group(0) @binding(3) var<storage, read_write> gradient: array<f32>; // first, then [buckets, width], and more
@group(0) @binding(4) var<uniform> params: Params;

const UNITS = 16u;
const SLICES = 16u;
var<workgroup> parts: array<f32, UNITS * SLICES>;

@compute @workgroup_size(UNITS * SLICES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let tiles = (params.width + UNITS - 1u) / UNITS;
    let index = group_index(group, groups);
    let b = index / tiles;
    let u = (index % tiles) * UNITS + invocation % UNITS;
    let live = b < params.buckets && u < params.width;
    var sum = 0.0;
    if (live) {
        for (var s = invocation / UNITS; s < params.samples; s += SLICES) {
            if (params.buckets == 1u || bucket[s] == b) {
                sum += activate(z[s * params.width + u], params.clip) * e[s];
            }
        }
    }
    parts[invocation] = sum;
    for (var reach = SLICES / 2u; reach > 0u; reach /= 2u) {
        workgroupBarrier();
        if (invocation < reach * UNITS) {
            parts[invocation] += parts[invocation + reach * UNITS];
        }
    }
    if (live && invocation < UNITS) {
        let at = params.first + b * params.width + u;
        if (params.accumulate == 1u) {
            gradient[at] += parts[invocation];
        } else {
            gradient[at] = parts[invocation];
        }
    }
}
