// The gradient of the part of A that all king buckets share: the sum of the gradients of A over the
// buckets.
struct Params {
    length: u32, // elements of the shared part, M·K
    buckets: u32, // N ÷ M
}

@group(0) @binding(0) var<storage, read> gradient: array<f32>; // of A, [buckets, M, K]
@group(0) @binding(1) var<storage, read_write> sums: array<f32>; // [M, K]
@group(0) @binding(2) var<uniform> params: Params;

const INVOCATIONS = 64u;

@compute @workgroup_size(INVOCATIONS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let i = group_index(group, groups) * INVOCATIONS + invocation;
    if (i >= params.length) {
        return;
    }
    sums[i] = shared_sum(i);
}
