// The layers of a head, from words: see src/nnue/kernels/head.rs. The shader declares
// `head_word(i)`, the word with index i.
const LAYER_WORDS = 5u;
const CRELU = 0u;
const SCRELU = 1u;
const RELU = 2u;
const DUAL = 3u;
const NO_ACTIVATION = 0xffffffffu; // of the output layer

// z = W·x + c, then the activation. In the head buffer, W is `[buckets, width, inputs]` and c is
// `[buckets, width]`.
struct Layer {
    inputs: u32,
    width: u32,
    activation: u32,
    weights: u32, // offset of W
    bias: u32, // offset of c
}

fn layer_at(index: u32) -> Layer {
    let first = index * LAYER_WORDS;
    return Layer(
        head_word(first),
        head_word(first + 1u),
        head_word(first + 2u),
        head_word(first + 3u),
        head_word(first + 4u),
    );
}

// The number of outputs after the activation: z of a dual layer has two each, `width` apart.
fn outputs_of(layer: Layer) -> u32 {
    return select(layer.width, 2u * layer.width, layer.activation == DUAL);
}

// The output for z. A dual layer has z clipped at 1 here, and its square after all of these.
fn head_activate(activation: u32, z: f32) -> f32 {
    let base = max(z, 0.0);
    if (activation == RELU) {
        return base;
    }
    let clipped = min(base, 1.0);
    if (activation == SCRELU) {
        return clipped * clipped;
    }
    return select(clipped, z, activation == NO_ACTIVATION);
}

// ∂Loss/∂z from ∂Loss/∂output. `square` is the gradient of a dual layer's squared output.
fn head_slope(activation: u32, z: f32, gradient: f32, square: f32) -> f32 {
    if (activation == NO_ACTIVATION) {
        return gradient;
    }
    let inside = z >= 0.0 && (z <= 1.0 || activation == RELU);
    var slope = gradient;
    if (activation == SCRELU) {
        slope = gradient * 2.0 * z;
    } else if (activation == DUAL) {
        slope = gradient + square * 2.0 * z;
    }
    return select(0.0, slope, inside);
}
