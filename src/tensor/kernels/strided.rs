//! The code that the elementwise kernels share: outputs are row-major, operands may have any
//! strides, and one walk goes through all of them.

use crate::engine::cpu;
use crate::engine::kernel::Real;
use crate::tensor::shape::{Layout, Shape, Walk, place};

/// `place`: the index of an element of a [`Walk`].
pub const STRIDED: &str = include_str!("../../../shaders/tensor/lib/strided.wgsl");

/// Implements the walk, and a grid of 64 elements per workgroup, for parameters with a `shape`,
/// these strides and a `length`.
macro_rules! walks {
    (Walk<$count:literal>: $($strides:ident),*) => {
        impl Params {
            fn walk(&self) -> crate::tensor::shape::Walk<$count> {
                crate::tensor::shape::Walk {
                    shape: self.shape,
                    operands: [$(self.$strides),*],
                    length: self.length,
                }
            }
        }

        impl crate::engine::kernel::Params for Params {
            const KERNEL: &'static Kernel = &KERNEL;
            fn groups(&self) -> u32 {
                self.length.div_ceil(64)
            }
        }
    };
}
pub(super) use walks;

/// Elements that are gathered and computed in one go.
const BLOCK: usize = 256;

/// `out[i] = f(elements i of the operands)`, one after the other: for twins.
pub fn each<R: Real, const N: usize>(
    out: &mut [R],
    walk: &Walk<N>,
    operands: [&[R]; N],
    f: impl Fn([R; N]) -> R,
) {
    for i in 0..walk.length as usize {
        out[i] = f(std::array::from_fn(|k| operands[k][walk.place(k, i)]));
    }
}

/// As [`each`], on threads and in vectors: for CPU implementations.
pub fn map<const N: usize>(
    out: &mut [f32],
    walk: &Walk<N>,
    operands: [&[f32]; N],
    f: impl Fn([f32; N]) -> f32 + Sync,
) {
    let out = &mut out[..walk.length as usize];
    cpu::pieces(out, |start, piece| {
        let mut gathered = [[0.0f32; BLOCK]; N];
        for (index, out) in piece.chunks_mut(BLOCK).enumerate() {
            let start = start + index * BLOCK;
            for (k, gathered) in gathered.iter_mut().enumerate() {
                if !is_dense(walk, k) {
                    let strides = &walk.operands[k];
                    gather(
                        &mut gathered[..out.len()],
                        start,
                        &walk.shape,
                        strides,
                        operands[k],
                    );
                }
            }
            let rows: [&[f32]; N] = std::array::from_fn(|k| match is_dense(walk, k) {
                true => &operands[k][walk.operands[k][6] as usize + start..][..out.len()],
                false => &gathered[k][..out.len()],
            });
            cpu::vectorized(|| {
                for (i, out) in out.iter_mut().enumerate() {
                    *out = f(std::array::from_fn(|k| rows[k][i]));
                }
            });
        }
    });
}

/// Whether the elements of an operand are contiguous.
fn is_dense<const N: usize>(walk: &Walk<N>, operand: usize) -> bool {
    walk.shape[7] == 0 || (walk.shape[7] == 1 && walk.operands[operand][0] == 1)
}

/// Elements `start..` of a walk through one operand.
pub fn gather(to: &mut [f32], start: usize, shape: &[u32; 8], strides: &[u32; 8], from: &[f32]) {
    let (row, stride) = (shape[0] as usize, strides[0] as usize);
    let mut done = 0;
    while done < to.len() {
        let index = start + done;
        let run = (row - index % row).min(to.len() - done);
        let (to, from) = (
            &mut to[done..][..run],
            &from[place(index, shape, strides)..],
        );
        copy(to, from, stride);
        done += run;
    }
}

/// `to[i] = from[i·stride]`.
pub fn copy(to: &mut [f32], from: &[f32], stride: usize) {
    match stride {
        0 => to.fill(from[0]),
        1 => to.copy_from_slice(&from[..to.len()]),
        _ => {
            for (to, from) in to.iter_mut().zip(from.iter().step_by(stride)) {
                *to = *from;
            }
        }
    }
}

/// `width` elements from `start` on, `step` apart: for twins.
pub fn row(from: &[f64], start: usize, step: u32, width: usize) -> Vec<f64> {
    (0..width)
        .map(|j| from[start + j * step as usize])
        .collect()
}

/// Layouts for the cases of elementwise kernels, each with a name and the length of its buffer:
/// sizes 0, 1, tile − 1, tile, tile + 1 and a prime, then transposed, sliced and broadcast layouts
/// up to rank 6.
pub fn views() -> Vec<(String, Layout, usize)> {
    let dense = |sizes: &[usize]| {
        let layout = Layout::contiguous(checked(sizes));
        (format!("{sizes:?}"), layout, layout.shape.elements())
    };
    let mut views: Vec<_> = [&[0][..], &[], &[63], &[64], &[65], &[997], &[3, 0, 2]]
        .into_iter()
        .map(dense)
        .collect();
    let base = Layout::contiguous(checked(&[5, 3, 7]));
    let named = [
        ("[7, 3, 5] transposed", base.permute(&[2, 1, 0])),
        ("[5, 7, 3] transposed", base.permute(&[0, 2, 1])),
        ("[3, 3, 2] sliced", base.slice(0, 1..4).slice(2, 4..6)),
    ];
    views.extend(named.map(|(name, layout)| (name.to_owned(), layout, 105)));
    let stretch = |from: &[usize], to: &[usize]| {
        let layout = Layout::contiguous(checked(from)).broadcast_to(checked(to));
        let layout = layout.unwrap_or_else(|| unreachable!("{from:?} stretches to {to:?}"));
        let elements = from.iter().product();
        (format!("{from:?} stretched to {to:?}"), layout, elements)
    };
    views.push(stretch(&[], &[130]));
    views.push(stretch(&[67], &[3, 67]));
    views.push(stretch(&[5, 1, 9], &[5, 4, 9]));
    let six = Layout::contiguous(checked(&[2, 3, 2, 3, 2, 3]));
    let six = six.permute(&[5, 0, 3, 2, 1, 4]);
    views.push(("[3, 2, 3, 2, 3, 2] transposed".to_owned(), six, 216));
    views
}

/// A contiguous layout more than 65,535 workgroups of 64.
pub fn long() -> (String, Layout, usize) {
    let length = 64 * 65_535 + 97;
    (
        format!("[{length}]"),
        Layout::contiguous(checked(&[length])),
        length,
    )
}

/// The shape of a case.
pub fn checked(sizes: &[usize]) -> Shape {
    Shape::new(sizes).unwrap_or_else(|error| unreachable!("a case has a legal shape: {error}"))
}
