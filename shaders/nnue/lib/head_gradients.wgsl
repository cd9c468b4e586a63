// The gradients of the head, and the loss. The gradient of B is C[b, r]·G_B[b, r], summed over the
// buckets and over the perspectives that share B. The gradient of C[b] is H(T)·G_T[b, r] +
// w·(B[r]·G_B[b, r] + Σ A·G), and the gradient of d[b] is Σ e. The inputs are the rows of G_B and G_T, the
// shares of the bands, and e and the losses of the samples. A workgroup has VECTORS vectors of an
// accumulator, and its SLOTS share the terms of each, because one invocation would wait for
// hundreds of them one after the other. Each bucket has one more workgroup for d, and there is one
// for the loss if it is summed. The shader declares the buffers, `put` for a gradient, and
// `put_loss`. Each element is put once.
// 128, or 8 on software adapters, which wait long at barriers: SLOTS · VECTORS is a power of 4.
override SLOTS: u32 = 128u;
const MOST_SLOTS = 128u;
const VECTORS = 2u;
const LANES = 4u * VECTORS;

var<workgroup> terms: array<vec4<f32>, MOST_SLOTS * VECTORS>;

fn put_head_gradients(own_group: u32, invocation: u32) {
    let of_accumulator = params.hidden / LANES; // K is a multiple of LANES
    let of_lanes = (2u - params.tied) * of_accumulator;
    if (own_group < of_lanes) {
        put_lanes(own_group / of_accumulator, own_group % of_accumulator * LANES, invocation);
    } else if (own_group < of_lanes + params.buckets) {
        let bucket = own_group - of_lanes;
        let begin = index[params.block_starts + index[params.first_blocks + bucket]];
        let end = index[params.block_starts + index[params.first_blocks + bucket + 1u]];
        let sum = sum_of_samples(params.samples + begin, end - begin, invocation);
        if (invocation == 0u) {
            put(params.output + params.buckets * 2u * params.hidden + bucket, sum, 2u);
        }
    } else if (own_group < of_lanes + params.buckets + params.totals) {
        let sum = sum_of_samples(2u * params.samples, params.samples, invocation);
        if (invocation == 0u) {
            put_loss(sum);
        }
    }
}

// Adds the terms of the invocations until `terms` begins with the sums of two halves of the slots,
// [2, VECTORS]. The order depends on the indices alone.
fn join(invocation: u32, own: vec4<f32>) {
    workgroupBarrier(); // the sums before may still be read
    terms[invocation] = own;
    for (var reach = SLOTS * VECTORS / 4u; reach >= 2u * VECTORS; reach /= 4u) {
        workgroupBarrier();
        if (invocation < reach) {
            let near = terms[invocation] + terms[invocation + reach];
            let far = terms[invocation + 2u * reach] + terms[invocation + 3u * reach];
            terms[invocation] = near + far;
        }
    }
    workgroupBarrier();
}

// The sum of a lane after `join`.
fn joined(lane: u32) -> f32 {
    return terms[lane / 4u][lane % 4u] + terms[VECTORS + lane / 4u][lane % 4u];
}

// The sum of `count` of the results. Four sums per invocation keep four reads in flight.
fn sum_of_samples(start: u32, count: u32, invocation: u32) -> f32 {
    let step = SLOTS * VECTORS;
    var sum = vec4<f32>(0.0);
    for (var s = invocation; s < count; s += 4u * step) {
        sum += vec4<f32>(
            of_sample(start, count, s),
            of_sample(start, count, s + step),
            of_sample(start, count, s + 2u * step),
            of_sample(start, count, s + 3u * step),
        );
    }
    join(invocation, sum);
    let all = terms[0] + terms[1] + terms[2] + terms[3];
    return all.x + all.y + all.z + all.w;
}

fn of_sample(start: u32, count: u32, s: u32) -> f32 {
    return select(0.0, results[start + min(s, count - 1u)], s < count);
}

// The share of a band in the gradient of the vector `u` of C, or 0 past the last band.
fn of_band(band: u32, u: u32) -> vec4<f32> {
    let own = min(band, params.bands - 1u) * (params.buckets * params.hidden / 2u) + u;
    return select(vec4<f32>(0.0), shares[own], band < params.bands);
}

// The vector of `values` from `at` on.
fn vector_of(at: u32) -> vec4<f32> {
    return vec4<f32>(values[at], values[at + 1u], values[at + 2u], values[at + 3u]);
}

fn put_lanes(accumulator: u32, first_lane: u32, invocation: u32) {
    let slot = invocation / VECTORS;
    let r = first_lane + invocation % VECTORS * 4u;
    let lane_group = r / 128u;
    let width = min(128u, params.hidden - lane_group * 128u);
    // B before the update.
    let bias = vector_of(accumulator * params.bias_2 + r);
    var bias_sum = vec4<f32>(0.0);
    // A loop whose end depends on parameters alone would make lavapipe compile the shader in every
    // dispatch.
    let count = (1u + params.tied) * params.buckets;
    for (var pair = accumulator * count; pair < (accumulator + 1u) * count; pair++) {
        let bucket = pair % params.buckets;
        let p = pair / params.buckets;
        let column = (2u * bucket + p) * params.hidden;
        let total = select(params.total_1, params.total_2, p == 1u);
        let kinds = 1u + CLIP;
        let first = select(0u, params.rows_2, p == 1u) + lane_group * 128u * total
            + (total - kinds * params.blocks) * width + r % 128u;
        // Each sum is in the gradient with a factor of its own. The slots apply it to their terms,
        // so that only one sum is joined.
        var inside = vec4<f32>(0.0);
        var above = vec4<f32>(0.0);
        var share = vec4<f32>(0.0);
        let u = (column + r) / 4u;
        for (var band = slot; band < params.bands; band += 4u * SLOTS) {
            let near = of_band(band, u) + of_band(band + SLOTS, u);
            share += near + (of_band(band + 2u * SLOTS, u) + of_band(band + 3u * SLOTS, u));
        }
        let last = index[params.first_blocks + bucket + 1u];
        for (var block = index[params.first_blocks + bucket] + slot; block < last; block += SLOTS) {
            inside += rows[(first + block * width) / 4u];
            if (CLIP == 1u) {
                above += rows[(first + (params.blocks + block) * width) / 4u];
            }
        }
        bias_sum += vector_of(params.output + column + r) * inside;
        var sum = bias * inside + share;
        // H = w·S·Z inside the mask, with w = 1 ÷ POWER, and H(T) above it.
        if (POWER != 1u) {
            sum *= 1.0 / f32(POWER);
        }
        if (CLIP == 1u) {
            sum += powered(params.clip) * above;
        }
        // No invocation reads C of this pair after the join.
        join(invocation, sum);
        if (invocation < LANES) {
            put(params.output + column + first_lane + invocation, joined(invocation), 1u);
        }
    }
    join(invocation, bias_sum);
    if (invocation < LANES) {
        put(accumulator * params.bias_2 + first_lane + invocation, joined(invocation), 0u);
    }
}
