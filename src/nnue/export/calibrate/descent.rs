//! The rounding of one layer whose inputs are known.

use crate::engine::cpu::product::{Matrix, product};

/// The rows of inputs that are multiplied at once.
const BLOCK: usize = 512;

/// The moments of the inputs of a layer, [x, 1], and of its targets: everything that the squared
/// error of Σ x·w + b depends on.
pub(super) struct Moments {
    inputs: usize,
    count: f64,
    /// Σ x, `[inputs]`.
    sums: Vec<f64>,
    /// Σ x·xᵀ, `[inputs, inputs]`.
    products: Vec<f64>,
    /// Σ t for each output.
    target_sums: Vec<f64>,
    /// Σ x·t, `[outputs, inputs]`.
    target_products: Vec<f64>,
    /// Rows that wait.
    rows: Vec<f32>,
    targets: Vec<f32>,
    block: Vec<f32>,
}

impl Moments {
    pub(super) fn new(inputs: usize, outputs: usize) -> Self {
        Self {
            inputs,
            count: 0.0,
            sums: vec![0.0; inputs],
            products: vec![0.0; inputs * inputs],
            target_sums: vec![0.0; outputs],
            target_products: vec![0.0; outputs * inputs],
            rows: Vec::with_capacity(BLOCK * inputs),
            targets: Vec::with_capacity(BLOCK * outputs),
            block: vec![0.0; inputs * inputs],
        }
    }

    /// Adds a sample: x `[inputs]` and t `[outputs]`.
    pub(super) fn add(&mut self, x: impl Iterator<Item = f32>, t: &[f32]) {
        self.rows.extend(x);
        self.targets.extend(t);
        if self.rows.len() >= BLOCK * self.inputs {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let n = self.inputs;
        let count = self.rows.len() / n;
        if count == 0 {
            return;
        }
        let (rows, columns) = (n, 1);
        let transposed = Matrix {
            values: &self.rows,
            row: columns,
            column: rows,
        };
        let plain = Matrix {
            values: &self.rows,
            row: rows,
            column: columns,
        };
        product([n, n, count], transposed, plain, &mut self.block, n, false);
        for (sum, &product) in self.products.iter_mut().zip(&self.block) {
            *sum += f64::from(product);
        }
        let outputs = self.target_sums.len();
        for (row, targets) in self
            .rows
            .chunks_exact(n)
            .zip(self.targets.chunks_exact(outputs))
        {
            for (sum, &x) in self.sums.iter_mut().zip(row) {
                *sum += f64::from(x);
            }
            let sums = self.target_sums.iter_mut().zip(targets);
            for ((sum, &t), products) in sums.zip(self.target_products.chunks_exact_mut(n)) {
                *sum += f64::from(t);
                for (product, &x) in products.iter_mut().zip(row) {
                    *product += f64::from(t) * f64::from(x);
                }
            }
        }
        self.count += count as f64;
        self.rows.clear();
        self.targets.clear();
    }

    /// Chooses the integers of one output, whose scaled weights are `weights`, within `limits`.
    /// Returns them with the mean of t − Σ x·w, which is the best bias; `None` without a sample.
    ///
    /// The choice begins with the nearest integers. As long as one exists, it moves the weight to
    /// its other integer whose move reduces the squared error most.
    pub(super) fn round(
        &mut self,
        output: usize,
        weights: &[f64],
        limits: [i32; 2],
    ) -> Option<(Vec<i32>, f64)> {
        self.flush();
        if self.count == 0.0 {
            return None;
        }
        let n = self.inputs;
        let within = |value: f64| value.clamp(limits[0].into(), limits[1].into()) as i32;
        let mut chosen: Vec<i32> = weights
            .iter()
            .map(|weight| within(weight.round()))
            .collect();
        let other = |at: usize, chosen: i32| {
            let [low, high] = [weights[at].floor(), weights[at].ceil()].map(within);
            if chosen == low { high } else { low }
        };
        // With the best bias, the error depends on centered moments.
        let mean = self.target_sums[output] / self.count;
        let centered = |row: usize, column: usize| {
            self.products[row * n + column] - self.sums[row] * self.sums[column] / self.count
        };
        let mut gradient: Vec<f64> = (0..n)
            .map(|row| {
                let products = self.products[row * n..][..n].iter().zip(&chosen);
                let whole: f64 = products.map(|(product, &w)| product * f64::from(w)).sum();
                let sums = self.sums.iter().zip(&chosen);
                let of_means: f64 = sums.map(|(sum, &w)| sum * f64::from(w)).sum();
                let target = self.target_products[output * n + row] - self.sums[row] * mean;
                whole - self.sums[row] * of_means / self.count - target
            })
            .collect();
        let diagonal: Vec<f64> = (0..n).map(|at| centered(at, at)).collect();
        // Each move reduces the error, so the loop ends. The limit is for moves of rounding errors.
        for _ in 0..16 * n {
            let change = |at: usize| {
                let step = f64::from(other(at, chosen[at]) - chosen[at]);
                2.0 * step * gradient[at] + step * step * diagonal[at]
            };
            let best = (0..n).map(|at| (at, change(at)));
            let best = best.min_by(|a, b| a.1.total_cmp(&b.1));
            let Some((at, change)) = best.filter(|best| best.1 < 0.0) else {
                break;
            };
            let _ = change;
            let next = other(at, chosen[at]);
            let step = f64::from(next - chosen[at]);
            chosen[at] = next;
            for (row, gradient) in gradient.iter_mut().enumerate() {
                *gradient += step * centered(at, row);
            }
        }
        let sums = self.sums.iter().zip(&chosen);
        let own: f64 = sums.map(|(sum, &w)| sum * f64::from(w)).sum();
        Some((chosen, mean - own / self.count))
    }
}
