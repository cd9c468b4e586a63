// Two results from the rows of G. The gradient of A, C[r]·G[f, r] summed over the perspectives that
// share A, goes into a sink. The share of each band in Σ_f A[f, r]·G[f, r], with A before the
// update, is written for the gradient of C. A workgroup has a band of features and 64 vectors of
// four lanes.
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
    first_chunks: u32, // their offset in `index`, [N + 1] for each perspective
    chunks: u32,
    beta1: f32,
    beta2: f32,
    correction1: f32, // 1/(1 − β1^t)
    correction2: f32, // 1/(1 − β2^t)
    epsilon: f32,
}

// The first chunk of each feature, among others.
@group(0) @binding(0) var<storage, read> index: array<u32>;
@group(0) @binding(1) var<storage, read> rows: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> head: array<vec4<f32>>; // C, [2K], among others
@group(0) @binding(3) var<storage, read_write> values: array<vec4<f32>>; // A, [N, K]
@group(0) @binding(4) var<storage, read_write> first: array<vec4<f32>>; // [N, K]
@group(0) @binding(5) var<storage, read_write> second: array<vec4<f32>>; // [N, K]
@group(0) @binding(6) var<storage, read_write> shares: array<vec4<f32>>; // [bands, 2K]
@group(0) @binding(7) var<uniform> params: Params;

const VECTORS = 64u;
const BAND = 8u;

// The sum of a feature's rows, or 0 if the perspective is not `wanted`.
fn sum_of(perspective: u32, feature: u32, start: u32, width: u32, wanted: bool) -> vec4<f32> {
    let chunks = params.first_chunks + perspective * (params.inputs + 1u) + feature;
    let chunk = index[chunks];
    let last = select(chunk, index[chunks + 1u], wanted);
    var sum = vec4<f32>(0.0);
    for (var chunk = chunk; chunk < last; chunk++) {
        sum += rows[start + chunk * width];
    }
    return sum;
}

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
    let one = params.perspective;
    let start_1 = lane_group * 32u * params.total_1 + lane;
    let start_2 = params.rows_2 / 4u + lane_group * 32u * params.total_2 + lane;
    let output = params.output / 4u + vector;
    let c_one = head[output + one * row];
    let c_two = head[output + row];
    // A branch on a parameter alone would make lavapipe compile the shader in every dispatch.
    let both = params.count == 2u;
    var share_one = vec4<f32>(0.0);
    var share_two = vec4<f32>(0.0);
    for (var feature = band * BAND; feature < end; feature++) {
        let at = feature * row + vector;
        let value = values[at];
        let sum_one = sum_of(one, feature, select(start_1, start_2, one == 1u), width, true);
        share_one += value * sum_one;
        let sum_two = sum_of(1u, feature, start_2, width, both);
        share_two += value * sum_two;
        let gradient_one = c_one * sum_one;
        let gradient = select(gradient_one, gradient_one + c_two * sum_two, both);
        sink(at, gradient, params.group);
    }
    let place = (band * 2u + one) * row + vector;
    shares[place] = share_one;
    shares[select(place, (band * 2u + 1u) * row + vector, both)] = select(share_one, share_two, both);
}
