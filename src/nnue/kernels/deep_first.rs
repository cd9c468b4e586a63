//! z = W\[b\]·x + c\[b\] of the first layer of the head, from Z (section 1.14): see [`deep`].

use super::deep::{self, Front, OUTPUTS, case};
use super::half::Scale;
use super::head;
use super::libraries::{ACTIVATION, ACTIVATIONS, HALF, HEAD, PAIRWISE, STORAGES};
use crate::engine::kernel::inputs::Inputs;
use crate::engine::kernel::{Bound, Call, Case, Kernel, Pass, Read, Slot, Traffic, Write};
use crate::engine::libraries::{GRID, TILED, Tiles};
use crate::nnue::activation::Activation;

crate::interface! {
    /// Sizes, and offsets in the index.
    pub struct Params {
        /// Samples.
        pub samples: u32,
        /// K, a multiple of 32, or of 64 if lanes are multiplied in pairs.
        pub hidden: u32,
        /// Output buckets.
        pub buckets: u32,
        /// The offset of the buckets of the samples in `index`; not used with 1 bucket.
        pub bucket: u32,
        /// Splits.
        pub splits: u32,
        /// The offset of the first sample of each split in `index`, `[splits + 1]`.
        pub starts: u32,
        /// The offset of the words of the layers in `index`.
        pub layers: u32,
        /// Floats of a row of z.
        pub stride: u32,
        /// The width of the layer.
        pub width: u32,
        /// T.
        pub clip: f32,
        /// [`Scale::limit`](super::half::Scale::limit) of Z in 16 bits.
        pub limit: f32,
    }
    pub struct Buffers {
        /// Layers, buckets and splits, among others.
        pub index: Read<u32>,
        /// Z, `[samples, 2K]`, unless it is stored in 16 bits.
        pub z: Read<f32>,
        /// Z in 16 bits, two lanes in a word.
        pub halves: Read<u32>,
        /// The head buffer.
        pub head: Read<f32>,
        /// z, `[samples, stride]`, 0 past the width.
        pub delta: Write<f32>,
    }
}

impl crate::engine::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        self.splits * (self.stride / OUTPUTS as u32)
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "deep_first",
    operation: Some("head"),
    pass: Pass::Forward,
    wgsl: include_str!("../../../shaders/nnue/deep_first.wgsl"),
    libraries: &[GRID, ACTIVATION, HALF, HEAD],
    axes: &[ACTIVATIONS, PAIRWISE, STORAGES, TILED],
    bindings: Params::BINDINGS,
    fields: Params::FIELDS,
    twin,
    cpu: None,
    traffic: Some(traffic),
    cases,
};

/// The variant for an activation, for pairs of lanes or not, for 16 bits or not, and for tiles.
pub fn variant_for(activation: Activation, pairwise: bool, half: bool, tiles: Tiles) -> usize {
    let [pairwise, half] = [pairwise, half].map(usize::from);
    KERNEL.variant([activation as usize, pairwise, half, tiles as usize])
}

fn twin(call: Call<'_, f64>) {
    let [activation, pairwise, half, _] = KERNEL.choices(call.variant);
    let (p, b) = call.open::<Params>();
    let limit = (half == 1).then_some(p.limit);
    let front = Front {
        activation: Activation::ALL[activation],
        clip: f64::from(p.clip),
        pairwise: pairwise == 1,
        hidden: p.hidden as usize,
    };
    let layer = deep::layers(b.index, p.layers)[0];
    for split in 0..p.splits as usize {
        let (samples, bucket) = deep::split(b.index, p.starts, [p.buckets, p.bucket], split);
        for s in samples {
            let lanes = s * 2 * front.hidden..(s + 1) * 2 * front.hidden;
            let z = deep::z_row(b.z, b.halves, lanes, limit);
            let x: Vec<f64> = (0..layer.inputs).map(|j| front.x(&z, j)).collect();
            let to = &mut b.delta[s * p.stride as usize..][..p.stride as usize];
            to.fill(0.0);
            for o in 0..layer.width {
                let w = &b.head[layer.weights_of(bucket) + o * layer.inputs..];
                let products = w.iter().zip(&x).map(|(w, x)| w * x);
                to[o] = b.head[layer.bias_of(bucket) + o] + products.sum::<f64>();
            }
        }
    }
}

