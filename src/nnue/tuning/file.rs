//! A file of tunings, by adapter, driver and shape.

use super::Tuning;
use crate::engine::device::AdapterIdentity;
use crate::error::{Error, Result};
use crate::files::atomic::{open_regular, write_atomically};
use crate::nnue::Architecture;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;

/// The form of the file that this release reads and writes.
const FORM: u32 = 1;
/// The most bytes of such a file: far more than anybody's tunings take.
const MOST_BYTES: u64 = 16 << 20;

/// The properties of a training that the best variants depend on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TunedShape {
    architecture: Architecture,
    batch_size: usize,
    half: bool,
    half_weights: bool,
    dense: bool,
}

impl TunedShape {
    /// The shape of steps of L = `batch_size` samples in 32 bits, from index lists or records. T
    /// does not matter.
    pub fn new(architecture: &Architecture, batch_size: usize) -> Self {
        let clip = Architecture::default().clip;
        Self {
            architecture: architecture.clone().clip(clip),
            batch_size,
            half: false,
            half_weights: false,
            dense: false,
        }
    }
}

crate::setters! { TunedShape {
    half: bool,
    half_weights: bool,
    dense: bool,
} }

/// The tunings that were found on this machine: a JSON object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TuningFile {
    /// [`FORM`]. The name tells a tuning file from other JSON files.
    wgrad_tuning: u32,
    kept: Vec<Kept>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Kept {
    adapter: AdapterIdentity,
    shape: TunedShape,
    tuning: Tuning,
}

impl Default for TuningFile {
    /// A file without tunings.
    fn default() -> Self {
        Self {
            wgrad_tuning: FORM,
            kept: Vec::new(),
        }
    }
}

impl TuningFile {
    /// Reads a file. A file that does not exist has no tunings. Fields of later releases are
    /// ignored.
    ///
    /// # Errors
    /// [`Error::Io`], also if the file is damaged or no tuning file.
    pub fn read(path: &Path) -> Result<Self> {
        let file = match open_regular(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            file => file,
        };
        let attempt = || {
            let mut text = String::new();
            file?.take(MOST_BYTES).read_to_string(&mut text)?;
            let wrong =
                |found: String| io::Error::other(format!("expected a tuning file, found {found}"));
            let read: Self =
                serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
            match read.wgrad_tuning {
                FORM => Ok(read),
                other => Err(wrong(format!("one of form {other}"))),
            }
        };
        attempt().map_err(Error::io(path, "read"))
    }

    /// The tuning that is kept for a shape on an adapter with the same driver.
    pub fn find(&self, adapter: &AdapterIdentity, shape: &TunedShape) -> Option<Tuning> {
        let kept = self.kept.iter().find(|kept| kept.is_for(adapter, shape));
        kept.map(|kept| kept.tuning)
    }

    /// Keeps a tuning in place of an earlier one for the same adapter, driver and shape.
    pub fn keep(&mut self, adapter: &AdapterIdentity, shape: &TunedShape, tuning: Tuning) {
        self.kept.retain(|kept| !kept.is_for(adapter, shape));
        self.kept.push(Kept {
            adapter: adapter.clone(),
            shape: shape.clone(),
            tuning,
        });
    }

    /// Writes the file, and creates its directory if there is none. At every moment the file holds
    /// either its old or its complete new contents.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub fn write(&self, path: &Path) -> Result<()> {
        if let Some(directory) = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
        {
            fs::create_dir_all(directory).map_err(Error::io(directory, "create"))?;
        }
        write_atomically(path, |file| {
            serde_json::to_writer_pretty(&mut *file, self)?;
            file.write_all(b"\n")
        })
    }
}

impl Kept {
    fn is_for(&self, adapter: &AdapterIdentity, shape: &TunedShape) -> bool {
        self.adapter == *adapter && self.shape == *shape
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapter(driver: &str) -> AdapterIdentity {
        let text = format!(
            r#"{{"name":"a card","vendor":4318,"driver":"{driver}","backend":"vulkan","later":1}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_file_keeps_one_tuning_per_adapter_driver_and_shape() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b/tuning.json");
        assert_eq!(TuningFile::read(&path).unwrap(), TuningFile::default());

        let tuning = |lanes| Tuning {
            lanes: Some(lanes),
            ..Tuning::default()
        };
        let shape = TunedShape::new(&Architecture::new(768, 64).clip(0.5), 4096);
        let mut file = TuningFile::default();
        file.keep(&adapter("1"), &shape, tuning(32));
        file.keep(&adapter("1"), &shape, tuning(16));
        file.keep(&adapter("2"), &shape, tuning(32));
        file.write(&path).unwrap();
        let file = TuningFile::read(&path).unwrap();
        assert_eq!(file.kept.len(), 2);
        let same = TunedShape::new(&Architecture::new(768, 64), 4096);
        assert_eq!(file.find(&adapter("1"), &same), Some(tuning(16)));
        assert_eq!(file.find(&adapter("2"), &same), Some(tuning(32)));
        assert_eq!(file.find(&adapter("3"), &same), None);
        for other in [
            TunedShape::new(&Architecture::new(768, 128), 4096),
            TunedShape::new(&Architecture::new(768, 64), 1024),
            same.clone().half(true),
            same.clone().half_weights(true),
            same.dense(true),
        ] {
            assert_eq!(file.find(&adapter("1"), &other), None, "{other:?}");
        }
    }

    #[test]
    fn a_damaged_or_foreign_file_is_an_error_that_names_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tuning.json");
        let whole = serde_json::to_vec(&TuningFile::default()).unwrap();
        for text in [
            &b""[..],
            b"{}",
            b"[1]",
            b"\xff\xfe",
            br#"{"wgrad_tuning":2,"kept":[]}"#,
            &whole[..whole.len() - 1],
        ] {
            fs::write(&path, text).unwrap();
            let error = TuningFile::read(&path).unwrap_err().to_string();
            assert!(error.contains("tuning.json"), "{error}");
        }
        let error = TuningFile::read(directory.path()).unwrap_err().to_string();
        assert!(error.contains("not a regular file"), "{error}");
        fs::write(&path, r#"{"wgrad_tuning":1,"kept":[],"later":true}"#).unwrap();
        assert_eq!(TuningFile::read(&path).unwrap(), TuningFile::default());
    }
}
