//! What a kernel is: one shader, its bindings and parameters, its reference twin, its CPU body and its cases.
//!
//! A kernel is plain data. The table of all of them is [`crate::kernels::TABLE`]; tests, `wgrad verify`,
//! benches and the shader dump are views of that table.

mod call;
mod case;
mod reflect;
mod traffic;

/// For [`parameters!`](crate::parameters), in crates that do not depend on it.
#[doc(hidden)]
pub use bytemuck;
pub(crate) use call::Slice;
pub use call::{Call, Real};
pub use case::{Bound, Case, Slot};
pub use reflect::{Interface, Signature, reflect};
pub use traffic::Traffic;

/// One row of the table.
#[derive(Debug)]
pub struct Kernel {
    /// The stem of its shader file, and its name everywhere else.
    pub name: &'static str,
    /// The operation of the mathematics it belongs to; `None` where each variant is one, named as the variant is.
    pub operation: Option<&'static str>,
    /// Which pass of that operation it computes.
    pub pass: Pass,
    /// The shader's own text.
    pub wgsl: &'static str,
    /// Shared functions that stand before it, from `shaders/lib/`.
    pub libraries: &'static [&'static str],
    /// The forms it is compiled to; at least one.
    pub variants: &'static [Variant],
    /// Storage buffers in binding order; the uniform of the parameters follows them.
    pub bindings: &'static [Binding],
    /// The fields of the parameters, as Rust lays them out.
    pub fields: &'static [Field],
    /// The reference: plain loops over f64, written from the mathematics.
    pub twin: fn(Call<'_, f64>),
    /// The CPU executor's own body; without one it runs the twin and rounds.
    pub cpu: Option<fn(Call<'_, f32>)>,
    /// What a dispatch asks of a device, from the index of its variant and its parameters as bytes; none for kernels that the
    /// two-perspective network does not use.
    pub traffic: Option<fn(usize, &[u8]) -> Traffic>,
    /// What it is verified on.
    pub cases: fn() -> Vec<Case>,
}

/// The pass of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// From inputs to outputs.
    Forward,
    /// From upstream gradients to gradients of inputs and parameters.
    Gradient,
    /// An optimiser's change of parameters.
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

/// A form of a kernel: values for its shader's `override` declarations.
#[derive(Debug)]
pub struct Variant {
    /// Empty for the only form of a kernel.
    pub name: &'static str,
    /// Name and value of each override it sets; the shader's defaults hold for the others.
    pub constants: &'static [(&'static str, u32)],
}

impl Variant {
    pub(crate) const fn new(name: &'static str, constants: &'static [(&'static str, u32)]) -> Self {
        Self { name, constants }
    }
}

/// The variants of a kernel that has one form.
pub const PLAIN: &[Variant] = &[Variant {
    name: "",
    constants: &[],
}];

/// What a buffer's elements are.
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
    /// Only reads.
    Read,
    /// Overwrites every element it owns without reading one first.
    Write,
    /// Reads and writes in place.
    Update,
}

/// One storage buffer of a kernel.
#[derive(Debug)]
pub struct Binding {
    /// The variable's name in the shader.
    pub name: &'static str,
    /// What its elements are.
    pub element: Element,
    /// How it is touched.
    pub access: Access,
}

impl Binding {
    /// A float buffer that is only read.
    pub const fn floats(name: &'static str) -> Self {
        Self::new(name, Element::Float, Access::Read)
    }
    /// A word buffer that is only read.
    pub const fn words(name: &'static str) -> Self {
        Self::new(name, Element::Word, Access::Read)
    }
    /// A float buffer that is overwritten.
    pub const fn output(name: &'static str) -> Self {
        Self::new(name, Element::Float, Access::Write)
    }
    /// A word buffer that is changed in place.
    pub const fn update_words(name: &'static str) -> Self {
        Self::new(name, Element::Word, Access::Update)
    }
    /// A float buffer that is changed in place.
    pub const fn update(name: &'static str) -> Self {
        Self::new(name, Element::Float, Access::Update)
    }
    const fn new(name: &'static str, element: Element, access: Access) -> Self {
        Self {
            name,
            element,
            access,
        }
    }
}

/// One field of a parameter struct.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name, the same in WGSL.
    pub name: &'static str,
    /// Its offset in bytes.
    pub offset: u32,
    /// `u32`, `f32`, or `[u32; 8]`, which is WGSL's `array<vec4<u32>, 2>`.
    pub kind: &'static str,
}

impl Field {
    /// The first byte behind it.
    fn end(&self) -> usize {
        let words = if self.kind == "[u32; 8]" { 8 } else { 1 };
        self.offset as usize + 4 * words
    }
}

/// The parameters of a kernel: its uniform, and what decides the size of its grid.
///
/// Implement it by [`parameters!`](crate::parameters), which lists the fields for the check against the shader.
pub trait Params: bytemuck::Pod {
    /// The kernel they belong to.
    const KERNEL: &'static Kernel;
    /// How many workgroups cover the work. Grids past 65,535 become rows of a second dimension, and the shader
    /// takes its place from `group_index`.
    fn groups(&self) -> u32;
}

/// Declares a `#[repr(C)]` parameter struct of `u32`, `f32` and `[u32; 8]` fields, arrays first, and the constant
/// `FIELDS` that describes it.
#[macro_export]
macro_rules! parameters {
    ($(#[$meta:meta])* pub struct Params { $($(#[$doc:meta])* pub $field:ident: $kind:ty),* $(,)? }) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, PartialEq)]
        #[derive($crate::kernel::bytemuck::Pod, $crate::kernel::bytemuck::Zeroable)]
        #[bytemuck(crate = "wgrad::kernel::bytemuck")]
        pub struct Params { $($(#[$doc])* pub $field: $kind),* }

        const FIELDS: &[$crate::kernel::Field] = &[$($crate::kernel::Field {
            name: stringify!($field),
            offset: std::mem::offset_of!(Params, $field) as u32,
            kind: stringify!($kind),
        }),*];
    };
}

impl Kernel {
    /// A kernel of one variant, without libraries and cases; the CPU executor runs its twin.
    /// `Kernel { libraries: &[GRID], ..Kernel::new(…) }` sets the other fields.
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
            variants: PLAIN,
            bindings,
            fields,
            twin,
            cpu: None,
            traffic: None,
            cases: Vec::new,
        }
    }

    /// The whole WGSL text of a variant: libraries, then the shader with the variant's overrides as defaults.
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
        for (name, value) in self.variants[variant].constants {
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

    /// The operation that a variant computes.
    pub fn operation(&self, variant: usize) -> &'static str {
        self.operation.unwrap_or(self.variants[variant].name)
    }

    /// The kernel's name with the variant's, as in reports and file names.
    pub fn label(&self, variant: usize) -> String {
        match self.variants[variant].name {
            "" => self.name.to_owned(),
            variant => format!("{}.{variant}", self.name),
        }
    }

    /// Bytes of the parameters.
    pub fn params_size(&self) -> usize {
        self.fields.last().map_or(0, Field::end)
    }
}
