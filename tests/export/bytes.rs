//! Files of bullet's four examples against a layout that is written here.

use crate::support::{
    encoding, format, free, inputs, integers, layered, parameters, plain, small_buckets,
};
use wgrad::nnue::export::{Quantized, Rounding, SaveFormat};
use wgrad::nnue::{Activation, Architecture, ParameterName, Parameters};

/// The bytes of a file, with the arithmetic of the formats in its plainest form.
struct Layout {
    bytes: Vec<u8>,
    truncates: bool,
}

impl Layout {
    fn new(truncates: bool) -> Self {
        let bytes = Vec::new();
        Self { bytes, truncates }
    }

    /// The integer of a weight.
    fn integer(&self, weight: f32, scale: impl Into<f64>) -> i32 {
        let scaled = f64::from(weight) * scale.into();
        if self.truncates {
            return scaled as i32;
        }
        let size = (scaled.abs() + 0.5).floor() as i32;
        if scaled < 0.0 { -size } else { size }
    }

    fn i16(&mut self, weights: &[f32], scale: i32) {
        for &weight in weights {
            let value = i16::try_from(self.integer(weight, scale)).unwrap();
            self.bytes.extend(value.to_le_bytes());
        }
    }

    fn i8(&mut self, weights: &[f32], scale: f64) {
        for &weight in weights {
            let value = i8::try_from(self.integer(weight, scale)).unwrap();
            self.bytes.extend(value.to_le_bytes());
        }
    }

    fn i32(&mut self, weights: &[f32], scale: i32) {
        for &weight in weights {
            self.bytes.extend(self.integer(weight, scale).to_le_bytes());
        }
    }

    fn f32(&mut self, weights: &[f32]) {
        for weight in weights {
            self.bytes.extend(weight.to_le_bytes());
        }
    }

    /// The text `bullet` up to the next multiple of 64.
    fn padded(mut self) -> Vec<u8> {
        let mut text = 0;
        while !self.bytes.len().is_multiple_of(64) {
            self.bytes.push(b"bullet"[text % 6]);
            text += 1;
        }
        self.bytes
    }
}

/// Some weights whose products with 64 and 128 are halves, of both signs.
fn with_halves(architecture: &Architecture, limit: f32) -> Parameters {
    let mut parameters = parameters(architecture, limit, 3);
    for values in parameters.values_mut() {
        for (at, value) in values.iter_mut().enumerate().filter(|(at, _)| at % 5 == 0) {
            let odd = 2 * (at / 5 % 40) as i32 - 39;
            *value = odd as f32 / 256.0;
        }
    }
    parameters
}

#[track_caller]
fn written(
    format: &SaveFormat,
    parameters: &Parameters,
    encoding: &wgrad::nnue::data::Encoding,
) -> Vec<u8> {
    let quantized = Quantized::new(format, parameters, Some(encoding)).unwrap();
    quantized.to_bytes().unwrap()
}

fn roundings(format: &SaveFormat) -> [(bool, SaveFormat); 2] {
    [
        (false, format.clone()),
        (true, format.clone().rounding(Rounding::Truncate)),
    ]
}

#[test]
fn one_output_and_output_buckets() {
    use ParameterName::{A1, B1, C, D};
    for buckets in [1, 8] {
        let encoding = encoding(inputs("chess768", None), buckets);
        let architecture = plain(&encoding, 6);
        let net = with_halves(&architecture, 1.98);
        let get = |name| net.get(name).unwrap();
        let format = free("bullet", &architecture);
        let mut files = Vec::new();
        for (truncates, format) in roundings(&format) {
            let mut layout = Layout::new(truncates);
            layout.i16(get(A1), 255);
            layout.i16(get(B1), 255);
            layout.i16(get(C), 64);
            layout.i16(get(D), 255 * 64);
            files.push(layout.padded());
            assert_eq!(written(&format, &net, &encoding), files[files.len() - 1]);
        }
        assert_ne!(files[0], files[1]);
    }
}

#[test]
fn input_buckets_add_the_shared_part_in_32_bits() {
    use ParameterName::{A1, B1, C, D, Shared1};
    let kings = inputs("king-buckets-mirrored", Some(&small_buckets()));
    let encoding = encoding(kings, 1);
    let architecture = plain(&encoding, 3).factorised(true).unwrap();
    let mut net = with_halves(&architecture, 0.9);
    // The sum is a little below a half of an integer in 64 bits, and the half in 32 bits.
    net.values_mut()[0][..2].copy_from_slice(&[1.0 / 128.0, -1.0 / 128.0]);
    net.values_mut()[1][..2].copy_from_slice(&[-(2f32.powi(-40)), 2f32.powi(-40)]);
    let (own, shared) = (net.get(A1).unwrap(), net.get(Shared1).unwrap());
    let sums: Vec<f32> = (0..own.len())
        .map(|at| own[at] + shared[at % shared.len()])
        .collect();
    let mut format = free("bullet", &architecture);
    for scale in [255, 64] {
        format.tensors[0].scale = scale.into();
        for (truncates, format) in roundings(&format) {
            let mut layout = Layout::new(truncates);
            layout.i16(&sums, scale);
            layout.i16(net.get(B1).unwrap(), 255);
            layout.i16(net.get(C).unwrap(), 64);
            layout.i16(net.get(D).unwrap(), 255 * 64);
            assert_eq!(written(&format, &net, &encoding), layout.padded());
        }
    }
    let quantized = Quantized::new(&format, &net, Some(&encoding)).unwrap();
    assert_eq!(integers(&quantized, "A1")[..2], [1, -1]);
}

