// Forward, loss and gradients in one kernel, over stretches of a batch of index lists: Y and the
// loss of each sample, and the gradients of all parameters over the samples of each stretch.
//
// Sample by sample, e·C·M·S is added to the gradient of each row of A that the sample's lists name.
// A workgroup computes one stretch. An invocation has some lanes of both perspectives, so no two
// invocations add to the same element.
struct Params {
    samples: u32,
    hidden: u32, // K, a multiple of 32
    inputs: u32, // N
    tied: u32,
    indices_1: u32, // offset of each perspective's indices in `lists`
    indices_2: u32,
    buckets: u32,
    bucket: u32, // offset of the samples' buckets in `lists`
    output: u32, // offset of C in `small`; d follows it
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
}

// Starts [samples + 1] twice, then the indices.
@group(0) @binding(0) var<storage, read> lists: array<u32>;
@group(0) @binding(1) var<storage, read> weights_1: array<vec4<f32>>; // [N, K]
@group(0) @binding(2) var<storage, read> weights_2: array<vec4<f32>>;
// B of each accumulator, C [2K], d.
@group(0) @binding(3) var<storage, read> small: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> targets: array<f32>; // t and weights, or e if it is given
@group(0) @binding(5) var<storage, read_write> y: array<f32>; // [samples]
@group(0) @binding(6) var<storage, read_write> terms: array<f32>; // [samples]; 0 if e is given
// [stretches, all parameters].
@group(0) @binding(7) var<storage, read_write> gradients: array<vec4<f32>>;
@group(0) @binding(8) var<uniform> params: Params;

override GIVEN: u32 = 0u;

const INVOCATIONS = 256u;
const OWNED = 4u; // vectors of a perspective per invocation, so K ≤ 4 · OWNED · INVOCATIONS
const GROUP_VECTORS = 32u; // vectors of a lane group

var<workgroup> sums: array<f32, INVOCATIONS>;

@compute @workgroup_size(INVOCATIONS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let index = group_index(group, groups);
    let row = params.hidden / 4u;
    let accumulators = 2u - params.tied;
    let matrix = params.inputs * row;
    let of_bias = accumulators * matrix;
    let of_output = of_bias + accumulators * row;
    let of_output_bias = of_output + params.buckets * 2u * row;
    let bias_vectors = (params.buckets + 15u) / 16u * 4u;
    let base = index * (of_output_bias + bias_vectors);
    let first = min(index * params.piece, params.samples);
    let end = min(first + params.piece, params.samples);
    let clip = vec4<f32>(params.clip);

    if (first < end) {
        for (var i = 0u; i < OWNED; i++) {
            let own = invocation + i * INVOCATIONS;
            if (own < row) {
                for (var perspective = 0u; perspective < 2u; perspective++) {
                    let accumulator = perspective * (1u - params.tied);
                    for (var feature = 0u; feature < params.inputs; feature++) {
                        gradients[base + accumulator * matrix + index_of(feature, own)] = vec4<f32>(0.0);
                    }
                    gradients[base + of_bias + accumulator * row + own] = vec4<f32>(0.0);
                    for (var bucket = 0u; bucket < params.buckets; bucket++) {
                        let to = of_output + (2u * bucket + perspective) * row + own;
                        gradients[base + to] = vec4<f32>(0.0);
                    }
                }
            }
        }
        // Invocation 0 adds to the gradient of d.
        if (invocation == 0u) {
            for (var i = 0u; i < bias_vectors; i++) {
                gradients[base + of_output_bias + i] = vec4<f32>(0.0);
            }
        }
    }

    for (var sample = first; sample < end; sample++) {
        // With 1 bucket what is read there is no bucket, and the minimum is 0.
        let bucket = min(lists[params.bucket + sample], params.buckets - 1u);
        let of_bucket = params.output / 4u + bucket * 2u * row;
        var z: array<vec4<f32>, 2u * OWNED>;
        var own_sum = 0.0;
        for (var i = 0u; i < OWNED; i++) {
            let own = invocation + i * INVOCATIONS;
            if (own < row) {
                for (var perspective = 0u; perspective < 2u; perspective++) {
                    var sum = small[select(0u, params.bias_2 / 4u, perspective == 1u) + own];
                    let to = list_end(perspective, sample);
                    for (var j = list_start(perspective, sample); j < to; j++) {
                        let source = lists[j] * row + own;
                        if (perspective == 1u) {
                            sum += weights_2[source];
                        } else {
                            sum += weights_1[source];
                        }
                    }
                    z[2u * i + perspective] = sum;
                    own_sum += dot(activate_4(sum, clip), small[of_bucket + perspective * row + own]);
                }
            }
        }
        workgroupBarrier(); // the previous sample may still read `sums`
        sums[invocation] = own_sum;
        for (var reach = INVOCATIONS / 2u; reach > 0u; reach /= 2u) {
            workgroupBarrier();
            if (invocation < reach) {
                sums[invocation] += sums[invocation + reach];
            }
        }
        workgroupBarrier();
        let of_d = params.output / 4u + params.buckets * 2u * row + bucket / 4u;
        let output = sums[0] + small[of_d][bucket % 4u];
        let loss = loss_or_given(output, sample);
        let gradient = loss.gradient;
        if (invocation == 0u) {
            gradients[base + of_output_bias + bucket / 4u][bucket % 4u] += gradient;
            y[sample] = output;
            terms[sample] = loss.term;
        }
        for (var i = 0u; i < OWNED; i++) {
            let own = invocation + i * INVOCATIONS;
            if (own < row) {
                for (var perspective = 0u; perspective < 2u; perspective++) {
                    let accumulator = perspective * (1u - params.tied);
                    let value = z[2u * i + perspective];
                    let weight = small[of_bucket + perspective * row + own];
                    let to_lane = gradient * slope_4(value, clip) * weight;
                    let to_output = of_output + (2u * bucket + perspective) * row + own;
                    gradients[base + to_output] += gradient * activate_4(value, clip);
                    gradients[base + of_bias + accumulator * row + own] += to_lane;
                    let to = list_end(perspective, sample);
                    for (var j = list_start(perspective, sample); j < to; j++) {
                        gradients[base + accumulator * matrix + index_of(lists[j], own)] += to_lane;
                    }
                }
            }
        }
    }
}

// The index of vector `own` of a row in a matrix that is stored lane group by lane group.
fn index_of(feature: u32, own: u32) -> u32 {
    let start = own / GROUP_VECTORS * GROUP_VECTORS;
    let width = min(GROUP_VECTORS, params.hidden / 4u - start);
    return start * params.inputs + feature * width + own % GROUP_VECTORS;
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
