//! The tape: which operation made a tensor of which, and how gradients go back.
//!
//! Every tensor that depends on a parameter holds its node, a node holds those of its operands. Numbers of nodes ascend
//! with time, so the order of descending numbers is an order for going back.

use super::Tensor;
use crate::error::{Error, Result};
use crate::tensor::shape::Shape;
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// From the gradient of a result, and which operands need one, the gradients of the operands.
pub(super) type Rule = Box<dyn Fn(&Tensor, &[bool]) -> Result<Vec<Option<Tensor>>> + Send + Sync>;

/// A tensor's place on the tape.
pub(super) struct Node {
    number: u64,
    operation: &'static str,
    shape: Shape,
    inputs: Vec<Option<Arc<Node>>>,
    /// None for a parameter, and for what a backward pass has used up.
    rule: Mutex<Option<Arc<Rule>>>,
}

fn next_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl Node {
    pub(super) fn leaf(shape: Shape) -> Arc<Self> {
        Arc::new(Self {
            number: next_number(),
            operation: "parameter",
            shape,
            inputs: Vec::new(),
            rule: Mutex::new(None),
        })
    }

    pub(super) fn new(
        operation: &'static str,
        inputs: Vec<Option<Arc<Self>>>,
        rule: Rule,
        shape: Shape,
    ) -> Arc<Self> {
        Arc::new(Self {
            number: next_number(),
            operation,
            shape,
            inputs,
            rule: Mutex::new(Some(Arc::new(rule))),
        })
    }

    pub(super) fn is_leaf(&self) -> bool {
        self.inputs.is_empty()
    }

    /// The rule; with `free` it is used up, and with it the tensors that it kept.
    fn rule(&self, free: bool) -> Result<Arc<Rule>> {
        let mut rule = self.rule.lock().unwrap_or_else(PoisonError::into_inner);
        let found = if free { rule.take() } else { rule.clone() };
        found.ok_or_else(|| {
            let expected = format!("a tape that still has its {}", self.operation);
            let found = "one that an earlier backward pass has freed; keep it by `retain`";
            Error::operation("backward", [self.shape], expected, found)
        })
    }
}

/// A chain of a million operations must not be dropped by a recursion of a million calls.
impl Drop for Node {
    fn drop(&mut self) {
        let mut left: Vec<Arc<Node>> = self.inputs.drain(..).flatten().collect();
        while let Some(node) = left.pop() {
            if let Some(mut node) = Arc::into_inner(node) {
                left.extend(node.inputs.drain(..).flatten());
            }
        }
    }
}

thread_local! {
    static PAUSED: Cell<usize> = const { Cell::new(0) };
}

/// Whether operations of this thread are put on the tape.
pub(super) fn is_recording() -> bool {
    PAUSED.get() == 0
}

/// Runs `work` without a tape: what it computes has no history, and nothing is kept for a backward pass. For this thread
/// only; scopes nest.
pub fn no_gradient<T>(work: impl FnOnce() -> T) -> T {
    struct Scope;
    impl Drop for Scope {
        fn drop(&mut self) {
            PAUSED.set(PAUSED.get() - 1);
        }
    }
    PAUSED.set(PAUSED.get() + 1);
    let _scope = Scope;
    work()
}

/// A tensor that a rule needs later, with the version it had.
pub(super) struct Saved {
    tensor: Tensor,
    version: u64,
    operation: &'static str,
}

impl Saved {
    pub(super) fn new(operation: &'static str, tensor: &Tensor) -> Self {
        Self {
            version: tensor.storage.version(),
            tensor: tensor.detach(),
            operation,
        }
    }

    /// # Errors
    /// If its elements were overwritten since.
    pub(super) fn get(&self) -> Result<&Tensor> {
        if self.tensor.storage.version() == self.version {
            return Ok(&self.tensor);
        }
        let expected = format!("the elements that {} saw", self.operation);
        let found = "others: they were overwritten in place since";
        Err(Error::operation(
            "backward",
            [self.tensor.shape()],
            expected,
            found,
        ))
    }
}

/// The gradients of one backward pass.
#[derive(Debug, Default)]
pub struct Gradients {
    found: HashMap<u64, Tensor>,
}

impl Gradients {
    /// The gradient by a parameter, if the pass met it.
    pub fn get(&self, parameter: &Tensor) -> Option<&Tensor> {
        self.found.get(&parameter.node.as_ref()?.number)
    }

