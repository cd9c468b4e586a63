use super::*;
use crate::nnue::activation::Activation;
use crate::nnue::{Tiles, Tuning};
use crate::optim::{AdamW, Optimizer, Sgd};
use std::path::PathBuf;

fn parse(text: &str) -> Config {
    Config::parse(text).unwrap_or_else(|fault| panic!("{fault}"))
}

#[track_caller]
fn refused(text: &str, words: &[&str]) {
    let fault = Config::parse(text).unwrap_err().to_string();
    for word in words {
        assert!(fault.contains(word), "no {word:?} in: {fault}");
    }
}

const RECIPE: &str = r#"
data = ["a.bin", "b.bin"]
validation = "v.bin"
device = "cpu"
inputs = "king-buckets-mirrored"
buckets = [0, 0, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2]
output_buckets = "material:8"
factorise = true
hidden = 64
activation = "screlu"
layers = ["16:dual", "32:crelu"]
batch_size = 16384
superbatches = 40
batches_per_superbatch = 100
learning_rate = 1e-3
schedule = "step:0.1,18"
warmup = "harmonic:200"
weight_range = 1.98
lambda = 0.4
lambda_schedule = "linear:0.6@30;constant"
initial = "he:32"
lanes = 16
tiles = "registers"
keep = 5

[[stage]]
name = "main"

[[stage]]
name = "end"
data = "c.bin"
superbatches = 4
learning_rate = 1e-5
schedule = "constant"
warmup = 0
lambda = 0.9
lambda_schedule = "constant"
"#;

#[test]
fn a_recipe_of_two_stages() {
    let config = parse(RECIPE);
    let [main, end] = &config.stages[..] else {
        panic!("{} stages", config.stages.len())
    };
    let settings = &main.settings;
    assert_eq!(settings.architecture.inputs, 3 * 768);
    assert_eq!(settings.architecture.shared, 768);
    assert_eq!(settings.architecture.buckets, 8);
    assert_eq!(settings.architecture.activation, Activation::SCRelu);
    assert_eq!(settings.total_steps(1), 4000);
    let tuning = Tuning::default().lanes(Some(16));
    assert_eq!(settings.tuning, tuning.tiles(Some(Tiles::Registers)));
    let clipped = AdamW {
        weight_range: Some((-1.98, 1.98)),
        ..AdamW::default()
    };
    assert_eq!(settings.optimizer, Optimizer::AdamW(clipped));
    let timeline = settings.timeline(1);
    let at = |step| timeline.moment(step, 0);
    // bullet's steps and warm-up: superbatch 19 begins with step 1801.
    assert_eq!(settings.learning_rate_at(&at(1)), 1e-3 / 200.0);
    assert_eq!(settings.learning_rate_at(&at(1800)), 1e-3);
    approx::assert_relative_eq!(
        settings.learning_rate_at(&at(1801)),
        1e-4,
        max_relative = 1e-6
    );
    assert_eq!(settings.lambda_at(&at(1)), 0.4);
    assert_eq!(settings.lambda_at(&at(2901)), 0.6);
    assert_eq!(settings.objective().lambda, 0.6);
    assert_eq!(end.settings.total_steps(1), 400);
    assert_eq!(end.settings.architecture, settings.architecture);
    assert_eq!(end.settings.learning_rate_at(&at(1)), 1e-5);
    assert_eq!(end.data(&config.run), [PathBuf::from("c.bin")]);
    assert_eq!(main.data(&config.run).len(), 2);
    assert_eq!(end.validation(&config.run), Some(&"v.bin".into()));
    assert_eq!((config.run.keep, config.run.keep_best), (5, true));
    assert_eq!(config.device.as_deref(), Some("cpu"));
}

#[test]
fn what_is_written_reads_back() {
    let sgd = "optimizer = \"sgd\"\nmomentum = 0.8\nepochs = 3\nhidden = 16";
    for text in ["", RECIPE, sgd] {
        let config = parse(text);
        let written = config.to_string();
        assert_eq!(parse(&written), config, "{written}");
        assert!(written.contains("learning_rate = 0.00"), "{written}");
    }
    let momentum = parse(sgd).stages[0].settings.optimizer;
    assert_eq!(momentum, Sgd { momentum: 0.8 }.into());
    let written = parse(RECIPE).to_string();
    let (common, stages) = written.split_once("[[stage]]").unwrap();
    assert!(common.contains("hidden = 64") && !common.contains("learning_rate"));
    assert!(stages.contains("learning_rate = 0.001\n") && stages.contains("data = [\"c.bin\"]"));
}

#[test]
fn unknown_keys_suggest_the_nearest() {
    refused(
        "hidden = 8\nlerning_rate = 0.1",
        &["line 2: ", "such as learning_rate", "lerning_rate"],
    );
    refused("batch-size = 8", &["line 1: ", "such as batch_size"]);
    refused(
        "[[stage]]\nhidden = 8\nnmae = \"x\"",
        &["line 3: ", "such as name"],
    );
    refused(
        "[[stage]]\nsave_every = 8",
        &["line 2: expected a known key"],
    );
    refused(
        "stage = 3",
        &["line 1, stage: expected tables [[stage]], found 3"],
    );
}

