//! The tensors of a network: ranges and histograms.

use crate::{Failure, print};
use serde::Serialize;
use wgrad::nnue::Parameters;
use wgrad::nnue::file::shape_in_file;
use wgrad::nnue::train::inspect::Histogram;

/// The bins of a histogram, which are letters in a line of text.
const BINS: usize = 20;

/// A tensor in the shape of the file.
#[derive(Serialize)]
pub struct Tensor {
    pub name: &'static str,
    pub shape: Vec<usize>,
    pub lowest: f32,
    pub highest: f32,
    /// The root of the mean square.
    pub size: f64,
    pub zeros: usize,
    pub histogram: Histogram,
}

impl Tensor {
    fn new(name: &'static str, shape: Vec<usize>, values: &[f32]) -> Self {
        let squares = values.iter().map(|&value| f64::from(value).powi(2));
        Self {
            name,
            shape,
            lowest: values.iter().copied().fold(f32::INFINITY, f32::min),
            highest: values.iter().copied().fold(f32::NEG_INFINITY, f32::max),
            size: (squares.sum::<f64>() / values.len().max(1) as f64).sqrt(),
            zeros: values.iter().filter(|&&value| value == 0.0).count(),
            histogram: Histogram::of(values, BINS),
        }
    }

    /// The tensors of a network in their order.
    pub fn all(parameters: &Parameters) -> Vec<Self> {
        let architecture = parameters.architecture();
        let tensors = parameters.iter().map(|(spec, values)| {
            let shape = shape_in_file(architecture, &spec);
            Self::new(spec.name.as_str(), shape, values)
        });
        tensors.collect()
    }
}

/// Prints a line per tensor.
pub fn print_all(tensors: &[Tensor]) -> Result<(), Failure> {
    print(format_args!(
        "{:8} {:>18} {:>12} {:>12} {:>12} {:>10}  histogram",
        "tensor", "shape", "lowest", "highest", "rms", "zeros"
    ))?;
    for tensor in tensors {
        print(format_args!(
            "{:8} {:>18} {:>12.5} {:>12.5} {:>12.5} {:>10}  {}",
            tensor.name,
            format!("{:?}", tensor.shape),
            tensor.lowest,
            tensor.highest,
            tensor.size,
            tensor.zeros,
            bars(&tensor.histogram)
        ))?;
    }
    Ok(())
}

/// The height of each bin from 0 to 1, on a logarithmic axis: few outliers decide about the range
/// of a tensor, and they stay visible.
pub fn heights(histogram: &Histogram) -> Vec<f64> {
    let height = |count: u64| (count as f64).ln_1p();
    let most = histogram.counts.iter().copied().max().unwrap_or(0);
    let heights = histogram.counts.iter().map(|&count| match count {
        0 => 0.0,
        count => height(count) / height(most),
    });
    heights.collect()
}

/// A histogram of one letter per bin; an empty bin is a space.
fn bars(histogram: &Histogram) -> String {
    let letter = |height: f64| match height {
        0.0 => ' ',
        height => BARS[((height * BARS.len() as f64) as usize).min(BARS.len() - 1)],
    };
    let letters: String = heights(histogram).into_iter().map(letter).collect();
    letters.trim_end().to_owned()
}

/// Letters by their height.
pub const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
