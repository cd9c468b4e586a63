// The chunks of the transposed index, from the number of samples of each list. A list has the
// samples of one feature, or of one feature in one output bucket, and a chunk has at most CHUNK of
// them. A workgroup serves one perspective. It sets the counts to 0 for the next batch.
struct Params {
    perspectives: u32,
    lists: u32, // lists of a perspective
    chunks: u32, // room for the chunks of a perspective
    first_chunks: u32, // offset of the first chunk of each list in `index`, [perspectives, lists + 1]
    starts: u32, // offset of the chunk starts in `index`, [perspectives, chunks + 1]
}

@group(0) @binding(0) var<storage, read_write> counts: array<u32>; // [perspectives, lists]
@group(0) @binding(1) var<storage, read_write> index: array<u32>;
@group(0) @binding(2) var<uniform> params: Params;

const INVOCATIONS = 256u;
const CHUNK = 1024u;

// Samples and chunks of the lists of the invocations up to one of them.
var<workgroup> sums: array<vec2<u32>, INVOCATIONS>;

@compute @workgroup_size(INVOCATIONS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let perspective = group_index(group, groups);
    if (perspective >= params.perspectives) {
        return;
    }
    let first_chunks = params.first_chunks + perspective * (params.lists + 1u);
    let starts = params.starts + perspective * (params.chunks + 1u);
    let of_lists = perspective * params.lists;
    let each = (params.lists + INVOCATIONS - 1u) / INVOCATIONS;
    let begin = min(params.lists, invocation * each);
    let end = min(params.lists, begin + each);

    var own = vec2(0u);
    for (var list = begin; list < end; list++) {
        let count = counts[of_lists + list];
        own += vec2(count, (count + CHUNK - 1u) / CHUNK);
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
    workgroupBarrier();
    let total = sums[INVOCATIONS - 1u];

    var at = sums[invocation] - own;
    for (var list = begin; list < end; list++) {
        let count = counts[of_lists + list];
        counts[of_lists + list] = 0u;
        index[first_chunks + list] = at.y;
        for (var sample = 0u; sample < count; sample += CHUNK) {
            index[starts + at.y] = at.x + sample;
            at.y++;
        }
        at.x += count;
    }
    if (invocation == 0u) {
        index[first_chunks + params.lists] = total.y;
    }
    // The rest of the room has chunks without samples.
    for (var chunk = total.y + invocation; chunk <= params.chunks; chunk += INVOCATIONS) {
        index[starts + chunk] = total.x;
    }
}
