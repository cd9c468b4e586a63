//! `wgrad config`: prints the file of a training.

use crate::recipe::{RecipeOptions, configured};
use crate::{Outcome, print};
use std::path::PathBuf;
use std::process::ExitCode;

/// Options of `wgrad config`.
#[derive(clap::Args)]
#[command(
    after_help = "The file holds every value, also the defaults: wgrad config --hidden 256 > run.toml"
)]
pub struct Options {
    /// A file whose values the options replace
    #[arg(value_name = "CONFIG")]
    config: Option<PathBuf>,
    /// Nothing: the options below are always taken
    #[arg(long, hide = true)]
    from_flags: bool,
    #[command(flatten)]
    recipe: RecipeOptions,
}

/// Prints the file.
pub fn run(options: &Options) -> Outcome {
    let config = configured(options.config.as_deref(), &options.recipe)?;
    print(config.to_string().trim_end())?;
    Ok(ExitCode::SUCCESS)
}
