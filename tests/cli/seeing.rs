//! `wgrad plot`, `wgrad report` and `wgrad inspect` on runs of every state.

use crate::support::{cut, scratch, shipped, wgrad};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// A short run with validations.
fn run(directory: &Path, name: &str, options: &str) -> PathBuf {
    let (data, run) = (cut(directory, 2000), directory.join(name));
    let line = format!("train --device cpu --quiet --hidden 8 --epochs 3 --batch 500 {options}");
    let paths: [(&str, &Path); 3] = [("--data", &data), ("--validation", &data), ("--out", &run)];
    wgrad(&line, &paths).success();
    run
}

fn step(step: u64, loss: &str) -> String {
    format!(
        "{{\"kind\":\"step\",\"step\":{step},\"epoch\":0,\"loss\":{loss},\"learning_rate\":0.1,\
         \"positions\":{},\"positions_per_second\":1000.0}}\n",
        100 * step
    )
}

/// The texts of an SVG.
fn texts(svg: &str) -> Vec<String> {
    let texts = svg.split("<text ").skip(1).map(|rest| {
        let (_, text) = rest.split_once('>').unwrap();
        text.split("</text>").next().unwrap().trim().to_owned()
    });
    texts.collect()
}

const PANELS: [&str; 5] = [
    "training loss",
    "validation loss",
    "learning rate",
    "lambda (share of the game result)",
    "positions per second",
];

#[test]
fn a_picture_has_a_panel_for_each_number_and_a_legend_of_runs() {
    let (_guard, directory) = scratch();
    let runs = [
        run(&directory, "slow", ""),
        run(&directory, "fast", "--lr 0.01"),
    ];
    let picture = directory.join("runs.svg");
    let line = format!("plot {} {}", runs[0].display(), runs[1].display());
    let ended = wgrad(&line, &[("--out", &picture)]).success();
    assert!(ended.stdout.contains("runs.svg"), "{}", ended.stdout);
    let svg = fs::read_to_string(&picture).unwrap();
    let found = texts(&svg);
    for panel in PANELS {
        let named = found.iter().any(|text| text.starts_with(panel));
        assert!(named, "no {panel} in {found:?}");
    }
    for name in ["2 runs", "slow", "fast"] {
        assert!(
            found.iter().any(|text| text == name),
            "no {name} in {found:?}"
        );
    }
    // Each run has a color: a line in each of five panels, and one in the legend.
    for colour in ["#0072B2", "#D55E00"] {
        let lines = svg
            .matches(&format!("opacity=\"1\" stroke=\"{colour}\""))
            .count();
        assert_eq!(lines, 6, "{colour}");
    }
    let alone = format!("plot {}", runs[0].display());
    wgrad(&alone, &[("--out", &picture)]).success();
    let svg = fs::read_to_string(&picture).unwrap();
    assert!(
        texts(&svg)[0].starts_with("A run of (768 -&gt; 8) x 2"),
        "{:?}",
        texts(&svg)
    );

    // Two runs of the same name are told apart by their paths.
    let log = runs[0].join("log.jsonl");
    let line = format!("plot {} {}", runs[0].display(), log.display());
    wgrad(&line, &[("--out", &picture)]).success();
    let found = texts(&fs::read_to_string(&picture).unwrap());
    assert!(found.contains(&log.display().to_string()), "{found:?}");
}

#[test]
fn many_runs_have_lines_of_their_own() {
    let (_guard, directory) = scratch();
    let mut line = "plot".to_owned();
    for run in 0..9 {
        let path = directory.join(format!("a-run-with-a-long-name-{run}"));
        fs::create_dir(&path).unwrap();
        fs::write(path.join("log.jsonl"), step(1, "0.5") + &step(2, "0.25")).unwrap();
        line += &format!(" {}", path.display());
    }
    let picture = directory.join("many.svg");
    wgrad(&line, &[("--out", &picture)]).success();
    let svg = fs::read_to_string(&picture).unwrap();
    let found = texts(&svg);
    for run in 0..9 {
        let name = format!("a-run-with-a-long-name-{run}");
        assert!(found.contains(&name), "no {name} in {found:?}");
    }
    // Without settings nobody knows λ, and without validations there is no panel of them.
    let (lambda, validation) = (PANELS[3], PANELS[1]);
    assert!(
        !found.iter().any(|text| text.starts_with(lambda)),
        "{found:?}"
    );
    assert!(
        !found.iter().any(|text| text.starts_with(validation)),
        "{found:?}"
    );
}

