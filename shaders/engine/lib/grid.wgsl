// The linear number of a workgroup. A grid of more than 65,535 workgroups continues in a second
// dimension, so some numbers are past the end of the work. Every kernel ignores them.
fn group_index(group: vec3<u32>, groups: vec3<u32>) -> u32 {
    return group.y * groups.x + group.x;
}
