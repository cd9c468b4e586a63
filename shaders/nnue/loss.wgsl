// The loss of each sample, and its derivative with respect to Y: see lib/loss.wgsl.
struct Params {
    samples: u32,
    power: f32, // q
    scale: f32, // 1/L
    asymmetry: f32,
    steepness: f32, // factor of Y
    shift: f32, // of a win rate
    entropy: u32, // 1 for the cross-entropy
    weighted: u32, // 1 if the samples have weights
}

@group(0) @binding(0) var<storage, read> y: array<f32>; // [samples]
@group(0) @binding(1) var<storage, read> targets: array<f32>; // t, [samples]; weights, [samples]
@group(0) @binding(2) var<storage, read_write> terms: array<f32>; // [samples]
@group(0) @binding(3) var<storage, read_write> e: array<f32>; // [samples]
@group(0) @binding(4) var<uniform> params: Params;

const INVOCATIONS = 64u;

@compute @workgroup_size(INVOCATIONS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let sample = group_index(group, groups) * INVOCATIONS + invocation;
    if (sample >= params.samples) {
        return;
    }
    // Without weights the target is read again.
    let weight = targets[sample + select(0u, params.samples, params.weighted == 1u)];
    let loss = loss_of(y[sample], targets[sample], select(1.0, weight, params.weighted == 1u));
    terms[sample] = loss.term;
    e[sample] = loss.gradient;
}
