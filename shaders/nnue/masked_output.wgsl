// The gradients of B, C and d, and the loss: see lib/small_gradients.wgsl.
struct Params {
    hidden: u32, // K, a multiple of 32
    tied: u32, // 1 where both perspectives share B
    blocks: u32,
    bands: u32,
    rows_2: u32, // where the second perspective's rows begin
    total_1: u32, // rows of each perspective
    total_2: u32,
    bias_2: u32, // where B of the second accumulator begins in `small`
    output: u32, // where C begins there; d stands behind it
    samples: u32,
    totals: u32, // 1 if the losses of the samples are summed
    accumulate: u32,
    clip: f32,
}

@group(0) @binding(0) var<storage, read> rows: array<f32>;
@group(0) @binding(1) var<storage, read> shares: array<f32>; // [bands, 2K]
@group(0) @binding(2) var<storage, read> errors: array<f32>; // e [samples], then what each sample adds to the loss
@group(0) @binding(3) var<storage, read> small: array<f32>; // B of each accumulator, C [2K], d
@group(0) @binding(4) var<storage, read_write> gradient: array<f32>; // of `small`, in the same places
@group(0) @binding(5) var<storage, read_write> loss: array<f32>; // [1]
@group(0) @binding(6) var<uniform> params: Params;

@compute @workgroup_size(LANES * COLUMNS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    put_small_gradients(group_index(group, groups), invocation);
}

fn put(at: u32, sum: f32) {
    gradient[at] = select(sum, gradient[at] + sum, params.accumulate == 1u);
}

fn put_loss(sum: f32) {
    loss[0] = select(sum, loss[0] + sum, params.accumulate == 1u);
}
