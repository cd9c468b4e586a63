//! Whole trainings through the library: curves that agree between executors, bits that repeat, runs
//! that continue.

mod common;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use wgrad::Error;
use wgrad::engine::device::Device;
use wgrad::nnue::train::log::{self, Entry};
use wgrad::nnue::train::{Event, Run, Settings, Trainer};
use wgrad::optim::{Optimizer, Sgd};

/// The first records of the shipped training data, as a file of its own.
fn data(directory: &Path, records: usize) -> PathBuf {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data/chess_train.bin");
    let bytes = std::fs::read(shipped).unwrap();
    let path = directory.join(format!("{records}.bin"));
    std::fs::write(&path, &bytes[..32 * records]).unwrap();
    path
}

fn settings(hidden: usize) -> Settings {
    let mut settings = Settings::new(768);
    settings.architecture.hidden = hidden;
    settings.batch_size = 500;
    settings.epochs = 2;
    settings.seed = 7;
    settings.shuffle_buffer = 1000;
    settings
}

fn run(directory: &Path, name: &str, data: &Path) -> Run {
    Run::new(vec![data.to_owned()], directory.join(name))
        .validation(Some(data.to_owned()))
        .save_every(3)
        .keep(0)
        .threads(2)
}

/// Trains to the end, or until `stop_after` steps are done.
fn train(mut trainer: Trainer, stop_after: Option<u64>) -> wgrad::nnue::train::Summary {
    let stop = AtomicBool::new(false);
    let mut seen = 0;
    let mut observe = |event: Event<'_>| {
        if let Event::Step { .. } = event {
            seen += 1;
            if stop_after == Some(seen) {
                stop.store(true, Ordering::Relaxed);
            }
        }
    };
    trainer.run(&stop, &mut observe).unwrap()
}

/// The names and bytes of the result and of every checkpoint.
fn files(run: &Run) -> Vec<(String, Vec<u8>)> {
    let checkpoints = run.checkpoints().list().unwrap();
    let paths = checkpoints.into_iter().map(|(_, path)| path);
    paths
        .chain([run.net()])
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read(path).unwrap())
        })
        .collect()
}

fn losses(run: &Run) -> Vec<f64> {
    let entries = log::read(&run.log()).unwrap();
    let loss = |entry: &Entry| match entry {
        Entry::Step { loss, .. } => Some(*loss),
        _ => None,
    };
    entries.iter().filter_map(loss).collect()
}

fn repeats_and_resumes(device: &Device) {
    let directory = tempfile::tempdir().unwrap();
    // 11 batches per epoch, the last one of 123 positions.
    let data = data(directory.path(), 5123);
    let runs = ["first", "second", "stopped"].map(|name| run(directory.path(), name, &data));
    for run in &runs[..2] {
        let summary = train(Trainer::new(device, &settings(24), run).unwrap(), None);
        assert!(summary.finished && summary.step == 22);
    }
    let whole = files(&runs[0]);
    assert!(whole.len() > 8, "{}", whole.len());
    assert_eq!(whole, files(&runs[1]), "{}", device.name());

    let summary = train(
        Trainer::new(device, &settings(24), &runs[2]).unwrap(),
        Some(5),
    );
    assert!(!summary.finished && summary.step < 22 && summary.net.is_none());
    let loaded = Run::load(&runs[2].out).unwrap().threads(1);
    let summary = train(Trainer::resume(device, &loaded).unwrap(), None);
    assert!(summary.finished);
    let resumed = files(&runs[2]);
    for (name, bytes) in &whole {
        let found = resumed.iter().find(|(other, _)| other == name);
        assert!(
            found.is_some_and(|(_, other)| other == bytes),
            "{name} on {}",
            device.name()
        );
    }
    assert_eq!(losses(&runs[0]), losses(&runs[2]));
}

#[test]
fn cpu_runs_repeat_and_resume_bit_for_bit() {
    repeats_and_resumes(&Device::cpu().unwrap());
}

#[test]
fn vulkan_runs_repeat_and_resume_bit_for_bit() {
    let _turn = common::turn();
    repeats_and_resumes(&common::VULKAN);
}

#[test]
fn gl_runs_repeat_and_resume_bit_for_bit() {
    let _turn = common::turn();
    repeats_and_resumes(&common::GL);
}

