//! to\[i\] = from\[i\] over one shape. It makes views row-major, joins tensors, and writes
//! gradients into a view.

use super::strided::{self, STRIDED};
use crate::engine::kernel::inputs::Inputs;
use crate::engine::kernel::{Bound, Call, Case, Kernel, PLAIN, Pass, Read, Real, Slot, Update};
use crate::engine::libraries::GRID;
use crate::tensor::shape::{Layout, Walk};

crate::interface! {
    /// One walk over source and destination.
    pub struct Params {
        /// Sizes, as in [`Walk`].
        pub shape: [u32; 8],
        /// Strides of the source.
        pub from_strides: [u32; 8],
        /// Strides of the destination, in which no two elements share an index.
        pub to_strides: [u32; 8],
        /// Elements.
        pub length: u32,
    }
    pub struct Buffers {
        /// The elements to copy.
        pub source: Read<f32>,
        /// The destination. Elements outside its walk keep their values.
        pub destination: Update<f32>,
    }
}

impl Params {
    /// The parameters for layouts of one shape.
    pub fn new(from: &Layout, to: &Layout) -> Self {
        let walk = Walk::new([from, to]);
        Self {
            shape: walk.shape,
            from_strides: walk.operands[0],
            to_strides: walk.operands[1],
            length: walk.length,
        }
    }
}

super::strided::walks! { Walk<2>: from_strides, to_strides }

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "copy",
    operation: Some("copy"),
    pass: Pass::Forward,
    wgsl: include_str!("../../../shaders/tensor/copy.wgsl"),
    libraries: &[GRID, STRIDED],
    axes: PLAIN,
    bindings: Params::BINDINGS,
    fields: Params::FIELDS,
    twin: element_by_element,
    cpu: Some(body),
    traffic: None,
    cases,
};

fn element_by_element<R: Real>(call: Call<'_, R>) {
    let (p, b) = call.open::<Params>();
    let (from, to) = (b.source, b.destination);
    let walk = p.walk();
    for i in 0..p.length as usize {
        to[walk.place(1, i)] = from[walk.place(0, i)];
    }
}

fn body(call: Call<'_, f32>) {
    let (p, b) = call.open::<Params>();
    let (from, to) = (b.source, b.destination);
    let walk = p.walk();
    let row = p.shape[0] as usize;
    if p.length == 0 {
        return;
    }
    // The loop takes one row of the innermost axis at a time. Most copies write contiguous
    // elements.
    let (step_from, step_to) = (p.from_strides[0] as usize, p.to_strides[0] as usize);
    for start in (0..p.length as usize).step_by(row) {
        let from = &from[walk.place(0, start)..];
        let to = &mut to[walk.place(1, start)..];
        match (step_from, step_to) {
            (1, 1) => to[..row].copy_from_slice(&from[..row]),
            (0, 1) => to[..row].fill(from[0]),
            _ => {
                for i in 0..row {
                    to[i * step_to] = from[i * step_from];
                }
            }
        }
    }
}

fn cases() -> Vec<Case> {
    let dense = |layout: &Layout| Layout::contiguous(layout.shape);
    let views = strided::views().into_iter().chain([strided::long()]);
    let out_of = views.map(|(name, layout, length)| {
        let to = dense(&layout);
        (
            format!("{name} to row-major"),
            layout,
            length,
            to,
            to.shape.elements(),
        )
    });
    // Copies into a view, if no two of its elements share an index.
    let views = strided::views().into_iter();
    let views = views.filter(|(name, ..)| !name.contains("stretched"));
    let into = views.map(|(name, layout, length)| {
        let from = dense(&layout);
        (
            format!("row-major to {name}"),
            from,
            from.shape.elements(),
            layout,
            length,
        )
    });
    let case = |(seed, (name, from, length, to, destination)): (u64, (_, _, usize, _, usize))| {
        let mut inputs = Inputs::new(seed);
        let update = Slot::Update {
            values: inputs.floats(destination, -1.0, 1.0),
            bound: Bound::Exact,
        };
        let source = Slot::Floats(inputs.floats(length, -1.0, 1.0));
        let name: String = name;
        let slots = Slots {
            source,
            destination: update,
        };
        Case::new(name, 0, Params::new(&from, &to), slots)
    };
    (6000..).zip(out_of.chain(into)).map(case).collect()
}
