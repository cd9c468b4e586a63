// gx[i] or gy[i] of out = f(x, y), from x, y and g, for functions whose gradient is more than a
// product or a quotient (section 4).
override OPERATION: u32 = 0u;
const DIV_RIGHT = 0u;
const POW_LEFT = 1u;
const POW_RIGHT = 2u;
const LOGISTIC_LOSS_LEFT = 3u;

struct Params {
    shape: array<vec4<u32>, 2>,
    x_strides: array<vec4<u32>, 2>,
    y_strides: array<vec4<u32>, 2>,
    upstream_strides: array<vec4<u32>, 2>,
    length: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> y: array<f32>;
@group(0) @binding(2) var<storage, read> upstream: array<f32>; // g
@group(0) @binding(3) var<storage, read_write> gradient: array<f32>; // [length]
@group(0) @binding(4) var<uniform> params: Params;

const INVOCATIONS = 64u;

// ∂(x^y)/∂y = x^y·ln x. At x = 0 it is 0, or −∞ if y < 0. For x < 0 it is NaN.
fn exponent_slope(x: f32, y: f32) -> f32 {
    if (x < 0.0) {
        return special(NAN_BITS);
    }
    if (x == 0.0) {
        return select(0.0, -special(INFINITY_BITS), y < 0.0);
    }
    return power(x, y) * log(x);
}

fn value(x: f32, y: f32, g: f32) -> f32 {
    switch (OPERATION) {
        case DIV_RIGHT { return -g * (x / y) / y; }
        case POW_LEFT {
            return select(g * (y * power(x, y - 1.0)), 0.0, y == 0.0);
        }
        case POW_RIGHT { return g * exponent_slope(x, y); }
        default { return g * (sigmoid(x) - y); }
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
        let left = x[place(i, params.shape, params.x_strides)];
        let right = y[place(i, params.shape, params.y_strides)];
        let g = upstream[place(i, params.shape, params.upstream_strides)];
        gradient[i] = value(left, right, g);
    }
}
