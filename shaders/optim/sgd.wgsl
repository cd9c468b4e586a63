// v ← μ·v + g; θ ← θ − η·v.
struct Params {
    length: u32,
    learning_rate: f32,
    momentum: f32,
}

@group(0) @binding(0) var<storage, read> gradient: array<f32>; // g
@group(0) @binding(1) var<storage, read_write> velocity: array<f32>; // v
@group(0) @binding(2) var<storage, read_write> values: array<f32>; // θ
@group(0) @binding(3) var<uniform> params: Params;

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
    let v = params.momentum * velocity[i] + gradient[i];
    velocity[i] = v;
    values[i] -= params.learning_rate * v;
}
