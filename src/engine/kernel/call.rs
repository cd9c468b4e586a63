//! The arguments of a twin or a CPU implementation: its parameters, and its buffers as slices.

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

/// One dispatch on a host executor: see [`Call::open`].
#[derive(Debug)]
pub struct Call<'a, R> {
    pub(crate) params: &'a [u8],
    /// Index into the kernel's variants.
    pub variant: usize,
    pub(crate) buffers: Vec<Slice<'a, R>>,
}
