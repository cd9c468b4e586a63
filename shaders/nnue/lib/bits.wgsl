// How lanes lie in words of 32 bits. Word t of a perspective has lane (t / G)·32G + 4G·i + 4·(t mod G) + c in bit 4i + c, for
// i in 0..8 and c in 0..4, with G = `interleave`: G invocations with a word each read vectors of four lanes side by side.
// In vectors of four lanes: word t has vector (t / G)·8G + G·i + t mod G.
fn first_vector(word: u32, interleave: u32) -> u32 {
    return word / interleave * 8u * interleave + word % interleave;
}

// One bit for each lane of a vector.
fn bits_of(lanes: vec4<bool>) -> u32 {
    let each = select(vec4<u32>(0u), vec4<u32>(1u, 2u, 4u, 8u), lanes);
    return each.x | each.y | each.z | each.w;
}
