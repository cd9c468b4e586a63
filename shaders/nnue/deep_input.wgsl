// Back through the first layer of the head: D[s, u] = ∂Loss/∂Z[s, u] =
// S·M·(penalty + Σ_o W[b, o, j]·δ[s, o]), times the other activation of the pair if PAIRWISE is 1,
// where column j of W is the one of lane u; and what each split adds to the gradients of W
// (Σ δ[s, o]·x[s, j]) and of B (Σ D[s, u]).
//
// A workgroup has a split of samples of one bucket and 64 columns. An invocation has two
// neighboring columns and every eighth sample, and computes 16 outputs of the layer at a time:
// their W and their sums stay in registers. Then the sums of the eight slots are added in order. D
// is stored by tiles of 64 lanes of all samples; in 16 bits, it is divided by the scale of its
// sample.
override PAIRWISE: u32 = 0u;

struct Params {
    samples: u32,
    hidden: u32, // K, a multiple of 32, or of 64 with pairs
    buckets: u32,
    bucket: u32, // offset of the buckets of the samples in `index`
    splits: u32,
    starts: u32, // offset of the first sample of each split in `index`, [splits + 1]
    layers: u32, // offset of the words of the layers in `index`
    stride: u32, // of a row of `delta`, a multiple of 16
    share: u32, // floats of a share
    inputs: u32, // of the layer: 2K, or K with pairs
    width: u32, // only the host reads it
    clip: f32,
    limit: f32, // of Z in 16 bits: see lib/half.wgsl
    penalty: f32, // what the L1 penalty adds to ∂Loss/∂x
}

@group(0) @binding(0) var<storage, read> index: array<u32>;
@group(0) @binding(1) var<storage, read> z: array<vec2<f32>>; // Z, [samples, 2K], unless HALF
@group(0) @binding(2) var<storage, read> halves: array<u32>; // the same if HALF
@group(0) @binding(3) var<storage, read> head: array<vec2<f32>>; // W, among others
@group(0) @binding(4) var<storage, read> delta: array<vec4<f32>>; // δ, [samples, stride]
// D, [2K/64, samples, 64], unless HALF.
@group(0) @binding(5) var<storage, read_write> dz: array<vec2<f32>>;
@group(0) @binding(6) var<storage, read_write> dz_halves: array<u32>; // the same if HALF
@group(0) @binding(7) var<storage, read_write> shares: array<f32>; // [splits, share]
@group(0) @binding(8) var<uniform> params: Params;

const PAIRS = 32u;
const SLOTS = 8u;
const OUTPUTS = 16u;

var<workgroup> slots: array<vec2<f32>, 1024>; // [4, SLOTS, PAIRS]

fn head_word(i: u32) -> u32 {
    return index[params.layers + i];
}

fn z_at(i: u32) -> vec2<f32> {
    if (HALF == 1u) {
        return unpack2x16float(halves[i]) * params.limit;
    }
    return z[i];
}

// 1 ÷ the scale of a sample.
fn inverse_scale(sample: u32, width: u32) -> f32 {
    if (HALF == 0u) {
        return 1.0;
    }
    let row = sample * params.stride / 4u;
    var most = vec4<f32>(params.penalty);
    for (var k = 0u; k < (width + 3u) / 4u; k++) {
        most = max(most, abs(delta[row + k]));
    }
    return 1.0 / scale_of(max(max(most.x, most.y), max(most.z, most.w)));
}

fn activate_2(z: vec2<f32>) -> vec2<f32> {
    return vec2(activate(z.x, params.clip), activate(z.y, params.clip));
}

fn slope_2(z: vec2<f32>) -> vec2<f32> {
    return vec2(activation_slope(z.x, params.clip), activation_slope(z.y, params.clip));
}

// The place of two lanes of D. Lane 2·`pair` is the first.
fn place(sample: u32, pair: u32) -> u32 {
    return (pair / PAIRS * params.samples + sample) * PAIRS + pair % PAIRS;
}

