// y[row, j] = e^(x[row, j] − max)/Σ (section 2), or its logarithm x[row, j] − max − ln Σ (section
// 4), where max is the maximum of the row and Σ is the sum of e^(x − max) over the row. A workgroup
// computes one row, and each invocation takes every 64th element. A walk gives the start of each
// row of x, and the elements of a row are `step` apart.
override OPERATION: u32 = 0u;
const SOFTMAX = 0u;
const LOG_SOFTMAX = 1u;

struct Params {
    shape: array<vec4<u32>, 2>,
    x_strides: array<vec4<u32>, 2>,
    rows: u32,
    width: u32, // at least 1
    step: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>; // [rows, width]
@group(0) @binding(2) var<uniform> params: Params;

const LANES = 64u;
const COLUMNS = 1u;
const LARGEST = 3.4028234e38;

// max over the lanes of a workgroup; otherwise as `sum_lanes`.
fn max_lanes(invocation: u32, value: f32) -> f32 {
    parts[invocation] = value;
    for (var reach = LANES / 2u; reach > 0u; reach /= 2u) {
        workgroupBarrier();
        if (invocation < reach) {
            parts[invocation] = max(parts[invocation], parts[invocation + reach]);
        }
    }
    workgroupBarrier();
    return parts[0];
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let row = group_index(group, groups);
    if (row >= params.rows) {
        return;
    }
    let x_start = place(row, params.shape, params.x_strides);
    let y_start = row * params.width;
    // The maximum starts from the first element of the row, because no literal is below every
    // number.
    var largest = x[x_start];
    for (var j = invocation; j < params.width; j += LANES) {
        largest = max(largest, x[x_start + j * params.step]);
    }
    largest = max_lanes(invocation, largest);
    // For a finite x, x − max stays a finite number. For −∞ it is −∞ and for NaN it is NaN, on
    // adapters that have them.
    let lowest = max(largest, 0.0) - LARGEST;
    var sum = 0.0;
    for (var j = invocation; j < params.width; j += LANES) {
        let value = x[x_start + j * params.step];
        let is_low = value >= -LARGEST && value < lowest;
        let below = select(value, lowest, is_low) - largest;
        let power = exp(below);
        y[y_start + j] = select(below, power, OPERATION == SOFTMAX);
        sum += power;
    }
    sum = sum_lanes(invocation, sum);
    // Each invocation finishes the elements that it began.
    for (var j = invocation; j < params.width; j += LANES) {
        if (OPERATION == SOFTMAX) {
            y[y_start + j] /= sum;
        } else {
            y[y_start + j] -= log(sum);
        }
    }
}
