// The forward pass of the masked path, without the sums of rows of A:
// Y[s] = d[b] + Σ_u C[b, u]·H[s, u], where b is the sample's bucket, H = activation(Z) and
// Z[s, pK + r] = B_p[r] + Σ A_p[i, r] over the sample's list. If GRADIENT is 1, it also writes the
// facts about Z that the gradients need: one bit per lane for 0 ≤ Z ≤ T, one bit for Z > T if there
// is a clip, and the slope if POWER > 1. If LOSS is 1, it also writes e = ∂E/∂Y[s] and the loss term.
//
// Neither Z nor H reaches memory. A team of K/LANES invocations computes one perspective of a
// sample, and each of them has LANES lanes: those of a word of bits, or of half a word. The first
// half of a workgroup has the first perspective and the other half the second, so that the
// invocations of a subgroup take the same branch. Each half has as many teams as fit, and each team
// computes `rounds` samples.
//
// The shader declares the parameters, the buffers and `accumulated`, which computes Z.
override GRADIENT: u32 = 1u;
override LOSS: u32 = 0u;
override LANES: u32 = 32u; // 16 or 32
override SHORT: u32 = 0u; // 1 if slopes are stored in 16 bits

const INVOCATIONS = 256u;
const SIDE = INVOCATIONS / 2u;

// The sums that an invocation adds to those of its team.
var<workgroup> sums: array<f32, INVOCATIONS>;
// The two planes of bits of half a word, if LANES is 16.
var<workgroup> halves_of_words: array<vec2<u32>, INVOCATIONS>;

// The vectors of an invocation; the last four only if LANES is 32.
struct Lanes {
    z0: vec4<f32>,
    z1: vec4<f32>,
    z2: vec4<f32>,
    z3: vec4<f32>,
    z4: vec4<f32>,
    z5: vec4<f32>,
    z6: vec4<f32>,
    z7: vec4<f32>,
}

// The place of an invocation in a row of K lanes.
struct Place {
    second: bool, // whether it has the second perspective
    at: u32, // its first vector
    half_at: u32, // its first pair of vectors in 16 bits: see lib/bits.wgsl
    stride: u32, // the distance to the next one
}

// B.
fn biases(place: Place) -> Lanes {
    let at = select(0u, params.bias_2 / 4u, place.second) + place.at;
    var z: Lanes;
    z.z0 = small[at];
    z.z1 = small[at + place.stride];
    z.z2 = small[at + 2u * place.stride];
    z.z3 = small[at + 3u * place.stride];
    if (LANES == 32u) {
        z.z4 = small[at + 4u * place.stride];
        z.z5 = small[at + 5u * place.stride];
        z.z6 = small[at + 6u * place.stride];
        z.z7 = small[at + 7u * place.stride];
    }
    return z;
}

fn forward(group: u32, invocation: u32) {
    let words = params.hidden / 32u;
    let team = params.hidden / LANES;
    let teams = SIDE / team;
    let own = invocation % SIDE % team;
    // Of the invocations of a word, the first half and the second are `interleave` apart.
    let parts = 32u / LANES;
    let stride = params.interleave;
    let part = own / stride % parts;
    let word = own / (parts * stride) * stride + own % stride;
    let second = invocation >= SIDE;
    let place = Place(
        second,
        first_vector(word, stride) + part * 4u * stride,
        first_pair(word, stride) + part * 2u * stride,
        stride,
    );
    let row = params.hidden / 4u;
    let indices = select(params.indices_1, params.indices_2, second);
    let starts = select(0u, params.total + 1u, second) + params.first;
    let first_output = params.output / 4u + select(0u, row, second) + place.at;
    let clip = vec4<f32>(params.clip);
    let first = group * teams * params.rounds + invocation % SIDE / team;
    let has_team = invocation % SIDE < teams * team;

    for (var round = 0u; round < params.rounds; round++) {
        let sample = first + round * teams;
        let live = has_team && sample < params.samples;
        // With 1 bucket what is read there is no bucket, and the minimum is 0.
        let bucket = min(lists[params.bucket + params.first + sample], params.buckets - 1u);
        let output = first_output + bucket * 2u * row;
        var own_sum = 0.0;
        var planes = vec2<u32>(0u);
        if (live) {
            let list = indices + vec2(lists[starts + sample], lists[starts + sample + 1u]);
            let z = accumulated(list, place);
            if (GRADIENT == 1u) {
                if (POWER > 1u) {
                    put_slopes(z, clip, place, sample);
                }
                planes = planes_of(z, clip);
                if (LANES == 32u) {
                    put_planes(planes, second, sample, word);
                }
            }
            own_sum = dot(activate_4(z.z0, clip), small[output])
                + dot(activate_4(z.z1, clip), small[output + stride])
                + dot(activate_4(z.z2, clip), small[output + 2u * stride])
                + dot(activate_4(z.z3, clip), small[output + 3u * stride]);
            if (LANES == 32u) {
                own_sum = own_sum + dot(activate_4(z.z4, clip), small[output + 4u * stride])
                    + dot(activate_4(z.z5, clip), small[output + 5u * stride])
                    + dot(activate_4(z.z6, clip), small[output + 6u * stride])
                    + dot(activate_4(z.z7, clip), small[output + 7u * stride]);
            }
        }
        workgroupBarrier(); // the previous round may still read what follows
        sums[invocation] = own_sum;
        if (LANES == 16u) {
            halves_of_words[invocation] = planes;
        }
        // A tree over the team, whose size is not always a power of two.
        var width = team;
        while (width > 1u) {
            let reach = (width + 1u) / 2u;
            workgroupBarrier();
            if (has_team && own + reach < width) {
                sums[invocation] += sums[invocation + reach];
            }
            width = reach;
        }
        workgroupBarrier();
        if (GRADIENT == 1u && LANES == 16u && live && part == 0u) {
            put_planes(planes | (halves_of_words[invocation + stride] << vec2(16u)), second, sample, word);
        }
        if (live && !second && own == 0u) {
            let at = params.first + sample;
            let of_d = params.output / 4u + params.buckets * 2u * row + bucket / 4u;
            let value = sums[invocation] + sums[invocation + SIDE] + small[of_d][bucket % 4u];
            results[at] = value;
            if (LOSS == 1u) {
                // Without weights any word is read.
                let weight = bitcast<f32>(lists[params.sample_weights + at]);
                let target_value = bitcast<f32>(lists[params.targets + at]);
                let loss = loss_of(value, target_value, select(1.0, weight, params.weighted == 1u));
                results[params.total + at] = loss.gradient;
                results[2u * params.total + at] = loss.term;
            }
        }
    }
}

