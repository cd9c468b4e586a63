//! Gradients of formulas: four identities of matrix calculus next to the gradients of the tape, an
//! identity of traces, and a descent.
//!
//! ```text
//! cargo run --release --example 03_formulas
//! ```
//!
//! Output, on any device:
//!
//! ```text
//! ∂(xᵀx)/∂x  = [2.0, -4.0]   2x = [2.0, -4.0]
//! ∂tr(AB)/∂A = [1.0, 0.0, 2.0, 1.0, -1.0, 3.0]   Bᵀ = [1.0, 0.0, 2.0, 1.0, -1.0, 3.0]
//! ∂(xᵀAc)/∂x = [-1.0, -1.0]   Ac = [-1.0, -1.0]
//! ∂(xᵀAc)/∂A = [1.0, 0.0, -1.0, -2.0, -0.0, 2.0]   xcᵀ = [1.0, 0.0, -1.0, -2.0, -0.0, 2.0]
//! tr(ABD)    = [66.0]   tr(DAB) = [66.0]
//! 50 steps of descent on (w - 2)² from w = 5: w = 2.000
//! ```

use wgrad::nn::Descent;
use wgrad::optim::{Optimizer, Sgd};
use wgrad::{Device, Tensor};

fn main() -> wgrad::Result<()> {
    let device = Device::auto()?;
    let x = Tensor::new(&device, &[1.0, -2.0], &[2])?.parameter();
    let c = Tensor::new(&device, &[1.0, 0.0, -1.0], &[3])?;
    let a = Tensor::new(&device, &[1.0, 4.0, 2.0, 3.0, 0.0, 4.0], &[2, 3])?.parameter();
    let b = Tensor::new(&device, &[1.0, 1.0, 0.0, -1.0, 2.0, 3.0], &[3, 2])?;
    let d = Tensor::new(&device, &[2.0, 1.0, 0.0, 3.0], &[2, 2])?;

    let by_x = x.dot(&x)?.backward()?.of(&x)?;
    show("∂(xᵀx)/∂x ", &by_x, "2x", &(&x * 2.0)?)?;

    let by_a = a.matmul(&b)?.trace()?.backward()?.of(&a)?;
    show("∂tr(AB)/∂A", &by_a, "Bᵀ", &b.t()?)?;

    let gradients = x.dot(&a.matmul(&c)?)?.backward()?;
    show("∂(xᵀAc)/∂x", &gradients.of(&x)?, "Ac", &a.matmul(&c)?)?;
    let outer = x.unsqueeze(1)?.matmul(&c.unsqueeze(0)?)?;
    show("∂(xᵀAc)/∂A", &gradients.of(&a)?, "xcᵀ", &outer)?;

    let [first, second] = [a.matmul(&b)?.matmul(&d)?, d.matmul(&a)?.matmul(&b)?];
    show("tr(ABD)   ", &first.trace()?, "tr(DAB)", &second.trace()?)?;

    // A formula is minimized by following its gradient.
    let w = Tensor::new(&device, &[5.0], &[1])?.parameter();
    let mut descent = Descent::new(Optimizer::Sgd(Sgd { momentum: 0.0 }), vec![w.clone()])?;
    for _ in 0..50 {
        let distance = (&w - 2.0)?;
        let loss = distance.mul(&distance)?.sum(.., false)?;
        descent.step(&loss.backward()?, 0.1)?;
    }
    println!(
        "50 steps of descent on (w - 2)² from w = 5: w = {:.3}",
        w.item()?
    );
    Ok(())
}

fn show(left: &str, found: &Tensor, right: &str, expected: &Tensor) -> wgrad::Result<()> {
    println!(
        "{left} = {:?}   {right} = {:?}",
        found.to_vec()?,
        expected.to_vec()?
    );
    Ok(())
}
