// y[s, f] = γ[f]·(x[s, f] − mean[f])/√(variance[f] + ε) + β[f] with the mean and the biased
// variance over the samples (section 2). A workgroup computes 16 features. 16 lanes of interleaved
// samples sum each feature, and a tree adds the lanes.
//
// The mean is computed from the differences from the first sample, which is never further from the
// mean than √samples standard deviations. So a mean far larger than the deviations loses no digits
// in the sum, and a constant feature has the variance 0.
struct Params {
    samples: u32, // at least 1
    features: u32,
    epsilon: f32, // ε
}

@group(0) @binding(0) var<storage, read> x: array<f32>; // [samples, features]
@group(0) @binding(1) var<storage, read> gamma: array<f32>; // γ, [features]
@group(0) @binding(2) var<storage, read> beta: array<f32>; // β, [features]
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // [samples, features]
@group(0) @binding(4) var<storage, read_write> mean: array<f32>; // [features]
@group(0) @binding(5) var<storage, read_write> variance: array<f32>; // [features]
@group(0) @binding(6) var<uniform> params: Params;

const LANES = 16u;
const COLUMNS = 16u;

@compute @workgroup_size(LANES * COLUMNS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let feature = group_index(group, groups) * COLUMNS + invocation % COLUMNS;
    let lane = invocation / COLUMNS;
    // Lanes without a feature have no samples, and only take part in the sums.
    let samples = select(0u, params.samples, feature < params.features);
    var first = 0.0;
    if (samples > 0u) {
        first = x[feature];
    }

    var sum = 0.0;
    for (var s = lane; s < samples; s += LANES) {
        sum += x[s * params.features + feature] - first;
    }
    let centre = first + sum_lanes(invocation, sum) / f32(params.samples);

    sum = 0.0;
    for (var s = lane; s < samples; s += LANES) {
        let centred = x[s * params.features + feature] - centre;
        sum += centred * centred;
    }
    let squares = sum_lanes(invocation, sum) / f32(params.samples);

    if (samples == 0u) {
        return;
    }
    let scale = gamma[feature] * inverseSqrt(squares + params.epsilon);
    for (var s = lane; s < samples; s += LANES) {
        let at = s * params.features + feature;
        y[at] = scale * (x[at] - centre) + beta[feature];
    }
    if (lane == 0u) {
        mean[feature] = centre;
        variance[feature] = squares;
    }
}
