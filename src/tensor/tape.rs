//! The tape: the operations and operands of each tensor, and the backward pass over them.
//!
//! Every tensor that depends on a parameter holds its node, and a node holds the nodes of its
//! operands. The numbers of nodes ascend with time, so a backward pass visits them in descending
//! order.

use super::Tensor;
use crate::error::{Error, Result};
use crate::tensor::shape::Shape;
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Computes the gradients of the operands from the gradient of the result. The flags tell which
/// operands need a gradient.
pub(super) type Rule = Box<dyn Fn(&Tensor, &[bool]) -> Result<Vec<Option<Tensor>>> + Send + Sync>;

/// The node of a tensor on the tape.
pub(super) struct Node {
    number: u64,
    operation: &'static str,
    shape: Shape,
    inputs: Vec<Option<Arc<Node>>>,
    /// `None` for a parameter, and after a backward pass has used the rule.
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

    /// The rule. `free` removes it from the node, so that it and its saved tensors are dropped
    /// after use.
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

/// A loop drops the nodes, because a chain of a million operations must not need a million
/// recursive calls.
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

/// Runs `work` without a tape: its results have no history, and nothing is kept for a backward
/// pass. It affects only this thread, and calls may nest.
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

/// A tensor that a rule needs later, with its version when it was saved.
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
    /// The gradient with respect to a parameter, if the result depends on it.
    pub fn get(&self, parameter: &Tensor) -> Option<&Tensor> {
        self.found.get(&parameter.node.as_ref()?.number)
    }

    /// The gradient with respect to a parameter: zeros if the result does not depend on it.
    ///
    /// # Errors
    /// A tensor that is not on the tape.
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

    /// Replaces the gradient of a parameter.
    pub fn replace(&mut self, parameter: &Tensor, gradient: Tensor) {
        if let Some(node) = &parameter.node {
            self.found.insert(node.number, gradient);
        }
    }
}

impl Tensor {
    /// The gradients of this tensor, which has one element, with respect to every parameter on
    /// which it depends. The pass frees the tape.
    ///
    /// # Errors
    /// More than one element (see [`Tensor::backward_with`]), a result that depends on no
    /// parameter, a tape that an earlier pass has freed, or overwritten elements that a gradient
    /// needs.
    pub fn backward(&self) -> Result<Gradients> {
        let upstream = self.unit_upstream()?;
        self.go_back(&upstream, &[], true)
    }

    /// The gradients of Σ upstream ⊙ self with respect to every parameter. `upstream` is stretched
    /// to the shape of this tensor. The pass frees the tape.
    pub fn backward_with(&self, upstream: &Tensor) -> Result<Gradients> {
        self.go_back(upstream, &[], true)
    }

    /// As [`Tensor::backward_with`], and also with respect to the intermediate tensors `wanted`. It
    /// does not free the tape, so another pass can follow.
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
            // The nodes are visited by descending number, because every consumer of a node has a
            // higher number.
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
