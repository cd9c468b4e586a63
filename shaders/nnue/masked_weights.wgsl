// From the rows of G: the gradient of A, C[r]·G[f, r] summed over the perspectives that share A, and each band's share of
// Σ_f A[f, r]·G[f, r], which the gradient of C is made of. A workgroup has a band of features and 64 vectors of four lanes.
struct Params {
    inputs: u32,
    hidden: u32, // K, a multiple of 32
    perspective: u32, // the first that has this A
    count: u32, // 1, or 2 where both share it
    rows_2: u32, // where the second perspective's rows begin
    total_1: u32, // rows of each perspective
    total_2: u32,
    output: u32, // where C begins in `small`, a multiple of 4
    first_chunks: u32, // where they begin in `index`, [N + 1] for each perspective
    accumulate: u32,
    chunks: u32,
}

@group(0) @binding(0) var<storage, read> index: array<u32>; // the first chunk of each feature, among others
@group(0) @binding(1) var<storage, read> rows: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> weights: array<vec4<f32>>; // A, [N, K]
@group(0) @binding(3) var<storage, read> small: array<vec4<f32>>; // C, [2K], among others
@group(0) @binding(4) var<storage, read_write> gradient: array<vec4<f32>>; // [N, K]
@group(0) @binding(5) var<storage, read_write> shares: array<vec4<f32>>; // [bands, 2K]
@group(0) @binding(6) var<uniform> params: Params;

const VECTORS = 64u;
const BAND = 8u;

@compute @workgroup_size(VECTORS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let row = params.hidden / 4u;
    let tiles = (row + VECTORS - 1u) / VECTORS;
    let own = group_index(group, groups);
    let band = own / tiles;
    let vector = own % tiles * VECTORS + invocation;
    let end = min(params.inputs, (band + 1u) * BAND);
    if (band * BAND >= params.inputs || vector >= row) {
        return;
    }
    // Rows lie in groups of 32 vectors: all rows of the first group, then all of the second.
    let lane_group = vector / 32u;
    let width = min(32u, row - lane_group * 32u);
    let lane = vector % 32u;
    for (var p = params.perspective; p < params.perspective + params.count; p++) {
        let c = small[params.output / 4u + p * row + vector];
        let total = select(params.total_1, params.total_2, p == 1u);
        let start = select(0u, params.rows_2 / 4u, p == 1u) + lane_group * 32u * total + lane;
        let chunks = params.first_chunks + p * (params.inputs + 1u);
        let add = p > params.perspective || params.accumulate == 1u;
        var share = vec4<f32>(0.0);
        for (var feature = band * BAND; feature < end; feature++) {
            var sum = vec4<f32>(0.0);
            let last = index[chunks + feature + 1u];
            for (var chunk = index[chunks + feature]; chunk < last; chunk++) {
                sum += rows[start + chunk * width];
            }
            let at = feature * row + vector;
            share += weights[at] * sum;
            if (add) {
                gradient[at] += c * sum;
            } else {
                gradient[at] = c * sum;
            }
        }
        shares[band * 2u * row + p * row + vector] = share;
    }
}
