// Σ value over the lanes of a column, with the same result in all of them. The shader that follows
// declares how many LANES and COLUMNS a workgroup has: invocation i is lane i / COLUMNS of column i
// % COLUMNS. A tree adds the lanes, so the order is fixed. All invocations of a workgroup must call
// it together.
var<workgroup> parts: array<f32, LANES * COLUMNS>;

fn sum_lanes(invocation: u32, value: f32) -> f32 {
    workgroupBarrier(); // `parts` may still be read from the call before
    parts[invocation] = value;
    for (var reach = LANES / 2u; reach > 0u; reach /= 2u) {
        workgroupBarrier();
        if (invocation < reach * COLUMNS) {
            parts[invocation] += parts[invocation + reach * COLUMNS];
        }
    }
    workgroupBarrier();
    return parts[invocation % COLUMNS];
}

// Σ value over the whole workgroup, with the same result in every invocation. A tree adds the
// lanes, and a second tree adds the columns.
fn sum_workgroup(invocation: u32, value: f32) -> f32 {
    sum_lanes(invocation, value);
    workgroupBarrier();
    for (var reach = COLUMNS / 2u; reach > 0u; reach /= 2u) {
        if (invocation < reach) {
            parts[invocation] += parts[invocation + reach];
        }
        workgroupBarrier();
    }
    return parts[0];
}
