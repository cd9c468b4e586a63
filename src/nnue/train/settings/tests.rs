use super::*;
use crate::optim::{AdamW, Sgd};

#[test]
fn defaults_are_valid_and_survive_json() {
    let settings = Settings::new(768);
    settings.check().unwrap();
    let text = serde_json::to_string(&settings).unwrap();
    assert!(
        text.contains(r#""learning_rate":0.002,"epochs":20,"batch_size":4096,"lambda":0.0"#),
        "{text}"
    );
    assert_eq!(serde_json::from_str::<Settings>(&text).unwrap(), settings);
}

#[test]
fn the_architecture_follows_inputs_and_buckets() {
    let mut table = [0; 32];
    table[31] = 1;
    let kings = crate::nnue::data::KingBuckets::mirrored(&table).unwrap();
    let buckets = OutputBuckets::material(8).unwrap();
    let settings = Settings::default()
        .inputs(kings.into())
        .output_buckets(buckets);
    assert_eq!(settings.architecture.inputs, 2 * 768);
    assert_eq!(settings.architecture.buckets, 8);
    settings.check().unwrap();
    let encoding = settings.encoding();
    encoding.check(&settings.architecture).unwrap();
    let text = serde_json::to_string(&settings).unwrap();
    assert_eq!(serde_json::from_str::<Settings>(&text).unwrap(), settings);
    let other = Architecture::new(768, 128).buckets(8);
    let error = encoding.check(&other).unwrap_err().to_string();
    let words = "inputs (N): expected 1536, as king-buckets-mirrored (2 buckets) has, found 768";
    assert_eq!(error, words);
    let other = Architecture::new(1536, 128);
    let error = settings.architecture(other).check().unwrap_err();
    let words = "buckets: expected 8, as output_buckets has, found 1";
    assert_eq!(error.to_string(), words);
    // Equal trainings write equal files: what is as in an earlier release is left out.
    let text = serde_json::to_string(&Settings::default()).unwrap();
    assert!(
        !text.contains("output_buckets")
            && !text.contains("chess768")
            && !text.contains("half")
            && !text.contains("l1")
            && !text.contains("tuning"),
        "{text}"
    );
}

#[test]
fn what_cannot_be_trained_with_names_its_option() {
    let decay = |weight_decay| {
        Optimizer::AdamW(AdamW {
            weight_decay,
            ..AdamW::default()
        })
    };
    type Spoil<'a> = &'a dyn Fn(&mut Settings);
    let cases: [(&str, Spoil); 23] = [
        ("buckets", &|s| s.architecture.buckets = 8),
        ("learning_rate", &|s| s.learning_rate = f32::NAN),
        ("learning_rate", &|s| s.learning_rate = f32::INFINITY),
        ("learning_rate", &|s| s.learning_rate = 0.0),
        ("learning_rate", &|s| s.learning_rate = -1e-3),
        ("batch_size", &|s| s.batch_size = 0),
        ("batch_size", &|s| s.batch_size = 1 << 31),
        ("epochs", &|s| s.epochs = 0),
        ("shuffle_buffer", &|s| s.shuffle_buffer = usize::MAX),
        ("lambda", &|s| s.lambda = 1.5),
        ("lambda", &|s| s.lambda = f32::NAN),
        ("scale", &|s| s.scale = 0.0),
        ("scale", &|s| s.scale = f32::INFINITY),
        ("power", &|s| s.loss.power = 0.5),
        ("l1", &|s| s.l1 = -0.005),
        ("l1", &|s| s.l1 = f32::NAN),
        ("l1: expected 0, or a network", &|s| s.l1 = 0.005),
        ("hidden (K)", &|s| s.architecture.hidden = 0),
        ("clip (T)", &|s| s.architecture.clip = 0.0),
        ("clip (T)", &|s| s.architecture.clip = f32::NAN),
        ("decay", &|s| s.optimizer = decay(-0.01)),
        ("decay", &|s| s.optimizer = decay(f32::NAN)),
        ("momentum", &|s| {
            s.optimizer = Sgd { momentum: f32::NAN }.into();
        }),
    ];
    for (name, spoil) in cases {
        let mut settings = Settings::new(768);
        spoil(&mut settings);
        let error = settings.check().unwrap_err().to_string();
        assert!(error.contains(name), "no {name:?} in: {error}");
    }
}

#[test]
fn steps_count_the_partial_batch() {
    let settings = Settings::new(768);
    assert_eq!(settings.steps_per_epoch(200_000), 49);
    assert_eq!(settings.steps_per_epoch(8192), 2);
    assert_eq!(settings.total_steps(200_000), 980);
    let timeline = settings.timeline(200_000);
    let rate = |step| settings.learning_rate_at(&timeline.moment(step, 0));
    assert_eq!(rate(1), 2e-3);
    // Halfway, cos(π/2) = 0.
    assert!((rate(491) - 1e-3).abs() < 1e-9);
}
