//! Trainings on several ranks, which are threads here: the bits depend on the shards alone.

#[path = "../common/mod.rs"]
mod common;
mod sums;
mod threads;

use common::nets::relative_l2;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use threads::{counted, on_ranks};
use wgrad::Device;
use wgrad::nnue::data::{ChessInputs, Dataset, LoaderSettings, Shards};
use wgrad::nnue::ranks::{Alone, Ranks};
use wgrad::nnue::train::{Run, Settings, Stage, Trainer};
use wgrad::nnue::{Activation, Architecture, HeadActivation, HiddenLayer, Needs, read_network};
use wgrad::optim::{Optimizer, Sgd};

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data/chess_train.bin")
}

/// The first records of the shipped positions.
fn records(directory: &Path, count: usize) -> PathBuf {
    let path = directory.join(format!("{count}.bin"));
    std::fs::write(&path, &std::fs::read(shipped()).unwrap()[..32 * count]).unwrap();
    path
}

#[test]
fn the_shards_of_a_loader_are_the_parts_of_its_batches() {
    let directory = tempfile::tempdir().unwrap();
    let dataset = Dataset::open(&[records(directory.path(), 1013)]).unwrap();
    let load = |shards, threads| {
        let settings = LoaderSettings::default()
            .batch_size(128)
            .shuffle_buffer(300);
        let settings = settings.shards(shards).threads(threads).epochs(2);
        let inputs = ChessInputs::default();
        let loader = inputs
            .loader(&dataset, &settings, Needs::default())
            .unwrap();
        loader.map(Result::unwrap).collect::<Vec<_>>()
    };
    let whole = load(Shards::default(), 1);
    for threads in [0, 1, 3] {
        for made in [0..8, 0..2, 4..8, 7..8] {
            let shards = load(Shards::new(8, made.clone()), threads);
            assert_eq!(shards.len(), whole.len() * made.len());
            for (batch, shards) in whole.iter().zip(shards.chunks(made.len())) {
                let place = |shard: usize| (16 * shard).min(batch.len());
                let range = place(made.start)..place(made.end);
                let scores = shards.iter().flat_map(|shard| shard.scores());
                assert!(scores.eq(&batch.scores()[range.clone()]));
                let targets = shards.iter().flat_map(|shard| shard.targets());
                assert!(targets.eq(&batch.targets()[range]));
                for shard in shards {
                    assert_eq!(shard.samples(), batch.len());
                    assert_eq!(shard.next_place(), batch.next_place());
                    assert_eq!(shard.ends_epoch(), batch.ends_epoch());
                }
            }
        }
    }
}

/// Networks of every path.
fn networks() -> Vec<Settings> {
    let settings = |architecture: Architecture| {
        let mut settings = Settings::new(768).epochs(2).batch_size(512).shards(8);
        settings.architecture = architecture;
        settings.shuffle_buffer(700).seed(5)
    };
    let plain = Architecture::new(768, 32).tied();
    let screlu = plain.clone().activation(Activation::SCRelu);
    let buckets = settings(screlu.clone()).output_buckets("material:8".parse().unwrap());
    let mut head = Architecture::new(768, 64);
    (head.pairwise, head.skip) = (true, true);
    head.layers = [(8, HeadActivation::Dual), (8, HeadActivation::CRelu)]
        .map(|(width, activation)| HiddenLayer::new(width, activation))
        .into();
    // Another K is computed from tensor operations on adapters.
    let mut odd = head.clone();
    odd.hidden = 10;
    // More inputs than a batch touches.
    let squares: Vec<usize> = (0..64).collect();
    let many = ChessInputs::named("king-buckets", Some(&squares)).unwrap();
    let many = settings(plain.clone()).inputs(many);
    let table: Vec<usize> = (0..32).map(|square| square / 16).collect();
    let kings = ChessInputs::named("king-buckets-mirrored", Some(&table)).unwrap();
    let kings = settings(screlu.clone()).inputs(kings);
    let factorised = kings.architecture.clone().factorised(true).unwrap();
    let quantized = settings(plain.clone());
    vec![
        settings(plain),
        settings(screlu),
        buckets,
        settings(head).l1(0.01),
        settings(odd),
        many,
        kings.architecture(factorised),
        quantized.quantization_aware(Some("bullet".parse().unwrap())),
    ]
}