#[test]
fn wrong_values_name_line_key_and_value() {
    let cases: [(&str, &[&str]); 16] = [
        (
            "hidden = \"x\"",
            &["line 1, hidden: expected a whole number from 0, found \"x\""],
        ),
        ("\n\nhidden = -3", &["line 3, hidden"]),
        ("hidden = 0", &["line 1, hidden (K): expected"]),
        ("clip = 0", &["line 1, clip (T)"]),
        ("tied = 1", &["line 1, tied: expected true or false"]),
        (
            "learning_rate = \"fast\"",
            &["line 1, learning_rate: expected a number"],
        ),
        ("learning_rate = 0.0", &["line 1, learning_rate (η)"]),
        (
            "schedule = \"cosin\"",
            &["line 1, schedule: expected constant, linear:END"],
        ),
        (
            "schedule = \"linear:0@0;constant\"",
            &["line 1, schedule", "ends before it begins"],
        ),
        ("lambda = 1.5", &["line 1, lambda"]),
        (
            "momentum = 0.5",
            &["line 1, momentum: expected no such key with optimizer \"adamw\""],
        ),
        (
            "optimizer = \"adam\"",
            &["line 1, optimizer: expected adamw, radam, ranger or sgd"],
        ),
        (
            "epochs = 3\nsuperbatches = 4",
            &["line 1, epochs: expected no epochs beside"],
        ),
        ("buckets = [0, 1]", &["line 1, buckets"]),
        ("factorise = true", &["line 1, factorise", "N = 768"]),
        ("hidden = 8\nhidden = 9", &["line 2: expected TOML"]),
    ];
    for (text, words) in cases {
        refused(text, words);
    }
    let stages = "[[stage]]\n[[stage]]\nname = \"b\"\nbatch_size = 0";
    refused(stages, &["line 4, stage 2 (b), batch_size"]);
    let stages = "[[stage]]\n[[stage]]\nhidden = 32";
    refused(
        stages,
        &["stage 2, network: expected the network of stage 1"],
    );
}

#[test]
fn differences_name_keys_and_values() {
    let own = Settings::default();
    let given = own.clone().learning_rate(0.5).superbatches(3);
    let found = differences(&own, &given);
    let expected = [
        ("epochs", "20", "none"),
        ("superbatches", "none", "3"),
        ("learning_rate", "0.002", "0.5"),
    ];
    assert_eq!(found.len(), 3);
    for ((key, own, given), expected) in found.iter().zip(expected) {
        assert_eq!((*key, own.as_str(), given.as_str()), expected);
    }
}

#[test]
fn values_can_be_set_in_all_stages() {
    let mut config = parse(RECIPE);
    config.set("beta1=0.95").unwrap();
    config.set("schedule = cosine:1e-6").unwrap();
    config.set("optimizer = \"ranger\"").unwrap();
    config.set("lookahead_period=5").unwrap();
    config.set("slow_start=zero").unwrap();
    config.check().unwrap();
    for stage in &config.stages {
        let Optimizer::Ranger(ranger) = stage.settings.optimizer else {
            panic!("{:?}", stage.settings.optimizer)
        };
        assert_eq!(
            (ranger.period, ranger.slow_start),
            (5, crate::optim::SlowStart::Zero)
        );
        assert_eq!(stage.settings.schedule, "cosine:1e-6".parse().unwrap());
    }
    assert_eq!(parse(&config.to_string()), config);
    for (text, word) in [
        ("beta=0.9", "such as beta"),
        ("clip=x", "a number"),
        ("x", "TOML"),
    ] {
        let fault = config.set(text).unwrap_err().to_string();
        assert!(fault.contains(word), "{fault}");
    }
}

#[test]
fn groups_are_tables_by_tensor() {
    let mut config = parse("epochs = 3\n[groups.A]\nrange = 0.99\nrate_factor = 0.5");
    config.set("groups.A.weight_decay = 0.0").unwrap();
    config.check().unwrap();
    let groups = &config.stages[0].settings.groups;
    let group = groups.get("A").unwrap();
    assert_eq!((group.range, group.rate_factor), (Some((-0.99, 0.99)), 0.5));
    assert_eq!(group.weight_decay, Some(0.0));
    assert_eq!(parse(&config.to_string()), config);
    refused(
        "[groups.A]\nclip = 1",
        &["line 1, groups", "rate_factor, weight_decay and range"],
    );
    refused(
        "[groups.A]\nrange = 'x'",
        &["line 1, groups", "[LOW, HIGH]"],
    );
    refused(
        "hidden = 8\n[groups.A9]\nrange = 1",
        &["line 2, groups", "the nearest is A"],
    );
}
