// out[i] = f(x[i], y[i]) (section 4). out is row-major. x and y may have any strides; a stride of 0
// broadcasts.
override OPERATION: u32 = 0u;
const ADD = 0u;
const SUB = 1u;
const MUL = 2u;
const DIV = 3u;
const POW = 4u;
const EQUAL = 5u;
const LOGISTIC_LOSS = 6u;
const WEIGHTED = 7u;

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

const LARGEST = 3.4028234e38;

// max(x, 0) − x·t + ln(1 + e^(−|x|)). For an infinite logit it is |x| times the distance of the
// label t from the one that the logit is certain of, and 0 where they agree.
fn logistic_loss(x: f32, t: f32) -> f32 {
    let of_finite = max(x, 0.0) - x * t + log_one_plus(exp(-abs(x)));
    let distance = select(t, 1.0 - t, x > 0.0);
    let of_infinite = select(abs(x) * distance, 0.0, distance == 0.0);
    return select(of_finite, of_infinite, abs(x) > LARGEST);
}

fn value(x: f32, y: f32) -> f32 {
    switch (OPERATION) {
        case ADD { return x + y; }
        case SUB { return x - y; }
        case MUL { return x * y; }
        case DIV { return x / y; }
        case POW { return power(x, y); }
        case EQUAL { return select(0.0, 1.0, x == y); }
        case LOGISTIC_LOSS { return logistic_loss(x, y); }
        default { return select(x * y, 0.0, y == 0.0); }
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
