//! docs/events.md and the lines that the code writes say the same.

use crate::support::{ROOT, cut, scratch, wgrad};
use serde::de::{Deserialize, Deserializer, Error as _, Visitor};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use wgrad::nnue::train::Settings;
use wgrad::nnue::train::log::{Entry, VERSION};

/// The tables of the page: for each heading of three signs its fields and their types.
fn tables() -> BTreeMap<String, BTreeMap<String, String>> {
    let page = fs::read_to_string(Path::new(ROOT).join("docs/events.md")).unwrap();
    let mut tables = BTreeMap::new();
    for section in page.split("\n### ").skip(1) {
        let (name, text) = section.split_once('\n').unwrap();
        let rows = text.lines().filter_map(|line| {
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            let field = cells.get(1)?.strip_prefix('`')?.strip_suffix('`')?;
            // The type is the column before the last one, which is the meaning.
            Some((field.to_owned(), cells[cells.len() - 3].to_owned()))
        });
        tables.insert(name.to_owned(), rows.collect::<BTreeMap<_, _>>());
    }
    tables
}

/// One line of each kind. A new field does not compile until it is here.
fn entries() -> Vec<Entry> {
    let settings = Settings::new(768);
    vec![
        Entry::Start {
            version: VERSION,
            settings: settings.clone(),
            device: "cpu".into(),
            positions: 10,
            steps: 2,
            ranks: vec!["host: cpu".into()],
        },
        Entry::Stage {
            step: 1,
            stage: 1,
            name: "late".into(),
            settings,
            positions: 10,
            steps: 2,
        },
        Entry::Dropped {
            step: 1,
            scores: 1,
            filtered: 2,
            bad: 3,
        },
        Entry::Resume {
            version: VERSION,
            step: 1,
            epoch: 0,
            device: "cpu".into(),
            checkpoint: "step-00000001.safetensors".into(),
            ranks: vec!["host: cpu".into()],
        },
        Entry::Fallback {
            step: 1,
            failed: 3,
            from: "vulkan:llvmpipe".into(),
            device: "cpu".into(),
            reason: "a device that is lost".into(),
        },
        Entry::Step {
            step: 1,
            steps: 1,
            epoch: 0,
            loss: f64::NAN,
            learning_rate: 0.5,
            positions: 10,
            positions_per_second: 1.0,
        },
        Entry::Validation {
            step: 1,
            epoch: 0,
            loss: 0.5,
            correlation: f64::NAN,
            positions: 10,
            integer_loss: Some(0.5),
            integer_error: None,
        },
        Entry::End {
            step: 2,
            reason: "finished".into(),
            seconds: 1.0,
        },
    ]
}

/// Asserts that a type of the page, such as `number or null`, allows a value.
#[track_caller]
fn assert_type(field: &str, types: &str, value: &Value) {
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    };
    let allowed = |one: &str| one == found || (one == "number" && found == "integer");
    assert!(
        types.split(" or ").any(allowed),
        "{field}: {types}, but {value}"
    );
}

/// Asserts that a table has exactly the fields of an object, and their types.
#[track_caller]
fn assert_fields(name: &str, table: &BTreeMap<String, String>, object: &Value) {
    let object = object.as_object().unwrap();
    let documented: Vec<_> = table.keys().collect();
    let mut written: Vec<_> = object.keys().collect();
    written.sort();
    assert_eq!(documented, written, "{name}");
    for (field, value) in object {
        assert_type(&format!("{name}, {field}"), &table[field], value);
    }
}

