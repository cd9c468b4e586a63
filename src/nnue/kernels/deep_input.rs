//! D = ∂Loss/∂Z from δ = ∂Loss/∂z of the first layer of the head, and the shares of the splits in
//! the gradients of its W and of B (section 1.14): see [`deep`].

use super::deep::{self, Front, OUTPUTS, Shares, TILE, case};
use super::half::{self, Scale};
use super::head;
use super::libraries::{ACTIVATION, ACTIVATIONS, HALF, HEAD, PAIRWISE, STORAGES};
use crate::engine::kernel::inputs::Inputs;
use crate::engine::kernel::{Bound, Call, Case, Kernel, Pass, Read, Slot, Traffic, Update, Write};
use crate::engine::libraries::GRID;
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
        /// Floats of a row of δ.
        pub stride: u32,
        /// Floats of a share.
        pub share: u32,
        /// Inputs of the layer: 2K, or K if lanes are multiplied in pairs.
        pub inputs: u32,
        /// The width of the layer.
        pub width: u32,
        /// T.
        pub clip: f32,
        /// [`Scale::limit`](super::half::Scale::limit) of Z in 16 bits.
        pub limit: f32,
        /// What an L1 penalty adds to each ∂Loss/∂x, at least 0.
        pub penalty: f32,
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
        /// δ, `[samples, stride]`, 0 past the width.
        pub delta: Read<f32>,
        /// D, by tiles of 64 lanes, unless it is stored in 16 bits.
        pub dz: Write<f32>,
        /// D ÷ the scale of its sample, in 16 bits, two lanes in a word.
        pub dz_halves: Update<u32>,
        /// The shares, `[splits, share]`.
        pub shares: Update<f32>,
    }
}

impl crate::engine::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        self.splits * (self.inputs / TILE as u32)
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "deep_input",
    operation: Some("head"),
    pass: Pass::Gradient,
    wgsl: include_str!("../../../shaders/nnue/deep_input.wgsl"),
    libraries: &[GRID, ACTIVATION, HALF, HEAD],
    axes: &[ACTIVATIONS, PAIRWISE, STORAGES],
    bindings: Params::BINDINGS,
    fields: Params::FIELDS,
    twin,
    cpu: None,
    traffic: Some(traffic),
    cases,
};

/// The variant for an activation, for pairs of lanes or not, and for 16 bits or not.
pub fn variant_for(activation: Activation, pairwise: bool, half: bool) -> usize {
    let [pairwise, half] = [pairwise, half].map(usize::from);
    KERNEL.variant([activation as usize, pairwise, half])
}

fn twin(call: Call<'_, f64>) {
    let [activation, pairwise, half] = KERNEL.choices(call.variant);
    let (p, b) = call.open::<Params>();
    let limit = (half == 1).then_some(p.limit);
    let front = Front {
        activation: Activation::ALL[activation],
        clip: f64::from(p.clip),
        pairwise: pairwise == 1,
        hidden: p.hidden as usize,
    };
    let layers = deep::layers(b.index, p.layers);
    let layer = layers[0];
    let of_weights = Shares::new(front.hidden, &layers, p.buckets as usize).place(layer.weights);
    for split in 0..p.splits as usize {
        let share = &mut b.shares[split * p.share as usize..][..p.share as usize];
        share[..2 * front.hidden].fill(0.0);
        share[of_weights..][..layer.width * layer.inputs].fill(0.0);
        let (samples, bucket) = deep::split(b.index, p.starts, [p.buckets, p.bucket], split);
        for s in samples {
            let lanes = s * 2 * front.hidden..(s + 1) * 2 * front.hidden;
            let z = deep::z_row(b.z, b.halves, lanes, limit);
            let delta = &b.delta[s * p.stride as usize..][..layer.width];
            let scale = half::scale_of(delta, p.penalty);
            for j in 0..layer.inputs {
                let mut derivative = f64::from(p.penalty);
                for (o, delta) in delta.iter().enumerate() {
                    let at = o * layer.inputs + j;
                    derivative += b.head[layer.weights_of(bucket) + at] * delta;
                    share[of_weights + at] += delta * front.x(&z, j);
                }
                for (u, slope) in front.slopes(&z, j) {
                    let dz = slope * derivative;
                    let to = deep::place(p.samples as usize, s, u);
                    match half {
                        0 => b.dz[to] = dz,
                        // The sum with 0 has no −0.
                        _ => half::put(b.dz_halves, to, 0.0 + dz / scale),
                    }
                    share[u] += dz;
                }
            }
        }
    }
}

