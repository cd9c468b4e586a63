// The gradient of A, Σ of the rows of each feature's chunks in the perspectives that share A, into
// a sink. An invocation has a vector of four lanes of a feature.
alias Value = vec4<f32>;

struct Params {
    group: vec4<f32>, // η, 1 − η·w, and the range of A
    inputs: u32,
    hidden: u32, // K, a multiple of 32
    perspective: u32, // the first perspective that has this A
    count: u32, // 1, or 2 if both perspectives share A
    rows_2: u32, // rows of the first perspective, which come first
    first_chunks: u32, // their offset in `index`, [N + 1] for each perspective
    chunks: u32, // only the count of bytes uses it
    beta1: f32,
    beta2: f32,
    correction1: f32, // 1/(1 − β1^t)
    correction2: f32, // 1/(1 − β2^t)
    epsilon: f32,
}

// The first chunk of each feature, among others.
@group(0) @binding(0) var<storage, read> index: array<u32>;
@group(0) @binding(1) var<storage, read> rows: array<vec4<f32>>; // [chunks, K]
@group(0) @binding(2) var<storage, read_write> values: array<vec4<f32>>; // A, [N, K]
@group(0) @binding(3) var<storage, read_write> first: array<vec4<f32>>; // [N, K]
@group(0) @binding(4) var<storage, read_write> second: array<vec4<f32>>; // [N, K]
@group(0) @binding(5) var<uniform> params: Params;

const VECTORS = 64u;

@compute @workgroup_size(VECTORS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let vectors = params.hidden / 4u;
    let at = group_index(group, groups) * VECTORS + invocation;
    let feature = at / vectors;
    if (feature >= params.inputs) {
        return;
    }
    let lane = at % vectors;
    var sum = vec4<f32>(0.0);
    // The end depends on the feature, because a loop whose end depends on parameters alone would
    // make lavapipe compile the shader in every dispatch.
    let all = params.inputs + 1u;
    let last = feature + (params.perspective + params.count) * all;
    for (var own = feature + params.perspective * all; own < last; own += all) {
        let begin = index[params.first_chunks + own];
        let end = index[params.first_chunks + own + 1u];
        let offset = select(0u, params.rows_2, own >= all);
        for (var chunk = begin; chunk < end; chunk++) {
            sum += rows[(offset + chunk) * vectors + lane];
        }
    }
    sink(at, sum, params.group);
}
