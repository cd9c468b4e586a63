//! One declaration per kernel: its parameters, and its buffers by name.
//!
//! [`interface!`](crate::interface) defines `Buffers` for the caller, `Slices` for the twin and the
//! CPU implementation, and `Slots` for the cases. Each of them has one field per binding, so code
//! names a buffer and never counts its index.

use super::{Access, Call, Element, Field, Kernel, Slice};
use crate::engine::recording::BufferId;
use std::marker::PhantomData;

/// The Rust side of a kernel's bindings and uniform.
///
/// [`interface!`](crate::interface) implements it on the parameters.
pub trait Interface: bytemuck::Pod {
    /// The buffers of a dispatch, by name.
    type Buffers: BufferList;
    /// The same buffers as slices.
    type Slices<'a, R: 'a>;

    /// Takes the slices of a call, in binding order.
    fn slices<'a, R: 'a>(buffers: Vec<Slice<'a, R>>) -> Self::Slices<'a, R>;
}

/// The parameters of a kernel, with what decides the size of its grid.
pub trait Params: Interface {
    /// The kernel they belong to.
    const KERNEL: &'static Kernel;
    /// The number of workgroups that cover the work. A grid of more than 65,535 workgroups
    /// continues in a second dimension, and the shader computes the number of its workgroup with
    /// `group_index`.
    fn groups(&self) -> u32;
}

/// Buffers in binding order.
pub trait BufferList {
    /// One id per binding.
    fn ids(self) -> Vec<BufferId>;
}

/// A buffer that a kernel only reads, of `f32` or `u32`.
#[derive(Debug)]
pub struct Read<T>(PhantomData<T>);

/// A buffer whose every element a kernel overwrites without reading one first.
#[derive(Debug)]
pub struct Write<T>(PhantomData<T>);

/// A buffer that a kernel changes in place.
#[derive(Debug)]
pub struct Update<T>(PhantomData<T>);

/// How a kernel sees one buffer: `Read<f32>`, `Write<f32>`, `Update<f32>` and the same of `u32`.
pub trait Role {
    /// The type of the elements.
    const ELEMENT: Element;
    /// How the kernel touches them.
    const ACCESS: Access;
    /// The slice that a twin or a CPU implementation gets.
    type Slice<'a, R: 'a>;

