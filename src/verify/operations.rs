//! Every operation, layer and loss as data. Verification, gradient checks and other programs use
//! this list.

mod case;
mod cases;

#[doc(hidden)]
pub use case::{Input, OperationCase, View};
#[doc(hidden)]
pub use cases::cases;

use crate::error::{Error, Result};
use crate::nn::{self, Dropout, Layer, Mode};
use crate::tensor::lists::SparseInputs;
use crate::tensor::shape::Axes;
use crate::tensor::{Classes, IndexLists, Tensor};
use serde::{Deserialize, Serialize};

macro_rules! operations {
    ($($(#[$doc:meta])* $Name:ident $({ $($(#[$field_doc:meta])* $field:ident: $kind:ty),* $(,)? })? = $text:literal),* $(,)?) => {
        /// An operation, layer or loss with its attributes. The documentation of each names its
        /// operands.
        ///
        /// In JSON it is an object with its name as `op` and its attributes beside it: `{"op":
        /// "sum", "axes": [0], "keep": false}`.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "op", deny_unknown_fields)]
        pub enum Operation {
            $($(#[$doc])* #[serde(rename = $text)] $Name $({ $($(#[$field_doc])* $field: $kind),* })?),*
        }

        impl Operation {
            /// The names of all operations.
            pub const NAMES: &[&str] = &[$($text),*];

            /// The name of the operation.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$Name { .. } => $text),*
                }
            }
        }
    };
}

operations! {
    /// ln x.
    Log = "log",
    /// e^x.
    Exp = "exp",
    /// x where x > 0, else 0.
    Relu = "relu",
    /// 1/(1 + e^(−x)).
    Sigmoid = "sigmoid",
    /// tanh x.
    Tanh = "tanh",
    /// −x.
    Neg = "neg",
    /// |x|.
    Abs = "abs",
    /// √x.
    Sqrt = "sqrt",
    /// ln(1 + e^x).
    Softplus = "softplus",
    /// min(max(x, low), high).
    Clamp {
        /// The lower end.
        low: f32,
        /// The upper end.
        high: f32,
    } = "clamp",
    /// factor·x + summand.
    Affine {
        /// The factor.
        factor: f32,
        /// The summand.
        summand: f32,
    } = "affine",
    /// x + y.
    Add = "add",
    /// x − y.
    Sub = "sub",
    /// x·y.
    Mul = "mul",
    /// x/y.
    Div = "div",
    /// x^y.
    Pow = "pow",
    /// Σ x over axes.
    Sum {
        /// The axes; all of them if there is no list.
        axes: Option<Vec<isize>>,
        /// Whether the axes stay, with size 1.
        keep: bool,
    } = "sum",
    /// The mean over axes.
    Mean {
        /// The axes; all of them if there is no list.
        axes: Option<Vec<isize>>,
        /// Whether the axes stay, with size 1.
        keep: bool,
    } = "mean",
    /// The maximum over axes.
    Max {
        /// The axes; all of them if there is no list.
        axes: Option<Vec<isize>>,
        /// Whether the axes stay, with size 1.
        keep: bool,
    } = "max",
    /// The product of matrices or vectors a and b.
    Matmul = "matmul",
    /// Σ x·y of vectors.
    Dot = "dot",
    /// Σ x\[i, i\].
    Trace = "trace",
    /// The diagonal of a matrix.
    Diagonal = "diagonal",
    /// The axes in another order.
    Permute {
        /// Axis i of the result is axis `order[i]` of x.
        order: Vec<isize>,
    } = "permute",
    /// Another shape.
    Reshape {
        /// The shape.
        shape: Vec<usize>,
    } = "reshape",
    /// A range of an axis.
    Slice {
        /// The axis.
        axis: isize,
        /// The first index.
        start: usize,
        /// The index after the last.
        end: usize,
    } = "slice",
    /// Any number of tensors side by side.
    Concat {
        /// The axis.
        axis: isize,
    } = "concat",
    /// Stretched to a shape.
    BroadcastTo {
        /// The shape.
        shape: Vec<usize>,
    } = "broadcast_to",
    /// Softmax over an axis.
    Softmax {
        /// The axis.
        axis: isize,
    } = "softmax",
    /// The logarithm of softmax over an axis.
    LogSoftmax {
        /// The axis.
        axis: isize,
    } = "log_softmax",
    /// x·W + b of x \[batch, in\], W \[in, out\], b \[out\].
    Linear = "linear",
    /// Batch normalization of x \[batch, features\] with γ and β \[features\], by the batch's
    /// statistics.
    BatchNorm {
        /// ε.
        epsilon: f32,
    } = "batch_norm",
    /// Batch normalization of x with γ, β, running mean and running variance.
    BatchNormEvaluation {
        /// ε.
        epsilon: f32,
    } = "batch_norm_evaluation",
    /// Dropout in training mode.
    Dropout {
        /// The probability with which an element is dropped.
        rate: f32,
        /// The seed of the random choice.
        seed: u64,
    } = "dropout",
    /// mean((y − t)²).
    Mse = "mse",
    /// Cross-entropy of logits and probabilities \[rows, classes\].
    CrossEntropy = "cross_entropy",
    /// Cross-entropy of logits \[rows, classes\] and class indices.
    CrossEntropyClasses {
        /// The class of each row.
        classes: Vec<u32>,
    } = "cross_entropy_classes",
    /// Binary cross-entropy of logits and probabilities.
    BinaryCrossEntropy = "binary_cross_entropy",
    /// ‖X − A·S‖² of X \[m, n\], A \[m, r\], S \[r, n\].
    Factorization = "factorization",
    /// B + Σ A\[i\] over the indices i of each list, of A \[inputs, lanes\] and B \[lanes\].
    Accumulate {
        /// The index list of each sample.
        lists: Vec<Vec<u32>>,
    } = "accumulate",
    /// The products of the two halves of the last axis, clipped to 0 and above.
    Pairwise {
        /// The clip.
        clip: f32,
    } = "pairwise",
    /// W\[b\]·x + c\[b\] with the bucket b of each sample, of x \[batch, in\], W \[buckets, out, in\],
    /// c \[buckets, out\].
    BucketedLinear {
        /// The bucket of each sample.
        buckets: Vec<u32>,
    } = "bucketed_linear",
}

impl Operation {
    /// The operation's result for these operands.
    ///
    /// # Errors
    /// A wrong number of operands, and the errors of the operation itself.
    pub fn apply(&self, operands: &[Tensor]) -> Result<Tensor> {
        if let Self::Concat { axis } = self {
            return Tensor::concat(&operands.iter().collect::<Vec<_>>(), *axis);
        }
        let arity = self.arity();
        if operands.len() != arity {
            let name = format!("operands of {}", self.name());
            return Err(Error::argument(name, format!("{arity}"), operands.len()));
        }
        let x = &operands[0];
        match self {
            Self::Log => x.log(),
            Self::Exp => x.exp(),
            Self::Relu => x.relu(),
            Self::Sigmoid => x.sigmoid(),
            Self::Tanh => x.tanh(),
            Self::Neg => x.neg(),
            Self::Abs => x.abs(),
            Self::Sqrt => x.sqrt(),
            Self::Softplus => x.softplus(),
            Self::Clamp { low, high } => x.clamp(*low, *high),
            Self::Affine { factor, summand } => x.affine(*factor, *summand),
            Self::Add => x.add(&operands[1]),
            Self::Sub => x.sub(&operands[1]),
            Self::Mul => x.mul(&operands[1]),
            Self::Div => x.div(&operands[1]),
            Self::Pow => x.pow(&operands[1]),
            Self::Sum { axes, keep } => x.sum(meant(axes), *keep),
            Self::Mean { axes, keep } => x.mean(meant(axes), *keep),
            Self::Max { axes, keep } => x.max(meant(axes), *keep),
            Self::Matmul => x.matmul(&operands[1]),
            Self::Dot => x.dot(&operands[1]),
            Self::Trace => x.trace(),
            Self::Diagonal => x.diagonal(),
            Self::Permute { order } => x.permute(order),
            Self::Reshape { shape } => x.reshape(shape),
            Self::Slice { axis, start, end } => x.slice(*axis, *start..*end),
            Self::Concat { axis } => Tensor::concat(&[x], *axis),
            Self::BroadcastTo { shape } => x.broadcast_to(shape),
            Self::Softmax { axis } => x.softmax(*axis),
            Self::LogSoftmax { axis } => x.log_softmax(*axis),
            Self::Linear => {
                let layer = nn::Linear::from_tensors(operands[1].clone(), operands[2].clone())?;
                layer.forward(x, Mode::Training)
            }
            Self::BatchNorm { epsilon } => {
                let normalized = x.batch_norm(&operands[1], &operands[2], *epsilon)?;
                Ok(normalized.output)
            }
            Self::BatchNormEvaluation { epsilon } => {
                let (gamma, beta) = (&operands[1], &operands[2]);
                x.normalize_by(&operands[3], &operands[4], gamma, beta, *epsilon)
            }
            Self::Dropout { rate, seed } => Dropout::new(*rate, *seed)?.forward(x, Mode::Training),
            Self::Mse => nn::mse(x, &operands[1]),
            Self::CrossEntropy => nn::cross_entropy(x, &operands[1]),
            Self::CrossEntropyClasses { classes } => {
                let count = x.shape().last().copied().unwrap_or(0);
                nn::cross_entropy_classes(x, &Classes::new(x.device(), classes, count)?)
            }
            Self::BinaryCrossEntropy => nn::binary_cross_entropy(x, &operands[1]),
            Self::Factorization => factorization(x, &operands[1], &operands[2]),
            Self::Accumulate { lists } => accumulate(lists, x, &operands[1]),
            Self::Pairwise { clip } => x.pairwise(*clip),
            Self::BucketedLinear { buckets } => {
                let count = operands[1].shape().first().copied().unwrap_or(0);
                let buckets = Classes::new(x.device(), buckets, count)?;
                x.bucketed_linear(&operands[1], &operands[2], &buckets)
            }
        }
    }

    fn arity(&self) -> usize {
        match self {
            Self::Add | Self::Sub | Self::Mul | Self::Div | Self::Pow => 2,
            Self::Matmul | Self::Dot => 2,
            Self::Mse | Self::CrossEntropy | Self::BinaryCrossEntropy => 2,
            Self::Accumulate { .. } => 2,
            Self::Linear | Self::BatchNorm { .. } | Self::Factorization => 3,
            Self::BucketedLinear { .. } => 3,
            Self::BatchNormEvaluation { .. } => 5,
            _ => 1,
        }
    }
}

fn factorization(x: &Tensor, a: &Tensor, s: &Tensor) -> Result<Tensor> {
    let sizes = [x, a, s].map(|operand| operand.shape());
    let fits = match sizes.each_ref().map(|sizes| &sizes[..]) {
        [[m, n], [rows, r], [inner, columns]] => (m, n, r) == (rows, columns, inner),
        _ => false,
    };
    if !fits {
        let expected = "[m, n], [m, r] and [r, n]";
        return Err(Error::operation("factorization", sizes, expected, "these"));
    }
    let left = x.sub(&a.matmul(s)?)?;
    left.mul(&left)?.sum(.., false)
}

fn accumulate(lists: &[Vec<u32>], a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let inputs = a.shape().first().copied().unwrap_or(0);
    let ends = lists.iter().scan(0, |end, list| {
        *end += list.len() as u32;
        Some(*end)
    });
    let starts = std::iter::once(0).chain(ends).collect();
    let lists = SparseInputs::from_lists(inputs, starts, lists.concat())?;
    IndexLists::new(a.device(), &lists)?.accumulate(a, b)
}

fn meant(axes: &Option<Vec<isize>>) -> Axes {
    match axes {
        None => Axes::All,
        Some(axes) => Axes::Some(axes.clone()),
    }
}
