//! Defines a kernel: one shader, its bindings and parameters, its reference twin, its CPU
//! implementation and its cases.
//!
//! A kernel is plain data. The tests, `wgrad verify`, the benches and the shader dump are views of
//! the table of all kernels, `verify::table`.

mod call;
mod case;
#[doc(hidden)]
pub mod inputs;
mod interface;
mod reflect;
mod traffic;
mod variants;

/// For [`uniform!`](crate::uniform), in crates that do not depend on it.
#[doc(hidden)]
pub use bytemuck;
#[doc(hidden)]
pub use call::Slice;
pub use call::{Call, Real};
pub use case::{Bound, Case, Slot};
#[doc(hidden)]
pub use interface::{BufferList, Kind, Role, Uniform};
pub use interface::{Interface, Params, Read, Update, Write};
#[doc(hidden)]
pub use reflect::{CAPABILITIES, Reflected, Signature, reflect};
pub use traffic::Traffic;
pub use variants::{Axis, Choice, PLAIN};

/// One row of the table.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// The stem of the shader's file name, and the kernel's name everywhere else.
    pub name: &'static str,
    /// The operation of the mathematics that the kernel belongs to. `None` if each choice of the
    /// first axis is an operation with the choice's name.
    pub operation: Option<&'static str>,
    /// The pass of that operation that the kernel computes.
    pub pass: Pass,
    /// The shader's own text.
    pub wgsl: &'static str,
    /// The shared WGSL functions that come before the shader's text.
    pub libraries: &'static [&'static str],
    /// The axes whose combinations are the variants.
    pub axes: &'static [Axis],
    /// The storage buffers in binding order. The uniform of the parameters follows them.
    pub bindings: &'static [Binding],
    /// The fields of the parameters, at the offsets that Rust gives them.
    pub fields: &'static [Field],
    /// The reference: plain loops over f64, written from the mathematics.
    pub twin: fn(Call<'_, f64>),
    /// The CPU implementation in f32. Without one, the CPU executor runs the twin and rounds its
    /// results.
    pub cpu: Option<fn(Call<'_, f32>)>,
    /// The bytes and operations of a dispatch, from the index of its variant and its parameters as
    /// bytes. Only kernels of the two-perspective network count them.
    pub traffic: Option<fn(usize, &[u8]) -> Traffic>,
    /// The dispatches that verify the kernel.
    pub cases: fn() -> Vec<Case>,
}

/// The pass of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// From inputs to outputs.
    Forward,
    /// From upstream gradients to gradients of inputs and parameters.
    Gradient,
    /// An optimizer's change of parameters.
    Update,
}

impl Pass {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Gradient => "gradient",
            Self::Update => "update",
        }
    }
}

/// The type of a buffer's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Element {
    /// `f32` on CPU and GPU, `f64` on the reference executor.
    Float,
    /// `u32` or `i32`; a negative number is its two's complement.
    Word,
}

/// How a kernel touches a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The kernel only reads.
    Read,
    /// The kernel overwrites every element that it owns, without reading it first.
    Write,
    /// The kernel reads and writes in place.
    Update,
}

/// One storage buffer of a kernel.
#[derive(Debug)]
pub struct Binding {
    /// The variable's name in the shader.
    pub name: &'static str,
    /// The type of its elements.
    pub element: Element,
    /// How the kernel touches it.
    pub access: Access,
}

/// One field of a parameter struct.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name, the same in WGSL.
    pub name: &'static str,
    /// Its offset in bytes.
    pub offset: u32,
    /// Its type.
    pub kind: Kind,
}

impl Kernel {
    /// A kernel of one variant, without libraries, cases or a CPU implementation. The CPU executor
    /// runs its twin. `Kernel { libraries: &[GRID], ..Kernel::new(…) }` sets more fields.
    pub const fn new(
        name: &'static str,
        wgsl: &'static str,
        bindings: &'static [Binding],
        fields: &'static [Field],
        twin: fn(Call<'_, f64>),
    ) -> Self {
        Self {
            name,
            operation: Some(name),
            pass: Pass::Forward,
            wgsl,
            libraries: &[],
            axes: PLAIN,
            bindings,
            fields,
            twin,
            cpu: None,
            traffic: None,
            cases: Vec::new,
        }
    }

    /// The whole WGSL text of a variant: the libraries, then the shader, with the variant's values
    /// as the defaults of its overrides.
    ///
    /// # Panics
    /// If a variant sets an override that the shader does not declare, which is a bug of the table.
    pub fn assemble(&self, variant: usize) -> String {
        let mut text = String::new();
        for library in self.libraries {
            text.push_str(library);
            text.push('\n');
        }
        text.push_str(self.wgsl);
        let chosen = self.chosen(variant);
        for (name, value) in chosen.iter().flat_map(|choice| choice.constants) {
            let declaration = format!("override {name}: u32 = ");
            let start = text.find(&declaration).map(|at| at + declaration.len());
            let range = start.and_then(|start| Some(start..start + text[start..].find(';')?));
            let Some(range) = range else {
                panic!("{}: the shader declares no `{declaration}…;`", self.name);
            };
            text.replace_range(range, &format!("{value}u"));
        }
        text
    }

    /// The size of the parameters in bytes.
    pub fn params_size(&self) -> usize {
        self.fields.last().map_or(0, Field::end)
    }
}
