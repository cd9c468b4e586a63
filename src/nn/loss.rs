//! Losses (section 3), each a mean and so a tensor without axes.

use crate::error::{Error, Result};
use crate::tensor::{Classes, Tensor};

/// mean((y − t)²), over all elements.
///
/// Gradient: ∂/∂y = (2/count)·(y − t).
pub fn mse(outputs: &Tensor, targets: &Tensor) -> Result<Tensor> {
    same_shape("mse", outputs, targets)?;
    let difference = outputs.sub(targets)?;
    difference.mul(&difference)?.mean(.., false)
}

/// −Σ t·ln softmax(x) over the last axis, averaged over the rows: cross-entropy from logits x and probabilities t.
///
/// Gradient: ∂/∂x = ((Σt)·softmax(x) − t)/rows. Both are finite for any finite logits, as long as the rows' sum is an f32.
///
/// A logit of −∞ rules its class out: with t = 0 there, the class adds nothing to the loss; with
/// t > 0 the loss is ∞.
pub fn cross_entropy(logits: &Tensor, probabilities: &Tensor) -> Result<Tensor> {
    same_shape("cross_entropy", logits, probabilities)?;
    let products = logits.log_softmax(-1)?.weighted_by(probabilities)?;
    products.sum(-1, false)?.mean(.., false)?.neg()
}

/// As [`cross_entropy`], each row's probability all on its class. Logits `[rows, classes]`.
pub fn cross_entropy_classes(logits: &Tensor, classes: &Classes) -> Result<Tensor> {
    cross_entropy(logits, &classes.one_hot()?)
}

/// mean(max(x, 0) − x·t + ln(1 + e^(−|x|))), over all elements: binary cross-entropy from logits x and probabilities t, for
/// single- and multi-label work.
///
/// Gradient: ∂/∂x = (σ(x) − t)/count. Both are finite for any finite logits, as long as the terms' sum is an f32.
///
/// A logit of ±∞ is certain of its label: it adds nothing where t agrees, else the loss is ∞.
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
