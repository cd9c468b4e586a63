//! The derivatives of scalars, vectors and matrices with respect to one another. Each is a Jacobian
//! whose shape is that of the output followed by that of the input.
//!
//! ```text
//! cargo run --release --example 07_jacobians
//! ```
//!
//! Output, on any device:
//!
//! ```text
//! out      by       shape         derivative
//! scalar   scalar   []            d t³/dt = 3t²
//!                                 [12.0]
//! vector   scalar   [3]           ∂(t·x)/∂t = x
//!                                 [1.0, -1.0, 0.5]
//! matrix   scalar   [3, 2]        ∂(t·W)/∂t = W
//!                                 [1.0, 2.0, 0.0, 1.0, -1.0, 3.0]
//! scalar   vector   [3]           ∂(xᵀx)/∂x = 2x, a row
//!                                 [2.0, -2.0, 1.0]
//! vector   vector   [2, 3]        ∂(xW)/∂x = Wᵀ
//!                                 [1.0, 0.0, -1.0, 2.0, 1.0, 3.0]
//! vector   vector   [2, 2]        ∂tanh(u)/∂u = diag(1 − tanh²u)
//!                                 [0.7864477, 0.0, 0.0, 0.026592247]
//! vector   vector   [2, 2]        ∂softmax(u)/∂u = Sᵢ(δᵢⱼ − Sⱼ)
//!                                 [0.10499358, -0.104993574, -0.104993574, 0.10499363]
//! scalar   matrix   [3, 2]        ∂Σ(xW)/∂W: x in each column
//!                                 [1.0, 1.0, -1.0, -1.0, 0.5, 0.5]
//! vector   matrix   [2, 3, 2]     ∂u_k/∂W_ij = δ_kj·x_i, of third order
//!                                 [1.0, 0.0, -1.0, -0.0, 0.5, 0.0, 0.0, 1.0, -0.0, -1.0, 0.0, 0.5]
//! matrix   matrix   [4, 4]        ∂(AS)/∂S, flattened by rows: A ⊗ I
//!                                 [1.0, 0.0, 2.0, 0.0, 0.0, 1.0, 0.0, 2.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0]
//! ξ·∂u/∂W  = [1.0, -2.0, -1.0, 2.0, 0.5, -1.0]
//! backward = [1.0, -2.0, -1.0, 2.0, 0.5, -1.0]
//! ```

use wgrad::{Device, Tensor};

fn main() -> wgrad::Result<()> {
    let device = Device::auto()?;
    let t = Tensor::new(&device, &[2.0], &[])?.parameter();
    let x = Tensor::new(&device, &[1.0, -1.0, 0.5], &[3])?.parameter();
    let w = Tensor::new(&device, &[1.0, 2.0, 0.0, 1.0, -1.0, 3.0], &[3, 2])?.parameter();

    println!("out      by       shape         derivative");
    let cube = t.powf(3.0)?;
    row("scalar", "scalar", &cube.jacobian(&t)?, "d t³/dt = 3t²")?;
    row(
        "vector",
        "scalar",
        &x.mul(&t)?.jacobian(&t)?,
        "∂(t·x)/∂t = x",
    )?;
    row(
        "matrix",
        "scalar",
        &w.mul(&t)?.jacobian(&t)?,
        "∂(t·W)/∂t = W",
    )?;
    row(
        "scalar",
        "vector",
        &x.dot(&x)?.jacobian(&x)?,
        "∂(xᵀx)/∂x = 2x, a row",
    )?;
    let u = x.matmul(&w)?;
    row("vector", "vector", &u.jacobian(&x)?, "∂(xW)/∂x = Wᵀ")?;
    let z = u.tanh()?;
    row(
        "vector",
        "vector",
        &z.jacobian(&u)?,
        "∂tanh(u)/∂u = diag(1 − tanh²u)",
    )?;
    row(
        "vector",
        "vector",
        &u.softmax(0)?.jacobian(&u)?,
        "∂softmax(u)/∂u = Sᵢ(δᵢⱼ − Sⱼ)",
    )?;
    row(
        "scalar",
        "matrix",
        &u.sum(.., false)?.jacobian(&w)?,
        "∂Σ(xW)/∂W: x in each column",
    )?;
    row(
        "vector",
        "matrix",
        &u.jacobian(&w)?,
        "∂u_k/∂W_ij = δ_kj·x_i, of third order",
    )?;
    let s = Tensor::new(&device, &[1.0, 0.0, 2.0, 1.0], &[2, 2])?.parameter();
    let a = w.slice(0, 0..2)?;
    let kronecker = a.matmul(&s)?.jacobian(&s)?.reshape(&[4, 4])?;
    row(
        "matrix",
        "matrix",
        &kronecker,
        "∂(AS)/∂S, flattened by rows: A ⊗ I",
    )?;

    // A row vector ξ contracts the tensor of third order to the matrix xᵀξ, which backward computes
    // directly.
    let xi = Tensor::new(&device, &[1.0, -2.0], &[2])?;
    let third = u.jacobian(&w)?.reshape(&[2, 6])?;
    let collapsed = xi.matmul(&third)?;
    let gradient = u.backward_with(&xi)?.of(&w)?;
    println!("ξ·∂u/∂W  = {:?}", collapsed.to_vec()?);
    println!("backward = {:?}", gradient.to_vec()?);
    Ok(())
}

fn row(out: &str, by: &str, jacobian: &Tensor, what: &str) -> wgrad::Result<()> {
    let shape = format!("{:?}", jacobian.shape());
    println!("{out:<8} {by:<8} {shape:<13} {what}");
    println!("{:32}{:?}", "", jacobian.to_vec()?);
    Ok(())
}
