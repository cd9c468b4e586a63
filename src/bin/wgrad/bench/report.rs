//! A measurement as JSON, and all measurements as a table.

use super::kernels::{self, KernelRow};
use super::positions::Positions;
use super::rates::Rates;
use super::shape::Shape;
use super::steps::Timing;
use serde::Serialize;
use std::num::NonZeroUsize;
use wgrad::engine::device::Device;
use wgrad::nnue::Tiles;

/// One shape on one device.
#[derive(Clone, Debug, Serialize)]
pub struct Measurement {
    pub device: String,
    /// The name of the shape, as in the table.
    #[serde(skip)]
    pub shape: String,
    pub hidden: usize,
    pub batch: usize,
    pub inputs: usize,
    /// The number of output buckets.
    pub buckets: usize,
    /// The number of active features per position and perspective; the mean if the positions come
    /// from a file.
    pub indices: f64,
    pub activation: &'static str,
    pub tied: bool,
    pub dense: bool,
    pub half: bool,
    pub half_weights: bool,
    pub optimizer: &'static str,
    /// The choices that the steps used; `None` if there is no such choice.
    pub lanes: Option<u32>,
    pub tiles: Option<Tiles>,
    pub recordings_per_submission: Option<NonZeroUsize>,
    /// Whether `wgrad tune` kept some of them for this shape and device.
    pub tuned: bool,
    /// `random`, or the name of the file.
    pub source: String,
    /// The largest relative L2 error of a gradient, compared with the f64 reference.
    pub gradient_error: f64,
    pub positions_per_second: f64,
    pub seconds_per_step: f64,
    /// The time to build the transposed index of both perspectives.
    pub index_seconds_per_step: f64,
    /// On an adapter: the time within the call of the step, with its share of the submission. The
    /// call does not wait for the adapter.
    pub host_seconds_per_step: Option<f64>,
    /// The share of that time that copies the batch into memory that the adapter reads.
    pub staging_seconds_per_step: Option<f64>,
    pub submissions_per_step: f64,
    /// Bytes that are read in order, written, or gathered for the first time.
    pub bytes_per_step: Option<u64>,
    /// Bytes of every load whose address depends on data.
    pub gathered_bytes_per_step: Option<u64>,
    /// Operations; a multiply-add counts as two.
    pub operations_per_step: Option<u64>,
    pub copy_bandwidth: f64,
    pub multiply_adds_per_second: f64,
    /// The time for the bytes or the time for the operations, whichever is longer.
    pub floor_seconds: Option<f64>,
    /// `floor_seconds` ÷ `seconds_per_step`: 1 is as fast as memory and arithmetic allow.
    pub share_of_floor: Option<f64>,
    /// With `--kernels`: the time of all kernels and copies of a step on the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_seconds_per_step: Option<f64>,
    /// With `--kernels`: the kernels and copies of a step, in the order of their first runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernels: Option<Vec<KernelRow>>,
}

impl Measurement {
    pub fn new(
        device: &Device,
        rates: &Rates,
        shape: &Shape,
        positions: &Positions,
        gradient_error: f64,
        tuned: bool,
        timing: &Timing,
    ) -> Self {
        let architecture = &shape.architecture;
        let floor = timing.traffic.map(|traffic| rates.floor(traffic));
        let kernels = timing.kernels.as_deref();
        Self {
            device: device.name().to_owned(),
            shape: shape.to_string(),
            hidden: architecture.hidden,
            batch: shape.batch,
            inputs: architecture.inputs,
            buckets: architecture.buckets,
            indices: positions.indices,
            activation: architecture.activation.name(),
            tied: architecture.tied,
            dense: shape.dense,
            half: shape.half,
            half_weights: shape.half_weights,
            optimizer: shape.optimizer_name(),
            lanes: timing.tuning.lanes,
            tiles: timing.tuning.tiles,
            recordings_per_submission: timing.tuning.recordings,
            tuned,
            source: positions.source(),
            gradient_error,
            positions_per_second: shape.batch as f64 / timing.seconds,
            seconds_per_step: timing.seconds,
            index_seconds_per_step: timing.index_seconds,
            host_seconds_per_step: timing.host_seconds.map(|[call, _]| call),
            staging_seconds_per_step: timing.host_seconds.map(|[_, staging]| staging),
            submissions_per_step: timing.submissions,
            bytes_per_step: timing.traffic.map(|traffic| traffic.bytes()),
            gathered_bytes_per_step: timing.traffic.map(|traffic| traffic.gathered_issued),
            operations_per_step: timing.traffic.map(|traffic| traffic.operations),
            copy_bandwidth: rates.copy_bandwidth,
            multiply_adds_per_second: rates.multiply_adds,
            floor_seconds: floor,
            share_of_floor: floor.map(|floor| floor / timing.seconds),
            device_seconds_per_step: kernels.map(kernels::seconds),
            kernels: kernels.map(|times| kernels::rows(times, rates)),
        }
    }
}

