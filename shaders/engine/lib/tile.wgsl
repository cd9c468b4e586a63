// 8 × 8 elements of a product in registers: eight rows, each with the columns of two vectors.
struct Tile {
    left0: vec4<f32>,
    left1: vec4<f32>,
    left2: vec4<f32>,
    left3: vec4<f32>,
    left4: vec4<f32>,
    left5: vec4<f32>,
    left6: vec4<f32>,
    left7: vec4<f32>,
    right0: vec4<f32>,
    right1: vec4<f32>,
    right2: vec4<f32>,
    right3: vec4<f32>,
    right4: vec4<f32>,
    right5: vec4<f32>,
    right6: vec4<f32>,
    right7: vec4<f32>,
}

// A tile whose rows are all the same.
fn tile_of(left: vec4<f32>, right: vec4<f32>) -> Tile {
    return Tile(
        left, left, left, left, left, left, left, left,
        right, right, right, right, right, right, right, right,
    );
}

// Adds the products of the factors of eight rows (four upper and four lower ones) and the factors
// of the columns.
fn add_products(
    tile: ptr<function, Tile>,
    above: vec4<f32>,
    below: vec4<f32>,
    left: vec4<f32>,
    right: vec4<f32>,
) {
    (*tile).left0 += above.x * left;
    (*tile).right0 += above.x * right;
    (*tile).left1 += above.y * left;
    (*tile).right1 += above.y * right;
    (*tile).left2 += above.z * left;
    (*tile).right2 += above.z * right;
    (*tile).left3 += above.w * left;
    (*tile).right3 += above.w * right;
    (*tile).left4 += below.x * left;
    (*tile).right4 += below.x * right;
    (*tile).left5 += below.y * left;
    (*tile).right5 += below.y * right;
    (*tile).left6 += below.z * left;
    (*tile).right6 += below.z * right;
    (*tile).left7 += below.w * left;
    (*tile).right7 += below.w * right;
}
