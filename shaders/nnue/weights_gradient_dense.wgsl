// gradient[f, r] = Σ_s X[s, f]·dz[s, column + r], added to the old gradient if `accumulate` is 1.
//
// A workgroup computes 64 features × 64 lanes, and an invocation 8 × 8 of them in registers. SHARED
// is as in accumulator_dense, 16 samples at a time. Past the edges an invocation reads the last
// vector again, or zero past the samples, and writes nothing.
override SHARED: u32 = 1u;

struct Params {
    samples: u32,
    inputs: u32,
    x_stride: u32,
    hidden: u32,
    stride: u32,
    column: u32,
    accumulate: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>; // [samples, x_stride / 4]
@group(0) @binding(1) var<storage, read> dz: array<vec4<f32>>; // [samples, stride / 4]
@group(0) @binding(2) var<storage, read_write> gradient: array<vec4<f32>>; // [inputs, hidden / 4]
@group(0) @binding(3) var<uniform> params: Params;

const TILE = 64u;
const DEPTH = 16u;
const INVOCATIONS = 64u;
var<workgroup> x_tile: array<vec4<f32>, 256>; // [DEPTH, TILE / 4]
var<workgroup> dz_tile: array<vec4<f32>, 256>; // [DEPTH, TILE / 4]

fn x_at(sample: u32, four: u32) -> vec4<f32> {
    let fours = params.x_stride / 4u;
    return x[sample * fours + min(four, fours - 1u)];
}

fn dz_at(sample: u32, four: u32) -> vec4<f32> {
    return dz[(sample * params.stride + params.column) / 4u + min(four, params.hidden / 4u - 1u)];
}

@compute @workgroup_size(INVOCATIONS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let tiles = (params.hidden + TILE - 1u) / TILE;
    let index = group_index(group, groups);
    let first_feature = index / tiles * TILE;
    let first_four = index % tiles * (TILE / 4u);
    if (first_feature >= params.inputs) {
        return;
    }
    let row = invocation / 8u; // the vector of the upper four features in the tile
    let feature = first_feature + row * 4u;
    let four = first_four + invocation % 8u;
    var tile = tile_of(vec4(0.0), vec4(0.0));

    if (SHARED == 1u) {
        for (var start = 0u; start < params.samples; start += DEPTH) {
            for (var at = invocation; at < 256u; at += INVOCATIONS) {
                let sample = start + at / 16u;
                x_tile[at] = vec4(0.0);
                dz_tile[at] = vec4(0.0);
                if (sample < params.samples) {
                    x_tile[at] = x_at(sample, first_feature / 4u + at % 16u);
                    dz_tile[at] = dz_at(sample, first_four + at % 16u);
                }
            }
            workgroupBarrier();
            for (var s = 0u; s < DEPTH; s++) {
                let from_x = s * 16u + row;
                let from_dz = s * 16u + invocation % 8u;
                add_products(
                    &tile,
                    x_tile[from_x],
                    x_tile[from_x + 8u],
                    dz_tile[from_dz],
                    dz_tile[from_dz + 8u],
                );
            }
            workgroupBarrier();
        }
    } else {
        let above = min(feature / 4u, params.x_stride / 4u - 1u);
        let below = min(feature / 4u + 8u, params.x_stride / 4u - 1u);
        let left = params.column / 4u + min(four, params.hidden / 4u - 1u);
        let right = params.column / 4u + min(four + 8u, params.hidden / 4u - 1u);
        // Invocations past the last feature store nothing.
        let samples = select(0u, params.samples, feature < params.inputs);
        for (var s = 0u; s < samples; s++) {
            let from_x = s * (params.x_stride / 4u);
            let from_dz = s * (params.stride / 4u);
            add_products(
                &tile,
                x[from_x + above],
                x[from_x + below],
                dz[from_dz + left],
                dz[from_dz + right],
            );
        }
    }
    store(feature, four, tile.left0, tile.right0);
    store(feature + 1u, four, tile.left1, tile.right1);
    store(feature + 2u, four, tile.left2, tile.right2);
    store(feature + 3u, four, tile.left3, tile.right3);
    store(feature + 32u, four, tile.left4, tile.right4);
    store(feature + 33u, four, tile.left5, tile.right5);
    store(feature + 34u, four, tile.left6, tile.right6);
    store(feature + 35u, four, tile.left7, tile.right7);
}

fn store(feature: u32, four: u32, left: vec4<f32>, right: vec4<f32>) {
    let fours = params.hidden / 4u;
    let at = feature * fours + four;
    if (feature < params.inputs && four < fours) {
        put(at, left);
    }
    if (feature < params.inputs && four + 8u < fours) {
        put(at + 8u, right);
    }
}

// The condition names `at`, because a branch on a parameter alone would make lavapipe compile the
// shader in every dispatch.
fn put(at: u32, values: vec4<f32>) {
    if ((at < params.inputs * params.hidden) & (params.accumulate == 1u)) {
        gradient[at] += values;
    } else {
        gradient[at] = values;
    }
}