/// One column per device.
pub struct Table {
    names: Vec<String>,
    widths: Vec<usize>,
}

/// The width of the column of shapes.
const SHAPE: usize = 44;

impl Table {
    pub fn new(devices: &[Device]) -> Self {
        let names: Vec<_> = devices
            .iter()
            .map(|device| device.name().to_owned())
            .collect();
        // A speed, its limit, and the time of a step.
        let least = Self::cells("positions/s", "of floor", "a step")
            .chars()
            .count();
        let widths = names
            .iter()
            .map(|name| name.chars().count().max(least))
            .collect();
        Self { names, widths }
    }

    fn cells(speed: &str, share: &str, step: &str) -> String {
        format!("{speed:>11}  {share:>8}  {step:>9}")
    }

    fn line(&self, first: &str, cells: &[String]) -> String {
        let mut line = format!("{first:<SHAPE$}");
        for (cell, &width) in cells.iter().zip(&self.widths) {
            line += &format!("   {cell:<width$}");
        }
        line.trim_end().to_owned()
    }

    /// The rates of the devices, and the names of the columns.
    pub fn heading(&self, rates: &[Rates]) -> Vec<String> {
        let mut lines = Vec::new();
        for (name, rates) in self.names.iter().zip(rates) {
            let (bytes, adds) = (1e-9 * rates.copy_bandwidth, 1e-9 * rates.multiply_adds);
            lines.push(format!(
                "{name}: copies {bytes:.1} GB/s, {adds:.1} G multiply-adds/s"
            ));
        }
        lines.push(self.line("", &self.names));
        let units = Self::cells("positions/s", "of floor", "a step");
        let units = vec![units; self.names.len()];
        lines.push(self.line("shape", &units));
        lines
    }

    /// The line of a shape, with notes at its end.
    pub fn row(
        &self,
        shape: &Shape,
        positions: &Positions,
        cells: &[String],
        notes: &[String],
    ) -> String {
        let name = shape.to_string();
        let inputs = format!("N={}", shape.architecture.inputs);
        let indices = format!("{inputs} F={}", rounded(positions.indices));
        let line = self.line(&name.replacen(&inputs, &indices, 1), cells);
        let notes = notes.iter().map(|note| format!("   {note}"));
        std::iter::once(line).chain(notes).collect()
    }

    /// The text in the column of a device.
    pub fn cell(&self, measurement: Option<&Measurement>) -> String {
        let Some(measurement) = measurement else {
            return "wrong gradients, not timed".to_owned();
        };
        let share = measurement.share_of_floor;
        let share = share.map_or("-".to_owned(), |share| format!("{:.0}%", 100.0 * share));
        let speed = indicatif::HumanCount(measurement.positions_per_second as u64).to_string();
        Self::cells(
            &speed,
            &share,
            &format!("{:.3} ms", 1e3 * measurement.seconds_per_step),
        )
    }
}

/// One decimal, unless the number is whole.
fn rounded(value: f64) -> String {
    let text = format!("{value:.1}");
    text.trim_end_matches(".0").to_owned()
}
