//! Networks that an engine does not evaluate: what they can be written as, and what refuses them.

use crate::support::{encoding, format, free, inputs, layered, parameters, plain, refused};
use wgrad::nnue::data::Encoding;
use wgrad::nnue::export::{IntegerModel, Quantized, SaveFormat};
use wgrad::nnue::{Activation, Architecture};

fn chess() -> Encoding {
    encoding(inputs("chess768", None), 1)
}

/// Bytes are written, and the integer evaluation names what it does not know.
#[track_caller]
fn bytes_alone(format: &SaveFormat, architecture: &Architecture, words: &[&str]) {
    let net = parameters(architecture, 0.4, 26);
    let quantized = Quantized::new(format, &net, Some(&chess())).unwrap();
    let bytes = quantized.to_bytes().unwrap();
    let read = Quantized::from_bytes(format, architecture, Some(&chess()), &bytes).unwrap();
    assert_eq!(read, quantized);
    refused(
        quantized.network(),
        &[&["integer evaluation"], words].concat(),
    );
    refused(IntegerModel::new(&quantized), words);
    // The container of wgrad-inference holds nothing but integer networks.
    let own = SaveFormat::preset("wgrad", architecture).unwrap();
    if let Ok(quantized) = Quantized::new(&own, &net, Some(&chess())) {
        refused(quantized.to_bytes(), words);
    }
}

#[test]
fn a_clip_other_than_1_has_bytes_but_no_integer_evaluation() {
    let architecture = plain(&chess(), 4).clip(0.5);
    bytes_alone(
        &free("bullet", &architecture),
        &architecture,
        &["clip (T)", "0.5"],
    );
}

#[test]
fn relu_accumulators_have_bytes_but_no_integer_evaluation() {
    let architecture = plain(&chess(), 4).activation(Activation::Relu);
    let words = ["activation", "crelu or screlu", "relu"];
    bytes_alone(&free("bullet", &architecture), &architecture, &words);
}

#[test]
fn a_product_without_layers_has_bytes_but_no_integer_evaluation() {
    let architecture = plain(&chess(), 4)
        .activation(Activation::CRelu)
        .pairwise(true);
    let words = ["pairwise", "hidden layers after the product"];
    bytes_alone(&free("bullet", &architecture), &architecture, &words);
}

#[test]
fn squares_before_a_product_have_bytes_but_no_integer_evaluation() {
    let architecture = layered(&chess(), 4, &["2:crelu"]).activation(Activation::SCRelu);
    let words = ["activation", "crelu before a pairwise product", "screlu"];
    bytes_alone(&free("bullet", &architecture), &architecture, &words);
}

#[test]
fn a_format_without_an_evaluation_has_bytes_alone() {
    let architecture = plain(&chess(), 4);
    let words = ["format", "[evaluation]"];
    let net = parameters(&architecture, 0.4, 26);
    let format = free("raw", &architecture);
    let quantized = Quantized::new(&format, &net, Some(&chess())).unwrap();
    refused(quantized.network(), &words);
    let mut without = free("bullet", &architecture);
    without.evaluation = None;
    let quantized = Quantized::new(&without, &net, Some(&chess())).unwrap();
    refused(quantized.network(), &words);
}

#[test]
fn an_untied_network_needs_a_format_of_its_own() {
    let mut architecture = plain(&chess(), 2);
    architecture.tied = false;
    let net = parameters(&architecture, 0.4, 27);
    let new = Quantized::new(&free("bullet", &architecture), &net, Some(&chess()));
    refused(
        new,
        &[
            "tensors",
            "every tensor of (768 -> 2) x 2 -> 1, untied",
            "none for A2",
        ],
    );
    let entries = ["A1", "A2", "B1", "B2", "C", "d"];
    let entry = |name: &&str| format!("[[tensors]]\ntensor = '{name}'\ntype = 'i16'\nscale = 64\n");
    let text: String = entries.iter().map(entry).collect();
    let both = format(&format!("{text}[evaluation]\nscale = 400\n"));
    bytes_alone(
        &both,
        &architecture,
        &["network", "a tied one", "an untied one"],
    );
}

