// to[i] = from[i] over one shape, with any strides. Elements outside the walk of `to` do not
// change.
struct Params {
    shape: array<vec4<u32>, 2>,
    from_strides: array<vec4<u32>, 2>,
    to_strides: array<vec4<u32>, 2>,
    length: u32,
}

@group(0) @binding(0) var<storage, read> source: array<f32>;
@group(0) @binding(1) var<storage, read_write> destination: array<f32>;
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
        let at = place(i, params.shape, params.to_strides);
        destination[at] = source[place(i, params.shape, params.from_strides)];
    }
}
