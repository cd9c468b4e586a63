// Y[s] = d[b] + Σ_u C[b, u]·H[s, u] on index lists, where b is the sample's bucket, H = activation(Z)
// and Z[s, pK + r] = B_p[r] + Σ A_p[i, r] over the sample's list. If GRADIENT is 1, it also writes
// the facts about Z that the gradients need: one bit per lane for 0 ≤ Z ≤ T, one bit for Z > T if
// there is a clip, and the slope if POWER > 1. If LOSS is 1, it also writes e = ∂E/∂Y[s] and the
// loss term.
//
// Neither Z nor H reaches memory. A team of K/32 invocations computes one perspective of a sample,
// and each of them has 32 lanes. The first half of a workgroup has the first perspective and the
// other half the second, so that the invocations of a subgroup take the same branch. Each half has
// as many teams as fit, and each team computes `rounds` samples.
struct Params {
    samples: u32, // samples of this strip, which begins at sample `first` of `total`
    first: u32,
    total: u32,
    hidden: u32, // K, a multiple of 32
    indices_1: u32, // offset of each perspective's indices in `lists`
    indices_2: u32,
    targets: u32, // offset of the targets in `lists`
    buckets: u32,
    bucket: u32, // offset of the samples' buckets in `lists`
    output: u32, // offset of C in `small`; d follows it
    bias_2: u32, // offset of B of the second perspective in `small`
    interleave: u32,
    rounds: u32,
    inputs: u32,
    entries: u32,
    power: f32,
    scale: f32, // 1/L
    clip: f32,
}

// Starts, [2, total + 1]; indices; targets as bits, [total].
@group(0) @binding(0) var<storage, read> lists: array<u32>;
@group(0) @binding(1) var<storage, read> weights_1: array<vec4<f32>>; // [N, K]
@group(0) @binding(2) var<storage, read> weights_2: array<vec4<f32>>;
// B of each accumulator, C [2K], d.
@group(0) @binding(3) var<storage, read> small: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>; // [total]
@group(0) @binding(5) var<storage, read_write> bits: array<u32>; // [conditions, 2, total, K/32]
// [2, samples, K] if POWER > 1.
@group(0) @binding(6) var<storage, read_write> slopes: array<vec4<f32>>;
// e, [total], then the terms of the loss, [total].
@group(0) @binding(7) var<storage, read_write> errors: array<f32>;
@group(0) @binding(8) var<uniform> params: Params;

override GRADIENT: u32 = 1u;
override LOSS: u32 = 0u;

const INVOCATIONS = 256u;
const HALF = INVOCATIONS / 2u;

var<workgroup> sums: array<f32, INVOCATIONS>;

