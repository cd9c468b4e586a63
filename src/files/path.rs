//! Paths in JSON: text, and `{"Unix": [bytes]}` or `{"Windows": [16-bit units]}` where they are not
//! Unicode.
//!
//! `serde` itself refuses to write such a path. The functions are for `#[serde(with =
//! "crate::files::path")]`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
#[cfg(any(unix, windows))]
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// A path as a file holds it.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum StoredPath {
    Text(String),
    #[cfg(any(unix, windows))]
    Exact(OsString),
}

impl From<&Path> for StoredPath {
    fn from(path: &Path) -> Self {
        match path.to_str() {
            Some(text) => Self::Text(text.to_owned()),
            #[cfg(any(unix, windows))]
            None => Self::Exact(path.into()),
            // Other systems, such as a browser, have no files to name.
            #[cfg(not(any(unix, windows)))]
            None => Self::Text(path.to_string_lossy().into_owned()),
        }
    }
}

impl From<StoredPath> for PathBuf {
    fn from(stored: StoredPath) -> Self {
        match stored {
            StoredPath::Text(text) => text.into(),
            #[cfg(any(unix, windows))]
            StoredPath::Exact(path) => path.into(),
        }
    }
}

pub(crate) fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    StoredPath::from(path).serialize(serializer)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    StoredPath::deserialize(deserializer).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Holder {
        #[serde(with = "super")]
        path: PathBuf,
    }

    #[track_caller]
    fn is_stored_as(path: impl Into<PathBuf>, expected: &str) {
        let holder = Holder { path: path.into() };
        let text = serde_json::to_string(&holder).unwrap();
        assert_eq!(text, format!(r#"{{"path":{expected}}}"#));
        assert_eq!(serde_json::from_str::<Holder>(&text).unwrap(), holder);
    }

    #[test]
    fn every_path_comes_back_and_one_in_unicode_is_text() {
        is_stored_as("/home/Fran\u{e7}ois", "\"/home/Fran\u{e7}ois\"");
        #[cfg(unix)]
        {
            use std::os::unix::ffi::OsStringExt;
            let latin = OsString::from_vec(b"a\xe7".to_vec());
            is_stored_as(latin, r#"{"Unix":[97,231]}"#);
        }
        #[cfg(windows)]
        {
            use std::os::windows::ffi::OsStringExt;
            let unpaired = OsString::from_wide(&[97, 0xd800]);
            is_stored_as(unpaired, r#"{"Windows":[97,55296]}"#);
        }
    }
}
