//! `wgrad data rescore`.

#[cfg(unix)]
use crate::support::wgrad_limited;
use crate::support::{cut, scratch, shipped, wgrad};
use std::fs;
use std::path::{Path, PathBuf};
use wgrad::Device;
use wgrad::nnue::data::{BatchBuilder, Dataset, Encoding};
use wgrad::nnue::{Needs, Network, read_network};

/// The network of a short training.
fn train(directory: &Path, data: &Path, options: &str) -> PathBuf {
    let run = directory.join(options.split_whitespace().collect::<String>());
    let line = format!("train --device cpu --epochs 2 --batch 500 {options}");
    let paths = [
        ("--data", data),
        ("--validation", data),
        ("--out", run.as_path()),
    ];
    wgrad(&line, &paths).success();
    run.join("net.safetensors")
}

fn scores(path: &Path) -> Vec<i16> {
    let records = fs::read(path).unwrap();
    let score = |record: &[u8]| i16::from_le_bytes([record[24], record[25]]);
    records.chunks(32).map(score).collect()
}

#[test]
fn positions_get_the_outputs_of_their_network() {
    let (_guard, directory) = scratch();
    let data = cut(&directory, 3001);
    // The loader would change the order of positions of several buckets.
    let table: Vec<_> = (0..32).map(|square| (square / 8).to_string()).collect();
    let options = format!(
        "--hidden 16 --scale 300 --output-buckets material:8 --inputs king-buckets-mirrored \
         --buckets {}",
        table.join(",")
    );
    let net = train(&directory, &data, &options);
    let out = directory.join("out.bin");
    let paths = [("--net", &*net), ("--out", &*out)];
    let rescore = |options: &str| {
        let line = format!("data rescore --device cpu {options} {}", data.display());
        wgrad(&line, &paths).success().stdout
    };
    let shown = rescore("--batch-size 100 --threads 2");
    assert_eq!(shown, format!("3,001 positions in {}\n", out.display()));
    let (before, after) = (fs::read(&data).unwrap(), fs::read(&out).unwrap());
    assert_eq!(before.len(), after.len());
    for (own, other) in before.chunks(32).zip(after.chunks(32)) {
        assert_eq!((&own[..24], &own[26..]), (&other[..24], &other[26..]));
    }
    let found = scores(&out);
    let (parameters, metadata) = read_network(&net).unwrap();
    let encoding = Encoding::from_metadata(&net, &metadata).unwrap();
    let mut network = Network::new(&Device::cpu().unwrap(), &parameters).unwrap();
    let mut builder = BatchBuilder::new(encoding.inputs.features());
    let dataset = Dataset::open(std::slice::from_ref(&data)).unwrap();
    for (position, &score) in dataset.iter().zip(&found).step_by(10) {
        let position = position.unwrap();
        builder.push_with_bucket(&position, 0.0, encoding.output_buckets.of(&position));
        let y = network.forward(&builder.finish(Needs::default()).unwrap());
        let own = 300.0 * y.unwrap()[0];
        assert!((own - f32::from(score)).abs() < 0.51, "{own} {score}");
    }
    assert!(found.iter().any(|score| score.abs() > 100), "{found:?}");
    // A network agrees with its own scores up to their rounding.
    let evaluated = wgrad(
        "eval --device cpu --json",
        &[("--net", &net), ("--data", &out)],
    );
    let evaluated = evaluated.success().json();
    assert!(evaluated["loss"].as_f64().unwrap() < 1e-6, "{evaluated}");

    for (options, factor) in [("", 1.0), ("--threads 1", 1.0), ("--scale 600", 2.0)] {
        rescore(options);
        for (&own, other) in found.iter().zip(scores(&out)) {
            let expected = factor * f32::from(own);
            assert!((expected - f32::from(other)).abs() <= factor);
        }
    }
    let shown = rescore("--scale 1e12");
    let beyond = "3001 of them had a score beyond ±32767 and got that";
    assert!(
        shown.replace(',', "").ends_with(&format!("{beyond}\n")),
        "{shown}"
    );
    for (&own, clamped) in found.iter().zip(scores(&out)) {
        assert_eq!(clamped.abs(), 32767);
        assert!(own == 0 || own.signum() == clamped.signum());
    }
}