    /// The gradient with respect to a parameter: zeros if the result does not depend on it.
    ///
    /// # Errors
    /// If the tensor is not on the tape at all.
    pub fn of(&self, parameter: &Tensor) -> Result<Tensor> {
        if parameter.node.is_none() {
            let expected = "a parameter or a tensor made of one";
            return Err(Error::argument(
                "gradient",
                expected,
                "a tensor off the tape",
            ));
        }
        match self.get(parameter) {
            Some(gradient) => Ok(gradient.clone()),
            None => Tensor::zeros(parameter.device(), &parameter.shape()),
        }
    }

    /// Puts another gradient in the place of a parameter's.
    pub fn replace(&mut self, parameter: &Tensor, gradient: Tensor) {
        if let Some(node) = &parameter.node {
            self.found.insert(node.number, gradient);
        }
    }
}

impl Tensor {
    /// The gradients of this tensor, of one element, by every parameter it was made of. The tape behind it is freed.
    ///
    /// # Errors
    /// More than one element (see [`Tensor::backward_with`]), no parameter behind it, a tape that an earlier pass has
    /// freed, elements overwritten that a gradient needs.
    pub fn backward(&self) -> Result<Gradients> {
        let upstream = self.unit_upstream()?;
        self.go_back(&upstream, &[], true)
    }

    /// The gradients of Σ upstream ⊙ self by every parameter; `upstream` is stretched to this shape. The tape is freed.
    pub fn backward_with(&self, upstream: &Tensor) -> Result<Gradients> {
        self.go_back(upstream, &[], true)
    }

    /// As [`Tensor::backward_with`], also by the tensors `wanted` between here and the parameters, leaving the tape whole for
    /// another pass.
    pub fn backward_retaining(&self, upstream: &Tensor, wanted: &[&Tensor]) -> Result<Gradients> {
        self.go_back(upstream, wanted, false)
    }

    fn unit_upstream(&self) -> Result<Tensor> {
        if self.elements() == 1 {
            return Tensor::ones(self.device(), &self.shape());
        }
        let expected = "1 element, or an upstream gradient by `backward_with`";
        let found = format!("{} elements", self.elements());
        Err(Error::operation(
            "backward",
            [self.shape()],
            expected,
            found,
        ))
    }

    fn go_back(&self, upstream: &Tensor, wanted: &[&Tensor], free: bool) -> Result<Gradients> {
        let fail = |expected: &str, found: String| {
            Error::operation("backward", [self.shape()], expected, found)
        };
        let Some(root) = &self.node else {
            return Err(fail(
                "a tensor made of a parameter",
                "one off the tape".to_owned(),
            ));
        };
        if upstream.device() != self.device() {
            let found = format!("one of {}", upstream.device().name());
            return Err(fail("an upstream gradient of the same device", found));
        }
        let Some(layout) = upstream.layout.broadcast_to(self.shape()) else {
            let found = format!("{:?}", upstream.shape());
            return Err(fail("an upstream gradient that stretches to it", found));
        };
        let upstream = Tensor {
            layout,
            ..upstream.detach()
        };
        let numbers = wanted
            .iter()
            .filter_map(|one| Some(one.node.as_ref()?.number));
        let wanted: HashSet<u64> = numbers.collect();
        no_gradient(|| {
            let mut gradients = Gradients::default();
            // By descending number; every consumer of a node has a higher one.
            let mut left = BTreeMap::from([(root.number, (Arc::clone(root), upstream))]);
            while let Some((number, (node, gradient))) = left.pop_last() {
                if node.is_leaf() || wanted.contains(&number) {
                    gradients.found.insert(number, gradient.clone());
                }
                if node.is_leaf() {
                    continue;
                }
                let needs: Vec<bool> = node.inputs.iter().map(Option::is_some).collect();
                let parts = node.rule(free)?(&gradient, &needs)?;
                for (input, part) in node.inputs.iter().zip(parts) {
                    let (Some(input), Some(part)) = (input, part) else {
                        continue;
                    };
                    debug_assert_eq!(part.shape(), input.shape, "{}", node.operation);
                    let sum = match left.remove(&input.number) {
                        Some((_, before)) => before.add(&part)?,
                        None => part,
                    };
                    left.insert(input.number, (Arc::clone(input), sum));
                }
            }
            Ok(gradients)
        })
    }
}
