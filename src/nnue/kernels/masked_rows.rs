//! Rows of Σ X·M·S·e, the sums over samples from which every gradient of an accumulator is
//! computed: see [`masked`].

mod cpu;

use super::half;
use super::libraries::{ACTIVATION, BITS, KINDS};
use super::masked::{self, GROUP, Kind};
use crate::engine::kernel::inputs::Inputs;
use crate::engine::kernel::{Bound, Call, Case, Kernel, Pass, Read, Slot, Traffic, Update};
use crate::engine::libraries::GRID;
use crate::nnue::activation::Activation;
use crate::tensor::lists::{self, CHUNK};
use std::ops::Range;

crate::interface! {
    /// The rows of both perspectives. The second perspective's rows follow the first's.
    pub struct Params {
        /// Samples of this strip.
        pub samples: u32,
        /// The index of the strip's first sample among all samples, a multiple of [`CHUNK`].
        pub first: u32,
        /// Samples of all strips.
        pub total: u32,
        /// K, a multiple of 32.
        pub hidden: u32,
        /// Chunks of the first perspective's transposed index. A chunk without samples is only room,
        /// and its row is not written.
        pub chunks_1: u32,
        /// Chunks of the second perspective's transposed index.
        pub chunks_2: u32,
        /// The offset of the first perspective's chunk starts in `index`. The second's follow them.
        pub starts: u32,
        /// The offset of the first perspective's samples in `index`.
        pub list_1: u32,
        /// The offset of the second perspective's samples in `index`.
        pub list_2: u32,
        /// The number of blocks of samples in all strips.
        pub blocks: u32,
        /// The offset of their starts in `index`, `[blocks + 1]`. No block is in two strips.
        pub block_starts: u32,
        /// The order of lanes in words, as in `forward_sparse`.
        pub interleave: u32,
        /// Samples in all chunks.
        pub entries: u32,
        /// The unit of slopes in 16 bits: 1 ÷ [`units`](masked::units).
        pub unit: f32,
        /// 1 if the lane group is the slow axis of the workgroups, 0 if the row is.
        pub by_lane_group: u32,
    }
    pub struct Buffers {
        /// Index lists, targets and transposed index of a batch.
        pub index: Read<u32>,
        /// Y, then e = ∂Loss/∂Y, `[2L]`.
        pub results: Read<f32>,
        /// The mask words of each sample, by plane.
        pub bits: Read<u32>,
        /// The slope of each lane, `[samples, 2K]`.
        pub slopes: Read<f32>,
        /// Z of each lane inside the mask in 16 bits instead of the slope.
        pub short_slopes: Read<u32>,
        /// The rows of sums.
        pub rows: Update<f32>,
    }
}

impl crate::engine::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        // For ReLU the last workgroups have no row.
        let rows = self.chunks_1 + self.chunks_2 + 4 * self.blocks;
        rows * self.hidden.div_ceil(GROUP as u32)
    }
}

/// One perspective's share of the buffers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Side {
    pub(super) perspective: usize,
    pub(super) chunks: usize,
    /// The offset of its chunk starts.
    pub(super) starts: usize,
    /// The offset of its samples.
    pub(super) list: usize,
    /// Rows.
    pub(super) total: usize,
}

impl Params {
    pub(super) fn strip(&self) -> Range<usize> {
        self.first as usize..(self.first + self.samples) as usize
    }

    /// The samples of a block that are of the strip: all or none.
    pub(super) fn block(&self, index: &[u32], block: usize) -> Range<usize> {
        let strip = self.strip();
        let starts = &index[self.block_starts as usize + block..];
        let [start, end] =
            [starts[0], starts[1]].map(|at| (at as usize).clamp(strip.start, strip.end));
        start..end
    }

