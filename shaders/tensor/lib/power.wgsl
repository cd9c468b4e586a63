// x^y where WGSL's own pow is undefined: x = 0, x < 0 or y = 0. The infinity and the NaN are made
// from bits at run time, because WGSL has no literals for them.
fn special(bits: u32) -> f32 {
    return bitcast<f32>(select(bits, 0u, params.length == 0u));
}
const INFINITY_BITS = 0x7f800000u;
const NAN_BITS = 0x7fc00000u;

fn is_integral(y: f32) -> bool {
    return floor(y) == y;
}

// From 2^24 on every f32 is even.
fn is_odd(y: f32) -> bool {
    return abs(y) < 16777216.0 && floor(y * 0.5) * 2.0 != y;
}

fn power(x: f32, y: f32) -> f32 {
    if (y == 0.0) {
        return 1.0;
    }
    if (x == 0.0) {
        return select(special(INFINITY_BITS), 0.0, y > 0.0);
    }
    if (y == 1.0) {
        return x;
    }
    if (y == 2.0) {
        return x * x;
    }
    if (x > 0.0) {
        return pow(x, y);
    }
    if (!is_integral(y)) {
        return special(NAN_BITS);
    }
    let size = pow(-x, y);
    return select(size, -size, is_odd(y));
}
