// The gradients of B and of all layers of the head into a sink, and the loss: the sums over the
// shares of the splits, of all splits for B and for the loss, and of the splits of one bucket for a
// layer.
//
// A workgroup has COLUMNS consecutive elements of the head buffer, the loss after its end, and sums
// the shares of each over LANES invocations.
alias Value = f32;

struct Params {
    groups: array<vec4<f32>, 3>, // of B, W and c: η, 1 − η·w, and the range
    hidden: u32, // K
    tied: u32, // 1 if both perspectives share B
    buckets: u32,
    first_splits: u32, // offset of the first split of each bucket in `index`, [buckets + 1]
    splits: u32,
    layers: u32, // offset of the words of the layers in `index`
    share: u32, // floats of a share
    output: u32, // offset of the first W in `values`
    output_bias: u32, // offset of the first c
    length: u32, // of `values`
    totals: u32, // 1 if there is a loss
    beta1: f32,
    beta2: f32,
    correction1: f32, // 1/(1 − β1^t)
    correction2: f32, // 1/(1 − β2^t)
    epsilon: f32,
}

@group(0) @binding(0) var<storage, read> index: array<u32>;
@group(0) @binding(1) var<storage, read> shares: array<f32>; // [splits, share]
@group(0) @binding(2) var<storage, read_write> values: array<f32>; // the head buffer
@group(0) @binding(3) var<storage, read_write> first: array<f32>; // like `values`
@group(0) @binding(4) var<storage, read_write> second: array<f32>; // like `values`
@group(0) @binding(5) var<storage, read_write> loss: array<f32>; // [1]
@group(0) @binding(6) var<uniform> params: Params;

const LANES = 8u;
const COLUMNS = 32u;

fn head_word(i: u32) -> u32 {
    return index[params.layers + i];
}

// The place of an element in a share, and its bucket.
struct Place {
    at: u32,
    bucket: u32,
}

// Of W or c of a layer: the tensors of all layers follow one another.
fn place_of(element: u32, is_bias: bool) -> Place {
    var number = 0u;
    var layer = layer_at(0u);
    var size = select(layer.width * layer.inputs, layer.width, is_bias);
    var start = select(layer.weights, layer.bias, is_bias);
    while (element >= start + params.buckets * size && layer.activation != NO_ACTIVATION) {
        number += 1u;
        layer = layer_at(number);
        size = select(layer.width * layer.inputs, layer.width, is_bias);
        start = select(layer.weights, layer.bias, is_bias);
    }
    let of_layer = 2u * params.hidden + (start - params.output) / params.buckets;
    return Place(of_layer + (element - start) % size, (element - start) / size);
}

@compute @workgroup_size(LANES * COLUMNS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let element = group_index(group, groups) * COLUMNS + invocation % COLUMNS;
    let own = invocation / COLUMNS;
    let is_loss = element == params.length;
    let is_live = element < params.length + params.totals;
    // The splits of B and of the loss are all.
    var begin = 0u;
    var end = select(0u, params.splits, is_live);
    var at = select(element, params.share - 1u, is_loss);
    if (element >= params.output && element < params.length) {
        let place = place_of(element, element >= params.output_bias);
        at = place.at;
        begin = index[params.first_splits + place.bucket];
        end = index[params.first_splits + place.bucket + 1u];
    }
    // B of both perspectives of a tied network is one.
    let is_shared = params.tied == 1u && element < params.output;
    let other = select(at, at + params.hidden, is_shared);
    var sum = 0.0;
    for (var split = begin + own; split < end; split += LANES) {
        sum += shares[split * params.share + at];
        sum += select(0.0, shares[split * params.share + other], is_shared);
    }
    sum = sum_lanes(invocation, sum);
    if (own > 0u || !is_live) {
        return;
    }
    if (is_loss) {
        loss[0] = select(sum, loss[0] + sum, SINK == ADD);
    } else {
        let is_weight = select(0u, 1u, element >= params.output);
        let region = is_weight + select(0u, 1u, element >= params.output_bias);
        sink(element, sum, params.groups[region]);
    }
}
