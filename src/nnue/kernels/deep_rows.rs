//! Rows of Σ D\[s, pK + r\] over the samples of each chunk of the transposed index, with D =
//! ∂Loss/∂Z (section 1.14): see [`deep`].

use super::deep::{self, TILE};
use super::half;
use super::libraries::{HALF, STORAGES};
use crate::engine::kernel::inputs::Inputs;
use crate::engine::kernel::{Bound, Call, Case, Kernel, Pass, Read, Slot, Traffic, Write};
use crate::engine::libraries::GRID;
use crate::tensor::lists::CHUNK;

crate::interface! {
    /// The rows of both perspectives. The second perspective's rows follow the first's.
    pub struct Params {
        /// Samples.
        pub samples: u32,
        /// K, a multiple of 32.
        pub hidden: u32,
        /// Chunks of the first perspective's transposed index.
        pub chunks_1: u32,
        /// Chunks of the second perspective's transposed index.
        pub chunks_2: u32,
        /// The offset of the first perspective's chunk starts in `index`. The second's follow them.
        pub starts: u32,
        /// The offset of the first perspective's samples in `index`.
        pub list_1: u32,
        /// The offset of the second perspective's samples in `index`.
        pub list_2: u32,
        /// Samples in all chunks.
        pub entries: u32,
    }
    pub struct Buffers {
        /// Index lists, targets and transposed index of a batch.
        pub index: Read<u32>,
        /// D, by tiles of [`TILE`] lanes, unless it is stored in 16 bits.
        pub dz: Read<f32>,
        /// D ÷ the scale of its sample, in 16 bits, two lanes in a word.
        pub dz_halves: Read<u32>,
        /// The scales of the samples, `[samples]`, for 16 bits.
        pub scales: Read<f32>,
        /// The rows of sums, `[chunks, K]`.
        pub rows: Write<f32>,
    }
}

impl crate::engine::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        (self.chunks_1 + self.chunks_2) * self.hidden.div_ceil(TILE as u32)
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "deep_rows",
    operation: Some("head"),
    pass: Pass::Gradient,
    wgsl: include_str!("../../../shaders/nnue/deep_rows.wgsl"),
    libraries: &[GRID, HALF],
    axes: &[STORAGES],
    bindings: Params::BINDINGS,
    fields: Params::FIELDS,
    twin,
    cpu: None,
    traffic: Some(traffic),
    cases,
};

fn twin(call: Call<'_, f64>) {
    let is_half = call.variant == 1;
    let (p, b) = call.open::<Params>();
    let (samples, hidden) = (p.samples as usize, p.hidden as usize);
    let chunks = [p.chunks_1 as usize, p.chunks_2 as usize];
    for perspective in 0..2 {
        let starts = &b.index[p.starts as usize + perspective * (chunks[0] + 1)..];
        let list = &b.index[[p.list_1, p.list_2][perspective] as usize..];
        let rows = &mut b.rows[perspective * chunks[0] * hidden..];
        for chunk in 0..chunks[perspective] {
            let of_chunk = &list[starts[chunk] as usize..starts[chunk + 1] as usize];
            for r in 0..hidden {
                let u = perspective * hidden + r;
                let terms = of_chunk.iter().map(|&s| {
                    let at = deep::place(samples, s as usize, u);
                    match is_half {
                        false => b.dz[at],
                        true => b.scales[s as usize] * half::get(b.dz_halves, at),
                    }
                });
                rows[chunk * hidden + r] = terms.sum();
            }
        }
    }
}

fn traffic(variant: usize, params: &[u8]) -> Traffic {
    let p: Params = bytemuck::pod_read_unaligned(params);
    let [samples, hidden, chunks, entries] =
        [p.samples, p.hidden, p.chunks_1 + p.chunks_2, p.entries].map(u64::from);
    // Bytes of a lane of D, and of the scale of a sample.
    let (of_lane, of_scale) = if variant == 1 { (2, 4) } else { (4, 0) };
    Traffic {
        read: 4 * (chunks + 2 + entries),
        written: 4 * chunks * hidden,
        gathered_issued: entries * (of_lane * hidden + of_scale),
        gathered_distinct: entries.min(2 * samples) * of_lane * hidden
            + entries.min(samples) * of_scale,
        operations: entries * hidden,
    }
}

fn cases() -> Vec<Case> {
    // [samples, K, F, N]: 0, 1, slots − 1, slots, slots + 1, a chunk and one more, tiles that are
    // not full, primes, and past 65,535 workgroups.
    let shapes = [
        [0, 32, 2, 5],
        [1, 32, 1, 1],
        [15, 64, 7, 40],
        [16, 96, 32, 768],
        [17, 128, 32, 768],
        [1024, 32, 2, 3],
        [1025, 160, 5, 45],
        [2300, 256, 3, 7],
        [6, 4096, 9, 31],
        [33_000, 160, 3, 66_001],
    ];
    let case = |variant: usize, (seed, [samples, hidden, width, features]): (usize, [usize; 4])| {
        let mut inputs = Inputs::new(2000 + seed as u64);
        let sparse = [(); 2].map(|()| inputs.sparse(samples, width, features));
        // Other words precede it.
        let mut index = vec![u32::MAX; seed % 3];
        let mut join = |words: &[u32]| {
            index.extend(words);
            (index.len() - words.len()) as u32
        };
        let [starts, _] = sparse.each_ref().map(|lists| join(lists.chunk_starts()));
        let [list_1, list_2] = sparse.each_ref().map(|lists| join(lists.samples()));
        let chunks = sparse
            .each_ref()
            .map(|lists| lists.chunk_starts().len() - 1);
        let entries: usize = sparse.iter().map(|lists| lists.samples().len()).sum();
        let params = Params {
            samples: samples as u32,
            hidden: hidden as u32,
            chunks_1: chunks[0] as u32,
            chunks_2: chunks[1] as u32,
            starts,
            list_1,
            list_2,
            entries: entries as u32,
        };
        let lanes = samples * 2 * hidden;
        let exponents = inputs.words(samples, 4).into_iter();
        let scales: Vec<f32> = exponents.map(|word| (word as f32 - 2.0).exp2()).collect();
        // Words have no magnitude from which a bound could follow, so what they hold adds up
        // exactly.
        let (dz, dz_halves, bound) = match variant {
            0 => {
                let terms = samples.clamp(1, CHUNK);
                let values = Slot::Floats(inputs.floats(lanes, -1.0, 1.0));
                (values, Vec::new(), Bound::Sum { terms, c: 1.0 })
            }
            _ => {
                let mut words = vec![0; lanes / 2];
                for (i, value) in inputs.sixteenths(lanes).into_iter().enumerate() {
                    half::put(&mut words, i, f64::from(value));
                }
                (Slot::Floats(Vec::new()), words, Bound::Exact)
            }
        };
        let slots = Slots {
            index: Slot::Words(index),
            dz,
            dz_halves: Slot::Words(dz_halves),
            scales: Slot::Floats(scales),
            rows: Slot::Output {
                len: (chunks[0] + chunks[1]) * hidden,
                bound,
            },
        };
        let name = format!("L={samples} K={hidden} F={width} N={features}");
        Case::new(name, variant, params, slots)
    };
    let variants = 0..KERNEL.variants();
    variants
        .flat_map(|variant| {
            let each = shapes.into_iter().enumerate();
            each.map(move |one| case(variant, one))
        })
        .collect()
}
