// out[part, batch, i, j] = Σ_k a[batch, i, k]·b[batch, k, j] over one part of k, in ascending order
// (section 4). a and b may have any strides, so a transposed matrix is read in place. A workgroup
// computes 64 × 64 elements of a matrix, and an invocation 4 × 4 of them in registers. If SHARED is
// 1, the operands pass through workgroup memory, 16 of k at a time. Otherwise every invocation
// reads them itself, which suits software adapters, because barriers are slow there. Past the edges
// an invocation multiplies zeros and writes nothing.
override SHARED: u32 = 1u;

struct Params {
    shape: array<vec4<u32>, 2>, // of the batch axes
    a_strides: array<vec4<u32>, 2>,
    b_strides: array<vec4<u32>, 2>,
    batches: u32,
    m: u32,
    n: u32,
    k: u32,
    chunk: u32, // of k in one part
    parts: u32,
    a_row: u32, // distance from a row of a to the next
    a_column: u32,
    b_row: u32,
    b_column: u32,
}

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> result: array<f32>; // [parts, batches, m, n]
@group(0) @binding(3) var<uniform> params: Params;

const TILE = 64u;
const DEPTH = 16u;
const INVOCATIONS = 256u;
var<workgroup> a_tile: array<vec4<f32>, 256>; // [DEPTH, TILE / 4]: a transposed, four rows a vector
var<workgroup> b_tile: array<vec4<f32>, 256>; // [DEPTH, TILE / 4]: four columns a vector

fn a_at(base: u32, row: u32, k: u32, end: u32) -> f32 {
    if (row < params.m && k < end) {
        return a[base + row * params.a_row + k * params.a_column];
    }
    return 0.0;
}

fn b_at(base: u32, k: u32, column: u32, end: u32) -> f32 {
    if (column < params.n && k < end) {
        return b[base + k * params.b_row + column * params.b_column];
    }
    return 0.0;
}

fn a_four(base: u32, row: u32, k: u32, end: u32) -> vec4<f32> {
    return vec4(
        a_at(base, row, k, end),
        a_at(base, row + 1u, k, end),
        a_at(base, row + 2u, k, end),
        a_at(base, row + 3u, k, end),
    );
}

fn b_four(base: u32, k: u32, column: u32, end: u32) -> vec4<f32> {
    return vec4(
        b_at(base, k, column, end),
        b_at(base, k, column + 1u, end),
        b_at(base, k, column + 2u, end),
        b_at(base, k, column + 3u, end),
    );
}

fn write(at: u32, row: u32, column: u32, sums: vec4<f32>) {
    if (row >= params.m) {
        return;
    }
    let start = at + row * params.n + column;
    if (column < params.n) {
        result[start] = sums.x;
    }
    if (column + 1u < params.n) {
        result[start + 1u] = sums.y;
    }
    if (column + 2u < params.n) {
        result[start + 2u] = sums.z;
    }
    if (column + 3u < params.n) {
        result[start + 3u] = sums.w;
    }
}

@compute @workgroup_size(INVOCATIONS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let tiles_across = (params.n + TILE - 1u) / TILE;
    let tiles = tiles_across * ((params.m + TILE - 1u) / TILE);
    let index = group_index(group, groups);
    let matrix = index / tiles; // of parts × batches
    if (matrix >= params.parts * params.batches) {
        return;
    }
    let tile = index % tiles;
    let batch = matrix % params.batches;
    let start = (matrix / params.batches) * params.chunk;
    let end = min(params.k, start + params.chunk);
    let a_base = place(batch, params.shape, params.a_strides);
    let b_base = place(batch, params.shape, params.b_strides);
    let tile_row = (tile / tiles_across) * TILE;
    let tile_column = (tile % tiles_across) * TILE;
    let four_row = invocation / 16u;
    let four_column = invocation % 16u;
    let row = tile_row + four_row * 4u;
    let column = tile_column + four_column * 4u;

    var sums0 = vec4(0.0);
    var sums1 = vec4(0.0);
    var sums2 = vec4(0.0);
    var sums3 = vec4(0.0);
    if (SHARED == 1u) {
        for (var depth = start; depth < end; depth += DEPTH) {
            // Neighboring invocations load neighboring elements: along k if a row of a is
            // contiguous, else along rows.
            var k = invocation % DEPTH;
            var four = invocation / DEPTH;
            if (params.a_column != 1u) {
                k = invocation / 16u;
                four = invocation % 16u;
            }
            a_tile[k * 16u + four] = a_four(a_base, tile_row + four * 4u, depth + k, end);
            k = invocation / 16u;
            four = invocation % 16u;
            if (params.b_column != 1u) {
                k = invocation % DEPTH;
                four = invocation / DEPTH;
            }
            b_tile[k * 16u + four] = b_four(b_base, depth + k, tile_column + four * 4u, end);
            workgroupBarrier();
            for (var k = 0u; k < DEPTH; k++) {
                let left = a_tile[k * 16u + four_row];
                let right = b_tile[k * 16u + four_column];
                sums0 += left.x * right;
                sums1 += left.y * right;
                sums2 += left.z * right;
                sums3 += left.w * right;
            }
            workgroupBarrier();
        }
    } else {
        for (var k = start; k < end; k++) {
            let left = a_four(a_base, row, k, end);
            let right = b_four(b_base, k, column, end);
            sums0 += left.x * right;
            sums1 += left.y * right;
            sums2 += left.z * right;
            sums3 += left.w * right;
        }
    }
    let at = matrix * params.m * params.n;
    write(at, row, column, sums0);
    write(at, row + 1u, column, sums1);
    write(at, row + 2u, column, sums2);
    write(at, row + 3u, column, sums3);
}
