//! Compute pipelines on a Vulkan device, and what the driver's compiler says of them.
//!
//! Nothing runs: pipelines are created, described and destroyed. The library is loaded at run time.

#![allow(unsafe_code)]

use crate::Failure;
use ash::{ext, khr, vk};
use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use vk::PipelineExecutableStatisticFormatKHR as Format;

/// An opened device. Like its instance, it lives until the process ends.
pub struct Device {
    device: ash::Device,
    executables: khr::pipeline_executable_properties::Device,
    /// The driver's name and version.
    pub driver: String,
    // The functions of the other fields are in the library that this keeps loaded.
    _entry: ash::Entry,
}

/// What the driver says of a pipeline.
pub struct Report {
    /// Invocations of a subgroup.
    pub subgroup: u32,
    /// The driver's numbers by their names.
    pub statistics: BTreeMap<String, u64>,
    /// The instructions as text, if they were asked for.
    pub assembly: String,
}

impl Device {
    /// Opens the first device, with the features that wgpu enables and that change code. `None` if
    /// the driver has no device.
    pub fn open() -> Result<Option<Self>, Failure> {
        // SAFETY: loading runs the initializers of the system's Vulkan loader, which have no
        // preconditions.
        let entry = unsafe { ash::Entry::load() }.map_err(|error| {
            Failure::Unable(format!(
                "no Vulkan loader: {error}; on Debian: apt-get install libvulkan1"
            ))
        })?;
        let application = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_3);
        let info = vk::InstanceCreateInfo::default().application_info(&application);
        // SAFETY: `info` is valid and names neither layers nor extensions. The instance is never
        // destroyed, and `entry` outlives every use of it.
        let created = unsafe { entry.create_instance(&info, None) };
        let instance = match created {
            Ok(instance) => instance,
            Err(vk::Result::ERROR_INCOMPATIBLE_DRIVER) => return Ok(None),
            Err(error) => return Err(failed("create an instance")(error)),
        };
        // SAFETY: the instance is alive.
        let physical = match unsafe { instance.enumerate_physical_devices() } {
            Ok(devices) => devices.first().copied(),
            Err(vk::Result::ERROR_INITIALIZATION_FAILED) => None,
            Err(error) => return Err(failed("list devices")(error)),
        };
        let Some(physical) = physical else {
            return Ok(None);
        };

        let mut properties = vk::PhysicalDeviceDriverProperties::default();
        let mut chain = vk::PhysicalDeviceProperties2::default().push_next(&mut properties);
        // SAFETY: `physical` is of this instance, and the chain is of structures of Vulkan 1.2.
        unsafe { instance.get_physical_device_properties2(physical, &mut chain) };
        let name = text(properties.driver_name_as_c_str());
        let driver = format!("{name} {}", text(properties.driver_info_as_c_str()));

