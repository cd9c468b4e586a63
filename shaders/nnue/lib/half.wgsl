// Floats in 16 bits, two in a word. The override `HALF` is 1 for a kernel that stores Z and
// ∂Loss/∂Z so.
override HALF: u32 = 0u;
const LARGEST_HALF = 65504.0;

// Z ÷ `limit`, −1 for a Z below 0 and `above` for a Z above `top`. With a clip T the limit and the
// top are T and 2 is above, so that no rounding moves a Z into the mask or out of it.
fn pack_z(z: vec2<f32>, limit: f32, top: f32, above: f32) -> u32 {
    let ratio = select(z / limit, vec2(above), z > vec2(top));
    return pack2x16float(select(ratio, vec2(-1.0), z < vec2(0.0)));
}

fn pack_z_4(z: vec4<f32>, limit: f32, top: f32, above: f32) -> vec2<u32> {
    return vec2(pack_z(z.xy, limit, top, above), pack_z(z.zw, limit, top, above));
}

fn unpack_4(words: vec2<u32>) -> vec4<f32> {
    return vec4(unpack2x16float(words.x), unpack2x16float(words.y));
}

// The scale of a sample's ∂Loss/∂Z: the largest power of 2 up to the largest |δ| of the first
// layer and what an L1 penalty adds to ∂Loss/∂x, or 1 if that is 0 or too small for one.
fn scale_of(largest: f32) -> f32 {
    let bits = bitcast<u32>(largest) & 0x7f800000u;
    return select(1.0, bitcast<f32>(bits), bits != 0u);
}
