// From g = ∂/∂y of y[row, r] = h[row, r]·h[row, half + r] with h = min(max(z, 0), T), the gradient
// of z: g times the other factor where 0 ≤ z ≤ T, both ends included, else 0.
//
// An invocation writes both elements of a pair.
struct Params {
    rows: u32,
    half: u32,
    clip: f32, // T
}

@group(0) @binding(0) var<storage, read> z: array<f32>; // [rows, 2·half]
@group(0) @binding(1) var<storage, read> upstream: array<f32>; // g, [rows, half]
@group(0) @binding(2) var<storage, read_write> gradient: array<f32>; // [rows, 2·half]
@group(0) @binding(3) var<uniform> params: Params;

const INVOCATIONS = 64u;

fn clipped(value: f32) -> f32 {
    return min(max(value, 0.0), params.clip);
}

fn masked(value: f32, gradient: f32) -> f32 {
    return select(0.0, gradient, value >= 0.0 && value <= params.clip);
}

@compute @workgroup_size(INVOCATIONS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let i = group_index(group, groups) * INVOCATIONS + invocation;
    if (i < params.rows * params.half) {
        let first_at = i + i / params.half * params.half;
        let second_at = first_at + params.half;
        let first = z[first_at];
        let second = z[second_at];
        let g = upstream[i];
        gradient[first_at] = masked(first, g * clipped(second));
        gradient[second_at] = masked(second, g * clipped(first));
    }
}
