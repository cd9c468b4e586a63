//! Files of named tensors (safetensors). Equal contents are equal bytes: the header is in one fixed order and holds no
//! time, path or host.

use crate::error::{Error, Result};
use crate::files::atomic::{open_regular, write_atomically};
use safetensors::{Dtype, SafeTensors};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// String metadata of a tensor file.
pub type Metadata = BTreeMap<String, String>;

/// The elements of a [`Tensor`], row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum TensorData {
    /// Single precision floats.
    F32(Vec<f32>),
    /// Signed 32-bit integers.
    I32(Vec<i32>),
    /// Signed 64-bit integers, such as the counters among a PyTorch module's tensors.
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

/// A named tensor in a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Unique in its file.
    pub name: String,
    /// The sizes of the axes; their product is the number of elements.
    pub shape: Vec<usize>,
    /// The elements.
    pub data: TensorData,
}

/// What a safetensors file holds, or shall hold. Every error names the file and the tensor or metadata key.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorFile {
    path: PathBuf,
    /// The metadata.
    pub metadata: Metadata,
    /// The tensors, in the order of their data in the file.
    pub tensors: Vec<Tensor>,
}

impl TensorFile {
    /// A file that is to be written at `path`, still without tensors.
    pub fn new(path: impl Into<PathBuf>, metadata: Metadata) -> Self {
        Self {
            path: path.into(),
            metadata,
            tensors: Vec::new(),
        }
    }

    /// Reads a whole file. One that is cut short, of another format, or with tensors that are neither f32, i32 nor i64
    /// is refused.
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
        // `read_metadata` has checked that the tensors fill the rest of the file, without gaps and in their sizes.
        let data = &bytes[size_of::<u64>() + header..];
        for name in layout.offset_keys() {
            let Some(info) = layout.info(&name) else {
                continue;
            };
            let data = &data[info.data_offsets.0..info.data_offsets.1];
            let data = match info.dtype {
                Dtype::F32 => TensorData::F32(read_words(data, f32::from_le_bytes)),
                Dtype::I32 => TensorData::I32(read_words(data, i32::from_le_bytes)),
                Dtype::I64 => TensorData::I64(read_words(data, i64::from_le_bytes)),
                other => return Err(file.fault(tensor(&name), "F32, I32 or I64", other)),
            };
            let shape = info.shape.clone();
            file.tensors.push(Tensor { name, shape, data });
        }
        Ok(file)
    }

    /// Writes the file with [`write_atomically`].
    pub fn write(&self) -> Result<()> {
        let header = self.header()?;
        write_atomically(&self.path, |out| {
            out.write_all(&(header.len() as u64).to_le_bytes())?;
            out.write_all(&header)?;
            for tensor in &self.tensors {
                match &tensor.data {
                    TensorData::F32(values) => write_words(out, values, f32::to_le_bytes)?,
                    TensorData::I32(values) => write_words(out, values, i32::to_le_bytes)?,
                    TensorData::I64(values) => write_words(out, values, i64::to_le_bytes)?,
                }
            }
            Ok(())
        })
    }

    /// The JSON header: keys sorted, on every level, and spaces up to a multiple of 8 bytes so that the data are aligned.
    fn header(&self) -> Result<Vec<u8>> {
        let mut entries = BTreeMap::from([("__metadata__", json!(self.metadata))]);
        let mut end = 0;
        for Tensor { name, shape, data } in &self.tensors {
            if data.len() != shape.iter().product::<usize>() {
                let expected = format!("elements for the shape {shape:?}");
                return Err(self.fault(tensor(name), expected, data.len()));
            }
            let begin = end;
            end += data.bytes();
            // Written in sorted order, since JSON maps that keep the order of insertion can be switched on elsewhere.
            let entry =
                json!({"data_offsets": [begin, end], "dtype": data.dtype(), "shape": shape});
            if entries.insert(name, entry).is_some() {
                return Err(self.fault(tensor(name), "each name once", "it twice"));
            }
        }
        let mut header = serde_json::to_vec(&entries)
            .map_err(|error| self.fault("header", "what JSON can hold", error))?;
        header.resize(header.len().next_multiple_of(8), b' ');
        Ok(header)
    }

    /// The tensor of that name.
    pub fn tensor(&self, name: &str) -> Result<&Tensor> {
        let found = self.tensors.iter().find(|tensor| tensor.name == name);
        found.ok_or_else(|| {
            let names: Vec<_> = self.tensors.iter().map(|t| t.name.as_str()).collect();
            self.fault(tensor(name), "it in the file", format!("only {names:?}"))
        })
    }

    /// The elements of an f32 tensor of that name and shape.
    pub fn floats(&self, name: &str, shape: &[usize]) -> Result<&[f32]> {
        match self.shaped(name, shape)? {
            TensorData::F32(values) => Ok(values),
            other => Err(self.fault(tensor(name), "F32", other.dtype())),
        }
    }

    /// The elements of an i32 tensor of that name and shape.
    pub fn integers(&self, name: &str, shape: &[usize]) -> Result<&[i32]> {
        match self.shaped(name, shape)? {
            TensorData::I32(values) => Ok(values),
            other => Err(self.fault(tensor(name), "I32", other.dtype())),
        }
    }

    /// As [`Self::floats`], with no NaN and no infinity among them.
    pub fn finite(&self, name: &str, shape: &[usize]) -> Result<&[f32]> {
        let values = self.floats(name, shape)?;
        self.check_values(name, shape, values)?;
        Ok(values)
    }

    /// As [`Self::write`], refusing NaN and infinities, so that what is written reads back.
    pub fn write_finite(&self) -> Result<()> {
        for Tensor { name, shape, data } in &self.tensors {
            if let TensorData::F32(values) = data {
                self.check_values(name, shape, values)?;
            }
        }
        self.write()
    }

    /// The metadata under that key.
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
        Error::Tensors {
            path: self.path.clone(),
            place: place.into(),
            expected: expected.into(),
            found: found.to_string(),
        }
    }

    /// Turns an [`Error::Argument`] about something that stands in this file into one that names the file.
    pub fn place(&self, error: Error) -> Error {
        match error {
            Error::Argument {
                name,
                expected,
                found,
            } => self.fault(name, expected, found),
            other => other,
        }
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
        let Some(at) = values.iter().position(|value| !value.is_finite()) else {
            return Ok(());
        };
        let (mut place, mut rest) = (vec![0; shape.len()], at);
        for (coordinate, size) in place.iter_mut().zip(shape).rev() {
            (*coordinate, rest) = (rest % size, rest / size);
        }
        let place = format!("{}, element {place:?}", tensor(name));
        Err(self.fault(place, "a finite number", values[at]))
    }
}

/// The bytes of a file and its length; of one whose first 8 bytes are no header length of its own, only those.
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

fn read_words<T, const N: usize>(bytes: &[u8], word: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks().0.iter().copied().map(word).collect()
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
