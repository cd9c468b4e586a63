// y[row, r] = min(max(z[row, r], 0), T)·min(max(z[row, half + r], 0), T) for r below half.
struct Params {
    rows: u32,
    half: u32,
    clip: f32, // T
}

@group(0) @binding(0) var<storage, read> z: array<f32>; // [rows, 2·half]
@group(0) @binding(1) var<storage, read_write> y: array<f32>; // [rows, half]
@group(0) @binding(2) var<uniform> params: Params;

const INVOCATIONS = 64u;

fn clipped(value: f32) -> f32 {
    return min(max(value, 0.0), params.clip);
}

@compute @workgroup_size(INVOCATIONS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let i = group_index(group, groups) * INVOCATIONS + invocation;
    if (i < params.rows * params.half) {
        let at = i + i / params.half * params.half;
        y[i] = clipped(z[at]) * clipped(z[at + params.half]);
    }
}
