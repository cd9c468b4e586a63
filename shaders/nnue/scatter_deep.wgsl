// Forward, loss and gradients of a network with a longer head in one kernel, over stretches of a
// batch of index lists: Y and the loss of each sample, and the gradients of all parameters over the
// samples of each stretch.
//
// A workgroup computes one stretch, sample by sample. An invocation has some lanes of both halves
// of both perspectives, and some outputs of each layer, so no two invocations add to the same
// element.
struct Params {
    samples: u32,
    hidden: u32, // K, a multiple of 32
    inputs: u32, // N
    tied: u32,
    pairwise: u32, // 1: lane r of a perspective is multiplied with lane r + K/2
    indices_1: u32, // offset of each perspective's indices in `lists`
    indices_2: u32,
    buckets: u32,
    bucket: u32, // offset of the samples' buckets in `lists`
    layers: u32, // offset of the layers' words in `lists`
    depth: u32, // number of layers
    head: u32, // floats of `small`
    bias_2: u32, // offset of B of the second perspective in `small`
    piece: u32, // samples of a stretch
    entries: u32,
    power: f32, // q
    scale: f32, // 1/L
    asymmetry: f32,
    steepness: f32, // factor of Y
    shift: f32, // of a win rate
    entropy: u32, // 1 for the cross-entropy
    weighted: u32, // 1 if the samples have weights
    clip: f32,
    penalty: f32, // what the L1 penalty adds to ∂Loss/∂x
}

// Starts [samples + 1] twice, then the indices; buckets; layers.
@group(0) @binding(0) var<storage, read> lists: array<u32>;
@group(0) @binding(1) var<storage, read> weights_1: array<f32>; // [N, K]
@group(0) @binding(2) var<storage, read> weights_2: array<f32>;
// B of each accumulator, W of each layer, c of each layer.
@group(0) @binding(3) var<storage, read> small: array<f32>;
@group(0) @binding(4) var<storage, read> targets: array<f32>; // t and weights, or e if it is given
@group(0) @binding(5) var<storage, read_write> y: array<f32>; // [samples]
@group(0) @binding(6) var<storage, read_write> terms: array<f32>; // [samples]; 0 if e is given
// [stretches, all parameters].
@group(0) @binding(7) var<storage, read_write> gradients: array<f32>;
@group(0) @binding(8) var<uniform> params: Params;

override GIVEN: u32 = 0u;

const INVOCATIONS = 256u;
const OWNED = 8u; // lanes of a half per invocation, so K ≤ 2 · OWNED · INVOCATIONS
const GROUP = 128u; // lanes of a lane group
const ROOM = 512u; // all lanes of z of the layers

var<workgroup> sums: array<f32, INVOCATIONS>;
var<workgroup> z: array<f32, ROOM>; // of each layer, one layer after the other
var<workgroup> delta: array<f32, ROOM>; // ∂Loss/∂z

fn head_word(index: u32) -> u32 {
    return lists[params.layers + index];
}

