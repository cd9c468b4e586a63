//! WGSL to SPIR-V and to MSL, with the options that wgpu 30 gives naga.

use naga::back::{msl, pipeline_constants::process_overrides, spv};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{ModuleInfo, ValidationFlags, Validator};
use naga::{Module, ShaderStage};
use wgrad::engine::kernel::CAPABILITIES;

/// A checked shader, with its overrides replaced by their values.
pub struct Shader {
    module: Module,
    info: ModuleInfo,
    /// The name of its only entry point.
    pub entry: String,
    /// Invocations of a workgroup.
    pub invocations: u32,
}

impl Shader {
    /// Parses and checks an assembled kernel.
    pub fn new(wgsl: &str) -> Result<Self, String> {
        let parsed = naga::front::wgsl::parse_str(wgsl);
        let module = parsed.map_err(|error| error.emit_to_string(wgsl))?;
        let info = Validator::new(ValidationFlags::all(), CAPABILITIES)
            .validate(&module)
            .map_err(|error| error.emit_to_string(wgsl))?;
        let [entry] = module.entry_points.as_slice() else {
            let found = module.entry_points.len();
            return Err(format!("expected 1 entry point, found {found}"));
        };
        let entry = entry.name.clone();
        let stage = Some((ShaderStage::Compute, entry.as_str()));
        let (module, info) = process_overrides(&module, &info, stage, &Default::default())
            .map_err(|error| error.to_string())?;
        let (module, info) = (module.into_owned(), info.into_owned());
        let size = module.entry_points.first().map(|one| one.workgroup_size);
        Ok(Self {
            invocations: size.unwrap_or_default().iter().product(),
            module,
            info,
            entry,
        })
    }

    /// The SPIR-V that wgpu's Vulkan backend gives a driver of Vulkan 1.3 with
    /// `robustBufferAccess2`, for a device without optional features. wgrad asks for no zeroing of
    /// workgroup memory.
    pub fn spirv(&self) -> Result<Vec<u32>, String> {
        let capabilities = [
            spv::Capability::Shader,
            spv::Capability::Matrix,
            spv::Capability::Sampled1D,
            spv::Capability::Image1D,
            spv::Capability::ImageQuery,
            spv::Capability::DerivativeControl,
            spv::Capability::StorageImageExtendedFormats,
        ];
        let options = spv::Options {
            lang_version: (1, 6),
            flags: spv::WriterFlags::LABEL_VARYINGS | spv::WriterFlags::FORCE_POINT_SIZE,
            capabilities: Some(capabilities.into_iter().collect()),
            bounds_check_policies: checks(BoundsCheckPolicy::Unchecked),
            zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
            force_loop_bounding: true,
            emit_int_div_checks: true,
            ..Default::default()
        };
        let pipeline = spv::PipelineOptions {
            entry_point: self.entry.clone(),
            shader_stage: ShaderStage::Compute,
        };
        spv::write_vec(&self.module, &self.info, &options, Some(&pipeline))
            .map_err(|error| error.to_string())
    }

    /// MSL with the checks of [`Shader::spirv`]. wgpu's Metal backend would also check the indices
    /// of buffers, but the readers of these files leave that to the driver, as Vulkan does.
    pub fn msl(&self) -> Result<String, String> {
        let options = msl::Options {
            lang_version: (2, 4),
            fake_missing_bindings: true,
            bounds_check_policies: checks(BoundsCheckPolicy::Unchecked),
            zero_initialize_workgroup_memory: false,
            force_loop_bounding: true,
            emit_int_div_checks: true,
            ..Default::default()
        };
        let written = msl::write_string(&self.module, &self.info, &options, &Default::default());
        written
            .map(|(text, _)| text)
            .map_err(|error| error.to_string())
    }
}

/// Checks of the indices of arrays outside buffers, and these checks for buffers.
fn checks(buffer: BoundsCheckPolicy) -> BoundsCheckPolicies {
    BoundsCheckPolicies {
        index: BoundsCheckPolicy::Restrict,
        buffer,
        image_load: BoundsCheckPolicy::Unchecked,
        binding_array: BoundsCheckPolicy::Unchecked,
    }
}
