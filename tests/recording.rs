//! A recording that names wrong buffers is an error that names the command and the buffer.

mod common;

use wgrad::engine::device::{Buffer, Device};
use wgrad::engine::kernel::Element;
use wgrad::engine::recording::{BufferId, Recording};
use wgrad::tensor::kernels::copy;
use wgrad::tensor::shape::{Layout, Shape};

/// The error of playing what `record` records, given a float buffer, a word buffer and the id of a
/// dropped one.
fn error(device: &Device, record: impl FnOnce(&mut Recording<'_>, [BufferId; 3])) -> String {
    let buffer = |name, element| device.allocate(name, element, 8).unwrap();
    let floats: Buffer = buffer("some floats", Element::Float);
    let words = buffer("some words", Element::Word);
    let dropped = buffer("gone", Element::Float).id();
    let mut recording = Recording::new();
    record(&mut recording, [floats.id(), words.id(), dropped]);
    match device.play(&recording) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("{}: the recording was played", device.name()),
    }
}

fn copying(source: BufferId, destination: BufferId) -> (copy::Params, copy::Buffers) {
    let layout = Layout::contiguous(Shape::new(&[8]).unwrap());
    let buffers = copy::Buffers {
        source,
        destination,
    };
    (copy::Params::new(&layout, &layout), buffers)
}

fn check(device: &Device) {
    let found = error(device, |recording, [floats, ..]| {
        recording.upload(floats, &[1u32; 4][..]);
    });
    assert_eq!(
        found,
        "an upload into some floats: expected a buffer of words, found some floats, of floats"
    );
    let found = error(device, |recording, [floats, ..]| {
        recording.upload_at(floats, 6, &[1.0f32; 4][..]);
    });
    assert_eq!(
        found,
        "an upload into some floats: expected at most 8 elements of some floats, \
         found 4 elements from index 6"
    );
    let found = error(device, |recording, [floats, words, _]| {
        recording.copy(floats, words, 0, 4);
    });
    assert!(
        found.starts_with("a copy of some floats into some words: "),
        "{found}"
    );
    let found = error(device, |recording, [_, _, dropped]| {
        recording.read(dropped, 1);
    });
    assert_eq!(
        found,
        "a read: expected a buffer of this device, found a dropped buffer, or another device's"
    );
    let found = error(device, |recording, [floats, _, dropped]| {
        let (params, buffers) = copying(floats, dropped);
        recording.dispatch(0, params, buffers);
    });
    assert!(
        found.starts_with("copy, binding `destination`: expected a buffer of this device"),
        "{found}"
    );
    let found = error(device, |recording, [floats, words, _]| {
        let (params, buffers) = copying(words, floats);
        recording.dispatch(0, params, buffers);
    });
    assert_eq!(
        found,
        "copy, binding `source`: expected a buffer of floats, found some words, of words"
    );
    let found = error(device, |recording, [floats, ..]| {
        let (params, buffers) = copying(floats, floats);
        recording.dispatch(0, params, buffers);
    });
    assert_eq!(
        found,
        "copy, binding `destination`: expected a buffer of its own, because the kernel writes it, \
         found the buffer of `source`"
    );
}

#[test]
fn wrong_buffers_are_named_on_the_host() {
    check(&Device::cpu().unwrap());
    check(&Device::reference());
}

#[test]
fn wrong_buffers_are_named_on_an_adapter() {
    let _turn = common::turn();
    check(&common::VULKAN);
}
