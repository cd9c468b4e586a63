//! The file of a quantized network.

use super::axes::Places;
use super::entry::Number;
use super::format::{Container, SaveFormat};
use super::quantized::{Quantized, QuantizedTensor, Values};
use crate::error::{Error, Result};
use crate::nnue::architecture::Architecture;
use crate::nnue::data::Encoding;
use wgrad_inference as engine;

impl Quantized {
    /// The bytes of the file.
    ///
    /// # Errors
    /// A header that cannot say the sizes of the network, and with the container of wgrad-inference
    /// everything that [`Quantized::network`] refuses.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        if self.format.container == Container::Inference {
            return Ok(self.network()?.to_bytes());
        }
        let mut bytes = self.header()?;
        for tensor in &self.tensors {
            bytes.resize(bytes.len().next_multiple_of(tensor.entry.align), 0);
            tensor.write(&mut bytes)?;
        }
        self.format.padding.fill(&mut bytes);
        Ok(bytes)
    }

    /// The numbers of a file of a format, for a network of this shape.
    ///
    /// # Errors
    /// Everything that [`Quantized::new`] refuses but values out of range, a file of another size
    /// or header, and floats that are NaN or infinite.
    pub fn from_bytes(
        format: &SaveFormat,
        architecture: &Architecture,
        encoding: Option<&Encoding>,
        bytes: &[u8],
    ) -> Result<Self> {
        if format.container == Container::Inference {
            let network = engine::Network::from_bytes(bytes)
                .map_err(|damage| wrong_file("a network of wgrad-inference", damage))?;
            return Self::from_network(&network);
        }
        // The file has a merged part already.
        let mut merged = architecture.clone();
        if format.entry("A1f").is_none() {
            merged.shared = 0;
        }
        let mut quantized = Self::empty(format, &merged, encoding)?;
        let header = quantized.header()?;
        let mut end = header.len();
        let mut places = Vec::new();
        for tensor in &quantized.tensors {
            end = end.next_multiple_of(tensor.entry.align);
            places.push(end);
            let size = tensor.size()?.saturating_mul(tensor.entry.kind.bytes());
            end = end.saturating_add(size);
        }
        let whole = end
            .checked_next_multiple_of(format.padding.to)
            .unwrap_or(end);
        if bytes.len() != end && bytes.len() != whole {
            let expected = match end == whole {
                true => format!("{end} bytes for {architecture}"),
                false => format!("{whole} bytes for {architecture}, or {end} without padding"),
            };
            return Err(Error::argument("size of the file", expected, bytes.len()));
        }
        if !bytes.starts_with(&header) {
            let expected = format!("the {} bytes of the format", header.len());
            return Err(Error::argument("header", expected, "others"));
        }
        for (tensor, place) in quantized.tensors.iter_mut().zip(places) {
            tensor.read(&bytes[place..])?;
        }
        Ok(quantized)
    }

    fn header(&self) -> Result<Vec<u8>> {
        match &self.format.header {
            None => Ok(Vec::new()),
            Some(header) => header.bytes(
                &self.architecture,
                self.encoding.as_ref(),
                self.has_merged_kings(),
            ),
        }
    }
}

impl QuantizedTensor {
    fn places(&self) -> Result<Places> {
        Places::new(&self.entry.tensor, &self.axes, &self.entry.order)
    }

    fn size(&self) -> Result<usize> {
        Ok(self.places()?.len())
    }

    fn write(&self, bytes: &mut Vec<u8>) -> Result<()> {
        let places = self.places()?;
        bytes.reserve(places.len() * self.entry.kind.bytes());
        match (&self.values, self.entry.kind) {
            (Values::Floats(values), _) => {
                bytes.extend(places.iter().flat_map(|at| values[at].to_le_bytes()));
            }
            (Values::Integers(values), Number::I8) => {
                bytes.extend(places.iter().map(|at| values[at] as i8 as u8));
            }
            (Values::Integers(values), Number::I16) => {
                bytes.extend(
                    places
                        .iter()
                        .flat_map(|at| (values[at] as i16).to_le_bytes()),
                );
            }
            (Values::Integers(values), _) => {
                bytes.extend(places.iter().flat_map(|at| values[at].to_le_bytes()));
            }
        }
        Ok(())
    }

    /// Reads the values from the beginning of `bytes`, which are long enough.
    fn read(&mut self, bytes: &[u8]) -> Result<()> {
        let places = self.places()?;
        let words = bytes.as_chunks::<4>().0.iter();
        let integers: Vec<i32> = match self.entry.kind {
            Number::F32 => {
                let mut values = vec![0.0; places.len()];
                for (at, &word) in places.iter().zip(words) {
                    let value = f32::from_le_bytes(word);
                    if !value.is_finite() {
                        let name = format!("tensor {}", self.entry.tensor);
                        return Err(Error::argument(name, "finite numbers", value));
                    }
                    values[at] = value;
                }
                self.values = Values::Floats(values);
                return Ok(());
            }
            Number::I8 => bytes
                .iter()
                .map(|&byte| i32::from(byte as i8))
                .take(places.len())
                .collect(),
            Number::I16 => {
                let halves = bytes.as_chunks::<2>().0.iter().take(places.len());
                halves
                    .map(|&half| i32::from(i16::from_le_bytes(half)))
                    .collect()
            }
            Number::I32 => words
                .take(places.len())
                .map(|&word| i32::from_le_bytes(word))
                .collect(),
        };
        let mut values = vec![0; places.len()];
        for (at, value) in places.iter().zip(integers) {
            values[at] = value;
        }
        self.values = Values::Integers(values);
        Ok(())
    }
}

/// A file of another kind.
pub(super) fn wrong_file(expected: &str, found: impl ToString) -> Error {
    Error::argument("file", expected, found)
}
