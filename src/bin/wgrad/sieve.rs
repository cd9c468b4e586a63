//! Options that leave out positions, for every command that reads data.

use crate::Failure;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use std::path::PathBuf;
use wgrad::nnue::data::{BadRecords, Dataset, Filter, Side};
use wgrad::nnue::train::Settings;

/// What is left out, and how lines of text are read.
#[derive(clap::Args)]
pub struct SieveOptions {
    /// Leave out positions whose score has at least this size, as mates and missing scores of
    /// engines have; 0 keeps all [default: 20000, but 0 for `wgrad data`]
    #[arg(long, value_name = "CENTIPAWNS")]
    max_score: Option<u16>,
    /// Leave out positions by the filter of this TOML file, with the keys of viriformat's filter
    /// [default: none]
    #[arg(long, value_name = "FILE")]
    filter: Option<PathBuf>,
    /// What to do at a damaged record: stop with an error, or skip it and count it [default: error]
    #[arg(long, value_name = "WHAT", value_parser = PossibleValuesParser::new(BadRecords::NAMES).try_map(|name| name.parse::<BadRecords>()))]
    bad_records: Option<BadRecords>,
    /// Whose scores lines of text hold: White's, or those of the side to move [default: white]
    #[arg(long, value_name = "SIDE", value_parser = PossibleValuesParser::new(Side::NAMES).try_map(|name| name.parse::<Side>()))]
    text_scores: Option<Side>,
    /// Whose results lines of text hold [default: white]
    #[arg(long, value_name = "SIDE", value_parser = PossibleValuesParser::new(Side::NAMES).try_map(|name| name.parse::<Side>()))]
    text_results: Option<Side>,
}

impl SieveOptions {
    /// Overwrites the settings with the given options.
    pub fn over(&self, settings: &mut Settings) -> Result<(), Failure> {
        settings.max_score = self.max_score.unwrap_or(settings.max_score);
        settings.bad_records = self.bad_records.unwrap_or(settings.bad_records);
        settings.text_scores = self.text_scores.unwrap_or(settings.text_scores);
        settings.text_results = self.text_results.unwrap_or(settings.text_results);
        if let Some(path) = &self.filter {
            settings.filter = Some(Filter::from_file(path)?);
        }
        Ok(())
    }

    /// Whether an option may leave something out.
    pub fn is_given(&self) -> bool {
        self.max_score.is_some() || self.filter.is_some() || self.bad_records.is_some()
    }

    /// Opens data files with these options over those of the settings.
    pub fn open(&self, files: &[PathBuf], mut settings: Settings) -> Result<Dataset, Failure> {
        self.over(&mut settings)?;
        Ok(settings.sieved(Dataset::open(files)?)?)
    }
}

/// Tells what was left out of a dataset.
pub fn tell(dataset: &Dataset) {
    let dropped = dataset.dropped();
    if dropped.total() > 0 {
        log::warn!("left out: {dropped}");
    }
}
