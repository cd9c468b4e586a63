// out[i] = f(x[i], y[i]), out row-major, x and y anywhere, broadcast by strides of 0 (section 4).
override OPERATION: u32 = 0u;
const ADD = 0u;
const SUB = 1u;
const MUL = 2u;
const DIV = 3u;
const POW = 4u;
const EQUAL = 5u;
const LOGISTIC_LOSS = 6u;

struct Params {
    shape: array<vec4<u32>, 2>,
    x_strides: array<vec4<u32>, 2>,
    y_strides: array<vec4<u32>, 2>,
    length: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> y: array<f32>;
@group(0) @binding(2) var<storage, read_write> result: array<f32>; // [length]
@group(0) @binding(3) var<uniform> params: Params;

const INVOCATIONS = 64u;

fn value(x: f32, y: f32) -> f32 {
    switch (OPERATION) {
        case ADD { return x + y; }
        case SUB { return x - y; }
        case MUL { return x * y; }
        case DIV { return x / y; }
        case POW { return power(x, y); }
        case EQUAL { return select(0.0, 1.0, x == y); }
        default { return max(x, 0.0) - x * y + log_one_plus(exp(-abs(x))); }
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
        result[i] = value(left, y[place(i, params.shape, params.y_strides)]);
    }
}
