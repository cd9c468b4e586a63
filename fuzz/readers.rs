//! Every reader of wgrad as a function of bytes. Fuzzing calls one of them with bytes that it makes
//! up, and `tests/corpora.rs` calls all of them with the files of the corpora.
//!
//! A reader must return a value or an error: it must not panic, take more memory than a small
//! multiple of the bytes, or run for long. Whatever it accepts must also have the properties that
//! these functions assert.

#![allow(dead_code, reason = "a program that fuzzes one reader has all of them")]

use std::cell::RefCell;
use std::io::Write;
use std::path::Path;
use std::sync::LazyLock;
use tempfile::NamedTempFile;
use wgrad::files::safetensors::TensorFile;
use wgrad::nnue::data::{BadRecords, Dataset, Encoding, Filter, Position};
use wgrad::nnue::export::{Quantized, SaveFormat, read_bullet_weights};
use wgrad::nnue::train::checkpoint::Checkpoint;
use wgrad::nnue::train::{Config, History};
use wgrad::nnue::tuning::TuningFile;
use wgrad::nnue::{Architecture, read_network};

/// A reader, and the name of its corpus.
pub type Reader = (&'static str, fn(&[u8]));

/// Every reader.
pub const ALL: [Reader; 13] = [
    ("data", data),
    ("fen", fen),
    ("tensors", tensors),
    ("network", network),
    ("checkpoint", checkpoint),
    ("recipe", recipe),
    ("filter", filter),
    ("save_format", save_format),
    ("import", import),
    ("bullet_weights", bullet_weights),
    ("log", log),
    ("tuning", tuning),
    ("inference", inference),
];

/// Calls `read` with the path of a file that has these contents.
fn with_file<T>(bytes: &[u8], read: impl FnOnce(&Path) -> T) -> T {
    thread_local! {
        static FILE: RefCell<Option<NamedTempFile>> = const { RefCell::new(None) };
    }
    FILE.with_borrow_mut(|file| {
        let file = file.get_or_insert_with(|| NamedTempFile::new().expect("a temporary file"));
        file.as_file().set_len(0).expect("an empty file");
        std::io::Seek::rewind(file).expect("its start");
        file.write_all(bytes).expect("its contents");
        read(file.path())
    })
}

/// The text of the bytes, if they are one.
fn text(bytes: &[u8], read: impl FnOnce(&str)) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        read(text);
    }
}

/// Data files of every format. Leaving damaged records out changes nothing where there are none.
pub fn data(bytes: &[u8]) {
    with_file(bytes, |path| {
        let Ok(dataset) = Dataset::open(&[path.to_owned()]) else {
            return;
        };
        let records = |dataset: &Dataset| {
            let positions = dataset.iter();
            let positions = positions.map(|position| position.map(|found| found.to_bytes()));
            positions.collect::<Result<Vec<_>, _>>()
        };
        let strict = records(&dataset);
        let skipped = records(&dataset.clone().bad_records(BadRecords::Skip));
        for record in strict.iter().flatten() {
            let again = Position::from_bytes(record).expect("a record of a position");
            assert_eq!(again.to_bytes(), *record);
        }
        if let Ok(strict) = strict {
            assert_eq!(skipped.expect("nothing to skip"), strict);
        }
    });
}

/// Lines of text, and FENs.
pub fn fen(bytes: &[u8]) {
    text(bytes, |text| {
        for line in text.lines() {
            let found = [line.parse::<Position>(), Position::from_fen(line, 0, 1)];
            for position in found.into_iter().flatten() {
                let again = Position::from_bytes(&position.to_bytes());
                assert_eq!(again.expect("a position").to_bytes(), position.to_bytes());
            }
        }
    });
}

