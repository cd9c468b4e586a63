// The layers of the head after the first one, from z of the first layer: Y and, if GRADIENT is 1,
// the loss (if LOSS is 1; otherwise e is given), ∂Loss/∂z of the first layer in place of z and its
// scale, and what each split adds to the gradients of these layers, of all c and to the loss.
//
// A workgroup has a split of samples of one bucket and computes `tile` of them at a time. `units`
// has a row per lane of each layer's z, the output's last, and one for the terms of the loss.
// Backward, the derivatives by z replace z. A row has one place more than samples, to spread the
// banks.
override GRADIENT: u32 = 1u;
override LOSS: u32 = 0u;

struct Params {
    samples: u32, // only the count of bytes uses it
    hidden: u32, // K
    buckets: u32,
    bucket: u32, // offset of the buckets of the samples in `index`
    targets: u32, // offset of the targets in `index`
    sample_weights: u32, // offset of the samples' weights in `index`, if they have weights
    splits: u32,
    starts: u32, // offset of the first sample of each split in `index`, [splits + 1]
    layers: u32, // offset of the words of the layers in `index`
    stride: u32, // of a row of `delta`
    share: u32, // floats of a share
    tile: u32,
    parameters: u32, // only the count of bytes uses it
    power: f32, // q
    scale: f32, // 1/L
    asymmetry: f32,
    steepness: f32, // factor of Y
    shift: f32, // of a win rate
    entropy: u32, // 1 for the cross-entropy
    weighted: u32, // 1 if the samples have weights
    penalty: f32, // the least size that the scale of a sample has to hold
}

@group(0) @binding(0) var<storage, read> index: array<u32>;
@group(0) @binding(1) var<storage, read> head: array<f32>; // W and c of all layers, among others
@group(0) @binding(2) var<storage, read_write> delta: array<f32>; // [samples, stride]
@group(0) @binding(3) var<storage, read> e: array<f32>; // [samples], if it is given
@group(0) @binding(4) var<storage, read_write> y: array<f32>; // [samples]
@group(0) @binding(5) var<storage, read_write> shares: array<f32>; // [splits, share]
@group(0) @binding(6) var<storage, read_write> scales: array<f32>; // [samples]: see lib/half.wgsl
@group(0) @binding(7) var<uniform> params: Params;

const INVOCATIONS = 256u;
const PLACES = 3840u;

var<workgroup> units: array<f32, PLACES>;

fn head_word(i: u32) -> u32 {
    return index[params.layers + i];
}

fn place(row: u32, s: u32) -> u32 {
    return row * (params.tile + 1u) + s;
}

// A row of W, from `weights` on, times the outputs of a layer whose z begin at row `first`. The
// squares of a dual layer follow its other outputs.
fn product(layer: Layer, first: u32, weights: u32, s: u32) -> f32 {
    let squares = weights + layer.width;
    var sum = 0.0;
    for (var j = 0u; j < layer.width; j++) {
        let z = units[place(first + j, s)];
        let x = head_activate(layer.activation, z);
        sum += head[weights + j] * x;
        if (is_dual(layer.activation)) {
            sum += head[squares + j] * head_square(layer.activation, z, x);
        }
    }
    return sum;
}

// Adds to a share, or begins it.
fn put(at: u32, sum: f32, adds: bool) {
    shares[at] = select(0.0, shares[at], adds) + sum;
}

fn sum_of(row: u32, count: u32) -> f32 {
    var sum = 0.0;
    for (var s = 0u; s < count; s++) {
        sum += units[place(row, s)];
    }
    return sum;
}

// Rows of `units` with the derivatives of a layer's z by `count` samples.
struct Rows {
    first: u32,
    rows: u32,
    count: u32,
    adds: bool, // whether a share has sums of other samples
}

// What the samples add to the gradient of W: the products of each derivative and each output of a
// layer whose z begin at row `first`. The share has a row of W each `step` places, from `at` on.
fn put_products(layer: Layer, first: u32, derivatives: Rows, at: u32, step: u32, invocation: u32) {
    for (var i = invocation; i < derivatives.rows * layer.width; i += INVOCATIONS) {
        let o = i / layer.width;
        let j = i % layer.width;
        var sum = 0.0;
        var squares = 0.0;
        for (var s = 0u; s < derivatives.count; s++) {
            let derivative = units[place(derivatives.first + o, s)];
            let z = units[place(first + j, s)];
            let x = head_activate(layer.activation, z);
            sum += derivative * x;
            squares += derivative * head_square(layer.activation, z, x);
        }
        put(at + o * step + j, sum, derivatives.adds);
        if (is_dual(layer.activation)) {
            put(at + o * step + layer.width + j, squares, derivatives.adds);
        }
    }
}

@compute @workgroup_size(INVOCATIONS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let split = group_index(group, groups);
    if (split >= params.splits) {
        return;
    }
    let begin = index[params.starts + split];
    let end = index[params.starts + split + 1u];
    // With 1 bucket what is read there is no bucket, and the minimum is 0.
    let bucket = min(index[params.bucket + begin], params.buckets - 1u);
    for (var first = begin; first < end; first += params.tile) {
        let count = min(params.tile, end - first);
        one_tile(split, bucket, first, count, first > begin, invocation);
        workgroupBarrier(); // the next tile overwrites `units`
    }
}