#[test]
fn the_scores_suit_the_loss_of_the_network() {
    let (_guard, directory) = scratch();
    let (data, out) = (cut(&directory, 2000), directory.join("out.bin"));
    // The cross-entropy of a target with itself is not 0, but it has the P of sigmoid_mse.
    for (loss, compared) in [
        ("win_rate", "win_rate"),
        ("cross_entropy", "sigmoid_mse"),
        ("mse", "mse"),
    ] {
        let net = train(&directory, &data, &format!("--hidden 8 --loss {loss}"));
        let line = format!("data rescore --device cpu {}", data.display());
        wgrad(&line, &[("--net", &net), ("--out", &out)]).success();
        let paths = [("--net", &*net), ("--data", &*out)];
        // An output of mse that is not between 0 and 1 has an infinite score, which is clamped.
        let line = format!("eval --device cpu --json --max-score 0 --loss {compared}");
        let found = wgrad(&line, &paths).success().json();
        let bound = if loss == "mse" { 1e-3 } else { 1e-6 };
        assert!(found["loss"].as_f64().unwrap() < bound, "{loss}: {found}");
        let unlike = if loss == "mse" { "sigmoid_mse" } else { "mse" };
        let line = format!(
            "{} --loss {unlike}",
            line.replace(&format!(" --loss {compared}"), "")
        );
        let found = wgrad(&line, &paths).success().json();
        assert!(found["loss"].as_f64().unwrap() > 1e-2, "{loss}: {found}");
    }
}

#[test]
fn a_rescoring_that_fails_leaves_the_file_as_it_was() {
    let (_guard, directory) = scratch();
    let (data, out) = (cut(&directory, 2000), directory.join("out.bin"));
    let net = train(&directory, &data, "--hidden 4");
    fs::write(&out, "before").unwrap();
    let line = format!("data rescore --device cpu {}", data.display());
    let paths = |net, out| [("--net", net), ("--out", out)];
    wgrad(&line, &paths(&*net, &*net)).refused(1, &["--out: expected another file"]);
    wgrad(&line, &paths(&*net, &*data)).refused(1, &["--out: expected another file"]);
    let missing = directory.join("missing");
    wgrad(&line, &paths(&*missing, &*out)).refused(1, &["missing: could not"]);
    wgrad(&format!("{line} --scale 0"), &paths(&*net, &*out))
        .refused(1, &["scale: expected a finite number above 0"]);
    wgrad(&format!("{line} --batch-size 0"), &paths(&*net, &*out)).refused(2, &["--batch-size"]);
    // Far behind the first batches of each thread.
    let (bad, sample) = (directory.join("bad.txt"), shipped("chess_sample.txt"));
    let mut text = fs::read_to_string(&sample).unwrap();
    let lines = text.lines().count();
    text.push_str("8/8 w - - 0 1 | 0 | 0.5\n");
    fs::write(&bad, text).unwrap();
    let of_text = format!(
        "data rescore --device cpu --batch-size 16 {}",
        bad.display()
    );
    wgrad(&of_text, &paths(&*net, &*out))
        .refused(1, &[&format!("bad.txt: line {}, FEN", lines + 1)]);
    #[cfg(unix)]
    wgrad_limited(100, &line, &paths(&*net, &*out))
        .refused(1, &["out.bin: could not write", "too large"]);
    assert_eq!(fs::read_to_string(&out).unwrap(), "before");
    let of_text = of_text.replace(bad.to_str().unwrap(), sample.to_str().unwrap());
    wgrad(&of_text, &paths(&*net, &*out)).success();
    assert_eq!(scores(&out).len(), lines);
    let left = fs::read_dir(&directory).unwrap().count();
    assert_eq!(left, 4, "unfinished files are gone");
}
