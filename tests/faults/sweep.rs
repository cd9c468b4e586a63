//! All faults, one at a time, and what became of the programs.

use crate::injected::{Call, Failure, Fault, calls, inject};
use crate::programs::{Program, tell};
use crate::support::{Ended, ended, scratch};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::TempDir;
use wgrad::nnue::train::log::Curve;

/// The result of a disturbed command.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Killed,
    /// Exit status 1, and a message that names the file.
    Refused,
    /// The work is done all the same.
    Done,
    /// The same, after an error of the system that does not matter; with the file.
    Ignored(String),
    /// The command made fewer calls than the undisturbed one, because their number depends on time.
    NotReached,
}

/// A program with its inputs, and what it does undisturbed.
struct Subject {
    program: Program,
    inputs: PathBuf,
    outputs: BTreeMap<PathBuf, Vec<u8>>,
    curve: Curve,
}

pub struct Sweep {
    directory: PathBuf,
    subjects: Vec<Subject>,
    /// The faults, each with the index of its subject.
    faults: Vec<(usize, Fault)>,
    _guard: TempDir,
}

impl Sweep {
    /// Every so manieth fault of all programs.
    pub fn new(every: usize) -> Self {
        let (guard, directory) = scratch();
        let mut faults = Vec::new();
        let subjects = Program::ALL.iter().enumerate().map(|(index, &program)| {
            let inputs = directory.join(format!("{program:?}"));
            program.prepare(&inputs);
            let whole = directory.join(format!("{program:?}-whole"));
            copy(&inputs, &whole);
            let mut command = program.command(&whole);
            inject(&mut command, &whole, None);
            ended(command).success();
            let mut counts = BTreeMap::<String, usize>::new();
            for call in calls(&whole) {
                *counts.entry(call.kind).or_default() += 1;
            }
            for (kind, count) in counts {
                for number in 1..=count {
                    let failures = Failure::of(&kind).iter();
                    let fault = |&failure| Fault {
                        kind: kind.clone(),
                        number,
                        failure,
                    };
                    faults.extend(failures.map(fault).map(|fault| (index, fault)));
                }
            }
            Subject {
                program,
                inputs,
                outputs: program.outputs(&whole),
                curve: program.curve(&whole),
            }
        });
        let subjects = subjects.collect();
        Self {
            faults: faults.into_iter().step_by(every).collect(),
            directory,
            subjects,
            _guard: guard,
        }
    }

    /// Injects the faults and returns a table of the outcomes. Panics with all faults that lost
    /// something.
    pub fn run(&self) -> String {
        let next = AtomicUsize::new(0);
        let (table, lost) = (Mutex::new(Table::default()), Mutex::new(Vec::new()));
        let work = || {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some((subject, fault)) = self.faults.get(index) else {
                    break;
                };
                let subject = &self.subjects[*subject];
                let case = self.directory.join(format!("case-{index}"));
                copy(&subject.inputs, &case);
                match subject.outcome(&case, fault) {
                    Ok(outcome) => table.lock().unwrap().add(subject.program, fault, outcome),
                    Err(reason) => {
                        let name = subject.program.name();
                        let text = format!("{name}, {fault:?}: {reason}");
                        lost.lock().unwrap().push(text);
                    }
                }
                fs::remove_dir_all(&case).unwrap();
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
        let (table, lost) = (table.into_inner().unwrap(), lost.into_inner().unwrap());
        let table = table.text();
        assert!(
            lost.is_empty(),
            "{table}\n{} faults lost something:\n{}",
            lost.len(),
            lost.join("\n")
        );
        table
    }
}

impl Subject {
    /// Disturbs the program in a directory and goes on there.
    fn outcome(&self, directory: &Path, fault: &Fault) -> Result<Outcome, String> {
        let mut command = self.program.command(directory);
        inject(&mut command, directory, Some(fault));
        let end = ended(command);
        let failed: Vec<_> = calls(directory)
            .into_iter()
            .filter(|call| call.failed)
            .collect();
        let outcome = match (failed.first(), end.status) {
            (None, 0) => Outcome::NotReached,
            (None, _) => return Err(format!("without a failed call: {}", tell(&end))),
            (Some(_), -1) if fault.failure.kills() => Outcome::Killed,
            (Some(_), 0) if fault.failure.is_harmless() => Outcome::Done,
            (Some(call), 0) if !fault.failure.kills() && does_not_matter(call) => {
                Outcome::Ignored(file(call))
            }
            (Some(_), 1) if !fault.failure.is_harmless() => {
                check_message(&failed, &end)?;
                Outcome::Refused
            }
            (Some(call), _) => return Err(format!("at {}: {}", file(call), tell(&end))),
        };
        let whole = |reason| {
            format!(
                "{reason}, {:?}",
                failed.iter().map(file).collect::<Vec<_>>()
            )
        };
        self.program
            .check(directory, &self.outputs)
            .map_err(whole)?;
        if end.status == 0 {
            self.is_as_undisturbed(directory).map_err(whole)?;
        } else {
            self.program.go_on(directory).map_err(whole)?;
            let last = self.is_as_undisturbed(directory);
            last.and_then(|()| nothing_is_left(directory))
                .map_err(whole)?;
        }
        Ok(outcome)
    }

