// z[s, o] = c[b, o] + Σ_j W[b, o, j]·x[s, j] of the first layer of the head, with b the bucket of
// sample s and x the activated accumulators, or their products of pairs if PAIRWISE is 1.
//
// A workgroup computes a split of at most SAMPLES samples of one bucket and 16 outputs. If SHARED
// is 1, x and W go through workgroup memory, 16 columns at a time. Each invocation then has four
// samples, 32 apart, and four outputs, 4 apart, and each half of the workgroup sums every other
// eight columns. If SHARED is 0, an invocation has eight outputs of a sample and reads them itself,
// for software adapters, where barriers take long.
override SHARED: u32 = 1u;
override PAIRWISE: u32 = 0u;

struct Params {
    samples: u32, // only the count of bytes uses it
    hidden: u32, // K, a multiple of 32, or of 64 with pairs
    buckets: u32,
    bucket: u32, // offset of the buckets of the samples in `index`
    splits: u32,
    starts: u32, // offset of the first sample of each split in `index`, [splits + 1]
    layers: u32, // offset of the words of the layers in `index`
    stride: u32, // of a row of `delta`, a multiple of 16
    width: u32, // only the host reads it
    clip: f32,
    limit: f32, // of Z in 16 bits: see lib/half.wgsl
}

@group(0) @binding(0) var<storage, read> index: array<u32>;
@group(0) @binding(1) var<storage, read> z: array<vec4<f32>>; // Z, [samples, 2K], unless HALF
@group(0) @binding(2) var<storage, read> halves: array<vec2<u32>>; // the same if HALF
@group(0) @binding(3) var<storage, read> head: array<vec4<f32>>; // W and c, among others
@group(0) @binding(4) var<storage, read_write> delta: array<f32>; // z, [samples, stride]
@group(0) @binding(5) var<uniform> params: Params;

const SAMPLES = 128u;
const OUTPUTS = 16u;
// Vectors of 16 columns in workgroup memory, one of them empty to spread the banks.
const PITCH = 5u;

var<workgroup> x_tile: array<vec4<f32>, 640>; // [SAMPLES, PITCH]
var<workgroup> w_tile: array<vec4<f32>, 80>; // [OUTPUTS, PITCH]

fn head_word(i: u32) -> u32 {
    return index[params.layers + i];
}

// Four activated lanes.
fn h_at(i: u32) -> vec4<f32> {
    let clip = vec4<f32>(params.clip);
    if (HALF == 1u) {
        return activate_4(unpack_4(halves[i]) * params.limit, clip);
    }
    return activate_4(z[i], clip);
}

// Four columns of x of a sample, from column 4·`vector` on.
fn x_at(sample: u32, vector: u32) -> vec4<f32> {
    let row = sample * (params.hidden / 2u);
    if (PAIRWISE == 0u) {
        return h_at(row + vector);
    }
    let half = params.hidden / 8u;
    let first = row + vector + select(0u, half, vector >= half);
    return h_at(first) * h_at(first + half);
}