#[test]
fn the_reference_trains_too_and_every_executor_follows_its_curve() {
    let _turn = common::turn();
    let directory = tempfile::tempdir().unwrap();
    let data = data(directory.path(), 5123);
    let optimizers = [
        (Optimizer::ADAMW, 2e-3),
        (Optimizer::Sgd(Sgd { momentum: 0.9 }), 1.0),
    ];
    for (index, (optimizer, learning_rate)) in optimizers.into_iter().enumerate() {
        let settings = settings(24)
            .optimizer(optimizer)
            .learning_rate(learning_rate);
        let curve = |name: &str, device: &Device| {
            let run = run(directory.path(), &format!("{name}{index}"), &data);
            train(Trainer::new(device, &settings, &run).unwrap(), None);
            losses(&run)
        };
        let expected = curve("reference", &Device::reference());
        let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
        assert!(
            mean(&expected[17..]) < 0.95 * mean(&expected[..5]),
            "{expected:?}"
        );
        for (name, device) in [
            ("cpu", &Device::cpu().unwrap()),
            ("vulkan", &*common::VULKAN),
            ("gl", &*common::GL),
        ] {
            for (step, (found, expected)) in curve(name, device).iter().zip(&expected).enumerate() {
                let error = (found - expected).abs() / expected;
                let bound = if step < 10 { 1e-5 } else { 1e-3 };
                assert!(
                    error <= bound,
                    "{name}, step {}: {found}, expected {expected}",
                    step + 1
                );
            }
        }
    }
}

#[test]
fn a_steady_state_makes_no_objects_but_submissions() {
    let _turn = common::turn();
    let layers = ["16:dual", "32:crelu"].map(|text| text.parse().unwrap());
    let plain = wgrad::nnue::Architecture::new(40, 65);
    let deep = wgrad::nnue::Architecture::new(40, 64).pairwise(true);
    let deep = deep.layers(layers.to_vec()).buckets(8);
    for architecture in [plain, deep] {
        for device in [&*common::VULKAN, &*common::GL] {
            has_a_steady_state(device, &architecture);
        }
    }
}

fn has_a_steady_state(device: &Device, architecture: &wgrad::nnue::Architecture) {
    let net = |samples, seed| common::nets::random(architecture, samples, 8, seed);
    // Lists of other lengths, and batches of fewer samples.
    let warm_up = [net(3000, 1), net(3000, 2), net(2000, 3)];
    let steady = [net(3000, 4), net(2500, 5), net(3000, 6)];
    let loss = wgrad::nnue::Loss::SIGMOID_MSE;
    let parameters = &warm_up[0].parameters;
    let mut learner =
        wgrad::nnue::Learner::new(device, parameters, loss, Optimizer::ADAMW).unwrap();
    let mut in_flight = VecDeque::new();
    let mut steps = |nets: &[common::nets::Net], count: usize| {
        for net in nets.iter().cycle().take(count) {
            in_flight.push_back(learner.step(&net.sparse, 1e-3).unwrap());
            if in_flight.len() > device.steps_in_flight() {
                in_flight.pop_front().unwrap().wait().unwrap();
            }
        }
        // A loss that nobody reads changes nothing.
        in_flight.pop_front();
        for loss in in_flight.drain(..) {
            loss.wait().unwrap();
        }
    };
    steps(&warm_up, 15);
    let mut expected = device.objects();
    steps(&steady, 15);
    expected.submissions += 15_u64.div_ceil(device.recordings_per_submission() as u64);
    assert_eq!(device.objects(), expected, "{}", device.name());
}