    pub(super) fn sides(&self, activation: Activation) -> [Side; 2] {
        let chunks = [self.chunks_1 as usize, self.chunks_2 as usize];
        [0, 1].map(|perspective| Side {
            perspective,
            chunks: chunks[perspective],
            starts: self.starts as usize + perspective * (chunks[0] + 1),
            list: [self.list_1, self.list_2][perspective] as usize,
            total: masked::rows(activation, chunks[perspective], self.blocks as usize),
        })
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "masked_rows",
    operation: Some("accumulator"),
    pass: Pass::Gradient,
    wgsl: include_str!("../../../shaders/nnue/masked_rows.wgsl"),
    libraries: &[GRID, ACTIVATION, BITS],
    axes: &[KINDS],
    bindings: Params::BINDINGS,
    fields: Params::FIELDS,
    twin,
    cpu: Some(cpu::body),
    traffic: Some(traffic),
    cases,
};

fn twin(call: Call<'_, f64>) {
    let variant = call.variant;
    let (p, buffers) = call.open::<Params>();
    let Kind { activation, short } = Kind::ALL[variant];
    let index = buffers.index;
    let (e, bits) = (&buffers.results[p.total as usize..], buffers.bits);
    let rows = buffers.rows;
    let clip = f64::INFINITY;
    let slope = |place: usize, lane: usize| match short {
        false => buffers.slopes[place + lane],
        true => {
            let of_lane = half::place(p.hidden as usize, lane, 2 * p.interleave as usize);
            let z = f64::from(half::get_units(buffers.short_slopes, place + of_lane));
            activation.slope(z * f64::from(p.unit), clip)
        }
    };
    let (total, hidden) = (p.total as usize, p.hidden as usize);
    let (blocks, words) = (p.blocks as usize, hidden / 32);
    let strip = p.strip();
    let mut first = 0;
    for side in p.sides(activation) {
        let (starts, list) = (&index[side.starts..], &index[side.list..]);
        for row in 0..side.total {
            let of_row: Vec<usize> = if row < side.chunks {
                if starts[row] == starts[row + 1] {
                    continue;
                }
                let entries = &list[starts[row] as usize..starts[row + 1] as usize];
                let entries = entries.iter().map(|&sample| sample as usize);
                entries.filter(|sample| strip.contains(sample)).collect()
            } else {
                p.block(index, (row - side.chunks) % blocks).collect()
            };
            if row >= side.chunks && of_row.is_empty() {
                continue;
            }
            for r in 0..hidden {
                let (word, bit) = masked::word_and_bit(r, p.interleave as usize);
                let mut sum = 0.0;
                for &s in &of_row {
                    let is_set = |kind: usize| {
                        let plane = 2 * kind + side.perspective;
                        bits[(plane * total + s) * words + word] >> bit & 1 == 1
                    };
                    if row >= side.chunks + blocks {
                        sum += if is_set(1) { e[s] } else { 0.0 };
                    } else if activation.has_slopes() {
                        let sample = side.perspective * strip.len() + s - strip.start;
                        sum += e[s] * slope(sample * hidden, r);
                    } else {
                        sum += if is_set(0) { e[s] } else { 0.0 };
                    }
                }
                let place = masked::place(hidden, side.total, row, r / GROUP);
                let out = &mut rows[first + place.start + r % GROUP];
                let is_added = row < side.chunks && strip.start > 0;
                *out = if is_added { *out + sum } else { sum };
            }
        }
        first += side.total * hidden;
    }
}

fn traffic(variant: usize, params: &[u8]) -> Traffic {
    let p: Params = bytemuck::pod_read_unaligned(params);
    let Kind { activation, short } = Kind::ALL[variant];
    let [samples, hidden, chunks, entries] =
        [p.samples, p.hidden, p.chunks_1 + p.chunks_2, p.entries].map(u64::from);
    let blocks = u64::from(p.blocks);
    // Bytes per lane that G and G_B read, and bytes per lane that G_T reads.
    let of_lane = match (activation.has_slopes(), short) {
        (true, false) => 4 * hidden,
        (true, true) => 2 * hidden,
        _ => hidden / 8,
    };
    let above = if activation.has_clip() { hidden / 8 } else { 0 };
    let kinds = activation.conditions() as u64;
    let terms = entries + kinds * 2 * samples;
    let rows = chunks + kinds * 2 * blocks;
    let before = if p.first > 0 { chunks } else { 0 };
    Traffic {
        read: 4 * (chunks + 2 + blocks + 1 + entries + before * hidden),
        written: 4 * rows * hidden,
        gathered_issued: 4 * terms + (entries + 2 * samples) * of_lane + 2 * samples * above,
        gathered_distinct: 4 * samples + 2 * samples * (of_lane + above),
        operations: terms * hidden,
    }
}

fn cases() -> Vec<Case> {
    // [samples, K, F, N, interleave, buckets]: 0, 1, tile − 1, tile, tile + 1, a chunk and one
    // more, every interleave, groups of lanes that are not full, primes, and past 65,535
    // workgroups.
    let shapes = [
        [0, 32, 2, 5, 1, 1],
        [1, 32, 1, 1, 1, 1],
        [15, 64, 7, 40, 2, 1],
        [16, 96, 32, 768, 1, 1],
        [17, 128, 32, 768, 4, 1],
        [1024, 32, 2, 3, 1, 1],
        [1025, 160, 5, 45, 1, 1],
        [2300, 256, 3, 7, 2, 1],
        [6, 640, 9, 31, 4, 1],
        [3, 32, 2, 66_001, 1, 1],
        [1, 64, 2, 5, 1, 8],
        [2301, 160, 4, 11, 1, 8],
    ];
    let mut cases = Vec::new();
    for variant in 0..KINDS.len() {
        for (seed, shape) in shapes.into_iter().enumerate() {
            cases.push(case(variant, seed, shape));
        }
    }
    // Past 65,535 workgroups: about half of the features have a sample.
    cases.push(case(0, 10, [33_000, 160, 3, 66_001, 1, 1]));
    cases
}

fn case(variant: usize, seed: usize, shape: [usize; 6]) -> Case {
    let [samples, hidden, width, features, interleave, buckets] = shape;
    let Kind { activation, short } = Kind::ALL[variant];
    let mut inputs = Inputs::new(1400 + seed as u64);
    let sparse = [(); 2].map(|()| inputs.sparse(samples, width, features));
    let mut ends = inputs.words(buckets - 1, samples as u32 + 1);
    ends.push(samples as u32);
    ends.sort_unstable();
    let mut chunks = sparse.each_ref().map(|sparse| sparse.chunks(&ends));
    // Room for more chunks than there are.
    for chunks in &mut chunks {
        let room = chunks.len() + [0, 0, 3][seed % 3];
        chunks.starts.resize(room + 1, chunks.starts[chunks.len()]);
    }
    let blocks = lists::blocks(&ends, CHUNK);
    // Other words precede it.
    let mut index = vec![u32::MAX; seed % 3];
    let mut join = |words: &[u32]| {
        index.extend(words);
        (index.len() - words.len()) as u32
    };
    let [starts, _] = chunks.each_ref().map(|chunks| join(&chunks.starts));
    let [list_1, list_2] = sparse.each_ref().map(|sparse| join(sparse.samples()));
    let block_starts = join(&blocks.starts);
    // Every other shape with room for it is the second of two strips.
    let first = if seed % 2 == 1 {
        samples.saturating_sub(1) / CHUNK * CHUNK
    } else {
        0
    };
    let params = Params {
        samples: (samples - first) as u32,
        first: first as u32,
        total: samples as u32,
        hidden: hidden as u32,
        chunks_1: chunks[0].len() as u32,
        chunks_2: chunks[1].len() as u32,
        starts,
        list_1,
        list_2,
        blocks: blocks.len() as u32,
        block_starts,
        interleave: interleave as u32,
        entries: sparse
            .iter()
            .map(|lists| lists.samples().len() as u32)
            .sum(),
        unit: 1.0 / masked::units([1.0, 127.0 / 64.0][seed % 2]),
        by_lane_group: (seed as u32 / 2) % 2,
    };
    let words = samples * 2 * hidden / 32;
    let kinds = activation.conditions();
    let lanes = (samples - first) * 2 * hidden;
    let [slopes, short_slopes] = match (activation.has_slopes(), short) {
        (true, false) => [lanes, 0],
        (true, true) => [0, lanes / 2],
        _ => [0; 2],
    };
    let rows: usize = params.sides(activation).iter().map(|side| side.total).sum();
    Case::new(
        format!(
            "L={samples} K={hidden} F={width} N={features} interleave={interleave} buckets={buckets}"
        ),
        variant,
        params,
        Slots {
            index: Slot::Words(index),
            results: Slot::Floats(inputs.floats(2 * samples, -1.0, 1.0)),
            bits: Slot::Words(inputs.words(kinds * words, u32::MAX)),
            slopes: Slot::Floats(inputs.floats(slopes, -1.0, 1.0)),
            short_slopes: Slot::Words(inputs.words(short_slopes, u32::MAX)),
            rows: Slot::Update {
                values: inputs.floats(rows * hidden, -1.0, 1.0),
                bound: Bound::Sum {
                    terms: samples.clamp(1, CHUNK) + 1,
                    c: 1.0,
                },
            },
        },
    )
}
