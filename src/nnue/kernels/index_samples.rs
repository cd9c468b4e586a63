//! The samples of the transposed index on a device: for each feature, the numbers of its bits in
//! ascending order.

use super::index_chunks::most_chunks;
use crate::engine::kernel::inputs::Inputs;
use crate::engine::kernel::{Call, Case, Kernel, PLAIN, Pass, Slot, Traffic, Update};
use crate::engine::libraries::GRID;
use crate::tensor::lists::SparseInputs;

crate::interface! {
    /// The features of both perspectives.
    pub struct Params {
        /// N.
        pub inputs: u32,
        /// Lists of a feature.
        pub ranges: u32,
        /// Words of bits per feature, with a bit per sample.
        pub words: u32,
        /// Room for the chunks of a perspective.
        pub chunks: u32,
        /// The offset of the first chunk of each list in `index`, `[2, N·ranges + 1]`.
        pub first_chunks: u32,
        /// The offset of the chunk starts in `index`, `[2, chunks + 1]`.
        pub starts: u32,
        /// The offset of the first perspective's samples in `index`.
        pub samples_1: u32,
        /// The offset of the second perspective's samples in `index`.
        pub samples_2: u32,
        /// Samples in all lists of a perspective.
        pub entries: u32,
    }
    pub struct Buffers {
        /// A bit for each pair of a feature and a sample, `[2, N, words]`; 0 afterwards.
        pub bits: Update<u32>,
        /// The samples of each list, `[2, N, ranges]`; 0 afterwards.
        pub counts: Update<u32>,
        /// Index lists, targets and transposed index of a batch.
        pub index: Update<u32>,
    }
}

impl crate::engine::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        2 * self.inputs
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "index_samples",
    operation: None,
    pass: Pass::Forward,
    wgsl: include_str!("../../../shaders/nnue/index_samples.wgsl"),
    libraries: &[GRID],
    axes: PLAIN,
    bindings: Params::BINDINGS,
    fields: Params::FIELDS,
    twin,
    cpu: None,
    traffic: Some(traffic),
    cases,
};

fn twin(call: Call<'_, f64>) {
    let (p, b) = call.open::<Params>();
    let (inputs, words, ranges) = (p.inputs as usize, p.words as usize, p.ranges as usize);
    b.counts[..2 * inputs * ranges].fill(0);
    for perspective in 0..2 {
        let first_chunks = p.first_chunks as usize + perspective * (inputs * ranges + 1);
        let starts = p.starts as usize + perspective * (p.chunks as usize + 1);
        let samples = [p.samples_1, p.samples_2][perspective] as usize;
        for feature in 0..inputs {
            let chunk = b.index[first_chunks + feature * ranges] as usize;
            let mut at = samples + b.index[starts + chunk] as usize;
            let row = (perspective * inputs + feature) * words;
            for (word, bits) in b.bits[row..row + words].iter_mut().enumerate() {
                for bit in (0..32).filter(|bit| *bits >> bit & 1 == 1) {
                    b.index[at] = 32 * word as u32 + bit;
                    at += 1;
                }
                *bits = 0;
            }
        }
    }
}

fn traffic(_: usize, params: &[u8]) -> Traffic {
    let p: Params = bytemuck::pod_read_unaligned(params);
    let (rows, entries) = (2 * u64::from(p.inputs), 2 * u64::from(p.entries));
    let bits = rows * u64::from(p.words);
    Traffic {
        read: 4 * bits,
        written: 4 * (bits + rows * u64::from(p.ranges) + entries),
        // The first chunk of each feature, and its start.
        gathered_issued: 8 * rows,
        gathered_distinct: 4 * (rows + rows.min(2 * u64::from(p.chunks + 1))),
        ..Traffic::default()
    }
}

fn cases() -> Vec<Case> {
    // [samples, F, N, ranges]: no samples, 1, a word − 1, a word, a word + 1, a word per
    // invocation and one more, several words per invocation, primes, and more than 65,535
    // workgroups.
    let shapes = [
        [0, 1, 3, 1],
        [1, 1, 1, 1],
        [31, 3, 5, 2],
        [32, 3, 5, 1],
        [33, 7, 40, 8],
        [2048, 5, 13, 1],
        [2049, 32, 768, 8],
        [9973, 3, 31, 3],
        [7, 2, 32_771, 1],
    ];
    shapes.into_iter().enumerate().map(case).collect()
}

fn case((seed, [samples, width, features, ranges]): (usize, [usize; 4])) -> Case {
    let mut inputs = Inputs::new(2300 + seed as u64);
    let lists = [(); 2].map(|()| inputs.sparse(samples, width, features));
    let mut ends = inputs.words(ranges - 1, samples as u32 + 1);
    ends.push(samples as u32);
    ends.sort_unstable();
    let entries = lists.each_ref().map(|lists| lists.indices().len());
    let most = entries[0].max(entries[1]);
    let chunks = most_chunks(features * ranges, most);
    let mut index = vec![7; seed % 3];
    let first_chunks = index.len();
    let parts = lists.each_ref().map(|lists| lists.chunks(&ends));
    parts.iter().for_each(|part| index.extend(&part.first));
    let starts = index.len();
    for part in parts {
        let end = index.len() + chunks + 1;
        index.extend(&part.starts);
        index.resize(end, part.starts[part.len()]);
    }
    let samples_1 = index.len();
    let samples_2 = samples_1 + entries[0];
    index.resize(samples_2 + entries[1], 7);
    let words = samples.div_ceil(32);
    let params = Params {
        inputs: features as u32,
        ranges: ranges as u32,
        words: words as u32,
        chunks: chunks as u32,
        first_chunks: first_chunks as u32,
        starts: starts as u32,
        samples_1: samples_1 as u32,
        samples_2: samples_2 as u32,
        entries: most as u32,
    };
    Case::new(
        format!("L={samples} F={width} N={features} ranges={ranges}"),
        0,
        params,
        Slots {
            bits: Slot::UpdateWords(lists.iter().flat_map(|lists| bits(lists, words)).collect()),
            counts: Slot::UpdateWords(vec![9; 2 * features * ranges]),
            index: Slot::UpdateWords(index),
        },
    )
}

/// The bits of index lists, `[N, words]`.
fn bits(lists: &SparseInputs, words: usize) -> Vec<u32> {
    let mut bits = vec![0; lists.inputs() * words];
    for sample in 0..lists.len() {
        for &feature in lists.list(sample) {
            bits[feature as usize * words + sample / 32] |= 1 << (sample % 32);
        }
    }
    bits
}
