//! AdamW, bias-corrected, with decoupled decay and an optional range (section 5).

use super::libraries::ADAMW;
use crate::engine::kernel::inputs::Inputs;
use crate::engine::kernel::{Binding, Bound, Call, Case, Kernel, PLAIN, Pass, Slot, Traffic};
use crate::engine::libraries::GRID;
use rayon::prelude::*;

crate::parameters! {
    /// One step of AdamW.
    pub struct Params {
        /// Elements.
        pub length: u32,
        /// η.
        pub learning_rate: f32,
        /// 1 − η·w.
        pub decay: f32,
        /// β1.
        pub beta1: f32,
        /// β2.
        pub beta2: f32,
        /// 1/(1 − β1^t).
        pub correction1: f32,
        /// 1/(1 − β2^t).
        pub correction2: f32,
        /// ε.
        pub epsilon: f32,
        /// 1 keeps θ in the range that follows, 0 leaves it: a clamp may turn NaN into a number.
        pub ranged: u32,
        /// Lower end of the range of θ.
        pub low: f32,
        /// Upper end of the range of θ.
        pub high: f32,
    }
}

/// Declares the parameters of a kernel that moves by AdamW what another, whose parameters are `Base`, has the gradients of: those of
/// `Base` but `accumulate`, and the numbers of the step.
macro_rules! moving {
    ($(#[$meta:meta])* pub struct Params: $Base:path { $($(#[$doc:meta])* pub $field:ident: $kind:ty),* $(,)? }) => {
        crate::parameters! {
            $(#[$meta])*
            pub struct Params {
                $($(#[$doc])* pub $field: $kind,)*
                /// η.
                pub learning_rate: f32,
                /// 1 − η·w.
                pub decay: f32,
                /// β1.
                pub beta1: f32,
                /// β2.
                pub beta2: f32,
                /// 1/(1 − β1^t).
                pub correction1: f32,
                /// 1/(1 − β2^t).
                pub correction2: f32,
                /// ε.
                pub epsilon: f32,
                /// 1 keeps θ in the range that follows.
                pub ranged: u32,
                /// Lower end of the range of θ.
                pub low: f32,
                /// Upper end of the range of θ.
                pub high: f32,
            }
        }

        impl Params {
            /// The gradients of `base`, which are not added to any, moved by as `adamw` does.
            pub fn new(base: $Base, step: crate::optim::kernels::adamw::Params) -> Self {
                Self {
                    $($field: base.$field,)*
                    learning_rate: step.learning_rate,
                    decay: step.decay,
                    beta1: step.beta1,
                    beta2: step.beta2,
                    correction1: step.correction1,
                    correction2: step.correction2,
                    epsilon: step.epsilon,
                    ranged: step.ranged,
                    low: step.low,
                    high: step.high,
                }
            }

            fn base(&self) -> $Base {
                type Base = $Base;
                Base {
                    $($field: self.$field,)*
                    accumulate: 0,
                }
            }

            /// The numbers of the step, for no elements.
            fn step(&self) -> crate::optim::kernels::adamw::Params {
                crate::optim::kernels::adamw::Params {
                    length: 0,
                    learning_rate: self.learning_rate,
                    decay: self.decay,
                    beta1: self.beta1,
                    beta2: self.beta2,
                    correction1: self.correction1,
                    correction2: self.correction2,
                    epsilon: self.epsilon,
                    ranged: self.ranged,
                    low: self.low,
                    high: self.high,
                }
            }
        }
    };
}
pub(crate) use moving;

impl crate::engine::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        self.length.div_ceil(64)
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "adamw",
    operation: Some("adamw"),
    pass: Pass::Update,
    wgsl: include_str!("../../../shaders/optim/adamw.wgsl"),
    libraries: &[GRID, ADAMW],
    variants: PLAIN,
    bindings: &[
        Binding::floats("gradient"),
        Binding::update("first"),
        Binding::update("second"),
        Binding::update("values"),
    ],
    fields: FIELDS,
    twin,
    cpu: Some(body),
    traffic: Some(traffic),
    cases,
};

fn twin(mut call: Call<'_, f64>) {
    let p: Params = call.params();
    let gradient = call.floats(0);
    let (first, second, values) = (call.floats_mut(1), call.floats_mut(2), call.floats_mut(3));
    for i in 0..p.length as usize {
        p.move_reference(gradient[i], &mut first[i], &mut second[i], &mut values[i]);
    }
}

impl Params {
    /// An element's step, by the mathematics.
    pub(crate) fn move_reference(
        &self,
        g: f64,
        first: &mut f64,
        second: &mut f64,
        value: &mut f64,
    ) {
        let (beta1, beta2) = (f64::from(self.beta1), f64::from(self.beta2));
        *first = beta1 * *first + (1.0 - beta1) * g;
        *second = beta2 * *second + (1.0 - beta2) * g * g;
        let m_hat = *first * f64::from(self.correction1);
        let v_hat = *second * f64::from(self.correction2);
        let decayed = *value * f64::from(self.decay);
        let change = f64::from(self.learning_rate) * m_hat;
        let moved = decayed - change / (v_hat.sqrt() + f64::from(self.epsilon));
        *value = match self.ranged {
            1 => moved.max(f64::from(self.low)).min(f64::from(self.high)),
            _ => moved,
        };
    }

    /// An element's step on the CPU.
    #[inline(always)]
    pub(crate) fn move_element(&self, g: f32, first: &mut f32, second: &mut f32, value: &mut f32) {
        let m = self.beta1 * *first + (1.0 - self.beta1) * g;
        let v = self.beta2 * *second + (1.0 - self.beta2) * g * g;
        *first = m;
        *second = v;
        let change = self.learning_rate * (m * self.correction1)
            / ((v * self.correction2).sqrt() + self.epsilon);
        let moved = *value * self.decay - change;
        *value = match self.ranged {
            1 => moved.clamp(self.low, self.high),
            _ => moved,
        };
    }
}

/// Elements that one task moves.
const PIECE: usize = 8192;

fn body(mut call: Call<'_, f32>) {
    let p: Params = call.params();
    let gradient = call.floats(0);
    let (first, second, values) = (call.floats_mut(1), call.floats_mut(2), call.floats_mut(3));
    let gradient = gradient[..p.length as usize].par_chunks(PIECE);
    let moments = first
        .par_chunks_mut(PIECE)
        .zip(second.par_chunks_mut(PIECE));
    let pieces = gradient.zip(moments).zip(values.par_chunks_mut(PIECE));
    pieces.for_each(|((gradient, (first, second)), values)| {
        crate::engine::cpu::vectorized(|| {
            for (((&g, first), second), value) in gradient.iter().zip(first).zip(second).zip(values)
            {
                p.move_element(g, first, second, value);
            }
        });
    });
}

fn traffic(_: usize, params: &[u8]) -> Traffic {
    let p: Params = bytemuck::pod_read_unaligned(params);
    // m: 3, v: 4, the change: 6 with a root and a division, θ: 2.
    Traffic::elementwise(p.length, 4, 3, 15)
}

/// The numbers of a case's step, the `t`-th, for no element.
pub(crate) fn case_step(t: i32, ranged: bool) -> Params {
    Params {
        length: 0,
        learning_rate: 0.002,
        decay: 1.0 - 0.002 * 0.01,
        beta1: 0.9,
        beta2: 0.999,
        correction1: 1.0 / (1.0 - 0.9f32.powi(t)),
        correction2: 1.0 / (1.0 - 0.999f32.powi(t)),
        epsilon: 1e-8,
        ranged: u32::from(ranged),
        low: -0.5,
        high: 0.5,
    }
}

fn cases() -> Vec<Case> {
    // Sizes 0, 1, tile − 1, tile, tile + 1, a prime, and past 65,535 workgroups; the first and a late step, with and
    // without a range.
    [0usize, 1, 63, 64, 65, 997, 4_194_400]
        .into_iter()
        .enumerate()
        .map(|(seed, length)| {
            let mut inputs = Inputs::new(1100 + seed as u64);
            let step = if seed % 2 == 0 { 1 } else { 1000 };
            let params = Params {
                length: length as u32,
                ..case_step(step, seed % 3 != 0)
            };
            let ranged = params.ranged;
            let mut gradient = inputs.floats(length, -1.0, 1.0);
            for gradient in gradient.iter_mut().step_by(7) {
                *gradient = 0.0;
            }
            let first = if step == 1 {
                vec![0.0; length]
            } else {
                inputs.floats(length, -1.0, 1.0)
            };
            let second = if step == 1 {
                vec![0.0; length]
            } else {
                inputs.floats(length, 0.01, 1.0)
            };
            // m and v: two products and a sum of numbers up to 1. θ: the change is at most about 10·η here, known to
            // 8 ulps with WGSL's division (2.5) and square root, and added to numbers below 1 with two roundings.
            let moment = Bound::Ulps {
                ulps: 2.0,
                absolute: f64::from(f32::EPSILON),
            };
            let value = Bound::Ulps {
                ulps: 2.0,
                absolute: (8.0 * 0.02 + 1.0) * f64::from(f32::EPSILON),
            };
            Case::new(
                format!("n={length} t={step} ranged={ranged}"),
                0,
                params,
                vec![
                    Slot::Floats(gradient),
                    Slot::Update {
                        values: first,
                        bound: moment.clone(),
                    },
                    Slot::Update {
                        values: second,
                        bound: moment,
                    },
                    Slot::Update {
                        values: inputs.floats(length, -1.0, 1.0),
                        bound: value,
                    },
                ],
            )
        })
        .collect()
}
