//! The steps of every operation: it checks its operands, allocates its result, dispatches a kernel,
//! and records its result on the tape.

use super::Tensor;
use super::storage::Storage;
use super::tape::{self, Node, Rule};
use crate::engine::device::Device;
use crate::engine::kernel::{Element, Params};
use crate::error::{Error, Result};
use crate::tensor::kernels::copy;
use crate::tensor::shape::{Layout, Shape};

/// An operation with its operands, all on one device.
pub(super) struct Op<'a> {
    name: &'static str,
    operands: Vec<&'a Tensor>,
}

impl<'a> Op<'a> {
    /// # Errors
    /// No operand, or operands on different devices.
    pub(super) fn new(name: &'static str, operands: impl Into<Vec<&'a Tensor>>) -> Result<Self> {
        let operands = operands.into();
        let op = Self { name, operands };
        let Some(first) = op.operands.first() else {
            return Err(op.fail("at least 1 tensor", "none"));
        };
        let mut others = op.operands.iter().map(|operand| operand.device());
        match others.find(|other| *other != first.device()) {
            None => Ok(op),
            Some(other) => {
                let expected = format!("tensors of one device, {}", first.device().name());
                Err(op.fail(expected, format!("one of {}", other.name())))
            }
        }
    }

    pub(super) fn operands(&self) -> &[&'a Tensor] {
        &self.operands
    }

    pub(super) fn operand(&self, index: usize) -> &'a Tensor {
        self.operands[index]
    }

    pub(super) fn device(&self) -> &'a Device {
        self.operands[0].device()
    }

    /// # Errors
    /// Another device than the operands': `what` is on it.
    pub(super) fn check_device(&self, what: &str, device: &Device) -> Result<()> {
        if device == self.device() {
            return Ok(());
        }
        let expected = format!("{what} on {}", self.device().name());
        Err(self.fail(expected, format!("{what} on {}", device.name())))
    }

    /// An error that names the operation and the shapes of its operands. An empty `found` blames
    /// the shapes themselves.
    pub(super) fn fail(&self, expected: impl Into<String>, found: impl ToString) -> Error {
        let shapes = self.operands.iter().map(|operand| operand.shape());
        let found = match found.to_string() {
            found if found.is_empty() => "these".to_owned(),
            found => found,
        };
        Error::operation(self.name, shapes, expected, found)
    }

    /// Turns an error about an argument into an error of this operation.
    pub(super) fn explain(&self, error: Error) -> Error {
        match error {
            Error::Argument(fault) => {
                self.fail(format!("{}: {}", fault.place, fault.expected), fault.found)
            }
            other => other,
        }
    }

    /// A row-major tensor for a result.
    pub(super) fn output(&self, shape: Shape) -> Result<Tensor> {
        let shapes = self.operands.iter().map(|operand| operand.shape());
        let operands = crate::error::listed(shapes);
        let what = || format!("the result {shape:?} of {} of {operands}", self.name);
        let storage = Storage::new(self.device(), self.name, Element::Float, shape);
        let storage = storage.map_err(|error| match error {
            Error::Limit {
                device,
                needed,
                limit,
                advice,
                ..
            } => Error::Limit {
                what: what(),
                device,
                needed,
                limit,
                advice,
            },
            Error::Device { device, reason, .. } => Error::Device {
                device,
                operation: format!("allocate {}", what()),
                reason,
            },
            other => other,
        })?;
        Ok(Tensor::from_storage(storage, shape))
    }

    /// Runs a kernel on tensors' buffers.
    pub(super) fn dispatch<P: Params>(
        &self,
        variant: usize,
        params: P,
        buffers: P::Buffers,
    ) -> Result<()> {
        self.device().dispatch(variant, params, buffers)
    }

    /// Copies one view into another of the same shape and of another buffer.
    pub(super) fn copy(
        &self,
        (from, from_layout): (&Tensor, Layout),
        (to, to_layout): (&Tensor, Layout),
    ) -> Result<()> {
        let params = copy::Params::new(&from_layout, &to_layout);
        let buffers = copy::Buffers {
            source: from.buffer(),
            destination: to.buffer(),
        };
        self.dispatch(0, params, buffers)
    }

    /// The result, on the tape if an operand is on the tape. From the gradient of the result,
    /// `rule` computes the gradients of the operands that need one.
    pub(super) fn record<F>(&self, result: Tensor, rule: F) -> Result<Tensor>
    where
        F: Fn(&Tensor, &[bool]) -> Result<Vec<Option<Tensor>>> + Send + Sync + 'static,
    {
        let tracked = tape::is_recording() && self.operands.iter().any(|one| one.node.is_some());
        if !tracked {
            return Ok(result);
        }
        let inputs = self.operands.iter().map(|one| one.node.clone()).collect();
        let rule: Rule = Box::new(rule);
        Ok(Tensor {
            node: Some(Node::new(self.name, inputs, rule, result.shape())),
            ..result
        })
    }

    /// As [`Op::record`] for an operation of one operand.
    pub(super) fn record_one<F>(&self, result: Tensor, rule: F) -> Result<Tensor>
    where
        F: Fn(&Tensor) -> Result<Tensor> + Send + Sync + 'static,
    {
        self.record(result, move |g, _| Ok(vec![Some(rule(g)?)]))
    }
}
