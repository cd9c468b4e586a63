// The gradient of element i of a part of A that all king buckets share: the sum over the buckets of
// `gradient`, [buckets, length]. The shader declares `gradient` and `params`. The loops depend on i,
// because lavapipe compiles a shader whose loops depend on parameters alone in every dispatch.
const TERMS = 64u; // of a partial sum; one long sum would be less accurate

fn shared_sum(i: u32) -> f32 {
    let end = params.buckets * params.length;
    var sum = 0.0;
    var at = i;
    while (at < end) {
        let stop = min(at + TERMS * params.length, end);
        var part = 0.0;
        for (; at < stop; at += params.length) {
            part += gradient[at];
        }
        sum += part;
    }
    return sum;
}
