//! A kernel's variant as a compute pipeline, with its bind groups.

use crate::engine::kernel::{Access, Kernel};
use crate::engine::recording::BufferId;
use std::collections::HashMap;

/// The number of bind groups that a pipeline keeps for later recordings.
const MAX_BIND_GROUPS: usize = 1024;

pub(super) struct Pipeline {
    pub(super) pipeline: wgpu::ComputePipeline,
    pub(super) groups: HashMap<Vec<BufferId>, wgpu::BindGroup>,
    layout: wgpu::BindGroupLayout,
}

impl Pipeline {
    pub(super) fn new(device: &wgpu::Device, kernel: &Kernel, variant: usize) -> Self {
        let label = kernel.label(variant);
        let entry = |binding, ty, has_dynamic_offset| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer {
                ty,
                has_dynamic_offset,
                min_binding_size: None,
            },
            count: None,
        };
        let storage = kernel.bindings.iter().map(|binding| {
            let read_only = binding.access == Access::Read;
            wgpu::BufferBindingType::Storage { read_only }
        });
        let mut entries: Vec<_> = (0..)
            .zip(storage)
            .map(|(binding, ty)| entry(binding, ty, false))
            .collect();
        let uniform = entries.len() as u32;
        entries.push(entry(uniform, wgpu::BufferBindingType::Uniform, true));
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some(&label),
            entries: &entries,
        });
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some(&label),
            source: wgpu::ShaderSource::Wgsl(kernel.assemble(variant).into()),
        });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(&label),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(&label),
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: None,
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &[],
                // Every kernel writes workgroup memory before it reads it, and zeroing it costs a
                // loop of one invocation.
                zero_initialize_workgroup_memory: false,
            },
            cache: None,
        });
        Self {
            pipeline,
            groups: HashMap::new(),
            layout,
        }
    }

    /// The bind group for these buffers, created if none is kept.
    pub(super) fn group(
        &mut self,
        buffers: &[BufferId],
        create: impl FnOnce(&wgpu::BindGroupLayout) -> wgpu::BindGroup,
    ) -> wgpu::BindGroup {
        if let Some(group) = self.groups.get(buffers) {
            return group.clone();
        }
        // Buffers of a pool meet in ever new combinations, so the kept bind groups are dropped at a
        // limit.
        if self.groups.len() >= MAX_BIND_GROUPS {
            self.groups.clear();
        }
        let group = create(&self.layout);
        self.groups.insert(buffers.to_vec(), group.clone());
        group
    }
}

/// A bind group of these storage buffers. The dynamic offset selects the uniform's slot.
pub(super) fn bind<'a>(
    device: &wgpu::Device,
    kernel: &Kernel,
    layout: &wgpu::BindGroupLayout,
    buffers: impl Iterator<Item = &'a wgpu::Buffer>,
    uniforms: &wgpu::Buffer,
) -> wgpu::BindGroup {
    let mut entries: Vec<_> = (0..)
        .zip(buffers)
        .map(|(binding, buffer)| wgpu::BindGroupEntry {
            binding,
            resource: buffer.as_entire_binding(),
        })
        .collect();
    let size = kernel.params_size().next_multiple_of(16) as u64;
    entries.push(wgpu::BindGroupEntry {
        binding: entries.len() as u32,
        resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
            buffer: uniforms,
            offset: 0,
            size: wgpu::BufferSize::new(size),
        }),
    });
    device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some(kernel.name),
        layout,
        entries: &entries,
    })
}
