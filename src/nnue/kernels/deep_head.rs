//! The gradients of B and of the layers of the head, and the loss, from the shares of the splits,
//! into a sink (section 1.14): see [`deep`].

mod cases;

use super::deep::{self, Shares};
use super::libraries::HEAD;
use crate::engine::kernel::{Call, Kernel, Pass, Read, Traffic, Update};
use crate::engine::libraries::{GRID, LANES};
use crate::optim::sinks::{Element, Group, SINK, SINKS, Sink, Step, for_sink};

crate::interface! {
    /// The parameters of the head buffer, and the loss.
    pub struct Params {
        /// The numbers of the groups of B, of W and of c for an optimizer's step.
        pub groups: [f32; 12],
        /// K.
        pub hidden: u32,
        /// 1 if both perspectives have the same B.
        pub tied: u32,
        /// Output buckets.
        pub buckets: u32,
        /// The offset of the first split of each bucket in `index`, `[buckets + 1]`.
        pub first_splits: u32,
        /// Splits.
        pub splits: u32,
        /// The offset of the words of the layers in `index`.
        pub layers: u32,
        /// Floats of a share.
        pub share: u32,
        /// The offset of the first W in the head buffer.
        pub output: u32,
        /// The offset of the first c in the head buffer.
        pub output_bias: u32,
        /// Elements of the head buffer.
        pub length: u32,
        /// 1 if the losses are summed, 0 if they are not read.
        pub totals: u32,
        /// The numbers of an optimizer's step.
        pub step: Step,
    }
    pub struct Buffers {
        /// Layers and splits, among others.
        pub index: Read<u32>,
        /// The shares, `[splits, share]`.
        pub shares: Read<f32>,
        /// The head buffer.
        pub values: Update<f32>,
        /// The gradient of the head buffer, or its first moment.
        pub first: Update<f32>,
        /// The second moment of the head buffer; any other buffer for a sink without one.
        pub second: Update<f32>,
        /// The loss, `[1]`.
        pub loss: Update<f32>,
    }
}

impl crate::engine::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        (self.length + self.totals).div_ceil(32)
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "deep_head",
    operation: Some("head"),
    pass: Pass::Gradient,
    wgsl: include_str!("../../../shaders/nnue/deep_head.wgsl"),
    libraries: &[GRID, LANES, HEAD, SINK],
    axes: &[SINKS],
    bindings: Params::BINDINGS,
    fields: Params::FIELDS,
    twin,
    cpu: None,
    traffic: Some(traffic),
    cases: cases::cases,
};

impl Params {
    /// The gradients of the head buffer, and the loss.
    fn gradients(&self, index: &[u32], shares: &[f64]) -> (Vec<f64>, f64) {
        let (hidden, len) = (self.hidden as usize, self.share as usize);
        let layers = deep::layers(index, self.layers);
        let of = Shares::new(hidden, &layers, self.buckets as usize);
        let mut gradient = vec![0.0; self.length as usize];
        let mut loss = 0.0;
        let first = &index[self.first_splits as usize..];
        for bucket in 0..self.buckets as usize {
            for split in first[bucket] as usize..first[bucket + 1] as usize {
                let share = &shares[split * len..][..len];
                let biases = self.output as usize;
                for (u, value) in share[..2 * hidden].iter().enumerate() {
                    gradient[u % biases] += value;
                }
                for layer in &layers {
                    let size = layer.width * layer.inputs;
                    for (to, from, size) in [
                        (layer.weights_of(bucket), of.place(layer.weights), size),
                        (layer.bias_of(bucket), of.place(layer.bias), layer.width),
                    ] {
                        let to = gradient[to..][..size].iter_mut();
                        to.zip(&share[from..]).for_each(|(to, value)| *to += value);
                    }
                }
                loss += share[len - 1];
            }
        }
        (gradient, loss)
    }
}

fn twin(call: Call<'_, f64>) {
    let sink = Sink::ALL[call.variant];
    for_sink!(sink, reference(call));
}

fn reference<const SINK: usize>(call: Call<'_, f64>) {
    let (p, b) = call.open::<Params>();
    let (gradients, loss) = p.gradients(b.index, b.shares);
    let groups: [Group; 3] = bytemuck::cast(p.groups);
    let mut unused = 0.0;
    for (i, g) in gradients.into_iter().enumerate() {
        let region = usize::from(i >= p.output as usize) + usize::from(i >= p.output_bias as usize);
        let to = Element {
            value: &mut b.values[i],
            first: &mut b.first[i],
            second: b.second.get_mut(i).unwrap_or(&mut unused),
        };
        p.step.put::<SINK, f64>(&groups[region], g, to);
    }
    if p.totals == 1 {
        b.loss[0] = match Sink::ALL[SINK] {
            Sink::Add => b.loss[0] + loss,
            _ => loss,
        };
    }
}

fn traffic(variant: usize, params: &[u8]) -> Traffic {
    let p: Params = bytemuck::pod_read_unaligned(params);
    let sink = Sink::ALL[variant];
    let [splits, share, length, totals, buckets] =
        [p.splits, p.share, p.length, p.totals, p.buckets].map(u64::from);
    let adds = match sink {
        Sink::Add => totals,
        _ => 0,
    };
    let reads = sink.reads() + u64::from(sink.moves());
    Traffic {
        read: 4 * (splits * (share - 1 + totals) + reads * length + adds + buckets + 1),
        written: 4 * (sink.buffers() * length + totals),
        operations: splits * share + sink.operations() * length,
        ..Traffic::default()
    }
}
