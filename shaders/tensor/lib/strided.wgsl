// Where element `index` of a walk stands. `shape` has the sizes of the axes, innermost first; `strides` one stride an axis,
// then the offset. Both come joined: a contiguous operand is one axis. What is left of an index after an axis is 0 as
// soon as all coordinates further out are, which is where the walk ends.
fn place(index: u32, shape: array<vec4<u32>, 2>, strides: array<vec4<u32>, 2>) -> u32 {
    var rest = index / shape[0].x;
    var at = strides[1].z + (index - rest * shape[0].x) * strides[0].x;
    if (rest == 0u) {
        return at;
    }
    var outer = rest / shape[0].y;
    at += (rest - outer * shape[0].y) * strides[0].y;
    if (outer == 0u) {
        return at;
    }
    rest = outer / shape[0].z;
    at += (outer - rest * shape[0].z) * strides[0].z;
    if (rest == 0u) {
        return at;
    }
    outer = rest / shape[0].w;
    at += (rest - outer * shape[0].w) * strides[0].w;
    if (outer == 0u) {
        return at;
    }
    rest = outer / shape[1].x;
    return at + (outer - rest * shape[1].x) * strides[1].x + rest * strides[1].y;
}
