//! An optimizer for tensors (section 5).

use crate::error::{Error, Result};
use crate::optim::{Optimizer, StepAt, UpdateBuffers};
use crate::tensor::{Gradients, Tensor};

/// Parameters with an optimizer and its moments. It uses the kernels of the network's trainer.
#[derive(Debug)]
pub struct Descent {
    optimizer: Optimizer,
    parameters: Vec<Tensor>,
    /// For each parameter, one tensor for each name of [`Optimizer::moments`].
    moments: Vec<Vec<Tensor>>,
    /// For each parameter, an element on its device for sinks that leave a buffer alone.
    spares: Vec<Tensor>,
    steps: u64,
}

impl Descent {
    /// An optimizer of these parameters before its first step: the moments are 0, and slow weights
    /// are as [`SlowStart`](crate::optim::SlowStart) says.
    ///
    /// # Errors
    /// As [`Optimizer::check`], and tensors that are not parameters.
    pub fn new(optimizer: Optimizer, parameters: Vec<Tensor>) -> Result<Self> {
        optimizer.check()?;
        let moments = parameters.iter().map(|parameter| {
            if !parameter.is_parameter() {
                let expected = "tensors made by `parameter`, row-major";
                return Err(Error::argument(
                    "parameters",
                    expected,
                    format!("{parameter:?}"),
                ));
            }
            let moment = |name: &&str| {
                let values = match optimizer.starts_at_values(name) {
                    true => parameter.to_vec()?,
                    false => vec![0.0f32; parameter.elements()],
                };
                Tensor::new(parameter.device(), &values, &parameter.shape())
            };
            optimizer.moments().iter().map(moment).collect()
        });
        let spares = parameters
            .iter()
            .map(|parameter| Tensor::zeros(parameter.device(), &[1]));
        Ok(Self {
            spares: spares.collect::<Result<_>>()?,
            moments: moments.collect::<Result<_>>()?,
            optimizer,
            parameters,
            steps: 0,
        })
    }

    /// The parameters.
    pub fn parameters(&self) -> &[Tensor] {
        &self.parameters
    }

    /// The number of steps so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Updates in place every parameter that has a gradient. A tape that still needs the old values
    /// gives an error from then on.
    ///
    /// # Errors
    /// A learning rate that is not finite, and a gradient of another shape than its parameter.
    pub fn step(&mut self, gradients: &Gradients, learning_rate: f32) -> Result<()> {
        if !learning_rate.is_finite() {
            let expected = "a finite number";
            return Err(Error::argument("learning rate", expected, learning_rate));
        }
        self.steps += 1;
        let parameters = self.parameters.iter().zip(&self.moments);
        for ((parameter, moments), spare) in parameters.zip(&self.spares) {
            let Some(gradient) = gradients.get(parameter) else {
                continue;
            };
            let moments: Vec<&Tensor> = moments.iter().collect();
            let at = StepAt {
                number: self.steps,
                learning_rate,
            };
            let length = parameter.elements();
            parameter.update(
                gradient,
                &moments,
                |recording, gradient, moments, values| {
                    let buffers = UpdateBuffers {
                        gradient,
                        moments,
                        values,
                        spare: spare.buffer(),
                    };
                    self.optimizer.record(recording, at, length, buffers);
                },
            )?;
        }
        Ok(())
    }
}
