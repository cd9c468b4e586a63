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
            let quantized = Quantized::from_network(&read?);
            let quantized = quantized.map_err(|error| error.in_file(path))?;
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

    /// The network in integers: those of an exported file, else those of the network's own file,
    /// else the nearest ones of a format.
    pub fn quantized(
        &self,
        format: Option<&str>,
        file: Option<&Path>,
    ) -> Result<Quantized, Failure> {
        if let (Some(quantized), None, None) = (&self.quantized, format, file) {
            return Ok(quantized.clone());
        }
        let name = format.unwrap_or("wgrad");
        let format = SaveFormat::find(name, self.parameters.architecture())?;
        let (network, encoding) = (&self.parameters, Some(&self.encoding));
        match file {
            None => Ok(Quantized::new(&format, network, encoding)?),
            Some(path) => {
                let bytes = fs::read(path).map_err(Error::io(path, "read"))?;
                let architecture = network.architecture();
                let read = Quantized::from_bytes(&format, architecture, encoding, &bytes);
                Ok(read.map_err(|error| error.in_file(path))?)
            }
        }
    }
}