#[test]
fn another_game_has_bytes_but_no_integer_evaluation() {
    let architecture = Architecture::new(42, 3).tied();
    let net = parameters(&architecture, 0.4, 28);
    let quantized = Quantized::new(&free("bullet", &architecture), &net, None).unwrap();
    assert_eq!(quantized.to_bytes().unwrap().len(), 320);
    refused(
        quantized.network(),
        &["integer evaluation, inputs", "features of chess"],
    );
    let chess = Quantized::new(&free("bullet", &architecture), &net, Some(&chess()));
    refused(chess, &["768", "42"]);
}

#[test]
fn scales_that_do_not_fit_the_arithmetic_are_named() {
    let net = parameters(&plain(&chess(), 4), 0.4, 29);
    let layered = layered(&chess(), 4, &["2:dual", "2:crelu"]);
    let deep = parameters(&layered, 0.2, 29);
    for (name, tensor, scale, words) in [
        (
            "bullet",
            "A1",
            254.5,
            ["scale of A1", "a whole number up to 32767"],
        ),
        ("bullet", "B1", 128.0, ["scale of B1", "255"]),
        ("bullet", "C", 0.5, ["scale of C", "a whole number"]),
        ("bullet", "d", 255.0, ["scale of d", "16320"]),
        ("hobbes", "c1", 65.0, ["scale of c1", "64"]),
        ("hobbes", "W3", 32.0, ["scale of W3", "64"]),
        ("hobbes", "c2", 64.0, ["scale of c2", "262144"]),
        ("hobbes", "c3", 64.0, ["scale of c3", "16777216"]),
        ("integral", "c2", 2.0, ["c2", "a scale of 1"]),
    ] {
        let net = if name == "bullet" { &net } else { &deep };
        let mut format = free(name, net.architecture());
        // The tensors of a star have no entry of their own.
        let entry = format.tensors.iter_mut().find(|entry| {
            entry.tensor == tensor
                || entry.tensor.ends_with('*') && entry.tensor[..1] == tensor[..1]
        });
        entry.unwrap().scale = scale;
        let quantized = Quantized::new(&format, net, Some(&chess())).unwrap();
        refused(quantized.network(), &words);
    }
    let mut floats = free("bullet", net.architecture());
    floats.tensors[2].kind = wgrad::nnue::export::Number::F32;
    let quantized = Quantized::new(&floats, &net, Some(&chess())).unwrap();
    refused(
        quantized.network(),
        &["integer evaluation, C", "integers", "floats"],
    );
    let mut shift = free("hobbes", &layered);
    shift.evaluation.as_mut().unwrap().product_shift = 7;
    let quantized = Quantized::new(&shift, &deep, Some(&chess())).unwrap();
    refused(
        quantized.network(),
        &["product_shift", "within 8 bits", "up to 508"],
    );
    let skip = layered.clone().skip(true);
    let deep = parameters(&skip, 0.2, 29);
    let quantized = Quantized::new(&free("hobbes", &skip), &deep, Some(&chess())).unwrap();
    refused(
        quantized.network(),
        &["skip connection with an integer tail", "none", "one"],
    );
}

/// A larger QA than 255 is read back from the file that has it.
#[test]
fn finer_accumulators_are_read_back() {
    let architecture = plain(&chess(), 4);
    let net = parameters(&architecture, 0.4, 30);
    let mut fine = SaveFormat::preset("wgrad", &architecture).unwrap();
    for (tensor, scale) in [1024.0, 1024.0, 64.0, 65_536.0].into_iter().enumerate() {
        fine.tensors[tensor].scale = scale;
    }
    let quantized = Quantized::new(&fine, &net, Some(&chess())).unwrap();
    let bytes = quantized.to_bytes().unwrap();
    let read = Quantized::from_bytes(&fine, &architecture, Some(&chess()), &bytes).unwrap();
    assert_eq!(read.network().unwrap(), quantized.network().unwrap());
    assert!(read.to_bytes().unwrap() == bytes);
}
