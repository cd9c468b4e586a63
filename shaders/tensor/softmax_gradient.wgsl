// gx[row, j] from y and g: y·(g − Σ g·y) for y = softmax x (section 2), and g − e^y·Σ g for y =
// log-softmax x (section 4). A workgroup computes one row, and each invocation takes every 64th
// element. A walk gives the start of each row of g, and the elements of a row are `step` apart.
override OPERATION: u32 = 0u;
const SOFTMAX = 0u;
const LOG_SOFTMAX = 1u;

struct Params {
    shape: array<vec4<u32>, 2>,
    upstream_strides: array<vec4<u32>, 2>,
    rows: u32,
    width: u32,
    step: u32,
}

@group(0) @binding(0) var<storage, read> y: array<f32>; // [rows, width]
@group(0) @binding(1) var<storage, read> upstream: array<f32>; // g
@group(0) @binding(2) var<storage, read_write> gradient: array<f32>; // gx, [rows, width]
@group(0) @binding(3) var<uniform> params: Params;

const LANES = 64u;
const COLUMNS = 1u;

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
    let upstream_start = place(row, params.shape, params.upstream_strides);
    let start = row * params.width;
    var sum = 0.0;
    for (var j = invocation; j < params.width; j += LANES) {
        let g = upstream[upstream_start + j * params.step];
        if (OPERATION == SOFTMAX) {
            sum += g * y[start + j];
        } else {
            sum += g;
        }
    }
    sum = sum_lanes(invocation, sum);
    for (var j = invocation; j < params.width; j += LANES) {
        let g = upstream[upstream_start + j * params.step];
        if (OPERATION == SOFTMAX) {
            gradient[start + j] = y[start + j] * (g - sum);
        } else {
            gradient[start + j] = g - exp(y[start + j]) * sum;
        }
    }
}
