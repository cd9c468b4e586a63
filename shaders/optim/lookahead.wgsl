// The synchronization of slow weights and parameters: slow ← slow + α·(θ − slow), then θ ← slow.
struct Params {
    length: u32,
    alpha: f32,
}

@group(0) @binding(0) var<storage, read_write> values: array<f32>; // θ, [length]
@group(0) @binding(1) var<storage, read_write> slow: array<f32>; // [length]
@group(0) @binding(2) var<uniform> params: Params;

const INVOCATIONS = 64u;

@compute @workgroup_size(INVOCATIONS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let i = group_index(group, groups) * INVOCATIONS + invocation;
    if (i < params.length) {
        let next = slow[i] + params.alpha * (values[i] - slow[i]);
        slow[i] = next;
        values[i] = next;
    }
}
