//! Index lists for the cases of kernels.

use super::SparseInputs;
use crate::engine::kernel::inputs::Inputs;
use rand::RngExt;

impl Inputs {
    /// Index lists of up to `width` of the `features`. About a quarter of the list positions stay
    /// empty, and every list has feature 0, so that one list of samples is long.
    #[expect(
        clippy::expect_used,
        reason = "the sizes are constants of the cases, and each index is below `features`"
    )]
    pub fn sparse(&mut self, samples: usize, width: usize, features: usize) -> SparseInputs {
        let mut lists = Vec::with_capacity(samples * width);
        for _ in 0..samples {
            let start = lists.len();
            for place in 0..width {
                let index = if place == 0 {
                    0
                } else {
                    self.0.random_range(0..features) as i32
                };
                let taken = lists[start..].contains(&index);
                let padding = place > 0 && self.0.random_range(0..4) == 0;
                lists.push(if taken || padding { -1 } else { index });
            }
            let last = lists.len() - 1;
            let swap = self.0.random_range(start..=last);
            lists.swap(start, swap);
        }
        let lists = SparseInputs::new(features, width, lists);
        lists.expect("index lists of a case are well formed")
    }
}
