// Y[s] = d[b] + Σ_u C[b, u]·activation(Z[s, u]), where b is the bucket of the sample. One workgroup
// computes one sample.
struct Params {
    samples: u32,
    width: u32, // 2K
    buckets: u32,
    clip: f32,
    output: u32, // offset of C in `small`
    output_bias: u32, // offset of d in `small`
}

@group(0) @binding(0) var<storage, read> z: array<f32>; // [samples, width]
@group(0) @binding(1) var<storage, read> small: array<f32>; // the head buffer
@group(0) @binding(2) var<storage, read> bucket: array<u32>; // [samples]; not read with 1 bucket
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // [samples]
@group(0) @binding(4) var<uniform> params: Params;

const INVOCATIONS = 64u;
var<workgroup> partial_sums: array<f32, INVOCATIONS>;

@compute @workgroup_size(INVOCATIONS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let sample = group_index(group, groups);
    if (sample >= params.samples) {
        return;
    }
    var b = 0u;
    if (params.buckets > 1u) {
        b = bucket[sample];
    }
    let weights = params.output + b * params.width;
    var sum = 0.0;
    for (var u = invocation; u < params.width; u += INVOCATIONS) {
        sum += small[weights + u] * activate(z[sample * params.width + u], params.clip);
    }
    partial_sums[invocation] = sum;
    for (var reach = INVOCATIONS / 2u; reach > 0u; reach /= 2u) {
        workgroupBarrier();
        if (invocation < reach) {
            partial_sums[invocation] += partial_sums[invocation + reach];
        }
    }
    if (invocation == 0u) {
        y[sample] = small[params.output_bias + b] + partial_sums[0];
    }
}
