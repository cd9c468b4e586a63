// gx[i] = g[i]·f'(x[i]) (section 4). The slope is computed from x or from y = f(x), whichever is
// simpler.
override OPERATION: u32 = 0u;
const LOG = 0u;
const EXP = 1u;
const RELU = 2u;
const SIGMOID = 3u;
const TANH = 4u;
const ABS = 5u;
const SQRT = 6u;
const SOFTPLUS = 7u;
const CLAMP = 8u;

struct Params {
    shape: array<vec4<u32>, 2>,
    saved_strides: array<vec4<u32>, 2>,
    upstream_strides: array<vec4<u32>, 2>,
    length: u32,
    lower: f32, // of clamp
    upper: f32,
}

// x for log, relu, abs, softplus, clamp; y for the others.
@group(0) @binding(0) var<storage, read> saved: array<f32>;
@group(0) @binding(1) var<storage, read> upstream: array<f32>; // g
@group(0) @binding(2) var<storage, read_write> gradient: array<f32>; // gx, [length]
@group(0) @binding(3) var<uniform> params: Params;

const INVOCATIONS = 64u;

fn value(s: f32, g: f32) -> f32 {
    switch (OPERATION) {
        case LOG { return g / s; }
        case EXP { return g * s; }
        case RELU { return select(0.0, g, s > 0.0); }
        case SIGMOID { return g * (s * (1.0 - s)); }
        case TANH { return g * ((1.0 - s) * (1.0 + s)); }
        case ABS { return select(select(-g, 0.0, s == 0.0), g, s > 0.0); }
        case SQRT { return g / (2.0 * s); }
        case SOFTPLUS { return g * sigmoid(s); }
        default { return select(0.0, g, s >= params.lower && s <= params.upper); }
    }
}

@compute @workgroup_size(INVOCATIONS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let i = group_index(group, groups) * INVOCATIONS + invocation;
    if (i < params.length) {
        let s = saved[place(i, params.shape, params.saved_strides)];
        gradient[i] = value(s, upstream[place(i, params.shape, params.upstream_strides)]);
    }
}
