//! The smallest gradient call: a network of 3 inputs and 2 lanes, and three samples.
//!
//! ```text
//! cargo run --release --example 01_gradients
//! ```
//!
//! Output, on any device (the last digit may differ):
//!
//! ```text
//! Y      = [1.0, 1.125, 1.5]
//! loss   = Some(0.796875)
//! A1.grad = [1.3333334, 0.0, 1.0833334, 0.20833334, 0.6666667, 0.0]
//! A2.grad = [-1.3333334, 1.3333334, -1.0833334, 0.6666667, -0.4166667, 0.0]
//! B1.grad = [1.75, 0.20833334]
//! B2.grad = [-1.75, 1.3333334]
//! C.grad = [0.9375, 1.6458334, 1.1458334, 1.0833334]
//! d.grad = [1.75]
//! ```

use wgrad::Device;
use wgrad::nnue::{Architecture, Batch, Inputs, Loss, Network, Parameters, SparseInputs, Upstream};

fn main() -> wgrad::Result<()> {
    let device = Device::auto()?;
    // A is [N, K]: the K weights of an input are contiguous. The activation is CReLU with T = 1.
    let parameters = Parameters::from_values(
        Architecture::new(3, 2),
        vec![
            vec![0.25, 0.5, 0.25, 0.5, 0.5, 0.75],  // A1
            vec![0.5, -0.25, 0.25, 0.5, 0.5, 0.25], // A2
            vec![0.0, 0.25],                        // B1
            vec![0.0, 0.5],                         // B2
            vec![1.0, 0.5, -1.0, 1.0],              // C
            vec![0.25],                             // d
        ],
    )?;
    let mut network = Network::new(&device, &parameters)?;

    // Three samples of the side to move and of the other side. Each is a list of the inputs that
    // are 1, padded with -1.
    let own = SparseInputs::new(3, 2, vec![0, 1, 1, -1, 0, 2])?;
    let other = SparseInputs::new(3, 2, vec![0, -1, 1, 2, 0, 1])?;
    let batch = Batch::new(Inputs::Sparse([own, other]), vec![0.0, 0.5, 0.5])?;

    let gradients = network.gradients(&batch, Upstream::Loss(Loss::MSE))?;
    println!("Y      = {:?}", gradients.y);
    println!("loss   = {:?}", gradients.loss);
    for (tensor, values) in gradients.parameters.iter() {
        println!("{}.grad = {values:?}", tensor.name);
    }
    Ok(())
}
