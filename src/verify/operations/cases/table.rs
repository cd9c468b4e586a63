//! The notation of the cases: ranges of values, views, and names.

use crate::engine::kernel::inputs::Inputs;
use crate::verify::operations::{Input, Operation, OperationCase, View};

/// The range that values are drawn from.
#[derive(Clone, Copy)]
pub(super) enum Range {
    /// −3 to 3, including 0, −½ and 1½, where functions have their kinks.
    Signed,
    /// 1/64 to 64.
    Positive,
    /// 0 to 1.
    Unit,
    /// ½ to 2.
    Scale,
    /// A few values, so that some are equal.
    Tied,
    /// −30 to 30.
    Logits,
}

pub(super) fn draw(inputs: &mut Inputs, range: Range, count: usize) -> Vec<f32> {
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

/// The views in which an operand of any shape is tried: sizes 0, 1, tile − 1, tile, tile + 1 and a
/// prime; transposed, inner, stretched, and of rank 6.
pub(super) fn views() -> Vec<(Vec<usize>, View)> {
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
pub(super) fn seen(shape: &[usize], view: &View) -> Vec<usize> {
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

/// The shape of the values, the view, and the range.
pub(super) type Operand<'a> = (&'a [usize], View, Range);

pub(super) fn whole(shape: &[usize]) -> Operand<'_> {
    (shape, View::Whole, Range::Signed)
}

pub(super) fn turned(shape: &[usize]) -> Operand<'_> {
    (shape, View::Transposed, Range::Signed)
}

pub(super) struct Table {
    pub(super) cases: Vec<OperationCase>,
    pub(super) seed: u64,
}

impl Table {
    pub(super) fn add(
        &mut self,
        operation: Operation,
        operands: &[Operand<'_>],
        (ulps, terms): (f64, usize),
    ) {
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
        self.cases.push(OperationCase {
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

/// The attributes, for a case's name.
pub(super) fn attributes(operation: &Operation) -> String {
    let json = match operation {
        // A list with one number per row would say nothing in a name.
        Operation::CrossEntropyClasses { .. }
        | Operation::Accumulate { .. }
        | Operation::BucketedLinear { .. } => return String::new(),
        other => serde_json::to_value(other).unwrap_or_default(),
    };
    let fields = json.as_object().into_iter().flatten();
    let fields = fields.filter(|(key, _)| *key != "op");
    let fields = fields.map(|(key, value)| format!("{key}={value}"));
    fields.collect::<Vec<_>>().join(" ")
}
