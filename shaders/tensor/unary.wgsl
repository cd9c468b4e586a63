// y[i] = f(x[i]) (section 4). y is row-major, and x may have any strides.
override OPERATION: u32 = 0u;
const LOG = 0u;
const EXP = 1u;
const RELU = 2u;
const SIGMOID = 3u;
const TANH = 4u;
const NEG = 5u;
const ABS = 6u;
const SQRT = 7u;
const SOFTPLUS = 8u;
const CLAMP = 9u;
const AFFINE = 10u;

struct Params {
    shape: array<vec4<u32>, 2>,
    x_strides: array<vec4<u32>, 2>,
    length: u32,
    first: f32, // clamp: the lower end; affine: the factor
    second: f32, // clamp: the upper end; affine: the summand
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>; // [length]
@group(0) @binding(2) var<uniform> params: Params;

const INVOCATIONS = 64u;

fn value(x: f32) -> f32 {
    switch (OPERATION) {
        case LOG { return log(x); }
        case EXP { return exp(x); }
        case RELU { return select(0.0, x, x > 0.0); }
        case SIGMOID { return sigmoid(x); }
        case TANH { return hyperbolic_tangent(x); }
        case NEG { return -x; }
        case ABS { return abs(x); }
        case SQRT { return sqrt(x); }
        case SOFTPLUS { return max(x, 0.0) + log_one_plus(exp(-abs(x))); }
        case CLAMP { return min(max(x, params.first), params.second); }
        default { return params.first * x + params.second; }
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
        y[i] = value(x[place(i, params.shape, params.x_strides)]);
    }
}
