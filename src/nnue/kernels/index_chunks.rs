//! The chunks of the transposed index on a device, from the number of samples of each list.
//!
//! A list has the samples of one feature, or those of one feature in one output bucket. The chunks
//! are those of [`SparseInputs`](crate::tensor::lists::SparseInputs). Their number is known on the
//! device alone, so the host makes room for as many as there can be, and the rest have no samples.

use crate::engine::kernel::inputs::Inputs;
use crate::engine::kernel::{Call, Case, Kernel, PLAIN, Pass, Read, Slot, Traffic, Update};
use crate::engine::libraries::GRID;
use crate::tensor::lists::CHUNK;
use rand::RngExt;

crate::interface! {
    /// The lists of each perspective.
    pub struct Params {
        /// Perspectives.
        pub perspectives: u32,
        /// Lists of a perspective.
        pub lists: u32,
        /// Room for the chunks of a perspective.
        pub chunks: u32,
        /// The offset of the first chunk of each list in `index`, `[perspectives, lists + 1]`.
        pub first_chunks: u32,
        /// The offset of the chunk starts in `index`, `[perspectives, chunks + 1]`.
        pub starts: u32,
    }
    pub struct Buffers {
        /// The samples of each list, `[perspectives, lists]`.
        pub counts: Read<u32>,
        /// Index lists, targets and transposed index of a batch.
        pub index: Update<u32>,
    }
}

impl crate::engine::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        self.perspectives * self.lists.div_ceil(TILE).max(1)
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "index_chunks",
    operation: None,
    pass: Pass::Forward,
    wgsl: include_str!("../../../shaders/nnue/index_chunks.wgsl"),
    libraries: &[GRID],
    axes: PLAIN,
    bindings: Params::BINDINGS,
    fields: Params::FIELDS,
    twin,
    cpu: None,
    traffic: Some(traffic),
    cases,
};

/// Lists of a workgroup.
const TILE: u32 = 1024;

/// The most chunks of lists with this many samples in all.
pub fn most_chunks(lists: usize, entries: usize) -> usize {
    // Each list has at most one chunk that is not full.
    entries.min(lists + entries / CHUNK)
}

fn twin(call: Call<'_, f64>) {
    let (p, b) = call.open::<Params>();
    let (lists, room) = (p.lists as usize, p.chunks as usize);
    for perspective in 0..p.perspectives as usize {
        let first_chunks = p.first_chunks as usize + perspective * (lists + 1);
        let starts = p.starts as usize + perspective * (room + 1);
        let (mut chunk, mut sample) = (0, 0);
        let counts = &b.counts[perspective * lists..][..lists];
        for (list, &count) in counts.iter().enumerate() {
            b.index[first_chunks + list] = chunk as u32;
            for begin in (0..count).step_by(CHUNK) {
                b.index[starts + chunk] = sample + begin;
                chunk += 1;
            }
            sample += count;
        }
        b.index[first_chunks + lists] = chunk as u32;
        b.index[starts + chunk..=starts + room].fill(sample);
    }
}

fn traffic(_: usize, params: &[u8]) -> Traffic {
    let p: Params = bytemuck::pod_read_unaligned(params);
    let (lists, chunks) = (u64::from(p.lists), u64::from(p.chunks));
    let perspectives = u64::from(p.perspectives);
    Traffic {
        read: 4 * perspectives * lists,
        written: 4 * perspectives * (lists + 1 + chunks + 1),
        ..Traffic::default()
    }
}

fn cases() -> Vec<Case> {
    // [perspectives, lists]: none, 1, a workgroup − 1, a workgroup, a workgroup + 1, several
    // workgroups, and more than 65,535 workgroups.
    let shapes = [
        [2, 0],
        [2, 1],
        [2, 255],
        [2, 1023],
        [1, 1024],
        [2, 1025],
        [2, 768],
        [3, 6144],
        [2, 61_440],
        [65_537, 2],
    ];
    shapes.into_iter().enumerate().map(case).collect()
}

fn case((seed, [perspectives, lists]): (usize, [usize; 2])) -> Case {
    let mut inputs = Inputs::new(2200 + seed as u64);
    let mut count = || -> u32 {
        match inputs.0.random_range(0..8) {
            0 | 1 => 0,
            2 => CHUNK as u32,
            3 => CHUNK as u32 + 1,
            4 => 5 * CHUNK as u32 - 1,
            _ => inputs.0.random_range(1..3 * CHUNK as u32),
        }
    };
    let counts: Vec<u32> = (0..perspectives * lists).map(|_| count()).collect();
    let entries = counts.chunks(lists.max(1));
    let entries = entries.map(|counts| counts.iter().sum::<u32>() as usize);
    let chunks = most_chunks(lists, entries.max().unwrap_or(0));
    // Other words precede the first chunks, and stand between them and the starts.
    let first_chunks = seed % 3;
    let starts = first_chunks + perspectives * (lists + 1) + seed % 2;
    let params = Params {
        perspectives: perspectives as u32,
        lists: lists as u32,
        chunks: chunks as u32,
        first_chunks: first_chunks as u32,
        starts: starts as u32,
    };
    Case::new(
        format!("perspectives={perspectives} lists={lists} chunks={chunks}"),
        0,
        params,
        Slots {
            counts: Slot::Words(counts),
            index: Slot::UpdateWords(vec![7; starts + perspectives * (chunks + 1)]),
        },
    )
}