#[test]
fn a_run_that_diverges_stops_and_names_the_last_good_checkpoint() {
    let directory = tempfile::tempdir().unwrap();
    let data = data(directory.path(), 2000);
    let mut settings = settings(8);
    settings.optimizer = Optimizer::Sgd(Sgd { momentum: 0.0 });
    settings.loss = wgrad::nnue::Loss::MSE;
    settings.learning_rate = 1e30;
    let run = run(directory.path(), "diverges", &data);
    let mut trainer = Trainer::new(&Device::cpu().unwrap(), &settings, &run).unwrap();
    let error = trainer
        .run(&AtomicBool::new(false), &mut |_| {})
        .unwrap_err();
    assert!(matches!(error, Error::NotFinite { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("step ") && text.contains("step-00000000.safetensors"),
        "{text}"
    );
    assert!(run.checkpoints().latest().unwrap().is_some());
    assert!(!run.net().exists());
}

#[test]
fn a_run_refuses_other_data_and_a_directory_that_holds_another_run() {
    let directory = tempfile::tempdir().unwrap();
    let device = Device::cpu().unwrap();
    let first = data(directory.path(), 2000);
    let other = directory.path().join("other.bin");
    let records = std::fs::read(&first).unwrap();
    let reversed: Vec<_> = records.chunks(32).rev().flatten().copied().collect();
    std::fs::write(&other, reversed).unwrap();
    let run = run(directory.path(), "run", &first);
    train(Trainer::new(&device, &settings(8), &run).unwrap(), Some(1));
    let error = Trainer::new(&device, &settings(8), &run)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("resume") && error.contains("found a run at step"),
        "{error}"
    );
    let moved = run.clone().data(vec![other]);
    let error = Trainer::resume(&device, &moved).unwrap_err().to_string();
    assert!(
        error.contains("other.bin: from byte 0, record 0"),
        "{error}"
    );
    let empty = run.clone().out(directory.path().join("empty"));
    let error = Trainer::resume(&device, &empty).unwrap_err().to_string();
    assert!(error.contains("a checkpoint to resume from"), "{error}");
    // The rest of a damaged run is not overwritten either.
    std::fs::remove_dir_all(run.checkpoints().directory()).unwrap();
    let error = Trainer::new(&device, &settings(8), &run).unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("another run") && error.contains("log.jsonl"),
        "{error}"
    );
}

#[test]
fn a_trainer_keeps_others_out_of_its_directory() {
    let directory = tempfile::tempdir().unwrap();
    let device = Device::cpu().unwrap();
    let data = data(directory.path(), 2000);
    let run = run(directory.path(), "run", &data);
    let first = Trainer::new(&device, &settings(8), &run).unwrap();
    assert_eq!(first.directory(), run.out);
    let in_use = |result: wgrad::Result<Trainer>| {
        let error = result.unwrap_err();
        let text = error.to_string();
        let Error::InUse {
            directory, process, ..
        } = error
        else {
            panic!("{text}");
        };
        assert_eq!(
            (directory, process),
            (run.out.clone(), Some(std::process::id()))
        );
        assert!(text.contains("in use by process"), "{text}");
    };
    in_use(Trainer::new(&device, &settings(8), &run));
    in_use(Trainer::resume(&device, &run));
    train(first, Some(1));
    let again = Trainer::resume(&device, &run).unwrap();
    in_use(Trainer::resume(&device, &run));
    train(again, None);
    let error = Trainer::new(&device, &settings(8), &run).unwrap_err();
    assert!(error.to_string().contains("resume"), "{error}");
}

#[test]
fn losses_and_parameters_come_back_async_as_well() {
    let _turn = common::turn();
    for device in [Device::cpu().unwrap(), common::VULKAN.clone()] {
        let net = common::nets::random(&wgrad::nnue::Architecture::new(40, 33), 50, 5, 1);
        let loss = wgrad::nnue::Loss::MSE;
        let learner = |parameters| {
            wgrad::nnue::Learner::new(&device, parameters, loss, Optimizer::ADAMW).unwrap()
        };
        let blocking = learner(&net.parameters)
            .step(&net.sparse, 1e-3)
            .unwrap()
            .wait()
            .unwrap();
        let mut learner = learner(&net.parameters);
        let pending = learner.step(&net.sparse, 1e-3).unwrap();
        assert_eq!(pollster::block_on(pending.into_future()).unwrap(), blocking);
    }
}

#[test]
fn a_stop_at_the_end_of_an_epoch_stops() {
    let directory = tempfile::tempdir().unwrap();
    // One batch per epoch: each step is the last of its epoch.
    let data = data(directory.path(), 400);
    let settings = settings(8).epochs(5);
    let run = run(directory.path(), "stops", &data);
    let device = Device::cpu().unwrap();
    let summary = train(Trainer::new(&device, &settings, &run).unwrap(), Some(2));
    assert!(!summary.finished && summary.step == 2, "{summary:?}");
    let summary = train(Trainer::resume(&device, &run).unwrap(), None);
    assert!(summary.finished && summary.step == 5);
}