    fn is_as_undisturbed(&self, directory: &Path) -> Result<(), String> {
        let found = self.program.outputs(directory);
        let names = |outputs: &BTreeMap<PathBuf, Vec<u8>>| outputs.keys().cloned().collect();
        let (own, expected): (Vec<_>, Vec<_>) = (names(&found), names(&self.outputs));
        if own != expected {
            return Err(format!("in the end {own:?} instead of {expected:?}"));
        }
        let mut pairs = found.iter().zip(self.outputs.values());
        match pairs.find(|((_, found), expected)| found != expected) {
            Some(((name, _), _)) => Err(format!("in the end {} differs", name.display())),
            None if self.program.curve(directory) != self.curve => {
                Err("in the end the log differs".to_owned())
            }
            None => Ok(()),
        }
    }
}

/// Whether a program may go on after the failure of a call: that of a directory that cannot be
/// synchronized or cleaned, of the log that is read for a picture, of a picture that is drawn
/// again, and of the number of a process that has ended.
fn does_not_matter(call: &Call) -> bool {
    let picture = format!(".unfinished-{:08x}-…", crc32fast::hash(b"loss.svg"));
    match (&*call.kind, &*file(call)) {
        ("open" | "sync", "a directory") | ("open" | "read", "log.jsonl") => true,
        ("unlink", "run.pid") => true,
        (_, name) => name == picture,
    }
}

/// A message of one line that names the file of a call. A file with another name until it is
/// complete has the name that it gets.
fn check_message(failed: &[Call], end: &Ended) -> Result<(), String> {
    let wanted = |call: &Call| {
        let name = call.path.file_name().and_then(OsStr::to_str);
        let hidden = name.is_none_or(|name| name.starts_with(['.', '#']));
        match (hidden, call.path.parent()) {
            (true, Some(parent)) => parent.to_owned(),
            _ => call.path.clone(),
        }
    };
    let named = |path: PathBuf| end.stderr.contains(&*path.to_string_lossy());
    let errors = end.stderr.matches("error: ").count();
    match errors == 1 && failed.iter().map(wanted).any(named) && !end.stderr.contains("panicked") {
        true => Ok(()),
        false => Err(format!("no message about {failed:?}: {}", tell(end))),
    }
}

/// No temporary file and no number of a process remains.
fn nothing_is_left(directory: &Path) -> Result<(), String> {
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') || name == "run.pid" {
            return Err(format!("{} remains", entry.path().display()));
        }
        if entry.path().is_dir() {
            nothing_is_left(&entry.path())?;
        }
    }
    Ok(())
}

/// The name of a file for people: without random letters.
fn file(call: &Call) -> String {
    if call.path.is_dir() {
        return "a directory".to_owned();
    }
    let name = call.path.file_name().unwrap_or_default().to_string_lossy();
    match name.rsplit_once('-') {
        Some((before, _)) if name.starts_with('.') => format!("{before}-…"),
        _ => name.into_owned(),
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let from = entry.unwrap().path();
        let to = to.join(from.file_name().unwrap());
        match from.is_dir() {
            true => copy(&from, &to),
            false => drop(fs::copy(&from, &to).unwrap()),
        }
    }
}

/// The numbers of outcomes.
#[derive(Default)]
struct Table {
    /// By kind of call and failure: killed, refused, done, ignored, not reached.
    rows: BTreeMap<(String, Failure), [usize; 5]>,
    /// By program.
    programs: BTreeMap<Program, usize>,
    /// The calls whose failure did not matter.
    ignored: BTreeMap<String, usize>,
}

impl Table {
    fn add(&mut self, program: Program, fault: &Fault, outcome: Outcome) {
        let row = self.rows.entry((fault.kind.clone(), fault.failure));
        let column = match &outcome {
            Outcome::Killed => 0,
            Outcome::Refused => 1,
            Outcome::Done => 2,
            Outcome::Ignored(_) => 3,
            Outcome::NotReached => 4,
        };
        row.or_default()[column] += 1;
        *self.programs.entry(program).or_default() += 1;
        if let Outcome::Ignored(file) = outcome {
            *self
                .ignored
                .entry(format!("{} {file}", fault.kind))
                .or_default() += 1;
        }
    }

    fn text(&self) -> String {
        let head = [
            "injected",
            "killed",
            "refused",
            "done",
            "ignored",
            "not reached",
        ];
        let cells = |cells: &[String]| {
            let cells = cells.iter().map(|cell| format!("{cell:>12}"));
            cells.collect::<String>()
        };
        let mut text = format!("{:<28}{}\n", "fault", cells(&head.map(str::to_owned)));
        let mut sums = [0; 6];
        let line = |text: &mut String, name: &str, row: [usize; 6]| {
            writeln!(
                text,
                "{name:<28}{}",
                cells(&row.map(|cell| cell.to_string()))
            )
            .unwrap();
        };
        for ((kind, failure), row) in &self.rows {
            let mut whole = [0; 6];
            whole[0] = row.iter().sum();
            whole[1..].copy_from_slice(row);
            (0..6).for_each(|at| sums[at] += whole[at]);
            line(&mut text, &format!("{kind} {}", failure.name()), whole);
        }
        line(&mut text, "all", sums);
        for (program, count) in &self.programs {
            writeln!(text, "{}: {count} faults", program.name()).unwrap();
        }
        for (call, count) in &self.ignored {
            writeln!(text, "{count} times without consequence: {call}").unwrap();
        }
        text
    }
}
