//! The cases of operations: operands of every size and layout that matters.

mod elementwise;
mod layers;
mod networks;
mod shapes;
mod table;

use super::OperationCase;
use table::Table;

/// Every case. Its bound is `ulps`·ε·√`terms` times the largest compared magnitude, or times 1 if
/// that magnitude is smaller.
///
/// The kernels' own cases bound each element by its own operands; these cases bound results that
/// several kernels make together.
pub fn cases() -> Vec<OperationCase> {
    let mut table = Table {
        cases: Vec::new(),
        seed: 20_000,
    };
    elementwise::elementwise(&mut table);
    elementwise::reductions(&mut table);
    shapes::products(&mut table);
    shapes::shapes(&mut table);
    layers::layers(&mut table);
    layers::losses(&mut table);
    networks::networks(&mut table);
    table.cases
}
