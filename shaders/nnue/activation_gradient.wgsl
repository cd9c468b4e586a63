// dz[s, u] = C[b, u]·e[s]·∂H/∂Z[s, u], where b is the bucket of the sample. Where the slope is 0,
// the result is 0 even if e is infinite or NaN.
struct Params {
    samples: u32,
    width: u32, // 2K
    buckets: u32,
    clip: f32,
    output: u32, // offset of C in `small`
}

@group(0) @binding(0) var<storage, read> z: array<f32>; // [samples, width]
@group(0) @binding(1) var<storage, read> e: array<f32>; // [samples]
@group(0) @binding(2) var<storage, read> small: array<f32>; // the head buffer
@group(0) @binding(3) var<storage, read> bucket: array<u32>; // [samples]; not read with 1 bucket
@group(0) @binding(4) var<storage, read_write> dz: array<f32>; // [samples, width]
@group(0) @binding(5) var<uniform> params: Params;

const COLUMNS = 64u;

@compute @workgroup_size(COLUMNS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let tiles = (params.width + COLUMNS - 1u) / COLUMNS;
    let index = group_index(group, groups);
    let sample = index / tiles;
    let u = (index % tiles) * COLUMNS + invocation;
    if (sample >= params.samples || u >= params.width) {
        return;
    }
    var b = 0u;
    if (params.buckets > 1u) {
        b = bucket[sample];
    }
    let at = sample * params.width + u;
    let slope = activation_slope(z[at], params.clip);
    dz[at] = select(0.0, small[params.output + b * params.width + u] * e[sample] * slope, slope > 0.0);
}
