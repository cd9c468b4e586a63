// The gradients of batch normalization (section 2), with x̂ = (x − mean)/√(variance + ε):
//     gβ[f] = Σ_s g[s, f],  gγ[f] = Σ_s g[s, f]·x̂[s, f],
//     gx[s, f] = γ[f]/√(variance[f] + ε)·(g[s, f] − gβ[f]/samples − x̂[s, f]·gγ[f]/samples).
// A workgroup computes 16 features. 16 lanes of interleaved samples sum each feature, and a tree
// adds the lanes.
struct Params {
    samples: u32,
    features: u32,
    epsilon: f32, // ε
}

@group(0) @binding(0) var<storage, read> x: array<f32>; // [samples, features]
@group(0) @binding(1) var<storage, read> mean: array<f32>; // [features]
@group(0) @binding(2) var<storage, read> variance: array<f32>; // biased, [features]
@group(0) @binding(3) var<storage, read> gamma: array<f32>; // γ, [features]
@group(0) @binding(4) var<storage, read> upstream: array<f32>; // g, [samples, features]
@group(0) @binding(5) var<storage, read_write> gradient: array<f32>; // gx, [samples, features]
@group(0) @binding(6) var<storage, read_write> gamma_gradient: array<f32>; // gγ, [features]
@group(0) @binding(7) var<storage, read_write> beta_gradient: array<f32>; // gβ, [features]
@group(0) @binding(8) var<uniform> params: Params;

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
    let live = feature < params.features;
    // Lanes without a feature have no samples, and only take part in the sums.
    let samples = select(0u, params.samples, live);
    var centre = 0.0;
    var inverse = 0.0; // 1/√(variance + ε)
    if (live) {
        centre = mean[feature];
        inverse = inverseSqrt(variance[feature] + params.epsilon);
    }

    var sum = 0.0; // Σ g
    var product_sum = 0.0; // Σ g·(x − mean)
    for (var s = lane; s < samples; s += LANES) {
        let at = s * params.features + feature;
        sum += upstream[at];
        product_sum += upstream[at] * (x[at] - centre);
    }
    let of_beta = sum_lanes(invocation, sum);
    let of_gamma = inverse * sum_lanes(invocation, product_sum);

    if (!live) {
        return;
    }
    let count = f32(params.samples);
    let scale = gamma[feature] * inverse;
    let slope = inverse * of_gamma / count;
    for (var s = lane; s < samples; s += LANES) {
        let at = s * params.features + feature;
        gradient[at] = scale * (upstream[at] - of_beta / count - (x[at] - centre) * slope);
    }
    if (lane == 0u) {
        gamma_gradient[feature] = of_gamma;
        beta_gradient[feature] = of_beta;
    }
}