#[test]
fn a_png_has_two_pixels_for_one_and_needs_no_font_of_the_machine() {
    let (_guard, directory) = scratch();
    let run = run(&directory, "run", "");
    let line = format!("plot {}", run.display());
    let picture = directory.join("run.PNG");
    // Fonts of the machine are not used: none are found here.
    let mut command = crate::support::wgrad_command(&line, &[("--out", &picture)]);
    command
        .env("FONTCONFIG_FILE", "/nowhere")
        .env("HOME", &directory);
    crate::support::ended(command).success();
    let bytes = fs::read(&picture).unwrap();
    assert!(bytes.starts_with(b"\x89PNG\r\n\x1a\n"));
    let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    assert_eq!(number(16), 2400, "the width");
    assert!(number(20) > 1400, "the height");
}

#[test]
fn runs_without_a_step_are_refused_and_strange_ones_drawn() {
    let (_guard, directory) = scratch();
    let picture = directory.join("p.svg");
    let log = directory.join("log.jsonl");
    let line = format!("plot {}", directory.display());
    let plot = || wgrad(&line, &[("--out", &picture)]);
    plot().refused(1, &["log.jsonl"]);
    fs::write(&log, "").unwrap();
    plot().refused(1, &["log.jsonl", "no step"]);
    fs::write(&log, "nonsense\nnonsense\n").unwrap();
    plot().refused(1, &["log.jsonl", "line 1"]);
    assert!(!picture.exists());

    // One step is a point in each panel that has a value.
    fs::write(&log, step(1, "0.5")).unwrap();
    plot().success();
    let svg = fs::read_to_string(&picture).unwrap();
    assert_eq!(svg.matches("<circle").count(), 3, "{svg}");

    // A line that is being written, and losses that are no number.
    let torn = step(1, "0.5") + &step(2, "null") + &step(3, "0.25") + "{\"kind\":\"st";
    fs::write(&log, torn).unwrap();
    plot().success();
    assert!(!fs::read_to_string(&picture).unwrap().contains("NaN"));
    fs::write(&log, step(1, "null") + &step(2, "null")).unwrap();
    plot().success();
    let svg = fs::read_to_string(&picture).unwrap();
    assert!(texts(&svg).contains(&"no values yet".to_owned()), "{svg}");
    assert!(!svg.contains("NaN"));

    let wrong = directory.join("p.jpg");
    wgrad(&line, &[("--out", &wrong)]).refused(1, &["--out", ".svg or .png", "p.jpg"]);
    let missing = format!("plot {}", directory.join("none").display());
    wgrad(&missing, &[("--out", &picture)]).refused(1, &["none/log.jsonl"]);
    let same = format!("plot {}", log.display());
    let svg = directory.join("same.svg");
    fs::copy(&log, &svg).unwrap();
    wgrad(&same.replace("log.jsonl", "same.svg"), &[("--out", &svg)]).refused(1, &["--out"]);
}

/// A network with everything that an inspection counts.
const MODERN: &str = "--tied --pairwise --layers 4:dual,4:crelu --output-buckets material:4 \
    --factorise --inputs king-buckets-mirrored \
    --buckets 0,0,0,0,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1";

