//! Reads the file of a training.

use super::Config;
use super::field::{Field, wrong};
use super::keys::{KEYS, RUN_KEYS, STAGE_KEYS};
use crate::error::{Error, Fault, Result};
use crate::nnue::train::stage::Stage;
use std::collections::BTreeMap;
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

/// The table of a stage.
const STAGE: &str = "stage";

/// The keys of a table, with their lines.
type Lines = BTreeMap<String, usize>;

pub(super) fn parse(text: &str) -> Result<Config, Fault> {
    let bad = |error: toml::de::Error| {
        let line = error.span().map_or(1, |span| line_of(text, span.start));
        Fault::new(format!("line {line}"), "TOML", error.message())
    };
    let spanned = DeTable::parse(text).map_err(bad)?;
    let table: Table = toml::from_str(text).map_err(bad)?;
    let lines = lines_of(text, spanned.get_ref());
    let stage_lines = stage_lines(text, spanned.get_ref());

    let mut config = Config::default();
    let known = KEYS.iter().map(|key| key.name);
    let known = known.chain(RUN_KEYS.iter().map(|key| key.name));
    check_names(&table, &lines, known.chain(["device", STAGE]))?;
    for key in RUN_KEYS {
        if let Some(value) = table.get(key.name) {
            (key.read)(&mut config.run, value).map_err(at(&lines, key.name))?;
        }
    }
    if let Some(value) = table.get("device") {
        config.device = Field::read(value).map_err(at(&lines, "device"))?;
    }
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
        if let Some(value) = table.get("data") {
            stage.data = Field::read(value).map_err(at(own_lines, "data"))?;
        }
        if let Some(value) = table.get("name") {
            stage.name = Field::read(value).map_err(at(own_lines, "name"))?;
        }
        if let Some(value) = table.get("validation") {
            stage.validation = Field::read(value).map_err(at(own_lines, "validation"))?;
        }
        config.stages.push(stage);
    }
    config
        .check()
        .map_err(|error| blame(error, &lines, &stage_lines))?;
    Ok(config)
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
        let name = lines.keys().find(|name| words.starts_with(name.as_str()));
        name.and_then(|name| lines.get(name)).copied()
    };
    match stage.and_then(named).or_else(|| named(lines)) {
        Some(line) => fault.within(format_args!("line {line}")),
        None => fault,
    }
}

/// The number of the line at an offset, counted from 1.
fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().iter().take(offset);
    1 + before.filter(|&&byte| byte == b'\n').count()
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
