// sums[first + b] = Σ values[s] over the samples of bucket b, added to what stands there when `accumulate` is 1.
// A workgroup a bucket. Each invocation sums every 256th value in ascending order, then a tree joins them: the order
// is fixed by the number of samples alone.
struct Params {
    samples: u32,
    buckets: u32,
    accumulate: u32,
    first: u32, // where the first sum stands
}

@group(0) @binding(0) var<storage, read> values: array<f32>; // [samples]
@group(0) @binding(1) var<storage, read> bucket: array<u32>; // [samples]; not read with 1 bucket
@group(0) @binding(2) var<storage, read_write> sums: array<f32>; // [first + buckets] and more
@group(0) @binding(3) var<uniform> params: Params;

const INVOCATIONS = 256u;
var<workgroup> parts: array<f32, INVOCATIONS>;

@compute @workgroup_size(INVOCATIONS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let b = group_index(group, groups);
    if (b >= params.buckets) {
        return;
    }
    var sum = 0.0;
    for (var s = invocation; s < params.samples; s += INVOCATIONS) {
        if (params.buckets == 1u || bucket[s] == b) {
            sum += values[s];
        }
    }
    parts[invocation] = sum;
    for (var reach = INVOCATIONS / 2u; reach > 0u; reach /= 2u) {
        workgroupBarrier();
        if (invocation < reach) {
            parts[invocation] += parts[invocation + reach];
        }
    }
    if (invocation == 0u) {
        let at = params.first + b;
        if (params.accumulate == 1u) {
            sums[at] += parts[0];
        } else {
            sums[at] = parts[0];
        }
    }
}
