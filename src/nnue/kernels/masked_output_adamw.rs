//! A step of AdamW for B, C and d, straight from what their gradients are made of, and the loss: see [`masked_output`].

use super::libraries::{ACTIVATION, ACTIVATIONS, SMALL_GRADIENTS};
use super::masked_output::{self, Sources};
use crate::engine::kernel::inputs::{Inputs, sum_bound};
use crate::engine::kernel::{Binding, Bound, Call, Case, Kernel, Pass, Slot, Traffic};
use crate::engine::libraries::{GRID, LANES};
use crate::nnue::activation::Activation;
use crate::optim::kernels::adamw;
use crate::optim::kernels::libraries::ADAMW;

adamw::moving! {
    /// The small parameters, as in `masked_output`, and one step of AdamW, as in `adamw`.
    pub struct Params: masked_output::Params {
        /// K, a multiple of 32.
        pub hidden: u32,
        /// 1 if both perspectives have the same B.
        pub tied: u32,
        /// Rows of G_B of a perspective.
        pub blocks: u32,
        /// Bands of features.
        pub bands: u32,
        /// Where the second perspective's rows begin; those of the first stand at 0.
        pub rows_2: u32,
        /// Rows of the first perspective.
        pub total_1: u32,
        /// Rows of the second.
        pub total_2: u32,
        /// Where B of the second accumulator begins in `small`; that of the first stands at 0.
        pub bias_2: u32,
        /// Where C begins there; d stands behind it.
        pub output: u32,
        /// Samples, of which each has an e and a term of the loss in `errors`.
        pub samples: u32,
        /// 1 if the terms are summed, 0 if they are not read.
        pub totals: u32,
        /// T.
        pub clip: f32,
    }
}

impl crate::engine::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        self.base().groups()
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "masked_output_adamw",
    operation: Some("adamw"),
    pass: Pass::Update,
    wgsl: include_str!("../../../shaders/nnue/masked_output_adamw.wgsl"),
    libraries: &[GRID, ACTIVATION, LANES, SMALL_GRADIENTS, ADAMW],
    variants: ACTIVATIONS,
    bindings: &[
        Binding::floats("rows"),
        Binding::floats("shares"),
        Binding::floats("errors"),
        Binding::update("loss"),
        Binding::update("first"),
        Binding::update("second"),
        Binding::update("small"),
    ],
    fields: FIELDS,
    twin,
    cpu: Some(body),
    traffic: Some(traffic),
    cases,
};

fn twin(mut call: Call<'_, f64>) {
    let params: Params = call.params();
    let (p, step) = (params.base(), params.step());
    let (sources, loss) = (Sources::of(&mut call), call.floats_mut(3));
    let (first, second, small) = (call.floats_mut(4), call.floats_mut(5), call.floats_mut(6));
    let gradients = sources.gradients(&p, Activation::ALL[call.variant], small);
    if p.totals == 1 {
        loss[0] = sources.loss(&p);
    }
    for (i, gradient) in gradients.into_iter().enumerate() {
        step.move_reference(gradient, &mut first[i], &mut second[i], &mut small[i]);
    }
}

fn body(mut call: Call<'_, f32>) {
    let params: Params = call.params();
    let (p, step) = (params.base(), params.step());
    let (sources, loss) = (Sources::of(&mut call), call.floats_mut(3));
    let (first, second, small) = (call.floats_mut(4), call.floats_mut(5), call.floats_mut(6));
    let gradients = sources.gradients_f32(&p, Activation::ALL[call.variant], small);
    if p.totals == 1 {
        loss[0] = sources.loss_f32(&p);
    }
    let moments = first.iter_mut().zip(second);
    for ((gradient, (first, second)), value) in gradients.into_iter().zip(moments).zip(small) {
        step.move_element(gradient, first, second, value);
    }
}

fn traffic(variant: usize, params: &[u8]) -> Traffic {
    let params: Params = bytemuck::pod_read_unaligned(params);
    let p = params.base();
    let mut traffic = p.traffic_of_sums(Activation::ALL[variant]);
    // B and C are read for the gradients already: the moments, and d.
    let len = p.len() as u64;
    traffic.read += 4 * (2 * len + 1);
    traffic.written = 4 * (3 * len + u64::from(p.totals));
    traffic.operations += 15 * len;
    traffic
}

fn cases() -> Vec<Case> {
    let case = |(variant, seed, output): (usize, usize, masked_output::Params)| {
        let mut inputs = Inputs::new(1800 + seed as u64);
        let t = if seed % 2 == 0 { 1 } else { 1000 };
        let params = Params::new(output, adamw::case_step(t, seed % 3 != 0));
        let (hidden, len) = (output.hidden as usize, output.len());
        let (bands, samples) = (output.bands as usize, output.samples as usize);
        // Multiples of a power of two add up exactly, so the gradients are those of the reference but for the last product's
        // rounding; by 1/64 they stay about as large as the moments.
        let mut small_sixteenths = |count| {
            let mut values = inputs.sixteenths(count);
            values.iter_mut().for_each(|value| *value /= 64.0);
            values
        };
        let rows = small_sixteenths(output.rows_len());
        let shares = small_sixteenths(bands * 2 * hidden);
        let errors = small_sixteenths(2 * samples);
        let mut first = inputs.floats(len, -1.0, 1.0);
        let mut second = inputs.floats(len, 0.01, 1.0);
        if t == 1 {
            first.fill(0.0);
            second.fill(0.0);
        }
        let update = |values: Vec<f32>, bound| Slot::Update { values, bound };
        let moment = Bound::Ulps {
            ulps: 4.0,
            absolute: 4.0 * f64::from(f32::EPSILON),
        };
        let value = Bound::Ulps {
            ulps: 4.0,
            // |m̂|/√v̂ is at most 10 here, by η.
            absolute: (16.0 * 0.02 + 1.0) * f64::from(f32::EPSILON),
        };
        Case::new(
            format!("{} t={t}", output.case_name()),
            variant,
            params,
            vec![
                Slot::Floats(rows),
                Slot::Floats(shares),
                Slot::Floats(errors),
                update(vec![0.5], sum_bound(samples + 1, 1.0)),
                update(first, moment.clone()),
                update(second, moment),
                update(inputs.sixteenths(len), value),
            ],
        )
    };
    masked_output::all_params().map(case).collect()
}
