// The step of an optimizer for A = A' + A'' from the gradient of A, which is that of the own part A'.
// The gradient of the shared part A'' is its sum over the king buckets. An invocation has one element
// of A'' and the elements of A' and of A that belong to it.
alias Value = f32;

struct Params {
    own_group: vec4<f32>, // η, 1 − η·w, and the range of A'
    shared_group: vec4<f32>, // the same of A''
    length: u32, // elements of A'', M·K
    buckets: u32, // N ÷ M
    beta1: f32,
    beta2: f32,
    correction1: f32, // 1/(1 − β1^t)
    correction2: f32, // 1/(1 − β2^t)
    epsilon: f32,
}

@group(0) @binding(0) var<storage, read> gradient: array<f32>; // of A, [buckets, M, K]
// A' and its moments, [buckets, M, K].
@group(0) @binding(1) var<storage, read_write> values: array<f32>;
@group(0) @binding(2) var<storage, read_write> first: array<f32>;
@group(0) @binding(3) var<storage, read_write> second: array<f32>;
// A'' and its moments, [M, K].
@group(0) @binding(4) var<storage, read_write> shared_values: array<f32>;
@group(0) @binding(5) var<storage, read_write> shared_first: array<f32>;
@group(0) @binding(6) var<storage, read_write> shared_second: array<f32>;
@group(0) @binding(7) var<storage, read_write> merged: array<f32>; // A, [buckets, M, K]
@group(0) @binding(8) var<uniform> params: Params;

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
    var state = State(shared_values[i], shared_first[i], 0.0);
    if (SINK == ADAMW) {
        state.second = shared_second[i];
    }
    state = moved(state, shared_sum(i), params.shared_group);
    shared_values[i] = state.value;
    shared_first[i] = state.first;
    if (SINK == ADAMW) {
        shared_second[i] = state.second;
    }
    let end = params.buckets * params.length;
    for (var at = i; at < end; at += params.length) {
        sink(at, gradient[at], params.own_group);
        merged[at] = values[at] + state.value;
    }
}