@compute @workgroup_size(INVOCATIONS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let index = group_index(group, groups);
    let of_head = (2u - params.tied) * params.inputs * params.hidden;
    let stride = of_head + (params.head + 15u) / 16u * 16u;
    let base = index * stride;
    let first = min(index * params.piece, params.samples);
    let end = min(first + params.piece, params.samples);
    if (first < end) {
        for (var i = invocation; i < stride; i += INVOCATIONS) {
            gradients[base + i] = 0.0;
        }
    }
    storageBarrier();

    let half = params.hidden / 2u;
    let clip = params.clip;
    let input = layer_at(0u);
    for (var sample = first; sample < end; sample++) {
        // With 1 bucket what is read there is no bucket, and the minimum is 0.
        let bucket = min(lists[params.bucket + sample], params.buckets - 1u);
        let of_input = input.weights + bucket * input.width * input.inputs;

        // Z of the own lanes: lane i of both halves of both perspectives.
        var own: array<vec4<f32>, OWNED>;
        for (var i = 0u; i < OWNED; i++) {
            let lane = invocation + i * INVOCATIONS;
            if (lane < half) {
                own[i] = vec4<f32>(
                    accumulator(0u, sample, lane),
                    accumulator(0u, sample, lane + half),
                    accumulator(1u, sample, lane),
                    accumulator(1u, sample, lane + half),
                );
            }
        }
        for (var o = 0u; o < input.width; o++) {
            var sum = 0.0;
            for (var i = 0u; i < OWNED; i++) {
                let lane = invocation + i * INVOCATIONS;
                if (lane < half) {
                    sum += dot(x_of(own[i], clip), row_of(of_input + o * input.inputs, lane));
                }
            }
            workgroupBarrier(); // `sums` may still be read
            sums[invocation] = sum;
            for (var reach = INVOCATIONS / 2u; reach > 0u; reach /= 2u) {
                workgroupBarrier();
                if (invocation < reach) {
                    sums[invocation] += sums[invocation + reach];
                }
            }
            workgroupBarrier();
            if (invocation == 0u) {
                z[o] = small[input.bias + bucket * input.width + o] + sums[0];
            }
        }
        workgroupBarrier();

        // The layers after the first.
        var of_z = input.width;
        for (var number = 1u; number < params.depth; number++) {
            let layer = layer_at(number);
            for (var o = invocation; o < layer.width; o += INVOCATIONS) {
                let row = layer.weights + (bucket * layer.width + o) * layer.inputs;
                var sum = small[layer.bias + bucket * layer.width + o];
                for (var i = 0u; i < layer.inputs; i++) {
                    sum += small[row + i] * input_of(number, of_z, i);
                }
                z[of_z + o] = sum;
            }
            workgroupBarrier();
            of_z += layer.width;
        }
        of_z -= 1u; // z of the output layer is Y
        let output = z[of_z];
        let loss = loss_or_given(output, sample);
        if (invocation == 0u) {
            y[sample] = output;
            terms[sample] = loss.term;
            delta[of_z] = loss.gradient;
        }
        workgroupBarrier();

        // δ of the layers before, from the last to the first, and the gradients of W and c.
        let of_last = of_z;
        for (var number = params.depth - 1u; number > 0u; number--) {
            let layer = layer_at(number);
            let before = layer_at(number - 1u);
            // The inputs of the output layer that are outputs of the first layer, beside the layer
            // before it. A branch on `number` alone would keep FXC from compiling the barriers.
            let last = layer_at(params.depth - 1u);
            let more = last.inputs - outputs_of(layer_at(params.depth - 2u));
            let beside = select(0u, more, number == 1u);
            for (var o = invocation; o < before.width; o += INVOCATIONS) {
                let skipped = layer.inputs - outputs_of(before);
                var gradient = gradient_of(layer, bucket, of_z, skipped + o);
                var square = 0.0;
                if (is_dual(before.activation)) {
                    square = gradient_of(layer, bucket, of_z, skipped + before.width + o);
                }
                if (beside > 0u) {
                    gradient += gradient_of(last, bucket, of_last, o);
                    if (is_dual(before.activation)) {
                        square += gradient_of(last, bucket, of_last, before.width + o);
                    }
                }
                let at = of_z - before.width + o;
                delta[at] = head_slope(before.activation, z[at], gradient, square);
            }
            for (var i = invocation; i < layer.inputs; i += INVOCATIONS) {
                let x = input_of(number, of_z, i);
                for (var o = 0u; o < layer.width; o++) {
                    let row = layer.weights + (bucket * layer.width + o) * layer.inputs;
                    gradients[base + of_head + row + i] += delta[of_z + o] * x;
                }
            }
            for (var o = invocation; o < layer.width; o += INVOCATIONS) {
                gradients[base + of_head + layer.bias + bucket * layer.width + o] += delta[of_z + o];
            }
            workgroupBarrier();
            of_z -= before.width;
        }
        for (var o = invocation; o < input.width; o += INVOCATIONS) {
            gradients[base + of_head + input.bias + bucket * input.width + o] += delta[o];
        }

        // The gradients of W1, B and A.
        for (var i = 0u; i < OWNED; i++) {
            let lane = invocation + i * INVOCATIONS;
            if (lane < half) {
                let x = x_of(own[i], clip);
                var by_x = vec4<f32>(params.penalty);
                for (var o = 0u; o < input.width; o++) {
                    let row = of_input + o * input.inputs;
                    by_x += delta[o] * row_of(row, lane);
                    let to = base + of_head + row + lane;
                    let part = delta[o] * x;
                    gradients[to] += part.x;
                    gradients[to + half] += part.y;
                    if (params.pairwise == 0u) {
                        gradients[to + 2u * half] += part.z;
                        gradients[to + 3u * half] += part.w;
                    }
                }
                let d = by_x_to_z(by_x, own[i], clip);
                scatter(base, 0u, sample, lane, d.x);
                scatter(base, 0u, sample, lane + half, d.y);
                scatter(base, 1u, sample, lane, d.z);
                scatter(base, 1u, sample, lane + half, d.w);
            }
        }
        workgroupBarrier(); // `z` and `delta` belong to the next sample now
    }
}

