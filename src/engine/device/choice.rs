//! Chooses a device: by the caller's request, then by the environment, then the best GPU, then the
//! CPU.

use super::Device;
use super::blocked;
use super::gpu::Gpu;
use super::host::Host;
use crate::error::{Error, Result};
use crate::panics::caught_async;
use serde::{Deserialize, Serialize};

/// An adapter's properties, for lists and reports.
#[derive(Clone, Debug, Serialize)]
pub struct AdapterReport {
    /// The driver's name for it; `cpu` for the CPU executor.
    pub name: String,
    /// `vulkan`, `metal`, `dx12`, `gl`, `webgpu` in a browser, or `cpu`.
    pub backend: String,
    /// `discrete`, `integrated`, `virtual`, `software`, `other`, or `executor` for the CPU executor.
    #[serde(rename = "type")]
    pub kind: String,
    /// The driver and its version.
    pub driver: String,
    /// The most bytes of a buffer that one kernel can see.
    pub max_binding_bytes: u64,
    /// The most bytes that a buffer can have.
    pub max_buffer_bytes: u64,
    /// The most storage buffers of one kernel; wgrad needs 8.
    pub max_storage_buffers: u32,
    /// The most invocations of a workgroup; wgrad needs 256.
    pub max_invocations: u32,
    /// The most bytes of workgroup memory; wgrad needs 16,384.
    pub max_workgroup_bytes: u32,
    /// Optional features: `timestamps`, which time kernels, and `subgroups` and `f16`, which faster
    /// variants could use.
    pub features: Vec<String>,
    /// The reason why wgrad cannot run on it, if there is one.
    pub unfit: Option<String>,
    /// Whether `auto` takes it.
    pub auto: bool,
}

impl AdapterReport {
    /// `backend:name`, the form that `--device` takes.
    pub fn label(&self) -> String {
        if self.kind == "executor" {
            return self.name.clone();
        }
        format!("{}:{}", self.backend, self.name)
    }

    /// Whether it is a GPU. GL reports most discrete cards as `other`, and WebGPU reports every
    /// GPU as `other`, so through them `other` counts as one.
    pub fn is_gpu(&self) -> bool {
        match self.kind.as_str() {
            "discrete" | "integrated" | "virtual" => true,
            "other" => matches!(self.backend.as_str(), "gl" | "webgpu"),
            _ => false,
        }
    }
}

/// An adapter with its driver, as far as the choice of kernel variants depends on them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AdapterIdentity {
    /// The driver's name for the adapter.
    pub name: String,
    /// The PCI number of its vendor, or 0 if it has none.
    pub vendor: u32,
    /// The driver and its version.
    pub driver: String,
    /// `vulkan`, `metal`, `dx12`, `gl`, or `webgpu` in a browser.
    pub backend: String,
}

struct Found {
    adapter: wgpu::Adapter,
    report: AdapterReport,
}

impl Found {
    fn identity(&self) -> AdapterIdentity {
        AdapterIdentity {
            name: self.report.name.clone(),
            vendor: self.adapter.get_info().vendor,
            driver: self.report.driver.clone(),
            backend: self.report.backend.clone(),
        }
    }
}

fn backend_name(backend: wgpu::Backend) -> &'static str {
    match backend {
        wgpu::Backend::Vulkan => "vulkan",
        wgpu::Backend::Metal => "metal",
        wgpu::Backend::Dx12 => "dx12",
        wgpu::Backend::Gl => "gl",
        wgpu::Backend::BrowserWebGpu => "webgpu",
        wgpu::Backend::Noop => "noop",
    }
}

/// The backend that a word names: one of our words, or one that wgpu reads from `WGPU_BACKEND`.
fn backend_named(word: &str) -> Option<&'static str> {
    match word.trim().to_lowercase().as_str() {
        "vulkan" | "vk" => Some("vulkan"),
        "metal" | "mtl" => Some("metal"),
        "dx12" | "d3d12" => Some("dx12"),
        "gl" | "gles" | "opengl" => Some("gl"),
        "webgpu" => Some("webgpu"),
        _ => None,
    }
}

/// The order of preference: native backends before GL, then the kind of device. Software comes
/// last, and `auto` never takes it.
fn rank(report: &AdapterReport) -> (u8, u8) {
    let gl = u8::from(report.backend == "gl");
    let kind = match report.kind.as_str() {
        "discrete" => 0,
        "integrated" => 1,
        "virtual" => 2,
        "other" => 3,
        _ => 4,
    };
    (gl, kind)
}

/// Every adapter of every native backend, best first. A browser offers one adapter, by WebGPU. A
/// driver that panics has none.
async fn enumerate() -> Vec<Found> {
    caught_async(find()).await.unwrap_or_else(|message| {
        log::warn!("no adapter can be used: {message}");
        Vec::new()
    })
}