#[test]
fn a_loss_of_ones_own_trains_as_the_same_loss_of_the_library() {
    let _turn = common::turn();
    for device in [Device::cpu().unwrap(), common::VULKAN.clone()] {
        let net = common::nets::random(&wgrad::nnue::Architecture::new(40, 33), 50, 5, 1);
        let loss = wgrad::nnue::Loss::MSE;
        let learner =
            || wgrad::nnue::Learner::new(&device, &net.parameters, loss, Optimizer::ADAMW).unwrap();
        let (mut library, mut own) = (learner(), learner());
        for _ in 0..5 {
            library.step(&net.sparse, 1e-2).unwrap().wait().unwrap();
            let output = own.network_mut().forward(&net.sparse).unwrap();
            let pairs = output.iter().zip(net.sparse.targets());
            let e: Vec<f32> = pairs.map(|(y, t)| 2.0 / 50.0 * (y - t)).collect();
            own.step_with(&net.sparse, &e, 1e-2).unwrap();
        }
        let (library, own) = (library.parameters().unwrap(), own.parameters().unwrap());
        for ((tensor, library), (_, own)) in library.iter().zip(own.iter()) {
            for (a, b) in library.iter().zip(own) {
                assert!(
                    (a - b).abs() < 1e-4,
                    "{} on {}: {a} and {b}",
                    tensor.name,
                    device.name()
                );
            }
        }
        assert_ne!(library, net.parameters);
    }
}

#[test]
fn a_damaged_record_ends_the_run_after_the_steps_before_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = data(directory.path(), 2000);
    let mut settings = settings(8);
    settings.shuffle_buffer = 0;
    let run = run(directory.path(), "damaged", &path);
    let mut trainer = Trainer::new(&Device::cpu().unwrap(), &settings, &run).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    // Changes the result of a record of the third batch, after the data were checked.
    bytes[32 * 1200 + 26] = 3;
    common::damage(&path, &bytes);
    let error = trainer
        .run(&AtomicBool::new(false), &mut |_| {})
        .unwrap_err();
    assert!(error.to_string().contains("record 1200"), "{error}");
    assert_eq!(losses(&run).len(), 2);
}

#[test]
fn what_is_damaged_or_too_large_leaves_no_directory() {
    let directory = tempfile::tempdir().unwrap();
    let path = data(directory.path(), 2000);
    let device = Device::cpu().unwrap();
    let refused = |settings: &Settings, data: &Path, words: &[&str]| {
        let run = run(directory.path(), "refused", data);
        let error = Trainer::new(&device, settings, &run)
            .unwrap_err()
            .to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
        assert!(!run.out.exists());
    };
    let mut huge = settings(8);
    huge.architecture.hidden = 100_000_000;
    refused(&huge, &path, &["K = 100000000"]);
    huge.architecture.hidden = 4_000_000;
    refused(&huge, &path, &["A1", "the largest K that fits is 1398080"]);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[32 * 1999 + 24..32 * 1999 + 26].copy_from_slice(&i16::MIN.to_le_bytes());
    let damaged = directory.path().join("damaged.bin");
    std::fs::write(&damaged, bytes).unwrap();
    refused(
        &settings(8),
        &damaged,
        &["damaged.bin", "record 1999", "score"],
    );
}

#[test]
fn a_checkpoint_of_another_architecture_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let device = Device::cpu().unwrap();
    let path = data(directory.path(), 2000);
    let runs = ["mine", "other"].map(|name| run(directory.path(), name, &path));
    train(
        Trainer::new(&device, &settings(8), &runs[0]).unwrap(),
        Some(1),
    );
    train(
        Trainer::new(&device, &settings(12), &runs[1]).unwrap(),
        None,
    );
    let (step, other) = runs[1].checkpoints().list().unwrap().pop().unwrap();
    std::fs::copy(other, runs[0].checkpoints().path(step)).unwrap();
    let error = Trainer::resume(&device, &runs[0]).unwrap_err().to_string();
    assert!(
        error.contains("hidden: expected 12") && error.contains("found 8"),
        "{error}"
    );
    assert!(!runs[0].net().exists());
}
