//! The promises of the table: every shader belongs to a kernel, agrees with its Rust side, keeps
//! inside WebGPU's default limits, and is WGSL that every backend of naga can translate.

mod fxc;

use naga::back::{glsl, hlsl, msl, spv};
use naga::proc::BoundsCheckPolicies;
use std::collections::BTreeSet;
use std::path::Path;
use wgrad::engine::kernel::{
    Access, Binding, CAPABILITIES, Case, Element, Kernel, Slot, Traffic, reflect,
};
use wgrad::engine::recording::Recording;
use wgrad::optim::{Optimizer, Sgd, StepAt, UpdateBuffers};
use wgrad::tensor::kernels::{accumulator_sparse, copy};
use wgrad::verify::table;
use wgrad::{engine, nnue, optim, tensor};

/// Every kernel with each of its variants.
fn variants() -> impl Iterator<Item = (&'static Kernel, usize)> {
    let variants =
        |kernel: &'static Kernel| (0..kernel.variants()).map(move |variant| (kernel, variant));
    table::kernels().flat_map(variants)
}

#[test]
fn every_shader_file_is_a_line_of_its_subject() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders");
    let subjects = [
        ("nnue", nnue::kernels::KERNELS),
        ("optim", optim::kernels::KERNELS),
        ("tensor", tensor::kernels::KERNELS),
        ("engine", engine::kernels::KERNELS),
    ];
    for (subject, kernels) in subjects {
        let files: BTreeSet<String> = std::fs::read_dir(root.join(subject))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| {
                path.extension()
                    .is_some_and(|extension| extension == "wgsl")
            })
            .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
            .collect();
        let names: BTreeSet<String> = kernels
            .iter()
            .map(|kernel| kernel.name.to_owned())
            .collect();
        assert_eq!(files, names, "shaders/{subject}");
    }
    let names: BTreeSet<&str> = table::kernels().map(|kernel| kernel.name).collect();
    assert_eq!(
        names.len(),
        table::kernels().count(),
        "two kernels share a name"
    );
}

#[test]
fn shaders_and_rust_agree_on_bindings_and_parameters() {
    for (kernel, variant) in variants() {
        let label = kernel.label(variant);
        let found =
            reflect(&kernel.assemble(variant)).unwrap_or_else(|error| panic!("{label}: {error}"));
        assert_eq!(found.signature, kernel.signature(), "{label}");
    }
}

#[test]
fn kernels_keep_inside_the_default_limits() {
    for (kernel, variant) in variants() {
        let label = kernel.label(variant);
        let found = reflect(&kernel.assemble(variant)).unwrap();
        assert!(
            found.signature.bindings.len() <= 8,
            "{label}: {} storage buffers",
            found.signature.bindings.len()
        );
        let invocations: u32 = found.workgroup.iter().product();
        assert!(
            (1..=256).contains(&invocations),
            "{label}: {invocations} invocations"
        );
        assert!(
            found.workgroup_bytes <= 16384,
            "{label}: {} bytes",
            found.workgroup_bytes
        );
    }
}

/// Every variant has cases, and every case fits its kernel.
fn cases_fit(kernel: &Kernel, cases: &[Case]) {
    let names: BTreeSet<_> = cases
        .iter()
        .map(|case| (case.variant, &case.name))
        .collect();
    assert_eq!(
        names.len(),
        cases.len(),
        "{}: two cases share a name",
        kernel.name
    );
    for variant in 0..kernel.variants() {
        let count = cases.iter().filter(|case| case.variant == variant).count();
        assert!(count >= 5, "{}: {count} cases", kernel.label(variant));
    }
    let past_one_dimension = cases.iter().any(|case| case.groups > 65_535);
    assert!(
        past_one_dimension,
        "{}: no case past 65,535 workgroups",
        kernel.name
    );
    for case in cases {
        assert_eq!(case.params.len(), kernel.params_size(), "{}", kernel.name);
        for (slot, binding) in case.slots.iter().zip(kernel.bindings) {
            let fits = match slot {
                Slot::Floats(_) | Slot::Words(_) => binding.access == Access::Read,
                Slot::Output { .. } => binding.access == Access::Write,
                Slot::Update { .. } | Slot::UpdateWords(_) => binding.access == Access::Update,
            };
            assert!(fits, "{}: {}: {}", kernel.name, case.name, binding.name);
        }
    }
}

