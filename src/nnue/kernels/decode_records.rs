//! Index lists, targets and output buckets from chess records, and what the transposed index is
//! made of.
//!
//! A record has 8 words: a bit per occupied square (2 words), a code of four bits per piece, by
//! ascending square (4 words), the target, and the start of the sample's lists. A code is the kind
//! of piece, 0 to 5 for pawn, knight, bishop, rook, queen and king, plus 8 for the other side. With
//! the feature f of [`Chess768`](crate::nnue::data::Chess768) and the view v of the perspective's
//! king, the index is (f ^ (v >> 28)) + v % 2²⁸.
//!
//! A bit for each pair of a feature and a sample, and the number of samples of each list, become the transposed index in [`index_chunks`](super::index_chunks) and
//! [`index_samples`](super::index_samples).

use crate::engine::kernel::inputs::Inputs;
use crate::engine::kernel::{Call, Case, Kernel, PLAIN, Pass, Read, Slot, Traffic, Update};
use crate::engine::libraries::GRID;
use crate::nnue::records::{self, FIRST, FLIP_SHIFT, PIECE_COUNTS, RECORD, VIEWS};
use rand::RngExt;
use rand::seq::SliceRandom;

crate::interface! {
    /// The samples of a batch.
    pub struct Params {
        /// Samples.
        pub samples: u32,
        /// N.
        pub inputs: u32,
        /// Output buckets.
        pub buckets: u32,
        /// Lists of a feature in the transposed index: one for each output bucket, or 1.
        pub ranges: u32,
        /// Words of bits per feature, with a bit per sample.
        pub words: u32,
        /// The offset of the first perspective's indices in `lists`.
        pub indices_1: u32,
        /// The offset of the second perspective's indices in `lists`.
        pub indices_2: u32,
        /// The offset of the targets in `lists`.
        pub targets: u32,
        /// The offset of the samples' buckets in `lists`, if there are several.
        pub bucket: u32,
    }
    pub struct Buffers {
        /// The views by the square of the king, `[64]`; the output buckets by the number of pieces,
        /// `[33]`; from word 100 on the records, `[samples, 8]`.
        pub records: Read<u32>,
        /// The starts of the lists, `[2, samples + 1]`, and at their offsets the indices, the
        /// targets and the buckets.
        pub lists: Update<u32>,
        /// A bit for each pair of a feature and a sample, `[2, N, words]`, 0 before.
        pub bits: Update<u32>,
        /// The samples of each list, `[2, N, ranges]`, 0 before.
        pub counts: Update<u32>,
    }
}

impl crate::engine::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        self.samples.div_ceil(32)
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "decode_records",
    operation: None,
    pass: Pass::Forward,
    wgsl: include_str!("../../../shaders/nnue/decode_records.wgsl"),
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
    let [inputs, words, buckets, ranges] =
        [p.inputs, p.words, p.buckets, p.ranges].map(|number| number as usize);
    let (views, of_pieces) = b.records.split_at(VIEWS);
    let samples = p.samples as usize;
    let of_samples = b.records[FIRST..].chunks_exact(RECORD).take(samples);
    for (sample, record) in of_samples.enumerate() {
        let (target, start, count) = (record[6], record[7], records::count(record));
        let bucket = match buckets {
            1 => 0,
            _ => of_pieces[count as usize],
        };
        if buckets > 1 {
            b.lists[p.bucket as usize + sample] = bucket;
        }
        for starts in [0, samples + 1] {
            b.lists[starts + sample] = start;
            b.lists[starts + sample + 1] = start + count;
        }
        b.lists[p.targets as usize + sample] = target;
        for (piece, features) in records::features(record, views).enumerate() {
            for (perspective, feature) in features.into_iter().enumerate() {
                let indices = [p.indices_1, p.indices_2][perspective];
                b.lists[(indices + start) as usize + piece] = feature;
                let row = perspective * inputs + feature as usize;
                b.bits[row * words + sample / 32] |= 1 << (sample % 32);
                let range = if ranges > 1 { bucket as usize } else { 0 };
                b.counts[row * ranges + range] += 1;
            }
        }
    }
}

