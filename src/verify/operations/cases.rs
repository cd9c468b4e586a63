//! What operations are verified on: operands of every size and layout that matters.

mod elementwise;
mod layers;
mod shapes;
mod table;

use super::Case;
use table::Table;

/// Every case. Their bound is `ulps`·ε·√`terms` times the largest magnitude of what is compared, or times 1 if that is
/// smaller: the kernels' own cases hold each element to what its own operands allow; these hold what is made of kernels.
pub fn cases() -> Vec<Case> {
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
    table.cases
}
