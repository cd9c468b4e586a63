//! `wgrad import`: makes a network file of wgrad from the file of another program.

use crate::encoding::EncodingOptions;
use crate::export::format_file;
use crate::head::HeadOptions;
use crate::{Failure, Outcome, distinct, print};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use wgrad::Error;
use wgrad::nnue::data::Encoding;
use wgrad::nnue::export::{Quantized, SaveFormat, read_bullet_weights};
use wgrad::nnue::{Activation, Architecture, Parameters, write_network};

/// The format of bullet's weights.bin, which is not a save format, because its tensors have names.
const WEIGHTS: &str = "bullet-weights";

/// Options of `wgrad import`. A format for one engine knows the shape of its networks; for the
/// others the options say it.
#[derive(clap::Args)]
pub struct Options {
    /// The file to read
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The name of a format that comes with wgrad, a TOML file, or bullet-weights for weights.bin of
    /// bullet
    #[arg(long, value_name = "NAME|FILE.toml", default_value = "wgrad")]
    format: String,
    /// The network file to write, for `wgrad train --init`, `wgrad eval` and `wgrad export`
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// K, the number of lanes of one accumulator
    #[arg(long, value_name = "K")]
    hidden: Option<usize>,
    /// The activation of the accumulators [default: screlu, or crelu with --pairwise]
    #[arg(long, value_parser = PossibleValuesParser::new(Activation::ALL.map(Activation::name)).try_map(|name| name.parse::<Activation>()))]
    activation: Option<Activation>,
    #[command(flatten)]
    encoding: EncodingOptions,
    #[command(flatten)]
    head: HeadOptions,
}

/// Reads the file and writes the network.
pub fn run(options: &Options) -> Outcome {
    let mut inputs = vec![options.file.as_path()];
    inputs.extend(format_file(&options.format));
    distinct(&options.out, &inputs)?;
    let bytes = fs::read(&options.file).map_err(Error::io(&options.file, "read"))?;
    let (architecture, encoding) = shape(options)?;
    let (parameters, encoding) = match read(options, &bytes, &architecture, &encoding) {
        Ok(read) => read,
        Err(error) => return Err(error.in_file(&options.file).into()),
    };
    write_network(&options.out, &parameters, encoding.metadata()?)?;
    print(format_args!(
        "wrote {}: {}, {}",
        options.out.display(),
        parameters.architecture(),
        encoding.inputs
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// The network that the format requires, with the options in place of its own values.
fn shape(options: &Options) -> Result<(Architecture, Encoding), Failure> {
    let required = match options.format.as_str() {
        WEIGHTS => Default::default(),
        name => {
            // Both formats of a name require the same.
            let format = SaveFormat::find(name, &Architecture::default())?;
            format.requires.network()?
        }
    };
    let (mut architecture, encoding): (Architecture, Encoding) = required;
    let encoding = options.encoding.over(encoding)?;
    architecture = architecture.tied();
    architecture.inputs = encoding.inputs.inputs();
    architecture.buckets = encoding.output_buckets.count();
    architecture.hidden = options.hidden.unwrap_or(architecture.hidden);
    options.head.over(&mut architecture, "import")?;
    architecture.activation = match (options.activation, architecture.pairwise) {
        (Some(activation), _) => activation,
        (None, true) => Activation::CRelu,
        (None, false) => architecture.activation,
    };
    Ok((architecture, encoding))
}

fn read(
    options: &Options,
    bytes: &[u8],
    architecture: &Architecture,
    encoding: &Encoding,
) -> Result<(Parameters, Encoding), Error> {
    if options.format == WEIGHTS {
        let parameters = read_bullet_weights(bytes, architecture, Some(encoding))?;
        return Ok((parameters, encoding.clone()));
    }
    let format = SaveFormat::find(&options.format, architecture)?;
    let quantized = Quantized::from_bytes(&format, architecture, Some(encoding), bytes)?;
    let encoding = quantized.encoding().cloned();
    Ok((quantized.parameters()?, encoding.unwrap_or_default()))
}
