// A in 16 bits, for forward passes. In each tile of a row, a vector of the first half and the
// vector as far into the other half come one after the other, so that one load reads both.
struct Params {
    rows: u32,
    hidden: u32, // K, a multiple of 32
    tile: u32, // vectors of a tile, an even number; the last tile of a row may have fewer
    to: u32, // offset in `halves`, a multiple of 4
}

@group(0) @binding(0) var<storage, read> weights: array<vec4<f32>>; // [rows, K]
@group(0) @binding(1) var<storage, read_write> halves: array<vec4<u32>>; // [rows, K], two in a word
@group(0) @binding(2) var<uniform> params: Params;

const INVOCATIONS = 32u;

@compute @workgroup_size(INVOCATIONS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let pairs = params.hidden / 8u;
    let own = group_index(group, groups) * INVOCATIONS + invocation;
    if (own >= params.rows * pairs) {
        return;
    }
    let pair = own % pairs;
    let first = pair * 2u / params.tile * params.tile;
    let apart = min(params.tile, params.hidden / 4u - first) / 2u;
    let start = own / pairs * (params.hidden / 4u) + first + pair - first / 2u;
    let low = weights[start];
    let high = weights[start + apart];
    halves[params.to / 4u + own] = vec4(
        pack2x16float(low.xy),
        pack2x16float(low.zw),
        pack2x16float(high.xy),
        pack2x16float(high.zw),
    );
}
