// The loss of one sample, from its output Y and its target t: P = link(Y), the term |P − t|^q / L,
// and e, the derivative of the term with respect to Y.
const IDENTITY = 0u;
const SIGMOID = 1u;
override LINK: u32 = 0u;

// P and ∂P/∂Y.
struct Linked {
    value: f32,
    slope: f32,
}

// The argument of the exponential is never positive, so nothing overflows: σ(y) is
// 1/(1 + e^(−|y|)) for y ≥ 0, and its complement below 0.
fn link(y: f32) -> Linked {
    if (LINK == IDENTITY) {
        return Linked(y, 1.0);
    }
    let tail = exp(-abs(y));
    let large = 1.0 / (1.0 + tail);
    let small = tail * large;
    return Linked(select(small, large, y >= 0.0), large * small);
}

// x^q for x ≥ 0. The powers 0, 1 and 2 are exact, and x = 0 never reaches `pow`.
fn power_of(x: f32, q: f32) -> f32 {
    if (q == 0.0) {
        return 1.0;
    }
    if (q == 1.0) {
        return x;
    }
    if (q == 2.0) {
        return x * x;
    }
    if (x == 0.0) {
        return 0.0;
    }
    return pow(x, q);
}

struct Loss {
    term: f32, // the summand of the loss
    gradient: f32, // e = (q/L)·|P − t|^(q−1)·sign(P − t)·∂P/∂Y
}

// `power` is q, and `scale` is 1/L.
fn loss_of(y: f32, target_value: f32, power: f32, scale: f32) -> Loss {
    let linked = link(y);
    let difference = linked.value - target_value;
    let magnitude = power_of(abs(difference), power - 1.0) * power * scale;
    return Loss(power_of(abs(difference), power) * scale, magnitude * sign(difference) * linked.slope);
}
