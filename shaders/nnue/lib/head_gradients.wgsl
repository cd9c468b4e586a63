// The gradients of the head, and the loss. The gradient of B is C[b, r]·G_B[b, r], summed over the
// buckets and over the perspectives that share B. The gradient of C[b] is w·(B[r]·G_B[b, r] + Σ A·G)
// + H(T)·G_T[b, r], and the gradient of d[b] is Σ e. The inputs are the rows of G_B and G_T, the
// shares of the bands, and e and the losses of the samples. A workgroup has COLUMNS lanes of an
// accumulator and sums the terms of each lane over LANES invocations. Each bucket has one more
// workgroup for d, and there is one for the loss if it is summed. The shader declares the buffers,
// `put` for a gradient, and `put_loss`. Each element is put once.
const LANES = 8u;
const COLUMNS = 32u;

fn put_head_gradients(own_group: u32, invocation: u32) {
    let of_accumulator = params.hidden / COLUMNS; // K is a multiple of COLUMNS
    let of_lanes = (2u - params.tied) * of_accumulator;
    if (own_group < of_lanes) {
        put_lanes(own_group / of_accumulator, own_group % of_accumulator * COLUMNS, invocation);
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

// The sum of `count` of the results. Four sums per invocation keep four reads in flight.
fn sum_of_samples(start: u32, count: u32, invocation: u32) -> f32 {
    var sum = vec4<f32>(0.0);
    for (var s = invocation; s < count; s += 4u * LANES * COLUMNS) {
        sum += vec4<f32>(
            of_sample(start, count, s),
            of_sample(start, count, s + LANES * COLUMNS),
            of_sample(start, count, s + 2u * LANES * COLUMNS),
            of_sample(start, count, s + 3u * LANES * COLUMNS),
        );
    }
    return sum_workgroup(invocation, sum.x + sum.y + sum.z + sum.w);
}

fn of_sample(start: u32, count: u32, s: u32) -> f32 {
    return select(0.0, results[start + min(s, count - 1u)], s < count);
}

fn put_lanes(accumulator: u32, first_lane: u32, invocation: u32) {
    let r = first_lane + invocation % COLUMNS;
    let bias = accumulator * params.bias_2 + r;
    let own = invocation / COLUMNS;
    let lane_group = r / 128u;
    let width = min(128u, params.hidden - lane_group * 128u);
    var bias_sum = 0.0;
    // A loop whose end depends on parameters alone would make lavapipe compile the shader in every
    // dispatch.
    let end = (accumulator + 1u + params.tied) * params.buckets;
    for (var pair = accumulator * params.buckets; pair < end; pair++) {
        let p = pair / params.buckets;
        let bucket = pair % params.buckets;
        let u = (2u * bucket + p) * params.hidden + r;
        let total = select(params.total_1, params.total_2, p == 1u);
        let kinds = 1u + CLIP;
        let first = select(0u, params.rows_2, p == 1u) + lane_group * 128u * total
            + (total - kinds * params.blocks) * width + r % 128u;
        let last = index[params.first_blocks + bucket + 1u];
        var inside = 0.0;
        var above = 0.0;
        var share = 0.0;
        for (var block = index[params.first_blocks + bucket] + own; block < last; block += LANES) {
            inside += rows[first + block * width];
            if (CLIP == 1u) {
                above += rows[first + (params.blocks + block) * width];
            }
        }
        for (var band = own; band < params.bands; band += LANES) {
            share += shares[band * params.buckets * 2u * params.hidden + u];
        }
        inside = sum_lanes(invocation, inside);
        above = sum_lanes(invocation, above);
        share = sum_lanes(invocation, share);
        // `put` may change the values that are read here, and only one invocation calls it.
        if (own == 0u) {
            bias_sum += values[params.output + u] * inside;
            var sum = values[bias] * inside + share;
            // H = w·S·Z inside the mask, with w = 1 ÷ POWER, and H(T) above it.
            if (POWER != 1u) {
                sum *= 1.0 / f32(POWER);
            }
            if (CLIP == 1u) {
                sum += powered(params.clip) * above;
            }
            put(params.output + u, sum, 1u);
        }
    }
    if (own == 0u) {
        put(bias, bias_sum, 0u);
    }
}
