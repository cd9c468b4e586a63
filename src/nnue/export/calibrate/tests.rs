use super::super::compare::compare;
use super::super::format::SaveFormat;
use super::super::quantized::Quantized;
use crate::nnue::architecture::Architecture;
use crate::nnue::data::{Dataset, Encoding, OutputBuckets};
use crate::nnue::parameters::Parameters;
use crate::nnue::{Activation, HeadActivation, HiddenLayer};

/// A network whose lanes lie in the range of their clip, as those of a trained network do.
fn network(architecture: Architecture) -> Parameters {
    let mut parameters = Parameters::initial(architecture, 5).unwrap();
    let names: Vec<_> = parameters
        .iter()
        .map(|(spec, _)| spec.name.to_string())
        .collect();
    for (name, values) in names.iter().zip(parameters.values_mut()) {
        match name.as_str() {
            "A1" => values.iter_mut().for_each(|weight| *weight *= 2.0),
            "B1" => values.fill(0.3),
            _ => {}
        }
    }
    parameters
}

fn data(name: &str) -> Dataset {
    let path = format!("{}/examples/data/{name}", env!("CARGO_MANIFEST_DIR"));
    Dataset::open(&[path.into()]).unwrap()
}

/// The mean distance on other positions than those of the calibration, before and after it.
fn distances(architecture: Architecture, encoding: &Encoding, format: &SaveFormat) -> [f64; 2] {
    let parameters = network(architecture);
    let quantized = Quantized::new(format, &parameters, Some(encoding)).unwrap();
    let mut calibrated = quantized.clone();
    let training = data("chess_sample.txt");
    let done = calibrated
        .calibrate(&parameters, encoding, &training, 4000)
        .unwrap();
    assert_eq!(done.positions, 4000);
    assert!(done.changed > 0);
    let validation = data("chess_validation.bin");
    [quantized, calibrated].map(|quantized| {
        let network = quantized.network().unwrap();
        let seen = |_| Ok(());
        let found = compare(&network, &parameters, encoding, &validation, seen).unwrap();
        assert_eq!((found.positions, found.overflows), (20_000, 0));
        found.mean
    })
}

#[test]
fn calibration_brings_the_outputs_nearer() {
    let encoding = Encoding::default();
    for activation in [Activation::CRelu, Activation::SCRelu] {
        let architecture = Architecture::new(768, 32).tied().activation(activation);
        let format = SaveFormat::preset("bullet", &architecture).unwrap();
        let [nearest, calibrated] = distances(architecture, &encoding, &format);
        assert!(
            calibrated < 0.7 * nearest,
            "{activation:?}: {nearest} {calibrated}"
        );
    }
}

#[test]
fn calibration_of_hidden_layers_brings_the_outputs_nearer() {
    let buckets = OutputBuckets::material(2).unwrap();
    let encoding = Encoding::new(Default::default(), buckets);
    let layers = vec![
        HiddenLayer::new(8, HeadActivation::DualSquare),
        HiddenLayer::new(16, HeadActivation::CRelu),
    ];
    let architecture = Architecture::new(768, 64)
        .tied()
        .pairwise(true)
        .layers(layers)
        .buckets(2);
    let hobbes = SaveFormat::preset_texts("hobbes").unwrap()[0];
    let mut integer = SaveFormat::from_toml(hobbes).unwrap();
    integer.requires = Default::default();
    let float = SaveFormat::preset("bullet", &architecture).unwrap();
    for mut format in [float, integer] {
        // Whole centipawns would hide the differences of such a network.
        format.evaluation.as_mut().unwrap().scale = 40_000;
        let [nearest, calibrated] = distances(architecture.clone(), &encoding, &format);
        assert!(
            calibrated < 0.9 * nearest,
            "{}: {nearest} {calibrated}",
            format.about
        );
    }
}