@compute @workgroup_size(INVOCATIONS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let words = params.hidden / 32u;
    let teams = HALF / words;
    let second = invocation >= HALF;
    let word = invocation % HALF % words;
    let stride = params.interleave;
    let at = first_vector(word, stride);
    let row = params.hidden / 4u;
    let indices = select(params.indices_1, params.indices_2, second);
    let starts = select(0u, params.total + 1u, second) + params.first;
    let bias = select(0u, params.bias_2 / 4u, second) + at;
    let first_output = params.output / 4u + select(0u, row, second) + at;
    let clip = vec4<f32>(params.clip);
    let first = group_index(group, groups) * teams * params.rounds + invocation % HALF / words;
    let has_team = invocation % HALF < teams * words;

    for (var round = 0u; round < params.rounds; round++) {
        let sample = first + round * teams;
        let live = has_team && sample < params.samples;
        // With 1 bucket what is read there is no bucket, and the minimum is 0.
        let bucket = min(lists[params.bucket + params.first + sample], params.buckets - 1u);
        let output = first_output + bucket * 2u * row;
        var own_sum = 0.0;
        if (live) {
            var z0 = small[bias];
            var z1 = small[bias + stride];
            var z2 = small[bias + 2u * stride];
            var z3 = small[bias + 3u * stride];
            var z4 = small[bias + 4u * stride];
            var z5 = small[bias + 5u * stride];
            var z6 = small[bias + 6u * stride];
            var z7 = small[bias + 7u * stride];
            let end = indices + lists[starts + sample + 1u];
            if (second) {
                for (var i = indices + lists[starts + sample]; i < end; i++) {
                    let source = lists[i] * row + at;
                    z0 += weights_2[source];
                    z1 += weights_2[source + stride];
                    z2 += weights_2[source + 2u * stride];
                    z3 += weights_2[source + 3u * stride];
                    z4 += weights_2[source + 4u * stride];
                    z5 += weights_2[source + 5u * stride];
                    z6 += weights_2[source + 6u * stride];
                    z7 += weights_2[source + 7u * stride];
                }
            } else {
                for (var i = indices + lists[starts + sample]; i < end; i++) {
                    let source = lists[i] * row + at;
                    z0 += weights_1[source];
                    z1 += weights_1[source + stride];
                    z2 += weights_1[source + 2u * stride];
                    z3 += weights_1[source + 3u * stride];
                    z4 += weights_1[source + 4u * stride];
                    z5 += weights_1[source + 5u * stride];
                    z6 += weights_1[source + 6u * stride];
                    z7 += weights_1[source + 7u * stride];
                }
            }
            own_sum = dot(activate_4(z0, clip), small[output])
                + dot(activate_4(z1, clip), small[output + stride])
                + dot(activate_4(z2, clip), small[output + 2u * stride])
                + dot(activate_4(z3, clip), small[output + 3u * stride])
                + dot(activate_4(z4, clip), small[output + 4u * stride])
                + dot(activate_4(z5, clip), small[output + 5u * stride])
                + dot(activate_4(z6, clip), small[output + 6u * stride])
                + dot(activate_4(z7, clip), small[output + 7u * stride]);
            if (GRADIENT == 1u) {
                let offset = (select(0u, params.total, second) + params.first + sample) * words + word;
                bits[offset] = gate(z0, clip) | (gate(z1, clip) << 4u)
                    | (gate(z2, clip) << 8u) | (gate(z3, clip) << 12u)
                    | (gate(z4, clip) << 16u) | (gate(z5, clip) << 20u)
                    | (gate(z6, clip) << 24u) | (gate(z7, clip) << 28u);
                if (CLIP == 1u) {
                    bits[2u * params.total * words + offset] =
                        bits_of(z0 > clip) | (bits_of(z1 > clip) << 4u)
                        | (bits_of(z2 > clip) << 8u) | (bits_of(z3 > clip) << 12u)
                        | (bits_of(z4 > clip) << 16u) | (bits_of(z5 > clip) << 20u)
                        | (bits_of(z6 > clip) << 24u) | (bits_of(z7 > clip) << 28u);
                }
                if (POWER > 1u) {
                    let to = (select(0u, params.samples, second) + sample) * row + at;
                    slopes[to] = slope_4(z0, clip);
                    slopes[to + stride] = slope_4(z1, clip);
                    slopes[to + 2u * stride] = slope_4(z2, clip);
                    slopes[to + 3u * stride] = slope_4(z3, clip);
                    slopes[to + 4u * stride] = slope_4(z4, clip);
                    slopes[to + 5u * stride] = slope_4(z5, clip);
                    slopes[to + 6u * stride] = slope_4(z6, clip);
                    slopes[to + 7u * stride] = slope_4(z7, clip);
                }
            }
        }
        workgroupBarrier(); // the previous round may still read `sums`
        sums[invocation] = own_sum;
        // A tree over the team, whose size is not always a power of two.
        var width = words;
        while (width > 1u) {
            let reach = (width + 1u) / 2u;
            workgroupBarrier();
            if (has_team && word + reach < width) {
                sums[invocation] += sums[invocation + reach];
            }
            width = reach;
        }
        workgroupBarrier();
        if (live && !second && word == 0u) {
            let own = params.first + sample;
            let of_d = params.output / 4u + params.buckets * 2u * row + bucket / 4u;
            let value = sums[invocation] + sums[invocation + HALF] + small[of_d][bucket % 4u];
            y[own] = value;
            if (LOSS == 1u) {
                let loss = loss_of(value, bitcast<f32>(lists[params.targets + own]), params.power, params.scale);
                errors[own] = loss.gradient;
                errors[params.total + own] = loss.term;
            }
        }
    }
}

fn gate(z: vec4<f32>, clip: vec4<f32>) -> u32 {
    return bits_of(inside_4(z, clip));
}
