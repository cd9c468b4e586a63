//! Files of named tensors, in the safetensors format. Equal contents give equal bytes: the order of
//! the header is fixed, and it holds no time, path or host.
//!
//! The metadata `checksum` is the CRC-32 of the whole file in 8 hexadecimal digits, where zeros
//! replace these digits. Files of other programs may lack it.

mod checksum;

use crate::error::{Error, Result};
use crate::files::atomic::{open_regular, write_atomically};
use crate::files::memory::room;
use safetensors::{Dtype, SafeTensors};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// The metadata of a tensor file: text under text keys.
pub type Metadata = BTreeMap<String, String>;

/// The elements of a [`StoredTensor`], row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum TensorData {
    /// Single-precision floats.
    F32(Vec<f32>),
    /// Signed 32-bit integers.
    I32(Vec<i32>),
    /// Signed 64-bit integers, such as the counters of a PyTorch module.
    I64(Vec<i64>),
}

impl TensorData {
    fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::I32(values) => values.len(),
            Self::I64(values) => values.len(),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::F32(_) | Self::I32(_) => 4 * self.len(),
            Self::I64(_) => 8 * self.len(),
        }
    }

    fn dtype(&self) -> &'static str {
        match self {
            Self::F32(_) => "F32",
            Self::I32(_) => "I32",
            Self::I64(_) => "I64",
        }
    }
}

/// A named tensor of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredTensor {
    /// The name, unique in the file.
    pub name: String,
    /// The sizes of the axes. Their product is the number of elements.
    pub shape: Vec<usize>,
    /// The elements.
    pub data: TensorData,
}

/// The contents of a safetensors file that was read or is to be written. Every error names the file,
/// and the tensor or the metadata key.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorFile {
    path: PathBuf,
    /// Whether a checksum vouches for the contents.
    checked: bool,
    /// The metadata, without the checksum.
    pub metadata: Metadata,
    /// The tensors, in the order of their data in the file.
    pub tensors: Vec<StoredTensor>,
}

impl TensorFile {
    /// A file without tensors, to be written at `path`.
    pub fn new(path: impl Into<PathBuf>, metadata: Metadata) -> Self {
        Self {
            path: path.into(),
            checked: false,
            metadata,
            tensors: Vec::new(),
        }
    }

    /// Reads a whole file.
    ///
    /// # Errors
    /// A file that is cut short, of another format or not what its checksum says, and tensors of
    /// types other than f32, i32 and i64.
    pub fn read(path: impl Into<PathBuf>) -> Result<Self> {
        let mut file = Self::new(path, Metadata::new());
        let (bytes, length) = read_bytes(&file.path).map_err(Error::io(&file.path, "read"))?;
        let (header, layout) = SafeTensors::read_metadata(&bytes).map_err(|error| {
            file.fault(
                "header",
                "a whole safetensors file",
                format!("{length} bytes, cut short or of another format ({error})"),
            )
        })?;
        file.metadata = layout.metadata().iter().flatten().map(own).collect();
        if let Some(expected) = file.metadata.remove(checksum::KEY) {
            let found = checksum::of_file(&bytes);
            if found != expected {
                let found = format!(
                    "{found}: the file is damaged, or a program changed it and kept its metadata"
                );
                let expected = format!("{expected}, as its metadata say");
                return Err(file.fault("checksum", expected, found));
            }
            file.checked = true;
        }
        // `read_metadata` has checked that the tensors fill the rest of the file without gaps.
        let data = &bytes[size_of::<u64>() + header..];
        for name in layout.offset_keys() {
            let Some(info) = layout.info(&name) else {
                continue;
            };
            let data = &data[info.data_offsets.0..info.data_offsets.1];
            let data = match info.dtype {
                Dtype::F32 => TensorData::F32(read_words(&name, data, f32::from_le_bytes)?),
                Dtype::I32 => TensorData::I32(read_words(&name, data, i32::from_le_bytes)?),
                Dtype::I64 => TensorData::I64(read_words(&name, data, i64::from_le_bytes)?),
                other => return Err(file.fault(tensor(&name), "F32, I32 or I64", other)),
            };
            let shape = info.shape.clone();
            file.tensors.push(StoredTensor { name, shape, data });
        }
        Ok(file)
    }

