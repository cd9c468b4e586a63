//! `wgrad report`: a run as one page of HTML.

mod network;
mod page;
mod summary;

use crate::inspect::activity::Activity;
use crate::plot::{courses, log_of, read};
use crate::{Failure, Outcome, distinct, print};
use page::{Page, escaped};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use wgrad::Error;
use wgrad::files::atomic::write_atomically;
use wgrad::nnue::data::{Dataset, Encoding};
use wgrad::nnue::train::checkpoint::{Checkpoints, objective_of};
use wgrad::nnue::train::inspect::inspect;
use wgrad::nnue::train::{Config, History, Run, Settings};
use wgrad::nnue::{Parameters, read_network};

/// Options of `wgrad report`.
#[derive(clap::Args)]
pub struct Options {
    /// The directory of a run, which may still be going on
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Data files on which to count dead and saturated neurons, buckets and losses [default: the
    /// validation data of the run]
    #[arg(long, value_name = "FILE", num_args = 1..)]
    data: Vec<PathBuf>,
    /// The most positions to read from the data; 0 for all
    #[arg(long, value_name = "COUNT", default_value_t = 1_000_000)]
    positions: u64,
    /// The page [default: RUN/report.html]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// The sizes of the panels of losses and of the others in pixels. A phone shows about this width.
const PANELS: [(u32, u32); 2] = [(460, 300), (390, 260)];

/// Writes the page.
pub fn run(options: &Options) -> Outcome {
    let directory = &options.run;
    let log = log_of(directory);
    let out = match &options.out {
        Some(out) => out.clone(),
        None => directory.join("report.html"),
    };
    let inputs: Vec<&Path> = options
        .data
        .iter()
        .map(PathBuf::as_path)
        .chain([&*log])
        .collect();
    distinct(&out, &inputs)?;
    let history = read(&log)?;
    let config = Config::of_run(directory)?;
    let name = directory.canonicalize().ok();
    let name = name.as_deref().and_then(Path::file_name);
    let name = name.map_or_else(
        || directory.display().to_string(),
        |name| name.to_string_lossy().into_owned(),
    );
    let mut page = Page::new(&name);
    summary::push(&mut page, &history, config.as_ref());
    push_panels(&mut page, &history, &out)?;
    push_network(&mut page, options, &history, config.as_ref())?;
    let path = Config::path(directory);
    if let Ok(text) = std::fs::read_to_string(path) {
        page.heading("Settings");
        page.push(format_args!(
            "<details><summary>run.toml</summary><pre>{}</pre></details>",
            escaped(text)
        ));
    }
    let version = env!("CARGO_PKG_VERSION");
    page.text("faint", &format!("Made by wgrad {version}."));
    let html = page.finish();
    write_atomically(&out, |file| file.write_all(html.as_bytes()))?;
    print(format_args!("report  {}", out.display()))?;
    Ok(ExitCode::SUCCESS)
}

fn push_panels(page: &mut Page, history: &History, out: &Path) -> Result<(), Error> {
    page.heading("Course");
    let panels = courses::panels(&[history]);
    let rows = [("two", panels.losses), ("three", panels.others)];
    for ((class, panels), size) in rows.into_iter().zip(PANELS) {
        let pictures = panels
            .iter()
            .map(|panel| Ok((panel.title.to_owned(), panel.to_svg(size)?)));
        let pictures = pictures.collect::<std::io::Result<Vec<_>>>();
        let pictures = pictures.map_err(Error::io(out, "draw the panels"))?;
        page.pictures(class, pictures);
    }
    Ok(())
}

/// A network of the run, and its name in the page.
struct Chosen {
    path: PathBuf,
    name: String,
}

/// The checkpoint with the lowest validation loss of the last stage, else the trained network, else
/// the newest checkpoint; `None` if there is none of them.
fn chosen(directory: &Path) -> Result<Option<Chosen>, Error> {
    let checkpoints = Checkpoints::new(directory);
    let named = |path: PathBuf, name: String| Ok(path.exists().then_some(Chosen { path, name }));
    let net = Run::new(Vec::new(), directory).net();
    let newest = match checkpoints.latest() {
        Ok(newest) => newest,
        Err(_) if net.exists() => None,
        Err(error) => return Err(error),
    };
    let best = newest.as_ref().and_then(|(_, newest)| newest.progress.best);
    if let Some(best) = best {
        let path = checkpoints.path(best.step);
        if path.exists() {
            let name = format!(
                "the checkpoint of step {}, which has the lowest validation loss",
                indicatif::HumanCount(best.step)
            );
            return named(path, name);
        }
    }
    match (net.exists(), newest) {
        (false, Some((path, newest))) => {
            let step = indicatif::HumanCount(newest.step);
            named(path, format!("the newest checkpoint, of step {step}"))
        }
        _ => named(net, "the trained network".to_owned()),
    }
}

/// Adds the sections of a network of the run. What cannot be read becomes a note in the page, so
/// that the rest can be seen.
fn push_network(
    page: &mut Page,
    options: &Options,
    history: &History,
    config: Option<&Config>,
) -> Result<(), Failure> {
    page.heading("Network");
    let network = chosen(&options.run).and_then(|chosen| {
        let read = |chosen: Chosen| Ok((read_network(&chosen.path)?, chosen));
        chosen.map(read).transpose()
    });
    let ((parameters, metadata), chosen) = match network {
        Ok(Some(network)) => network,
        Ok(None) => {
            page.text("note", "The run has no network yet.");
            return Ok(());
        }
        Err(error) => {
            page.text("note", &format!("The network could not be read: {error}"));
            return Ok(());
        }
    };
    page.text("faint", &format!("This is {}.", chosen.name));
    network::push_tensors(page, &parameters);
    let stage = config.and_then(|config| {
        let stage = config.stages.get(history.stages.len().saturating_sub(1))?;
        stage.validation.as_ref().or(config.run.validation.as_ref())
    });
    let files = match (options.data.is_empty(), stage) {
        (false, _) => options.data.clone(),
        (true, Some(path)) => vec![path.clone()],
        (true, None) => Vec::new(),
    };
    page.heading("Neurons and losses");
    if files.is_empty() {
        page.text(
            "note",
            "The run has no validation data; --data names other data.",
        );
    } else {
        let activity = activity(
            &chosen.path,
            &parameters,
            &metadata,
            history,
            &files,
            options,
        );
        match activity {
            Ok(activity) => network::push_activity(page, &activity),
            // Data that were asked for are not left out silently.
            Err(error) if !options.data.is_empty() => return Err(error.into()),
            Err(error) => page.text(
                "note",
                &format!("No counts on the validation data: {error}"),
            ),
        }
    }
    if let Ok(encoding) = Encoding::from_metadata(&chosen.path, &metadata) {
        network::push_rooms(page, &parameters, &encoding);
    }
    network::push_boards(page, &parameters);
    Ok(())
}

fn activity(
    path: &Path,
    parameters: &Parameters,
    metadata: &wgrad::files::safetensors::Metadata,
    history: &History,
    files: &[PathBuf],
    options: &Options,
) -> Result<Activity, Error> {
    let encoding = Encoding::from_metadata(path, metadata)?;
    // The validations of the run have the objective of its settings.
    let (settings, objective) = match history.stages.last() {
        Some((_, settings)) => (settings.clone(), settings.objective()),
        None => {
            let settings = Settings::new(parameters.architecture().inputs);
            let own = objective_of(path, metadata)?;
            let objective = own.unwrap_or(settings.objective());
            (settings, objective)
        }
    };
    let dataset = settings.sieved(Dataset::open(files)?)?;
    let found = inspect(
        parameters,
        &dataset,
        &encoding,
        objective,
        options.positions,
    )?;
    Ok(Activity::new(objective, found, parameters.architecture()))
}
