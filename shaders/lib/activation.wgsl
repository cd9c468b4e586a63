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
