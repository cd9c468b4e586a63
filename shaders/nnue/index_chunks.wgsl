// The chunks of the transposed index, from the number of samples of each list. A list has the
// samples of one feature, or of one feature in one output bucket, and a chunk has at most CHUNK of
// them. A workgroup serves a tile of a perspective's lists, after it has added up the lists before.
struct Params {
    perspectives: u32,
    lists: u32, // lists of a perspective
    chunks: u32, // room for the chunks of a perspective
    first_chunks: u32, // offset of the first chunk of each list in `index`, [perspectives, lists + 1]
    starts: u32, // offset of the chunk starts in `index`, [perspectives, chunks + 1]
}

@group(0) @binding(0) var<storage, read> counts: array<u32>; // [perspectives, lists]
@group(0) @binding(1) var<storage, read_write> index: array<u32>;
@group(0) @binding(2) var<uniform> params: Params;

const INVOCATIONS = 256u;
const EACH = 4u; // lists of an invocation
const TILE = INVOCATIONS * EACH;
const CHUNK = 1024u;

// Samples and chunks of the invocations up to one of them.
var<workgroup> sums: array<vec2<u32>, INVOCATIONS>;

// Samples and chunks of a list with this many samples.
fn size_of(count: u32) -> vec2<u32> {
    return vec2(count, (count + CHUNK - 1u) / CHUNK);
}

// Sets `sums` from the own value of each invocation.
fn add_up(invocation: u32, own: vec2<u32>) {
    workgroupBarrier(); // `sums` may still be read
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
    workgroupBarrier();
}

@compute @workgroup_size(INVOCATIONS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let tiles = max(1u, (params.lists + TILE - 1u) / TILE);
    let perspective = group_index(group, groups) / tiles;
    let tile = group_index(group, groups) % tiles;
    if (perspective >= params.perspectives) {
        return;
    }
    let first_chunks = params.first_chunks + perspective * (params.lists + 1u);
    let starts = params.starts + perspective * (params.chunks + 1u);
    let of_lists = perspective * params.lists;

    var before = vec2(0u);
    for (var list = of_lists + invocation; list < of_lists + tile * TILE; list += TILE) {
        let first = size_of(counts[list]) + size_of(counts[list + INVOCATIONS]);
        let second = size_of(counts[list + 2u * INVOCATIONS]) + size_of(counts[list + 3u * INVOCATIONS]);
        before += first + second;
    }
    add_up(invocation, before);
    before = sums[INVOCATIONS - 1u];

    let begin = min(params.lists, tile * TILE + invocation * EACH);
    let end = min(params.lists, begin + EACH);
    var own = vec2(0u);
    for (var list = begin; list < end; list++) {
        own += size_of(counts[of_lists + list]);
    }
    add_up(invocation, own);
    var at = before + sums[invocation] - own;
    for (var list = begin; list < end; list++) {
        let size = size_of(counts[of_lists + list]);
        index[first_chunks + list] = at.y;
        for (var chunk = 0u; chunk < size.y; chunk++) {
            index[starts + at.y + chunk] = at.x + CHUNK * chunk;
        }
        at += size;
    }
    if (tile + 1u < tiles) {
        return;
    }
    let total = before + sums[INVOCATIONS - 1u];
    if (invocation == 0u) {
        index[first_chunks + params.lists] = total.y;
    }
    // The rest of the room has chunks without samples.
    for (var chunk = total.y + invocation; chunk <= params.chunks; chunk += INVOCATIONS) {
        index[starts + chunk] = total.x;
    }
}