fn train(settings: &Settings, data: &Path, out: &Path, count: usize) -> Vec<u8> {
    train_counted(settings, data, out, count).0
}

/// As [`train`], with the number of values that all ranks have sent.
fn train_counted(settings: &Settings, data: &Path, out: &Path, count: usize) -> (Vec<u8>, usize) {
    let run = Run::new(vec![data.to_owned()], out);
    let (_, sent) = counted(count, |ranks| {
        let device = Device::cpu().unwrap();
        let stages = [Stage::new(settings.clone())];
        let mut trainer = Trainer::with_ranks(&device, &stages, &run, ranks).unwrap();
        let summary = trainer.run(&AtomicBool::new(false), &mut |_| {}).unwrap();
        assert!(summary.finished);
    });
    (std::fs::read(run.net()).unwrap(), sent)
}

#[test]
fn a_training_does_not_depend_on_the_number_of_ranks() {
    let directory = tempfile::tempdir().unwrap();
    let data = records(directory.path(), 2600);
    for (index, settings) in networks().into_iter().enumerate() {
        let out = |name: &str| directory.path().join(format!("{index}-{name}"));
        let expected = train(&settings, &data, &out("1"), 1);
        assert_ne!(
            expected,
            train(&settings.clone().shards(4), &data, &out("4 shards"), 1)
        );
        for count in [2, 4, 8] {
            let found = train(&settings, &data, &out(&count.to_string()), count);
            assert!(found == expected, "network {index} on {count} ranks");
        }
    }
}

#[test]
fn a_training_with_many_inputs_sends_few_of_their_rows() {
    let directory = tempfile::tempdir().unwrap();
    let data = records(directory.path(), 2600);
    let mut all = networks().into_iter();
    let many = all.find(|settings| settings.architecture.inputs > 20_000);
    let many = many.unwrap();
    let (_, sent) = train_counted(&many, &data, &directory.path().join("run"), 2);
    // In each of 6 steps of 2 epochs, each of two ranks would send as many values as A has.
    let all = 2 * 6 * 2 * many.architecture.inputs * many.architecture.hidden;
    assert!(sent > 0 && sent < all / 4, "{sent} of {all}");
}

/// The parameters after a training, as one vector.
fn parameters(device: &Device, settings: &Settings, data: &Path, out: &Path) -> Vec<f64> {
    let run = Run::new(vec![data.to_owned()], out);
    let mut trainer = Trainer::new(device, settings, &run).unwrap();
    assert!(
        trainer
            .run(&AtomicBool::new(false), &mut |_| {})
            .unwrap()
            .finished
    );
    let (parameters, _) = read_network(&run.net()).unwrap();
    let values = parameters.values().iter().flatten();
    values.map(|&value| f64::from(value)).collect()
}

#[test]
fn steps_of_shards_are_steps_of_the_batch() {
    let directory = tempfile::tempdir().unwrap();
    let data = records(directory.path(), 2600);
    let cpu = Device::cpu().unwrap();
    let _turn = common::turn();
    for (index, settings) in networks().into_iter().enumerate() {
        // SGD, whose updates are proportional to the gradients.
        let sgd = Optimizer::Sgd(Sgd::default());
        let settings = settings.optimizer(sgd).learning_rate(0.1);
        for (name, device) in [("cpu", &cpu), ("vulkan", &*common::VULKAN)] {
            let out = |shards: usize| directory.path().join(format!("{index}-{name}-{shards}"));
            let of = |shards| {
                let settings = settings.clone().shards(shards);
                parameters(device, &settings, &data, &out(shards))
            };
            let begun = settings
                .initial
                .parameters(settings.architecture.clone(), 5);
            let begun = begun.unwrap();
            let begun = begun
                .values()
                .iter()
                .flatten()
                .map(|&value| f64::from(value));
            let begun: Vec<f64> = begun.collect();
            let moved = |values: &[f64]| -> Vec<f64> {
                values
                    .iter()
                    .zip(&begun)
                    .map(|(value, begun)| value - begun)
                    .collect()
            };
            let (whole, shards) = (moved(&of(1)), moved(&of(8)));
            let error = relative_l2(&whole, &shards);
            // As far as the gradients of an executor may be from the reference.
            assert!(error < 1e-5, "network {index} on {name}: {error:e}");
        }
    }
}

