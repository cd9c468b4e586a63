// The gradients of the head, and the loss. The gradient of B is C[r]·G_B[r], summed over the
// perspectives that share B. The gradient of C is w·(B[r]·G_B[r] + Σ A·G) + H(T)·G_T[r], and the
// gradient of d is Σ e. The inputs are the rows of G_B and G_T, the shares of the bands, and e and
// the losses of the samples. A workgroup has COLUMNS lanes of an accumulator and sums the terms of
// each lane over LANES invocations. One more workgroup has d, and one has the loss if it is summed.
// The shader declares the buffers, `put` for a gradient, and `put_loss`. Each element is put once.
const LANES = 8u;
const COLUMNS = 32u;

fn put_head_gradients(own_group: u32, invocation: u32) {
    let of_accumulator = params.hidden / COLUMNS; // K is a multiple of COLUMNS
    let of_lanes = (2u - params.tied) * of_accumulator;
    if (own_group < of_lanes) {
        put_lanes(own_group / of_accumulator, own_group % of_accumulator * COLUMNS, invocation);
    } else if (own_group == of_lanes) {
        let sum = sum_of_samples(0u, invocation);
        if (invocation == 0u) {
            put(params.output + 2u * params.hidden, sum, 2u);
        }
    } else if (own_group == of_lanes + params.totals) {
        let sum = sum_of_samples(params.samples, invocation);
        if (invocation == 0u) {
            put_loss(sum);
        }
    }
}

// Four sums per invocation keep four reads in flight.
fn sum_of_samples(start: u32, invocation: u32) -> f32 {
    var sum = vec4<f32>(0.0);
    for (var s = invocation; s < params.samples; s += 4u * LANES * COLUMNS) {
        sum += vec4<f32>(
            of_sample(start, s),
            of_sample(start, s + LANES * COLUMNS),
            of_sample(start, s + 2u * LANES * COLUMNS),
            of_sample(start, s + 3u * LANES * COLUMNS),
        );
    }
    return sum_workgroup(invocation, sum.x + sum.y + sum.z + sum.w);
}

fn of_sample(start: u32, s: u32) -> f32 {
    return select(0.0, errors[start + min(s, params.samples - 1u)], s < params.samples);
}

fn put_lanes(accumulator: u32, first_lane: u32, invocation: u32) {
    let r = first_lane + invocation % COLUMNS;
    let bias = accumulator * params.bias_2 + r;
    let own = invocation / COLUMNS;
    let lane_group = r / 128u;
    let width = min(128u, params.hidden - lane_group * 128u);
    var bias_sum = 0.0;
    for (var p = accumulator; p <= accumulator + params.tied; p++) {
        let total = select(params.total_1, params.total_2, p == 1u);
        let kinds = 1u + CLIP;
        let first = select(0u, params.rows_2, p == 1u) + lane_group * 128u * total
            + (total - kinds * params.blocks) * width + r % 128u;
        var inside = 0.0;
        var above = 0.0;
        var share = 0.0;
        for (var block = own; block < params.blocks; block += LANES) {
            inside += rows[first + block * width];
            if (CLIP == 1u) {
                above += rows[first + (params.blocks + block) * width];
            }
        }
        for (var band = own; band < params.bands; band += LANES) {
            share += shares[(band * 2u + p) * params.hidden + r];
        }
        inside = sum_lanes(invocation, inside);
        above = sum_lanes(invocation, above);
        share = sum_lanes(invocation, share);
        // `put` may change the values that are read here, and only one invocation calls it.
        if (own == 0u) {
            let u = p * params.hidden + r;
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
