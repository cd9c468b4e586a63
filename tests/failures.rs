//! Devices, data and drivers that fail during a training: what is saved, and how it goes on.

mod common;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use wgrad::engine::device::Device;
use wgrad::engine::kernel::Element;
use wgrad::engine::recording::Recording;
use wgrad::nnue::train::checkpoint::Checkpoint;
use wgrad::nnue::train::log::{self, Entry};
use wgrad::nnue::train::{Event, Run, Settings, Summary, Trainer};
use wgrad::nnue::{Architecture, Parameters, write_network};
use wgrad::{Error, Tensor};

/// A device of its own, because a test loses it.
fn devices() -> [Device; 2] {
    [&*common::VULKAN, &*common::GL].map(|device| {
        let label = device.name().split('(').next().unwrap().trim();
        Device::open(Some(label)).unwrap()
    })
}

fn settings() -> Settings {
    let mut settings = Settings::new(768);
    settings.architecture.hidden = 8;
    settings.batch_size = 100;
    settings.epochs = 1;
    settings.seed = 7;
    settings.shuffle_buffer = 0;
    settings
}

/// The first records of the shipped training data, and a run on them with a checkpoint every 4
/// steps.
fn run(directory: &Path, name: &str) -> (PathBuf, Run) {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data/chess_train.bin");
    let data = directory.join("data.bin");
    std::fs::write(&data, &std::fs::read(shipped).unwrap()[..32 * 2000]).unwrap();
    let run = Run::new(vec![data.clone()], directory.join(name));
    (data, run.save_every(4).keep(0).threads(1))
}

fn train(trainer: &mut Trainer, mut see: impl FnMut(u64)) -> wgrad::Result<Summary> {
    trainer.run(&AtomicBool::new(false), &mut |event| {
        if let Event::Step { step, .. } = event {
            see(step);
        }
    })
}

/// The bytes of the result and of every checkpoint from a step on.
fn files(run: &Run, from: u64) -> Vec<Vec<u8>> {
    let checkpoints = run.checkpoints().list().unwrap();
    let later = checkpoints.into_iter().filter(|(step, _)| *step >= from);
    let paths = later.map(|(_, path)| path).chain([run.net()]);
    paths.map(|path| std::fs::read(path).unwrap()).collect()
}

#[test]
fn a_lost_device_ends_every_call_with_an_error() {
    let _turn = common::turn();
    for device in devices() {
        let name = device.name().to_owned();
        let buffer = device.upload("words", &[1_u32, 2, 3, 4][..]).unwrap();
        let mut recording = Recording::new();
        recording.read(buffer.id(), 4);
        let pending = [(); 2].map(|()| device.play(&recording).unwrap());
        let tensor = Tensor::new(&device, &[1.0, 2.0], &[2]).unwrap();
        device.lose();
        let [blocking, polled] = pending;
        let errors = [
            blocking.wait().err(),
            pollster::block_on(polled.get()).err(),
            device.play(&recording).err(),
            device.allocate("more", Element::Float, 8).err(),
            device.upload("more", &[1.0_f32][..]).err(),
            buffer.read().err(),
            tensor.neg().and_then(|negative| negative.to_vec()).err(),
        ];
        for (call, error) in errors.into_iter().enumerate() {
            let error = error.unwrap_or_else(|| panic!("{name}: no error of call {call}"));
            let text = error.to_string();
            assert!(error.is_of_device(), "{text}");
            assert!(text.contains(&name) && text.contains("lost"), "{text}");
        }
        // Another device of the same adapter is not affected.
        drop((buffer, tensor, device));
        let again = Device::open(Some(name.split('(').next().unwrap().trim())).unwrap();
        assert!(again.upload("words", &[1_u32][..]).is_ok());
    }
}

#[test]
fn a_run_on_a_lost_device_names_its_checkpoint_and_goes_on_on_the_cpu() {
    let _turn = common::turn();
    let cpu = Device::cpu().unwrap();
    for (index, device) in devices().into_iter().enumerate() {
        let directory = tempfile::tempdir().unwrap();
        let (_, run) = run(directory.path(), &format!("run{index}"));
        let mut trainer = Trainer::new(&device, &settings(), &run).unwrap();
        let error = train(&mut trainer, |step| {
            if step == 6 {
                device.lose();
            }
        });
        let error = error.unwrap_err();
        let text = error.to_string();
        let Error::Training {
            step,
            checkpoint,
            lost,
            ..
        } = &error
        else {
            panic!("{text}");
        };
        let newest = checkpoint.clone().unwrap();
        let saved = run.checkpoints().latest().unwrap().unwrap();
        assert_eq!(newest, saved.0);
        assert_eq!(*lost, step - saved.1.step, "{text}");
        assert!((1..9).contains(lost) && error.is_of_device(), "{text}");
        assert!(
            text.contains(device.name()) && text.contains("lost"),
            "{text}"
        );

        // The same checkpoint, resumed by hand.
        let by_hand = run.clone().out(directory.path().join("by hand"));
        copy(&run.out, &by_hand.out);
        let mut other = Trainer::resume(&cpu, &by_hand).unwrap();
        assert!(train(&mut other, |_| {}).unwrap().finished);

        let mut trainer = trainer.fall_back(&cpu, &error).unwrap();
        assert!(train(&mut trainer, |_| {}).unwrap().finished);
        assert_eq!(files(&run, saved.1.step), files(&by_hand, saved.1.step));
        let entries = log::read(&run.log()).unwrap();
        let told = entries.iter().find_map(|entry| match entry {
            Entry::Fallback {
                step,
                failed,
                from,
                device,
                reason,
                ..
            } => Some((*step, *failed, from.clone(), device.clone(), reason.clone())),
            _ => None,
        });
        let expected = (
            saved.1.step,
            *step,
            device.name().into(),
            "cpu".into(),
            text,
        );
        assert_eq!(told, Some(expected));
        let steps: Vec<u64> = entries
            .iter()
            .filter(|entry| matches!(entry, Entry::Step { .. }))
            .map(Entry::step)
            .collect();
        assert_eq!(steps, (1..=20).collect::<Vec<_>>());
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(std::fs::copy(entry.path(), to).unwrap()),
        }
    }
}

