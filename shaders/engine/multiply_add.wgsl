// y[i] = Σ_j v_j for j from 0 to 7. Each v_j starts as x[i] + j/8 and takes v ← a·v + b `rounds`
// times. The eight chains of an invocation do not wait for each other, and all of them share one
// load and one store.
struct Params {
    length: u32,
    rounds: u32,
    a: f32,
    b: f32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>; // [length]
@group(0) @binding(1) var<storage, read_write> y: array<f32>; // [length]
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
    let a = vec4(params.a);
    let b = vec4(params.b);
    var low = x[i] + vec4(0.0, 0.125, 0.25, 0.375);
    var high = x[i] + vec4(0.5, 0.625, 0.75, 0.875);
    for (var round = 0u; round < params.rounds; round++) {
        low = fma(low, a, b);
        high = fma(high, a, b);
    }
    let sums = low + high;
    y[i] = (sums.x + sums.y) + (sums.z + sums.w);
}
