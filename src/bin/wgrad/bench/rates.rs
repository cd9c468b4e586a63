//! The best rates of a device: bytes per second of a copy, and multiply-adds per second.

use std::time::{Duration, Instant};
use wgrad::engine::device::{Class, Device};
use wgrad::engine::kernel::{Element, Traffic};
use wgrad::engine::kernels::multiply_add;
use wgrad::engine::recording::{BufferId, Recording};
use wgrad::error::Result;
use wgrad::tensor::kernels::unary;
use wgrad::tensor::kernels::unary::Unary;
use wgrad::tensor::shape::{Layout, Shape};

/// The length of a round, long enough to hide the cost of starting and waiting.
const ROUND: Duration = Duration::from_millis(40);
/// The number of rounds. The fastest one counts, because a disturbance can only slow a round down.
const ROUNDS: usize = 5;
/// The most commands in one recording.
const MOST_COMMANDS: usize = 1024;
/// The multiplications and additions of each chain.
const CHAIN: u32 = 256;

/// The rates of one device.
pub struct Rates {
    /// Bytes read and written per second.
    pub copy_bandwidth: f64,
    pub multiply_adds: f64,
}

impl Rates {
    /// Copies buffers that are larger than any cache, once with the driver's copy and once with an
    /// elementwise kernel, and takes the faster one. Then runs a kernel that does only arithmetic.
    pub fn measure(device: &Device) -> Result<Self> {
        let software = device.class() == Class::Software;
        let most = device.binding_limit() as usize / 4;
        let copied = most.min(if software { 4 << 20 } else { 32 << 20 });
        let (x, y) = buffers(device, copied)?;
        let layout = Layout::contiguous(Shape::new(&[copied])?);
        let params = unary::Params::new(&layout, [0.0, 0.0]);
        let negate = Unary::Neg as usize;
        let by_kernel = seconds(device, y.id(), |recording| {
            recording.dispatch(
                negate,
                params,
                unary::Buffers {
                    x: x.id(),
                    y: y.id(),
                },
            );
        })?;
        let by_driver = seconds(device, y.id(), |recording| {
            recording.copy(x.id(), y.id(), 0, copied);
        })?;

        let length = if software { 1 << 16 } else { 1 << 20 };
        let (x, y) = buffers(device, length)?;
        let params = multiply_add::Params {
            length: length as u32,
            rounds: CHAIN,
            a: 0.999,
            b: 0.001,
        };
        let arithmetic = seconds(device, y.id(), |recording| {
            recording.dispatch(
                0,
                params,
                multiply_add::Buffers {
                    x: x.id(),
                    y: y.id(),
                },
            );
        })?;
        let chains = (multiply_add::CHAINS * length) as f64;
        Ok(Self {
            copy_bandwidth: 8.0 * copied as f64 / f64::min(by_kernel, by_driver),
            multiply_adds: chains * f64::from(CHAIN) / arithmetic,
        })
    }

    /// The seconds for these bytes or for these operations, whichever takes longer.
    pub fn floor(&self, traffic: Traffic) -> f64 {
        let memory = traffic.bytes() as f64 / self.copy_bandwidth;
        let arithmetic = traffic.operations as f64 / (2.0 * self.multiply_adds);
        memory.max(arithmetic)
    }
}

type Buffers = (wgrad::engine::device::Buffer, wgrad::engine::device::Buffer);

/// One buffer with numbers, and one to write to.
fn buffers(device: &Device, length: usize) -> Result<Buffers> {
    let x = device.upload("x", vec![0.5f32; length].as_slice())?;
    Ok((x, device.allocate("y", Element::Float, length)?))
}

/// The seconds of one command that writes `output`, measured over many commands of its kind.
fn seconds(device: &Device, output: BufferId, record: impl Fn(&mut Recording<'_>)) -> Result<f64> {
    let round = |commands: usize| -> Result<Duration> {
        let mut recording = Recording::new();
        (0..commands).for_each(|_| record(&mut recording));
        recording.read(output, 1);
        let start = Instant::now();
        device.play(&recording)?.wait()?;
        Ok(start.elapsed())
    };
    // The first run compiles the pipeline.
    round(1)?;
    let mut commands = 1;
    while commands < MOST_COMMANDS && round(commands)? < ROUND {
        commands *= 2;
    }
    let mut fastest = Duration::MAX;
    for _ in 0..ROUNDS {
        fastest = fastest.min(round(commands)?);
    }
    Ok(fastest.as_secs_f64() / commands as f64)
}