#[test]
fn an_inspection_counts_every_position_once() {
    let (_guard, directory) = scratch();
    let run = run(&directory, "run", MODERN);
    let net = run.join("net.safetensors");
    let line = format!("inspect {}", net.display());
    let data = shipped("chess_validation.bin");
    let paths: [(&str, &Path); 1] = [("--data", &data)];
    let found = wgrad(&format!("{line} --json"), &paths).success().json();
    let counts = &found["data"];
    assert_eq!(counts["positions"], 20_000);
    let sum = |list: &Value, field: &str| -> u64 {
        let list = list.as_array().unwrap().iter();
        list.map(|group| group[field].as_u64().unwrap()).sum()
    };
    assert_eq!(counts["output_buckets"].as_array().unwrap().len(), 4);
    assert_eq!(counts["king_buckets"].as_array().unwrap().len(), 2);
    for (list, field) in [
        ("output_buckets", "positions"),
        ("pieces", "positions"),
        ("phases", "positions"),
        ("king_buckets", "own"),
        ("king_buckets", "other"),
    ] {
        assert_eq!(sum(&counts[list], field), 20_000, "{list}");
    }
    let places = counts["neurons"].as_array().unwrap().iter();
    let places: Vec<_> = places.map(|one| one["place"].as_str().unwrap()).collect();
    let accumulators = ["own accumulator", "other accumulator", "both accumulators"];
    assert_eq!(
        places,
        [&accumulators[..], &["layer 1", "layer 2"]].concat()
    );
    for tensor in found["tensors"].as_array().unwrap() {
        let shape = tensor["shape"].as_array().unwrap().iter();
        let len: u64 = shape.map(|size| size.as_u64().unwrap()).product();
        let bins = tensor["histogram"]["counts"].as_array().unwrap().iter();
        assert_eq!(
            bins.map(|bin| bin.as_u64().unwrap()).sum::<u64>(),
            len,
            "{tensor}"
        );
    }
    // The loss is that of an evaluation.
    let paths: [(&str, &Path); 2] = [("--net", &net), ("--data", &data)];
    let loss = wgrad("eval --device cpu --json", &paths).success().json()["loss"].clone();
    let [loss, other] = [&loss, &counts["loss"]].map(|loss| loss.as_f64().unwrap());
    assert!((loss - other).abs() < 1e-6 * loss, "{loss} {other}");

    let paths: [(&str, &Path); 1] = [("--data", &data)];
    let text = wgrad(&format!("{line} --positions 500"), &paths)
        .success()
        .stdout;
    for words in [
        "over 500 positions",
        "always 0",
        "output bucket",
        "king bucket",
        "25 to 32",
    ] {
        assert!(text.contains(words), "no {words} in {text}");
    }
    // As before, without data there are only the tensors.
    let plain = wgrad(&line, &[]).success().stdout;
    assert!(plain.contains('█') && !plain.contains("pieces"), "{plain}");
    assert!(wgrad(&format!("{line} --json"), &[]).success().json()["data"].is_null());
    for option in ["--max-score 9", "--lambda 0.5", "--positions 9"] {
        wgrad(&format!("{line} {option}"), &[]).refused(2, &["--data"]);
    }
    wgrad(&format!("{line} --lanes 9"), &[]).refused(2, &["--pictures"]);
}

#[test]
fn sheets_have_twelve_boards_for_each_lane() {
    let (_guard, directory) = scratch();
    let tied = run(&directory, "tied", "--tied").join("net.safetensors");
    let untied = run(&directory, "untied", "").join("net.safetensors");
    for (net, lanes, files) in [
        (&tied, 3, &["lanes.svg"][..]),
        (&untied, 8, &["lanes-other.svg", "lanes-own.svg"]),
    ] {
        let pictures = directory.join(format!("pictures-{lanes}"));
        let line = format!("inspect {} --lanes {lanes}", net.display());
        wgrad(&line, &[("--pictures", &pictures)]).success();
        let mut found: Vec<_> = fs::read_dir(&pictures)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        found.sort();
        assert_eq!(found, files);
        for file in files {
            let svg = fs::read_to_string(pictures.join(file)).unwrap();
            assert_eq!(svg.matches("d=\"M0 0h8v8h-8z\"").count(), 12 * lanes);
            let named = texts(&svg)
                .into_iter()
                .filter(|text| text.starts_with("lane "));
            assert_eq!(named.count(), lanes);
        }
    }
}

