//! What operations are verified on: operands of every size and layout that matters.

use super::Operation;
use crate::device::Device;
use crate::error::Result;
use crate::kernels::inputs::Inputs;
use crate::tensor::Tensor;

/// How an operand is made of the tensor that holds its values.
#[derive(Clone, Debug, PartialEq)]
pub enum View {
    /// As it is.
    Whole,
    /// Its last two axes exchanged.
    Transposed,
    /// Without the first and last index of each axis.
    Inner,
    /// Stretched to a shape.
    Stretched(Vec<usize>),
}

/// An operand: values, and the view of them that the operation takes.
#[derive(Clone, Debug)]
pub struct Input {
    /// The values' shape.
    pub shape: Vec<usize>,
    /// The values, row-major.
    pub values: Vec<f32>,
    /// The view.
    pub view: View,
}

impl Input {
    /// A parameter of the values on a device, and the operand made of it.
    pub fn place(&self, device: &Device) -> Result<[Tensor; 2]> {
        let parameter = Tensor::new(device, &self.values, &self.shape)?.parameter();
        let operand = self.operand(&parameter)?;
        Ok([parameter, operand])
    }

    /// The operand made of a tensor of the values' shape.
    pub fn operand(&self, tensor: &Tensor) -> Result<Tensor> {
        match &self.view {
            View::Whole => Ok(tensor.clone()),
            View::Transposed => tensor.t(),
            View::Inner => (0..self.shape.len()).try_fold(tensor.clone(), |inner, axis| {
                inner.slice(axis as isize, 1..self.shape[axis] - 1)
            }),
            View::Stretched(shape) => tensor.broadcast_to(shape),
        }
    }
}

/// An operation with operands and the error that is allowed.
#[derive(Clone, Debug)]
pub struct Case {
    /// The operation.
    pub operation: Operation,
    /// Shapes and views, unique within the operation's name.
    pub name: String,
    /// The operands.
    pub inputs: Vec<Input>,
    /// How often the largest value may be off by ε = 2⁻²³, in results and gradients, for sums of one term.
    pub ulps: f64,
    /// The longest sum in it, forward or back: the error grows with the root.
    pub terms: usize,
}

/// Where values are drawn from.
#[derive(Clone, Copy)]
enum Range {
    /// −3 to 3, with 0, −½ and 1½ among them, where functions have their kinks.
    Signed,
    /// 1/64 to 64.
    Positive,
    /// 0 to 1.
    Unit,
    /// ½ to 2.
    Scale,
    /// Few values, so that some are equal.
    Tied,
    /// −30 to 30.
    Logits,
}

fn draw(inputs: &mut Inputs, range: Range, count: usize) -> Vec<f32> {
    match range {
        Range::Signed => inputs.signed(count, &[0.0, -0.5, 1.5]),
        Range::Positive => inputs.positive(count),
        Range::Unit => inputs.floats(count, 0.0, 1.0),
        Range::Scale => inputs.floats(count, 0.5, 2.0),
        Range::Tied => inputs
            .words(count, 5)
            .into_iter()
            .map(|word| word as f32 - 2.0)
            .collect(),
        Range::Logits => inputs.floats(count, -30.0, 30.0),
    }
}

/// The views that an operand of any shape is tried in: sizes 0, 1, tile − 1, tile, tile + 1, a prime; transposed, inner,
/// stretched, and of rank 6.
fn views() -> Vec<(Vec<usize>, View)> {
    let whole = |sizes: &[usize]| (sizes.to_vec(), View::Whole);
    vec![
        whole(&[0]),
        whole(&[]),
        whole(&[63]),
        whole(&[64]),
        whole(&[65]),
        whole(&[997]),
        whole(&[3, 0, 2]),
        whole(&[2, 1, 3, 2, 1, 2]),
        (vec![9, 14], View::Transposed),
        (vec![5, 2, 7], View::Transposed),
        (vec![6, 9], View::Inner),
        (vec![5, 1, 3], View::Stretched(vec![2, 5, 4, 3])),
    ]
}