/// The bytes of a case's buffers: all of them, and the written ones.
fn bytes(case: &Case) -> (u64, u64) {
    let sizes = case.slots.iter().map(|slot| match slot {
        Slot::Floats(values) => (values.len(), 0),
        Slot::Words(words) => (words.len(), 0),
        Slot::Output { len, .. } => (*len, *len),
        Slot::UpdateWords(words) => (words.len(), words.len()),
        Slot::Update { values, .. } => (values.len(), values.len()),
    });
    sizes.fold((0, 0), |sum, size| {
        (sum.0 + 4 * size.0 as u64, sum.1 + 4 * size.1 as u64)
    })
}

/// The traffic is within the buffers of every case. Returns whether the kernel counts it.
fn traffic_fits(kernel: &Kernel, cases: &[Case]) -> bool {
    let Some(traffic) = kernel.traffic else {
        return false;
    };
    let mut operations = 0;
    for case in cases.iter().filter(|case| case.groups > 0) {
        let label = format!("{}: {}", kernel.label(case.variant), case.name);
        let found = traffic(case.variant, &case.params);
        let (all, written) = bytes(case);
        assert!(
            found.read + found.gathered_distinct <= all,
            "{label}: {found:?} of {all} bytes"
        );
        assert!(
            found.written <= written,
            "{label}: {found:?} of {written} bytes"
        );
        let outputs = case.slots.iter().filter_map(|slot| match slot {
            Slot::Output { len, .. } => Some(4 * *len as u64),
            _ => None,
        });
        assert!(
            found.written >= outputs.sum(),
            "{label}: {found:?} leaves outputs unwritten"
        );
        assert!(
            found.gathered_distinct <= found.gathered_issued,
            "{label}: {found:?}"
        );
        operations += found.operations;
    }
    let has_floats = |binding: &Binding| binding.element == Element::Float;
    assert_eq!(
        operations > 0,
        kernel.bindings.iter().any(has_floats),
        "{}",
        kernel.name
    );
    true
}

/// One test, because it takes seconds to make the cases.
#[test]
fn every_case_fits_its_kernel_and_the_traffic_that_it_counts() {
    let mut counted = 0;
    for kernel in table::kernels() {
        let cases = (kernel.cases)();
        cases_fit(kernel, &cases);
        counted += usize::from(traffic_fits(kernel, &cases));
    }
    assert!(counted >= 13, "{counted} kernels count their traffic");
}

#[test]
fn a_recording_sums_its_traffic_by_kernel() {
    let device = engine::device::Device::cpu().unwrap();
    let buffers: Vec<_> = (0..5)
        .map(|_| device.allocate("test", Element::Float, 4).unwrap())
        .collect();
    let ids: Vec<_> = buffers.iter().map(|buffer| buffer.id()).collect();
    let mut recording = Recording::new();
    // 3 samples with 7 indices below N = 100, K = 8: rows of 32 bytes.
    let params = accumulator_sparse::Params {
        samples: 3,
        hidden: 8,
        stride: 16,
        column: 0,
        bias: 0,
        inputs: 100,
        entries: 7,
    };
    let buffers = accumulator_sparse::Buffers {
        starts: ids[0],
        indices: ids[1],
        weights: ids[2],
        small: ids[3],
        z: ids[4],
    };
    recording.dispatch(0, params, buffers);
    recording.dispatch(0, params, buffers);
    let buffers = UpdateBuffers {
        gradient: ids[0],
        moments: &ids[1..2],
        values: ids[2],
        spare: ids[3],
    };
    let at = StepAt {
        number: 1,
        learning_rate: 0.1,
    };
    Optimizer::from(Sgd::default()).record(&mut recording, at, 10, buffers);
    let traffic = recording.traffic().unwrap();
    let one = Traffic {
        read: 4 * (4 + 7 + 8),
        written: 4 * 3 * 8,
        gathered_issued: 7 * 32,
        gathered_distinct: 7 * 32,
        operations: 7 * 8,
    };
    assert_eq!(traffic["accumulator_sparse"], one + one);
    let descent = Traffic {
        read: 120,
        written: 80,
        operations: 40,
        ..Traffic::default()
    };
    assert_eq!(traffic["update"], descent);
    assert_eq!(traffic.into_values().sum::<Traffic>(), one + one + descent);
    let layout = tensor::shape::Layout::contiguous(tensor::shape::Shape::new(&[4]).unwrap());
    let buffers = copy::Buffers {
        source: ids[0],
        destination: ids[1],
    };
    recording.dispatch(0, copy::Params::new(&layout, &layout), buffers);
    assert_eq!(recording.traffic(), None, "copy counts none");
}

