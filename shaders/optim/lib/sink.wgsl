// The sink of a kernel's gradients, which the override `SINK` chooses: a buffer, or an optimizer
// that updates the parameters. The shader declares `Value` (f32 or vec4<f32>), the buffers
// `values`, `first` and `second` of this type, and `params` with the numbers of
// `optim::sinks::Step`. `first` is the gradient (WRITE, ADD) or the first moment, and `second` is
// the second moment. A sink does not touch a buffer that it does not need.
const WRITE = 0u;
const ADD = 1u;
const SGD = 2u;
const ADAMW = 3u;
override SINK: u32 = 0u;

// The numbers of an element that an optimizer changes. An optimizer without a second moment keeps
// any number in its place.
struct State {
    value: Value,
    first: Value,
    second: Value,
}

// A step of the optimizer. `group` is η, 1 − η·w, and the two ends of the range of θ. If θ has no
// range, the ends are exchanged and the result of the clamp is not used, because a clamp may turn
// NaN into a number.
fn moved(old: State, g: Value, group: vec4<f32>) -> State {
    if (SINK == SGD) {
        // v ← μ·v + g; θ ← θ − η·v
        let v = params.beta1 * old.first + g;
        return State(old.value - group.x * v, v, old.second);
    }
    // m ← β1·m + (1 − β1)·g; v ← β2·v + (1 − β2)·g²; θ ← θ·(1 − η·w) − η·m̂/(√v̂ + ε)
    let m = params.beta1 * old.first + (1.0 - params.beta1) * g;
    let v = params.beta2 * old.second + (1.0 - params.beta2) * g * g;
    let change = group.x * (m * params.correction1)
        / (sqrt(v * params.correction2) + params.epsilon);
    let next = old.value * group.y - change;
    let ranged = clamp(next, Value(group.z), Value(group.w));
    return State(select(next, ranged, group.z <= group.w), m, v);
}

fn sink(at: u32, g: Value, group: vec4<f32>) {
    switch (SINK) {
        case ADD {
            first[at] += g;
        }
        case SGD {
            let next = moved(State(values[at], first[at], Value(0.0)), g, group);
            values[at] = next.value;
            first[at] = next.first;
        }
        case ADAMW {
            let next = moved(State(values[at], first[at], second[at]), g, group);
            values[at] = next.value;
            first[at] = next.first;
            second[at] = next.second;
        }
        default {
            first[at] = g;
        }
    }
}