/// The shape of the operand.
fn seen(shape: &[usize], view: &View) -> Vec<usize> {
    match view {
        View::Whole => shape.to_vec(),
        View::Transposed => {
            let mut sizes = shape.to_vec();
            let last = sizes.len() - 1;
            sizes.swap(last - 1, last);
            sizes
        }
        View::Inner => shape.iter().map(|size| size - 2).collect(),
        View::Stretched(to) => to.clone(),
    }
}

/// Shape of the values, view, range.
type Operand<'a> = (&'a [usize], View, Range);

fn whole(shape: &[usize]) -> Operand<'_> {
    (shape, View::Whole, Range::Signed)
}

fn turned(shape: &[usize]) -> Operand<'_> {
    (shape, View::Transposed, Range::Signed)
}

struct Table {
    cases: Vec<Case>,
    seed: u64,
}

impl Table {
    fn add(&mut self, operation: Operation, operands: &[Operand<'_>], (ulps, terms): (f64, usize)) {
        self.seed += 1;
        let mut random = Inputs::new(self.seed);
        let inputs: Vec<Input> = operands
            .iter()
            .map(|(shape, view, range)| Input {
                shape: shape.to_vec(),
                values: draw(&mut random, *range, shape.iter().product()),
                view: view.clone(),
            })
            .collect();
        let described = operands.iter().map(|(shape, view, range)| {
            let view = match view {
                View::Whole => String::new(),
                View::Transposed => " transposed".to_owned(),
                View::Inner => " inner".to_owned(),
                View::Stretched(to) => format!(" to {to:?}"),
            };
            let large = if matches!(range, Range::Logits) {
                " to ±30"
            } else {
                ""
            };
            format!("{shape:?}{view}{large}")
        });
        let described = described.collect::<Vec<_>>().join(", ");
        self.cases.push(Case {
            name: match attributes(&operation) {
                attributes if attributes.is_empty() => described,
                attributes => format!("{described}; {attributes}"),
            },
            operation,
            inputs,
            ulps,
            terms,
        });
    }
}

/// The attributes as they stand in a case's name.
fn attributes(operation: &Operation) -> String {
    let json = match operation {
        // As many numbers as rows say nothing.
        Operation::CrossEntropyClasses { .. } => return String::new(),
        other => serde_json::to_value(other).unwrap_or_default(),
    };
    let fields = json.as_object().into_iter().flatten();
    let fields = fields.filter(|(key, _)| *key != "op");
    let fields = fields.map(|(key, value)| format!("{key}={value}"));
    fields.collect::<Vec<_>>().join(" ")
}

/// Every case. Their bound is `ulps`·ε·√`terms` times the largest magnitude of what is compared, or times 1 if that is
/// smaller: the kernels' own cases hold each element to what its own operands allow; these hold what is made of kernels.
pub fn cases() -> Vec<Case> {
    let mut table = Table {
        cases: Vec::new(),
        seed: 20_000,
    };
    elementwise(&mut table);
    reductions(&mut table);
    products(&mut table);
    shapes(&mut table);
    layers(&mut table);
    losses(&mut table);
    table.cases
}

fn elementwise(table: &mut Table) {
    use Operation as Op;
    use Range::*;
    let unary = [
        // WGSL's exp is known to 3 + 2·|x| ulps and log to 2⁻²¹ near 1; what is exact is held to one ulp.
        (Op::Log, Positive, 8.0),
        (Op::Exp, Signed, 10.0),
        (Op::Relu, Signed, 0.0),
        (Op::Sigmoid, Signed, 12.0),
        (Op::Tanh, Signed, 16.0),
        (Op::Neg, Signed, 0.0),
        (Op::Abs, Signed, 0.0),
        (Op::Sqrt, Positive, 6.0),
        (Op::Softplus, Signed, 12.0),
        (
            Op::Clamp {
                low: -0.5,
                high: 1.5,
            },
            Signed,
            0.0,
        ),
        (
            Op::Affine {
                factor: -1.5,
                summand: 0.25,
            },
            Signed,
            2.0,
        ),
    ];
    for (operation, range, ulps) in unary {
        for (shape, view) in views() {
            // What is stretched sums its gradient.
            let (ulps, terms) = match &view {
                View::Stretched(_) => (ulps + 1.0, 8),
                _ => (ulps, 1),
            };
            table.add(operation.clone(), &[(&shape, view, range)], (ulps, terms));
        }
    }
    let binary = [
        (Op::Add, Signed, Signed, 1.0),
        (Op::Sub, Signed, Signed, 1.0),
        (Op::Mul, Signed, Signed, 2.0),
        (Op::Div, Signed, Scale, 8.0),
        // x up to 64 and y up to 2: WGSL's pow inherits from exp2 and log2, 3 + 2·12 ulps and 2·ln 2·2⁻²¹.
        (Op::Pow, Positive, Scale, 64.0),
    ];
    for (operation, left, right, ulps) in binary {
        for (shape, view) in views() {
            let other = seen(&shape, &view);
            let operands = [(&shape[..], view, left), (&other[..], View::Whole, right)];
            table.add(operation.clone(), &operands, (ulps, 8));
        }
        let stretched: [[&[usize]; 2]; 5] = [
            [&[5, 7], &[7]],
            [&[4, 1, 3], &[2, 1]],
            [&[], &[33]],
            [&[66, 1], &[1, 65]],
            [&[0, 3], &[3]],
        ];
        for [x, y] in stretched {
            let operands = [(x, View::Whole, left), (y, View::Whole, right)];
            table.add(operation.clone(), &operands, (ulps, 66));
        }
    }
}

fn reductions(table: &mut Table) {
    use Operation as Op;
    let shapes: [(&[usize], View, &[isize]); 10] = [
        (&[1], View::Whole, &[0]),
        (&[63], View::Whole, &[0]),
        (&[64, 65], View::Whole, &[0]),
        (&[65, 64], View::Whole, &[-1]),
        (&[997], View::Whole, &[-1]),
        (&[4, 5, 6], View::Whole, &[0, 2]),
        (&[2, 3, 2, 3, 2, 3], View::Whole, &[1, -1, 3]),
        (&[31, 17], View::Transposed, &[0]),
        (&[9, 6], View::Inner, &[1]),
        (&[5, 1], View::Stretched(vec![2, 5, 33]), &[0, 2]),
    ];
    for (shape, view, axes) in shapes {
        let all = None;
        let some = Some(axes.to_vec());
        for (axes, keep) in [(all, false), (some.clone(), false), (some, true)] {
            let terms: usize = seen(shape, &view).iter().product();
            let operand = |range| [(shape, view.clone(), range)];
            let (sum, mean, max) = (axes.clone(), axes.clone(), axes);
            table.add(
                Op::Sum { axes: sum, keep },
                &operand(Range::Signed),
                (4.0, 4 * terms),
            );
            table.add(
                Op::Mean { axes: mean, keep },
                &operand(Range::Signed),
                (4.0, terms),
            );
            table.add(
                Op::Max { axes: max, keep },
                &operand(Range::Tied),
                (3.0, terms),
            );
        }
    }
    let nothing = Op::Sum {
        axes: Some(vec![0]),
        keep: false,
    };
    table.add(nothing, &[(&[0, 3], View::Whole, Range::Signed)], (0.0, 1));
    // Past 65,535 workgroups, and long enough to be summed in parts.
    let rows = Some(vec![-1]);
    let long: &[usize] = &[65_601, 32];
    let operand = [(long, View::Whole, Range::Signed)];
    table.add(
        Op::Sum {
            axes: rows,
            keep: false,
        },
        &operand,
        (4.0, 128),
    );
    table.add(
        Op::Mean {
            axes: None,
            keep: false,
        },
        &operand,
        (4.0, 1),
    );
}

fn products(table: &mut Table) {
    use Operation as Op;
    use Range::Signed;
    let pairs: [[Operand<'_>; 2]; 16] = [
        [whole(&[0, 3]), whole(&[3, 2])],
        [whole(&[3, 0]), whole(&[0, 2])],
        [whole(&[1, 1]), whole(&[1, 1])],
        [whole(&[63, 15]), whole(&[15, 65])],
        [whole(&[64, 16]), whole(&[16, 64])],
        [whole(&[65, 17]), whole(&[17, 63])],
        [whole(&[7, 997]), whole(&[997, 5])],
        [turned(&[33, 70]), whole(&[33, 5])],
        [whole(&[6, 33]), turned(&[70, 33])],
        [turned(&[20, 9]), turned(&[11, 20])],
        [
            (&[9, 12], View::Inner, Signed),
            (&[12, 6], View::Inner, Signed),
        ],
        [whole(&[5, 7, 9]), whole(&[5, 9, 4])],
        [whole(&[2, 1, 7, 9]), whole(&[3, 9, 4])],
        [whole(&[9]), whole(&[9, 4])],
        [whole(&[6, 9]), whole(&[9])],
        [whole(&[17]), whole(&[17])],
    ];
    for operands in pairs {
        table.add(Op::Matmul, &operands, (8.0, 997));
    }
    for length in [0, 1, 63, 64, 65, 997] {
        let sizes: &[usize] = &[length];
        table.add(Op::Dot, &[whole(sizes), whole(sizes)], (8.0, length.max(1)));
    }
    for size in [0, 1, 2, 64, 97] {
        let sizes: &[usize] = &[size, size];
        table.add(Op::Trace, &[whole(sizes)], (4.0, size.max(1)));
        table.add(Op::Trace, &[turned(sizes)], (4.0, size.max(1)));
        table.add(Op::Diagonal, &[whole(sizes)], (0.0, 1));
        table.add(Op::Diagonal, &[turned(&[size, size + 3])], (0.0, 1));
    }
}

fn shapes(table: &mut Table) {
    use Operation as Op;
    let signed = |shape: &'static [usize], view| (shape, view, Range::Signed);
    for (shape, view, order) in [
        (&[5, 7][..], View::Whole, &[1, 0][..]),
        (&[4, 3, 5], View::Transposed, &[2, 0, 1]),
        (&[2, 3, 1, 2, 3, 2], View::Whole, &[5, 3, -6, 1, 4, 2]),
        (&[], View::Whole, &[]),
        (&[0, 4], View::Whole, &[-1, 0]),
    ] {
        let order = order.to_vec();
        table.add(Op::Permute { order }, &[signed(shape, view)], (0.0, 1));
    }
    for (shape, view, to) in [
        (&[6, 4][..], View::Whole, &[2, 12][..]),
        (&[6, 4], View::Transposed, &[24]),
        (&[7, 8], View::Inner, &[3, 2, 5]),
        (&[1], View::Whole, &[]),
        (&[0, 4], View::Whole, &[2, 0]),
        (&[3, 1], View::Stretched(vec![3, 4]), &[2, 6]),
    ] {
        let shape_to = to.to_vec();
        table.add(
            Op::Reshape { shape: shape_to },
            &[signed(shape, view)],
            (1.0, 4),
        );
    }
    for (shape, view, axis, start, end) in [
        (&[9][..], View::Whole, 0, 2, 7),
        (&[5, 6], View::Whole, -1, 0, 6),
        (&[5, 6], View::Transposed, 0, 1, 3),
        (&[4, 5, 6], View::Inner, 1, 1, 1),
    ] {
        let operation = Op::Slice { axis, start, end };
        table.add(operation, &[signed(shape, view)], (0.0, 1));
    }
    table.add(
        Op::Concat { axis: 0 },
        &[whole(&[3]), whole(&[0]), whole(&[65])],
        (0.0, 1),
    );
    let mixed = [
        whole(&[4, 3]),
        signed(&[2, 4], View::Transposed),
        whole(&[4, 1]),
    ];
    table.add(Op::Concat { axis: 1 }, &mixed, (0.0, 1));
    table.add(
        Op::Concat { axis: -2 },
        &[whole(&[2, 3, 5]), whole(&[2, 1, 5])],
        (0.0, 1),
    );
    for (shape, to) in [
        (&[][..], &[64][..]),
        (&[7], &[3, 7]),
        (&[4, 1, 3], &[2, 4, 65, 3]),
        (&[1, 0], &[5, 0]),
    ] {
        let operation = Op::BroadcastTo { shape: to.to_vec() };
        table.add(operation, &[whole(shape)], (2.0, 130));
    }
}

fn layers(table: &mut Table) {
    use Operation as Op;
    use Range::*;
    for (shape, view, axis) in [
        (&[1][..], View::Whole, 0),
        (&[63], View::Whole, 0),
        (&[64, 10], View::Whole, -1),
        (&[7, 65], View::Whole, 1),
        (&[33, 5], View::Whole, 0),
        (&[3, 997], View::Whole, -1),
        (&[6, 4, 5], View::Transposed, 1),
        (&[9, 12], View::Inner, -1),
        (&[8], View::Stretched(vec![5, 8]), -1),
        (&[0, 4], View::Whole, -1),
        (&[2, 3, 2, 3, 2, 3], View::Whole, 2),
    ] {
        // exp of differences up to 6, or 60 for the logarithm, whose size bounds what is compared.
        let operand = |range| [(shape, view.clone(), range)];
        table.add(Op::Softmax { axis }, &operand(Signed), (24.0, 5));
        table.add(Op::LogSoftmax { axis }, &operand(Logits), (8.0, 5));
    }
    for [batch, inputs, outputs] in [
        [1, 1, 1],
        [63, 65, 64],
        [64, 64, 10],
        [997, 3, 2],
        [0, 3, 2],
    ] {
        let (x, w, b) = ([batch, inputs], [inputs, outputs], [outputs]);
        let operands = [
            (&x[..], View::Whole, Signed),
            (&w[..], View::Whole, Signed),
            (&b[..], View::Whole, Signed),
        ];
        table.add(Op::Linear, &operands, (8.0, 997));
    }
    for [batch, features] in [[2, 1], [17, 63], [64, 64], [65, 16], [997, 3]] {
        let (x, each) = ([batch, features], [features]);
        let operands = [
            (&x[..], View::Whole, Signed),
            (&each[..], View::Whole, Scale),
            (&each[..], View::Whole, Signed),
        ];
        // Two samples that lie close make 1/√(v + ε) large and their difference inexact: ε bounds it by about 300.
        let ulps = if batch == 2 { 2000.0 } else { 32.0 };
        table.add(Op::BatchNorm { epsilon: 1e-5 }, &operands, (ulps, batch));
        let [x, gamma, beta] = operands;
        let running = [
            x,
            gamma,
            beta,
            (&each[..], View::Whole, Signed),
            (&each[..], View::Whole, Scale),
        ];
        let evaluation = Op::BatchNormEvaluation { epsilon: 1e-5 };
        table.add(evaluation, &running, (16.0, batch));
    }
    for (shape, rate) in [
        (&[64][..], 0.5),
        (&[33, 65], 0.1),
        (&[7], 0.0),
        (&[0, 3], 0.5),
    ] {
        let operation = Op::Dropout { rate, seed: 7 };
        table.add(operation, &[(shape, View::Whole, Signed)], (2.0, 1));
    }
}

fn losses(table: &mut Table) {
    use Operation as Op;
    use Range::*;
    for [rows, columns] in [[1, 1], [63, 3], [64, 10], [65, 64], [997, 2]] {
        let shape: &[usize] = &[rows, columns];
        let pair = |left, right| [(shape, View::Whole, left), (shape, View::Whole, right)];
        table.add(Op::Mse, &pair(Signed, Signed), (8.0, 1));
        table.add(Op::CrossEntropy, &pair(Signed, Unit), (16.0, columns));
        table.add(Op::CrossEntropy, &pair(Logits, Unit), (16.0, columns));
        table.add(Op::BinaryCrossEntropy, &pair(Signed, Unit), (16.0, 1));
        table.add(Op::BinaryCrossEntropy, &pair(Logits, Unit), (16.0, 1));
        let classes = (0..rows).map(|row| (7 * row % columns) as u32).collect();
        let operand = [(shape, View::Whole, Logits)];
        table.add(
            Op::CrossEntropyClasses { classes },
            &operand,
            (16.0, columns),
        );
    }
    let turned = [
        (&[5, 4][..], View::Transposed, Signed),
        (&[4, 5], View::Whole, Signed),
    ];
    table.add(Op::Mse, &turned, (8.0, 1));
    for [m, n, r] in [[5, 7, 2], [64, 65, 10]] {
        let (x, a, s) = ([m, n], [m, r], [r, n]);
        let operands = [
            (&x[..], View::Whole, Signed),
            (&a[..], View::Whole, Signed),
            (&s[..], View::Whole, Signed),
        ];
        table.add(Op::Factorization, &operands, (8.0, m * n));
    }
}
