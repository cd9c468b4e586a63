// out[part, o] = Σ x or max x over a chunk of the reduced elements of output o, divided by
// `divisor` (section 4). `shape` walks over the kept axes, and `inner_shape` over the reduced axes.
// If ACROSS is 1, a workgroup computes one output: each invocation takes every 64th element in
// ascending order, and a tree joins the invocations. Otherwise each invocation computes one output.
override OPERATION: u32 = 0u;
override ACROSS: u32 = 0u;
const SUM = 0u;

struct Params {
    shape: array<vec4<u32>, 2>,
    x_strides: array<vec4<u32>, 2>,
    inner_shape: array<vec4<u32>, 2>,
    inner_strides: array<vec4<u32>, 2>,
    outputs: u32,
    count: u32, // elements reduced into one
    chunk: u32,
    parts: u32,
    divisor: f32,
    across: u32, // like the override
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> result: array<f32>; // [parts, outputs]
@group(0) @binding(2) var<uniform> params: Params;

const INVOCATIONS = 64u;
var<workgroup> joined: array<f32, INVOCATIONS>;

fn element(base: u32, j: u32) -> f32 {
    return x[base + place(j, params.inner_shape, params.inner_strides)];
}

// A NaN replaces any number, and then stays, because nothing is larger.
fn join(a: f32, b: f32) -> f32 {
    if (OPERATION == SUM) {
        return a + b;
    }
    return select(a, b, b > a || b != b);
}

// Elements first, first + step, … of a job's chunk. A sum starts from 0, a maximum from the chunk's
// first element.
fn reduce(job: u32, first: u32, step: u32) -> f32 {
    let start = (job / params.outputs) * params.chunk;
    let end = min(params.count, start + params.chunk);
    let base = place(job % params.outputs, params.shape, params.x_strides);
    var total = 0.0;
    if (OPERATION != SUM) {
        total = element(base, start);
    }
    for (var j = start + first; j < end; j += step) {
        total = join(total, element(base, j));
    }
    return total;
}

@compute @workgroup_size(INVOCATIONS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let jobs = params.outputs * params.parts;
    let index = group_index(group, groups);
    if (ACROSS == 0u) {
        let job = index * INVOCATIONS + invocation;
        if (job < jobs) {
            result[job] = reduce(job, 0u, 1u) / params.divisor;
        }
        return;
    }
    if (index >= jobs) {
        return;
    }
    joined[invocation] = reduce(index, invocation, INVOCATIONS);
    for (var reach = INVOCATIONS / 2u; reach > 0u; reach /= 2u) {
        workgroupBarrier();
        if (invocation < reach) {
            joined[invocation] = join(joined[invocation], joined[invocation + reach]);
        }
    }
    if (invocation == 0u) {
        result[index] = joined[0] / params.divisor;
    }
}
