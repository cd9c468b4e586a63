//! A flat list of commands over buffer ids. Plain data: recording needs no device, and every executor plays the same list.

use crate::engine::kernel::{BufferList, Kernel, Params, Traffic};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// Names a buffer of a device. No two buffers of a process share one, on whatever devices they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BufferId(u64);

impl BufferId {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Values on their way to a buffer.
#[derive(Clone, Copy, Debug)]
pub enum Data<'a> {
    /// For a float buffer.
    Floats(&'a [f32]),
    /// For a float buffer; only the reference executor keeps the precision.
    Doubles(&'a [f64]),
    /// For a word buffer.
    Words(&'a [u32]),
}

impl Data<'_> {
    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::Floats(values) => values.len(),
            Self::Doubles(values) => values.len(),
            Self::Words(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<'a> From<&'a [f32]> for Data<'a> {
    fn from(values: &'a [f32]) -> Self {
        Self::Floats(values)
    }
}
impl<'a, const N: usize> From<&'a [f32; N]> for Data<'a> {
    fn from(values: &'a [f32; N]) -> Self {
        Self::Floats(values)
    }
}
impl<'a> From<&'a Vec<f32>> for Data<'a> {
    fn from(values: &'a Vec<f32>) -> Self {
        Self::Floats(values)
    }
}
impl<'a, const N: usize> From<&'a [f64; N]> for Data<'a> {
    fn from(values: &'a [f64; N]) -> Self {
        Self::Doubles(values)
    }
}
impl<'a> From<&'a Vec<f64>> for Data<'a> {
    fn from(values: &'a Vec<f64>) -> Self {
        Self::Doubles(values)
    }
}
impl<'a> From<&'a [f64]> for Data<'a> {
    fn from(values: &'a [f64]) -> Self {
        Self::Doubles(values)
    }
}
impl<'a> From<&'a [u32]> for Data<'a> {
    fn from(values: &'a [u32]) -> Self {
        Self::Words(values)
    }
}
impl<'a> From<&'a [i32]> for Data<'a> {
    fn from(values: &'a [i32]) -> Self {
        Self::Words(bytemuck::cast_slice(values))
    }
}

/// One run of a kernel.
#[derive(Clone, Debug)]
pub struct Dispatch {
    /// Which kernel.
    pub kernel: &'static Kernel,
    /// Index into its variants.
    pub variant: usize,
    /// Its parameters as bytes.
    pub params: Vec<u8>,
    /// Workgroups; with 0 nothing happens.
    pub groups: u32,
    /// One buffer for each binding; a written buffer stands only once.
    pub buffers: Vec<BufferId>,
}

/// One command. They happen in the order in which they stand, as if each waited for the one before.
#[derive(Clone, Debug)]
pub enum Command<'a> {
    /// Values into the elements of a buffer from a first one on.
    Upload(BufferId, usize, Data<'a>),
    /// The first elements of a buffer into those of another of the same kind from a first one on.
    Copy {
        /// Where from.
        from: BufferId,
        /// Where to, which is another buffer.
        to: BufferId,
        /// The first element there.
        first: usize,
        /// How many.
        len: usize,
    },
    /// A kernel's run.
    Dispatch(Dispatch),
    /// The first elements of a buffer, back to the host.
    Read(BufferId, usize),
}

/// What dispatches ask of a device, by the name of the kernel.
pub type TrafficByKernel = BTreeMap<&'static str, Traffic>;

/// A list of commands, played by [`Device::play`](crate::engine::device::Device::play).
#[derive(Clone, Debug, Default)]
pub struct Recording<'a> {
    pub(crate) commands: Vec<Command<'a>>,
}

impl<'a> Recording<'a> {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty list with room for so many commands.
    pub fn with_capacity(commands: usize) -> Self {
        Self {
            commands: Vec::with_capacity(commands),
        }
    }

    /// The commands so far.
    pub fn commands(&self) -> &[Command<'a>] {
        &self.commands
    }

    /// Forgets the commands.
    pub fn clear(&mut self) {
        self.commands.clear();
    }

    /// Puts values into the first elements of a buffer.
    pub fn upload(&mut self, buffer: BufferId, data: impl Into<Data<'a>>) {
        self.upload_at(buffer, 0, data);
    }

    /// Puts values into the elements of a buffer from `first` on.
    pub fn upload_at(&mut self, buffer: BufferId, first: usize, data: impl Into<Data<'a>>) {
        let upload = Command::Upload(buffer, first, data.into());
        self.commands.push(upload);
    }

    /// Copies the first `len` elements of a buffer into another of the same kind, from its element `first` on.
    pub fn copy(&mut self, from: BufferId, to: BufferId, first: usize, len: usize) {
        self.commands.push(Command::Copy {
            from,
            to,
            first,
            len,
        });
    }

    /// Runs the kernel that the parameters belong to, on one buffer for each of its bindings.
    pub fn dispatch<P: Params>(&mut self, variant: usize, params: P, buffers: impl BufferList) {
        let buffers = buffers.ids();
        debug_assert_eq!(buffers.len(), P::KERNEL.bindings.len());
        self.push(Dispatch {
            kernel: P::KERNEL,
            variant,
            params: bytemuck::bytes_of(&params).to_vec(),
            groups: params.groups(),
            buffers,
        });
    }

    /// Runs a kernel as another recording does.
    pub fn push(&mut self, dispatch: Dispatch) {
        self.commands.push(Command::Dispatch(dispatch));
    }

    /// Brings the first `len` elements of a buffer back. Reads come back in the order in which they were recorded.
    pub fn read(&mut self, buffer: BufferId, len: usize) {
        self.commands.push(Command::Read(buffer, len));
    }

    /// What the dispatches ask of a device; the sum of the values is the whole. Uploads, reads and copies of
    /// buffers are not counted.
    ///
    /// None if one of the kernels has no [`Kernel::traffic`]: a sum without it would be too small.
    pub fn traffic(&self) -> Option<TrafficByKernel> {
        let mut kernels = TrafficByKernel::new();
        for command in &self.commands {
            if let Command::Dispatch(dispatch) = command
                && dispatch.groups > 0
            {
                let traffic = dispatch.kernel.traffic?(dispatch.variant, &dispatch.params);
                *kernels.entry(dispatch.kernel.name).or_default() += traffic;
            }
        }
        Some(kernels)
    }
}
