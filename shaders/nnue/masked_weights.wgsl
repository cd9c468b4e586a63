// Two results from the rows of G. The gradient of A, C[b, r]·G[f, b, r] summed over the buckets and
// over the perspectives that share A, goes into a sink. For each bucket, the share of each band in
// Σ_f A[f, r]·G[f, b, r], with A before the update, is written for the gradient of C.
//
// A workgroup has a band of features. With one bucket it has 16 vectors of four lanes, and each of
// its SLOTS has every fourth feature of the band. With several buckets it has eight vectors, and
// eight slots with every eighth feature. With tiles in registers it has 64 vectors then.
alias Value = vec4<f32>;

struct Params {
    group: vec4<f32>, // η, 1 − η·w, and the range of A
    inputs: u32,
    hidden: u32, // K, a multiple of 32
    perspective: u32, // the first perspective that has this A
    count: u32, // 1, or 2 if both perspectives share A
    rows_2: u32, // offset of the second perspective's rows
    total_1: u32, // rows of each perspective
    total_2: u32,
    output: u32, // offset of C in `head`, a multiple of 4
    buckets: u32,
    first_chunks: u32, // their offset in `index`, [N·buckets + 1] for each
    // perspective
    chunks: u32,
    band: u32, // features of a band, a multiple of 8
    vectors: u32, // of a workgroup; only the host reads it
    beta1: f32,
    beta2: f32,
    correction1: f32, // 1/(1 − β1^t)
    correction2: f32, // 1/(1 − β2^t)
    epsilon: f32,
}

// The first chunk of each feature, among others.
@group(0) @binding(0) var<storage, read> index: array<u32>;
@group(0) @binding(1) var<storage, read> rows: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> head: array<vec4<f32>>; // C, [buckets, 2K], among others
@group(0) @binding(3) var<storage, read_write> values: array<vec4<f32>>; // A, [N, K]
@group(0) @binding(4) var<storage, read_write> first: array<vec4<f32>>; // [N, K]
@group(0) @binding(5) var<storage, read_write> second: array<vec4<f32>>; // [N, K]
@group(0) @binding(6) var<storage, read_write> shares: array<vec4<f32>>; // [bands, buckets, 2K]
@group(0) @binding(7) var<uniform> params: Params;

override SEVERAL: u32 = 0u; // 1 for several buckets, 2 for them in registers

const INVOCATIONS = 64u;
const VECTORS = 16u;
const SLOTS = 4u;
// The same with several buckets.
const BUCKET_VECTORS = 8u;
const BUCKET_SLOTS = 8u;
const BAND = 8u; // with tiles in registers

// The shares of the slots.
var<workgroup> of_one: array<vec4<f32>, INVOCATIONS>;
var<workgroup> of_two: array<vec4<f32>, INVOCATIONS>;

// The sum of the rows of a pair of feature and bucket, `feature`·buckets + bucket, or 0 if it is
// not `wanted`.
fn sum_of(perspective: u32, pair: u32, start: u32, width: u32, wanted: bool) -> vec4<f32> {
    let all = params.inputs * params.buckets + 1u;
    let chunks = params.first_chunks + perspective * all + pair;
    let chunk = index[chunks];
    let last = select(chunk, index[chunks + 1u], wanted);
    var sum = vec4<f32>(0.0);
    for (var chunk = chunk; chunk < last; chunk++) {
        sum += rows[start + chunk * width];
    }
    return sum;
}

// The rows of a vector of each perspective. Rows lie in groups of 32 vectors: all rows of the first
// group, then all of the second.
fn starts_of(vector: u32) -> vec2<u32> {
    let lane_group = vector / 32u;
    let lane = vector % 32u;
    return vec2(
        lane_group * 32u * params.total_1 + lane,
        params.rows_2 / 4u + lane_group * 32u * params.total_2 + lane,
    );
}

