//! The parts of a measurement: random batches, the check of gradients, the count of traffic, the
//! times of kernels.

mod common;

use wgrad::Tensor;
use wgrad::engine::device::{Device, Values, Work};
use wgrad::engine::kernel::Traffic;
use wgrad::engine::recording::{Dispatch, Recording};
use wgrad::nnue::{
    Activation, Architecture, Batch, Learner, Loss, Network, Parameters, gradient_error,
};
use wgrad::optim::Optimizer;
use wgrad::tensor::kernels::copy;
use wgrad::tensor::shape::{Layout, Shape};

#[test]
fn gradients_of_the_cpu_are_those_of_the_reference() {
    let cpu = Device::cpu().unwrap();
    for activation in Activation::ALL {
        for tied in [false, true] {
            let mut architecture = Architecture::new(97, 45).activation(activation);
            architecture.tied = tied;
            let sparse = Batch::random(1, 97, 100, 12).unwrap().inputs().clone();
            for inputs in [sparse.to_dense(), sparse] {
                let (name, error) = gradient_error(&cpu, &architecture, inputs).unwrap();
                assert!(
                    error <= 1e-5,
                    "{activation:?}, tied {tied}: {name}: {error}"
                );
                let is_something = error > 0.0;
                assert!(is_something, "f32 rounds: an error of 0 compared nothing");
            }
        }
    }
}

#[test]
fn a_step_counts_its_traffic_by_kernel() {
    let (inputs, hidden, samples) = (50, 64, 20);
    let architecture = Architecture::new(inputs, hidden);
    let batch = Batch::random(2, inputs, samples, 5).unwrap();
    let dense = Batch::new(batch.inputs().to_dense(), batch.targets().to_vec()).unwrap();
    let parameters = Parameters::initial(architecture.clone(), 1).unwrap();
    let device = Device::cpu().unwrap();
    let mut network = Network::new(&device, &parameters).unwrap();
    let backward = network.traffic(&dense, Loss::MSE).unwrap().unwrap();
    // For both perspectives: a product of [L, N] and [N, K], and one of [N, L] and [L, K].
    let products = 2 * 2 * (samples * inputs * hidden) as u64;
    assert_eq!(backward["accumulator_dense"].operations, products);
    assert_eq!(backward["weights_gradient_dense"].operations, products);
    let z = 2 * 4 * (samples * hidden) as u64;
    assert_eq!(backward["accumulator_dense"].written, z);

    let mut learner = Learner::new(&device, &parameters, Loss::MSE, Optimizer::ADAMW).unwrap();
    let step = learner.traffic(&dense).unwrap().unwrap();
    let elements: usize = architecture
        .tensors()
        .iter()
        .map(|tensor| tensor.len())
        .sum();
    assert_eq!(step["update"].written, 3 * 4 * elements as u64);
    let total = |traffic: &std::collections::BTreeMap<_, Traffic>| {
        traffic.values().copied().sum::<Traffic>()
    };
    assert_eq!(total(&step), total(&backward) + step["update"]);
    assert_eq!(learner.steps(), 0);

    // A batch in micro-batches does the same arithmetic, apart from adding their gradients.
    let small = device.with_binding_limit(4 * (inputs * hidden) as u64);
    let mut network = Network::new(&small, &parameters).unwrap();
    let many = Batch::random(2, inputs, 400, 5).unwrap();
    let many = Batch::new(many.inputs().to_dense(), many.targets().to_vec()).unwrap();
    let sliced = network.traffic(&many, Loss::MSE).unwrap().unwrap();
    assert_eq!(sliced["accumulator_dense"].operations, 20 * products);
    assert!(sliced["weights_gradient_dense"].operations > 20 * products);

    let sparse = learner.traffic(&batch).unwrap().unwrap();
    let gathered = total(&sparse);
    assert!(gathered.gathered_issued >= 2 * 4 * (samples * 5 * hidden) as u64);
    assert!(gathered.gathered_distinct <= gathered.gathered_issued);
}

/// Networks of each path of an adapter and of the CPU.
fn architectures() -> [Architecture; 3] {
    let layers = ["8:crelu".parse().unwrap(), "4:dual".parse().unwrap()];
    [
        Architecture::new(50, 64),
        Architecture::new(50, 64).activation(Activation::SCRelu),
        Architecture::new(50, 64)
            .pairwise(true)
            .layers(layers.to_vec()),
    ]
}

