// From the rows of G_B and G_T and the bands' shares: the gradients of B, C[r]·G_B[r] summed over the perspectives that share B, and
// of C, w·(B[r]·G_B[r] + Σ A·G) + H(T)·G_T[r]. A workgroup has COLUMNS lanes and sums what each has over LANES invocations.
struct Params {
    hidden: u32, // K, a multiple of 32
    perspective: u32, // the first that has this B
    count: u32, // 1, or 2 where both share it
    blocks: u32,
    bands: u32,
    rows_2: u32, // where the second perspective's rows begin
    total_1: u32, // rows of each perspective
    total_2: u32,
    accumulate: u32,
    clip: f32,
}

@group(0) @binding(0) var<storage, read> rows: array<f32>;
@group(0) @binding(1) var<storage, read> shares: array<f32>; // [bands, 2K]
@group(0) @binding(2) var<storage, read> bias: array<f32>; // B, [K]
@group(0) @binding(3) var<storage, read> output: array<f32>; // C, [2K]
@group(0) @binding(4) var<storage, read_write> bias_gradient: array<f32>; // [K]
@group(0) @binding(5) var<storage, read_write> output_gradient: array<f32>; // [2K]
@group(0) @binding(6) var<uniform> params: Params;

const LANES = 8u;
const COLUMNS = 32u;

@compute @workgroup_size(LANES * COLUMNS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let start = group_index(group, groups) * COLUMNS;
    let live = start < params.hidden; // K is a multiple of COLUMNS
    let r = min(start, params.hidden - COLUMNS) + invocation % COLUMNS;
    let own = invocation / COLUMNS;
    let lane_group = r / 128u;
    let width = min(128u, params.hidden - lane_group * 128u);
    var bias_sum = 0.0;
    for (var p = params.perspective; p < params.perspective + params.count; p++) {
        let total = select(params.total_1, params.total_2, p == 1u);
        let kinds = select(2u, 1u, ACTIVATION == RELU);
        let first = select(0u, params.rows_2, p == 1u) + lane_group * 128u * total
            + (total - kinds * params.blocks) * width + r % 128u;
        var inside = 0.0;
        var above = 0.0;
        var share = 0.0;
        for (var block = own; block < params.blocks; block += LANES) {
            inside += rows[first + block * width];
            if (ACTIVATION != RELU) {
                above += rows[first + (params.blocks + block) * width];
            }
        }
        for (var band = own; band < params.bands; band += LANES) {
            share += shares[(band * 2u + p) * params.hidden + r];
        }
        inside = sum_lanes(invocation, inside);
        above = sum_lanes(invocation, above);
        share = sum_lanes(invocation, share);
        let u = p * params.hidden + r;
        bias_sum += output[u] * inside;
        var gradient = bias[r] * inside + share;
        if (ACTIVATION == CRELU) {
            gradient += params.clip * above;
        }
        if (ACTIVATION == SCRELU) {
            gradient = 0.5 * gradient + params.clip * params.clip * above;
        }
        if (live && own == 0u) {
            if (params.accumulate == 1u) {
                output_gradient[u] += gradient;
            } else {
                output_gradient[u] = gradient;
            }
        }
    }
    if (live && own == 0u) {
        if (params.accumulate == 1u) {
            bias_gradient[r] += bias_sum;
        } else {
            bias_gradient[r] = bias_sum;
        }
    }
}