fn one_tile(split: u32, bucket: u32, first: u32, count: u32, adds: bool, invocation: u32) {
    let front = layer_at(0u);
    for (var i = invocation; i < front.width * count; i += INVOCATIONS) {
        let o = i % front.width;
        let s = i / front.width;
        units[place(o, s)] = delta[(first + s) * params.stride + o];
    }
    workgroupBarrier();
    // Forward. `row` is the row of the layer's first z.
    var number = 0u;
    var row = 0u;
    var layer = front;
    while (layer.activation != NO_ACTIVATION) {
        let next = layer_at(number + 1u);
        let next_row = row + layer.width;
        let skipped = next.inputs - outputs_of(layer);
        let weights = next.weights + bucket * next.width * next.inputs;
        for (var i = invocation; i < next.width * count; i += INVOCATIONS) {
            let s = i % count;
            let o = i / count;
            let of_row = weights + o * next.inputs;
            var sum = head[next.bias + bucket * next.width + o];
            if (skipped > 0u) {
                sum += product(front, 0u, of_row, s);
            }
            units[place(next_row + o, s)] = sum + product(layer, row, of_row + skipped, s);
        }
        workgroupBarrier();
        number += 1u;
        row = next_row;
        layer = next;
    }
    let output_row = row;
    let output = layer;
    for (var s = invocation; s < count; s += INVOCATIONS) {
        let value = units[place(output_row, s)];
        y[first + s] = value;
        if (LOSS == 1u) {
            let target_value = bitcast<f32>(index[params.targets + first + s]);
            // Without weights any word is read.
            let weight = bitcast<f32>(index[params.sample_weights + first + s]);
            let loss = loss_of(value, target_value, select(1.0, weight, params.weighted == 1u));
            units[place(output_row, s)] = loss.gradient;
            units[place(output_row + 1u, s)] = loss.term;
        } else if (GRADIENT == 1u) {
            units[place(output_row, s)] = e[first + s];
            units[place(output_row + 1u, s)] = 0.0;
        }
    }
    if (GRADIENT == 0u) {
        return;
    }
    workgroupBarrier();
    // Backward. The share of a split has both B, W of each layer for one bucket, c of each layer
    // and the loss.
    let share = split * params.share;
    let of_layers = share + 2u * params.hidden;
    var skip = 0u;
    while (number > 0u) {
        let before = layer_at(number - 1u);
        let before_row = row - before.width;
        let skipped = layer.inputs - outputs_of(before);
        let of_weights = of_layers + (layer.weights - front.weights) / params.buckets;
        let of_bias = of_layers + (layer.bias - front.weights) / params.buckets;
        let derivatives = Rows(row, layer.width, count, adds);
        if (skipped > 0u) {
            put_products(front, 0u, derivatives, of_weights, layer.inputs, invocation);
        }
        let others = of_weights + skipped;
        put_products(before, before_row, derivatives, others, layer.inputs, invocation);
        for (var o = invocation; o < layer.width; o += INVOCATIONS) {
            put(of_bias + o, sum_of(row + o, count), adds);
        }
        workgroupBarrier();
        let weights = layer.weights + bucket * layer.width * layer.inputs + skipped;
        for (var i = invocation; i < before.width * count; i += INVOCATIONS) {
            let s = i % count;
            let j = i / count;
            let second = select(j, j + before.width, is_dual(before.activation));
            var gradient = 0.0;
            var square = 0.0;
            for (var o = 0u; o < layer.width; o++) {
                let derivative = units[place(row + o, s)];
                gradient += head[weights + o * layer.inputs + j] * derivative;
                square += head[weights + o * layer.inputs + second] * derivative;
            }
            // A branch on `number` alone would keep FXC from compiling the barriers.
            if (select(0u, skip, number == 1u) > 0u) {
                let of_output = output.weights + bucket * output.inputs;
                let derivative = units[place(output_row, s)];
                gradient += head[of_output + j] * derivative;
                square += head[of_output + second] * derivative;
            }
            let at = place(before_row + j, s);
            units[at] = head_slope(before.activation, units[at], gradient, square);
        }
        workgroupBarrier();
        skip = max(skip, skipped);
        number -= 1u;
        row = before_row;
        layer = before;
    }
    let of_bias = of_layers + (front.bias - front.weights) / params.buckets;
    for (var o = invocation; o < front.width + 1u; o += INVOCATIONS) {
        let is_loss = o == front.width;
        let terms = select(o, output_row + 1u, is_loss);
        let at = select(of_bias + o, share + params.share - 1u, is_loss);
        put(at, sum_of(terms, count), adds);
    }
    for (var s = invocation; s < count; s += INVOCATIONS) {
        var most = params.penalty;
        for (var o = 0u; o < front.width; o++) {
            most = max(most, abs(units[place(o, s)]));
        }
        scales[first + s] = scale_of(most);
    }
    for (var i = invocation; i < front.width * count; i += INVOCATIONS) {
        let o = i % front.width;
        let s = i / front.width;
        delta[(first + s) * params.stride + o] = units[place(o, s)];
    }
}
