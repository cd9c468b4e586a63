//! A GPU executor with unusual recordings.

mod common;

use wgrad::Error;
use wgrad::engine::device::Values;
use wgrad::engine::kernel::Element;
use wgrad::engine::recording::{Dispatch, Recording};
use wgrad::tensor::kernels::copy;
use wgrad::tensor::shape::{Layout, Shape};

/// Uploads of one recording: larger than the kept sheets, in regions that are joined, and after a
/// command that reads.
#[test]
fn uploads_arrive_whole_and_in_their_places() {
    let _turn = common::turn();
    for device in [&*common::VULKAN, &*common::GL] {
        let large: Vec<u32> = (0..(65 << 20) / 4).collect();
        let to = device
            .allocate("large", Element::Word, large.len())
            .unwrap();
        let small = device.allocate("small", Element::Word, 8).unwrap();
        let mut recording = Recording::new();
        recording.upload(small.id(), &[1_i32, 2, 3][..]);
        recording.upload_at(small.id(), 3, &[0_u32; 0][..]);
        recording.upload_at(small.id(), 3, &[4_u32, 5][..]);
        recording.upload(to.id(), &large[..]);
        recording.upload_at(small.id(), 5, &[6_u32, 7, 8][..]);
        recording.read(small.id(), 8);
        recording.upload_at(small.id(), 1, &[9_u32][..]);
        recording.upload_at(small.id(), 1, &[10_u32][..]);
        recording.read(small.id(), 3);
        recording.read(to.id(), large.len());
        let values = device.play(&recording).unwrap().wait().unwrap();
        let words = [(1..=8).collect(), vec![1, 10, 3], large];
        assert!(values == words.map(Values::Words), "{}", device.name());
    }
}

#[test]
fn a_recording_that_the_device_refuses_is_an_error_and_the_next_is_played() {
    let _turn = common::turn();
    for device in [&*common::VULKAN, &*common::GL] {
        let buffer = device.upload("small", &[1.0, 2.0, 3.0, 4.0_f32]).unwrap();
        // More workgroups than the two dimensions of a grid hold, which wgpu refuses.
        let layout = Layout::contiguous(Shape::new(&[4]).unwrap());
        let params = copy::Params::new(&layout, &layout);
        let to = device.upload("to", &[0.0_f32; 4]).unwrap();
        let mut recording = Recording::new();
        recording.push(Dispatch {
            kernel: &copy::KERNEL,
            variant: 0,
            params: bytemuck::bytes_of(&params).to_vec(),
            groups: u32::MAX,
            buffers: vec![buffer.id(), to.id()],
        });
        recording.read(to.id(), 4);
        match device.play(&recording).err() {
            Some(Error::Device { operation, .. }) => assert_eq!(operation, "play a recording"),
            other => panic!("{}: {other:?}", device.name()),
        }
        let values = buffer.read().unwrap();
        assert_eq!(values, Values::F32(vec![1.0, 2.0, 3.0, 4.0]));
    }
}

/// A shader may read any buffer as vectors of four. The last vector must exist, or an adapter that
/// checks bounds reads another one.
#[test]
fn the_memory_of_a_buffer_is_a_whole_number_of_vectors() {
    let _turn = common::turn();
    let cpu = wgrad::engine::device::Device::open(Some("cpu")).unwrap();
    for device in [&*common::VULKAN, &*common::GL, &cpu] {
        for len in [0, 1, 4, 5] {
            let buffer = device.allocate("some", Element::Word, len).unwrap();
            let whole = len.max(1).next_multiple_of(4) as u32;
            let words: Vec<u32> = (0..whole).collect();
            let mut recording = Recording::new();
            recording.upload(buffer.id(), &words[..]);
            recording.read(buffer.id(), words.len());
            let values = device.play(&recording).unwrap().wait().unwrap();
            assert_eq!(values, [Values::Words(words)], "{}", device.name());
        }
    }
}
