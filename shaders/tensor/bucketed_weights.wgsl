// result[chunk, i, j] = Σ g[s, i]·x[s, j] over the samples s of a chunk, ascending. The samples of a
// chunk have the same bucket.
//
// A workgroup computes ROWS rows i and COLUMNS columns j of one chunk, an invocation 4 × 4 of them.
// With SHARED the operands pass through workgroup memory, DEPTH samples at a time. Without it every
// invocation reads them itself, for software adapters, where barriers take long. Past the edges
// zeros are multiplied and nothing is written.
override SHARED: u32 = 1u;

struct Params {
    chunks: u32,
    longest: u32, // the most samples in a chunk: a bound that is the same for every workgroup
    rows: u32,
    columns: u32,
}

@group(0) @binding(0) var<storage, read> chunk_starts: array<u32>; // in `order`, [chunks + 1]
@group(0) @binding(1) var<storage, read> order: array<u32>; // samples, those of a bucket in a row
@group(0) @binding(2) var<storage, read> upstream: array<f32>; // g, [samples, rows]
@group(0) @binding(3) var<storage, read> x: array<f32>; // [samples, columns]
@group(0) @binding(4) var<storage, read_write> result: array<f32>; // [chunks, rows, columns]
@group(0) @binding(5) var<uniform> params: Params;

const ROWS = 16u;
const COLUMNS = 64u;
const DEPTH = 16u;
const INVOCATIONS = 64u;
var<workgroup> g_tile: array<vec4<f32>, 64>; // [DEPTH, ROWS / 4]
var<workgroup> x_tile: array<vec4<f32>, 256>; // [DEPTH, COLUMNS / 4]

fn g_at(sample: u32, row: u32) -> f32 {
    if (row < params.rows) {
        return upstream[sample * params.rows + row];
    }
    return 0.0;
}

fn x_at(sample: u32, column: u32) -> f32 {
    if (column < params.columns) {
        return x[sample * params.columns + column];
    }
    return 0.0;
}

fn g_four(place: u32, end: u32, row: u32) -> vec4<f32> {
    if (place >= end) {
        return vec4(0.0);
    }
    let sample = order[place];
    return vec4(g_at(sample, row), g_at(sample, row + 1u), g_at(sample, row + 2u), g_at(sample, row + 3u));
}

fn x_four(place: u32, end: u32, column: u32) -> vec4<f32> {
    if (place >= end) {
        return vec4(0.0);
    }
    let sample = order[place];
    return vec4(
        x_at(sample, column),
        x_at(sample, column + 1u),
        x_at(sample, column + 2u),
        x_at(sample, column + 3u),
    );
}

fn write(chunk: u32, row: u32, column: u32, sums: vec4<f32>) {
    if (row >= params.rows) {
        return;
    }
    for (var i = 0u; i < 4u; i++) {
        if (column + i < params.columns) {
            result[(chunk * params.rows + row) * params.columns + column + i] = sums[i];
        }
    }
}

@compute @workgroup_size(INVOCATIONS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let tiles_across = (params.columns + COLUMNS - 1u) / COLUMNS;
    let tiles = tiles_across * ((params.rows + ROWS - 1u) / ROWS);
    let index = group_index(group, groups);
    let chunk = index / tiles;
    if (chunk >= params.chunks) {
        return;
    }
    let tile = index % tiles;
    let begin = chunk_starts[chunk];
    let end = chunk_starts[chunk + 1u];
    let tile_row = (tile / tiles_across) * ROWS;
    let tile_column = (tile % tiles_across) * COLUMNS;
    let four_row = invocation / 16u;
    let four_column = invocation % 16u;
    let row = tile_row + four_row * 4u;
    let column = tile_column + four_column * 4u;

    var sums0 = vec4(0.0);
    var sums1 = vec4(0.0);
    var sums2 = vec4(0.0);
    var sums3 = vec4(0.0);
    if (SHARED == 1u) {
        for (var depth = 0u; depth < params.longest; depth += DEPTH) {
            let g_k = invocation / 4u;
            let g_four_row = invocation % 4u;
            g_tile[invocation] = g_four(begin + depth + g_k, end, tile_row + g_four_row * 4u);
            for (var k = invocation / 16u; k < DEPTH; k += 4u) {
                x_tile[k * 16u + four_column] = x_four(begin + depth + k, end, column);
            }
            workgroupBarrier();
            for (var k = 0u; k < DEPTH; k++) {
                let left = g_tile[k * 4u + four_row];
                let right = x_tile[k * 16u + four_column];
                sums0 += left.x * right;
                sums1 += left.y * right;
                sums2 += left.z * right;
                sums3 += left.w * right;
            }
            workgroupBarrier();
        }
    } else {
        for (var place = begin; place < end; place++) {
            let left = g_four(place, end, row);
            let right = x_four(place, end, column);
            sums0 += left.x * right;
            sums1 += left.y * right;
            sums2 += left.z * right;
            sums3 += left.w * right;
        }
    }
    write(chunk, row, column, sums0);
    write(chunk, row + 1u, column, sums1);
    write(chunk, row + 2u, column, sums2);
    write(chunk, row + 3u, column, sums3);
}
