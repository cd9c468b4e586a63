// Decodes chess records: writes the index lists of both perspectives, the targets and the output
// buckets, marks each pair of a feature and a sample by a bit, and counts the samples of each
// feature, in each output bucket or in all. Or and addition of integers give the same words in any order.
struct Params {
    samples: u32,
    inputs: u32, // N
    buckets: u32, // output buckets
    ranges: u32, // lists of a feature in the transposed index: one for each bucket, or 1
    words: u32, // words of bits per feature, a bit per sample
    indices_1: u32, // offset of each perspective's indices in `lists`
    indices_2: u32,
    targets: u32, // offset of the targets in `lists`
    bucket: u32, // offset of the samples' buckets in `lists`, if there are several
}

// Views by the square of the king, [64]; output buckets by the number of pieces, [36]; records,
// [samples, 8].
@group(0) @binding(0) var<storage, read> records: array<u32>;
@group(0) @binding(1) var<storage, read_write> lists: array<u32>; // starts, [2, samples + 1]; indices
@group(0) @binding(2) var<storage, read_write> bits: array<atomic<u32>>; // [2, N, words]
@group(0) @binding(3) var<storage, read_write> counts: array<atomic<u32>>; // [2, N, ranges]
@group(0) @binding(4) var<uniform> params: Params;

const INVOCATIONS = 32u;
const BUCKETS = 64u; // offset of the table of output buckets
const FIRST = 100u; // offset of the records
const FLIP_SHIFT = 28u;

// The squares of a record that are not visited yet.
var<private> low: u32;
var<private> high: u32;

// The lowest of these squares, which is visited now.
fn next_square() -> u32 {
    if (low != 0u) {
        let square = firstTrailingBit(low);
        low &= low - 1u;
        return square;
    }
    let square = 32u + firstTrailingBit(high);
    high &= high - 1u;
    return square;
}

fn code_of(record: u32, piece: u32) -> u32 {
    return (records[record + 2u + piece / 8u] >> (4u * (piece % 8u))) & 15u;
}

// Writes an index of a perspective, and marks and counts it.
fn put(perspective: u32, place: u32, view: u32, feature: u32, sample: u32, bucket: u32) {
    let index = (feature ^ (view >> FLIP_SHIFT)) + (view & ((1u << FLIP_SHIFT) - 1u));
    lists[place] = index;
    let row = perspective * params.inputs + index;
    atomicOr(&bits[row * params.words + sample / 32u], 1u << (sample % 32u));
    atomicAdd(&counts[row * params.ranges + select(0u, bucket, params.ranges > 1u)], 1u);
}

@compute @workgroup_size(INVOCATIONS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let sample = group_index(group, groups) * INVOCATIONS + invocation;
    if (sample >= params.samples) {
        return;
    }
    let record = FIRST + 8u * sample;
    low = records[record];
    high = records[record + 1u];
    let pieces = min(countOneBits(low) + countOneBits(high), 32u);
    var kings = vec2(0u);
    for (var piece = 0u; piece < pieces; piece++) {
        let square = next_square();
        let code = code_of(record, piece);
        if (code == 5u) { kings.x = square; }
        if (code == 13u) { kings.y = square ^ 56u; }
    }
    let view_1 = records[kings.x];
    let view_2 = records[kings.y];

    var bucket = 0u;
    if (params.buckets > 1u) {
        bucket = records[BUCKETS + pieces];
        lists[params.bucket + sample] = bucket;
    }
    let start = records[record + 7u];
    let starts_2 = params.samples + 1u;
    lists[sample] = start;
    lists[starts_2 + sample] = start;
    if (sample + 1u == params.samples) {
        lists[sample + 1u] = start + pieces;
        lists[starts_2 + sample + 1u] = start + pieces;
    }
    lists[params.targets + sample] = records[record + 6u];

    low = records[record];
    high = records[record + 1u];
    for (var piece = 0u; piece < pieces; piece++) {
        let square = next_square();
        let code = code_of(record, piece);
        let side = code >> 3u;
        let kind = 64u * (code & 7u);
        let place = start + piece;
        put(0u, params.indices_1 + place, view_1, 384u * side + kind + square, sample, bucket);
        let other = 384u * (1u - side) + kind + (square ^ 56u);
        put(1u, params.indices_2 + place, view_2, other, sample, bucket);
    }
}