/// Files of tensors, each with as many elements as its shape says.
pub fn tensors(bytes: &[u8]) {
    let file = with_file(bytes, |path| TensorFile::read(path));
    for tensor in file.iter().flat_map(|file| &file.tensors) {
        let file = file.as_ref().expect("the file of the tensor");
        let shape = file
            .tensor(&tensor.name)
            .expect("a tensor with this name")
            .shape
            .clone();
        let _ = file.finite(&tensor.name, &shape);
        let _ = file.integers(&tensor.name, &shape);
    }
}

/// Networks, whose parameters fit their architecture and are finite.
pub fn network(bytes: &[u8]) {
    if let Ok((parameters, metadata)) = with_file(bytes, read_network) {
        parameters.architecture().check().expect("an architecture");
        assert!(
            parameters
                .values()
                .iter()
                .flatten()
                .all(|value| value.is_finite())
        );
        let _ = Encoding::from_metadata("network".as_ref(), &metadata);
    }
}

/// Checkpoints, with the moments that their optimizer needs.
pub fn checkpoint(bytes: &[u8]) {
    if let Ok(checkpoint) = with_file(bytes, Checkpoint::read) {
        let names = checkpoint.settings.optimizer.moments();
        assert_eq!(checkpoint.moments.len(), names.len());
    }
}

/// Recipes.
pub fn recipe(bytes: &[u8]) {
    text(bytes, |text| {
        if let Ok(config) = Config::parse(text) {
            let _ = config.check();
        }
    });
}

/// Filters.
pub fn filter(bytes: &[u8]) {
    text(bytes, |text| {
        if let Ok(filter) = Filter::from_toml(text) {
            filter.check().expect("a filter in its range");
        }
    });
}

/// Save formats, with the bytes of a network in them.
pub fn save_format(bytes: &[u8]) {
    text(bytes, |text| {
        if let Ok(format) = SaveFormat::from_toml(text) {
            format.check().expect("a format without contradictions");
            let _ = Quantized::from_bytes(&format, &shape(), None, &[0; 64]);
        }
    });
}

/// The shape of the networks in save formats: small, so that a whole file is a short input.
fn shape() -> Architecture {
    let mut shape = Architecture::new(768, 1);
    shape.tied = true;
    shape
}

/// The save formats that come with wgrad. To read their TOML takes longer than to read a network.
static FORMATS: LazyLock<Vec<SaveFormat>> = LazyLock::new(|| {
    let presets = SaveFormat::presets().into_iter();
    let formats = presets.map(|(name, _)| SaveFormat::preset(name, &shape()));
    formats
        .map(|format| format.expect("a format that comes with wgrad"))
        .collect()
});

/// Networks in save formats. The first byte chooses the format.
pub fn import(bytes: &[u8]) {
    let Some((choice, bytes)) = bytes.split_first() else {
        return;
    };
    let formats = &*FORMATS;
    let format = &formats[usize::from(*choice) % formats.len()];
    let Ok(read) = Quantized::from_bytes(format, &shape(), None, bytes) else {
        return;
    };
    let again = read.to_bytes().expect("numbers that came from a file");
    let again = Quantized::from_bytes(format, &shape(), None, &again).expect("a file of wgrad");
    assert_eq!(read.tensors(), again.tensors());
}

/// The weights of bullet's checkpoints.
pub fn bullet_weights(bytes: &[u8]) {
    let _ = read_bullet_weights(bytes, &shape(), None);
}

/// Logs.
pub fn log(bytes: &[u8]) {
    if let Ok(history) = with_file(bytes, History::read) {
        let _ = (history.best(), history.speeds(8));
    }
}

/// What `wgrad tune` keeps.
pub fn tuning(bytes: &[u8]) {
    let _ = with_file(bytes, TuningFile::read);
}

/// Networks for wgrad-inference, which read back from their own bytes.
pub fn inference(bytes: &[u8]) {
    if let Ok(network) = wgrad_inference::Network::from_bytes(bytes) {
        assert_eq!(network.to_bytes(), bytes);
    }
}