fn traffic(variant: usize, params: &[u8]) -> Traffic {
    let p: Params = bytemuck::pod_read_unaligned(params);
    let [_, pairwise, half, _] = KERNEL.choices(variant);
    let [samples, hidden, buckets, splits, stride, width] =
        [p.samples, p.hidden, p.buckets, p.splits, p.stride, p.width].map(u64::from);
    let inputs = if pairwise == 1 { hidden } else { 2 * hidden };
    let used = buckets.min(splits);
    let of_buckets = if buckets > 1 { splits } else { 0 };
    Traffic {
        read: 4 * (used * width * (inputs + 1) + splits + 1 + of_buckets)
            + if half == 1 { 2 } else { 4 } * samples * 2 * hidden,
        written: 4 * samples * stride,
        operations: samples * (2 * hidden + 2 * width * inputs),
        ..Traffic::default()
    }
}

fn cases() -> Vec<Case> {
    // [samples, K, width, buckets]: 0, 1, tile − 1, tile, tile + 1, several splits and outputs,
    // primes, the largest K.
    let shapes = [
        [0, 64, 3, 1],
        [1, 64, 1, 1],
        [127, 64, 15, 2],
        [128, 128, 16, 1],
        [129, 192, 17, 3],
        [1031, 64, 33, 8],
        [7, 4096, 2, 5],
    ];
    let mut cases = Vec::new();
    for variant in 0..KERNEL.variants() {
        for (seed, shape) in shapes.into_iter().enumerate() {
            cases.push(case(variant, seed, shape));
        }
    }
    // Past 65,535 workgroups, with splits of one sample.
    cases.push(case(0, 7, [64, 64, 16_400, 1]));
    cases
}

fn case(variant: usize, seed: usize, [samples, hidden, width, buckets]: [usize; 4]) -> Case {
    let [activation, pairwise, half, _] = KERNEL.choices(variant);
    // Without pairs, K may be an odd multiple of 32.
    let hidden = match pairwise {
        0 if hidden == 64 => 32,
        _ => hidden,
    };
    let mut inputs = Inputs::new(2200 + seed as u64);
    let architecture = case::architecture(hidden, pairwise == 1, &[width], buckets, seed);
    let layers = head::layers(&architecture);
    let most = if width > 1000 { 1 } else { deep::SPLIT };
    let index = case::Index::with_splits(&mut inputs, &architecture, samples, most);
    let clip = [1.0, 0.75, 127.0 / 64.0][seed % 3];
    let activation = Activation::ALL[activation];
    let scale = Scale::new(activation.has_clip().then_some(clip));
    let stride = deep::stride(&layers);
    let z = inputs.around_kinks(samples * 2 * hidden, clip);
    let [z, halves] = case::stored(z, (half == 1).then_some(scale));
    let params = Params {
        samples: samples as u32,
        hidden: hidden as u32,
        buckets: buckets as u32,
        bucket: index.bucket,
        splits: index.count(),
        starts: index.starts,
        layers: index.layers,
        stride: stride as u32,
        width: width as u32,
        clip,
        limit: scale.limit,
    };
    let head = case::head_len(&layers, buckets);
    let slots = Slots {
        index: Slot::Words(index.words),
        z,
        halves,
        head: Slot::Floats(inputs.floats(head, -1.0, 1.0)),
        delta: Slot::Output {
            len: samples * stride,
            bound: Bound::Sum {
                terms: layers[0].inputs + 1,
                c: 2.0 + activation.operations() as f64,
            },
        },
    };
    let name = format!("L={samples} K={hidden} width={width} buckets={buckets} T={clip}");
    Case::new(name, variant, params, slots)
}