#[test]
fn timed_steps_list_the_kernels_of_the_traffic_and_keep_their_bits() {
    let _turn = common::turn();
    let cpu = Device::cpu().unwrap();
    for device in [&cpu, &*common::VULKAN, &*common::GL] {
        for architecture in architectures() {
            let name = format!("{architecture} on {}", device.name());
            let batch = Batch::random(3, 50, 700, 5).unwrap();
            let parameters = Parameters::initial(architecture, 1).unwrap();
            let learner =
                || Learner::new(device, &parameters, Loss::SIGMOID_MSE, Optimizer::ADAMW).unwrap();
            let (mut untimed, mut timed) = (learner(), learner());
            let traffic = timed.traffic(&batch).unwrap().unwrap();

            let losses: Vec<_> = (0..5)
                .map(|_| untimed.step(&batch, 1e-2).unwrap().wait().unwrap())
                .collect();
            let mut found = Vec::new();
            let mut step = || {
                found.push(timed.step(&batch, 1e-2)?.wait()?);
                Ok(())
            };
            device.kernel_times(1, &mut step).unwrap();
            let mut expected = device.objects();
            let times = device.kernel_times(3, &mut step).unwrap();
            let is_adapter = expected.buffers > 0;
            expected.submissions += if is_adapter { 3 } else { 0 };
            assert_eq!(device.objects(), expected, "{name}");
            step().unwrap();
            assert_eq!(found, losses, "{name}");
            assert_eq!(timed.parameters().unwrap(), untimed.parameters().unwrap());
            assert_eq!(timed.moments().unwrap(), untimed.moments().unwrap());

            let mut kernels = std::collections::BTreeMap::new();
            for time in &times {
                assert!(!time.time.is_zero(), "{name}: {}", time.work);
                assert!(time.runs > 0, "{name}: {}", time.work);
                match time.work {
                    Work::Kernel(kernel) => {
                        let again = kernels.insert(kernel, time.traffic.unwrap());
                        assert!(again.is_none(), "{name}: {kernel} twice");
                    }
                    _ => assert!(time.traffic.is_none(), "{name}: {}", time.work),
                }
            }
            assert_eq!(kernels, traffic, "{name}");
            let works: Vec<_> = times.iter().map(|time| time.work).collect();
            assert_eq!(works.first(), Some(&Work::Upload), "{name}");
            assert_eq!(works.last(), Some(&Work::Read), "{name}: the loss");
        }
    }
}

#[test]
fn operations_on_tensors_are_timed() {
    let _turn = common::turn();
    let cpu = Device::cpu().unwrap();
    for device in [&cpu, &*common::VULKAN, &Device::reference()] {
        let x = Tensor::new(device, &[1.0; 12], &[3, 4]).unwrap();
        let before = x.exp().unwrap();
        let times = device.kernel_times(2, || x.matmul(&before.t()?)?.sum(.., false).map(drop));
        let times = times.unwrap();
        let works: Vec<_> = times.iter().map(|time| (time.work, time.runs)).collect();
        let kernels = works
            .iter()
            .filter(|(work, _)| matches!(work, Work::Kernel(_)));
        let kernels: Vec<_> = kernels.copied().collect();
        let expected = ["matmul", "reduce"].map(|name| (Work::Kernel(name), 1));
        assert_eq!(kernels, expected, "{}", device.name());
    }
}

/// More dispatches than one set of timestamps serves, and dispatches and copies of nothing.
#[test]
fn every_run_of_a_long_recording_is_timed() {
    let _turn = common::turn();
    let cpu = Device::cpu().unwrap();
    for device in [&cpu, &*common::VULKAN, &*common::GL] {
        let x = device.upload("x", &[1.0_f32, 2.0, 3.0, 4.0]).unwrap();
        let y = device.upload("y", &[0.0_f32; 4]).unwrap();
        let layout = Layout::contiguous(Shape::new(&[4]).unwrap());
        let params = copy::Params::new(&layout, &layout);
        let buffers = || copy::Buffers {
            source: x.id(),
            destination: y.id(),
        };
        let mut recording = Recording::new();
        for _ in 0..2100 {
            recording.dispatch(0, params, buffers());
        }
        recording.push(Dispatch {
            kernel: &copy::KERNEL,
            variant: 0,
            params: bytemuck::bytes_of(&params).to_vec(),
            groups: 0,
            buffers: vec![x.id(), y.id()],
        });
        recording.copy(y.id(), x.id(), 0, 0);
        recording.copy(y.id(), x.id(), 0, 4);
        recording.read(x.id(), 4);
        let mut values = Vec::new();
        let times = device.kernel_times(1, || {
            values = device.play(&recording)?.wait()?;
            Ok(())
        });
        let runs: Vec<_> = times
            .unwrap()
            .iter()
            .map(|time| (time.work, time.runs))
            .collect();
        let mut expected = vec![
            (Work::Kernel("copy"), 2100),
            (Work::Copy, 1),
            (Work::Read, 1),
        ];
        if device.objects().buffers > 0 {
            expected.insert(0, (Work::Upload, 1));
        }
        assert_eq!(runs, expected, "{}", device.name());
        assert_eq!(values, [Values::F32(vec![1.0, 2.0, 3.0, 4.0])]);
    }
}

#[test]
fn what_cannot_be_timed_is_an_error_and_the_clock_stops() {
    let _turn = common::turn();
    let cpu = Device::cpu().unwrap();
    for device in [&cpu, &*common::VULKAN] {
        let error = |found: wgrad::Result<_>| found.map(drop).unwrap_err().to_string();
        let none = error(device.kernel_times(0, || Ok(())));
        assert!(none.contains("rounds: expected at least 1"), "{none}");
        let twice = error(device.kernel_times(1, || device.kernel_times(1, || Ok(())).map(drop)));
        assert!(twice.contains("time kernels: another call"), "{twice}");
        // Each refusal has stopped the clock.
        assert!(device.kernel_times(1, || Ok(())).unwrap().is_empty());
    }
}
