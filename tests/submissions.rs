//! Recordings that share a submission.

mod common;

use std::collections::VecDeque;
use std::future::Future;
use std::num::NonZeroUsize;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use wgrad::engine::device::{Buffer, Device, Objects, Readback, Values, Work};
use wgrad::engine::kernel::Element;
use wgrad::engine::recording::{Dispatch, Recording};
use wgrad::nnue::{Architecture, Batch, Learner, Loss, Parameters};
use wgrad::optim::Optimizer;
use wgrad::tensor::Tensor;
use wgrad::tensor::kernels::copy;
use wgrad::tensor::shape::{Layout, Shape};

/// A device with so many recordings per submission until this is dropped.
struct Shared<'a> {
    device: &'a Device,
    before: usize,
}

impl<'a> Shared<'a> {
    fn new(device: &'a Device, recordings: usize) -> Self {
        let before = device.recordings_per_submission();
        set(device, recordings);
        Self { device, before }
    }

    fn submissions(&self) -> u64 {
        self.device.objects().submissions
    }

    /// Overwrites the first word of a buffer and reads it back.
    fn overwrite(&self, buffer: &Buffer, word: u32) -> Readback {
        let words = [word];
        let mut recording = Recording::new();
        recording.upload(buffer.id(), &words[..]);
        recording.read(buffer.id(), 1);
        self.device.play(&recording).unwrap()
    }
}

impl Drop for Shared<'_> {
    fn drop(&mut self) {
        set(self.device, self.before);
    }
}

fn set(device: &Device, recordings: usize) {
    device.set_recordings_per_submission(NonZeroUsize::new(recordings).unwrap());
}

fn word(word: u32) -> Vec<Values> {
    vec![Values::Words(vec![word])]
}

fn adapters() -> [&'static Device; 2] {
    [&common::VULKAN, &common::GL]
}

/// The bits of losses, parameters and moments after two trainings in a row, and the submissions of
/// the second one, in which no other object is created.
fn train(device: &Device, architecture: &Architecture, steps: usize) -> (Vec<u32>, u64) {
    let parameters = Parameters::initial(architecture.clone(), 3).unwrap();
    let (loss, optimizer) = (Loss::SIGMOID_MSE, Optimizer::ADAMW);
    let mut learner = Learner::new(device, &parameters, loss, optimizer).unwrap();
    let batches = [1, 2, 3].map(|seed| Batch::random(seed, 50, 700, 5).unwrap());
    let mut bits = Vec::new();
    let mut train = || {
        let mut in_flight = VecDeque::new();
        for batch in batches.iter().cycle().take(steps) {
            in_flight.push_back(learner.step(batch, 1e-2).unwrap());
            if in_flight.len() > device.steps_in_flight() {
                bits.push(in_flight.pop_front().unwrap().wait().unwrap().to_bits());
            }
        }
        bits.extend(
            in_flight
                .into_iter()
                .map(|loss| loss.wait().unwrap().to_bits()),
        );
    };
    train();
    let before = device.objects();
    train();
    let after = device.objects();
    let submissions = after.submissions - before.submissions;
    assert_eq!(
        Objects {
            submissions: before.submissions,
            ..after
        },
        before,
        "{}",
        device.name()
    );
    let sets = learner.moments().unwrap();
    for set in sets.iter().chain([&learner.parameters().unwrap()]) {
        bits.extend(set.values().iter().flatten().map(|value| value.to_bits()));
    }
    (bits, submissions)
}

#[test]
fn the_bits_of_a_training_do_not_depend_on_the_number_of_submissions() {
    let _turn = common::turn();
    let layers = ["8:crelu".parse().unwrap(), "4:dual".parse().unwrap()];
    let plain = Architecture::new(50, 64);
    let deep = plain.clone().pairwise(true).layers(layers.to_vec());
    for device in adapters() {
        for architecture in [&plain, &deep] {
            let expected = train(Shared::new(device, 1).device, architecture, 21);
            assert_eq!(expected.1, 21);
            for recordings in [1, 2, 3, 4, 8] {
                let _shared = Shared::new(device, recordings);
                let (bits, submissions) = train(device, architecture, 21);
                assert!(
                    bits == expected.0,
                    "{architecture}: {recordings} on {}",
                    device.name()
                );
                assert_eq!(
                    submissions,
                    21_u64.div_ceil(recordings as u64),
                    "{recordings}"
                );
            }
        }
    }
}

#[test]
fn a_recording_is_submitted_when_somebody_waits_or_there_are_enough() {
    let _turn = common::turn();
    for device in adapters() {
        let buffer = device.upload("word", &[0_u32][..]).unwrap();
        let shared = Shared::new(device, 4);
        let before = shared.submissions();
        let submissions = || shared.submissions() - before;
        let mut readbacks = VecDeque::from([1, 2, 3].map(|word| shared.overwrite(&buffer, word)));
        assert_eq!(submissions(), 0);
        readbacks.push_back(shared.overwrite(&buffer, 4));
        assert_eq!(submissions(), 1);
        let mut next = || readbacks.pop_front().unwrap().wait().unwrap();
        assert_eq!(next(), word(1));
        let fifth = shared.overwrite(&buffer, 5);
        assert_eq!(submissions(), 1);
        // The device has nothing else to do after the first four.
        assert_eq!(next(), word(2));
        assert_eq!(submissions(), 2);
        let sixth = shared.overwrite(&buffer, 6);
        assert_eq!((next(), next()), (word(3), word(4)));
        assert_eq!(submissions(), 2);
        assert_eq!(sixth.wait().unwrap(), word(6));
        assert_eq!(fifth.wait().unwrap(), word(5));
        assert_eq!(submissions(), 3);
    }
}