    /// Writes the file with [`write_atomically`].
    ///
    /// # Errors
    /// A tensor whose shape does not match its elements, a name that occurs twice, and everything
    /// that the file system refuses.
    pub fn write(&self) -> Result<()> {
        let mut header = self.header()?;
        let sum = checksum::of(|out| self.write_with(&header, out));
        let sum = sum.map_err(Error::io(&self.path, "write"))?;
        checksum::insert(&mut header, &sum);
        write_atomically(&self.path, |out| self.write_with(&header, out))
    }

    fn write_with(&self, header: &[u8], out: &mut impl Write) -> io::Result<()> {
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(header)?;
        for tensor in &self.tensors {
            match &tensor.data {
                TensorData::F32(values) => write_words(out, values, f32::to_le_bytes)?,
                TensorData::I32(values) => write_words(out, values, i32::to_le_bytes)?,
                TensorData::I64(values) => write_words(out, values, i64::to_le_bytes)?,
            }
        }
        Ok(())
    }

    /// The JSON header, with zeros for the checksum. Keys are sorted on every level, and spaces
    /// fill it to a multiple of 8 bytes, so that the data are aligned.
    fn header(&self) -> Result<Vec<u8>> {
        let mut metadata = self.metadata.clone();
        metadata.insert(checksum::KEY.to_owned(), checksum::ZEROS.to_owned());
        let mut entries = BTreeMap::from([("__metadata__", json!(metadata))]);
        let mut end = 0;
        for StoredTensor { name, shape, data } in &self.tensors {
            if data.len() != shape.iter().product::<usize>() {
                let expected = format!("elements for the shape {shape:?}");
                return Err(self.fault(tensor(name), expected, data.len()));
            }
            let begin = end;
            end += data.bytes();
            // The keys are written in sorted order here, because another crate can switch on JSON
            // maps that keep the order of insertion.
            let entry =
                json!({"data_offsets": [begin, end], "dtype": data.dtype(), "shape": shape});
            if entries.insert(name, entry).is_some() {
                return Err(self.fault(tensor(name), "each name once", "it twice"));
            }
        }
        let mut header = serde_json::to_vec(&entries)
            .map_err(|error| self.fault("header", "contents that JSON can hold", error))?;
        header.resize(header.len().next_multiple_of(8), b' ');
        Ok(header)
    }

    /// Warns if no checksum vouches for the contents of a file that was read.
    pub(crate) fn warn_if_unchecked(&self) {
        if !self.checked {
            log::warn!(
                "{}: it has no checksum, as files of release 0.1.0 and of other programs, so \
                 damage to its numbers would go unnoticed",
                self.path.display()
            );
        }
    }

    /// Whether there is a tensor of this name.
    pub fn has(&self, name: &str) -> bool {
        self.tensors.iter().any(|tensor| tensor.name == name)
    }

    /// The tensor with this name.
    pub fn tensor(&self, name: &str) -> Result<&StoredTensor> {
        let found = self.tensors.iter().find(|tensor| tensor.name == name);
        found.ok_or_else(|| {
            let names: Vec<_> = self.tensors.iter().map(|t| t.name.as_str()).collect();
            self.fault(tensor(name), "it in the file", format!("only {names:?}"))
        })
    }

    /// The elements of the f32 tensor with this name and shape.
    pub fn floats(&self, name: &str, shape: &[usize]) -> Result<&[f32]> {
        match self.shaped(name, shape)? {
            TensorData::F32(values) => Ok(values),
            other => Err(self.fault(tensor(name), "F32", other.dtype())),
        }
    }

    /// The elements of the i32 tensor with this name and shape.
    pub fn integers(&self, name: &str, shape: &[usize]) -> Result<&[i32]> {
        match self.shaped(name, shape)? {
            TensorData::I32(values) => Ok(values),
            other => Err(self.fault(tensor(name), "I32", other.dtype())),
        }
    }

    /// As [`Self::floats`], but NaN and infinities are errors.
    pub fn finite(&self, name: &str, shape: &[usize]) -> Result<&[f32]> {
        let values = self.floats(name, shape)?;
        self.check_values(name, shape, values)?;
        Ok(values)
    }

