// The linear number of a workgroup. A grid more than 65,535 workgroups goes on in a second
// dimension, so numbers past the end of the work occur and every kernel leaves them alone.
fn group_index(group: vec3<u32>, groups: vec3<u32>) -> u32 {
    return group.y * groups.x + group.x;
}
