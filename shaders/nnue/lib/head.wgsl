// The layers of a head, from words: see src/nnue/kernels/head.rs. The shader declares
// `head_word(i)`, the word with index i.
const LAYER_WORDS = 5u;
const CRELU = 0u;
const SCRELU = 1u;
const RELU = 2u;
const DUAL = 3u;
const DUAL_SQUARE = 4u;
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

// The functions below are those of hidden layers.

// Whether z has two outputs each, `width` apart: the second ones are squares.
fn is_dual(activation: u32) -> bool {
    return activation >= DUAL;
}

// The number of outputs after the activation.
fn outputs_of(layer: Layer) -> u32 {
    return select(layer.width, 2u * layer.width, is_dual(layer.activation));
}

// The output for z, of a dual layer the first one.
fn head_activate(activation: u32, z: f32) -> f32 {
    let base = max(z, 0.0);
    if (activation == RELU) {
        return base;
    }
    let clipped = min(base, 1.0);
    if (activation == SCRELU) {
        return clipped * clipped;
    }
    return clipped;
}

// The second output for z of a dual layer, from its first one: of DUAL its square, of DUAL_SQUARE
// min(z², 1), also of a negative z.
fn head_square(activation: u32, z: f32, first: f32) -> f32 {
    let base = select(first, z, activation == DUAL_SQUARE);
    return min(base * base, 1.0);
}

// ∂Loss/∂z from ∂Loss/∂output. `square` is the gradient of a dual layer's second output.
fn head_slope(activation: u32, z: f32, gradient: f32, square: f32) -> f32 {
    let low = select(0.0, -1.0, activation == DUAL_SQUARE);
    let inside = z >= low && (z <= 1.0 || activation == RELU);
    var slope = select(gradient, 0.0, z < 0.0);
    if (activation == SCRELU) {
        slope = gradient * 2.0 * z;
    } else if (is_dual(activation)) {
        slope += square * 2.0 * z;
    }
    return select(0.0, slope, inside);
}
