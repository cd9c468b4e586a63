//! Reads the file of a training.

use super::Config;
use super::field::{Field, wrong};
use super::keys::{KEYS, RUN_KEYS, STAGE_KEYS};
use crate::error::{Error, Fault, Result};
use crate::files::line::line_of;
use crate::nnue::train::stage::Stage;
use std::collections::BTreeMap;
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

/// The table of a stage.
const STAGE: &str = "stage";
/// The key of the device.
const DEVICE: &str = "device";

/// The keys of a table, with their lines.
type Lines = BTreeMap<String, usize>;

pub(super) fn parse(text: &str) -> Result<Config, Fault> {
    let (table, lines, stage_lines) = tables(text)?;
    let mut config = Config::default();
    check_names(&table, &lines, names().chain([STAGE]))?;
    read_run(&mut config, &table, &lines)?;
    let base = &mut config.stages[0];
    read_stage(base, &table, &lines)?;
    let base = base.clone();
    let stages = match table.get(STAGE) {
        None => &[][..],
        Some(Value::Array(stages)) if !stages.is_empty() => stages,
        Some(value) => return Err(at(&lines, STAGE)(wrong("tables [[stage]]", value))),
    };
    if !stages.is_empty() {
        config.stages.clear();
    }
    for (stage, own_lines) in stages.iter().zip(&stage_lines) {
        let Value::Table(table) = stage else {
            return Err(at(&lines, STAGE)(wrong("tables [[stage]]", stage)));
        };
        let known = KEYS.iter().map(|key| key.name).chain(STAGE_KEYS);
        check_names(table, own_lines, known)?;
        let mut stage = base.clone();
        read_stage(&mut stage, table, own_lines)?;
        let own = |name: &'static str| Some((table.get(name)?, at(own_lines, name)));
        if let Some((value, at)) = own("name") {
            stage.name = Field::read(value).map_err(at)?;
        }
        if let Some((value, at)) = own("data") {
            stage.data = Field::read(value).map_err(at)?;
        }
        if let Some((value, at)) = own("validation") {
            stage.validation = Field::read(value).map_err(at)?;
        }
        config.stages.push(stage);
    }
    let checked = config.check();
    checked.map_err(|error| blame(error, &lines, &stage_lines))?;
    Ok(config)
}

/// Replaces the values of keys in all stages, without checking the whole.
pub(super) fn set(config: &mut Config, text: &str) -> Result<(), Fault> {
    let (table, lines, _) = tables(text)?;
    check_names(&table, &lines, names())?;
    read_run(config, &table, &lines)?;
    let mut stages = config.stages.iter_mut();
    stages.try_for_each(|stage| read_stage(stage, &table, &lines))
}

/// The tables of a text, and the lines of the keys of the whole and of each stage.
fn tables(text: &str) -> Result<(Table, Lines, Vec<Lines>), Fault> {
    let bad = |error: toml::de::Error| {
        let line = error.span().map_or(1, |span| line_of(text, span.start));
        Fault::new(format!("line {line}"), "TOML", error.message())
    };
    let spanned = DeTable::parse(text).map_err(bad)?;
    let table: Table = toml::from_str(text).map_err(bad)?;
    let spanned = spanned.get_ref();
    Ok((table, lines_of(text, spanned), stage_lines(text, spanned)))
}

/// The keys above the stages.
fn names() -> impl Iterator<Item = &'static str> + Clone {
    let keys = KEYS.iter().map(|key| key.name);
    let run_keys = RUN_KEYS.iter().map(|key| key.name);
    keys.chain(run_keys).chain([DEVICE])
}

/// Reads the keys of the run.
fn read_run(config: &mut Config, table: &Table, lines: &Lines) -> Result<(), Fault> {
    for key in RUN_KEYS {
        if let Some(value) = table.get(key.name) {
            (key.read)(&mut config.run, value).map_err(at(lines, key.name))?;
        }
    }
    if let Some(value) = table.get(DEVICE) {
        config.device = Field::read(value).map_err(at(lines, DEVICE))?;
    }
    Ok(())
}

