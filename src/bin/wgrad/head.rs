//! The options of the layers between accumulators and output.

use crate::Failure;
use wgrad::nnue::{Architecture, HiddenLayer};

/// An option that is not given takes its default, or the value of the resumed run.
#[derive(clap::Args)]
#[group(id = "head", multiple = true)]
pub struct HeadOptions {
    /// Multiply the first K/2 activated lanes of each perspective with its last K/2
    #[arg(long)]
    pairwise: bool,
    /// The hidden layers of the head as WIDTH:ACTIVATION, such as 16:dual,32:crelu, with crelu,
    /// screlu, relu, dual or dual-square [default: none]
    #[arg(long, value_name = "LAYERS", value_delimiter = ',')]
    layers: Option<Vec<HiddenLayer>>,
    /// Let the output layer read the first hidden layer too
    #[arg(long)]
    skip: bool,
    /// Add to the weights of each king bucket a part that all buckets share
    #[arg(long, visible_alias = "factorize")]
    factorise: bool,
}

impl HeadOptions {
    /// The first of the options that is given.
    pub fn given(&self) -> Option<&'static str> {
        let options = [
            (self.pairwise, "--pairwise"),
            (self.layers.is_some(), "--layers"),
            (self.skip, "--skip"),
            (self.factorise, "--factorise"),
        ];
        options
            .iter()
            .find(|option| option.0)
            .map(|option| option.1)
    }

    /// Overwrites the head of a network, whose inputs are set, with the given options.
    pub fn over(
        &self,
        architecture: &mut Architecture,
        command: &'static str,
    ) -> Result<(), Failure> {
        architecture.pairwise |= self.pairwise;
        architecture.skip |= self.skip;
        if let Some(layers) = &self.layers {
            architecture.layers.clone_from(layers);
        }
        if self.factorise {
            let inputs = architecture.inputs;
            *architecture = architecture.clone().factorised(true).map_err(|_| {
                let message =
                    format!("--factorise goes with several king buckets, not N = {inputs}");
                Failure::Usage(command, message)
            })?;
        }
        Ok(())
    }
}
