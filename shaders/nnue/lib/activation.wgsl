// H = activation(Z) and its slope ∂H/∂Z; the mask M is the slope of CReLU: 1 at both ends, inclusive.
const CRELU = 0u;
const SCRELU = 1u;
const RELU = 2u;
override ACTIVATION: u32 = 0u;

fn activate(z: f32, clip: f32) -> f32 {
    if (ACTIVATION == RELU) {
        return max(z, 0.0);
    }
    let clamped = min(max(z, 0.0), clip);
    if (ACTIVATION == SCRELU) {
        return clamped * clamped;
    }
    return clamped;
}

fn activation_slope(z: f32, clip: f32) -> f32 {
    if (ACTIVATION == RELU) {
        return select(0.0, 1.0, z >= 0.0);
    }
    let inside = z >= 0.0 && z <= clip;
    if (ACTIVATION == SCRELU) {
        return select(0.0, 2.0 * z, inside);
    }
    return select(0.0, 1.0, inside);
}

fn activate_4(z: vec4<f32>, clip: vec4<f32>) -> vec4<f32> {
    if (ACTIVATION == RELU) {
        return max(z, vec4<f32>(0.0));
    }
    let clamped = min(max(z, vec4<f32>(0.0)), clip);
    if (ACTIVATION == SCRELU) {
        return clamped * clamped;
    }
    return clamped;
}

fn inside_4(z: vec4<f32>, clip: vec4<f32>) -> vec4<bool> {
    if (ACTIVATION == RELU) {
        return z >= vec4<f32>(0.0);
    }
    return (z >= vec4<f32>(0.0)) & (z <= clip);
}

fn slope_4(z: vec4<f32>, clip: vec4<f32>) -> vec4<f32> {
    if (ACTIVATION == SCRELU) {
        return select(vec4<f32>(0.0), 2.0 * z, inside_4(z, clip));
    }
    return select(vec4<f32>(0.0), vec4<f32>(1.0), inside_4(z, clip));
}
