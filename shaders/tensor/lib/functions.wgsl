// σ(x) = 1/(1 + e^(−x)). The exponential's argument is never positive, so nothing overflows.
fn sigmoid(x: f32) -> f32 {
    let tail = exp(-abs(x));
    let large = 1.0 / (1.0 + tail);
    return select(tail * large, large, x >= 0.0);
}

// tanh x. The tanh of some drivers overflows for large x. Near 0, where 1 − e^(−2|x|) would cancel,
// this takes the first terms of the series.
fn hyperbolic_tangent(x: f32) -> f32 {
    let size = abs(x);
    if (size < 0.25) {
        let s = x * x;
        return x * (1.0 + s * (-0.33333334 + s * (0.13333334 + s * (-0.053968254 + s * 0.021869488))));
    }
    let tail = exp(-2.0 * size);
    let value = (1.0 - tail) / (1.0 + tail);
    return select(-value, value, x > 0.0);
}

// ln(1 + u) for u in 0..1. Near 0 this takes the first terms of the series, because the rounded sum
// 1 + u has lost the digits of u.
fn log_one_plus(u: f32) -> f32 {
    if (u < 0.0078125) {
        return u * (1.0 - u * (0.5 - u * (0.33333334 - u * 0.25)));
    }
    return log(1.0 + u);
}
