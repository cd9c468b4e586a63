// From the rows of G_B and G_T and the bands' shares: the gradients of B, C[r]·G_B[r] summed over the perspectives that share B, and
// of C, w·(B[r]·G_B[r] + Σ A·G) + H(T)·G_T[r]. A workgroup has COLUMNS lanes of an accumulator and sums what each has over LANES invocations.
struct Params {
    hidden: u32, // K, a multiple of 32
    tied: u32, // 1 where both perspectives share B
    blocks: u32,
    bands: u32,
    rows_2: u32, // where the second perspective's rows begin
    total_1: u32, // rows of each perspective
    total_2: u32,
    bias_2: u32, // where B of the second accumulator begins in `small`
    output: u32, // where C begins there
    accumulate: u32,
    clip: f32,
}

@group(0) @binding(0) var<storage, read> rows: array<f32>;
@group(0) @binding(1) var<storage, read> shares: array<f32>; // [bands, 2K]
@group(0) @binding(2) var<storage, read> small: array<f32>; // B of each accumulator, C [2K] and more
@group(0) @binding(3) var<storage, read_write> gradient: array<f32>; // theirs, in the same places
@group(0) @binding(4) var<uniform> params: Params;

const LANES = 8u;
const COLUMNS = 32u;

@compute @workgroup_size(LANES * COLUMNS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let own_group = group_index(group, groups);
    let of_accumulator = params.hidden / COLUMNS; // K is a multiple of COLUMNS
    let live = own_group < (2u - params.tied) * of_accumulator;
    let accumulator = select(0u, 1u, live && own_group >= of_accumulator);
    let r = (own_group - accumulator * of_accumulator) % of_accumulator * COLUMNS + invocation % COLUMNS;
    let bias = accumulator * params.bias_2 + r;
    let own = invocation / COLUMNS;
    let lane_group = r / 128u;
    let width = min(128u, params.hidden - lane_group * 128u);
    var bias_sum = 0.0;
    for (var p = accumulator; p <= accumulator + params.tied; p++) {
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
        bias_sum += small[params.output + u] * inside;
        var sum = small[bias] * inside + share;
        if (ACTIVATION == CRELU) {
            sum += params.clip * above;
        }
        if (ACTIVATION == SCRELU) {
            sum = 0.5 * sum + params.clip * params.clip * above;
        }
        if (live && own == 0u) {
            put(params.output + u, sum);
        }
    }
    if (live && own == 0u) {
        put(bias, bias_sum);
    }
}

fn put(at: u32, sum: f32) {
    if (params.accumulate == 1u) {
        gradient[at] += sum;
    } else {
        gradient[at] = sum;
    }
}
