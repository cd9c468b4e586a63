// The forward pass on index lists: see lib/forward.wgsl.
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
}

// Starts, [2, total + 1]; indices; targets as bits, [total].
@group(0) @binding(0) var<storage, read> lists: array<u32>;
@group(0) @binding(1) var<storage, read> weights_1: array<vec4<f32>>; // [N, K]
@group(0) @binding(2) var<storage, read> weights_2: array<vec4<f32>>;
// B of each accumulator, C [2K], d.
@group(0) @binding(3) var<storage, read> small: array<vec4<f32>>;
// Y, then e, then the terms of the loss, [3, total]; Y alone without a loss.
@group(0) @binding(4) var<storage, read_write> results: array<f32>;
@group(0) @binding(5) var<storage, read_write> bits: array<u32>; // [conditions, 2, total, K/32]
// [2, samples, K] if POWER > 1.
@group(0) @binding(6) var<storage, read_write> slopes: array<vec4<f32>>;
// The same in 16 bits if SHORT.
@group(0) @binding(7) var<storage, read_write> short_slopes: array<vec4<u32>>;
@group(0) @binding(8) var<uniform> params: Params;

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
    let row = params.hidden / 4u;
    var z = biases(place);
    if (place.second) {
        for (var i = list.x; i < list.y; i++) {
            let source = lists[i] * row + place.at;
            z.z0 += weights_2[source];
            z.z1 += weights_2[source + place.stride];
            z.z2 += weights_2[source + 2u * place.stride];
            z.z3 += weights_2[source + 3u * place.stride];
            if (LANES == 32u) {
                z.z4 += weights_2[source + 4u * place.stride];
                z.z5 += weights_2[source + 5u * place.stride];
                z.z6 += weights_2[source + 6u * place.stride];
                z.z7 += weights_2[source + 7u * place.stride];
            }
        }
    } else {
        for (var i = list.x; i < list.y; i++) {
            let source = lists[i] * row + place.at;
            z.z0 += weights_1[source];
            z.z1 += weights_1[source + place.stride];
            z.z2 += weights_1[source + 2u * place.stride];
            z.z3 += weights_1[source + 3u * place.stride];
            if (LANES == 32u) {
                z.z4 += weights_1[source + 4u * place.stride];
                z.z5 += weights_1[source + 5u * place.stride];
                z.z6 += weights_1[source + 6u * place.stride];
                z.z7 += weights_1[source + 7u * place.stride];
            }
        }
    }
    return z;
}
