// The loss of each sample: terms[s] = |P − t|^q / L with P = link(Y[s]), and its derivative with
// respect to Y[s], e[s] = (q/L)·|P − t|^(q−1)·sign(P − t)·∂P/∂Y.
struct Params {
    samples: u32,
    power: f32,
    scale: f32, // 1/L
}

@group(0) @binding(0) var<storage, read> y: array<f32>; // [samples]
@group(0) @binding(1) var<storage, read> targets: array<f32>; // t, [samples]
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
    let loss = loss_of(y[sample], targets[sample], params.power, params.scale);
    terms[sample] = loss.term;
    e[sample] = loss.gradient;
}
