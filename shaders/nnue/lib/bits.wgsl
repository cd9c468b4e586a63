// The order of lanes in mask words. With G = `interleave`, bit 4i + c of word t of a perspective is
// lane (t / G)·32G + 4G·i + 4·(t mod G) + c, for i in 0..8 and c in 0..4. So G invocations that
// have a word each read neighboring vectors. In vectors: word t has vector (t / G)·8G + G·i + t mod
// G. This function gives the vector of i = 0.
fn first_vector(word: u32, interleave: u32) -> u32 {
    return word / interleave * 8u * interleave + word % interleave;
}

// The same for rows in 16 bits, where two vectors of a word share a vec4<u32>. In these pairs: word
// t has pair (t / G)·4G + G·i + t mod G, which has its vectors 2i and 2i + 1, for i in 0..4. This
// function gives the pair of i = 0.
fn first_pair(word: u32, interleave: u32) -> u32 {
    return word / interleave * 4u * interleave + word % interleave;
}

// One bit per lane of a vector.
fn bits_of(lanes: vec4<bool>) -> u32 {
    let each = select(vec4<u32>(0u), vec4<u32>(1u, 2u, 4u, 8u), lanes);
    return each.x | each.y | each.z | each.w;
}