        // SAFETY: `physical` is of this instance.
        let listed = unsafe { instance.enumerate_device_extension_properties(physical) };
        let listed = listed.map_err(failed("list extensions"))?;
        let needed = [
            khr::pipeline_executable_properties::NAME,
            ext::robustness2::NAME,
        ];
        for name in needed {
            if !listed
                .iter()
                .any(|one| one.extension_name_as_c_str() == Ok(name))
            {
                let name = name.to_string_lossy();
                return Err(Failure::Unable(format!(
                    "{driver}: expected the extension {name}, found none"
                )));
            }
        }
        let extensions = needed.map(CStr::as_ptr);
        let mut information = vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR::default()
            .pipeline_executable_info(true);
        let mut robustness =
            vk::PhysicalDeviceRobustness2FeaturesEXT::default().robust_buffer_access2(true);
        let features = vk::PhysicalDeviceFeatures::default().robust_buffer_access(true);
        let queues = [vk::DeviceQueueCreateInfo::default()
            .queue_family_index(0)
            .queue_priorities(&[1.0])];
        let info = vk::DeviceCreateInfo::default()
            .queue_create_infos(&queues)
            .enabled_extension_names(&extensions)
            .enabled_features(&features)
            .push_next(&mut information)
            .push_next(&mut robustness);
        // SAFETY: the device has both extensions, and with them their features; every device has
        // `robustBufferAccess` and a queue family 0. All that `info` points to is alive.
        let device = unsafe { instance.create_device(physical, &info, None) };
        let device = device.map_err(failed("create a device"))?;
        Ok(Some(Self {
            executables: khr::pipeline_executable_properties::Device::new(&instance, &device),
            device,
            driver,
            _entry: entry,
        }))
    }

    /// Compiles a compute shader for `buffers` storage buffers, with a uniform at the next binding.
    pub fn compile(&self, spirv: &[u32], entry: &str, buffers: u32) -> Result<Report, Failure> {
        let bindings: Vec<_> = (0..=buffers).map(binding(buffers)).collect();
        let info = vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings);
        // SAFETY: `info` and its bindings are valid and alive.
        let set = unsafe { self.device.create_descriptor_set_layout(&info, None) };
        let set = set.map_err(failed("create a descriptor set layout"))?;
        let sets = [set];
        let info = vk::PipelineLayoutCreateInfo::default().set_layouts(&sets);
        // SAFETY: `set` is of this device and alive.
        let layout = unsafe { self.device.create_pipeline_layout(&info, None) };
        let layout = layout.map_err(failed("create a pipeline layout"))?;
        let info = vk::ShaderModuleCreateInfo::default().code(spirv);
        // SAFETY: naga wrote the SPIR-V from a module that it had checked.
        let module = unsafe { self.device.create_shader_module(&info, None) };
        let module = module.map_err(failed("create a shader module"))?;

        let name = CString::new(entry).map_err(|error| Failure::Failed(error.to_string()))?;
        let stage = vk::PipelineShaderStageCreateInfo::default()
            .stage(vk::ShaderStageFlags::COMPUTE)
            .module(module)
            .name(&name);
        let info = vk::ComputePipelineCreateInfo::default()
            .stage(stage)
            .layout(layout)
            .flags(
                vk::PipelineCreateFlags::CAPTURE_STATISTICS_KHR
                    | vk::PipelineCreateFlags::CAPTURE_INTERNAL_REPRESENTATIONS_KHR,
            );
        let cache = vk::PipelineCache::null();
        // SAFETY: module and layout are of this device and alive; the module has the entry point
        // `name` and uses the bindings of the layout; the feature that the flags need is enabled.
        let created = unsafe { self.device.create_compute_pipelines(cache, &[info], None) };
        let created = created.map_err(|(_, error)| failed("create a pipeline")(error))?;
        let pipeline = created.first().copied().unwrap_or_default();
        let report = self.report(pipeline);
        // SAFETY: all four are of this device and alive, nothing has been submitted to it, and none
        // is used again.
        unsafe {
            self.device.destroy_pipeline(pipeline, None);
            self.device.destroy_shader_module(module, None);
            self.device.destroy_pipeline_layout(layout, None);
            self.device.destroy_descriptor_set_layout(set, None);
        }
        report
    }

    /// The driver's report on a pipeline of this device that captured statistics and
    /// representations.
    fn report(&self, pipeline: vk::Pipeline) -> Result<Report, Failure> {
        let info = vk::PipelineInfoKHR::default().pipeline(pipeline);
        // SAFETY: the pipeline is of this device and alive.
        let found = unsafe { self.executables.get_pipeline_executable_properties(&info) };
        let found = found.map_err(failed("read the executables"))?;
        let [executable] = found.as_slice() else {
            let found = found.len();
            return Err(Failure::Failed(format!(
                "expected 1 executable, found {found}"
            )));
        };
        let info = vk::PipelineExecutableInfoKHR::default().pipeline(pipeline);
        // SAFETY: the pipeline is of this device and alive, has an executable 0, and captured
        // statistics.
        let statistics = unsafe { self.executables.get_pipeline_executable_statistics(&info) };
        let statistics = statistics.map_err(failed("read the statistics"))?;
        let statistics = statistics.iter().map(|one| {
            // SAFETY: `format` says which member of the union the driver wrote.
            let value = unsafe {
                match one.format {
                    Format::BOOL32 => u64::from(one.value.b32),
                    Format::INT64 => one.value.i64.max(0) as u64,
                    Format::UINT64 => one.value.u64,
                    _ => one.value.f64 as u64,
                }
            };
            (text(one.name_as_c_str()), value)
        });
        Ok(Report {
            subgroup: executable.subgroup_size,
            statistics: statistics.collect(),
            assembly: self.assembly(&info)?,
        })
    }

    /// The text of the representation that is called assembly.
    fn assembly(&self, info: &vk::PipelineExecutableInfoKHR<'_>) -> Result<String, Failure> {
        let what = "read the assembly";
        // SAFETY: as for the statistics; the pipeline captured representations.
        let listed = unsafe {
            self.executables
                .get_pipeline_executable_internal_representations(info)
        };
        let mut listed = listed.map_err(failed(what))?;
        let mut texts: Vec<Vec<u8>> = listed.iter().map(|one| vec![0; one.data_size]).collect();
        for (one, text) in listed.iter_mut().zip(&mut texts) {
            one.p_data = text.as_mut_ptr().cast();
        }
        let mut count = listed.len() as u32;
        let read = self
            .executables
            .fp()
            .get_pipeline_executable_internal_representations_khr;
        // SAFETY: `listed` has `count` elements, and each points to `data_size` bytes of `texts`,
        // which are neither moved nor read before the call returns.
        unsafe { read(self.device.handle(), info, &mut count, listed.as_mut_ptr()) }
            .result()
            .map_err(failed(what))?;
        let is_assembly = |one: &vk::PipelineExecutableInternalRepresentationKHR<'_>| {
            one.is_text != 0 && text(one.name_as_c_str()).contains("ssembly")
        };
        let found = listed.iter().zip(&texts).find(|(one, _)| is_assembly(one));
        let Some((one, text)) = found else {
            return Err(Failure::Unable(format!(
                "{}: expected assembly, found none; the driver needs a disassembler",
                self.driver
            )));
        };
        let written = text.get(..one.data_size).unwrap_or(text);
        let end = written.iter().position(|byte| *byte == 0);
        let written = written
            .get(..end.unwrap_or(written.len()))
            .unwrap_or(written);
        Ok(String::from_utf8_lossy(written).into_owned())
    }
}

/// The descriptor at a binding, of the types that wgrad's pipelines have.
fn binding(buffers: u32) -> impl Fn(u32) -> vk::DescriptorSetLayoutBinding<'static> {
    move |binding| {
        vk::DescriptorSetLayoutBinding::default()
            .binding(binding)
            .descriptor_count(1)
            .stage_flags(vk::ShaderStageFlags::COMPUTE)
            .descriptor_type(if binding == buffers {
                vk::DescriptorType::UNIFORM_BUFFER_DYNAMIC
            } else {
                vk::DescriptorType::STORAGE_BUFFER
            })
    }
}

fn text<E>(found: Result<&CStr, E>) -> String {
    found.map_or_else(
        |_| String::new(),
        |text| text.to_string_lossy().into_owned(),
    )
}

fn failed(operation: &'static str) -> impl Fn(vk::Result) -> Failure {
    move |error| Failure::Failed(format!("the driver could not {operation}: {error}"))
}