async fn find() -> Vec<Found> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: wgpu::Backends::VULKAN
            | wgpu::Backends::METAL
            | wgpu::Backends::DX12
            | wgpu::Backends::GL
            | wgpu::Backends::BROWSER_WEBGPU,
        // No kernel is dispatched indirectly, and the check of such dispatches has kernels of its
        // own, which a driver may refuse.
        flags: wgpu::InstanceFlags::default()
            .difference(wgpu::InstanceFlags::VALIDATION_INDIRECT_CALL),
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let adapters = instance.enumerate_adapters(wgpu::Backends::all());
    let mut found: Vec<Found> = adapters
        .await
        .into_iter()
        .map(|adapter| Found {
            report: report(&adapter),
            adapter,
        })
        .collect();
    found.sort_by_key(|found| rank(&found.report));
    found
}

fn report(adapter: &wgpu::Adapter) -> AdapterReport {
    let (info, limits, features) = (adapter.get_info(), adapter.limits(), adapter.features());
    let kind = match info.device_type {
        wgpu::DeviceType::DiscreteGpu => "discrete",
        wgpu::DeviceType::IntegratedGpu => "integrated",
        wgpu::DeviceType::VirtualGpu => "virtual",
        wgpu::DeviceType::Cpu => "software",
        wgpu::DeviceType::Other => "other",
    };
    let offers = [
        (wgpu::Features::SUBGROUP, "subgroups"),
        (wgpu::Features::SHADER_F16, "f16"),
        (wgpu::Features::TIMESTAMP_QUERY, "timestamps"),
    ];
    let offers = offers
        .into_iter()
        .filter(|(feature, _)| features.contains(*feature));
    AdapterReport {
        name: info.name,
        backend: backend_name(info.backend).to_owned(),
        kind: kind.to_owned(),
        driver: format!("{} {}", info.driver, info.driver_info)
            .trim()
            .to_owned(),
        max_binding_bytes: limits.max_storage_buffer_binding_size,
        max_buffer_bytes: limits.max_buffer_size,
        max_storage_buffers: limits.max_storage_buffers_per_shader_stage,
        max_invocations: limits.max_compute_invocations_per_workgroup,
        max_workgroup_bytes: limits.max_compute_workgroup_storage_size,
        features: offers.map(|(_, name)| name.to_owned()).collect(),
        unfit: super::gpu::unfit(&limits),
        auto: false,
    }
}

/// The device that `auto` and the environment choose, as an index of the reports; `None` is the
/// CPU.
struct Choice {
    index: Option<usize>,
    why: String,
}

/// Describes a list of adapters.
fn listed(found: &[AdapterReport]) -> String {
    let labels: Vec<String> = found
        .iter()
        .map(|report| match &report.unfit {
            Some(reason) => format!("{} ({}, unfit: {reason})", report.label(), report.kind),
            None => format!("{} ({})", report.label(), report.kind),
        })
        .chain(["cpu".to_owned()])
        .collect();
    labels.join(", ")
}

/// The first fit adapter whose backend and name match both filters, which are lower case. A
/// software adapter must be named, unless it is the only one that a browser offers.
fn matching(found: &[AdapterReport], backends: Option<&[&str]>, name: &str) -> Option<usize> {
    found.iter().position(|report| {
        report.unfit.is_none()
            && (report.kind != "software" || !name.is_empty() || report.backend == "webgpu")
            && backends.is_none_or(|backends| backends.contains(&report.backend.as_str()))
            && report.name.to_lowercase().contains(name)
    })
}

