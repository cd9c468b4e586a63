//! y\[row, c\] = 1 where c is the row's class, else 0 (section 3).

use crate::engine::cpu;
use crate::engine::kernel::inputs::Inputs;
use crate::engine::kernel::{Bound, Call, Case, Kernel, PLAIN, Pass, Read, Slot, Write};
use crate::engine::libraries::GRID;

crate::interface! {
    /// Sizes of y, which has rows·classes elements. As in every shape, a `u32` can count them.
    pub struct Params {
        /// Rows.
        pub rows: u32,
        /// The number of classes. If a class is not below it, its row is all 0.
        pub classes: u32,
    }
    pub struct Buffers {
        /// The class of each row, `[rows]`.
        pub class_of: Read<u32>,
        /// 1 at the class of a row and 0 elsewhere, `[rows, classes]`.
        pub y: Write<f32>,
    }
}

impl crate::engine::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        self.rows.saturating_mul(self.classes).div_ceil(64)
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "one_hot",
    operation: Some("one_hot"),
    pass: Pass::Forward,
    wgsl: include_str!("../../../shaders/tensor/one_hot.wgsl"),
    libraries: &[GRID],
    axes: PLAIN,
    bindings: Params::BINDINGS,
    fields: Params::FIELDS,
    twin,
    cpu: Some(body),
    traffic: None,
    cases,
};

fn twin(call: Call<'_, f64>) {
    let (p, buffers) = call.open::<Params>();
    let (class_of, y) = (buffers.class_of, buffers.y);
    for row in 0..p.rows as usize {
        for c in 0..p.classes {
            let at = row * p.classes as usize + c as usize;
            y[at] = if class_of[row] == c { 1.0 } else { 0.0 };
        }
    }
}

fn body(call: Call<'_, f32>) {
    let (p, buffers) = call.open::<Params>();
    let (rows, classes) = (p.rows as usize, p.classes as usize);
    let (class_of, y) = (buffers.class_of, &mut buffers.y[..rows * classes]);
    cpu::rows(y, classes, |row, y| {
        y.fill(0.0);
        if let Some(one) = y.get_mut(class_of[row] as usize) {
            *one = 1.0;
        }
    });
}

fn cases() -> Vec<Case> {
    // [rows, classes]: 0, 1, tile − 1, tile, tile + 1 elements, a prime, and more than 65,535
    // workgroups.
    let shapes = [
        [0, 10],
        [3, 0],
        [1, 1],
        [9, 7],
        [16, 4],
        [13, 5],
        [997, 1],
        [61, 1009],
        [419_431, 10],
    ];
    let case = |(seed, [rows, classes]): (u64, [usize; 2])| {
        let params = Params {
            rows: rows as u32,
            classes: classes as u32,
        };
        // Some numbers are one above the last class, which is no class.
        let class_of = Inputs::new(7200 + seed).words(rows, classes as u32 + 1);
        let output = Slot::Output {
            len: rows * classes,
            bound: Bound::Exact,
        };
        let name = format!("rows={rows} classes={classes}");
        Case::new(
            name,
            0,
            params,
            Slots {
                class_of: Slot::Words(class_of),
                y: output,
            },
        )
    };
    (0..).zip(shapes).map(case).collect()
}