// Writes ∂Loss/∂Z of two lanes, which is 0 where the slope is, and returns it.
fn put(
    sample: u32,
    pair: u32,
    slope: vec2<f32>,
    derivative: vec2<f32>,
    inverse: f32,
    adds: bool,
) -> vec2<f32> {
    let value = select(vec2<f32>(0.0), slope * derivative, slope != vec2<f32>(0.0));
    let at = place(sample, pair);
    if (HALF == 1u) {
        let before = select(vec2<f32>(0.0), unpack2x16float(dz_halves[at]), adds);
        let sum = before + value * inverse;
        dz_halves[at] = pack2x16float(clamp(sum, vec2(-LARGEST_HALF), vec2(LARGEST_HALF)));
    } else {
        dz[at] = select(vec2<f32>(0.0), dz[at], adds) + value;
    }
    return value;
}

// Adds the sums of the slots for four pairs of columns, and writes them from `at` on, `step` apart,
// if they are below `count`.
fn join(
    a: vec2<f32>,
    b: vec2<f32>,
    c: vec2<f32>,
    d: vec2<f32>,
    at: u32,
    step: u32,
    count: u32,
    invocation: u32,
) {
    workgroupBarrier(); // the sums before may still be read
    slots[invocation] = a;
    slots[invocation + 256u] = b;
    slots[invocation + 512u] = c;
    slots[invocation + 768u] = d;
    workgroupBarrier();
    let own = invocation / PAIRS;
    if (own < min(count, 4u)) {
        let first = own * 256u + invocation % PAIRS;
        var sum = slots[first];
        for (var slot = 1u; slot < SLOTS; slot++) {
            sum += slots[first + slot * PAIRS];
        }
        shares[at + own * step] = sum.x;
        shares[at + own * step + 1u] = sum.y;
    }
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let tiles = params.inputs / 64u;
    let own = group_index(group, groups);
    let split = own / tiles;
    if (split >= params.splits) {
        return;
    }
    let begin = index[params.starts + split];
    let end = index[params.starts + split + 1u];
    // With 1 bucket what is read there is no bucket, and the minimum is 0.
    let bucket = min(index[params.bucket + begin], params.buckets - 1u);
    let layer = layer_at(0u);
    let slot = invocation / PAIRS;
    // Pairs of columns, and of lanes: with pairs of lanes, the partners are K/2 lanes apart.
    let column = own % tiles * PAIRS + invocation % PAIRS;
    let half = params.hidden / 4u;
    let lane = column + select(0u, half, PAIRWISE == 1u && column >= half);
    let weights = (layer.weights + bucket * layer.width * layer.inputs) / 2u + column;
    let row = layer.inputs / 2u;
    let share = split * params.share;

    var bias_low = vec2<f32>(0.0);
    var bias_high = vec2<f32>(0.0);
    for (var first = 0u; first < layer.width; first += OUTPUTS) {
        let last = layer.width - 1u;
        let adds = first > 0u;
        let penalty = select(params.penalty, 0.0, adds); // once for all outputs
        // W of outputs past the last one meets a δ of 0.
        let w0 = head[weights + min(first + 0u, last) * row];
        let w1 = head[weights + min(first + 1u, last) * row];
        let w2 = head[weights + min(first + 2u, last) * row];
        let w3 = head[weights + min(first + 3u, last) * row];
        let w4 = head[weights + min(first + 4u, last) * row];
        let w5 = head[weights + min(first + 5u, last) * row];
        let w6 = head[weights + min(first + 6u, last) * row];
        let w7 = head[weights + min(first + 7u, last) * row];
        let w8 = head[weights + min(first + 8u, last) * row];
        let w9 = head[weights + min(first + 9u, last) * row];
        let w10 = head[weights + min(first + 10u, last) * row];
        let w11 = head[weights + min(first + 11u, last) * row];
        let w12 = head[weights + min(first + 12u, last) * row];
        let w13 = head[weights + min(first + 13u, last) * row];
        let w14 = head[weights + min(first + 14u, last) * row];
        let w15 = head[weights + min(first + 15u, last) * row];
        var sum0 = vec2<f32>(0.0);
        var sum1 = vec2<f32>(0.0);
        var sum2 = vec2<f32>(0.0);
        var sum3 = vec2<f32>(0.0);
        var sum4 = vec2<f32>(0.0);
        var sum5 = vec2<f32>(0.0);
        var sum6 = vec2<f32>(0.0);
        var sum7 = vec2<f32>(0.0);
        var sum8 = vec2<f32>(0.0);
        var sum9 = vec2<f32>(0.0);
        var sum10 = vec2<f32>(0.0);
        var sum11 = vec2<f32>(0.0);
        var sum12 = vec2<f32>(0.0);
        var sum13 = vec2<f32>(0.0);
        var sum14 = vec2<f32>(0.0);
        var sum15 = vec2<f32>(0.0);
        for (var s = begin + slot; s < end; s += SLOTS) {
            let row_of_delta = (s * params.stride + first) / 4u;
            let d0 = delta[row_of_delta];
            let d1 = delta[row_of_delta + 1u];
            let d2 = delta[row_of_delta + 2u];
            let d3 = delta[row_of_delta + 3u];
            var derivative = vec2<f32>(penalty);
            derivative += d0.x * w0;
            derivative += d0.y * w1;
            derivative += d0.z * w2;
            derivative += d0.w * w3;
            derivative += d1.x * w4;
            derivative += d1.y * w5;
            derivative += d1.z * w6;
            derivative += d1.w * w7;
            derivative += d2.x * w8;
            derivative += d2.y * w9;
            derivative += d2.z * w10;
            derivative += d2.w * w11;
            derivative += d3.x * w12;
            derivative += d3.y * w13;
            derivative += d3.z * w14;
            derivative += d3.w * w15;
            let at = s * params.hidden + lane;
            let inverse = inverse_scale(s, layer.width);
            let low = z_at(at);
            var x = activate_2(low);
            if (PAIRWISE == 1u) {
                let high = z_at(at + half);
                let other = activate_2(high);
                bias_low += put(s, lane, slope_2(low), other * derivative, inverse, adds);
                bias_high += put(s, lane + half, slope_2(high), x * derivative, inverse, adds);
                x *= other;
            } else {
                bias_low += put(s, lane, slope_2(low), derivative, inverse, adds);
            }
            sum0 += d0.x * x;
            sum1 += d0.y * x;
            sum2 += d0.z * x;
            sum3 += d0.w * x;
            sum4 += d1.x * x;
            sum5 += d1.y * x;
            sum6 += d1.z * x;
            sum7 += d1.w * x;
            sum8 += d2.x * x;
            sum9 += d2.y * x;
            sum10 += d2.z * x;
            sum11 += d2.w * x;
            sum12 += d3.x * x;
            sum13 += d3.y * x;
            sum14 += d3.z * x;
            sum15 += d3.w * x;
        }
        let at = share + 2u * params.hidden + first * layer.inputs + 2u * column;
        let step = layer.inputs;
        // Outputs from the 1st, 5th, 9th and 13th of these 16 on.
        let left = layer.width - first;
        let left_4 = max(left, 4u) - 4u;
        let left_8 = max(left, 8u) - 8u;
        let left_12 = max(left, 12u) - 12u;
        join(sum0, sum1, sum2, sum3, at, step, left, invocation);
        join(sum4, sum5, sum6, sum7, at + 4u * step, step, left_4, invocation);
        join(sum8, sum9, sum10, sum11, at + 8u * step, step, left_8, invocation);
        join(sum12, sum13, sum14, sum15, at + 12u * step, step, left_12, invocation);
    }
    let of_bias = share + 2u * lane;
    join(bias_low, bias_high, bias_low, bias_low, of_bias, 2u * half, 1u + PAIRWISE, invocation);
}
