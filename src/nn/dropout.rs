//! Dropout.

use super::layer::{Layer, Mode};
use crate::error::{Error, Result};
use crate::tensor::Tensor;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::sync::{Mutex, PoisonError};

/// During training, each element becomes 0 with probability p, and x/(1 − p) otherwise. In
/// evaluation the layer changes nothing.
///
/// The host draws the elements, so a seed drops the same elements on every device.
#[derive(Debug)]
pub struct Dropout {
    rate: f32,
    random: Mutex<ChaCha8Rng>,
}

impl Dropout {
    /// A layer with p = `rate`, from 0 to below 1.
    ///
    /// # Errors
    /// Another rate.
    pub fn new(rate: f32, seed: u64) -> Result<Self> {
        if !(0.0..1.0).contains(&rate) {
            return Err(Error::argument(
                "dropout rate",
                "a number from 0 to below 1",
                rate,
            ));
        }
        Ok(Self {
            rate,
            random: Mutex::new(ChaCha8Rng::seed_from_u64(seed)),
        })
    }
}

impl Layer for Dropout {
    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        if mode == Mode::Evaluation || self.rate == 0.0 {
            return Ok(x.clone());
        }
        let scale = 1.0 / (1.0 - self.rate);
        let factors: Vec<f32> = {
            let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
            let mut draw = |_| match random.random::<f32>() {
                drawn if drawn < self.rate => 0.0,
                _ => scale,
            };
            (0..x.elements()).map(&mut draw).collect()
        };
        x.mul(&Tensor::new(x.device(), &factors, &x.shape())?)
    }
}
