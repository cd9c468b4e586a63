//! The kernels of a step: their times on the device, their traffic and their floors.

use super::rates::Rates;
use super::report::Measurement;
use serde::Serialize;
use wgrad::engine::device::WorkTime;

/// One kernel of a step, or the copies of one kind.
#[derive(Clone, Debug, Serialize)]
pub struct KernelRow {
    /// The name of the kernel; `(uploads)`, `(copies)` or `(reads)` for copies.
    pub kernel: String,
    pub runs_per_step: usize,
    pub seconds_per_step: f64,
    /// The share of the time of all kernels and copies.
    pub share_of_device: f64,
    /// Bytes that are read in order, written, or gathered for the first time; `None` for copies.
    pub bytes_per_step: Option<u64>,
    /// Operations; a multiply-add counts as two.
    pub operations_per_step: Option<u64>,
    pub bytes_per_second: Option<f64>,
    pub operations_per_second: Option<f64>,
    /// The time for the bytes or the time for the operations, whichever is longer.
    pub floor_seconds: Option<f64>,
    /// `floor_seconds` ÷ `seconds_per_step`.
    pub share_of_floor: Option<f64>,
}

/// The time of all kernels and copies.
pub fn seconds(times: &[WorkTime]) -> f64 {
    times.iter().map(|time| time.time.as_secs_f64()).sum()
}

/// The kernels of a step in their order.
pub fn rows(times: &[WorkTime], rates: &Rates) -> Vec<KernelRow> {
    let all = seconds(times);
    let row = |time: &WorkTime| {
        let seconds = time.time.as_secs_f64();
        let bytes = time.traffic.map(|traffic| traffic.bytes());
        let operations = time.traffic.map(|traffic| traffic.operations);
        let floor = time.traffic.map(|traffic| rates.floor(traffic));
        // A clock may be too coarse for a short kernel.
        let ratio = |value: f64| (seconds > 0.0).then(|| value / seconds);
        KernelRow {
            kernel: time.work.to_string(),
            runs_per_step: time.runs,
            seconds_per_step: seconds,
            share_of_device: if all > 0.0 { seconds / all } else { 0.0 },
            bytes_per_step: bytes,
            operations_per_step: operations,
            bytes_per_second: bytes.and_then(|bytes| ratio(bytes as f64)),
            operations_per_second: operations.and_then(|operations| ratio(operations as f64)),
            floor_seconds: floor,
            share_of_floor: floor.and_then(ratio),
        }
    };
    times.iter().map(row).collect()
}

/// The width of the column of names.
const NAME: usize = 26;
/// The columns of numbers: their names and widths.
const COLUMNS: [(&str, usize); 9] = [
    ("runs", 5),
    ("µs", 10),
    ("share", 7),
    ("MB", 9),
    ("M ops", 9),
    ("GB/s", 8),
    ("G ops/s", 9),
    ("floor µs", 10),
    ("of floor", 10),
];

/// The kernels of a measurement as lines of text; none if they were not timed.
pub fn lines(measurement: &Measurement) -> Vec<String> {
    let Measurement {
        kernels: Some(kernels),
        device_seconds_per_step: Some(device),
        seconds_per_step: step,
        ..
    } = measurement
    else {
        return Vec::new();
    };
    let heads = COLUMNS.map(|column| column.0.to_owned());
    let mut lines = vec![
        format!("  on {}:", measurement.device),
        line("kernel", heads),
    ];
    lines.extend(kernels.iter().map(|row| {
        let cells = [
            row.runs_per_step.to_string(),
            scaled(Some(row.seconds_per_step), 1e6),
            percent(Some(row.share_of_device)),
            scaled(row.bytes_per_step.map(|bytes| bytes as f64), 1e-6),
            scaled(row.operations_per_step.map(|count| count as f64), 1e-6),
            scaled(row.bytes_per_second, 1e-9),
            scaled(row.operations_per_second, 1e-9),
            scaled(row.floor_seconds, 1e6),
            percent(row.share_of_floor),
        ];
        line(&row.kernel, cells)
    }));
    lines.push(format!(
        "  {:<NAME$}{:>5}{:>10}   wall time of the step {}, host and gaps {}",
        "total",
        kernels.iter().map(|row| row.runs_per_step).sum::<usize>(),
        scaled(Some(*device), 1e6),
        scaled(Some(*step), 1e6),
        scaled(Some(step - device), 1e6),
    ));
    lines
}

fn line(name: &str, cells: [String; COLUMNS.len()]) -> String {
    let mut line = format!("  {name:<NAME$}");
    for (cell, (_, width)) in cells.iter().zip(COLUMNS) {
        line += &format!("{cell:>width$}");
    }
    line
}

/// `value` · `scale` with three digits or more, or a dash.
fn scaled(value: Option<f64>, scale: f64) -> String {
    value.map_or("-".to_owned(), |value| {
        let value = value * scale;
        let digits = match value.abs() {
            ..1.0 => 3,
            ..10.0 => 2,
            _ => 1,
        };
        format!("{value:.digits$}")
    })
}

fn percent(share: Option<f64>) -> String {
    share.map_or("-".to_owned(), |share| format!("{:.1}%", 100.0 * share))
}