// The vectors of a row in the group of a vector.
fn width_of(vector: u32) -> u32 {
    return min(32u, params.hidden / 4u - vector / 32u * 32u);
}

@compute @workgroup_size(INVOCATIONS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let row = params.hidden / 4u;
    let own = group_index(group, groups);
    var vectors = VECTORS;
    if (SEVERAL > 0u) {
        vectors = select(INVOCATIONS, BUCKET_VECTORS, SEVERAL == 1u);
    }
    let tiles = (row + vectors - 1u) / vectors;
    let band = own / tiles;
    if (band * params.band >= params.inputs) {
        return;
    }
    let vector = own % tiles * vectors + invocation % vectors;
    let slot = invocation / vectors;
    if (SEVERAL == 1u) {
        put_buckets(band, vector, slot, invocation);
    } else if (SEVERAL == 2u) {
        if (vector < row) {
            put_buckets_alone(band, vector);
        }
    } else {
        put_one_bucket(band, vector, slot, invocation);
    }
}

fn put_one_bucket(band: u32, vector: u32, slot: u32, invocation: u32) {
    let row = params.hidden / 4u;
    let one = params.perspective;
    // A branch on a parameter alone would make lavapipe compile the shader in every dispatch.
    let both = params.count == 2u;
    var share_one = vec4<f32>(0.0);
    var share_two = vec4<f32>(0.0);
    if (vector < row) {
        let starts = starts_of(vector);
        let width = width_of(vector);
        let output = params.output / 4u + vector;
        let c_one = head[output + one * row];
        let c_two = head[output + row];
        let end = min(params.inputs, (band + 1u) * params.band);
        for (var feature = band * params.band + slot; feature < end; feature += SLOTS) {
            let at = feature * row + vector;
            let value = values[at];
            let sum_one = sum_of(one, feature, select(starts.x, starts.y, one == 1u), width, true);
            share_one += value * sum_one;
            let sum_two = sum_of(1u, feature, starts.y, width, both);
            share_two += value * sum_two;
            let gradient_one = c_one * sum_one;
            let gradient = select(gradient_one, gradient_one + c_two * sum_two, both);
            sink(at, gradient, params.group);
        }
    }
    of_one[invocation] = share_one;
    of_two[invocation] = share_two;
    workgroupBarrier();
    if (slot > 0u || vector >= row) {
        return;
    }
    for (var other = invocation + VECTORS; other < INVOCATIONS; other += VECTORS) {
        share_one += of_one[other];
        share_two += of_two[other];
    }
    let place = (band * 2u + one) * row + vector;
    shares[place] = share_one;
    shares[select(place, (band * 2u + 1u) * row + vector, both)] = select(share_one, share_two, both);
}

