// Where element `index` of a walk stands. `shape` has the sizes of the axes, innermost first, and their number last;
// `strides` one stride an axis, then the offset. Both come joined: a contiguous operand is one axis.
fn place(index: u32, shape: array<vec4<u32>, 2>, strides: array<vec4<u32>, 2>) -> u32 {
    let rank = shape[1].w;
    let offset = strides[1].z;
    if (rank <= 1u) {
        return offset + index * strides[0].x;
    }
    var rest = index / shape[0].x;
    var at = offset + (index - rest * shape[0].x) * strides[0].x;
    if (rank == 2u) {
        return at + rest * strides[0].y;
    }
    var outer = rest / shape[0].y;
    at += (rest - outer * shape[0].y) * strides[0].y;
    if (rank == 3u) {
        return at + outer * strides[0].z;
    }
    rest = outer / shape[0].z;
    at += (outer - rest * shape[0].z) * strides[0].z;
    if (rank == 4u) {
        return at + rest * strides[0].w;
    }
    outer = rest / shape[0].w;
    at += (rest - outer * shape[0].w) * strides[0].w;
    if (rank == 5u) {
        return at + outer * strides[1].x;
    }
    rest = outer / shape[1].x;
    return at + (outer - rest * shape[1].x) * strides[1].x + rest * strides[1].y;
}
