// y[row, c] = 1 where c is the row's class, else 0 (section 3).
struct Params {
    rows: u32,
    classes: u32,
}

@group(0) @binding(0) var<storage, read> class_of: array<u32>; // [rows]
@group(0) @binding(1) var<storage, read_write> y: array<f32>; // [rows, classes]
@group(0) @binding(2) var<uniform> params: Params;

const INVOCATIONS = 64u;

@compute @workgroup_size(INVOCATIONS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let i = group_index(group, groups) * INVOCATIONS + invocation;
    if (i < params.rows * params.classes) {
        y[i] = select(0.0, 1.0, class_of[i / params.classes] == i % params.classes);
    }
}
