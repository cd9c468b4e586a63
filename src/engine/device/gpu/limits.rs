//! The limits that wgrad asks of an adapter.

/// WebGPU's default counts, inside which every kernel keeps, with the adapter's own buffer sizes.
pub(super) fn limits(adapter: &wgpu::Limits) -> wgpu::Limits {
    let defaults = wgpu::Limits::default();
    wgpu::Limits {
        max_storage_buffers_per_shader_stage: defaults.max_storage_buffers_per_shader_stage,
        max_compute_invocations_per_workgroup: defaults.max_compute_invocations_per_workgroup,
        max_compute_workgroup_storage_size: defaults.max_compute_workgroup_storage_size,
        max_compute_workgroup_size_x: defaults.max_compute_workgroup_size_x,
        max_compute_workgroup_size_y: defaults.max_compute_workgroup_size_y,
        max_compute_workgroup_size_z: defaults.max_compute_workgroup_size_z,
        max_compute_workgroups_per_dimension: defaults.max_compute_workgroups_per_dimension,
        ..adapter.clone()
    }
}

/// The reason why an adapter with these limits cannot run the kernels, if there is one.
pub(in crate::engine::device) fn unfit(adapter: &wgpu::Limits) -> Option<String> {
    let needed = limits(adapter);
    let counts = |limits: &wgpu::Limits| {
        [
            (
                "storage buffers",
                limits.max_storage_buffers_per_shader_stage,
            ),
            ("invocations", limits.max_compute_invocations_per_workgroup),
            (
                "bytes of workgroup memory",
                limits.max_compute_workgroup_storage_size,
            ),
            (
                "workgroups a dimension",
                limits.max_compute_workgroups_per_dimension,
            ),
        ]
    };
    let pairs = counts(adapter).into_iter().zip(counts(&needed));
    let mut lacking = pairs.filter(|((_, has), (_, needs))| has < needs);
    lacking
        .next()
        .map(|((what, has), (_, needs))| format!("{has} {what}, {needs} needed"))
}