fn traffic(_: usize, params: &[u8]) -> Traffic {
    let p: Params = bytemuck::pod_read_unaligned(params);
    let samples = u64::from(p.samples);
    // The lists of one perspective end where those of the other begin.
    let entries = 2 * u64::from(p.indices_2 - p.indices_1);
    // A word of bits and a count for each index.
    let issued = 8 * entries;
    let rows = 2 * u64::from(p.inputs);
    Traffic {
        read: 4 * (FIRST as u64 + RECORD as u64 * samples),
        written: 4 * (entries + 3 * samples),
        gathered_issued: issued,
        gathered_distinct: issued.min(4 * rows * u64::from(p.words + p.ranges)),
        ..Traffic::default()
    }
}

fn cases() -> Vec<Case> {
    // [samples, king buckets, output buckets]: 0, 1, a workgroup − 1, a workgroup, a workgroup + 1,
    // primes, several king buckets, and more than 65,535 workgroups: so many bits would not fit, so
    // that the boards are empty.
    let shapes = [
        [0, 1, 1],
        [1, 1, 1],
        [31, 1, 8],
        [32, 2, 1],
        [33, 10, 8],
        [997, 4, 33],
        [2_097_200, 0, 2],
    ];
    shapes.into_iter().enumerate().map(case).collect()
}

fn case((seed, [samples, kings, buckets]): (usize, [usize; 3])) -> Case {
    let mut inputs = Inputs::new(2100 + seed as u64);
    let mut data: Vec<u32> = (0..VIEWS)
        .map(|_| {
            let bucket = inputs.0.random_range(0..kings.max(1)) as u32;
            let flip = [0, 7][inputs.0.random_range(0..2)];
            (768 * bucket) | (flip << FLIP_SHIFT)
        })
        .collect();
    data.extend(inputs.words(PIECE_COUNTS, buckets as u32));
    data.resize(FIRST, u32::MAX);
    let mut entries = 0;
    for _ in 0..samples {
        let record = match kings {
            0 => [0; RECORD - 2],
            _ => record(&mut inputs),
        };
        data.extend(record);
        data.extend([inputs.0.random_range(0..u32::MAX), entries]);
        entries += records::count(&record);
    }
    let indices_1 = 2 * (samples as u32 + 1);
    let indices_2 = indices_1 + entries;
    let targets = indices_2 + entries;
    let bucket = targets + samples as u32;
    let words = samples.div_ceil(32);
    // Every other case has one list per feature.
    let ranges = if seed % 2 == 0 { buckets } else { 1 };
    let params = Params {
        samples: samples as u32,
        inputs: 768 * kings as u32,
        buckets: buckets as u32,
        ranges: ranges as u32,
        words: words as u32,
        indices_1,
        indices_2,
        targets,
        bucket,
    };
    let rows = 2 * 768 * kings;
    Case::new(
        format!(
            "L={samples} N={} buckets={buckets} ranges={ranges}",
            768 * kings
        ),
        0,
        params,
        Slots {
            records: Slot::Words(data),
            lists: Slot::UpdateWords(vec![7; bucket as usize + samples]),
            bits: Slot::UpdateWords(vec![0; rows * words]),
            counts: Slot::UpdateWords(vec![0; rows * ranges]),
        },
    )
}

/// The first six words of a record of 2 to 32 pieces on random squares.
fn record(inputs: &mut Inputs) -> [u32; RECORD - 2] {
    let count = inputs.0.random_range(2..=32);
    let mut squares: Vec<u32> = (0..64).collect();
    squares.shuffle(&mut inputs.0);
    squares.truncate(count);
    squares.sort_unstable();
    let mut codes: Vec<u32> = (2..count)
        .map(|_| 8 * inputs.0.random_range(0..2) + inputs.0.random_range(0..5))
        .collect();
    codes.extend([5, 13]);
    codes.shuffle(&mut inputs.0);
    let mut words = [0; RECORD - 2];
    for (piece, (square, code)) in squares.into_iter().zip(codes).enumerate() {
        words[square as usize / 32] |= 1 << (square % 32);
        words[2 + piece / 8] |= code << (4 * (piece % 8));
    }
    words
}
