// Z[s, pK + r] = B_p[r] + Σ A_p[i, r] over the list of sample s in perspective p: the accumulators
// of both perspectives.
//
// A team of invocations computes up to LANES lanes of a sample in a perspective. Each of them has
// two vectors, as far apart as the team is long, so that neighboring invocations read neighboring
// vectors. The samples of a perspective are consecutive, so that the invocations of a subgroup take
// the same branch.
struct Params {
    samples: u32,
    hidden: u32, // K, a multiple of 32
    indices_1: u32, // offset of each perspective's indices in `lists`
    indices_2: u32,
    bias_2: u32, // offset of B of the second perspective in `head`
    inputs: u32, // only the count of bytes uses `inputs` and `entries`
    entries: u32,
    limit: f32, // of Z in 16 bits: see lib/half.wgsl
    top: f32,
    above: f32,
    second: u32, // offset of A of the second perspective in `half_weights`
}

@group(0) @binding(0) var<storage, read> lists: array<u32>; // starts, [2, samples + 1]; indices
@group(0) @binding(1) var<storage, read> weights_1: array<vec4<f32>>; // [N, K]
@group(0) @binding(2) var<storage, read> weights_2: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> head: array<vec4<f32>>; // B of each accumulator, and more
@group(0) @binding(4) var<storage, read_write> z: array<vec4<f32>>; // [samples, 2K], unless HALF
@group(0) @binding(5) var<storage, read_write> halves: array<vec2<u32>>; // the same if HALF
// A of each accumulator in 16 bits if HALF_WEIGHTS: a load has both vectors of an invocation.
@group(0) @binding(6) var<storage, read> half_weights: array<vec4<u32>>;
@group(0) @binding(7) var<uniform> params: Params;

override HALF_WEIGHTS: u32 = 0u;

const INVOCATIONS = 64u;
const LANES = 512u;

@compute @workgroup_size(INVOCATIONS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let tiles = (params.hidden + LANES - 1u) / LANES;
    let index = group_index(group, groups);
    let first = index % tiles * LANES;
    // If a row has several tiles, a workgroup has one team.
    let team = min(params.hidden - first, LANES) / 8u;
    let teams = select(1u, INVOCATIONS / team, tiles == 1u);
    // The row of a perspective and a sample, perspective by perspective.
    let row = index / tiles * teams + invocation / team;
    if (invocation >= teams * team || row >= 2u * params.samples) {
        return;
    }
    let second = row >= params.samples;
    let sample = select(row, row - params.samples, second);
    let vectors = params.hidden / 4u;
    let own = first / 4u + invocation % team;
    let bias = select(0u, params.bias_2 / 4u, second) + own;
    let indices = select(params.indices_1, params.indices_2, second);
    let start = select(0u, params.samples + 1u, second) + sample;
    let end = indices + lists[start + 1u];

    var low = head[bias];
    var high = head[bias + team];
    if (HALF_WEIGHTS == 1u) {
        let copy = select(0u, params.second / 4u, second) + first / 8u + invocation % team;
        for (var i = indices + lists[start]; i < end; i++) {
            let pair = half_weights[copy + lists[i] * (vectors / 2u)];
            low += unpack_4(pair.xy);
            high += unpack_4(pair.zw);
        }
    } else if (second) {
        for (var i = indices + lists[start]; i < end; i++) {
            let source = lists[i] * vectors + own;
            low += weights_2[source];
            high += weights_2[source + team];
        }
    } else {
        for (var i = indices + lists[start]; i < end; i++) {
            let source = lists[i] * vectors + own;
            low += weights_1[source];
            high += weights_1[source + team];
        }
    }
    let to = (2u * sample + select(0u, 1u, second)) * vectors + own;
    if (HALF == 1u) {
        halves[to] = pack_z_4(low, params.limit, params.top, params.above);
        halves[to + team] = pack_z_4(high, params.limit, params.top, params.above);
    } else {
        z[to] = low;
        z[to + team] = high;
    }
}
