// Rows of K lanes that are sums over samples. There are three kinds of row: Σ e[s]·S[s, r]·M[s, r]
// over a chunk of a feature's samples, the same over a block of all samples (for the bias), and Σ
// e[s]·[Z[s, r] > T] over a block of all samples. A strip adds to the rows of a feature that the
// strips before it wrote. No block is in two strips, and no chunk and no
// block is in two buckets.
//
// A workgroup sums one row for a lane group. SLOTS samples are read in parallel. WORDS invocations
// read each sample, and each of them has the 32 lanes of a mask word. Then the sums of the slots
// are added in order.
struct Params {
    samples: u32, // of this strip; it begins at sample `first` of `total`, a multiple of CHUNK
    first: u32,
    total: u32,
    hidden: u32, // K, a multiple of 32
    chunks_1: u32, // chunks of each perspective
    chunks_2: u32,
    starts: u32, // offset of the chunk starts in `index`, perspective by perspective
    list_1: u32, // offset of each perspective's samples in `index`
    list_2: u32,
    blocks: u32,
    block_starts: u32, // where they begin in `index`, [blocks + 1]
    interleave: u32,
    entries: u32,
    unit: f32, // of slopes in 16 bits
    by_lane_group: u32, // 1 if the lane group is the slow axis of the workgroups
}

// Per perspective: chunk starts, [chunks + 1], and samples.
@group(0) @binding(0) var<storage, read> index: array<u32>;
@group(0) @binding(1) var<storage, read> results: array<f32>; // Y [total], then e [total]
@group(0) @binding(2) var<storage, read> bits: array<u32>; // [conditions, 2, total, K/32]
@group(0) @binding(3) var<storage, read> slopes: array<vec4<f32>>; // [2, samples, K] if POWER > 1
// Z inside the mask in 16 bits if SHORT, which needs POWER = 2.
@group(0) @binding(4) var<storage, read> short_slopes: array<vec4<u32>>;
@group(0) @binding(5) var<storage, read_write> rows: array<vec4<f32>>;
@group(0) @binding(6) var<uniform> params: Params;

override SHORT: u32 = 0u; // 1 if slopes are stored in 16 bits

const SLOTS = 16u;
const WORDS = 4u;

var<workgroup> sums: array<vec4<f32>, SLOTS * WORDS>;

// Adds `value` to the lanes of `sum` whose bits are set. A branch per lane compiles to a predicated
// addition, which costs less than a selection between the value and 0.
fn add_where(sum: vec4<f32>, value: f32, word: u32, shift: u32) -> vec4<f32> {
    let lanes = word >> shift;
    var added = sum;
    if ((lanes & 1u) != 0u) { added.x += value; }
    if ((lanes & 2u) != 0u) { added.y += value; }
    if ((lanes & 4u) != 0u) { added.z += value; }
    if ((lanes & 8u) != 0u) { added.w += value; }
    return added;
}

// Four Z in units. The exponent 2²³ makes the units the last bits of a float.
fn units_of(words: vec2<u32>) -> vec4<f32> {
    let units = vec4(words.x & 0xffffu, words.x >> 16u, words.y & 0xffffu, words.y >> 16u);
    return bitcast<vec4<f32>>(units | vec4(0x4b000000u)) - vec4(8388608.0);
}

// The sample of an entry of a chunk or a block.
fn sample_at(entry: u32, is_chunk: bool) -> u32 {
    if (is_chunk) {
        return index[entry];
    }
    return entry;
}