#[test]
fn a_report_needs_nothing_but_itself() {
    let (_guard, directory) = scratch();
    let run = run(&directory, "a <run> & more", MODERN);
    let path: &Path = &run;
    let mut command = crate::support::wgrad_command("report", &[]);
    command.arg(path);
    crate::support::ended(command).success();
    let html = fs::read_to_string(run.join("report.html")).unwrap();
    assert!(html.contains("<h1>a &lt;run&gt; &amp; more</h1>"));
    for outside in ["<script", "<link", "src=", "url(", "@import", "href="] {
        assert!(!html.contains(outside), "{outside}");
    }
    let addresses = html.matches("http").count();
    assert_eq!(
        addresses,
        html.matches("http://www.w3.org/2000/svg").count()
    );
    for words in [
        "prefers-color-scheme: dark",
        "name=\"viewport\"",
        "best validation loss",
        "<dd>finished<",
        "<dd>cpu<",
        "Loss by output bucket",
        "King buckets",
        "layer 2",
        "over 2,000 positions",
        "epochs = 3",
    ] {
        assert!(html.contains(words), "no {words}");
    }
    let found = texts(&html);
    for panel in PANELS {
        assert!(
            found.iter().any(|text| text.starts_with(panel)),
            "no {panel}"
        );
    }
    assert_eq!(
        found
            .iter()
            .filter(|text| text.starts_with("lane "))
            .count(),
        6
    );
    // Every tensor has a histogram.
    assert_eq!(html.matches("<svg class=\"histogram\"").count(), 9);
    assert!(!html.contains("NaN"));
    // The best validation is in the log.
    let log = fs::read_to_string(run.join("log.jsonl")).unwrap();
    let losses = log.lines().filter_map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        (line["kind"] == "validation").then(|| line["loss"].as_f64().unwrap())
    });
    let best = losses.fold(f64::INFINITY, f64::min);
    assert!(html.contains(&format!("<dd>{best:.6}<")), "{best}");
}

#[test]
fn a_report_says_what_it_cannot_read() {
    let (_guard, directory) = scratch();
    let (run, page) = (run(&directory, "run", ""), directory.join("page.html"));
    let line = format!("report {}", run.display());
    let report = |line: &str| {
        wgrad(line, &[("--out", &page)]).success();
        fs::read_to_string(&page).unwrap()
    };
    // Validation data that are gone.
    fs::remove_file(directory.join("2000.bin")).unwrap();
    let html = report(&line);
    assert!(html.contains("No counts on the validation data"), "{html}");
    assert!(html.contains("lane "), "the boards are there all the same");
    let gone = directory.join("gone.bin");
    let paths: [(&str, &Path); 2] = [("--out", &page), ("--data", &gone)];
    wgrad(&line, &paths).refused(1, &["gone.bin"]);
    let data = shipped("chess_validation.bin");
    let paths: [(&str, &Path); 2] = [("--out", &page), ("--data", &data)];
    wgrad(&format!("{line} --positions 300"), &paths).success();
    assert!(
        fs::read_to_string(&page)
            .unwrap()
            .contains("over 300 positions")
    );

    // No network yet, or a damaged one.
    fs::remove_dir_all(run.join("checkpoints")).unwrap();
    assert!(report(&line).contains("This is the trained network"));
    fs::write(run.join("net.safetensors"), "damaged").unwrap();
    assert!(report(&line).contains("The network could not be read"));
    fs::remove_file(run.join("net.safetensors")).unwrap();
    assert!(report(&line).contains("The run has no network yet"));
    // A run of one step that goes on, of which there is nothing but the log.
    let bare = directory.join("bare");
    fs::create_dir(&bare).unwrap();
    fs::write(bare.join("log.jsonl"), step(1, "null")).unwrap();
    let html = report(&format!("report {}", bare.display()));
    assert!(
        html.contains("going on") && html.contains("no values yet"),
        "{html}"
    );
    let log = run.join("log.jsonl");
    wgrad(&line, &[("--out", &log)]).refused(1, &["--out"]);
}
