//! Gradient clipping.

use crate::error::{Error, Result};
use crate::tensor::{Gradients, Tensor};

/// Scales the gradients of these parameters so that their common norm √(Σ‖g‖²) is at most `most`.
/// Returns the norm before the scaling. Nothing is read back from the device.
///
/// # Errors
/// A `most` that is not finite and positive, and a parameter without a gradient.
pub fn clip_by_norm(gradients: &mut Gradients, parameters: &[Tensor], most: f32) -> Result<Tensor> {
    if !(most > 0.0 && most.is_finite()) {
        return Err(Error::argument("norm", "a finite number above 0", most));
    }
    let mut squares = Vec::new();
    for parameter in parameters {
        let gradient = gradients.of(parameter)?;
        squares.push(gradient.mul(&gradient)?.sum(.., true)?.reshape(&[1])?);
    }
    let squares: Vec<&Tensor> = squares.iter().collect();
    let norm = Tensor::concat(&squares, 0)?.sum(.., false)?.sqrt()?;
    // A norm of 0 would divide. The smallest normal number in its place gives a factor of 1.
    let factor = norm.clamp(f32::MIN_POSITIVE, f32::MAX)?.powf(-1.0)?;
    let factor = factor.affine(most, 0.0)?.clamp(0.0, 1.0)?;
    for parameter in parameters {
        let clipped = gradients.of(parameter)?.mul(&factor)?;
        gradients.replace(parameter, clipped);
    }
    Ok(norm)
}