fn traffic(variant: usize, params: &[u8]) -> Traffic {
    let p: Params = bytemuck::pod_read_unaligned(params);
    let [samples, hidden, buckets, splits] =
        [p.samples, p.hidden, p.buckets, p.splits].map(u64::from);
    let [stride, inputs, width] = [p.stride, p.inputs, p.width].map(u64::from);
    let [_, _, half] = KERNEL.choices(variant);
    // Bytes of all lanes, and the lanes.
    let stored = if half == 1 { 2 } else { 4 } * samples * 2 * hidden;
    let lanes = samples * 2 * hidden;
    let of_buckets = if buckets > 1 { splits } else { 0 };
    Traffic {
        read: stored
            + 4 * (samples * stride
                + buckets.min(splits) * width * inputs
                + splits
                + 1
                + of_buckets),
        written: stored + 4 * splits * (2 * hidden + width * inputs),
        operations: 4 * samples * width * inputs + 4 * lanes,
        ..Traffic::default()
    }
}

fn cases() -> Vec<Case> {
    // [samples, K, width, buckets]: 0, 1, slots − 1, slots, slots + 1, several splits and rounds of
    // outputs, primes.
    let shapes = [
        [0, 64, 3, 1],
        [1, 64, 1, 1],
        [127, 64, 15, 2],
        [128, 128, 16, 1],
        [129, 192, 17, 3],
        [1031, 64, 34, 8],
        [9, 4096, 7, 5],
    ];
    let mut cases = Vec::new();
    for variant in 0..KERNEL.variants() {
        for (seed, shape) in shapes.into_iter().enumerate() {
            cases.push(case(variant, seed, shape));
        }
    }
    // Past 65,535 workgroups, with splits of one sample.
    cases.push(case(0, 7, [520, 4096, 1, 1]));
    cases
}

fn case(variant: usize, seed: usize, [samples, hidden, width, buckets]: [usize; 4]) -> Case {
    let [activation, pairwise, half] = KERNEL.choices(variant);
    // Without pairs, K may be an odd multiple of 32.
    let hidden = match pairwise {
        0 if hidden == 64 => 32,
        _ => hidden,
    };
    let mut inputs = Inputs::new(2300 + seed as u64);
    let architecture = case::architecture(hidden, pairwise == 1, &[width], buckets, seed);
    let layers = head::layers(&architecture);
    let most = if samples == 520 { 1 } else { deep::SPLIT };
    let index = case::Index::with_splits(&mut inputs, &architecture, samples, most);
    let clip = match half {
        0 => [1.0, 0.75, 127.0 / 64.0][seed % 3],
        _ => [1.0, 0.5, 2.0][seed % 3],
    };
    let activation = Activation::ALL[activation];
    let scale = Scale::new(activation.has_clip().then_some(clip));
    let (stride, share) = (deep::stride(&layers), deep::share(hidden, &layers));
    let params = Params {
        samples: samples as u32,
        hidden: hidden as u32,
        buckets: buckets as u32,
        bucket: index.bucket,
        splits: index.count(),
        starts: index.starts,
        layers: index.layers,
        stride: stride as u32,
        share: share as u32,
        inputs: layers[0].inputs as u32,
        width: width as u32,
        clip,
        limit: scale.limit,
        penalty: [0.0, 0.5, 2.0][seed % 3],
    };
    // In 16 bits every D must be exact, so that its word is the reference's: few bits in each
    // factor.
    let mut draw = |count: usize, steps: u32| match half {
        0 => inputs.floats(count, -1.0, 1.0),
        _ => {
            let words = inputs.words(count, 2 * steps + 1).into_iter();
            words.map(|word| word as f32 / steps as f32 - 1.0).collect()
        }
    };
    let mut delta: Vec<f32> = draw(samples * stride, 1);
    for row in delta.chunks_mut(stride) {
        row[width..].fill(0.0);
    }
    let values = draw(case::head_len(&layers, buckets), 2);
    let z = match half {
        0 => inputs.around_kinks(samples * 2 * hidden, clip),
        _ => draw(samples * 2 * hidden, 4)
            .into_iter()
            .map(|z| 2.0 * z)
            .collect(),
    };
    let [z, halves] = case::stored(z, (half == 1).then_some(scale));
    let rounds = width.div_ceil(OUTPUTS);
    let c = 3.0 + activation.operations() as f64;
    let slots = Slots {
        z,
        halves,
        head: Slot::Floats(values),
        delta: Slot::Floats(delta),
        dz: Slot::Output {
            len: (1 - half) * samples * 2 * hidden,
            bound: Bound::Sum {
                terms: width + rounds + 1,
                c,
            },
        },
        dz_halves: Slot::UpdateWords(vec![7; half * samples * hidden]),
        // What other kernels add to a share must not change.
        shares: Slot::Update {
            values: vec![0.25; index.count() as usize * share],
            bound: Bound::Sum {
                terms: deep::SPLIT + width + 1,
                c,
            },
        },
        index: Slot::Words(index.words),
    };
    let name = format!(
        "L={samples} K={hidden} width={width} buckets={buckets} T={clip} penalty={}",
        params.penalty
    );
    Case::new(name, variant, params, slots)
}
