// The forward pass on index lists with A in 16 bits: see lib/forward.wgsl.
struct Params {
    samples: u32, // samples of this strip, which begins at sample `first` of `total`
    first: u32,
    total: u32,
    hidden: u32, // K, a multiple of 32
    indices_1: u32, // offset of each perspective's indices in `lists`
    indices_2: u32,
    targets: u32, // offset of the targets in `lists`
    sample_weights: u32, // offset of the weights of the samples, if they have weights
    buckets: u32,
    bucket: u32, // offset of the samples' buckets in `lists`
    output: u32, // offset of C in `small`; d follows it
    bias_2: u32, // offset of B of the second perspective in `small`
    interleave: u32,
    rounds: u32,
    inputs: u32,
    entries: u32,
    power: f32, // q
    scale: f32, // 1/L
    asymmetry: f32,
    steepness: f32, // factor of Y
    shift: f32, // of a win rate
    entropy: u32, // 1 for the cross-entropy
    weighted: u32, // 1 if the samples have weights
    clip: f32,
    units: f32, // of slopes in 16 bits, per 1
    lanes: u32, // LANES; only the size of the grid needs it
    second: u32, // offset of the second perspective's A in `weights`
}

// Starts, [2, total + 1]; indices; targets as bits, [total].
@group(0) @binding(0) var<storage, read> lists: array<u32>;
// A of each accumulator, [N, K], in the order of lib/bits.wgsl.
@group(0) @binding(1) var<storage, read> weights: array<vec4<u32>>;
// B of each accumulator, C [2K], d.
@group(0) @binding(2) var<storage, read> small: array<vec4<f32>>;
// Y, then e, then the terms of the loss, [3, total]; Y alone without a loss.
@group(0) @binding(3) var<storage, read_write> results: array<f32>;
@group(0) @binding(4) var<storage, read_write> bits: array<u32>; // [conditions, 2, total, K/32]
// [2, samples, K] if POWER > 1.
@group(0) @binding(5) var<storage, read_write> slopes: array<vec4<f32>>;
// The same in 16 bits if SHORT.
@group(0) @binding(6) var<storage, read_write> short_slopes: array<vec4<u32>>;
@group(0) @binding(7) var<uniform> params: Params;

@compute @workgroup_size(INVOCATIONS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    forward(group_index(group, groups), invocation);
}

// Z of an invocation's lanes: B and the rows of A of a list.
fn accumulated(list: vec2<u32>, place: Place) -> Lanes {
    let row = params.hidden / 8u;
    let first = select(0u, params.second / 4u, place.second) + place.half_at;
    var z = biases(place);
    for (var i = list.x; i < list.y; i++) {
        let source = first + lists[i] * row;
        let pair_0 = weights[source];
        let pair_1 = weights[source + place.stride];
        z.z0 += unpack_4(pair_0.xy);
        z.z1 += unpack_4(pair_0.zw);
        z.z2 += unpack_4(pair_1.xy);
        z.z3 += unpack_4(pair_1.zw);
        if (LANES == 32u) {
            let pair_2 = weights[source + 2u * place.stride];
            let pair_3 = weights[source + 3u * place.stride];
            z.z4 += unpack_4(pair_2.xy);
            z.z5 += unpack_4(pair_2.zw);
            z.z6 += unpack_4(pair_3.xy);
            z.z7 += unpack_4(pair_3.zw);
        }
    }
    return z;
}
