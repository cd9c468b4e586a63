//! Products of the two halves of an activated vector (section 4).

use super::Tensor;
use super::op::Op;
use super::tape::Saved;
use crate::error::Result;
use crate::tensor::kernels::{pairwise, pairwise_gradient};

const NAME: &str = "pairwise";

impl Tensor {
    /// h\[…, r\]·h\[…, r + K/2\] for r < K/2, where h = min(max(z, 0), T) with the clip T: from
    /// \[…, K\] to \[…, K/2\].
    ///
    /// Gradient: g times the other factor where 0 ≤ z ≤ T, both ends included, else 0.
    ///
    /// # Errors
    /// A scalar, an odd K, a clip that is not a finite number above 0.
    pub fn pairwise(&self, clip: f32) -> Result<Self> {
        let op = Op::new(NAME, [self])?;
        if !(clip > 0.0 && clip.is_finite()) {
            return Err(op.fail("a finite clip above 0", clip));
        }
        let shape = self.shape();
        let Some(&lanes) = shape.last() else {
            return Err(op.fail("at least 1 axis", "a scalar"));
        };
        if !lanes.is_multiple_of(2) {
            return Err(op.fail("an even number of lanes on the last axis (K)", lanes));
        }
        let half = lanes / 2;
        let pairs = shape.with(|sizes| {
            sizes.pop();
            sizes.push(half);
        })?;
        let rows = pairs.elements().checked_div(half).unwrap_or(0);
        let (z, y) = (self.dense()?, op.output(pairs)?);
        let params = pairwise::Params {
            rows: rows as u32,
            half: half as u32,
            clip,
        };
        let buffers = pairwise::Buffers {
            z: z.buffer(),
            y: y.buffer(),
        };
        op.dispatch(0, params, buffers)?;
        let saved = Saved::new(NAME, &z);
        op.record_one(y, move |g| {
            let (z, g) = (saved.get()?, g.dense()?);
            let op = Op::new(NAME, [z, &g])?;
            let gradient = op.output(shape)?;
            let params = pairwise_gradient::Params {
                rows: rows as u32,
                half: half as u32,
                clip,
            };
            let buffers = pairwise_gradient::Buffers {
                z: z.buffer(),
                upstream: g.buffer(),
                gradient: gradient.buffer(),
            };
            op.dispatch(0, params, buffers)?;
            Ok(gradient)
        })
    }
}
