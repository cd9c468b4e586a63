//! The programs that are swept: their inputs, commands and outputs.

use crate::injected::{Failure, Fault, calls, inject};
use crate::support::{Ended, cut, ended, wgrad_command};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use wgrad::files::safetensors::TensorFile;
use wgrad::nnue::train::Config;
use wgrad::nnue::train::checkpoint::{Checkpoint, Checkpoints};
use wgrad::nnue::train::log::Curve;

/// 5 steps an epoch, 10 in all; checkpoints at 0, 3, 5, 6, 9 and 10, of which the last two and the
/// best are kept.
const TRAIN: &str = "train --device cpu --threads 1 --quiet --hidden 8 --batch 50 --epochs 2 \
                     --save-every 3 --keep 2 --seed 7";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Program {
    Train,
    Resume,
    Export,
    Convert,
    Shuffle,
    Split,
}

impl Program {
    pub const ALL: [Self; 6] = [
        Self::Train,
        Self::Resume,
        Self::Export,
        Self::Convert,
        Self::Shuffle,
        Self::Split,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Resume => "train --resume",
            Self::Export => "export",
            Self::Convert => "data convert",
            Self::Shuffle => "data shuffle",
            Self::Split => "data split",
        }
    }

    /// Makes the inputs in a directory.
    pub fn prepare(self, directory: &Path) {
        fs::create_dir(directory).unwrap();
        fs::rename(cut(directory, 250), directory.join("data.bin")).unwrap();
        match self {
            Self::Resume => {
                // The training dies before it renames the checkpoint of step 6.
                let mut train = Self::Train.command(directory);
                let fault = Fault {
                    kind: "rename".to_owned(),
                    number: 7,
                    failure: Failure::Kill,
                };
                inject(&mut train, directory, Some(&fault));
                assert_eq!(ended(train).status, -1);
                assert!(calls(directory).last().unwrap().failed);
                let steps = Checkpoints::new(&run(directory)).list().unwrap();
                let steps: Vec<_> = steps.into_iter().map(|(step, _)| step).collect();
                assert_eq!(steps, [3, 5], "it stopped between its epochs");
            }
            Self::Export => {
                let mut train = Self::Train.command(directory);
                train.arg("--tied");
                ended(train).success();
                fs::rename(run(directory).join("net.safetensors"), net(directory)).unwrap();
                fs::remove_dir_all(run(directory)).unwrap();
            }
            _ => {}
        }
    }

    /// The command that is disturbed.
    pub fn command(self, directory: &Path) -> Command {
        let (data, out) = (data(directory), directory.join("out.bin"));
        match self {
            Self::Train => wgrad_command(
                TRAIN,
                &[
                    ("--data", &data),
                    ("--validation", &data),
                    ("--out", &run(directory)),
                ],
            ),
            Self::Resume => wgrad_command(
                "train --device cpu --threads 1 --quiet",
                &[
                    ("--resume", &run(directory)),
                    ("--data", &data),
                    ("--validation", &data),
                ],
            ),
            Self::Export => wgrad_command(
                "export --format bullet",
                &[("--net", &net(directory)), ("--out", &out)],
            ),
            Self::Convert => wgrad_command(
                &format!("data convert {} --to text", data.display()),
                &[("--out", &out)],
            ),
            Self::Shuffle => wgrad_command(
                &format!("data shuffle {}", data.display()),
                &[("--out", &out)],
            ),
            Self::Split => wgrad_command(
                &format!("data split {} --share 0.3", data.display()),
                &[
                    ("--train", &out),
                    ("--validation", &directory.join("other.bin")),
                ],
            ),
        }
    }

    /// What a user does after the command has failed or died, until the work is done.
    pub fn go_on(self, directory: &Path) -> Result<(), String> {
        let run = run(directory);
        let has_checkpoint = Checkpoints::new(&run)
            .list()
            .is_ok_and(|list| !list.is_empty());
        let next = match self {
            Self::Train if has_checkpoint => Self::Resume,
            // The refusal says what to type.
            Self::Train if run.exists() => {
                let refused = ended(Self::Resume.command(directory));
                if refused.status != 1 || refused.stderr.contains("panicked") {
                    return Err(format!(
                        "--resume of a run without checkpoints: {}",
                        tell(&refused)
                    ));
                }
                self
            }
            Self::Resume if !has_checkpoint => return Err("no checkpoint is left".to_owned()),
            same => same,
        };
        let end = ended(next.command(directory));
        match end.status {
            0 => Ok(()),
            _ => Err(format!("it does not go on: {}", tell(&end))),
        }
    }

    /// The outputs that are there.
    pub fn outputs(self, directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut paths = match self {
            Self::Train | Self::Resume => {
                let list = Checkpoints::new(&run(directory)).list().unwrap();
                let mut paths: Vec<_> = list.into_iter().map(|(_, path)| path).collect();
                paths.extend(["net.safetensors", "loss.svg"].map(|name| run(directory).join(name)));
                paths
            }
            _ => ["out.bin", "out.bin.check.tsv", "other.bin"]
                .map(|name| directory.join(name))
                .to_vec(),
        };
        paths.retain(|path| path.exists());
        let output = |path: PathBuf| {
            let bytes = fs::read(&path).unwrap();
            (path.strip_prefix(directory).unwrap().to_owned(), bytes)
        };
        paths.into_iter().map(output).collect()
    }

    /// Checks that each file with a final name is whole.
    pub fn check(self, directory: &Path, whole: &BTreeMap<PathBuf, Vec<u8>>) -> Result<(), String> {
        let text = |error: wgrad::Error| error.to_string();
        if !matches!(self, Self::Train | Self::Resume) {
            let found = self.outputs(directory);
            return match found
                .iter()
                .find(|(name, bytes)| whole.get(*name) != Some(bytes))
            {
                Some((name, _)) => Err(format!("{} is not whole", name.display())),
                None => Ok(()),
            };
        }
        let run = run(directory);
        for (_, path) in Checkpoints::new(&run).list().map_err(text)? {
            Checkpoint::read(&path).map_err(text)?;
        }
        let net = run.join("net.safetensors");
        if net.exists() {
            TensorFile::read(&net).map_err(text)?;
        }
        Config::of_run(&run).map_err(text)?;
        let log = run.join("log.jsonl");
        if log.exists() {
            Curve::read(&log).map_err(text)?;
        }
        Ok(())
    }

    /// The points of the log of a run, and nothing of other programs.
    pub fn curve(self, directory: &Path) -> Curve {
        match self {
            Self::Train | Self::Resume => Curve::read(&run(directory).join("log.jsonl")).unwrap(),
            _ => Curve::default(),
        }
    }
}

fn data(directory: &Path) -> PathBuf {
    directory.join("data.bin")
}

fn net(directory: &Path) -> PathBuf {
    directory.join("trained.safetensors")
}

fn run(directory: &Path) -> PathBuf {
    directory.join("run")
}

pub fn tell(end: &Ended) -> String {
    format!("status {}, {:?}", end.status, end.stderr)
}
