//! Custom operations on the tape.

use super::Tensor;
use super::op::Op;
use super::tape::{Saved, no_gradient};
use crate::error::Result;

/// A differentiable operation with N operands that the caller defines; [`Tensor::custom`] applies
/// it.
///
/// Both passes use tensor operations, the caller's kernels through [`Tensor::run_kernel`], or both.
/// [`gradcheck`](super::gradcheck) compares the backward pass with finite differences.
///
/// ```
/// use wgrad::Result;
/// use wgrad::Device;
/// use wgrad::tensor::{Backward, CustomOperation, Tensor, gradcheck};
///
/// /// min(max(x, 0), 1)², with the slope 2x from 0 to 1.
/// struct SCRelu;
///
/// impl CustomOperation<1> for SCRelu {
///     fn name(&self) -> &'static str {
///         "screlu"
///     }
///     fn forward(&self, [x]: [&Tensor; 1]) -> Result<Tensor> {
///         let clipped = x.clamp(0.0, 1.0)?;
///         clipped.mul(&clipped)
///     }
///     fn backward(&self, pass: &Backward<'_, 1>) -> Result<[Option<Tensor>; 1]> {
///         let [x] = pass.operands()?;
///         let inside = x.clamp(0.0, 1.0)?.equal(x)?;
///         let slope = x.mul(&inside)?.affine(2.0, 0.0)?;
///         Ok([Some(pass.upstream().mul(&slope)?)])
///     }
/// }
///
/// let x = Tensor::new(&Device::reference(), &[-0.5, 0.25, 0.75, 1.5], &[4])?.parameter();
/// let y = Tensor::custom(SCRelu, [&x])?;
/// assert_eq!(y.to_vec()?, [0.0, 0.0625, 0.5625, 1.0]);
/// let gradients = y.sum(.., false)?.backward()?;
/// assert_eq!(gradients.of(&x)?.to_vec()?, [0.0, 0.5, 1.5, 0.0]);
///
/// let check = gradcheck(|inputs| Tensor::custom(SCRelu, [&inputs[0]]), &[x])?;
/// assert!(check.worst <= 1e-6);
/// # Ok::<(), wgrad::Error>(())
/// ```
pub trait CustomOperation<const N: usize>: Send + Sync + 'static {
    /// The name in error messages.
    fn name(&self) -> &'static str;

    /// The result. The operands have no history. Gradients flow only to the operands, not to other
    /// tensors that the result depends on.
    fn forward(&self, operands: [&Tensor; N]) -> Result<Tensor>;

    /// The gradient with respect to each operand, in the shape of the operand: g times the slope,
    /// where g is [`Backward::upstream`]. It is `None` for an operand without a gradient, and may
    /// be `None` for an operand that needs no gradient.
    fn backward(&self, pass: &Backward<'_, N>) -> Result<[Option<Tensor>; N]>;
}

/// The inputs of the backward pass of a [`CustomOperation`].
pub struct Backward<'a, const N: usize> {
    operands: &'a [Saved; N],
    result: &'a Saved,
    upstream: &'a Tensor,
    needed: [bool; N],
}

impl<'a, const N: usize> Backward<'a, N> {
    /// The operands as the forward pass saw them, without history.
    ///
    /// # Errors
    /// Elements that were overwritten since.
    pub fn operands(&self) -> Result<[&'a Tensor; N]> {
        let mut operands = [self.upstream; N];
        for (operand, saved) in operands.iter_mut().zip(self.operands) {
            *operand = saved.get()?;
        }
        Ok(operands)
    }

    /// The result of the forward pass, without history.
    ///
    /// # Errors
    /// Elements that were overwritten since.
    pub fn result(&self) -> Result<&'a Tensor> {
        self.result.get()
    }

    /// g, the gradient with respect to the result, in the shape of the result.
    pub fn upstream(&self) -> &'a Tensor {
        self.upstream
    }

    /// Whether the gradient with respect to each operand is needed. The tape drops the other
    /// gradients.
    pub fn needed(&self) -> [bool; N] {
        self.needed
    }
}

impl Tensor {
    /// Runs an operation that the caller defines and puts its result on the tape. The tape keeps
    /// the operands and the result until the backward pass.
    ///
    /// # Errors
    /// Operands or a result of different devices, and every error of the operation itself. The
    /// backward pass fails if a gradient differs from its operand in shape or device.
    pub fn custom<const N: usize>(
        operation: impl CustomOperation<N>,
        operands: [&Self; N],
    ) -> Result<Self> {
        let name = operation.name();
        let op = Op::new(name, operands)?;
        let plain = operands.map(Self::detach);
        let result = no_gradient(|| operation.forward(plain.each_ref()))?.detach();
        if result.device() != op.device() {
            let expected = format!("a result on {}", op.device().name());
            return Err(op.fail(expected, format!("one on {}", result.device().name())));
        }
        let saved = plain.each_ref().map(|operand| Saved::new(name, operand));
        let saved_result = Saved::new(name, &result);
        op.record(result, move |upstream, needs| {
            let pass = Backward {
                operands: &saved,
                result: &saved_result,
                upstream,
                needed: std::array::from_fn(|index| needs[index]),
            };
            let gradients = operation.backward(&pass)?;
            for (index, (gradient, operand)) in gradients.iter().zip(&plain).enumerate() {
                if let Some(gradient) = gradient {
                    let op = Op::new(name, [operand, gradient])?;
                    if gradient.shape() != operand.shape() {
                        let expected =
                            format!("a gradient {:?} by operand {index}", operand.shape());
                        return Err(op.fail(expected, format!("{:?}", gradient.shape())));
                    }
                }
            }
            Ok(gradients.map(|gradient| Some(gradient?.detach())).into())
        })
    }
}