/// Reads the keys of a stage, in the order of [`KEYS`].
fn read_stage(stage: &mut Stage, table: &Table, lines: &Lines) -> Result<(), Fault> {
    for key in KEYS {
        if let Some(value) = table.get(key.name) {
            (key.read)(stage, value, table).map_err(at(lines, key.name))?;
        }
    }
    Ok(())
}

/// Puts the line and the key into a fault.
fn at<'a>(lines: &'a Lines, name: &'a str) -> impl Fn(Fault) -> Fault + 'a {
    move |fault| {
        let name = match fault.place.as_str() {
            "" => name,
            own if lines.contains_key(own) => own,
            _ => name,
        };
        let line = lines.get(name).copied().unwrap_or(1);
        Fault {
            place: format!("line {line}, {name}"),
            ..fault
        }
    }
}

/// Refuses a key that is not known, and suggests the nearest.
fn check_names(
    table: &Table,
    lines: &Lines,
    known: impl Iterator<Item = &'static str> + Clone,
) -> Result<(), Fault> {
    // Of several unknown keys, the first in the file is named.
    let unknown = table
        .keys()
        .filter(|name| !known.clone().any(|key| key == *name));
    let Some(name) = unknown.min_by_key(|name| lines.get(*name)) else {
        return Ok(());
    };
    let nearest = known.max_by(|a, b| {
        let likeness = |key: &str| strsim::jaro_winkler(key, &name.replace('-', "_"));
        likeness(a).total_cmp(&likeness(b))
    });
    let expected = match nearest {
        Some(nearest) => format!("a known key, such as {nearest}"),
        None => "a known key".to_owned(),
    };
    let line = lines.get(name).copied().unwrap_or(1);
    Err(Fault::new(format!("line {line}"), expected, name))
}

/// Finds the line of a setting that [`Config::check`] refuses.
fn blame(error: Error, lines: &Lines, stages: &[Lines]) -> Fault {
    let fault = match error {
        Error::Argument(fault) => fault,
        error => return Fault::new("settings", "settings that can be trained with", error),
    };
    let (stage, setting) = match fault.place.strip_prefix("stage ") {
        Some(rest) => {
            let digits = rest.split(|letter: char| !letter.is_ascii_digit()).next();
            let number = digits.and_then(|digits| digits.parse::<usize>().ok());
            let setting = rest.split_once(", ").map_or(rest, |(_, setting)| setting);
            (number.and_then(|number| stages.get(number - 1)), setting)
        }
        None => (stages.first(), fault.place.as_str()),
    };
    let words = setting.replace(' ', "_");
    let named = |lines: &Lines| {
        let names = lines.keys().filter(|name| words.starts_with(name.as_str()));
        let name = names.max_by_key(|name| name.len());
        name.and_then(|name| lines.get(name)).copied()
    };
    match stage.and_then(named).or_else(|| named(lines)) {
        Some(line) => fault.within(format_args!("line {line}")),
        None => fault,
    }
}

fn lines_of(text: &str, table: &DeTable<'_>) -> Lines {
    let line = |name: &Spanned<_>| line_of(text, name.span().start);
    let entries = table.iter();
    entries
        .map(|(name, _)| (name.get_ref().to_string(), line(name)))
        .collect()
}

/// The lines of the keys of each stage.
fn stage_lines(text: &str, table: &DeTable<'_>) -> Vec<Lines> {
    let Some(DeValue::Array(stages)) = table.get(STAGE).map(Spanned::get_ref) else {
        return Vec::new();
    };
    let lines = stages.iter().map(|stage| match stage.get_ref() {
        DeValue::Table(table) => lines_of(text, table),
        _ => Lines::new(),
    });
    lines.collect()
}
