// The numbers that parameters have in an engine, as floats: w*s goes to an integer, which is clamped
// and divided by s. A magnitude is cut after 12 bits, so that both products with an s of 12 bits are
// exact and no rounding or contraction of theirs moves a number across the middle of two integers.
struct Params {
    start: u32, // the first element
    end: u32,
    scale: f32, // s
    low: f32, // the least integer
    high: f32, // the greatest integer
    up: f32, // a fraction from here on goes to the next integer away from 0
}

@group(0) @binding(0) var<storage, read> values: array<f32>;
@group(0) @binding(1) var<storage, read_write> quantized: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

const INVOCATIONS = 64u;

@compute @workgroup_size(INVOCATIONS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let i = params.start + group_index(group, groups) * INVOCATIONS + invocation;
    if (i >= params.end) {
        return;
    }
    let value = values[i];
    let first = bitcast<f32>(bitcast<u32>(value) & 0x7ffff000u);
    let products = vec2(first, abs(value) - first) * params.scale;
    let wholes = floor(products);
    let rests = products - wholes;
    // The sum of both rests, which is below 2, reaches `up`, and `up` + 1.
    let once = select(0.0, 1.0, rests.x - params.up >= -rests.y);
    let twice = select(0.0, 1.0, rests.y - params.up >= 1.0 - rests.x);
    let size = wholes.x + wholes.y + once + twice;
    // No 0 gets a sign.
    let rounded = select(size, 0.0 - size, value < 0.0);
    quantized[i] = clamp(rounded, params.low, params.high) / params.scale;
}
