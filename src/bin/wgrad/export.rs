//! `wgrad export`: writes a network as the file of an engine.

use crate::{Failure, Outcome, distinct, distinct_as, print};
use clap::ValueEnum;
use clap::builder::TypedValueParser;
use indicatif::HumanCount;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use wgrad::files::atomic::write_atomically;
use wgrad::nnue::data::{Dataset, Encoding};
use wgrad::nnue::export::{CheckList, Quantized, Rounding, SaveFormat};
use wgrad::nnue::read_network;

/// Options of `wgrad export`.
#[derive(clap::Args)]
pub struct Options {
    /// The network: the result of a training, or a checkpoint
    #[arg(long, value_name = "FILE", required_unless_present_any = ["list", "show"])]
    net: Option<PathBuf>,
    /// The name of a format that comes with wgrad, or a TOML file
    #[arg(long, value_name = "NAME|FILE.toml", default_value = "wgrad")]
    format: String,
    /// The file to write; FILE.check.tsv beside it has the evaluations that an engine must print
    #[arg(long, value_name = "FILE", required_unless_present_any = ["list", "show"])]
    out: Option<PathBuf>,
    /// The rounding of every tensor, in place of the format's
    #[arg(long, value_name = "HOW")]
    rounding: Option<RoundingOption>,
    /// Choose the rounding of each weight on positions of these data files, so that the outputs stay
    /// near those of the floats
    #[arg(long, value_name = "FILE", num_args = 1..)]
    calibrate: Vec<PathBuf>,
    /// The positions of a calibration
    #[arg(long, value_name = "COUNT", default_value_t = 65536, requires = "calibrate", value_parser = clap::value_parser!(u32).range(1..).map(|count| count as usize))]
    calibration_positions: usize,
    /// Write no list of evaluations
    #[arg(long)]
    no_check: bool,
    /// List the formats that come with wgrad
    #[arg(long, exclusive = true)]
    list: bool,
    /// Print the TOML of a format, to change it; with --net, of the one for that network
    #[arg(long, value_name = "NAME", conflicts_with_all = ["format", "out", "rounding", "calibrate"])]
    show: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum RoundingOption {
    Nearest,
    Truncate,
}

/// Writes the file and its check list, or prints formats.
pub fn run(options: &Options) -> Outcome {
    if options.list {
        for (name, about) in SaveFormat::presets() {
            print(format_args!("{name:10} {about}"))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(name) = &options.show {
        return show(name, options.net.as_deref());
    }
    match (&options.net, &options.out) {
        (Some(net), Some(out)) => write(options, net, out),
        // clap requires both.
        _ => Err(Failure::Usage(
            "export",
            "--net and --out are missing".to_owned(),
        )),
    }
}

/// The file of a format, if the format is one.
pub fn format_file(name: &str) -> Option<&Path> {
    name.ends_with(".toml").then_some(Path::new(name))
}

/// Prints a format as a file that `--format` takes.
fn show(name: &str, net: Option<&Path>) -> Outcome {
    let texts = SaveFormat::preset_texts(name)?;
    let has_layers = match net {
        None => false,
        Some(net) => !read_network(net)?.0.architecture().layers.is_empty(),
    };
    match (&texts[..], net) {
        ([_, layered], Some(_)) if has_layers => print(layered.trim_end())?,
        ([plain, _], None) => {
            print(plain)?;
            print(format_args!(
                "# For networks with hidden layers, add --net FILE to --show {name}."
            ))?;
        }
        (texts, _) => print(texts.first().copied().unwrap_or_default().trim_end())?,
    }
    Ok(ExitCode::SUCCESS)
}

fn write(options: &Options, net: &Path, out: &Path) -> Outcome {
    let mut list_path = out.as_os_str().to_owned();
    list_path.push(".check.tsv");
    let list_path = PathBuf::from(list_path);
    let mut inputs = vec![net];
    inputs.extend(format_file(&options.format));
    inputs.extend(options.calibrate.iter().map(PathBuf::as_path));
    distinct(out, &inputs)?;
    distinct_as("the list beside --out", &list_path, &inputs)?;
    let (parameters, metadata) = read_network(net)?;
    let encoding = Encoding::from_metadata(net, &metadata)?;
    let architecture = parameters.architecture();
    let checked = encoding.check(architecture);
    checked.map_err(|error| error.in_file(net))?;
    let mut format = SaveFormat::find(&options.format, architecture)?;
    if let Some(rounding) = options.rounding {
        format = format.rounding(match rounding {
            RoundingOption::Nearest => Rounding::Nearest,
            RoundingOption::Truncate => Rounding::Truncate,
        });
    }
    let quantized = Quantized::new(&format, &parameters, Some(&encoding));
    let mut quantized = quantized.map_err(|error| error.in_file(net))?;
    if !options.calibrate.is_empty() {
        let dataset = Dataset::open(&options.calibrate)?;
        let positions = options.calibration_positions;
        let done = quantized.calibrate(&parameters, &encoding, &dataset, positions)?;
        print(format_args!(
            "calibrated on {} positions: {} integers differ from the nearest",
            HumanCount(done.positions as u64),
            HumanCount(done.changed as u64)
        ))?;
    }
    let bytes = quantized.to_bytes()?;
    // The list comes first: without it an engine's author could not check the file.
    let list = match options.no_check || format.evaluation.is_none() {
        true => None,
        false => Some(CheckList::new(
            &quantized.network()?,
            &parameters,
            &encoding,
        )?),
    };
    write_atomically(out, |file| file.write_all(&bytes))?;
    print(format_args!(
        "wrote {}: {} bytes, format {}",
        out.display(),
        bytes.len(),
        options.format
    ))?;
    if let Some(list) = list {
        write_atomically(&list_path, |file| list.write(file))?;
        print(format_args!(
            "wrote {}: the evaluations of {} positions, {:.1} centipawns from the network on average",
            list_path.display(),
            list.rows().len(),
            list.mean_difference()
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}