#[test]
fn layers_are_transposed_if_the_format_says_so() {
    use ParameterName::{A1, B1, Bias, W};
    let encoding = encoding(inputs("chess768", None), 8);
    let architecture = layered(&encoding, 8, &["4:dual", "5:crelu"]);
    let net = with_halves(&architecture, 0.98);
    let get = |name| net.get(name).unwrap();
    let sizes = [(8, 4), (8, 5), (5, 1)];
    // [bucket][output][input] in memory, [input][bucket][output] in the file.
    let transposed = |layer: usize| -> Vec<f32> {
        let (width, outputs) = sizes[layer];
        let mut found = Vec::new();
        for input in 0..width {
            for bucket in 0..8 {
                for output in 0..outputs {
                    found.push(get(W(layer))[(bucket * outputs + output) * width + input]);
                }
            }
        }
        found
    };
    for (truncates, format) in roundings(&free("bullet", &architecture)) {
        let mut layout = Layout::new(truncates);
        layout.i16(get(A1), 255);
        layout.i16(get(B1), 255);
        layout.i8(get(W(0)), 64.0);
        layout.f32(get(Bias(0)));
        for layer in 1..3 {
            layout.f32(get(W(layer)));
            layout.f32(get(Bias(layer)));
        }
        assert_eq!(written(&format, &net, &encoding), layout.padded());
    }
    for (truncates, format) in roundings(&free("hobbes", &architecture)) {
        let mut layout = Layout::new(truncates);
        layout.i16(get(A1), 255);
        layout.i16(get(B1), 255);
        // 64·256 for products that end at 255² ÷ 512.
        layout.i8(&transposed(0), 129.0058900422914);
        layout.i32(get(Bias(0)), 64);
        layout.i32(&transposed(1), 64);
        layout.i32(get(Bias(1)), 1 << 18);
        layout.i32(&transposed(2), 64);
        layout.i32(get(Bias(2)), 1 << 24);
        assert_eq!(written(&format, &net, &encoding), layout.padded());
    }
    let mut layout = Layout::new(false);
    for tensor in [A1, B1] {
        layout.f32(get(tensor));
    }
    for layer in 0..3 {
        layout.f32(&transposed(layer));
        layout.f32(get(Bias(layer)));
    }
    assert_eq!(
        written(&free("raw", &architecture), &net, &encoding),
        layout.bytes
    );
}

#[test]
fn raw_files_have_output_weights_by_input_and_the_shared_part_after_the_own_one() {
    use ParameterName::{A1, B1, C, D, Shared1};
    let kings = inputs("king-buckets-mirrored", Some(&small_buckets()));
    let encoding = encoding(kings, 8);
    let architecture = plain(&encoding, 2).factorised(true).unwrap();
    let net = parameters(&architecture, 3.0, 4);
    let mut layout = Layout::new(false);
    for tensor in [A1, Shared1, B1] {
        layout.f32(net.get(tensor).unwrap());
    }
    let weights = net.get(C).unwrap();
    for input in 0..4 {
        for bucket in 0..8 {
            layout.f32(&weights[4 * bucket + input..][..1]);
        }
    }
    layout.f32(net.get(D).unwrap());
    assert_eq!(
        written(&free("raw", &architecture), &net, &encoding),
        layout.bytes
    );
}

/// A format of a small network with other ends and places.
fn small(padding: &str, keys: &str) -> SaveFormat {
    format(&format!(
        "[padding]\n{padding}\n[[tensors]]\ntensor = 'A1'\ntype = 'i8'\nscale = 64\n\
         [[tensors]]\ntensor = 'B1'\ntype = 'i16'\n{keys}\n\
         [[tensors]]\ntensor = 'C'\ntype = 'i8'\n[[tensors]]\ntensor = 'd'\ntype = 'i8'\n"
    ))
}

#[test]
fn ends_and_places_are_filled_as_the_format_says() {
    let architecture = Architecture::new(5, 3)
        .tied()
        .activation(Activation::SCRelu);
    let net = parameters(&architecture, 1.0, 5);
    let bytes = |padding: &str, keys: &str| {
        let quantized = Quantized::new(&small(padding, keys), &net, None).unwrap();
        quantized.to_bytes().unwrap()
    };
    // 15 bytes of A1, 6 of B1, 6 of C, 1 of d.
    let whole = bytes("", "");
    assert_eq!(whole.len(), 28);
    // An exact multiple has no padding.
    for exact in [1, 2, 4, 7, 14, 28] {
        assert_eq!(bytes(&format!("to = {exact}\nwith = 'bullet'"), ""), whole);
    }
    let text = bytes("to = 64\nwith = 'bullet'", "");
    assert_eq!(text[..28], whole);
    assert_eq!(text[28..], *b"bulletbulletbulletbulletbulletbullet");
    let zeros = bytes("to = 32", "");
    assert_eq!((&zeros[..28], &zeros[28..]), (&whole[..], &[0; 4][..]));
    // B1 begins at byte 16, after a zero.
    let aligned = bytes("", "align = 16");
    assert_eq!(aligned.len(), 29);
    assert_eq!((&aligned[..15], aligned[15]), (&whole[..15], 0));
    assert_eq!(aligned[16..], whole[15..]);
    // A tensor of one rounding in a format of another.
    let mut halves = net.clone();
    halves.values_mut()[1].copy_from_slice(&[0.5, -0.5, 1.5]);
    let rounded = |keys: &str| {
        let quantized = Quantized::new(&small("", keys), &halves, None).unwrap();
        integers(&quantized, "B1").to_vec()
    };
    assert_eq!(rounded(""), [1, -1, 2]);
    assert_eq!(rounded("rounding = 'truncate'"), [0, 0, 1]);
}