    /// The slice of binding `name`.
    ///
    /// # Panics
    /// If the executor prepared another kind of slice, which is a bug of the executor.
    fn take<'a, R: 'a>(name: &str, slice: Slice<'a, R>) -> Self::Slice<'a, R>;
}

macro_rules! role {
    ($role:ident<$element:ty>, $kind:ident, $slice:ident, $($reference:tt)+) => {
        impl Role for $role<$element> {
            const ELEMENT: Element = Element::$kind;
            const ACCESS: Access = Access::$role;
            type Slice<'a, R: 'a> = role!(@slice $($reference)+);

            fn take<'a, R: 'a>(name: &str, slice: Slice<'a, R>) -> Self::Slice<'a, R> {
                match slice {
                    Slice::$slice(slice) => slice,
                    other => mismatch(name, stringify!($slice), &other),
                }
            }
        }
    };
    (@slice $($reference:tt)+) => { $($reference)+ };
}

role!(Read<f32>, Float, Floats, &'a [R]);
role!(Write<f32>, Float, FloatsMut, &'a mut [R]);
role!(Update<f32>, Float, FloatsMut, &'a mut [R]);
role!(Read<u32>, Word, Words, &'a [u32]);
role!(Write<u32>, Word, WordsMut, &'a mut [u32]);
role!(Update<u32>, Word, WordsMut, &'a mut [u32]);

fn mismatch<R>(name: &str, expected: &str, found: &Slice<'_, R>) -> ! {
    let found = match found {
        Slice::Floats(_) => "Floats",
        Slice::FloatsMut(_) => "FloatsMut",
        Slice::Words(_) => "Words",
        Slice::WordsMut(_) => "WordsMut",
        Slice::Taken => "nothing",
    };
    panic!("binding `{name}`: expected {expected}, found {found}");
}

/// The type of a field of the parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `u32`.
    Word,
    /// `f32`.
    Float,
    /// `[u32; 8]`, which is WGSL's `array<vec4<u32>, 2>`.
    EightWords,
    /// `[f32; 4·n]`, which is WGSL's `vec4<f32>` for n = 1 and `array<vec4<f32>, n>` for larger n.
    Vectors(usize),
    /// The parameters of another kernel, whose fields WGSL has one after the other.
    Fields(&'static [Field]),
}

/// What may be a field of the parameters.
pub trait Uniform {
    /// Its type.
    const KIND: Kind;
}

impl Uniform for u32 {
    const KIND: Kind = Kind::Word;
}
impl Uniform for f32 {
    const KIND: Kind = Kind::Float;
}
impl Uniform for [u32; 8] {
    const KIND: Kind = Kind::EightWords;
}
impl Uniform for [f32; 4] {
    const KIND: Kind = Kind::Vectors(1);
}
impl Uniform for [f32; 12] {
    const KIND: Kind = Kind::Vectors(3);
}

impl Field {
    /// The fields as WGSL has them: those of nested parameters in place of the nested ones.
    pub fn flat(fields: &[Field]) -> Vec<Field> {
        let each = fields.iter().flat_map(|field| match field.kind {
            Kind::Fields(nested) => Self::flat(nested)
                .into_iter()
                .map(|inner| Field {
                    offset: field.offset + inner.offset,
                    ..inner
                })
                .collect(),
            _ => vec![field.clone()],
        });
        each.collect()
    }

    /// The first byte after the field.
    pub fn end(&self) -> usize {
        self.offset as usize
            + match self.kind {
                Kind::Word | Kind::Float => 4,
                Kind::EightWords => 32,
                Kind::Vectors(count) => 16 * count,
                Kind::Fields(nested) => nested.last().map_or(0, Self::end),
            }
    }
}

impl<'a, R: 'a> Call<'a, R> {
    /// The parameters and the buffers by name.
    pub fn open<P: Interface>(self) -> (P, P::Slices<'a, R>) {
        let params = bytemuck::pod_read_unaligned(self.params);
        (params, P::slices(self.buffers))
    }
}

/// Declares a struct of a kernel's parameters that other parameters may hold as a field.
///
/// Fields are `u32`, `f32`, `[u32; 8]`, `[f32; 4]`, `[f32; 12]` and other such structs; arrays come
/// first.
#[macro_export]
macro_rules! uniform {
    ($(#[$meta:meta])* pub struct $Name:ident {
        $($(#[$doc:meta])* pub $field:ident: $kind:ty),* $(,)?
    }) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(
            Clone,
            Copy,
            Debug,
            PartialEq,
            $crate::engine::kernel::bytemuck::Pod,
            $crate::engine::kernel::bytemuck::Zeroable,
        )]
        #[bytemuck(crate = "wgrad::engine::kernel::bytemuck")]
        pub struct $Name { $($(#[$doc])* pub $field: $kind),* }

        impl $Name {
            /// The fields, for the check against the shader.
            pub const FIELDS: &[$crate::engine::kernel::Field] = &[$(
                $crate::engine::kernel::Field {
                    name: stringify!($field),
                    offset: std::mem::offset_of!($Name, $field) as u32,
                    kind: <$kind as $crate::engine::kernel::Uniform>::KIND,
                }
            ),*];
        }

        impl $crate::engine::kernel::Uniform for $Name {
            const KIND: $crate::engine::kernel::Kind =
                $crate::engine::kernel::Kind::Fields(Self::FIELDS);
        }
    };
}

/// Declares a kernel's parameters and its buffers: `Params`, `Buffers`, `Slices`, `Slots`, and the
/// constants `Params::FIELDS` and `Params::BINDINGS` for the table.
///
/// ```
/// use wgrad::engine::kernel::{Read, Update};
///
/// wgrad::interface! {
///     /// y ← y + a·x.
///     pub struct Params {
///         /// Elements.
///         pub length: u32,
///         /// a.
///         pub factor: f32,
///     }
///     pub struct Buffers {
///         /// x, `[length]`.
///         pub x: Read<f32>,
///         /// y, `[length]`.
///         pub y: Update<f32>,
///     }
/// }
/// assert_eq!(Params::FIELDS[1].name, "factor");
/// assert_eq!(Params::BINDINGS[0].name, "x");
/// ```
#[macro_export]
macro_rules! interface {
    (
        $(#[$meta:meta])* pub struct Params {
            $($(#[$doc:meta])* pub $field:ident: $kind:ty),* $(,)?
        }
        $(#[$buffers_meta:meta])* pub struct Buffers {
            $($(#[$buffer_doc:meta])* pub $buffer:ident: $role:ty),* $(,)?
        }
    ) => {
        $crate::uniform! {
            $(#[$meta])* pub struct Params { $($(#[$doc])* pub $field: $kind),* }
        }

        impl Params {
            /// The buffers in binding order, for the check against the shader.
            pub const BINDINGS: &[$crate::engine::kernel::Binding] = &[$(
                $crate::engine::kernel::Binding {
                    name: stringify!($buffer),
                    element: <$role as $crate::engine::kernel::Role>::ELEMENT,
                    access: <$role as $crate::engine::kernel::Role>::ACCESS,
                }
            ),*];
        }

        /// The buffers of a dispatch.
        $(#[$buffers_meta])*
        #[derive(Clone, Copy, Debug)]
        pub struct Buffers {
            $($(#[$buffer_doc])* pub $buffer: $crate::engine::recording::BufferId),*
        }

        impl $crate::engine::kernel::BufferList for Buffers {
            fn ids(self) -> Vec<$crate::engine::recording::BufferId> {
                vec![$(self.$buffer),*]
            }
        }

        /// The buffers as the twin and the CPU implementation see them.
        #[allow(missing_debug_implementations, reason = "slices borrow an executor's memory")]
        pub struct Slices<'a, R: 'a> {
            $($(#[$buffer_doc])*
            pub $buffer: <$role as $crate::engine::kernel::Role>::Slice<'a, R>),*
        }

        /// The buffers of a case.
        #[derive(Clone, Debug)]
        pub struct Slots {
            $($(#[$buffer_doc])* pub $buffer: $crate::engine::kernel::Slot),*
        }

        impl From<Slots> for Vec<$crate::engine::kernel::Slot> {
            fn from(slots: Slots) -> Self {
                vec![$(slots.$buffer),*]
            }
        }

        impl $crate::engine::kernel::Interface for Params {
            type Buffers = Buffers;
            type Slices<'a, R: 'a> = Slices<'a, R>;

            fn slices<'a, R: 'a>(
                buffers: Vec<$crate::engine::kernel::Slice<'a, R>>,
            ) -> Slices<'a, R> {
                let mut buffers = buffers.into_iter();
                Slices {
                    $($buffer: <$role as $crate::engine::kernel::Role>::take(
                        stringify!($buffer),
                        buffers.next().unwrap_or($crate::engine::kernel::Slice::Taken),
                    )),*
                }
            }
        }
    };
}