// The bits of both planes; those of the second are 0 without a clip.
fn planes_of(z: Lanes, clip: vec4<f32>) -> vec2<u32> {
    var inside = gate(z.z0, clip) | (gate(z.z1, clip) << 4u)
        | (gate(z.z2, clip) << 8u) | (gate(z.z3, clip) << 12u);
    if (LANES == 32u) {
        inside |= (gate(z.z4, clip) << 16u) | (gate(z.z5, clip) << 20u)
            | (gate(z.z6, clip) << 24u) | (gate(z.z7, clip) << 28u);
    }
    var above = 0u;
    if (CLIP == 1u) {
        above = bits_of(z.z0 > clip) | (bits_of(z.z1 > clip) << 4u)
            | (bits_of(z.z2 > clip) << 8u) | (bits_of(z.z3 > clip) << 12u);
        if (LANES == 32u) {
            above |= (bits_of(z.z4 > clip) << 16u) | (bits_of(z.z5 > clip) << 20u)
                | (bits_of(z.z6 > clip) << 24u) | (bits_of(z.z7 > clip) << 28u);
        }
    }
    return vec2(inside, above);
}

fn gate(z: vec4<f32>, clip: vec4<f32>) -> u32 {
    return bits_of(inside_4(z, clip));
}

fn put_planes(planes: vec2<u32>, second: bool, sample: u32, word: u32) {
    let words = params.hidden / 32u;
    let at = (select(0u, params.total, second) + params.first + sample) * words + word;
    bits[at] = planes.x;
    if (CLIP == 1u) {
        bits[2u * params.total * words + at] = planes.y;
    }
}

fn put_slopes(z: Lanes, clip: vec4<f32>, place: Place, sample: u32) {
    let row = (select(0u, params.samples, place.second) + sample) * (params.hidden / 4u);
    let stride = place.stride;
    if (SHORT == 1u) {
        let to = row / 2u + place.half_at;
        short_slopes[to] = shorts(z.z0, z.z1, clip);
        short_slopes[to + stride] = shorts(z.z2, z.z3, clip);
        if (LANES == 32u) {
            short_slopes[to + 2u * stride] = shorts(z.z4, z.z5, clip);
            short_slopes[to + 3u * stride] = shorts(z.z6, z.z7, clip);
        }
    } else {
        let to = row + place.at;
        slopes[to] = slope_4(z.z0, clip);
        slopes[to + stride] = slope_4(z.z1, clip);
        slopes[to + 2u * stride] = slope_4(z.z2, clip);
        slopes[to + 3u * stride] = slope_4(z.z3, clip);
        if (LANES == 32u) {
            slopes[to + 4u * stride] = slope_4(z.z4, clip);
            slopes[to + 5u * stride] = slope_4(z.z5, clip);
            slopes[to + 6u * stride] = slope_4(z.z6, clip);
            slopes[to + 7u * stride] = slope_4(z.z7, clip);
        }
    }
}

// Two vectors of Z in units of 1 ÷ `units`, 0 outside the mask.
fn shorts(low: vec4<f32>, high: vec4<f32>, clip: vec4<f32>) -> vec4<u32> {
    let first = short_of(low, clip);
    let second = short_of(high, clip);
    return vec4(
        first.x | (first.y << 16u),
        first.z | (first.w << 16u),
        second.x | (second.y << 16u),
        second.z | (second.w << 16u),
    );
}

// The exponent 2²³ makes the units the last bits of a float.
fn short_of(z: vec4<f32>, clip: vec4<f32>) -> vec4<u32> {
    let units = bitcast<vec4<u32>>(round(z * params.units) + vec4(8388608.0));
    return select(vec4(0u), units & vec4(0xffffu), inside_4(z, clip));
}
