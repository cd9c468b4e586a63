// Rows of K lanes that are sums over samples: Σ D[s, pK + r] over a chunk of a feature's samples in
// perspective p, with D = ∂Loss/∂Z. In 16 bits, D is divided by the scale of its sample. The rows
// of the second perspective follow the first's.
//
// A workgroup sums 64 lanes of a row. An invocation has a vector and every fourth sample, four of
// them at a time; then the sums of the four slots are added in order. Tiles of lanes are the slow
// axis, so that D of a tile stays in a cache while the samples are gathered.
struct Params {
    samples: u32,
    hidden: u32, // K, a multiple of 32
    chunks_1: u32, // chunks of each perspective
    chunks_2: u32,
    starts: u32, // offset of the chunk starts in `index`, perspective by perspective
    list_1: u32, // offset of each perspective's samples in `index`
    list_2: u32,
    entries: u32, // only the count of bytes uses it
}

// Per perspective: chunk starts, [chunks + 1], and samples.
@group(0) @binding(0) var<storage, read> index: array<u32>;
// D, [2K/64, samples, 64], unless HALF.
@group(0) @binding(1) var<storage, read> dz: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> dz_halves: array<vec2<u32>>; // the same if HALF
@group(0) @binding(3) var<storage, read> scales: array<f32>; // [samples], if HALF
@group(0) @binding(4) var<storage, read_write> rows: array<vec4<f32>>; // [chunks, K]
@group(0) @binding(5) var<uniform> params: Params;

const VECTORS = 16u;
const SLOTS = 4u;

var<workgroup> slots: array<vec4<f32>, 64>; // [SLOTS, VECTORS]

fn dz_at(first: u32, sample: u32) -> vec4<f32> {
    let i = first + sample * VECTORS;
    if (HALF == 1u) {
        return scales[sample] * unpack_4(dz_halves[i]);
    }
    return dz[i];
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let all = params.chunks_1 + params.chunks_2;
    let tiles = (params.hidden + 63u) / 64u;
    let own = group_index(group, groups);
    if (own >= all * tiles) {
        return;
    }
    let row = own % all;
    let second = row >= params.chunks_1;
    let vector = own / all * VECTORS + invocation % VECTORS;
    let slot = invocation / VECTORS;
    let vectors = params.hidden / 4u;
    // The chunk starts of a perspective end with one more.
    let start = params.starts + row + select(0u, 1u, second);
    let list = select(params.list_1, params.list_2, second);
    let begin = list + index[start];
    let end = list + index[start + 1u];
    let lane = vector + select(0u, vectors, second);
    let of_lane = lane / VECTORS * params.samples * VECTORS + lane % VECTORS;
    var sum = vec4<f32>(0.0);
    if (vector < vectors) {
        for (var i = begin + slot; i < end; i += 4u * SLOTS) {
            let last = end - 1u;
            let a = dz_at(of_lane, index[i]);
            let b = dz_at(of_lane, index[min(i + SLOTS, last)]);
            let c = dz_at(of_lane, index[min(i + 2u * SLOTS, last)]);
            let d = dz_at(of_lane, index[min(i + 3u * SLOTS, last)]);
            sum += a;
            sum += select(vec4<f32>(0.0), b, i + SLOTS < end);
            sum += select(vec4<f32>(0.0), c, i + 2u * SLOTS < end);
            sum += select(vec4<f32>(0.0), d, i + 3u * SLOTS < end);
        }
    }
    slots[invocation] = sum;
    workgroupBarrier();
    if (slot == 0u && vector < vectors) {
        let two = slots[invocation + VECTORS];
        let three = slots[invocation + 2u * VECTORS];
        rows[row * vectors + vector] = sum + two + three + slots[invocation + 3u * VECTORS];
    }
}
