//! Sums as engines compute them, and the same sums with a check.

/// A number that its type cannot hold, so that an engine computes another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// A lane of an accumulator is out of 16 bits.
    Accumulator {
        /// The lane.
        lane: usize,
        /// Its value.
        value: i64,
    },
    /// A sum of a layer is out of 32 bits. Layer 0 is the first one after the accumulators.
    Sum {
        /// The layer.
        layer: usize,
        /// The output of the layer.
        output: usize,
        /// The value of the sum.
        value: i64,
    },
}

impl core::fmt::Display for Overflow {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Accumulator { lane, value } => {
                write!(
                    f,
                    "accumulator, lane {lane}: expected 16 bits, found {value}"
                )
            }
            Self::Sum {
                layer,
                output,
                value,
            } => write!(
                f,
                "layer {layer} after the accumulators, output {output}: \
                 expected 32 bits, found {value}"
            ),
        }
    }
}

/// How sums of 32 bits are computed.
pub(crate) trait Sums {
    /// A bias and the sum of products. Each product is a number of 32 bits too.
    fn sum(
        &mut self,
        layer: usize,
        output: usize,
        bias: i32,
        pairs: impl Iterator<Item = (i32, i32)>,
    ) -> i32;
    /// A wide number as one of 32 bits.
    fn narrow(&mut self, layer: usize, output: usize, value: i64) -> i32;
}

/// Wraps around, as engines do.
pub(crate) struct Wrapping;

impl Sums for Wrapping {
    #[inline(always)]
    fn sum(
        &mut self,
        _: usize,
        _: usize,
        bias: i32,
        pairs: impl Iterator<Item = (i32, i32)>,
    ) -> i32 {
        pairs.fold(bias, |sum, (a, b)| sum.wrapping_add(a.wrapping_mul(b)))
    }

    #[inline(always)]
    fn narrow(&mut self, _: usize, _: usize, value: i64) -> i32 {
        value as i32
    }
}

/// Keeps the first overflow.
#[derive(Default)]
pub(crate) struct Checked {
    pub(crate) overflow: Option<Overflow>,
}

impl Sums for Checked {
    fn sum(
        &mut self,
        layer: usize,
        output: usize,
        bias: i32,
        pairs: impl Iterator<Item = (i32, i32)>,
    ) -> i32 {
        let mut sum = i64::from(bias);
        for (a, b) in pairs {
            sum += i64::from(self.narrow(layer, output, i64::from(a) * i64::from(b)));
        }
        self.narrow(layer, output, sum)
    }

    fn narrow(&mut self, layer: usize, output: usize, value: i64) -> i32 {
        if i32::try_from(value).is_err() {
            self.overflow.get_or_insert(Overflow::Sum {
                layer,
                output,
                value,
            });
        }
        value as i32
    }
}
