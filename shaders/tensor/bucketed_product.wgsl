// y[s, j] = Σ_k x[s, k]·w[b, k, j] + c[b, j] with b the bucket of sample s, k ascending. The matrices
// of the buckets have any strides, so a transposed one is read in place. Without `biased`, c is not
// read.
//
// A workgroup computes ROWS samples of one bucket and COLUMNS columns, an invocation 4 × 4 of them.
// With SHARED the operands pass through workgroup memory, DEPTH of k at a time. Without it every
// invocation reads them itself, for software adapters, where barriers take long. A row past the end
// of the tile is its last row again and is not written. Past the other edges zeros are multiplied.
override SHARED: u32 = 1u;

struct Params {
    tiles: u32,
    depth: u32, // k
    columns: u32, // j
    w_row: u32, // from a row of w to the next, in elements
    w_column: u32,
    biased: u32,
    samples: u32, // only the host executors use it
}

@group(0) @binding(0) var<storage, read> bucket: array<u32>; // [samples]
@group(0) @binding(1) var<storage, read> order: array<u32>; // [samples], those of a bucket in a row
@group(0) @binding(2) var<storage, read> tile_starts: array<u32>; // in `order`, [tiles + 1]
@group(0) @binding(3) var<storage, read> x: array<f32>; // [samples, depth]
@group(0) @binding(4) var<storage, read> w: array<f32>; // [buckets, depth·columns]
@group(0) @binding(5) var<storage, read> c: array<f32>; // [buckets, columns]
@group(0) @binding(6) var<storage, read_write> y: array<f32>; // [samples, columns]
@group(0) @binding(7) var<uniform> params: Params;

const ROWS = 64u;
const COLUMNS = 16u;
const DEPTH = 16u;
const INVOCATIONS = 64u;
var<workgroup> x_tile: array<vec4<f32>, 256>; // [DEPTH, ROWS / 4]
var<workgroup> w_tile: array<vec4<f32>, 64>; // [DEPTH, COLUMNS / 4]

fn x_at(sample: u32, k: u32) -> f32 {
    if (k < params.depth) {
        return x[sample * params.depth + k];
    }
    return 0.0;
}

fn w_at(base: u32, k: u32, column: u32) -> f32 {
    if (k < params.depth && column < params.columns) {
        return w[base + k * params.w_row + column * params.w_column];
    }
    return 0.0;
}

fn x_four(samples: vec4<u32>, k: u32) -> vec4<f32> {
    return vec4(x_at(samples.x, k), x_at(samples.y, k), x_at(samples.z, k), x_at(samples.w, k));
}

fn w_four(base: u32, k: u32, column: u32) -> vec4<f32> {
    return vec4(
        w_at(base, k, column),
        w_at(base, k, column + 1u),
        w_at(base, k, column + 2u),
        w_at(base, k, column + 3u),
    );
}

// The samples of four rows of a tile.
fn samples_of(begin: u32, end: u32, four: u32) -> vec4<u32> {
    let at = begin + four * 4u;
    let last = end - 1u;
    return vec4(
        order[min(at, last)],
        order[min(at + 1u, last)],
        order[min(at + 2u, last)],
        order[min(at + 3u, last)],
    );
}

fn write(sample: u32, bucket_of: u32, column: u32, sums: vec4<f32>) {
    for (var i = 0u; i < 4u; i++) {
        let j = column + i;
        if (j < params.columns) {
            var sum = sums[i];
            if (params.biased == 1u) {
                sum += c[bucket_of * params.columns + j];
            }
            y[sample * params.columns + j] = sum;
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
    let index = group_index(group, groups);
    let tile = index / tiles_across;
    if (tile >= params.tiles) {
        return;
    }
    let begin = tile_starts[tile];
    let end = tile_starts[tile + 1u];
    let bucket_of = bucket[order[begin]];
    let base = bucket_of * params.depth * params.columns;
    let tile_column = (index % tiles_across) * COLUMNS;
    let four_row = invocation / 4u;
    let four_column = invocation % 4u;
    let column = tile_column + four_column * 4u;
    let samples = samples_of(begin, end, four_row);

    var sums0 = vec4(0.0);
    var sums1 = vec4(0.0);
    var sums2 = vec4(0.0);
    var sums3 = vec4(0.0);
    if (SHARED == 1u) {
        // Invocations side by side load elements side by side.
        let x_k = invocation % DEPTH;
        let x_first = invocation / DEPTH;
        let loaded0 = samples_of(begin, end, x_first);
        let loaded1 = samples_of(begin, end, x_first + 4u);
        let loaded2 = samples_of(begin, end, x_first + 8u);
        let loaded3 = samples_of(begin, end, x_first + 12u);
        var w_k = invocation / 4u;
        var w_column = invocation % 4u;
        if (params.w_column != 1u) {
            w_k = invocation % DEPTH;
            w_column = invocation / DEPTH;
        }
        for (var depth = 0u; depth < params.depth; depth += DEPTH) {
            let at = x_k * 16u + x_first;
            x_tile[at] = x_four(loaded0, depth + x_k);
            x_tile[at + 4u] = x_four(loaded1, depth + x_k);
            x_tile[at + 8u] = x_four(loaded2, depth + x_k);
            x_tile[at + 12u] = x_four(loaded3, depth + x_k);
            w_tile[w_k * 4u + w_column] = w_four(base, depth + w_k, tile_column + w_column * 4u);
            workgroupBarrier();
            for (var k = 0u; k < DEPTH; k++) {
                let left = x_tile[k * 16u + four_row];
                let right = w_tile[k * 4u + four_column];
                sums0 += left.x * right;
                sums1 += left.y * right;
                sums2 += left.z * right;
                sums3 += left.w * right;
            }
            workgroupBarrier();
        }
    } else {
        for (var k = 0u; k < params.depth; k++) {
            let left = x_four(samples, k);
            let right = w_four(base, k, column);
            sums0 += left.x * right;
            sums1 += left.y * right;
            sums2 += left.z * right;
            sums3 += left.w * right;
        }
    }
    let first = begin + four_row * 4u;
    if (first < end) {
        write(samples.x, bucket_of, column, sums0);
    }
    if (first + 1u < end) {
        write(samples.y, bucket_of, column, sums1);
    }
    if (first + 2u < end) {
        write(samples.z, bucket_of, column, sums2);
    }
    if (first + 3u < end) {
        write(samples.w, bucket_of, column, sums3);
    }
}
