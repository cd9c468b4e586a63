// The samples of the transposed index: the numbers of the bits of each feature, in ascending order.
// A workgroup serves one feature of a perspective. It sets the bits and the feature's counts to 0
// for the next batch.
struct Params {
    inputs: u32, // N
    ranges: u32, // lists of a feature
    words: u32, // words of bits per feature
    chunks: u32, // room for the chunks of a perspective
    first_chunks: u32, // offset of the first chunk of each list in `index`, [2, N·ranges + 1]
    starts: u32, // offset of the chunk starts in `index`, [2, chunks + 1]
    samples_1: u32, // offset of each perspective's samples in `index`
    samples_2: u32,
    entries: u32,
}

@group(0) @binding(0) var<storage, read_write> bits: array<u32>; // [2, N, words]
@group(0) @binding(1) var<storage, read_write> counts: array<u32>; // [2, N, ranges]
@group(0) @binding(2) var<storage, read_write> index: array<u32>;
@group(0) @binding(3) var<uniform> params: Params;

const INVOCATIONS = 64u;

// Samples in the words of the invocations up to one of them.
var<workgroup> sums: array<u32, INVOCATIONS>;

@compute @workgroup_size(INVOCATIONS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let row = group_index(group, groups);
    if (row >= 2u * params.inputs) {
        return;
    }
    let perspective = row / params.inputs;
    let feature = row % params.inputs;
    let each = (params.words + INVOCATIONS - 1u) / INVOCATIONS;
    let begin = min(params.words, invocation * each);
    let end = min(params.words, begin + each);

    var own = 0u;
    for (var word = begin; word < end; word++) {
        own += countOneBits(bits[row * params.words + word]);
    }
    sums[invocation] = own;
    for (var reach = 1u; reach < INVOCATIONS; reach *= 2u) {
        workgroupBarrier();
        var sum = sums[invocation];
        if (invocation >= reach) {
            sum += sums[invocation - reach];
        }
        workgroupBarrier();
        sums[invocation] = sum;
    }

    for (var range = invocation; range < params.ranges; range += INVOCATIONS) {
        counts[row * params.ranges + range] = 0u;
    }
    let lists = params.inputs * params.ranges;
    let list = params.first_chunks + perspective * (lists + 1u) + feature * params.ranges;
    let start = index[params.starts + perspective * (params.chunks + 1u) + index[list]];
    var at = select(params.samples_1, params.samples_2, perspective == 1u) + start;
    at += sums[invocation] - own;
    for (var word = begin; word < end; word++) {
        let place = row * params.words + word;
        var rest = bits[place];
        bits[place] = 0u;
        while (rest != 0u) {
            index[at] = 32u * word + firstTrailingBit(rest);
            at++;
            rest &= rest - 1u;
        }
    }
}