#[test]
fn the_page_has_every_line_and_field_and_no_other() {
    let tables = tables();
    // The error of an unknown kind lists all kinds.
    let error = serde_json::from_str::<Entry>(r#"{"kind":"?"}"#).unwrap_err();
    let error = error.to_string();
    let (_, kinds) = error.split_once("expected one of ").unwrap();
    let (kinds, _) = kinds.rsplit_once('`').unwrap();
    let kinds: Vec<_> = kinds
        .split(", ")
        .map(|kind| kind.trim_matches('`'))
        .collect();
    let mut written = Vec::new();
    for entry in entries() {
        let line = serde_json::to_value(&entry).unwrap();
        let kind = line["kind"].as_str().unwrap().to_owned();
        assert_fields(&kind, &tables[&kind], &line);
        written.push(kind);
    }
    let sorted = |mut kinds: Vec<String>| {
        kinds.sort();
        kinds
    };
    let kinds = sorted(kinds.into_iter().map(str::to_owned).collect());
    assert_eq!(sorted(written), kinds, "a kind without a sample");
    let others = ["settings", "summary"];
    let documented = tables
        .keys()
        .filter(|name| !others.contains(&name.as_str()));
    assert_eq!(documented.cloned().collect::<Vec<_>>(), kinds);
    let page = fs::read_to_string(Path::new(ROOT).join("docs/events.md")).unwrap();
    assert!(page.contains(&format!("This page describes version {VERSION}.")));
}

/// Takes the names of the fields that a type reads, and reads nothing.
struct Names<'a>(&'a mut Vec<&'static str>);

impl<'de> Deserializer<'de> for Names<'_> {
    type Error = serde::de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(Self::Error::custom("only the fields of a struct are known"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Self::Error> {
        self.0.extend(fields);
        Err(Self::Error::custom("the fields are known now"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[test]
fn the_page_has_every_setting() {
    let mut names = Vec::new();
    Settings::deserialize(Names(&mut names)).unwrap_err();
    // The names of early releases.
    names.retain(|name| !["batch", "wdl"].contains(name));
    names.sort_unstable();
    let table = &tables()["settings"];
    assert_eq!(table.keys().collect::<Vec<_>>(), names);

    let page = fs::read_to_string(Path::new(ROOT).join("docs/events.md")).unwrap();
    let always = |name: &str| page.contains(&format!("| `{name}` | yes |"));
    let settings = serde_json::to_value(Settings::new(768)).unwrap();
    for name in names {
        let found = settings.get(name);
        assert_eq!(found.is_some(), always(name), "{name}");
        if let Some(value) = found {
            assert_type(name, &table[name], value);
        }
    }
}

#[test]
fn a_training_writes_what_the_page_says() {
    let (_guard, directory) = scratch();
    let (data, run, recipe) = (
        cut(&directory, 3000),
        directory.join("run"),
        directory.join("recipe.toml"),
    );
    let text = "inputs = \"chess768-mirrored\"\noutput_buckets = \"material:4\"\ninitial = \"he\"\n\
                warmup = 2\nlambda_schedule = \"linear:0.5\"\nlambda_warmup = 2\nmax_score = 500\n\
                superbatches = 1\nbatches_per_superbatch = 3\nschedule_per = \"superbatch\"\n\
                bad_records = \"skip\"\ntext_scores = \"mover\"\ntext_results = \"mover\"\n\
                target_win_rate = { offset = 270, scaling = 380 }\nhidden = 8\n\
                [groups.\"B*\"]\nrate_factor = 0.5\n[filter]\nmin_ply = 0\n\
                filter_tactical = false\nfilter_castling = false\n\
                [[stage]]\nname = \"first\"\n[[stage]]\nname = \"second\"\n";
    fs::write(&recipe, text).unwrap();
    let line = format!("train {} --device cpu --json", recipe.display());
    let paths: [(&str, &Path); 3] = [("--data", &data), ("--validation", &data), ("--out", &run)];
    let summary = wgrad(&line, &paths).success().json();
    let tables = tables();
    assert_fields("summary", &tables["summary"], &summary);
    assert_eq!(summary["version"], VERSION);

    let log = fs::read_to_string(run.join("log.jsonl")).unwrap();
    let mut kinds = Vec::new();
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let kind = line["kind"].as_str().unwrap().to_owned();
        assert_fields(&kind, &tables[&kind], &line);
        let settings = line["settings"].as_object().into_iter().flatten();
        for (name, value) in settings {
            assert_type(name, &tables["settings"][name], value);
        }
        kinds.push(kind);
    }
    assert_eq!(kinds[0], "start");
    let first: Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    assert_eq!(first["version"], VERSION, "the first line has the version");
    for kind in ["stage", "step", "validation", "dropped", "end"] {
        assert!(
            kinds.iter().any(|found| found == kind),
            "no {kind} in {log}"
        );
    }
}
