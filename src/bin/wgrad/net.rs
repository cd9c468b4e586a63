//! Networks in files: of a training, or of integers.

use crate::Failure;
use std::fs;
use std::path::Path;
use wgrad::files::safetensors::Metadata;
use wgrad::nnue::data::Encoding;
use wgrad::nnue::export::{Quantized, SaveFormat};
use wgrad::nnue::{Parameters, read_network};
use wgrad::{Error, Fault};

/// A chess network that was read.
pub struct Net {
    pub parameters: Parameters,
    pub metadata: Metadata,
    pub encoding: Encoding,
    /// The integers, if the file has integers.
    quantized: Option<Quantized>,
}

impl Net {
    /// Reads a network file, a checkpoint, or a file of the format wgrad.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let bytes = fs::read(path).map_err(Error::io(path, "read"))?;
        if bytes.starts_with(wgrad_inference::MAGIC) {
            let read = wgrad_inference::Network::from_bytes(&bytes).map_err(|damage| {
                let expected = "a network in the format wgrad";
                Error::data(path, Fault::new("file", expected, damage))
            });
            let quantized = Quantized::from_network(&read?)?;
            return Ok(Self {
                parameters: quantized.parameters()?,
                metadata: Metadata::new(),
                encoding: quantized.encoding().cloned().unwrap_or_default(),
                quantized: Some(quantized),
            });
        }
        drop(bytes);
        let (parameters, metadata) = read_network(path)?;
        let encoding = Encoding::from_metadata(path, &metadata)?;
        let checked = encoding.check(parameters.architecture());
        checked.map_err(|error| error.in_file(path))?;
        Ok(Self {
            parameters,
            metadata,
            encoding,
            quantized: None,
        })
    }

    /// The network in integers: those of the file, or those of a format.
    pub fn quantized(&self, format: Option<&str>) -> Result<Quantized, Failure> {
        if let (Some(quantized), None) = (&self.quantized, format) {
            return Ok(quantized.clone());
        }
        let name = format.unwrap_or("wgrad");
        let format = SaveFormat::find(name, self.parameters.architecture())?;
        Ok(Quantized::new(
            &format,
            &self.parameters,
            Some(&self.encoding),
        )?)
    }
}