@compute @workgroup_size(SLOTS * WORDS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let lane_groups = (params.hidden + 127u) / 128u;
    let own_group = group_index(group, groups);
    // Neighboring workgroups have rows of one lane group, so that the bits and slopes that are in
    // use at a time stay in a cache of a GPU. A CPU reads a sample's lane groups one after the
    // other. A branch here would make lavapipe compile the shader in every dispatch.
    let by_lane_group = params.by_lane_group == 1u;
    let most_rows = params.chunks_1 + params.chunks_2 + 4u * params.blocks;
    let fast_count = select(lane_groups, most_rows, by_lane_group);
    let slow = own_group / fast_count;
    let fast = own_group % fast_count;
    let own_row = select(slow, fast, by_lane_group);
    let lane_group = select(fast, slow, by_lane_group);
    if (lane_group >= lane_groups) {
        return;
    }
    let extra = (1u + CLIP) * params.blocks;
    let total_1 = params.chunks_1 + extra;
    let perspective = select(0u, 1u, own_row >= total_1);
    let row = own_row - perspective * total_1;
    let chunks = select(params.chunks_1, params.chunks_2, perspective == 1u);
    let total = chunks + extra;
    let words = min(WORDS, params.hidden / 32u - lane_group * WORDS);
    let own = invocation % WORDS;
    let slot = invocation / WORDS;

    let is_chunk = row < chunks;
    let is_bias = row < chunks + params.blocks;
    let starts = params.starts + perspective * (params.chunks_1 + 1u) + row;
    let first = select(params.list_1, params.list_2, perspective == 1u);
    var begin = 0u;
    var end = 0u;
    if (row < total) {
        if (is_chunk) {
            begin = first + index[starts];
            end = first + index[starts + 1u];
        } else {
            let block = params.block_starts + (row - chunks) % params.blocks;
            begin = max(index[block], params.first);
            end = min(index[block + 1u], params.first + params.samples);
        }
    }
    let of_sample = params.hidden / 32u;
    let plane = select(2u, 0u, is_bias) + perspective;
    let word = plane * params.total * of_sample + lane_group * WORDS + own;
    let stride = params.interleave;
    let vector = first_vector(lane_group * WORDS + own, stride);
    let side = perspective * params.samples;
    let slope = side * (params.hidden / 4u) + vector;
    let short_slope = side * (params.hidden / 8u) + first_pair(lane_group * WORDS + own, stride);
    let sloped = POWER > 1u && is_bias;

    var s0 = vec4<f32>(0.0);
    var s1 = vec4<f32>(0.0);
    var s2 = vec4<f32>(0.0);
    var s3 = vec4<f32>(0.0);
    var s4 = vec4<f32>(0.0);
    var s5 = vec4<f32>(0.0);
    var s6 = vec4<f32>(0.0);
    var s7 = vec4<f32>(0.0);
    let has_entries = begin < end;
    // The samples of a chunk ascend, so those of the strip are consecutive.
    if (is_chunk) {
        while (begin < end && index[begin] < params.first) {
            begin++;
        }
        while (begin < end && index[end - 1u] >= params.first + params.samples) {
            end--;
        }
    }
    if (own < words && sloped && SHORT == 1u) {
        let row_of_sample = params.hidden / 8u;
        for (var i = begin + slot; i < end; i += SLOTS) {
            let sample = sample_at(i, is_chunk);
            // The slope is 2Z.
            let value = results[params.total + sample] * (2.0 * params.unit);
            let at = (sample - params.first) * row_of_sample + short_slope;
            let pair_0 = short_slopes[at];
            s0 += value * units_of(pair_0.xy);
            s1 += value * units_of(pair_0.zw);
            let pair_1 = short_slopes[at + stride];
            s2 += value * units_of(pair_1.xy);
            s3 += value * units_of(pair_1.zw);
            let pair_2 = short_slopes[at + 2u * stride];
            s4 += value * units_of(pair_2.xy);
            s5 += value * units_of(pair_2.zw);
            let pair_3 = short_slopes[at + 3u * stride];
            s6 += value * units_of(pair_3.xy);
            s7 += value * units_of(pair_3.zw);
        }
    } else if (own < words && sloped) {
        for (var i = begin + slot; i < end; i += SLOTS) {
            let sample = sample_at(i, is_chunk);
            let value = results[params.total + sample];
            let at = (sample - params.first) * (params.hidden / 4u) + slope;
            s0 += value * slopes[at];
            s1 += value * slopes[at + stride];
            s2 += value * slopes[at + 2u * stride];
            s3 += value * slopes[at + 3u * stride];
            s4 += value * slopes[at + 4u * stride];
            s5 += value * slopes[at + 5u * stride];
            s6 += value * slopes[at + 6u * stride];
            s7 += value * slopes[at + 7u * stride];
        }
    } else if (own < words) {
        for (var i = begin + slot; i < end; i += SLOTS) {
            let sample = sample_at(i, is_chunk);
            let value = results[params.total + sample];
            let mask = bits[sample * of_sample + word];
            s0 = add_where(s0, value, mask, 0u);
            s1 = add_where(s1, value, mask, 4u);
            s2 = add_where(s2, value, mask, 8u);
            s3 = add_where(s3, value, mask, 12u);
            s4 = add_where(s4, value, mask, 16u);
            s5 = add_where(s5, value, mask, 20u);
            s6 = add_where(s6, value, mask, 24u);
            s7 = add_where(s7, value, mask, 28u);
        }
    }
    var sum = vec4<f32>(0.0);
    sum = joined(s0, sum, invocation, 0u);
    sum = joined(s1, sum, invocation, 1u);
    sum = joined(s2, sum, invocation, 2u);
    sum = joined(s3, sum, invocation, 3u);
    sum = joined(s4, sum, invocation, 4u);
    sum = joined(s5, sum, invocation, 5u);
    sum = joined(s6, sum, invocation, 6u);
    sum = joined(s7, sum, invocation, 7u);
    let part = invocation / 8u;
    // A block of another strip and the room for a chunk that does not exist have no entries.
    if (row >= total || part >= words || !has_entries) {
        return;
    }
    let round = invocation % 8u;
    let lane = first_vector(lane_group * WORDS + part, stride) + stride * round - lane_group * 32u;
    let at = perspective * total_1 * (params.hidden / 4u) + lane_group * 32u * total + row * words * 8u + lane;
    if (is_chunk && params.first > 0u) {
        sum += rows[at];
    }
    rows[at] = sum;
}

// The sum over the slots of one of the eight vectors that each invocation holds. The invocation
// that writes the vector gets this sum, and the others get `before`. One vector at a time needs an
// eighth of the memory of all eight, so more workgroups fit on a core of a GPU.
fn joined(own: vec4<f32>, before: vec4<f32>, invocation: u32, vector: u32) -> vec4<f32> {
    workgroupBarrier(); // the previous vector may still be read
    sums[invocation] = own;
    workgroupBarrier();
    let part = invocation / 8u;
    if (invocation % 8u != vector || part >= WORDS) {
        return before;
    }
    var sum = sums[part];
    for (var slot = 1u; slot < SLOTS; slot++) {
        sum += sums[slot * WORDS + part];
    }
    return sum;
}
