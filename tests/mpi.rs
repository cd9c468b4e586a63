//! `mpirun wgrad train`: the same bits on every number of processes, and failures that end all of
//! them. `make test` runs these tests where MPI is installed.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use wgrad::nnue::Architecture;
use wgrad::nnue::ranks::{MpiJob, MpiRanks, Ranks};
use wgrad::nnue::train::{Run, Settings, Stage, Trainer};

const WGRAD: &str = env!("CARGO_BIN_EXE_wgrad");

/// A training on 4,000 of the shipped positions, on one thread per process.
struct Job {
    directory: tempfile::TempDir,
    data: PathBuf,
}

impl Job {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data/chess_train.bin");
        let data = directory.path().join("data.bin");
        std::fs::write(&data, &std::fs::read(shipped).unwrap()[..32 * 4000]).unwrap();
        Self { directory, data }
    }

    fn out(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The options of a new run.
    fn options(&self, name: &str, more: &[&str]) -> Vec<String> {
        let [data, out] = [&self.data, &self.out(name)].map(|path| path.display().to_string());
        let fixed = ["--data", &data, "--validation", &data, "--out", &out];
        let shape = [
            "--tied",
            "--hidden",
            "32",
            "--batch-size",
            "512",
            "--shards",
            "8",
        ];
        let options = fixed.iter().chain(&shape).chain(more);
        options.map(|option| (*option).to_owned()).collect()
    }
}

/// `mpirun` with a list of process counts and options of `wgrad train`.
fn mpirun(processes: &[(usize, Vec<String>)]) -> Command {
    let mut command = Command::new("mpirun");
    // Containers run as root, and machines may have fewer cores than the test has processes.
    let variables = [
        "OMPI_ALLOW_RUN_AS_ROOT",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM",
        "OMPI_MCA_rmaps_base_oversubscribe",
    ];
    command
        .envs(variables.map(|name| (name, "1")))
        .stdin(Stdio::null());
    for (count, options) in processes {
        add(&mut command, *count, &[], options);
    }
    command
}

/// Adds processes that train, which another program starts if there is one.
fn add(command: &mut Command, count: usize, starter: &[&str], options: &[String]) {
    if command.get_args().len() > 0 {
        command.arg(":");
    }
    command.args(["-n", &count.to_string()]).args(starter);
    command.args([
        WGRAD,
        "train",
        "--device",
        "cpu",
        "--threads",
        "1",
        "--quiet",
    ]);
    command.args(options);
}

fn run(count: usize, options: Vec<String>) -> Output {
    mpirun(&[(count, options)]).output().expect("mpirun")
}

