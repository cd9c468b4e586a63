//! Compares gradients with finite differences, in f64 on the kernels' twins.

use super::{Tensor, no_gradient};
use crate::engine::device::Device;
use crate::error::{Error, Result};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The result of [`gradcheck`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GradCheck {
    /// The number of derivatives that were compared.
    pub compared: usize,
    /// The number of derivatives that were left out because the function has a kink nearby.
    pub kinks: usize,
    /// The largest error |difference − gradient|, relative to the gradient's size or to a hundredth
    /// of the largest gradient's size, whichever is greater.
    pub worst: f64,
}

/// The step by which an element moves, times the element's size if that is above 1.
const STEP: f64 = 1e-5;
/// If the slopes on both sides differ by more than this, relative to the largest gradient, there is
/// a kink.
const KINK: f64 = 1e-2;

/// Compares the gradients of `function` with respect to each of its inputs with central
/// differences.
///
/// The compared function is Φ = Σ w ⊙ function(inputs), where w are fixed random weights from 0.5
/// to 1.5, and the differences are (Φ(x + h) − Φ(x − h))/2h, in f64 on the reference device. The
/// inputs are copied to it without a loss of precision.
///
/// Near a kink, where the slopes on the two sides differ, no difference quotient is the derivative.
/// Such elements are counted and left out.
///
/// ```
/// use wgrad::engine::device::Device;
/// use wgrad::tensor::{Tensor, gradcheck};
///
/// let x = Tensor::new(&Device::reference(), &[0.5, 2.0, -1.0], &[3])?;
/// let check = gradcheck(|inputs| inputs[0].exp()?.mul(&inputs[0]), &[x])?;
/// assert!(check.compared == 3 && check.worst <= 1e-6);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// # Errors
/// The errors of `function`, and inputs on which its result does not depend by any operation on the
/// tape.
pub fn gradcheck(
    function: impl Fn(&[Tensor]) -> Result<Tensor>,
    inputs: &[Tensor],
) -> Result<GradCheck> {
    let device = Device::reference();
    let mut values = inputs
        .iter()
        .map(Tensor::to_f64_vec)
        .collect::<Result<Vec<_>>>()?;
    let place = |values: &[Vec<f64>]| -> Result<Vec<Tensor>> {
        let pairs = values.iter().zip(inputs);
        pairs
            .map(|(values, input)| Ok(Tensor::new(&device, values, &input.shape())?.parameter()))
            .collect()
    };

    let parameters = place(&values)?;
    let result = function(&parameters)?;
    if !result.requires_gradient() {
        let expected = "a function whose result depends on its inputs";
        return Err(Error::argument("gradcheck", expected, "one off the tape"));
    }
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let weights: Vec<f64> = (0..result.elements())
        .map(|_| random.random_range(0.5..1.5))
        .collect();
    let upstream = Tensor::new(&device, &weights, &result.shape())?;
    let weighted = |result: &Tensor| -> Result<f64> {
        let values = result.to_f64_vec()?;
        Ok(values.iter().zip(&weights).map(|(y, w)| y * w).sum())
    };
    let centre = weighted(&result)?;
    let found = result.backward_with(&upstream)?;
    let gradients = parameters
        .iter()
        .map(|parameter| found.of(parameter)?.to_f64_vec())
        .collect::<Result<Vec<_>>>()?;

    let scale = gradients
        .iter()
        .flatten()
        .fold(0.0, |largest: f64, g| largest.max(g.abs()));
    let mut check = GradCheck {
        compared: 0,
        kinks: 0,
        worst: 0.0,
    };
    for (input, gradients) in gradients.iter().enumerate() {
        for (element, &gradient) in gradients.iter().enumerate() {
            let at = values[input][element];
            let step = STEP * at.abs().max(1.0);
            let mut moved = |by: f64| {
                values[input][element] = at + by;
                let moved = no_gradient(|| weighted(&function(&place(&values)?)?));
                values[input][element] = at;
                moved
            };
            let (above, below) = (moved(step)?, moved(-step)?);
            let slopes = [(above - centre) / step, (centre - below) / step];
            if (slopes[0] - slopes[1]).abs() > KINK * scale {
                check.kinks += 1;
                continue;
            }
            let error = ((above - below) / (2.0 * step) - gradient).abs();
            // If every gradient is 0, every difference must be 0 too.
            let error = match error {
                0.0 => 0.0,
                _ => error / gradient.abs().max(1e-2 * scale),
            };
            // A NaN counts as the worst error. `max` would ignore it.
            let error = if error.is_nan() { f64::INFINITY } else { error };
            check.worst = check.worst.max(error);
            check.compared += 1;
        }
    }
    Ok(check)
}
