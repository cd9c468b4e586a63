//! A network to start from.

use crate::error::{Error, Result};
use crate::nnue::{ParameterName, Parameters, read_network};
use std::path::Path;

/// The tensors that a training took from a network, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Taken {
    /// The tensors with the values of the network.
    pub taken: Vec<String>,
    /// The tensors with initial values, because the network has none of their name and shape.
    pub left: Vec<String>,
}

/// Replaces each tensor of `parameters` that the network at `path` has in the same shape.
///
/// # Errors
/// The errors of the file, and a network that has such tensors only for biases, or none.
pub(super) fn take(parameters: &mut Parameters, path: &Path) -> Result<Taken> {
    let (network, _) = read_network(path)?;
    let (mut found, mut has_weights) = (Taken::default(), false);
    let specs = parameters.architecture().tensors();
    for (spec, values) in specs.iter().zip(parameters.values_mut()) {
        let own = network
            .iter()
            .find(|(own, _)| own.name == spec.name && own.shape == spec.shape);
        let list = match own {
            Some((_, own)) => {
                values.copy_from_slice(own);
                has_weights |= !is_bias(spec.name);
                &mut found.taken
            }
            None => &mut found.left,
        };
        list.push(spec.name.to_string());
    }
    if !has_weights {
        let place = format!("init, {}", path.display());
        let expected = format!(
            "a network that shares weights with {}",
            parameters.architecture()
        );
        return Err(Error::argument(place, expected, network.architecture()));
    }
    Ok(found)
}

fn is_bias(name: ParameterName) -> bool {
    matches!(
        name,
        ParameterName::B1 | ParameterName::B2 | ParameterName::D | ParameterName::Bias(_)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nnue::{Architecture, write_network};

    #[test]
    fn tensors_that_fit_are_taken() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("net.safetensors");
        let old = Parameters::initial(Architecture::new(768, 16).tied(), 1).unwrap();
        write_network(&path, &old, Default::default()).unwrap();
        // The same accumulators, but 8 outputs.
        let architecture = Architecture::new(768, 16).tied().buckets(8);
        let mut new = Parameters::initial(architecture, 2).unwrap();
        let before = new.clone();
        let found = take(&mut new, &path).unwrap();
        assert_eq!(found.taken, ["A1", "B1"]);
        assert_eq!(found.left, ["C", "d"]);
        assert_eq!(new.values()[..2], old.values()[..2]);
        assert_eq!(new.values()[2..], before.values()[2..]);

        let mut wider = Parameters::initial(Architecture::new(768, 32).buckets(8), 2).unwrap();
        let error = take(&mut wider, &path).unwrap_err().to_string();
        assert!(
            error.contains("net.safetensors: expected a network that shares weights"),
            "{error}"
        );
    }
}