/// This test program as `count` processes of a job, which run one of its ignored tests.
fn as_ranks(count: usize, test: &str) -> Command {
    let mut command = mpirun(&[]);
    // A job that hangs fails by its time.
    command.args(["--timeout", "60", "-n", &count.to_string()]);
    command.arg(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture"]);
    command
}

/// The job in which [`as_ranks`] has started this process.
fn joined() -> MpiJob {
    let job = MpiJob::join().unwrap();
    MpiJob::abort_on_panic();
    job
}

fn resumed(out: &Path) -> Vec<String> {
    vec!["--resume".to_owned(), out.display().to_string()]
}

fn net(out: &Path) -> Vec<u8> {
    std::fs::read(out.join("net.safetensors")).unwrap()
}

fn succeeded(output: &Output) {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The text of a job that failed, which must have ended all of its processes.
fn failed(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{text}");
    text
}

/// Waits until a run has written this many checkpoints.
fn wait_for_checkpoints(out: &Path, count: usize, job: &mut Child) {
    let begun = Instant::now();
    while std::fs::read_dir(out.join("checkpoints")).map_or(0, Iterator::count) < count {
        assert!(job.try_wait().unwrap().is_none(), "the job has ended");
        assert!(begun.elapsed() < Duration::from_secs(60), "no checkpoints");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Kills the last of the processes that train in a directory.
fn kill_one(out: &Path) {
    let out = out.display().to_string();
    let trains = |path: &Path| {
        let arguments = std::fs::read_to_string(path.join("cmdline")).unwrap_or_default();
        let program = arguments.split('\0').next().unwrap_or_default();
        program == WGRAD && arguments.contains(&out)
    };
    let entries = std::fs::read_dir("/proc").unwrap();
    let processes = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| trains(path));
    let numbers = processes.filter_map(|path| path.file_name()?.to_str()?.parse::<u32>().ok());
    let kill = format!("kill -KILL {}", numbers.max().expect("a process"));
    assert!(
        Command::new("sh")
            .args(["-c", &kill])
            .status()
            .unwrap()
            .success()
    );
}

#[test]
fn a_network_does_not_depend_on_the_number_of_processes() {
    let job = Job::new();
    for count in [1, 2, 4] {
        succeeded(&run(
            count,
            job.options(&count.to_string(), &["--epochs", "2"]),
        ));
    }
    let expected = net(&job.out("1"));
    assert!(net(&job.out("2")) == expected && net(&job.out("4")) == expected);
    let log = std::fs::read_to_string(job.out("2").join("log.jsonl")).unwrap();
    let first = log.lines().next().unwrap();
    assert_eq!(first.matches(": cpu\"").count(), 2, "{first}");
    let losses = |name: &str| {
        let log = std::fs::read_to_string(job.out(name).join("log.jsonl")).unwrap();
        let lines = log
            .lines()
            .filter(|line| line.contains(r#""kind":"validation""#));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(losses("1").len(), 2);
    assert_eq!(losses("1"), losses("4"));
}

#[test]
fn processes_that_mpirun_binds_to_a_core_say_so() {
    let job = Job::new();
    let text = |name: &str, threads: &str| {
        let mut command = mpirun(&[]);
        command.args(["--bind-to", "core", "-n", "1", WGRAD, "train", "--quiet"]);
        command
            .args(["--device", "cpu"])
            .args(["--threads", threads]);
        command.args(job.options(name, &["--epochs", "1"]));
        let output = command.output().expect("mpirun");
        succeeded(&output);
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let bound = text("bound", "2");
    assert!(bound.contains("may use 1 core(s) for 2 threads"), "{bound}");
    let enough = text("enough", "1");
    assert!(!enough.contains("core(s)"), "{enough}");
}

#[test]
fn a_process_that_dies_ends_the_job_which_goes_on_on_another_number() {
    let job = Job::new();
    // Enough epochs to be killed in, each with a checkpoint.
    let options = |name| job.options(name, &["--epochs", "60", "--keep", "0"]);
    let out = job.out("killed");
    let mut killed = mpirun(&[(2, options("killed"))])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for_checkpoints(&out, 4, &mut killed);
    kill_one(&out);
    let begun = Instant::now();
    assert!(!killed.wait().unwrap().success());
    assert!(
        begun.elapsed() < Duration::from_secs(30),
        "{:?}",
        begun.elapsed()
    );
    assert!(!out.join("net.safetensors").exists());
    succeeded(&run(4, resumed(&out)));
    succeeded(&run(1, options("whole")));
    assert!(net(&out) == net(&job.out("whole")));
}

#[test]
fn processes_that_cannot_train_together_say_why() {
    let job = Job::new();
    let out = job.out("refused");
    let text = failed(&run(3, job.options("refused", &[])));
    assert!(
        text.contains("ranks: expected a power of two up to the 8 shards"),
        "{text}"
    );
    let [one, other] =
        [&["--seed", "1"], &["--seed", "2"]].map(|seed| job.options("refused", seed));
    let text = failed(&mpirun(&[(1, one), (1, other)]).output().unwrap());
    assert!(
        text.contains("settings, seed: expected 1, as rank 0 has, found 2"),
        "{text}"
    );
    let missing = job.options("refused", &["--init", "missing.safetensors"]);
    let whole = job.options("refused", &[]);
    let text = failed(&mpirun(&[(1, whole), (1, missing)]).output().unwrap());
    assert!(
        text.contains("error: rank 1 on ") && text.contains("missing.safetensors"),
        "{text}"
    );
    let text = failed(&run(2, job.options("refused", &["--fallback", "cpu"])));
    assert!(text.contains("only a training in one process"), "{text}");
    assert!(!out.exists());
}

/// Where [`a_part_of_a_training`] writes.
const OUT: &str = "WGRAD_TEST_OUT";
/// The exchange in which its last rank panics.
const PANIC_AT: &str = "WGRAD_TEST_PANIC_AT";

/// A rank that panics in one of its exchanges.
#[derive(Debug)]
struct Panics {
    ranks: MpiRanks,
    exchanges_left: AtomicUsize,
}

impl Ranks for Panics {
    fn rank(&self) -> usize {
        self.ranks.rank()
    }

    fn count(&self) -> usize {
        self.ranks.count()
    }

    fn exchange(&self, with: usize, own: &[f32], theirs: &mut [f32]) -> wgrad::Result<()> {
        let left = self.exchanges_left.fetch_sub(1, Ordering::Relaxed);
        assert!(left > 0, "rank {} fails", self.rank());
        self.ranks.exchange(with, own, theirs)
    }

    fn share(&self, own: &[u8]) -> wgrad::Result<Vec<Vec<u8>>> {
        self.ranks.share(own)
    }

    fn place(&self) -> String {
        self.ranks.place()
    }
}

#[test]
#[ignore = "a rank of the next test, which starts it under mpirun"]
fn a_part_of_a_training() {
    let job = joined();
    let ranks = job.ranks();
    let panic_at = std::env::var(PANIC_AT).map_or(usize::MAX, |text| text.parse().unwrap());
    let is_last = ranks.rank() + 1 == ranks.count();
    let exchanges_left = AtomicUsize::new(if is_last { panic_at } else { usize::MAX });
    let ranks = Panics {
        ranks,
        exchanges_left,
    };
    let out = PathBuf::from(std::env::var_os(OUT).unwrap());
    let data = out.with_file_name("data.bin");
    let mut settings = Settings::new(768).epochs(6).batch_size(512).shards(8);
    settings.architecture = Architecture::new(768, 32).tied();
    let stages = [Stage::new(settings)];
    let mut run = Run::new(vec![data], &out);
    run.keep = 0;
    let device = wgrad::Device::cpu().unwrap();
    let mut trainer = Trainer::with_ranks(&device, &stages, &run, Arc::new(ranks)).unwrap();
    trainer.run(&AtomicBool::new(false), &mut |_| {}).unwrap();
}

#[test]
fn a_panic_ends_the_job_which_goes_on_to_the_same_bits() {
    let job = Job::new();
    let start = |count: usize, name: &str, variables: &[(&str, &str)]| {
        let mut command = as_ranks(count, "a_part_of_a_training");
        command.env(OUT, job.out(name)).envs(variables.to_vec());
        command.output().expect("mpirun")
    };
    succeeded(&start(1, "whole", &[]));
    let begun = Instant::now();
    let text = failed(&start(2, "panicked", &[(PANIC_AT, "40")]));
    assert!(text.contains("rank 1 fails"), "{text}");
    let seconds = begun.elapsed().as_secs_f64();
    assert!(seconds < 30.0, "{seconds} seconds");
    let out = job.out("panicked");
    assert!(std::fs::read_dir(out.join("checkpoints")).unwrap().count() > 1);
    assert!(!out.join("net.safetensors").exists());
    succeeded(&run(4, resumed(&out)));
    assert!(net(&out) == net(&job.out("whole")));
}

/// A value that only its rank and its place have.
fn value(rank: usize, at: usize) -> f32 {
    (rank * (1 << 22) + at) as f32
}

#[test]
#[ignore = "a rank of the next test, which starts it under mpirun"]
fn a_part_of_an_exchange() {
    let job = joined();
    let ranks = job.ranks();
    // More than one message, of two lengths.
    let lens = [600_001, 524_288];
    let (rank, other) = (ranks.rank(), 1 - ranks.rank());
    let own: Vec<f32> = (0..lens[rank]).map(|at| value(rank, at)).collect();
    let mut theirs = vec![0.0; lens[other]];
    ranks.exchange(other, &own, &mut theirs).unwrap();
    let expected: Vec<f32> = (0..lens[other]).map(|at| value(other, at)).collect();
    assert!(theirs == expected, "rank {rank}");
    ranks.exchange(other, &[], &mut []).unwrap();
}

#[test]
fn long_exchanges_keep_their_order() {
    let output = as_ranks(2, "a_part_of_an_exchange").output();
    succeeded(&output.expect("mpirun"));
}

/// A limit on the size of files imitates a full disk on the host of rank 0.
#[test]
fn a_disk_that_is_full_ends_the_job_and_leaves_nothing_in_the_way() {
    let job = Job::new();
    let epochs = ["--epochs", "4", "--keep", "0"];
    succeeded(&run(2, job.options("whole", &epochs)));
    // Not even a checkpoint fits.
    let out = job.out("full");
    let mut command = mpirun(&[]);
    let limit = "trap '' XFSZ; ulimit -f 64; exec \"$@\"";
    let options = job.options("full", &epochs);
    add(&mut command, 1, &["sh", "-c", limit, "sh"], &options);
    add(&mut command, 1, &[], &options);
    let text = failed(&command.output().expect("mpirun"));
    assert!(text.contains("error: rank 0 on "), "{text}");
    assert!(
        text.contains("could not write") && text.contains("full"),
        "{text}"
    );
    let left = std::fs::read_dir(out.join("checkpoints")).map_or(0, Iterator::count);
    assert_eq!(left, 0);
    succeeded(&run(2, options));
    assert!(net(&out) == net(&job.out("whole")));
}