#[test]
fn a_run_goes_on_with_another_number_of_ranks() {
    let directory = tempfile::tempdir().unwrap();
    let data = records(directory.path(), 2600);
    let settings = networks().remove(0);
    let expected = train(&settings, &data, &directory.path().join("whole"), 1);
    let run = Run::new(vec![data], directory.path().join("parts"));
    let device = Device::cpu().unwrap();
    // A stop after 1, 2 and 3 steps, each on another number of ranks.
    for (part, count) in [4, 1, 8].into_iter().enumerate() {
        on_ranks(count, |ranks| {
            let stop = AtomicBool::new(false);
            let asked = ranks.rank() + 1 == ranks.count();
            let mut trainer = match part {
                0 => {
                    let stages = [Stage::new(settings.clone())];
                    Trainer::with_ranks(&device, &stages, &run, ranks).unwrap()
                }
                _ => Trainer::resume_ranks(&device, &[], &run, ranks).unwrap(),
            };
            // Only the last rank is asked to stop, and all do.
            stop.store(asked, Ordering::Relaxed);
            let summary = trainer.run(&stop, &mut |_| {}).unwrap();
            assert!(!summary.finished);
            assert_eq!(summary.step, part as u64 + 1);
        });
    }
    on_ranks(2, |ranks| {
        let mut trainer = Trainer::resume_ranks(&device, &[], &run, ranks).unwrap();
        assert!(
            trainer
                .run(&AtomicBool::new(false), &mut |_| {})
                .unwrap()
                .finished
        );
    });
    assert!(std::fs::read(run.net()).unwrap() == expected);
}

#[test]
fn ranks_that_differ_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let [first, second] = [2600, 2500].map(|count| records(directory.path(), count));
    let settings = networks().remove(0);
    let refused = |count: usize, of_rank: &(dyn Fn(usize) -> (Settings, PathBuf) + Sync)| {
        let out = tempfile::tempdir().unwrap();
        let errors = on_ranks(count, |ranks| {
            let rank = ranks.rank();
            let (settings, data) = of_rank(rank);
            let run = Run::new(vec![data], out.path().join("run"));
            let device = Device::cpu().unwrap();
            let trainer = Trainer::with_ranks(&device, &[Stage::new(settings)], &run, ranks);
            trainer.err().map(|error| error.to_string())
        });
        assert!(!out.path().join("run").exists());
        errors.into_iter().flatten().collect::<Vec<_>>().join("\n")
    };
    let same = |_| (settings.clone(), first.clone());
    let text = refused(16, &same);
    assert!(
        text.contains("ranks: expected a power of two up to the 8 shards"),
        "{text}"
    );
    let text = refused(3, &same);
    assert!(
        text.contains("ranks: expected a power of two") && text.contains("found 3"),
        "{text}"
    );
    let text = refused(2, &|rank| {
        (settings.clone().seed(rank as u64), first.clone())
    });
    assert!(
        text.contains("rank 1, settings, seed: expected 0, as rank 0 has, found 1"),
        "{text}"
    );
    let data = [&first, &second];
    let text = refused(2, &|rank| (settings.clone(), data[rank].clone()));
    assert!(
        text.contains("rank 1, start, data: expected 2600 positions with checksum "),
        "{text}"
    );
}

#[test]
fn one_process_is_one_rank() {
    assert_eq!((Alone.rank(), Alone.count()), (0, 1));
    assert!(Alone.exchange(1, &[], &mut []).is_err());
}
