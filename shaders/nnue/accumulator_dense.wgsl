// Z[s, column + r] = B[r] + Σ_f X[s, f]·A[f, r]: the accumulator of one perspective on dense
// inputs.
//
// A workgroup computes 64 samples × 64 lanes, and an invocation 8 × 8 of them in registers. If
// SHARED is 1, the operands pass through workgroup memory, 16 features at a time. Otherwise every
// invocation reads them itself, which suits software adapters, because barriers are slow there.
// Past the edges an invocation reads the last vector again, or zero instead of X, and writes
// nothing.
override SHARED: u32 = 1u;

struct Params {
    samples: u32,
    hidden: u32,
    inputs: u32,
    x_stride: u32,
    stride: u32,
    column: u32,
    bias: u32, // offset of B in `small`, a multiple of 4
}

// [samples, x_stride / 4], zero past the inputs.
@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> weights: array<vec4<f32>>; // [inputs, hidden / 4]
@group(0) @binding(2) var<storage, read> small: array<vec4<f32>>; // the head buffer
@group(0) @binding(3) var<storage, read_write> z: array<vec4<f32>>; // [samples, stride / 4]
@group(0) @binding(4) var<uniform> params: Params;

const TILE = 64u;
const DEPTH = 16u;
const INVOCATIONS = 64u;
const SAMPLES = 65u; // stride of a feature; odd, so that neighbors lie in different banks
var<workgroup> x_tile: array<f32, 1040>; // [DEPTH, SAMPLES]
var<workgroup> weights_tile: array<vec4<f32>, 256>; // [DEPTH, TILE / 4]

fn x_at(sample: u32, input: u32) -> vec4<f32> {
    if (input >= params.inputs) {
        return vec4(0.0);
    }
    return x[first_of(sample) + input / 4u];
}

fn weights_at(input: u32, four: u32) -> vec4<f32> {
    let fours = params.hidden / 4u;
    return weights[min(input, params.inputs - 1u) * fours + min(four, fours - 1u)];
}

// The index in X of a sample's first vector.
fn first_of(sample: u32) -> u32 {
    return min(sample, params.samples - 1u) * (params.x_stride / 4u);
}

fn x_four(at: u32) -> vec4<f32> {
    return vec4(x_tile[at], x_tile[at + 1u], x_tile[at + 2u], x_tile[at + 3u]);
}

@compute @workgroup_size(INVOCATIONS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let tiles = (params.hidden + TILE - 1u) / TILE;
    let index = group_index(group, groups);
    let first_sample = index / tiles * TILE;
    let first_four = index % tiles * (TILE / 4u);
    if (first_sample >= params.samples) {
        return;
    }
    let upper = invocation / 8u * 4u; // the first of the upper four samples in the tile
    let sample = first_sample + upper;
    let four = first_four + invocation % 8u;
    let last = params.hidden / 4u - 1u;
    let bias = params.bias / 4u;
    var tile = tile_of(small[bias + min(four, last)], small[bias + min(four + 8u, last)]);

    if (SHARED == 1u) {
        for (var start = 0u; start < params.inputs; start += DEPTH) {
            for (var at = invocation; at < 256u; at += INVOCATIONS) {
                let input = at % 4u * 4u;
                let values = x_at(first_sample + at / 4u, start + input);
                let to = input * SAMPLES + at / 4u;
                x_tile[to] = values.x;
                x_tile[to + SAMPLES] = values.y;
                x_tile[to + 2u * SAMPLES] = values.z;
                x_tile[to + 3u * SAMPLES] = values.w;
                weights_tile[at] = weights_at(start + at / 16u, first_four + at % 16u);
            }
            workgroupBarrier();
            for (var f = 0u; f < DEPTH; f++) {
                let from_x = f * SAMPLES + upper;
                let from_weights = f * 16u + invocation % 8u;
                add_products(
                    &tile,
                    x_four(from_x),
                    x_four(from_x + 32u),
                    weights_tile[from_weights],
                    weights_tile[from_weights + 8u],
                );
            }
            workgroupBarrier();
        }
    } else {
        let x0 = first_of(sample);
        let x1 = first_of(sample + 1u);
        let x2 = first_of(sample + 2u);
        let x3 = first_of(sample + 3u);
        let x4 = first_of(sample + 32u);
        let x5 = first_of(sample + 33u);
        let x6 = first_of(sample + 34u);
        let x7 = first_of(sample + 35u);
        let fours = params.hidden / 4u;
        let left = min(four, last);
        let right = min(four + 8u, last);
        for (var f = 0u; f < params.inputs; f += 4u) {
            let depth = f / 4u;
            // Past the inputs, X is zero.
            let a0 = f * fours;
            let a1 = min(f + 1u, params.inputs - 1u) * fours;
            let a2 = min(f + 2u, params.inputs - 1u) * fours;
            let a3 = min(f + 3u, params.inputs - 1u) * fours;
            let v0 = x[x0 + depth];
            let v1 = x[x1 + depth];
            let v2 = x[x2 + depth];
            let v3 = x[x3 + depth];
            let v4 = x[x4 + depth];
            let v5 = x[x5 + depth];
            let v6 = x[x6 + depth];
            let v7 = x[x7 + depth];
            add_products(
                &tile,
                vec4(v0.x, v1.x, v2.x, v3.x),
                vec4(v4.x, v5.x, v6.x, v7.x),
                weights[a0 + left],
                weights[a0 + right],
            );
            add_products(
                &tile,
                vec4(v0.y, v1.y, v2.y, v3.y),
                vec4(v4.y, v5.y, v6.y, v7.y),
                weights[a1 + left],
                weights[a1 + right],
            );
            add_products(
                &tile,
                vec4(v0.z, v1.z, v2.z, v3.z),
                vec4(v4.z, v5.z, v6.z, v7.z),
                weights[a2 + left],
                weights[a2 + right],
            );
            add_products(
                &tile,
                vec4(v0.w, v1.w, v2.w, v3.w),
                vec4(v4.w, v5.w, v6.w, v7.w),
                weights[a3 + left],
                weights[a3 + right],
            );
        }
    }
    store(sample, four, tile.left0, tile.right0);
    store(sample + 1u, four, tile.left1, tile.right1);
    store(sample + 2u, four, tile.left2, tile.right2);
    store(sample + 3u, four, tile.left3, tile.right3);
    store(sample + 32u, four, tile.left4, tile.right4);
    store(sample + 33u, four, tile.left5, tile.right5);
    store(sample + 34u, four, tile.left6, tile.right6);
    store(sample + 35u, four, tile.left7, tile.right7);
}

fn store(sample: u32, four: u32, left: vec4<f32>, right: vec4<f32>) {
    let fours = params.hidden / 4u;
    let at = (sample * params.stride + params.column) / 4u + four;
    if (sample < params.samples && four < fours) {
        z[at] = left;
    }
    if (sample < params.samples && four + 8u < fours) {
        z[at + 8u] = right;
    }
}