// The same for several buckets. Each slot has one feature at a time, and the shares of the slots in a
// bucket are added before the next bucket. K is a multiple of 32, so every vector exists.
fn put_buckets(band: u32, vector: u32, slot: u32, invocation: u32) {
    let row = params.hidden / 4u;
    let starts = starts_of(vector);
    let width = width_of(vector);
    let output = params.output / 4u + vector;
    let one = params.perspective;
    let start_one = select(starts.x, starts.y, one == 1u);
    let both = params.count == 2u;
    let all = params.inputs * params.buckets + 1u;
    let begin = band * params.band;
    let end = min(params.inputs, begin + params.band);
    for (var round = begin; round < end; round += BUCKET_SLOTS) {
        let is_input = round + slot < end;
        let feature = min(round + slot, end - 1u);
        let at = feature * row + vector;
        let weight = values[at];
        let pairs = params.first_chunks + feature * params.buckets;
        var first_one = index[pairs + one * all];
        var first_two = index[pairs + all];
        var gradient = vec4<f32>(0.0);
        // As above, the end of the loop is not a parameter alone.
        let last_part = (band + 1u) * params.buckets;
        for (var part = band * params.buckets; part < last_part; part++) {
            let bucket = part - band * params.buckets;
            let next = pairs + bucket + 1u;
            let last_one = select(first_one, index[next + one * all], is_input);
            let last_two = select(first_two, index[next + all], is_input && both);
            // A row of each perspective at once, so that neither waits for the other.
            var sum_one = vec4<f32>(0.0);
            var sum_two = vec4<f32>(0.0);
            while (first_one < last_one || first_two < last_two) {
                let row_one = rows[start_one + first_one * width];
                let row_two = rows[starts.y + first_two * width];
                sum_one += select(vec4<f32>(0.0), row_one, first_one < last_one);
                sum_two += select(vec4<f32>(0.0), row_two, first_two < last_two);
                first_one = min(first_one + 1u, last_one);
                first_two = min(first_two + 1u, last_two);
            }
            gradient += head[output + (2u * bucket + one) * row] * sum_one;
            gradient += head[output + (2u * bucket + 1u) * row] * sum_two;
            of_one[invocation] = weight * sum_one;
            of_two[invocation] = weight * sum_two;
            workgroupBarrier();
            if (slot < params.count) {
                let place = (part * 2u + one + slot) * row + vector;
                // Only this invocation has this place, and the first round overwrites it.
                var share = select(shares[place], vec4<f32>(0.0), round == begin);
                for (var other = 0u; other < BUCKET_SLOTS; other++) {
                    let term = other * BUCKET_VECTORS + vector % BUCKET_VECTORS;
                    share += select(of_one[term], of_two[term], slot == 1u);
                }
                shares[place] = share;
            }
            workgroupBarrier();
        }
        if (is_input) {
            sink(at, gradient, params.group);
        }
    }
}

// The same without joint sums, for software adapters, on which every barrier costs time: an
// invocation has the eight features of a band. The gradients are kept while the buckets follow each
// other, so that the shares of only one bucket are.
fn put_buckets_alone(band: u32, vector: u32) {
    let row = params.hidden / 4u;
    let starts = starts_of(vector);
    let width = width_of(vector);
    let output = params.output / 4u + vector;
    let one = params.perspective;
    let start_one = select(starts.x, starts.y, one == 1u);
    let both = params.count == 2u;
    var weights: array<vec4<f32>, BAND>;
    var gradients: array<vec4<f32>, BAND>;
    for (var i = 0u; i < BAND; i++) {
        weights[i] = values[min(band * BAND + i, params.inputs - 1u) * row + vector];
        gradients[i] = vec4<f32>(0.0);
    }
    // As above, the end of the loop is not a parameter alone.
    let end = (band + 1u) * params.buckets;
    for (var part = band * params.buckets; part < end; part++) {
        let bucket = part - band * params.buckets;
        let c_one = head[output + (2u * bucket + one) * row];
        let c_two = head[output + (2u * bucket + 1u) * row];
        var share_one = vec4<f32>(0.0);
        var share_two = vec4<f32>(0.0);
        for (var i = 0u; i < BAND; i++) {
            let feature = band * BAND + i;
            let is_input = feature < params.inputs;
            let pair = min(feature, params.inputs - 1u) * params.buckets + bucket;
            let sum_one = sum_of(one, pair, start_one, width, is_input);
            let sum_two = sum_of(1u, pair, starts.y, width, is_input && both);
            share_one += weights[i] * sum_one;
            share_two += weights[i] * sum_two;
            gradients[i] += c_one * sum_one + c_two * sum_two;
        }
        let place = (part * 2u + one) * row + vector;
        let other = (part * 2u + 1u) * row + vector;
        shares[place] = share_one;
        shares[select(place, other, both)] = select(share_one, share_two, both);
    }
    for (var i = 0u; i < BAND; i++) {
        let feature = band * BAND + i;
        if (feature < params.inputs) {
            sink(feature * row + vector, gradients[i], params.group);
        }
    }
}
