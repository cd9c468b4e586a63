// H = min(max(Z, 0), T)^POWER, where T = ∞ if CLIP is 0, and its slope ∂H/∂Z = M·S, with the mask
// M = [0 ≤ Z ≤ T], both ends included, and S = POWER·Z^(POWER − 1).
override CLIP: u32 = 1u;
override POWER: u32 = 1u; // 1, 2 or 3

fn activate(z: f32, clip: f32) -> f32 {
    var base = max(z, 0.0);
    if (CLIP == 1u) {
        base = min(base, clip);
    }
    return powered(base);
}

// x^POWER.
fn powered(x: f32) -> f32 {
    if (POWER == 1u) {
        return x;
    }
    if (POWER == 2u) {
        return x * x;
    }
    return x * x * x;
}

fn activation_slope(z: f32, clip: f32) -> f32 {
    let inside = z >= 0.0 && (CLIP == 0u || z <= clip);
    if (POWER == 1u) {
        return select(0.0, 1.0, inside);
    }
    if (POWER == 2u) {
        return select(0.0, 2.0 * z, inside);
    }
    return select(0.0, 3.0 * z * z, inside);
}

fn activate_4(z: vec4<f32>, clip: vec4<f32>) -> vec4<f32> {
    var base = max(z, vec4<f32>(0.0));
    if (CLIP == 1u) {
        base = min(base, clip);
    }
    if (POWER == 1u) {
        return base;
    }
    if (POWER == 2u) {
        return base * base;
    }
    return base * base * base;
}

// M.
fn inside_4(z: vec4<f32>, clip: vec4<f32>) -> vec4<bool> {
    if (CLIP == 0u) {
        return z >= vec4<f32>(0.0);
    }
    return (z >= vec4<f32>(0.0)) & (z <= clip);
}

fn slope_4(z: vec4<f32>, clip: vec4<f32>) -> vec4<f32> {
    let inside = inside_4(z, clip);
    if (POWER == 1u) {
        return select(vec4<f32>(0.0), vec4<f32>(1.0), inside);
    }
    if (POWER == 2u) {
        return select(vec4<f32>(0.0), 2.0 * z, inside);
    }
    return select(vec4<f32>(0.0), 3.0 * z * z, inside);
}