/// Maps request and environment to a choice and its reason. The function is pure, so that tests
/// need no adapter.
fn choose(
    found: &[AdapterReport],
    request: Option<&str>,
    backend_variable: Option<&str>,
    name_variable: Option<&str>,
) -> Result<Choice> {
    let none = |asked: String| Error::NoDevice {
        asked,
        found: listed(found),
    };
    if let Some(request) = request.filter(|request| *request != "auto") {
        if request == "cpu" {
            return Ok(Choice {
                index: None,
                why: "the CPU executor, asked for".to_owned(),
            });
        }
        let (backend, name) = match request.split_once(':') {
            Some((prefix, name)) if backend_named(prefix).is_some() => {
                (backend_named(prefix), name)
            }
            _ => (None, request),
        };
        let backends = backend.as_ref().map(std::slice::from_ref);
        let index = matching(found, backends, &name.to_lowercase());
        let index = index.ok_or_else(|| none(format!("{request:?}")))?;
        let why = format!("{}, which matches {request:?}", found[index].label());
        return Ok(Choice {
            index: Some(index),
            why,
        });
    }
    if backend_variable.is_some() || name_variable.is_some() {
        let mut asked = Vec::new();
        if let Some(value) = backend_variable {
            asked.push(format!("WGPU_BACKEND={value}"));
        }
        if let Some(value) = name_variable {
            asked.push(format!("WGPU_ADAPTER_NAME={value}"));
        }
        let asked = asked.join(" ");
        let backends = backend_variable
            .map(|value| {
                value
                    .split(',')
                    .map(|word| backend_named(word).ok_or_else(|| none(asked.clone())))
                    .collect::<Result<Vec<_>>>()
            })
            .transpose()?;
        let name = name_variable.unwrap_or_default().to_lowercase();
        let index = matching(found, backends.as_deref(), &name);
        let index = index.ok_or_else(|| none(asked.clone()))?;
        let why = format!("{}, which matches {asked}", found[index].label());
        return Ok(Choice {
            index: Some(index),
            why,
        });
    }
    let index = found
        .iter()
        .position(|report| report.unfit.is_none() && report.is_gpu());
    let why = match index {
        Some(index) => format!(
            "{}, the first {} GPU",
            found[index].label(),
            found[index].kind
        ),
        None if found.is_empty() => "the CPU executor, because there is no adapter".to_owned(),
        None => "the CPU executor, because no adapter is a GPU that wgrad can use".to_owned(),
    };
    Ok(Choice { index, why })
}

/// Of the fit adapters with backend and name of a chosen one, the one with this number, counted
/// around.
fn equal(found: &[AdapterReport], chosen: usize, number: usize) -> usize {
    let label = found[chosen].label();
    let is_equal = |report: &AdapterReport| report.unfit.is_none() && report.label() == label;
    let equals = (0..found.len()).filter(|&index| is_equal(&found[index]));
    let equals: Vec<usize> = equals.collect();
    equals[number % equals.len()]
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn choose_now(found: &[AdapterReport], request: Option<&str>) -> Result<Choice> {
    choose(
        found,
        request,
        variable("WGPU_BACKEND").as_deref(),
        variable("WGPU_ADAPTER_NAME").as_deref(),
    )
}

/// Implements [`Device::open`].
pub(super) fn open(request: Option<&str>, threads: Option<usize>, number: usize) -> Result<Device> {
    blocked(open_async(request, threads, number))
}

/// Implements [`Device::open_async`].
pub(super) async fn open_async(
    request: Option<&str>,
    threads: Option<usize>,
    number: usize,
) -> Result<Device> {
    let cpu = || Host::cpu(threads.unwrap_or(0));
    let lower = request.map(str::to_lowercase);
    let request = match lower.as_deref() {
        Some(word @ ("auto" | "cpu" | "reference")) => Some(word),
        _ => request,
    };
    match request {
        Some("reference") => return Ok(Device::reference()),
        Some("cpu") => return Ok(Device::new(cpu()?, "the CPU executor, asked for")),
        _ => {}
    }
    let mut found = enumerate().await;
    let reports: Vec<_> = found.iter().map(|found| found.report.clone()).collect();
    let choice = choose_now(&reports, request)?;
    let reason = format!("found {}; taking {}", listed(&reports), choice.why);
    log::info!("{reason}");
    match choice.index {
        Some(index) => {
            let found = found.swap_remove(equal(&reports, index, number));
            let gpu = Gpu::open(&found.adapter, found.report.label(), found.identity());
            Ok(Device::new(gpu.await?, &reason))
        }
        None => Ok(Device::new(cpu()?, &reason)),
    }
}

/// The CPU executor and every adapter, with a mark on the one that `auto` takes now.
pub fn adapters() -> Result<Vec<AdapterReport>> {
    let found = blocked(async { Ok(enumerate().await) })?;
    let mut reports: Vec<_> = found.into_iter().map(|found| found.report).collect();
    // The list is complete even if the environment matches nothing; `auto` then takes nothing.
    let choice = choose_now(&reports, None).ok();
    if let Some(index) = choice.as_ref().and_then(|choice| choice.index) {
        reports[index].auto = true;
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let limit = Host::cpu(1)?;
    let limit = super::Executor::binding_limit(&limit);
    reports.insert(
        0,
        AdapterReport {
            name: "cpu".to_owned(),
            backend: "cpu".to_owned(),
            kind: "executor".to_owned(),
            driver: format!("{cores} threads, {}", std::env::consts::ARCH),
            max_binding_bytes: limit,
            max_buffer_bytes: limit,
            max_storage_buffers: u32::MAX,
            max_invocations: u32::MAX,
            max_workgroup_bytes: u32::MAX,
            features: Vec::new(),
            unfit: None,
            auto: choice.is_some_and(|choice| choice.index.is_none()),
        },
    );
    Ok(reports)
}

#[cfg(test)]
mod tests;
