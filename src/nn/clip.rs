//! Gradient clipping.

use crate::error::{Error, Result};
use crate::tensor::{Gradients, Tensor};

/// Scales the gradients of these parameters so that their norm √(Σ‖g‖²), over all of them together, is at most `most`, and
/// returns the norm before. Nothing is read back from the device.
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
    // The smallest normal number keeps a norm of 0 from dividing: the factor is 1 then.
    let factor = norm.clamp(f32::MIN_POSITIVE, f32::MAX)?.powf(-1.0)?;
    let factor = factor.affine(most, 0.0)?.clamp(0.0, 1.0)?;
    for parameter in parameters {
        let clipped = gradients.of(parameter)?.mul(&factor)?;
        gradients.replace(parameter, clipped);
    }
    Ok(norm)
}