    /// As [`Self::write`], but NaN and infinities are errors, so that [`Self::finite`] can read
    /// everything that was written.
    pub fn write_finite(&self) -> Result<()> {
        for StoredTensor { name, shape, data } in &self.tensors {
            if let TensorData::F32(values) = data {
                self.check_values(name, shape, values)?;
            }
        }
        self.write()
    }

    /// The metadata under a key.
    pub fn text(&self, key: &str) -> Result<&str> {
        let text = self.metadata.get(key).map(String::as_str);
        text.ok_or_else(|| self.fault(metadata(key), "it in the file", "none"))
    }

    /// An [`Error::Tensors`] about this file.
    pub fn fault(
        &self,
        place: impl Into<String>,
        expected: impl Into<String>,
        found: impl ToString,
    ) -> Error {
        Error::argument(place, expected, found).in_file(&self.path)
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn option<T: std::str::FromStr>(&self, key: &str, expected: &str) -> Result<T> {
        let text = self.text(key)?;
        text.parse()
            .map_err(|_| self.fault(metadata(key), expected, format!("{text:?}")))
    }

    fn shaped(&self, name: &str, shape: &[usize]) -> Result<&TensorData> {
        let found = self.tensor(name)?;
        if found.shape == shape {
            return Ok(&found.data);
        }
        let expected = format!("the shape {shape:?}");
        Err(self.fault(tensor(name), expected, format!("{:?}", found.shape)))
    }

    fn check_values(&self, name: &str, shape: &[usize], values: &[f32]) -> Result<()> {
        match not_finite(name, shape, values) {
            None => Ok(()),
            Some((place, found)) => Err(self.fault(place, "a finite number", found)),
        }
    }

    /// The tensor and the element of the first float that is not finite, and its value.
    pub fn not_finite(&self) -> Option<(String, f32)> {
        let mut tensors = self.tensors.iter();
        tensors.find_map(|StoredTensor { name, shape, data }| match data {
            TensorData::F32(values) => not_finite(name, shape, values),
            _ => None,
        })
    }
}

/// The place and the value of the first element that is not finite.
fn not_finite(name: &str, shape: &[usize], values: &[f32]) -> Option<(String, f32)> {
    let at = values.iter().position(|value| !value.is_finite())?;
    let (mut place, mut rest) = (vec![0; shape.len()], at);
    for (coordinate, size) in place.iter_mut().zip(shape).rev() {
        (*coordinate, rest) = (rest % size, rest / size);
    }
    Some((format!("{}, element {place:?}", tensor(name)), values[at]))
}

/// The bytes of a file, and its length. Only 8 bytes are read if they are not the length of a header
/// that fits the file.
fn read_bytes(path: &Path) -> io::Result<(Vec<u8>, u64)> {
    let mut file = open_regular(path)?;
    let length = file.metadata()?.len();
    let mut bytes = Vec::new();
    Read::by_ref(&mut file).take(8).read_to_end(&mut bytes)?;
    let header = bytes.as_slice().try_into().map(u64::from_le_bytes);
    if header.is_ok_and(|header| header <= length) {
        file.read_to_end(&mut bytes)?;
    }
    Ok((bytes, length))
}

fn read_words<T, const N: usize>(
    name: &str,
    bytes: &[u8],
    word: impl Fn([u8; N]) -> T,
) -> Result<Vec<T>> {
    let words = bytes.as_chunks().0;
    let mut values = room(name, words.len())?;
    values.extend(words.iter().copied().map(word));
    Ok(values)
}

fn write_words<T: Copy, const N: usize>(
    out: &mut impl Write,
    values: &[T],
    bytes: impl Fn(T) -> [u8; N],
) -> io::Result<()> {
    values
        .iter()
        .try_for_each(|&value| out.write_all(&bytes(value)))
}

pub(crate) fn tensor(name: &str) -> String {
    format!("tensor `{name}`")
}

fn metadata(key: &str) -> String {
    format!("metadata `{key}`")
}

fn own((key, value): (&String, &String)) -> (String, String) {
    (key.clone(), value.clone())
}