#[test]
fn an_interface_has_the_sizes_that_overrides_give() {
    let sizes = |slots: &str| {
        let wgsl = format!(
            "override SLOTS: u32 = {slots};
             var<workgroup> sums: array<f32, 64>;
             struct Params {{ count: u32 }}
             @group(0) @binding(0) var<storage, read_write> out: array<f32>;
             @group(0) @binding(1) var<uniform> params: Params;
             @compute @workgroup_size(4, 2 * SLOTS) fn main() {{ out[0] = sums[params.count]; }}"
        );
        reflect(&wgsl).map(|found| (found.workgroup, found.workgroup_bytes))
    };
    assert_eq!(sizes("8").unwrap(), ([4, 16, 1], 256));
    assert_eq!(sizes("128").unwrap(), ([4, 256, 1], 256));
}

/// The module of a variant as each backend takes it: validated, with overrides resolved.
fn resolved(kernel: &Kernel, variant: usize) -> (naga::Module, naga::valid::ModuleInfo) {
    let module = naga::front::wgsl::parse_str(&kernel.assemble(variant)).unwrap();
    let flags = naga::valid::ValidationFlags::all();
    let mut validator = naga::valid::Validator::new(flags, CAPABILITIES);
    let info = validator.validate(&module).unwrap();
    let constants = naga::back::PipelineConstants::default();
    let (module, info) =
        naga::back::pipeline_constants::process_overrides(&module, &info, None, &constants)
            .unwrap();
    (module.into_owned(), info.into_owned())
}

/// The HLSL of a variant, as wgpu asks naga for it.
fn hlsl_text(kernel: &Kernel, variant: usize) -> String {
    let label = kernel.label(variant);
    let (module, info) = resolved(kernel, variant);
    let options = hlsl::Options {
        special_constants_binding: Some(hlsl::BindTarget::default()),
        ..hlsl::Options::default()
    };
    let mut text = String::new();
    let pipeline = hlsl::PipelineOptions::default();
    let names = hlsl::Writer::new(&mut text, &options, &pipeline).write(&module, &info, None);
    let names = names.unwrap_or_else(|error| panic!("{label}: HLSL: {error}"));
    assert!(
        names.entry_point_names.iter().all(Result::is_ok),
        "{label}: HLSL: {names:?}"
    );
    text
}

#[test]
fn every_variant_becomes_spirv_msl_hlsl_and_glsl() {
    let mut written = [0; 4];
    for (kernel, variant) in variants() {
        let label = kernel.label(variant);
        let (module, info) = resolved(kernel, variant);
        let entry = module.entry_points[0].name.clone();

        let words = spv::write_vec(&module, &info, &spv::Options::default(), None);
        assert!(
            !words
                .unwrap_or_else(|error| panic!("{label}: SPIR-V: {error}"))
                .is_empty()
        );
        written[0] += 1;

        let text = msl::write_string(
            &module,
            &info,
            &msl::Options::default(),
            &msl::PipelineOptions::default(),
        );
        let (text, names) = text.unwrap_or_else(|error| panic!("{label}: MSL: {error}"));
        assert!(
            names.entry_point_names.iter().all(Result::is_ok),
            "{label}: MSL: {names:?}"
        );
        assert!(text.contains("kernel void"), "{label}: MSL:\n{text}");
        written[1] += 1;

        let text = hlsl_text(kernel, variant);
        assert!(text.contains("numthreads"), "{label}: HLSL:\n{text}");
        written[2] += 1;

        let options = glsl::Options::default();
        assert!(options.version.is_es(), "the default is GLSL ES 3.1");
        let pipeline = glsl::PipelineOptions {
            shader_stage: naga::ShaderStage::Compute,
            entry_point: entry,
            multiview: None,
        };
        let mut text = String::new();
        let policies = BoundsCheckPolicies::default();
        glsl::Writer::new(&mut text, &module, &info, &options, &pipeline, policies)
            .and_then(|mut writer| writer.write())
            .unwrap_or_else(|error| panic!("{label}: GLSL: {error}"));
        assert!(
            text.starts_with("#version 310 es"),
            "{label}: GLSL:\n{text}"
        );
        written[3] += 1;
    }
    let all = variants().count();
    println!(
        "{all} variants: SPIR-V {}, MSL {}, HLSL {}, GLSL ES 3.1 {}",
        written[0], written[1], written[2], written[3]
    );
    assert_eq!(written, [all; 4]);
}
