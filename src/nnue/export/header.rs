//! The first bytes of a file.

use crate::error::{Error, Result};
use crate::nnue::architecture::Architecture;
use crate::nnue::data::Encoding;
use serde::{Deserialize, Serialize};

/// A header in front of the tensors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
#[non_exhaustive]
pub enum Header {
    /// These bytes.
    Bytes {
        /// In hexadecimal digits, two per byte; spaces are ignored.
        hex: String,
    },
    /// The 64 bytes of CBNF, version 1, with the sizes and flags of the network.
    Cbnf {
        /// The engine's number of the architecture.
        arch: u8,
        /// The engine's number of the activation.
        activation: u8,
        /// The name of the network, at most 48 bytes.
        name: String,
    },
}

impl Header {
    /// The longest name of CBNF.
    const NAME: usize = 48;

    pub(super) fn check(&self) -> Result<()> {
        match self {
            Self::Bytes { hex } => parse(hex).map(drop),
            Self::Cbnf { name, .. } if name.len() > Self::NAME => {
                let expected = format!("at most {} bytes", Self::NAME);
                Err(Error::argument("header, name", expected, name.len()))
            }
            Self::Cbnf { .. } => Ok(()),
        }
    }

    /// The bytes for a network. `merged` says whether both kings share a plane.
    pub(super) fn bytes(
        &self,
        architecture: &Architecture,
        encoding: Option<&Encoding>,
        merged: bool,
    ) -> Result<Vec<u8>> {
        let (arch, activation, name) = match self {
            Self::Bytes { hex } => return parse(hex),
            Self::Cbnf {
                arch,
                activation,
                name,
            } => (*arch, *activation, name),
        };
        let kings = encoding.and_then(|encoding| encoding.inputs.king_buckets());
        let mirrored = kings.is_some_and(|kings| kings.is_mirrored());
        let narrow = |place: &str, size: usize| {
            u8::try_from(size)
                .map_err(|_| Error::argument(format!("header, {place}"), "at most 255", size))
        };
        let hidden = u16::try_from(architecture.hidden).map_err(|_| {
            Error::argument("header, hidden (K)", "at most 65535", architecture.hidden)
        })?;
        let flags = [(mirrored, 2), (merged, 4), (architecture.pairwise, 8)];
        let flags = flags.map(|(is_set, bit): (bool, u16)| if is_set { bit } else { 0 });
        let flags: u16 = flags.iter().sum();
        let mut bytes = b"CBNF".to_vec();
        bytes.extend(1u16.to_le_bytes());
        bytes.extend(flags.to_le_bytes());
        bytes.extend([0, arch, activation]);
        bytes.extend(hidden.to_le_bytes());
        bytes.push(narrow(
            "king buckets",
            kings.map_or(1, |kings| kings.buckets()),
        )?);
        bytes.push(narrow("output buckets", architecture.buckets)?);
        bytes.push(narrow("name", name.len())?);
        bytes.extend(name.as_bytes());
        bytes.resize(64, 0);
        Ok(bytes)
    }
}

fn parse(hex: &str) -> Result<Vec<u8>> {
    let digits: Option<Vec<u32>> = hex
        .chars()
        .filter(|letter| !letter.is_whitespace())
        .map(|letter| letter.to_digit(16))
        .collect();
    match digits {
        Some(digits) if digits.len().is_multiple_of(2) => {
            let (pairs, _) = digits.as_chunks::<2>();
            Ok(pairs
                .iter()
                .map(|[high, low]| (16 * high + low) as u8)
                .collect())
        }
        _ => {
            let expected = "hexadecimal digits, two per byte";
            Err(Error::argument("header, hex", expected, format!("{hex:?}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nnue::data::{ChessInputs, OutputBuckets};

    #[test]
    fn a_header_of_cbnf_has_the_sizes_of_the_network() {
        let header = Header::Cbnf {
            arch: 1,
            activation: 3,
            name: "net".into(),
        };
        let inputs = ChessInputs::named("chess768-mirrored", None).unwrap();
        let encoding = Encoding::new(inputs, OutputBuckets::material(8).unwrap());
        let network = Architecture::new(768, 1024)
            .tied()
            .pairwise(true)
            .buckets(8);
        let bytes = header.bytes(&network, Some(&encoding), false).unwrap();
        let expected = [
            b'C', b'B', b'N', b'F', 1, 0, 10, 0, 0, 1, 3, 0, 4, 1, 8, 3, b'n', b'e', b't',
        ];
        assert_eq!(bytes.len(), 64);
        assert_eq!(bytes[..19], expected);
        assert!(bytes[19..].iter().all(|&byte| byte == 0));
    }

    #[test]
    fn bytes_are_read_from_their_digits() {
        let hex = |hex: &str| Header::Bytes { hex: hex.into() };
        let network = Architecture::default();
        let found = hex("41 52fF").bytes(&network, None, false).unwrap();
        assert_eq!(found, [0x41, 0x52, 0xff]);
        for wrong in ["4", "4x"] {
            let error = hex(wrong).check().unwrap_err().to_string();
            assert!(error.contains("two per byte"), "{error}");
        }
    }
}
