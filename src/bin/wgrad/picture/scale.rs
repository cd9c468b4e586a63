//! Axes of numbers.

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, ValueFormatter};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::Ranged;

/// The axis of the loss, which is logarithmic if the losses span a factor of 3.
#[derive(Clone)]
pub struct Scale {
    pub logarithmic: bool,
    low: f64,
    high: f64,
    ticks: Vec<f64>,
}

impl Scale {
    /// The axis of losses above 0, of which there is at least one.
    pub fn of(losses: impl Iterator<Item = f64>) -> Self {
        let (low, high) = losses.fold((f64::INFINITY, 0.0), |(low, high), loss| {
            (f64::min(low, loss), f64::max(high, loss))
        });
        if high / low < 3.0 {
            let room = (0.06 * (high - low)).max(0.01 * high);
            return Self::even((low - room).max(0.0), high + room);
        }
        let (low, high) = ((0.88 * low).log10(), (1.15 * high).log10());
        let mantissas: &[f64] = match high - low {
            decades if decades < 1.0 => &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0],
            decades if decades < 1.8 => &[1.0, 1.5, 2.0, 3.0, 5.0, 7.0],
            decades if decades < 4.0 => &[1.0, 2.0, 5.0],
            _ => &[1.0],
        };
        // If there are very many decades, the axis marks only every second decade, every third, and
        // so on.
        let stride = ((high - low) / 12.0).ceil().max(1.0) as usize;
        let decades = (low.floor() as i32..=high.ceil() as i32).step_by(stride);
        let ticks =
            decades.flat_map(|decade| mantissas.iter().map(move |m| f64::from(decade) + m.log10()));
        let ticks = ticks.filter(|tick| (low..=high).contains(tick)).collect();
        Self {
            logarithmic: true,
            low,
            high,
            ticks,
        }
    }

    /// The axis of values from 0 on, of which there is at least one.
    pub fn from_zero(values: impl Iterator<Item = f64>) -> Self {
        let high = values.fold(0.0, f64::max);
        Self::even(0.0, if high > 0.0 { 1.08 * high } else { 1.0 })
    }

    fn even(low: f64, high: f64) -> Self {
        let step = nice((high - low) / 6.0);
        let first = (low / step).ceil() as i64;
        let ticks = (first..).map(|tick| tick as f64 * step);
        let ticks = ticks.take_while(|tick| *tick <= high).collect();
        Self {
            logarithmic: false,
            low,
            high,
            ticks,
        }
    }

    /// Where a value is on the axis.
    pub fn place(&self, loss: f64) -> f64 {
        if self.logarithmic { loss.log10() } else { loss }
    }

    fn label(&self, place: f64) -> String {
        let loss = if self.logarithmic {
            10f64.powf(place)
        } else {
            place
        };
        if loss >= 1e4 {
            return super::short(loss);
        }
        if loss != 0.0 && loss < 1e-4 {
            return format!("{loss:.0e}");
        }
        // Four significant digits, without trailing zeros.
        let places = if loss >= 1.0 { 3 } else { 7 };
        let text = format!("{loss:.places$}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

impl Ranged for Scale {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        RangedCoordf64::from(self.low..self.high).map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.clone()
    }

    fn range(&self) -> std::ops::Range<f64> {
        self.low..self.high
    }
}

impl ValueFormatter<f64> for Scale {
    fn format_ext(&self, place: &f64) -> String {
        self.label(*place)
    }
}

/// 1, 2 or 5 times a power of ten, the first one that is at least `step`.
fn nice(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    let factor = [1.0, 2.0, 5.0]
        .into_iter()
        .find(|factor| factor * power >= step);
    factor.unwrap_or(10.0) * power
}
