// The index in its buffer of element `index` of a walk. `shape` has the sizes of the axes,
// innermost first. `strides` has one stride per axis, then the offset. Axes are already joined, so
// a contiguous operand has one axis. The loop ends when the rest of the index is 0, because all
// outer coordinates are then 0.
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
