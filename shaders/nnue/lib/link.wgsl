// P = link(Y) and its slope ∂P/∂Y, and the power loss |P − t|^q / L of a sample.
const IDENTITY = 0u;
const SIGMOID = 1u;
override LINK: u32 = 0u;

struct Linked {
    value: f32,
    slope: f32,
}

// The exponential's argument is never positive, so nothing overflows: σ(y) = 1/(1 + e^(−|y|)) or its complement.
fn link(y: f32) -> Linked {
    if (LINK == IDENTITY) {
        return Linked(y, 1.0);
    }
    let tail = exp(-abs(y));
    let large = 1.0 / (1.0 + tail);
    let small = tail * large;
    return Linked(select(small, large, y >= 0.0), large * small);
}

// x ≥ 0. The squares and the first power are exact; pow(0, q) is left to nobody's implementation.
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
    term: f32, // what the sample adds to the loss
    gradient: f32, // e = (q/L)·|P − t|^(q−1)·sign(P − t)·∂P/∂Y
}

// `power` is q, `scale` 1/L.
fn loss_of(y: f32, target_value: f32, power: f32, scale: f32) -> Loss {
    let linked = link(y);
    let difference = linked.value - target_value;
    let magnitude = power_of(abs(difference), power - 1.0) * power * scale;
    return Loss(power_of(abs(difference), power) * scale, magnitude * sign(difference) * linked.slope);
}
