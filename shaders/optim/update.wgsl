// The step of an optimizer for a buffer of parameters, from their gradient: see lib/sink.wgsl.
alias Value = f32;

struct Params {
    groups: array<vec4<f32>, 3>, // of the elements up to `end_1`, up to `end_2`, and the others
    start: u32, // the first element
    end_1: u32,
    end_2: u32,
    end: u32,
    beta1: f32,
    beta2: f32,
    correction1: f32, // 1/(1 − β1^t)
    correction2: f32, // 1/(1 − β2^t)
    epsilon: f32,
}

@group(0) @binding(0) var<storage, read> gradient: array<f32>; // g
@group(0) @binding(1) var<storage, read_write> values: array<f32>; // θ
@group(0) @binding(2) var<storage, read_write> first: array<f32>;
@group(0) @binding(3) var<storage, read_write> second: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

const INVOCATIONS = 64u;

@compute @workgroup_size(INVOCATIONS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let i = params.start + group_index(group, groups) * INVOCATIONS + invocation;
    if (i < params.end) {
        let late = select(params.groups[1], params.groups[2], i >= params.end_2);
        sink(i, gradient[i], select(late, params.groups[0], i < params.end_1));
    }
}
