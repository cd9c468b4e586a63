//! The arguments of a twin or a CPU implementation: its parameters, and its buffers as slices.

use super::Params;

/// The number type of an executor's float buffers.
pub trait Real: Copy + Send + Sync + PartialEq + std::fmt::Debug + 'static {
    /// Rounds to this type.
    fn from_f64(value: f64) -> Self;
    /// Widens to f64, exactly.
    fn to_f64(self) -> f64;
}

impl Real for f32 {
    fn from_f64(value: f64) -> Self {
        value as f32
    }
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
}

impl Real for f64 {
    fn from_f64(value: f64) -> Self {
        value
    }
    fn to_f64(self) -> f64 {
        self
    }
}

/// A buffer of a call.
#[derive(Debug)]
#[doc(hidden)]
pub enum Slice<'a, R> {
    Floats(&'a [R]),
    FloatsMut(&'a mut [R]),
    Words(&'a [u32]),
    WordsMut(&'a mut [u32]),
    Taken,
}

/// One dispatch on a host executor. Buffers are taken out by their binding number, each once.
///
/// The accessors panic when a body asks for another type than its kernel declares: a bug of the kernel.
#[derive(Debug)]
pub struct Call<'a, R> {
    pub(crate) params: &'a [u8],
    /// Index into the kernel's variants.
    pub variant: usize,
    pub(crate) buffers: Vec<Slice<'a, R>>,
}

impl<'a, R> Call<'a, R> {
    /// The parameters.
    pub fn params<P: Params>(&self) -> P {
        bytemuck::pod_read_unaligned(self.params)
    }

    /// A float buffer that the kernel reads.
    pub fn floats(&mut self, binding: usize) -> &'a [R] {
        match self.take(binding) {
            Slice::Floats(slice) => slice,
            other => mismatch(binding, "floats", &other),
        }
    }

    /// A float buffer that the kernel writes or updates.
    pub fn floats_mut(&mut self, binding: usize) -> &'a mut [R] {
        match self.take(binding) {
            Slice::FloatsMut(slice) => slice,
            other => mismatch(binding, "floats to write", &other),
        }
    }

    /// A word buffer that the kernel reads.
    pub fn words(&mut self, binding: usize) -> &'a [u32] {
        match self.take(binding) {
            Slice::Words(slice) => slice,
            other => mismatch(binding, "words", &other),
        }
    }

    /// A word buffer that the kernel writes.
    pub fn words_mut(&mut self, binding: usize) -> &'a mut [u32] {
        match self.take(binding) {
            Slice::WordsMut(slice) => slice,
            other => mismatch(binding, "words to write", &other),
        }
    }

    fn take(&mut self, binding: usize) -> Slice<'a, R> {
        std::mem::replace(&mut self.buffers[binding], Slice::Taken)
    }
}

fn mismatch<R>(binding: usize, wanted: &str, found: &Slice<'_, R>) -> ! {
    let found = match found {
        Slice::Floats(_) => "floats to read",
        Slice::FloatsMut(_) => "floats to write",
        Slice::Words(_) => "words to read",
        Slice::WordsMut(_) => "words to write",
        Slice::Taken => "nothing: it was taken before",
    };
    panic!("binding {binding}: the body wants {wanted}, the kernel's bindings give {found}");
}