#[test]
fn a_future_submits_when_it_is_first_polled() {
    let _turn = common::turn();
    for device in adapters() {
        let buffer = device.upload("word", &[0_u32][..]).unwrap();
        let shared = Shared::new(device, 4);
        let before = shared.submissions();
        let mut value = pin!(shared.overwrite(&buffer, 1).get());
        let later = shared.overwrite(&buffer, 2);
        assert_eq!(shared.submissions(), before);
        let mut context = Context::from_waker(Waker::noop());
        let mut polled = value.as_mut().poll(&mut context);
        assert_eq!(shared.submissions(), before + 1);
        while polled.is_pending() {
            std::thread::yield_now();
            polled = value.as_mut().poll(&mut context);
        }
        let Poll::Ready(Ok(value)) = polled else {
            panic!("{}: {polled:?}", device.name());
        };
        assert_eq!(value, word(1));
        assert_eq!(later.wait().unwrap(), word(2));
        assert_eq!(shared.submissions(), before + 1);
    }
}

/// Dropped values, and a buffer that is dropped while a recording that reads it waits.
#[test]
fn what_nobody_waits_for_is_done_all_the_same() {
    let _turn = common::turn();
    for device in adapters() {
        let [from, to] = ["from", "to"].map(|name| device.upload(name, &[0_u32][..]).unwrap());
        let shared = Shared::new(device, 8);
        let before = shared.submissions();
        drop(shared.overwrite(&from, 7));
        let mut recording = Recording::new();
        recording.copy(from.id(), to.id(), 0, 1);
        drop(device.play(&recording).unwrap());
        drop(shared.overwrite(&from, 8));
        drop(from);
        assert_eq!(shared.submissions(), before);
        assert_eq!(to.read().unwrap(), Values::Words(vec![7]));
        assert_eq!(shared.submissions(), before + 1);
    }
}

#[test]
fn large_uploads_do_not_wait() {
    let _turn = common::turn();
    for device in adapters() {
        let large = vec![3_u32; 1 << 22];
        let buffer = device.allocate("large", Element::Word, large.len());
        let buffer = buffer.unwrap();
        let shared = Shared::new(device, 8);
        let before = shared.submissions();
        let first = shared.overwrite(&buffer, 1);
        assert_eq!(shared.submissions(), before);
        let mut recording = Recording::new();
        recording.upload(buffer.id(), &large[..]);
        recording.read(buffer.id(), 1);
        let second = device.play(&recording).unwrap();
        assert_eq!(shared.submissions(), before + 1);
        assert_eq!(second.wait().unwrap(), word(3));
        assert_eq!(first.wait().unwrap(), word(1));
    }
}

#[test]
fn a_refused_recording_does_not_spoil_the_submission_of_others() {
    let _turn = common::turn();
    for device in adapters() {
        let [from, to] = ["from", "to"].map(|name| device.upload(name, &[1.0_f32; 4]).unwrap());
        let buffer = device.upload("word", &[0_u32][..]).unwrap();
        let shared = Shared::new(device, 3);
        let before = shared.submissions();
        let first = shared.overwrite(&buffer, 1);
        // More workgroups than the two dimensions of a grid hold, which wgpu refuses.
        let layout = Layout::contiguous(Shape::new(&[4]).unwrap());
        let params = copy::Params::new(&layout, &layout);
        let mut recording = Recording::new();
        recording.push(Dispatch {
            kernel: &copy::KERNEL,
            variant: 0,
            params: bytemuck::bytes_of(&params).to_vec(),
            groups: u32::MAX,
            buffers: vec![from.id(), to.id()],
        });
        assert!(device.play(&recording).is_err(), "{}", device.name());
        let second = shared.overwrite(&buffer, 2);
        assert_eq!(shared.submissions(), before);
        assert_eq!(second.wait().unwrap(), word(2));
        assert_eq!(first.wait().unwrap(), word(1));
        assert_eq!(shared.submissions(), before + 1);
    }
}

/// Batches of tensor operations and timed recordings go to the device at once, together with what
/// waits.
#[test]
fn tensors_and_timed_recordings_take_what_waits_along() {
    let _turn = common::turn();
    for device in adapters() {
        let buffer = device.upload("word", &[0_u32][..]).unwrap();
        let shared = Shared::new(device, 8);
        let x = Tensor::new(device, &[1.0, 2.0], &[2]).unwrap();
        let before = shared.submissions();
        let first = shared.overwrite(&buffer, 1);
        assert_eq!(shared.submissions(), before);
        let y = (0..64).try_fold(x, |x, _| x.neg()).unwrap();
        assert_eq!(shared.submissions(), before + 1);
        assert_eq!(y.to_vec().unwrap(), [1.0, 2.0]);
        assert_eq!(first.wait().unwrap(), word(1));

        let before = shared.submissions();
        let second = shared.overwrite(&buffer, 2);
        let times = device.kernel_times(1, || {
            let third = shared.overwrite(&buffer, 3);
            assert_eq!(shared.submissions(), before + 1);
            assert_eq!(third.wait()?, word(3));
            Ok(())
        });
        let works: Vec<_> = times
            .unwrap()
            .iter()
            .map(|time| (time.work, time.runs))
            .collect();
        assert_eq!(works, [(Work::Upload, 1), (Work::Read, 1)]);
        assert_eq!(second.wait().unwrap(), word(2));
    }
}
