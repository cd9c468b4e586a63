// The gradients of B, C and d into a sink, and the loss: see lib/head_gradients.wgsl.
alias Value = f32;

struct Params {
    groups: array<vec4<f32>, 3>, // of B, C and d: η, 1 − η·w, and the range
    hidden: u32, // K, a multiple of 32
    tied: u32, // 1 if both perspectives share B
    buckets: u32,
    first_blocks: u32, // their offset in `index`, [buckets + 1]
    block_starts: u32, // their offset there, [blocks + 1]
    blocks: u32,
    bands: u32,
    rows_2: u32, // offset of the second perspective's rows
    total_1: u32, // rows of each perspective
    total_2: u32,
    bias_2: u32, // offset of B of the second accumulator in `values`
    output: u32, // offset of C in `values`; d follows C
    samples: u32,
    totals: u32, // 1 if the losses of the samples are summed
    clip: f32,
    beta1: f32,
    beta2: f32,
    correction1: f32, // 1/(1 − β1^t)
    correction2: f32, // 1/(1 − β2^t)
    epsilon: f32,
}

// The blocks of each bucket, among others.
@group(0) @binding(0) var<storage, read> index: array<u32>;
@group(0) @binding(1) var<storage, read> rows: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> shares: array<vec4<f32>>; // [bands, buckets, 2K]
// Y [samples], e [samples], and what each sample adds to the loss.
@group(0) @binding(3) var<storage, read> results: array<f32>;
// B of each accumulator, C [buckets, 2K], d [buckets].
@group(0) @binding(4) var<storage, read_write> values: array<f32>;
@group(0) @binding(5) var<storage, read_write> first: array<f32>; // like `values`
@group(0) @binding(6) var<storage, read_write> second: array<f32>; // like `values`
@group(0) @binding(7) var<storage, read_write> loss: array<f32>; // [1]
@group(0) @binding(8) var<uniform> params: Params;

@compute @workgroup_size(SLOTS * VECTORS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    put_head_gradients(group_index(group, groups), invocation);
}

// `region` is 0 for B, 1 for C and 2 for d.
fn put(at: u32, sum: f32, region: u32) {
    sink(at, sum, params.groups[region]);
}

fn put_loss(sum: f32) {
    loss[0] = select(sum, loss[0] + sum, SINK == ADD);
}