fn write(sample: u32, output: u32, bias: u32, sum: f32, width: u32) {
    let at = bias + min(output, width - 1u);
    let c = select(0.0, head[at / 4u][at % 4u], output < width);
    delta[sample * params.stride + output] = sum + c;
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let across = params.stride / OUTPUTS;
    let own = group_index(group, groups);
    let split = own / across;
    if (split >= params.splits) {
        return;
    }
    let first_output = own % across * OUTPUTS;
    let begin = index[params.starts + split];
    let last = index[params.starts + split + 1u] - 1u;
    // With 1 bucket what is read there is no bucket, and the minimum is 0.
    let bucket = min(index[params.bucket + begin], params.buckets - 1u);
    let layer = layer_at(0u);
    let weights = (layer.weights + bucket * layer.width * layer.inputs) / 4u;
    let bias = layer.bias + bucket * layer.width;
    let vectors = layer.inputs / 4u;

    if (SHARED == 0u) {
        let sample = min(begin + invocation % SAMPLES, last);
        let output = first_output + invocation / SAMPLES * 8u;
        // Outputs past the last one compute the last one again.
        let w0 = weights + min(output, layer.width - 1u) * vectors;
        let w1 = weights + min(output + 1u, layer.width - 1u) * vectors;
        let w2 = weights + min(output + 2u, layer.width - 1u) * vectors;
        let w3 = weights + min(output + 3u, layer.width - 1u) * vectors;
        let w4 = weights + min(output + 4u, layer.width - 1u) * vectors;
        let w5 = weights + min(output + 5u, layer.width - 1u) * vectors;
        let w6 = weights + min(output + 6u, layer.width - 1u) * vectors;
        let w7 = weights + min(output + 7u, layer.width - 1u) * vectors;
        var low = vec4<f32>(0.0);
        var high = vec4<f32>(0.0);
        for (var j = 0u; j < vectors; j++) {
            let x = x_at(sample, j);
            low += vec4(
                dot(x, head[w0 + j]),
                dot(x, head[w1 + j]),
                dot(x, head[w2 + j]),
                dot(x, head[w3 + j]),
            );
            high += vec4(
                dot(x, head[w4 + j]),
                dot(x, head[w5 + j]),
                dot(x, head[w6 + j]),
                dot(x, head[w7 + j]),
            );
        }
        if (begin + invocation % SAMPLES <= last) {
            for (var i = 0u; i < 8u; i++) {
                let sum = select(high[i % 4u], low[i % 4u], i < 4u);
                let live = output + i < layer.width;
                write(sample, output + i, bias, select(0.0, sum, live), layer.width);
            }
        }
        return;
    }

    let part = invocation / 128u;
    let own_sample = invocation % 128u / 4u;
    let own_output = invocation % 4u;
    let load_vector = invocation % 4u;
    let load_row = invocation / 4u;
    let w_output = first_output + load_row;
    let w_row = weights + min(w_output, layer.width - 1u) * vectors + load_vector;
    var sums0 = vec4<f32>(0.0);
    var sums1 = vec4<f32>(0.0);
    var sums2 = vec4<f32>(0.0);
    var sums3 = vec4<f32>(0.0);
    for (var column = 0u; column < vectors; column += 4u) {
        x_tile[load_row * PITCH + load_vector] =
            x_at(min(begin + load_row, last), column + load_vector);
        x_tile[(load_row + 64u) * PITCH + load_vector] =
            x_at(min(begin + load_row + 64u, last), column + load_vector);
        if (load_row < OUTPUTS) {
            w_tile[load_row * PITCH + load_vector] =
                select(vec4<f32>(0.0), head[w_row + column], w_output < layer.width);
        }
        workgroupBarrier();
        for (var k = part * 2u; k < part * 2u + 2u; k++) {
            let w0 = w_tile[own_output * PITCH + k];
            let w1 = w_tile[(own_output + 4u) * PITCH + k];
            let w2 = w_tile[(own_output + 8u) * PITCH + k];
            let w3 = w_tile[(own_output + 12u) * PITCH + k];
            let x0 = x_tile[own_sample * PITCH + k];
            let x1 = x_tile[(own_sample + 32u) * PITCH + k];
            let x2 = x_tile[(own_sample + 64u) * PITCH + k];
            let x3 = x_tile[(own_sample + 96u) * PITCH + k];
            sums0 += vec4(dot(x0, w0), dot(x0, w1), dot(x0, w2), dot(x0, w3));
            sums1 += vec4(dot(x1, w0), dot(x1, w1), dot(x1, w2), dot(x1, w3));
            sums2 += vec4(dot(x2, w0), dot(x2, w1), dot(x2, w2), dot(x2, w3));
            sums3 += vec4(dot(x3, w0), dot(x3, w1), dot(x3, w2), dot(x3, w3));
        }
        workgroupBarrier();
    }
    let place = invocation % 128u * 4u;
    if (part == 1u) {
        x_tile[place] = sums0;
        x_tile[place + 1u] = sums1;
        x_tile[place + 2u] = sums2;
        x_tile[place + 3u] = sums3;
    }
    workgroupBarrier();
    if (part == 1u) {
        return;
    }
    sums0 += x_tile[place];
    sums1 += x_tile[place + 1u];
    sums2 += x_tile[place + 2u];
    sums3 += x_tile[place + 3u];
    let sample = begin + own_sample;
    for (var i = 0u; i < 4u; i++) {
        let output = first_output + own_output + 4u * i;
        if (sample <= last) {
            write(sample, output, bias, sums0[i], layer.width);
        }
        if (sample + 32u <= last) {
            write(sample + 32u, output, bias, sums1[i], layer.width);
        }
        if (sample + 64u <= last) {
            write(sample + 64u, output, bias, sums2[i], layer.width);
        }
        if (sample + 96u <= last) {
            write(sample + 96u, output, bias, sums3[i], layer.width);
        }
    }
}
