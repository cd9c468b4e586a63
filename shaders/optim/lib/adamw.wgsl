// One element's step of AdamW: m ← β1·m + (1 − β1)·g; v ← β2·v + (1 − β2)·g²; θ ← θ·(1 − η·w) − η·m̂/(√v̂ + ε); θ clipped last.
// m̂ and v̂ are m and v by the bias corrections 1/(1 − β^t), which the host computes. The numbers are fields of the shader's parameters.
struct Moved {
    first: f32,
    second: f32,
    value: f32,
}

fn moved(g: f32, first: f32, second: f32, value: f32) -> Moved {
    let m = params.beta1 * first + (1.0 - params.beta1) * g;
    let v = params.beta2 * second + (1.0 - params.beta2) * g * g;
    let change = params.learning_rate * (m * params.correction1)
        / (sqrt(v * params.correction2) + params.epsilon);
    let next = value * params.decay - change;
    return Moved(m, v, select(next, clamp(next, params.low, params.high), params.ranged == 1u));
}
