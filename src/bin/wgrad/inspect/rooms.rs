//! How near the integers of a network come to the limits of their types.

use crate::{Failure, print};
use indicatif::HumanCount;
use serde::Serialize;
use wgrad::nnue::Parameters;
use wgrad::nnue::data::Encoding;
use wgrad::nnue::export::{Quantized, Room, SaveFormat};

/// The integers of a save format.
#[derive(Serialize)]
pub struct Rooms {
    pub format: String,
    pub rooms: Vec<Room>,
}

impl Rooms {
    /// Those of a format.
    pub fn new(name: &str, parameters: &Parameters, encoding: &Encoding) -> wgrad::Result<Self> {
        let format = SaveFormat::find(name, parameters.architecture())?;
        let quantized = Quantized::new(&format, parameters, Some(encoding))?;
        Ok(Self {
            format: name.to_owned(),
            rooms: quantized.room()?,
        })
    }

    /// A row of a table for each number.
    pub fn rows(&self) -> impl Iterator<Item = [String; 4]> + '_ {
        self.rooms.iter().map(|room| {
            let share = 100.0 * room.largest as f64 / room.limit as f64;
            let note = if room.is_safe() {
                ""
            } else {
                " (may overflow)"
            };
            [
                room.what.clone(),
                HumanCount(room.largest as u64).to_string(),
                HumanCount(room.limit as u64).to_string(),
                format!("{share:.1}%{note}"),
            ]
        })
    }

    /// Prints the table.
    pub fn print(&self) -> Result<(), Failure> {
        print(format_args!(
            "integers of the format {}: the largest possible sizes",
            self.format
        ))?;
        for [what, largest, limit, share] in self.rows() {
            print(format_args!(
                "{what:65} {largest:>13} of {limit:>13} {share:>7}"
            ))?;
        }
        Ok(())
    }
}
