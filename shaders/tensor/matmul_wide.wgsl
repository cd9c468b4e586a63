// out[batch, i, j] = Σ_k a[batch, i, k]·b[batch, k, j], in ascending order, for software adapters.
// They run the loads of one invocation after another and wait long at barriers, so a kernel is fast
// if it has few wide loads and much arithmetic between them. Rows are contiguous, and their length
// is a multiple of 4. An invocation computes 8 × 8 elements of a matrix, with k in steps of 4. Past
// the edges it computes the last rows and columns again and writes nothing.
struct Params {
    batches: u32,
    m: u32,
    n: u32, // a multiple of 4
    k: u32, // a multiple of 4
    a_batch: u32, // distance from a matrix of a to the next: 0 or m·k
    b_batch: u32, // 0 or k·n
}

@group(0) @binding(0) var<storage, read> a: array<vec4<f32>>; // [batches or 1, m, k / 4]
@group(0) @binding(1) var<storage, read> b: array<vec4<f32>>; // [batches or 1, k, n / 4]
@group(0) @binding(2) var<storage, read_write> result: array<vec4<f32>>; // [batches, m, n / 4]
@group(0) @binding(3) var<uniform> params: Params;

const INVOCATIONS = 64u;
const TILE = 8u;

// sums + left·(four rows of b), for four columns of one row of the product and four values of k.
fn add(sums: vec4<f32>, left: vec4<f32>, b0: vec4<f32>, b1: vec4<f32>, b2: vec4<f32>, b3: vec4<f32>) -> vec4<f32> {
    return (((sums + left.x * b0) + left.y * b1) + left.z * b2) + left.w * b3;
}

@compute @workgroup_size(INVOCATIONS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let tiles_across = (params.n + TILE - 1u) / TILE;
    let tiles_down = (params.m + TILE - 1u) / TILE;
    let tile = group_index(group, groups) * INVOCATIONS + invocation;
    let batch = tile / (tiles_across * tiles_down);
    if (batch >= params.batches) {
        return;
    }
    let row = (tile / tiles_across) % tiles_down * TILE;
    let four = (tile % tiles_across) * 2u;
    let fours = params.n / 4u;
    let depth = params.k / 4u;
    let last = params.m - 1u;
    let a_start = batch * (params.a_batch / 4u);
    let a0 = a_start + min(row + 0u, last) * depth;
    let a1 = a_start + min(row + 1u, last) * depth;
    let a2 = a_start + min(row + 2u, last) * depth;
    let a3 = a_start + min(row + 3u, last) * depth;
    let a4 = a_start + min(row + 4u, last) * depth;
    let a5 = a_start + min(row + 5u, last) * depth;
    let a6 = a_start + min(row + 6u, last) * depth;
    let a7 = a_start + min(row + 7u, last) * depth;
    var b_first = batch * (params.b_batch / 4u) + four;
    let next = min(four + 1u, fours - 1u) - four;

    var sums00 = vec4(0.0);
    var sums01 = vec4(0.0);
    var sums10 = vec4(0.0);
    var sums11 = vec4(0.0);
    var sums20 = vec4(0.0);
    var sums21 = vec4(0.0);
    var sums30 = vec4(0.0);
    var sums31 = vec4(0.0);
    var sums40 = vec4(0.0);
    var sums41 = vec4(0.0);
    var sums50 = vec4(0.0);
    var sums51 = vec4(0.0);
    var sums60 = vec4(0.0);
    var sums61 = vec4(0.0);
    var sums70 = vec4(0.0);
    var sums71 = vec4(0.0);
    for (var k = 0u; k < depth; k++) {
        let p0 = b[b_first];
        let q0 = b[b_first + next];
        b_first += fours;
        let p1 = b[b_first];
        let q1 = b[b_first + next];
        b_first += fours;
        let p2 = b[b_first];
        let q2 = b[b_first + next];
        b_first += fours;
        let p3 = b[b_first];
        let q3 = b[b_first + next];
        b_first += fours;
        let left0 = a[a0 + k];
        sums00 = add(sums00, left0, p0, p1, p2, p3);
        sums01 = add(sums01, left0, q0, q1, q2, q3);
        let left1 = a[a1 + k];
        sums10 = add(sums10, left1, p0, p1, p2, p3);
        sums11 = add(sums11, left1, q0, q1, q2, q3);
        let left2 = a[a2 + k];
        sums20 = add(sums20, left2, p0, p1, p2, p3);
        sums21 = add(sums21, left2, q0, q1, q2, q3);
        let left3 = a[a3 + k];
        sums30 = add(sums30, left3, p0, p1, p2, p3);
        sums31 = add(sums31, left3, q0, q1, q2, q3);
        let left4 = a[a4 + k];
        sums40 = add(sums40, left4, p0, p1, p2, p3);
        sums41 = add(sums41, left4, q0, q1, q2, q3);
        let left5 = a[a5 + k];
        sums50 = add(sums50, left5, p0, p1, p2, p3);
        sums51 = add(sums51, left5, q0, q1, q2, q3);
        let left6 = a[a6 + k];
        sums60 = add(sums60, left6, p0, p1, p2, p3);
        sums61 = add(sums61, left6, q0, q1, q2, q3);
        let left7 = a[a7 + k];
        sums70 = add(sums70, left7, p0, p1, p2, p3);
        sums71 = add(sums71, left7, q0, q1, q2, q3);
    }
    let at = (batch * params.m + row) * fours + four;
    write(at + 0u * fours, row + 0u, next, sums00, sums01);
    write(at + 1u * fours, row + 1u, next, sums10, sums11);
    write(at + 2u * fours, row + 2u, next, sums20, sums21);
    write(at + 3u * fours, row + 3u, next, sums30, sums31);
    write(at + 4u * fours, row + 4u, next, sums40, sums41);
    write(at + 5u * fours, row + 5u, next, sums50, sums51);
    write(at + 6u * fours, row + 6u, next, sums60, sums61);
    write(at + 7u * fours, row + 7u, next, sums70, sums71);
}

fn write(at: u32, row: u32, next: u32, first: vec4<f32>, second: vec4<f32>) {
    if (row < params.m) {
        result[at] = first;
        if (next == 1u) {
            result[at + 1u] = second;
        }
    }
}
