//! Files of named tensors (safetensors), and the two-perspective network in them.
//!
//! A network file holds `A1`, `A2` `[K, N]`, `B1`, `B2` `[K]` (`A2` and `B2` absent when tied), `C` `[2K]` and
//! `d` `[1]`, or `C` `[buckets, 2K]` and `d` `[buckets]` with more than one output bucket; and the string metadata
//! `activation` (crelu, screlu or relu), `clip` (without effect for relu) and `tied` (true or false). Equal contents
//! are equal bytes: the header is in one fixed order and holds no time, path or host.

use crate::activation::Activation;
use crate::error::{Error, Result};
use crate::perspective::Parameters;
use crate::perspective::{Architecture, TensorSpec};
use safetensors::{Dtype, SafeTensors};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
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
}

impl TensorData {
    fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::I32(values) => values.len(),
        }
    }

    fn dtype(&self) -> &'static str {
        match self {
            Self::F32(_) => "F32",
            Self::I32(_) => "I32",
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

    /// Reads a whole file. One that is cut short, of another format, or with tensors that are neither f32 nor i32
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
            let words = &data[info.data_offsets.0..info.data_offsets.1];
            let words = words.as_chunks().0.iter().copied();
            let data = match info.dtype {
                Dtype::F32 => TensorData::F32(words.map(f32::from_le_bytes).collect()),
                Dtype::I32 => TensorData::I32(words.map(i32::from_le_bytes).collect()),
                other => return Err(file.fault(tensor(&name), "F32 or I32", other)),
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
            end += data.len() * size_of::<f32>();
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

    fn option<T: std::str::FromStr>(&self, key: &str, expected: &str) -> Result<T> {
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
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut bytes = Vec::new();
    Read::by_ref(&mut file).take(8).read_to_end(&mut bytes)?;
    let header = bytes.as_slice().try_into().map(u64::from_le_bytes);
    if header.is_ok_and(|header| header <= length) {
        file.read_to_end(&mut bytes)?;
    }
    Ok((bytes, length))
}

fn write_words<T: Copy>(
    out: &mut impl Write,
    values: &[T],
    bytes: impl Fn(T) -> [u8; 4],
) -> io::Result<()> {
    values
        .iter()
        .try_for_each(|&value| out.write_all(&bytes(value)))
}

fn tensor(name: &str) -> String {
    format!("tensor `{name}`")
}

fn metadata(key: &str) -> String {
    format!("metadata `{key}`")
}

fn own((key, value): (&String, &String)) -> (String, String) {
    (key.clone(), value.clone())
}

/// Writes a file so that at `path` stands what stood there before or the whole new contents, whatever happens: a new
/// file in the same directory is filled, brought to the disk and renamed.
///
/// # Errors
/// [`Error::Io`] with `path` when any of it fails; the new file is then gone.
pub fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
) -> Result<()> {
    let attempt = || {
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        let directory = parent.unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        builder.prefix(".unfinished-");
        // Temporary files are private otherwise; this one becomes a file like any other, as the umask has it.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = builder.tempfile_in(directory)?;
        let mut out = BufWriter::with_capacity(1 << 16, file.as_file());
        write(&mut out)?;
        out.flush()?;
        drop(out);
        file.as_file().sync_all()?;
        file.persist(path)?;
        // The new file is in place by now: a file system that cannot sync a directory is no reason to fail.
        #[cfg(unix)]
        let _ = File::open(directory).and_then(|directory| directory.sync_all());
        Ok(())
    };
    attempt().map_err(Error::io(path, "write"))
}

/// The network in a file.
impl TensorFile {
    /// A network file to be written at `path`: the parameters, what describes their architecture, and `metadata`.
    pub fn network(
        path: impl Into<PathBuf>,
        parameters: &Parameters,
        mut metadata: Metadata,
    ) -> Self {
        let architecture = parameters.architecture();
        for (key, value) in [
            ("activation", architecture.activation.name().to_string()),
            ("clip", architecture.clip.to_string()),
            ("tied", architecture.tied.to_string()),
        ] {
            metadata.insert(key.to_string(), value);
        }
        let mut file = Self::new(path, metadata);
        file.push_parameters(parameters, "");
        file
    }

    /// Adds the tensors of `parameters` in the shapes of a network file, each name followed by `suffix`: "" for the
    /// network itself, ".grad" for gradients.
    pub fn push_parameters(&mut self, parameters: &Parameters, suffix: &str) {
        let architecture = parameters.architecture();
        for (spec, values) in parameters.iter() {
            let values = match spec.shape[..] {
                [inputs, hidden] => transpose(values, inputs, hidden),
                _ => values.to_vec(),
            };
            self.tensors.push(Tensor {
                name: format!("{}{suffix}", spec.name),
                shape: shape_in_file(architecture, spec.name),
                data: TensorData::F32(values),
            });
        }
    }

    /// What [`Self::push_parameters`] added, in the layout of the device. NaN and infinities are refused.
    pub fn parameters(&self, architecture: Architecture, suffix: &str) -> Result<Parameters> {
        let read = |spec: TensorSpec| {
            let name = format!("{}{suffix}", spec.name);
            let values = self.finite(&name, &shape_in_file(&architecture, spec.name))?;
            Ok(match spec.shape[..] {
                [inputs, hidden] => transpose(values, hidden, inputs),
                _ => values.to_vec(),
            })
        };
        let values = architecture.tensors().into_iter().map(read);
        Parameters::from_values(architecture, values.collect::<Result<_>>()?)
    }

    /// The architecture of the network in the file: N, K and the buckets from the shapes of `A1` and `C`, the rest from
    /// the metadata. [`Self::parameters`] checks the other tensors against it.
    pub fn architecture(&self) -> Result<Architecture> {
        let activation: Activation = self.option("activation", "crelu, screlu or relu")?;
        let tied = self.option("tied", "true or false")?;
        let clip = match activation {
            // It has no effect there: nothing is an error, and 1 replaces what could not be a clip.
            Activation::Relu => self.option("clip", "").ok().filter(positive).unwrap_or(1.0),
            _ => self.option("clip", "a finite number above 0")?,
        };
        let weights = &self.tensor("A1")?.shape;
        let &[hidden, inputs] = weights.as_slice() else {
            return Err(self.fault(tensor("A1"), "a shape [K, N]", format!("{weights:?}")));
        };
        let buckets = match self.tensor("C")?.shape[..] {
            [buckets, _] => buckets,
            _ => 1,
        };
        let architecture = Architecture {
            inputs,
            hidden,
            tied,
            activation,
            clip,
            buckets,
        };
        architecture.check().map_err(|error| self.place(error))?;
        let extra = self
            .tensors
            .iter()
            .find(|t| ["A2", "B2"].contains(&t.name.as_str()));
        if let (true, Some(extra)) = (tied, extra) {
            let found = format!("one of shape {:?}", extra.shape);
            return Err(self.fault(tensor(&extra.name), "none in a tied network", found));
        }
        Ok(architecture)
    }
}

/// Writes a network with [`write_atomically`]; NaN and infinities are refused and nothing is written.
pub fn write_network(path: &Path, parameters: &Parameters, metadata: Metadata) -> Result<()> {
    TensorFile::network(path, parameters, metadata).write_finite()
}

/// Reads the parameters and the metadata of a network file or a checkpoint.
///
/// Everything about the architecture comes from shapes and metadata; what does not fit together, is missing, or is NaN or
/// infinite is an error that names the tensor or the key.
pub fn read_network(path: &Path) -> Result<(Parameters, Metadata)> {
    let file = TensorFile::read(path)?;
    let parameters = file.parameters(file.architecture()?, "")?;
    Ok((parameters, file.metadata))
}

fn shape_in_file(architecture: &Architecture, name: &str) -> Vec<usize> {
    let (inputs, hidden, buckets) = (
        architecture.inputs,
        architecture.hidden,
        architecture.buckets,
    );
    match name {
        "A1" | "A2" => vec![hidden, inputs],
        "B1" | "B2" => vec![hidden],
        "C" if buckets > 1 => vec![buckets, 2 * hidden],
        "C" => vec![2 * hidden],
        _ => vec![buckets],
    }
}

/// `[rows, columns]` to `[columns, rows]`.
fn transpose(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let column = |at| values.iter().skip(at).step_by(columns).take(rows);
    (0..columns).flat_map(column).copied().collect()
}

fn positive(number: &f32) -> bool {
    number.is_finite() && *number > 0.0
}
