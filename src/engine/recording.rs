//! Recordings: flat lists of commands over buffer ids. A recording is plain data. Making one needs
//! no device, and every executor plays the same list.

mod check;

pub(crate) use check::Known;

use crate::engine::kernel::{BufferList, Kernel, Params, Traffic};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// Names a buffer of a device. No two buffers of a process share an id, whatever their devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BufferId(u64);

impl BufferId {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Values to upload to a buffer.
#[derive(Clone, Copy, Debug)]
pub enum Data<'a> {
    /// For a float buffer.
    Floats(&'a [f32]),
    /// For a float buffer. Only the reference executor keeps the precision.
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
    /// The kernel.
    pub kernel: &'static Kernel,
    /// The index of the variant.
    pub variant: usize,
    /// The kernel's parameters as bytes.
    pub params: Vec<u8>,
    /// The number of workgroups. Nothing happens if it is 0.
    pub groups: u32,
    /// One buffer per binding. A buffer that the kernel writes occurs only once.
    pub buffers: Vec<BufferId>,
}

/// One command. Commands take effect in their order, as if each waited for the one before.
#[derive(Clone, Debug)]
pub enum Command<'a> {
    /// Copies values into the elements of a buffer, from the given index on.
    Upload(BufferId, usize, Data<'a>),
    /// Copies the first elements of a buffer into another of the same element type.
    Copy {
        /// The buffer to read.
        from: BufferId,
        /// The buffer to write, which is another one.
        to: BufferId,
        /// The index of the first element to write.
        first: usize,
        /// The number of elements.
        len: usize,
    },
    /// Runs a kernel.
    Dispatch(Dispatch),
    /// Copies the first elements of a buffer back to the host.
    Read(BufferId, usize),
}

/// The bytes and arithmetic of dispatches, by the name of the kernel.
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

    /// An empty list with room for `commands` commands.
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

    /// Uploads values into the first elements of a buffer.
    pub fn upload(&mut self, buffer: BufferId, data: impl Into<Data<'a>>) {
        self.upload_at(buffer, 0, data);
    }

    /// Uploads values into the elements of a buffer from index `first` on.
    pub fn upload_at(&mut self, buffer: BufferId, first: usize, data: impl Into<Data<'a>>) {
        let upload = Command::Upload(buffer, first, data.into());
        self.commands.push(upload);
    }

    /// Copies the first `len` elements of a buffer into another of the same element type, from its
    /// index `first` on.
    pub fn copy(&mut self, from: BufferId, to: BufferId, first: usize, len: usize) {
        self.commands.push(Command::Copy {
            from,
            to,
            first,
            len,
        });
    }

    /// Runs the kernel that the parameters belong to.
    pub fn dispatch<P: Params>(&mut self, variant: usize, params: P, buffers: P::Buffers) {
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

    /// Adds a dispatch of another recording.
    pub fn push(&mut self, dispatch: Dispatch) {
        self.commands.push(Command::Dispatch(dispatch));
    }

    /// Reads the first `len` elements of a buffer back. Values arrive in the order of the reads.
    pub fn read(&mut self, buffer: BufferId, len: usize) {
        self.commands.push(Command::Read(buffer, len));
    }

    /// The bytes and arithmetic of the dispatches, kernel by kernel. Uploads, reads and copies of
    /// buffers do not count.
    ///
    /// `None` if one of the kernels has no [`Kernel::traffic`], because the sum would be too small.
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