/// The step before a damaged record has a checkpoint, and the mended data give the bits of a run
/// without damage.
#[test]
fn an_error_in_the_data_saves_the_steps_before_it() {
    let _turn = common::turn();
    for device in [Device::cpu().unwrap(), common::VULKAN.clone()] {
        let directory = tempfile::tempdir().unwrap();
        let (data, whole) = run(directory.path(), "whole");
        let mut trainer = Trainer::new(&device, &settings(), &whole).unwrap();
        train(&mut trainer, |_| {}).unwrap();

        let (_, run) = run(directory.path(), "damaged");
        let mut trainer = Trainer::new(&device, &settings(), &run).unwrap();
        let sound = std::fs::read(&data).unwrap();
        let mut bytes = sound.clone();
        // The result of a record of the eleventh batch, after the data were checked.
        bytes[32 * 1050 + 26] = 3;
        common::damage(&data, &bytes);
        let error = train(&mut trainer, |_| {}).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("record 1050"), "{text}");
        let Error::Training { step, lost, .. } = error else {
            panic!("{text}");
        };
        assert_eq!((step, lost), (10, 0));
        drop(trainer);
        std::fs::write(&data, sound).unwrap();
        let mut trainer = Trainer::resume(&device, &run).unwrap();
        train(&mut trainer, |_| {}).unwrap();
        assert_eq!(files(&run, 12), files(&whole, 12), "{}", device.name());
    }
}

/// The steps before a validation that fails are kept, and the resumed run validates first.
#[test]
fn an_error_in_the_validation_data_saves_the_steps_before_it() {
    let device = Device::cpu().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (data, whole) = run(directory.path(), "whole");
    let validation = directory.path().join("validation.bin");
    std::fs::copy(&data, &validation).unwrap();
    let with = |run: Run| run.validation(Some(validation.clone())).save_every(0);
    let (whole, settings) = (with(whole), settings().epochs(2));
    train(
        &mut Trainer::new(&device, &settings, &whole).unwrap(),
        |_| {},
    )
    .unwrap();

    let run = with(run(directory.path(), "damaged").1);
    let mut trainer = Trainer::new(&device, &settings, &run).unwrap();
    let sound = std::fs::read(&validation).unwrap();
    let mut bytes = sound.clone();
    bytes[32 * 1050 + 26] = 3;
    std::fs::write(&validation, bytes).unwrap();
    let error = train(&mut trainer, |_| {}).unwrap_err();
    let Error::Training { step, lost, .. } = error else {
        panic!("{error}");
    };
    assert_eq!((step, lost), (20, 0), "{error}");
    drop(trainer);
    std::fs::write(&validation, sound).unwrap();
    train(&mut Trainer::resume(&device, &run).unwrap(), |_| {}).unwrap();
    assert_eq!(files(&run, 0), files(&whole, 0));
    let validations = |run: &Run| {
        let entries = log::read(&run.log()).unwrap();
        let validations = entries.into_iter();
        let validations = validations.filter(|entry| matches!(entry, Entry::Validation { .. }));
        validations.collect::<Vec<_>>()
    };
    assert_eq!(validations(&run), validations(&whole));
    assert_eq!(validations(&run).len(), 2);
}

/// A network whose gradients are finite and whose squares are not: its second moments become
/// infinite in the first step, and no loss shows it.
fn huge_output_weights(path: &Path, hidden: usize) {
    let architecture = Architecture::new(768, hidden);
    let values = architecture.tensors().into_iter().map(|tensor| {
        let value = match tensor.name.as_str() {
            "A1" | "A2" => 1e-27,
            "C" => 1e26,
            _ => 0.0,
        };
        vec![value; tensor.len()]
    });
    let parameters = Parameters::from_values(architecture.clone(), values.collect()).unwrap();
    write_network(path, &parameters, Default::default()).unwrap();
}

#[test]
fn what_no_loss_shows_is_found_within_64_steps_and_named() {
    let _turn = common::turn();
    for device in [
        Device::cpu().unwrap(),
        common::VULKAN.clone(),
        common::GL.clone(),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let init = directory.path().join("init.safetensors");
        huge_output_weights(&init, 8);
        let (_, run) = run(directory.path(), "run");
        let run = run.save_every(0).init(Some(init));
        let mut settings = settings();
        settings.batch_size = 20;
        let mut trainer = Trainer::new(&device, &settings, &run).unwrap();
        let error = train(&mut trainer, |_| {}).unwrap_err();
        let text = error.to_string();
        let Error::NotFinite {
            step,
            place,
            found,
            file,
            ..
        } = error
        else {
            panic!("{}: {text}", device.name());
        };
        assert_eq!((step, found), (1, f32::INFINITY), "{text}");
        assert!(
            place.contains("batch 1 of epoch 1, tensor `A1.v.next`, element ["),
            "{text}"
        );
        let before = Checkpoint::read(&file.unwrap()).unwrap();
        assert_eq!(before.step, 0);
        let done = losses(&run);
        assert!(
            (63..64 + device.steps_in_flight()).contains(&done),
            "{done}"
        );
    }
}

fn losses(run: &Run) -> usize {
    let entries = log::read(&run.log()).unwrap();
    entries
        .iter()
        .filter(|entry| matches!(entry, Entry::Step { .. }))
        .count()
}
