// A step of AdamW for each element: see lib/adamw.wgsl.
struct Params {
    length: u32,
    learning_rate: f32,
    decay: f32, // 1 − η·w
    beta1: f32,
    beta2: f32,
    correction1: f32, // 1/(1 − β1^t)
    correction2: f32, // 1/(1 − β2^t)
    epsilon: f32,
    ranged: u32, // 1 keeps θ in the range that follows, 0 leaves it: a clamp may turn NaN into a number
    low: f32,
    high: f32,
}

@group(0) @binding(0) var<storage, read> gradient: array<f32>; // g
@group(0) @binding(1) var<storage, read_write> first: array<f32>; // m
@group(0) @binding(2) var<storage, read_write> second: array<f32>; // v
@group(0) @binding(3) var<storage, read_write> values: array<f32>; // θ
@group(0) @binding(4) var<uniform> params: Params;

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
    let next = moved(gradient[i], first[i], second[i], values[i]);
    first[i] = next.first;
    second[i] = next.second;
    values[i] = next.value;
}
