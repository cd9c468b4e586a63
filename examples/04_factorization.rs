//! Matrix factorization: the 1,797 × 64 matrix X of the digits as a product A·S of rank r, by
//! minimizing J = ‖X − A·S‖² alternately over A and over S.
//!
//! The gradients are ∂J/∂A = −2(X − AS)Sᵀ and ∂J/∂S = −2Aᵀ(X − AS). Adam follows them at a learning
//! rate that falls to 0. The optimum of rank r is the sum of the squares of all singular values but
//! the r largest.
//!
//! ```text
//! cargo run --release --example 04_factorization
//! ```
//!
//! The first line names the device and the reason why it was taken. The other lines, after two
//! seconds on two cores (these are the CPU executor's; the last digits of a GPU differ):
//!
//! ```text
//! rank  5: J = 1046687, 1.0000 of the optimum
//! rank 10: J = 577779, 1.0000 of the optimum
//! rank 20: J = 228736, 1.0000 of the optimum
//! ```

#[path = "support/digits.rs"]
mod digits;

use digits::{Digits, PIXELS};
use wgrad::nn::{Descent, Initial};
use wgrad::optim::schedule::Schedule;
use wgrad::optim::{AdamW, Optimizer};
use wgrad::{Device, Tensor};

/// The optimal J of ranks 5, 10 and 20, from a truncated singular value decomposition.
const OPTIMA: [(usize, f32); 3] = [(5, 1_046_686.6), (10, 577_779.0), (20, 228_727.6)];
const TURNS: u64 = 500;
const RATE: f32 = 0.2;

fn main() -> wgrad::Result<()> {
    let device = Device::auto()?;
    println!("{}", device.reason());
    let digits = Digits::load()?;
    let rows = digits.len();
    let x = Tensor::new(&device, &digits.images, &[rows, PIXELS])?;
    // Weight decay would move A and S towards 0.
    let adam = Optimizer::AdamW(AdamW {
        weight_decay: 0.0,
        ..AdamW::default()
    });
    for (rank, optimum) in OPTIMA {
        let a = Initial::XavierNormal.parameter(&device, &[rows, rank], [rows, rank], 1)?;
        let s = Initial::XavierNormal.parameter(&device, &[rank, PIXELS], [rank, PIXELS], 2)?;
        let mut in_a = Descent::new(adam, vec![a.clone()])?;
        let mut in_s = Descent::new(adam, vec![s.clone()])?;
        let loss = || {
            let left = x.sub(&a.matmul(&s)?)?;
            left.mul(&left)?.sum(.., false)
        };
        for turn in 1..=TURNS {
            let rate = Schedule::COSINE.at_step(RATE, turn, TURNS);
            in_a.step(&loss()?.backward()?, rate)?;
            in_s.step(&loss()?.backward()?, rate)?;
        }
        let j = loss()?.item()?;
        println!(
            "rank {rank:>2}: J = {j:.0}, {:.4} of the optimum",
            j / optimum
        );
    }
    Ok(())
}
