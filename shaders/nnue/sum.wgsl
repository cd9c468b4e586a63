// sums[first + b] = Σ values[s] over the samples of bucket b, and total[0] = Σ terms[s], added to
// the old sums if `accumulate` is 1.
//
// One workgroup sums one bucket, and one more sums the total. Each invocation sums every 256th
// value in ascending order. Then a tree adds these sums, so the order depends only on the number of
// samples.
struct Params {
    samples: u32,
    buckets: u32,
    accumulate: u32,
    first: u32, // offset of the first sum
    totals: u32, // 1 if the terms are summed, else 0
}

@group(0) @binding(0) var<storage, read> values: array<f32>; // [samples]
@group(0) @binding(1) var<storage, read> bucket: array<u32>; // [samples]; not read with 1 bucket
@group(0) @binding(2) var<storage, read_write> sums: array<f32>; // [buckets] from `first` on
@group(0) @binding(3) var<storage, read> terms: array<f32>; // [samples]
@group(0) @binding(4) var<storage, read_write> total: array<f32>; // [1]
@group(0) @binding(5) var<uniform> params: Params;

const INVOCATIONS = 256u;
var<workgroup> partial_sums: array<f32, INVOCATIONS>;

@compute @workgroup_size(INVOCATIONS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let b = group_index(group, groups);
    if (b >= params.buckets + params.totals) {
        return;
    }
    let is_total = b == params.buckets;
    var sum = 0.0;
    for (var s = invocation; s < params.samples; s += INVOCATIONS) {
        if (is_total) {
            sum += terms[s];
        } else if (params.buckets == 1u || bucket[s] == b) {
            sum += values[s];
        }
    }
    partial_sums[invocation] = sum;
    for (var reach = INVOCATIONS / 2u; reach > 0u; reach /= 2u) {
        workgroupBarrier();
        if (invocation < reach) {
            partial_sums[invocation] += partial_sums[invocation + reach];
        }
    }
    if (invocation == 0u) {
        let adds = params.accumulate == 1u;
        if (is_total) {
            total[0] = select(0.0, total[0], adds) + partial_sums[0];
        } else {
            let at = params.first + b;
            sums[at] = select(0.0, sums[at], adds) + partial_sums[0];
        }
    }
}
