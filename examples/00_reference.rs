//! One training step of the two-perspective network in plain f64 loops, without any import. Read
//! the fast code against it. Section numbers refer to docs/mathematics.md.
//!
//! ```text
//! cargo run --release --example 00_reference
//! ```
//!
//! Output:
//!
//! ```text
//! step  0: loss 0.155320
//! step 10: loss 0.096975
//! step 20: loss 0.061584
//! step 30: loss 0.038855
//! step 40: loss 0.018848
//! step 50: loss 0.013012
//! ```

#![allow(
    clippy::needless_range_loop,
    reason = "the loops read as the sums of the formulas"
)]

/// The inputs of one perspective.
pub const N: usize = 8;
/// The lanes of one accumulator.
pub const K: usize = 4;
/// The clip of the activation.
pub const T: f64 = 1.0;
/// The learning rate η.
pub const RATE: f64 = 1.0 / 64.0;

/// A1 and A2 `[N, K]`, B1 and B2 `[K]`, C `[2K]` and d `[1]`, row-major. Gradients and AdamW's
/// moments have the same form.
pub type Tensors = [Vec<f64>; 6];
/// The number of elements of each tensor.
pub const SIZES: [usize; 6] = [N * K, N * K, K, K, 2 * K, 1];

/// A position.
pub struct Position {
    /// The inputs that are 1, for the side to move and for the other side.
    pub lists: [Vec<usize>; 2],
    /// t, the expected result.
    pub target: f64,
}

/// Z of both perspectives, `[2K]`, and the output Y (1.2 and 1.11).
///
/// Z[p, r] = B_p[r] + Σ_f A_p[f, r] over the inputs f that are 1      Y = d + Σ_u C[u]·min(max(Z[u], 0), T)
pub fn forward(parameters: &Tensors, position: &Position) -> ([f64; 2 * K], f64) {
    let [_, _, _, _, c, d] = parameters;
    let mut z = [0.0; 2 * K];
    for p in 0..2 {
        let (a, b) = (&parameters[p], &parameters[2 + p]);
        for r in 0..K {
            z[p * K + r] = b[r];
            for f in &position.lists[p] {
                z[p * K + r] += a[f * K + r];
            }
        }
    }
    let mut y = d[0];
    for u in 0..2 * K {
        y += c[u] * z[u].clamp(0.0, T);
    }
    (z, y)
}

/// The loss of a batch of L positions, and its gradient with respect to every parameter (1.4 and
/// 1.6).
///
/// P = σ(Y) = 1/(1 + e^(−Y))      Loss = (1/L) Σ_s (P[s] − t[s])²
pub fn gradients(parameters: &Tensors, batch: &[Position]) -> (f64, Tensors) {
    let (mut loss, mut gradients) = (0.0, SIZES.map(|size| vec![0.0; size]));
    for position in batch {
        let (z, y) = forward(parameters, position);
        let probability = 1.0 / (1.0 + (-y).exp());
        let error = probability - position.target;
        loss += error * error / batch.len() as f64;

        // e = ∂Loss/∂Y, with σ' = σ(1 − σ).
        let e = 2.0 / batch.len() as f64 * error * probability * (1.0 - probability);
        gradients[5][0] += e; // ∂Loss/∂d = Σ_s e[s]
        for u in 0..2 * K {
            // ∂Loss/∂C[u] = Σ_s H[u, s]·e[s], with H = min(max(Z, 0), T).
            gradients[4][u] += z[u].clamp(0.0, T) * e;

            // ∂Loss/∂Z[u, s] = C[u]·M[u, s]·e[s]. The mask M is the slope of H, 1 at both ends (1.3).
            let mask = if (0.0..=T).contains(&z[u]) { 1.0 } else { 0.0 };
            let dz = parameters[4][u] * mask * e;
            let (p, r) = (u / K, u % K);
            gradients[2 + p][r] += dz; // ∂Loss/∂B_p[r] = Σ_s ∂Loss/∂Z[u, s]
            for f in &position.lists[p] {
                gradients[p][f * K + r] += dz; // ∂Loss/∂A_p[f, r]: the same over the samples that have f
            }
        }
    }
    (loss, gradients)
}

/// Step `t`, counted from 1, of AdamW for every parameter θ with the gradient g (section 5):
///
/// θ ← θ·(1 − η·w)      m ← β1·m + (1 − β1)·g      v ← β2·v + (1 − β2)·g²
/// θ ← θ − η·m̂/(√v̂ + ε)      with m̂ = m/(1 − β1^t), v̂ = v/(1 − β2^t), the learning rate η and the decay w
pub fn adamw(parameters: &mut Tensors, [m, v]: &mut [Tensors; 2], g: &Tensors, t: i32) {
    const BETA1: f64 = 0.9;
    const BETA2: f64 = 0.999;
    const EPSILON: f64 = 1e-8;
    const WEIGHT_DECAY: f64 = 0.01;
    for tensor in 0..6 {
        for i in 0..SIZES[tensor] {
            let g = g[tensor][i];
            let (m, v) = (&mut m[tensor][i], &mut v[tensor][i]);
            *m = BETA1 * *m + (1.0 - BETA1) * g;
            *v = BETA2 * *v + (1.0 - BETA2) * g * g;
            let m_hat = *m / (1.0 - BETA1.powi(t));
            let v_hat = *v / (1.0 - BETA2.powi(t));
            let theta = &mut parameters[tensor][i];
            *theta *= 1.0 - RATE * WEIGHT_DECAY;
            *theta -= RATE * m_hat / (v_hat.sqrt() + EPSILON);
        }
    }
}

/// The initial parameters: irregular multiples of 1/64 from −½ to ½.
pub fn start() -> Tensors {
    let mut state: u32 = 1;
    SIZES.map(|size| {
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(state >> 26) / 64.0 - 0.5
        };
        (0..size).map(|_| next()).collect()
    })
}

/// Invented positions. A real feature is a piece on a square, from one perspective.
pub fn positions() -> Vec<Position> {
    let position = |own: &[usize], other: &[usize], target| Position {
        lists: [own.to_vec(), other.to_vec()],
        target,
    };
    vec![
        position(&[0, 3, 5], &[1, 2, 7], 1.0),
        position(&[1, 2, 7], &[0, 3, 5], 0.0),
        position(&[0, 4], &[0, 4], 0.5),
        position(&[2, 3, 6], &[1, 5], 0.75),
        position(&[1, 5], &[2, 3, 6], 0.25),
        position(&[], &[6, 7], 0.125),
    ]
}

fn main() {
    let (mut parameters, batch) = (start(), positions());
    let mut moments = [0, 1].map(|_| SIZES.map(|size| vec![0.0; size]));
    for step in 0..=50 {
        let (loss, gradients) = gradients(&parameters, &batch);
        if step % 10 == 0 {
            println!("step {step:2}: loss {loss:.6}");
        }
        adamw(&mut parameters, &mut moments, &gradients, step + 1);
    }
}