// The input of the first layer that the own lanes give: of four columns, half lanes apart, or of
// two if lanes are multiplied in pairs.
fn x_of(own: vec4<f32>, clip: f32) -> vec4<f32> {
    let h = activate_4(own, vec4<f32>(clip));
    if (params.pairwise == 1u) {
        return vec4<f32>(h.x * h.y, h.z * h.w, 0.0, 0.0);
    }
    return h;
}

// A row of W1 in these columns.
fn row_of(row: u32, lane: u32) -> vec4<f32> {
    let half = params.hidden / 2u;
    let own = row + lane;
    if (params.pairwise == 1u) {
        return vec4<f32>(small[own], small[own + half], 0.0, 0.0);
    }
    return vec4<f32>(small[own], small[own + half], small[own + 2u * half], small[own + 3u * half]);
}

// ∂Loss/∂Z of the own lanes from ∂Loss/∂x.
fn by_x_to_z(by_x: vec4<f32>, own: vec4<f32>, clip: f32) -> vec4<f32> {
    let slope = slope_4(own, vec4<f32>(clip));
    if (params.pairwise == 1u) {
        let h = activate_4(own, vec4<f32>(clip));
        return by_x.xxyy * slope * h.yxwz;
    }
    return by_x * slope;
}

fn accumulator(perspective: u32, sample: u32, lane: u32) -> f32 {
    var sum = small[select(0u, params.bias_2, perspective == 1u) + lane];
    let to = list_end(perspective, sample);
    for (var j = list_start(perspective, sample); j < to; j++) {
        let source = lists[j] * params.hidden + lane;
        if (perspective == 1u) {
            sum += weights_2[source];
        } else {
            sum += weights_1[source];
        }
    }
    return sum;
}

fn scatter(base: u32, perspective: u32, sample: u32, lane: u32, d: f32) {
    let which = perspective * (1u - params.tied);
    let matrix = params.inputs * params.hidden;
    gradients[base + (2u - params.tied) * matrix + which * params.hidden + lane] += d;
    let start = lane / GROUP * GROUP;
    let width = min(GROUP, params.hidden - start);
    let to = list_end(perspective, sample);
    for (var j = list_start(perspective, sample); j < to; j++) {
        let place = start * params.inputs + lists[j] * width + lane % GROUP;
        gradients[base + which * matrix + place] += d;
    }
}

// Input i of a layer after the first, whose z begins at `of_z`.
fn input_of(number: u32, of_z: u32, i: u32) -> f32 {
    let before = layer_at(number - 1u);
    let skipped = layer_at(number).inputs - outputs_of(before);
    if (i < skipped) {
        return output_of(layer_at(0u), 0u, i);
    }
    return output_of(before, of_z - before.width, i - skipped);
}

// Output i of a layer, whose z begins at `of_z`.
fn output_of(layer: Layer, of_z: u32, i: u32) -> f32 {
    let own = z[of_z + i % layer.width];
    let h = head_activate(layer.activation, own);
    if (i < layer.width) {
        return h;
    }
    return head_square(layer.activation, own, h);
}

// ∂Loss/∂x of a layer in column i. The layer's z begins at `of_z`.
fn gradient_of(layer: Layer, bucket: u32, of_z: u32, i: u32) -> f32 {
    var sum = 0.0;
    for (var o = 0u; o < layer.width; o++) {
        let row = layer.weights + (bucket * layer.width + o) * layer.inputs;
        sum += small[row + i] * delta[of_z + o];
    }
    return sum;
}

fn list_start(perspective: u32, sample: u32) -> u32 {
    let indices = select(params.indices_1, params.indices_2, perspective == 1u);
    return indices + lists[perspective * (params.samples + 1u) + sample];
}

fn list_end(perspective: u32, sample: u32) -> u32 {
    return list_start(perspective, sample + 1u);
}

fn loss_or_given(output: f32, sample: u32) -> Loss {
    if (GIVEN == 1u) {
        return Loss(0.0, targets[sample]);
    }
    // Without weights the target is read again.
    let weight = targets[sample + select(0u, params.samples, params.weighted == 1u)];
    return loss_of(output, targets[sample], select(1.0, weight, params.weighted == 1u));
}
