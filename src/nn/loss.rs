//! Losses (section 3). Each is a mean, and so a tensor without axes.

use crate::error::{Error, Result};
use crate::tensor::{Classes, Tensor};

/// Mean squared error: mean((y − t)²) over all elements.
///
/// Gradient: ∂/∂y = (2/count)·(y − t).
///
/// # Errors
/// Outputs and targets of different shapes.
pub fn mse(outputs: &Tensor, targets: &Tensor) -> Result<Tensor> {
    same_shape("mse", outputs, targets)?;
    let difference = outputs.sub(targets)?;
    difference.mul(&difference)?.mean(.., false)
}

/// Cross-entropy from logits x and probabilities t: −Σ t·ln softmax(x) over the last axis, averaged
/// over the rows.
///
/// Gradient: ∂/∂x = ((Σt)·softmax(x) − t)/rows. The loss and its gradient are finite for finite
/// logits, if the sum over the rows is within the range of f32.
///
/// A logit of −∞ excludes its class: with t = 0 there, the class adds nothing to the loss; with t >
/// 0, the loss is ∞.
///
/// # Errors
/// Logits and probabilities of different shapes.
pub fn cross_entropy(logits: &Tensor, probabilities: &Tensor) -> Result<Tensor> {
    same_shape("cross_entropy", logits, probabilities)?;
    let products = logits.log_softmax(-1)?.weighted_by(probabilities)?;
    products.sum(-1, false)?.mean(.., false)?.neg()
}

/// As [`cross_entropy`], with a probability of 1 for the class of each row. Logits are `[rows,
/// classes]`.
///
/// # Errors
/// Another number of rows or classes.
pub fn cross_entropy_classes(logits: &Tensor, classes: &Classes) -> Result<Tensor> {
    cross_entropy(logits, &classes.one_hot()?)
}

/// Binary cross-entropy from logits x and probabilities t, for one or several labels: mean(max(x,
/// 0) − x·t + ln(1 + e^(−|x|))) over all elements.
///
/// Gradient: ∂/∂x = (σ(x) − t)/count. The loss and its gradient are finite for finite logits, if
/// the sum of the terms is within the range of f32.
///
/// A logit of ±∞ is certain of its label: it adds nothing if t agrees, and otherwise the loss is ∞.
///
/// # Errors
/// Logits and targets of different shapes.
pub fn binary_cross_entropy(logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
    same_shape("binary_cross_entropy", logits, targets)?;
    logits.logistic_loss(targets)?.mean(.., false)
}

fn same_shape(loss: &str, outputs: &Tensor, targets: &Tensor) -> Result<()> {
    let (outputs, targets) = (outputs.shape(), targets.shape());
    if outputs == targets {
        return Ok(());
    }
    Err(Error::operation(
        loss,
        [outputs, targets],
        "equal shapes",
        "these",
    ))
}
