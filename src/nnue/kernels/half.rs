//! Floats in 16 bits, two in a word, as the twins read and write them.

/// The largest finite number.
pub const LARGEST: f32 = 65504.0;

/// Rounds to the nearest 16-bit float, halfway to the even one.
fn encode(value: f64) -> u16 {
    let sign = if value.is_sign_negative() { 0x8000 } else { 0 };
    let size = value.abs();
    if size.is_nan() {
        return sign | 0x7e00;
    }
    // From the middle between the largest number and the next one on, it is ∞.
    if size >= 65520.0 {
        return sign | 0x7c00;
    }
    // Numbers below 2⁻¹⁴ have the spacing of those above.
    let exponent = ((size.to_bits() >> 52) as i32 - 1023).max(-14);
    let units = (size * f64::from(10 - exponent).exp2()).round_ties_even() as u16;
    // 1,024 units are one more in the exponent, also for numbers that are rounded up to them.
    sign | ((((exponent + 14) as u16) << 10) + units)
}

/// The value of a 16-bit float.
fn decode(bits: u16) -> f64 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, units) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    sign * match exponent {
        31 if units == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        0 => units * f64::from(-24).exp2(),
        _ => (1024.0 + units) * f64::from(exponent - 25).exp2(),
    }
}

/// Element `i` of 16-bit floats in words.
pub(super) fn get(words: &[u32], i: usize) -> f64 {
    decode(get_units(words, i))
}

/// Sets element `i` of 16-bit floats in words.
pub(super) fn put(words: &mut [u32], i: usize, value: f64) {
    put_units(words, i, encode(value));
}

/// Element `i` of unsigned integers of 16 bits in words.
pub(super) fn get_units(words: &[u32], i: usize) -> u16 {
    (words[i / 2] >> (16 * (i % 2))) as u16
}

/// Sets element `i` of unsigned integers of 16 bits in words.
pub(super) fn put_units(words: &mut [u32], i: usize, value: u16) {
    let shift = 16 * (i % 2);
    let word = &mut words[i / 2];
    *word = *word & !(0xffff << shift) | u32::from(value) << shift;
}

/// The place of a lane in a row of K = `hidden` 16-bit elements. A tile is `tile` consecutive
/// vectors of four lanes; the last tile may have fewer. Vector v of the first half of a tile and
/// vector v of the other half come one after the other, so that one load of 16 bytes reads both.
pub(super) fn place(hidden: usize, lane: usize, tile: usize) -> usize {
    let vector = lane / 4;
    let first = vector / tile * tile;
    let apart = tile.min(hidden / 4 - first) / 2;
    let (half, own) = ((vector - first) / apart, (vector - first) % apart);
    4 * (first + 2 * own + half) + lane % 4
}

/// Rows of K = `hidden` lanes as 16-bit floats in words, in the order of [`place`].
pub(super) fn packed(rows: &[f32], hidden: usize, tile: usize) -> Vec<u32> {
    let mut words = vec![0; rows.len() / 2];
    for (i, &value) in rows.iter().enumerate() {
        let (row, lane) = (i / hidden, i % hidden);
        put(
            &mut words,
            row * hidden + place(hidden, lane, tile),
            f64::from(value),
        );
    }
    words
}

/// The places of Z in 16 bits: Z ÷ `limit`, −1 for a Z below 0, `above` for a Z above `top`. No
/// rounding moves a Z into the mask or out of it.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// T, or 1 without a clip.
    pub limit: f32,
    /// T, or the largest 16-bit float without a clip.
    pub top: f32,
    /// 2, or the largest 16-bit float without a clip.
    pub above: f32,
}

impl Scale {
    /// Of an activation with this T, or without a clip.
    pub fn new(clip: Option<f32>) -> Self {
        match clip {
            Some(clip) => Self {
                limit: clip,
                top: clip,
                above: 2.0,
            },
            None => Self {
                limit: 1.0,
                top: LARGEST,
                above: LARGEST,
            },
        }
    }

    pub(super) fn ratio(&self, z: f64) -> f64 {
        if z < 0.0 {
            -1.0
        } else if z > f64::from(self.top) {
            f64::from(self.above)
        } else {
            z / f64::from(self.limit)
        }
    }
}

/// The scale of a sample's ∂Loss/∂Z: the largest power of 2 up to the largest |δ| and what an L1
/// penalty adds to ∂Loss/∂x, or 1 if that is 0 or too small for one in f32.
pub(super) fn scale_of(delta: &[f64], penalty: f32) -> f64 {
    let largest = delta
        .iter()
        .fold(f64::from(penalty), |most, delta| most.max(delta.abs()));
    let bits = (largest as f32).to_bits() & 0x7f80_0000;
    match bits {
        0 => 1.0,
        _ => f64::from(f32::from_bits(bits)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_survives_and_others_go_to_the_nearest() {
        for bits in (0..0x7c00).chain(0x8000..0xfc00) {
            let value = decode(bits);
            assert_eq!(encode(value), bits, "{value}");
            if bits & 0x7fff < 0x7bff {
                let next = decode(bits + 1);
                let middle = (value + next) / 2.0;
                assert_eq!(encode(middle), bits + (bits & 1), "{middle}");
                assert_eq!(encode(middle + (value - next) / 64.0), bits);
                assert_eq!(encode(middle + (next - value) / 64.0), bits + 1);
            }
        }
        assert_eq!([encode(65504.0), encode(65519.0)], [0x7bff; 2]);
        assert_eq!([encode(65520.0), encode(-1e30)], [0x7c00, 0xfc00]);
        assert!(decode(encode(f64::NAN)).is_nan());
    }

    #[test]
    fn scales_are_powers_of_2() {
        assert_eq!(scale_of(&[], 0.0), 1.0);
        assert_eq!(scale_of(&[0.0, 1e-45], 0.0), 1.0);
        assert_eq!(scale_of(&[0.3, -0.7], 0.1), 0.5);
        assert_eq!(scale_of(&[4.0, 1.0], 0.0), 4.0);
        assert_eq!(scale_of(&[1e-6], 0.0), f64::from(-20).exp2());
        assert_eq!(scale_of(&[1e-6, 0.0], 0.3), 0.25);
    }
}
