//! Logs that are written, resumed, torn and damaged.

use super::*;

fn step(step: u64, loss: f64) -> Entry {
    Entry::Step {
        step,
        epoch: 0,
        loss,
        learning_rate: 0.002,
        positions: 4096 * step,
        positions_per_second: 1000.0,
    }
}

fn validation(step: u64, loss: f64) -> Entry {
    Entry::Validation {
        step,
        epoch: 0,
        loss,
        correlation: 0.5,
        positions: 10,
        integer_loss: None,
        integer_error: None,
    }
}

fn start() -> Entry {
    Entry::Start {
        version: VERSION,
        settings: Settings::new(768),
        device: "cpu".into(),
        positions: 100,
        steps: 4,
    }
}

#[test]
fn lines_read_back_and_name_their_kind() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.jsonl");
    let entries = [
        start(),
        step(1, 0.25),
        validation(1, 0.5),
        Entry::Resume {
            version: VERSION,
            step: 1,
            epoch: 0,
            device: "cpu".into(),
            checkpoint: "checkpoints/step-00000001.safetensors".into(),
        },
        Entry::End {
            step: 2,
            reason: "finished".into(),
            seconds: 1.5,
        },
    ];
    let mut log = Log::create(&path).unwrap();
    for (count, entry) in entries.iter().enumerate() {
        log.append(entry).unwrap();
        assert_eq!(read(&path).unwrap().len(), count + 1, "a reader follows");
    }
    assert_eq!(read(&path).unwrap(), entries);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with(r#"{"kind":"start","version":1,"settings":{"#));
    assert_eq!(
        text.lines().nth(1).unwrap(),
        r#"{"kind":"step","step":1,"epoch":0,"loss":0.25,"learning_rate":0.002,"positions":4096,"positions_per_second":1000.0}"#
    );
    let curve = Curve::read(&path).unwrap();
    assert_eq!(curve.training, [(1, 0.25)]);
    assert_eq!(curve.validation, [(1, 0.5)]);
}

#[test]
fn resuming_drops_later_and_torn_lines() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.jsonl");
    let mut log = Log::create(&path).unwrap();
    let entries = [
        start(),
        step(1, 0.3),
        validation(1, 0.4),
        step(2, 0.2),
        step(3, 0.1),
    ];
    entries.iter().for_each(|entry| log.append(entry).unwrap());
    log.file.write_all(br#"{"kind":"step","st"#).unwrap();
    assert_eq!(read(&path).unwrap(), entries);

    let mut log = Log::resume(&path, 2).unwrap();
    assert_eq!(read(&path).unwrap(), entries[..4]);
    log.append(&step(3, 0.15)).unwrap();
    let curve = Curve::read(&path).unwrap();
    assert_eq!(curve.training, [(1, 0.3), (2, 0.2), (3, 0.15)]);

    Log::resume(&path, 0).unwrap();
    assert_eq!(read(&path).unwrap(), entries[..1]);
}

#[test]
fn damage_in_the_middle_names_the_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.jsonl");
    Log::create(&path).unwrap().append(&step(1, 0.3)).unwrap();
    let line = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{line}nonsense\n{line}")).unwrap();
    for error in [read(&path).unwrap_err(), Log::resume(&path, 1).unwrap_err()] {
        let error = error.to_string();
        assert!(error.contains("log.jsonl: line 2"), "{error}");
    }
}

#[test]
fn a_missing_log_starts_empty_and_a_missing_directory_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.jsonl");
    Log::resume(&path, 7).unwrap();
    assert_eq!(read(&path).unwrap(), []);
    let path = directory.path().join("none/log.jsonl");
    let error = Log::create(&path).unwrap_err().to_string();
    assert!(error.contains("none/log.jsonl: could not write"), "{error}");
}

#[test]
fn not_a_number_survives() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.jsonl");
    Log::create(&path)
        .unwrap()
        .append(&step(1, f64::NAN))
        .unwrap();
    assert!(Curve::read(&path).unwrap().training[0].1.is_nan());
}

#[test]
fn a_log_of_an_earlier_release_has_version_0_and_a_later_one_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.jsonl");
    Log::create(&path).unwrap().append(&start()).unwrap();
    let line = fs::read_to_string(&path).unwrap();
    fs::write(&path, line.replace(r#""version":1,"#, "")).unwrap();
    let Entry::Start { version, .. } = read(&path).unwrap()[0] else {
        panic!("no start");
    };
    assert_eq!(version, 0);
    let later = line.replace(r#""version":1"#, r#""version":2"#);
    fs::write(&path, format!("{later}{later}")).unwrap();
    let error = read(&path).unwrap_err().to_string();
    let expected = "log.jsonl: line 1: expected a version up to 1, found 2";
    assert!(error.contains(expected), "{error}");
}
