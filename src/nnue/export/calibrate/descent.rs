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
            let Some((at, _)) = best.filter(|best| best.1 < 0.0) else {
                break;
            };
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

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// The squared error of integers with the best bias.
    fn error(rows: &[Vec<f32>], targets: &[f32], chosen: &[i32]) -> f64 {
        let residual = |(row, &target): (&Vec<f32>, &f32)| {
            let terms = row.iter().zip(chosen);
            let own: f64 = terms.map(|(&x, &w)| f64::from(x) * f64::from(w)).sum();
            f64::from(target) - own
        };
        let residuals: Vec<f64> = rows.iter().zip(targets).map(residual).collect();
        let mean = residuals.iter().sum::<f64>() / residuals.len() as f64;
        residuals.iter().map(|one| (one - mean).powi(2)).sum()
    }

    #[test]
    fn the_descent_ends_where_no_step_is_better() {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let inputs = 24;
        let exact: Vec<f64> = (0..inputs)
            .map(|_| random.random_range(-5.0..5.0))
            .collect();
        // Correlated inputs, more than one block of them.
        let rows: Vec<Vec<f32>> = (0..700)
            .map(|_| {
                let common: f32 = random.random();
                (0..inputs)
                    .map(|_| common + random.random::<f32>())
                    .collect()
            })
            .collect();
        let output = |row: &Vec<f32>| {
            let terms = row.iter().zip(&exact);
            terms.map(|(&x, w)| f64::from(x) * w).sum::<f64>() as f32 + 3.5
        };
        let targets: Vec<f32> = rows.iter().map(output).collect();
        let mut moments = Moments::new(inputs, 1);
        for (row, &target) in rows.iter().zip(&targets) {
            moments.add(row.iter().copied(), &[target]);
        }
        let (chosen, bias) = moments.round(0, &exact, [-128, 127]).unwrap();
        let found = error(&rows, &targets, &chosen);
        let nearest: Vec<i32> = exact.iter().map(|weight| weight.round() as i32).collect();
        assert!(found < 0.8 * error(&rows, &targets, &nearest));
        for at in 0..inputs {
            let [low, high] = [exact[at].floor() as i32, exact[at].ceil() as i32];
            assert!([low, high].contains(&chosen[at]));
            let mut other = chosen.clone();
            other[at] = low + high - chosen[at];
            assert!(
                error(&rows, &targets, &other) >= found * (1.0 - 1e-4),
                "step of {at}"
            );
        }
        let residual = rows.iter().zip(&targets).map(|(row, &target)| {
            let terms = row.iter().zip(&chosen);
            let own: f64 = terms.map(|(&x, &w)| f64::from(x) * f64::from(w)).sum();
            f64::from(target) - own
        });
        assert!((residual.sum::<f64>() / 700.0 - bias).abs() < 1e-3);
        assert!(
            Moments::new(inputs, 1)
                .round(0, &exact, [-128, 127])
                .is_none()
        );
    }

    #[test]
    fn integers_stay_within_their_limits() {
        let mut moments = Moments::new(2, 1);
        for x in 0..10 {
            moments.add([x as f32, 1.0].into_iter(), &[200.0 * x as f32]);
        }
        let (chosen, _) = moments.round(0, &[126.6, -128.0], [-128, 127]).unwrap();
        assert_eq!(chosen, [127, -128]);
        let (chosen, _) = moments.round(0, &[200.0, -300.0], [-128, 127]).unwrap();
        assert_eq!(chosen, [127, -128]);
    }
}
