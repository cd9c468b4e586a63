//! Logs that are written, resumed, torn and damaged.

use super::thin::has_line;
use super::*;

fn step(step: u64, loss: f64) -> Entry {
    Entry::Step {
        step,
        steps: 1,
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
        ranks: Vec::new(),
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
            ranks: Vec::new(),
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
    assert!(text.starts_with(r#"{"kind":"start","version":2,"settings":{"#));
    assert_eq!(
        text.lines().nth(1).unwrap(),
        r#"{"kind":"step","step":1,"steps":1,"epoch":0,"loss":0.25,"learning_rate":0.002,"positions":4096,"positions_per_second":1000.0}"#
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
    log.file
        .as_mut()
        .unwrap()
        .write_all(br#"{"kind":"step","st"#)
        .unwrap();
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
    fs::write(&path, line.replace(r#""version":2,"#, "")).unwrap();
    let Entry::Start { version, .. } = read(&path).unwrap()[0] else {
        panic!("no start");
    };
    assert_eq!(version, 0);
    let later = line.replace(r#""version":2"#, r#""version":3"#);
    fs::write(&path, format!("{later}{later}")).unwrap();
    let error = read(&path).unwrap_err().to_string();
    let expected = "log.jsonl: line 1: expected a version up to 2, found 3";
    assert!(error.contains(expected), "{error}");
}

#[test]
fn a_long_log_has_few_lines_and_loses_no_step() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.jsonl");
    let mut log = Log::create(&path).unwrap();
    let loss = |at: u64| 1.0 / at as f64;
    let last = 100_001;
    (1..=last).for_each(|at| log.append(&step(at, loss(at))).unwrap());
    log.append(&validation(last, 0.5)).unwrap();
    let lines = read(&path).unwrap();
    let (mut before, mut sum) = (0, 0.0);
    for line in &lines {
        let Entry::Step {
            step, steps, loss, ..
        } = *line
        else {
            continue;
        };
        assert_eq!(step, before + steps, "no step is left out");
        assert!(step > 4096 || steps == 1, "{steps} at {step}");
        assert!(steps <= 1 + step / 2048, "{steps} at {step}");
        before = step;
        sum += loss * steps as f64;
    }
    assert_eq!(before, last, "another line ends those of steps");
    let expected = (1..=last).map(loss).sum::<f64>();
    assert!(
        (sum - expected).abs() <= 1e-9 * expected,
        "{sum} {expected}"
    );
    // 4096 lines, and 2048 for each of the log2(100,000 / 4096) = 4.6 doublings.
    assert!((4096 + 9_000..4096 + 10_000).contains(&lines.len()));

    // A log that goes on after a line has the lines of one that was never stopped.
    let whole = fs::read(&path).unwrap();
    for stopped in [50_000, 8_192] {
        let mut log = Log::resume(&path, stopped).unwrap();
        let rest = stopped + 1..=last;
        rest.for_each(|at| log.append(&step(at, loss(at))).unwrap());
        log.append(&validation(last, 0.5)).unwrap();
        assert!(fs::read(&path).unwrap() == whole, "stopped at {stopped}");
    }
}

#[test]
fn a_checkpoint_ends_a_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.jsonl");
    let mut log = Log::create(&path).unwrap();
    for (at, loss) in [(9_001, 1.0), (9_002, 2.0)] {
        log.append(&step(at, loss)).unwrap();
    }
    assert_eq!(Curve::read(&path).unwrap().training, []);
    log.write_steps().unwrap();
    log.write_steps().unwrap();
    assert_eq!(Curve::read(&path).unwrap().training, [(9_002, 1.5)]);
    let mut log = Log::resume(&path, 9_002).unwrap();
    (9_003..=9_004).for_each(|at| log.append(&step(at, 4.0)).unwrap());
    let lines = read(&path).unwrap();
    let counts = lines.iter().map(|line| match line {
        Entry::Step { steps, .. } => *steps,
        _ => 0,
    });
    assert_eq!(counts.collect::<Vec<_>>(), [2, 2]);
}

#[test]
fn five_million_steps_take_a_few_megabytes() {
    let lines = (1..=5_000_000).filter(|&step| has_line(step)).count();
    let line = serde_json::to_vec(&step(4_999_999, 1.0 / 3.0)).unwrap();
    assert!(lines * line.len() < 5 << 20, "{lines} of {}", line.len());
}

#[test]
fn a_log_has_only_begun_up_to_its_second_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.jsonl");
    let mut log = Log::create(&path).unwrap();
    assert!(has_only_begun(&path).unwrap());
    log.append(&start()).unwrap();
    assert!(has_only_begun(&path).unwrap());
    let line = fs::read(&path).unwrap();
    for length in [3, 20, line.len() - 1] {
        fs::write(&path, &line[..length]).unwrap();
        assert!(has_only_begun(&path).unwrap(), "{length} bytes");
    }
    for other in ["another program's", "{\"kind\":\"step\"", "\n"] {
        fs::write(&path, other).unwrap();
        assert!(!has_only_begun(&path).unwrap(), "{other}");
    }
    fs::remove_file(&path).unwrap();
    let mut log = Log::create(&path).unwrap();
    log.append(&start()).unwrap();
    log.append(&step(1, 0.5)).unwrap();
    assert!(!has_only_begun(&path).unwrap());
}
