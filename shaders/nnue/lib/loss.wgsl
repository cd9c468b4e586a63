// The loss of one sample, from its output Y, its target t and its weight w: P = link(Y), the term
// w·D(P, t)/L, and e, the derivative of the term with respect to Y. D is |P − t|^q, (1 + a)·|P − t|^q
// where P > t, or the cross-entropy of σ(Y). The shader declares `params` with the numbers of
// `nnue::loss::Numbers`, which choose by selection and never by a branch: lavapipe would compile a
// shader anew for a uniform that makes it smaller.
const IDENTITY = 0u;
const SIGMOID = 1u;
override LINK: u32 = 0u;

// P and ∂P/∂Y.
struct Linked {
    value: f32,
    slope: f32,
}

// The argument of the exponential is never positive, so nothing overflows: σ(x) is
// 1/(1 + e^(−|x|)) for x ≥ 0, and its complement below 0.
fn sigmoid(x: f32) -> Linked {
    let tail = exp(-abs(x));
    let large = 1.0 / (1.0 + tail);
    let small = tail * large;
    return Linked(select(small, large, x >= 0.0), large * small);
}

// Without a shift both slopes are the same number, and P is σ.
fn link(y: f32) -> Linked {
    if (LINK == IDENTITY) {
        return Linked(y, 1.0);
    }
    let won = sigmoid(params.steepness * y - params.shift);
    let lost = sigmoid(-params.steepness * y - params.shift);
    return Linked(
        select(0.5 * (1.0 + won.value - lost.value), won.value, params.shift == 0.0),
        0.5 * params.steepness * (won.slope + lost.slope),
    );
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
    gradient: f32, // e
}

fn loss_of(y: f32, target_value: f32, sample_weight: f32) -> Loss {
    let linked = link(y);
    let difference = linked.value - target_value;
    let size = abs(difference);
    let above = select(0.0, params.asymmetry, difference > 0.0);
    let weight = params.scale * sample_weight * (1.0 + above);
    let magnitude = power_of(size, params.power - 1.0) * params.power * weight;
    let powered_gradient = magnitude * sign(difference) * linked.slope;
    // ln(1 + e^y) − t·y, of which the first summand is max(y, 0) + ln(1 + e^−|y|).
    let entropy = max(y, 0.0) - target_value * y + log(1.0 + exp(-abs(y)));
    let is_entropy = params.entropy == 1u;
    return Loss(
        select(power_of(size, params.power), entropy, is_entropy) * weight,
        select(powered_gradient, difference * weight, is_entropy),
    );
}
