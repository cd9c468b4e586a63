//! `wgrad export`: formats, files and the lists beside them.

use crate::support::{Ended, WGRAD, command, cut, ended, scratch, wgrad};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use wgrad::nnue::data::{ChessInputs, Encoding, OutputBuckets};
use wgrad::nnue::export::SaveFormat;
use wgrad::nnue::{Activation, Architecture, Parameters, read_network, write_network};

/// Parameters within ±0.25, so that each format can hold them.
fn parameters(architecture: &Architecture) -> Parameters {
    let mut net = Parameters::initial(architecture.clone(), 1).unwrap();
    for (tensor, values) in net.values_mut().into_iter().enumerate() {
        for (at, value) in values.iter_mut().enumerate() {
            *value = ((at * 7919 + tensor * 31) % 1009) as f32 / 2018.0 - 0.25;
        }
    }
    net
}

/// A plain network, or one with king buckets, output buckets and layers.
pub fn network(directory: &Path, name: &str) -> PathBuf {
    let path = directory.join(format!("{name}.safetensors"));
    let table: Vec<usize> = (0..32).map(|entry| entry / 8 * 2 + entry % 4 / 2).collect();
    let (architecture, encoding) = match name {
        "plain" => (
            Architecture::new(768, 8).activation(Activation::SCRelu),
            Encoding::default(),
        ),
        _ => {
            let inputs = ChessInputs::named("king-buckets-mirrored", Some(&table)).unwrap();
            let layers = ["4:dual", "3:crelu"].map(|text| text.parse().unwrap());
            (
                Architecture::new(6144, 8)
                    .pairwise(true)
                    .layers(layers.to_vec())
                    .buckets(8),
                Encoding::new(inputs, OutputBuckets::material(8).unwrap()),
            )
        }
    };
    let net = parameters(&architecture.tied());
    write_network(&path, &net, encoding.metadata().unwrap()).unwrap();
    path
}

pub fn export(net: &Path, format: &str, out: &Path, options: &str) -> Ended {
    let line = format!("export {options}");
    let format = Path::new(format);
    wgrad(
        &line,
        &[("--net", net), ("--format", format), ("--out", out)],
    )
}

pub fn list_of(out: &Path) -> PathBuf {
    PathBuf::from(format!("{}.check.tsv", out.display()))
}

/// The JSON of each position.
pub fn evaluate(net: &Path, options: &str, fens: &[&str]) -> Vec<Value> {
    let net = net.to_str().unwrap();
    let words = ["eval", "--json", "--net", net].into_iter();
    let words = words.chain(options.split_whitespace()).chain(["--fen"]);
    let run = ended(command(WGRAD, words.chain(fens.iter().copied()))).success();
    let lines = run.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn every_format_is_listed_and_shown_as_a_file_that_makes_the_same_bytes() {
    let (_guard, directory) = scratch();
    let listed = wgrad("export --list", &[]).success().stdout;
    let names: Vec<&str> = listed
        .lines()
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    let known: Vec<&str> = SaveFormat::presets()
        .iter()
        .map(|(name, _)| *name)
        .collect();
    assert_eq!(names, known);
    let (plain, layered) = (network(&directory, "plain"), network(&directory, "layered"));
    let (toml, own, named) = (
        directory.join("my.toml"),
        directory.join("own"),
        directory.join("named"),
    );
    for name in names {
        for net in [None, Some(&plain), Some(&layered)] {
            let paths: Vec<_> = net.iter().map(|net| ("--net", net.as_path())).collect();
            let shown = wgrad(&format!("export --show {name}"), &paths)
                .success()
                .stdout;
            let architecture = match net {
                None => Architecture::default(),
                Some(net) => read_network(net).unwrap().0.architecture().clone(),
            };
            let format = SaveFormat::from_toml(&shown).unwrap();
            assert_eq!(
                format,
                SaveFormat::preset(name, &architecture).unwrap(),
                "{name}"
            );
            let (Some(net), true) = (net, ["wgrad", "bullet", "raw"].contains(&name)) else {
                continue;
            };
            fs::write(&toml, &shown).unwrap();
            export(net, name, &named, "").success();
            export(net, toml.to_str().unwrap(), &own, "").success();
            assert_eq!(fs::read(&own).unwrap(), fs::read(&named).unwrap(), "{name}");
        }
    }
    wgrad("export --show nonsense", &[]).refused(1, &["format", "publius", "\"nonsense\""]);
    wgrad("export --list --show bullet", &[]).refused(2, &["--list"]);
    wgrad("export", &[]).refused(2, &["--net", "--out"]);
}

#[test]
fn the_list_beside_a_file_has_what_eval_prints() {
    let (_guard, directory) = scratch();
    for (name, format, size) in [
        ("plain", "bullet", 12_352),
        ("plain", "wgrad", 12_672),
        ("layered", "bullet", 99_712),
    ] {
        let net = network(&directory, name);
        let out = directory.join("net.nnue");
        let shown = export(&net, format, &out, "").success().stdout;
        let list = list_of(&out);
        assert!(
            shown.contains(&format!("{size} bytes, format {format}")),
            "{shown}"
        );
        assert!(
            shown.contains("the evaluations of 100 positions"),
            "{shown}"
        );
        assert_eq!(fs::read(&out).unwrap().len(), size);
        let text = fs::read_to_string(&list).unwrap();
        let mut lines = text.lines();
        let head = "fen\tinteger\tfloat\town king\tother king\toutput bucket";
        assert_eq!(lines.next(), Some(head));
        let rows: Vec<Vec<&str>> = lines.map(|line| line.split('\t').collect()).collect();
        assert_eq!(rows.len(), 100);
        let fens: Vec<&str> = rows.iter().map(|row| row[0]).collect();
        let found = evaluate(&net, &format!("--format {format}"), &fens);
        assert_eq!(found.len(), 100);
        for (row, found) in rows.iter().zip(&found) {
            assert_eq!(found["fen"], row[0]);
            assert_eq!(found["integer"].to_string(), row[1], "{row:?}");
            assert_eq!(found["overflow"], Value::Null);
            let float = found["float"].as_f64().unwrap();
            assert!(
                (float - row[2].parse::<f64>().unwrap()).abs() < 0.01,
                "{row:?}: {float}"
            );
        }
        if format == "wgrad" {
            // The file itself has the integers.
            for (own, found) in evaluate(&out, "", &fens).iter().zip(&found) {
                assert_eq!(own["integer"], found["integer"]);
            }
        }
        fs::remove_file(&list).unwrap();
        let shown = export(&net, format, &out, "--no-check").success().stdout;
        assert_eq!(shown.lines().count(), 1, "{shown}");
        assert!(!list.exists());
    }
}

#[test]
fn rounding_replaces_that_of_the_format() {
    let (_guard, directory) = scratch();
    let net = network(&directory, "plain");
    let bytes = |options: &str| {
        let out = directory.join("net.bin");
        export(&net, "bullet", &out, options).success();
        fs::read(&out).unwrap()
    };
    let nearest = bytes("");
    assert_eq!(bytes("--rounding nearest"), nearest);
    let truncated = bytes("--rounding truncate");
    let (weights, _) = read_network(&net).unwrap();
    let values = weights.values()[0].iter();
    for (value, (near, cut)) in values.zip(nearest.chunks(2).zip(truncated.chunks(2))) {
        let scaled = f64::from(*value) * 255.0;
        let integer = |bytes: &[u8]| f64::from(i16::from_le_bytes([bytes[0], bytes[1]]));
        assert_eq!(
            (integer(near), integer(cut)),
            (scaled.round(), scaled.trunc())
        );
    }
    let run = export(&net, "bullet", &directory.join("net.bin"), "--rounding up");
    run.refused(2, &["--rounding", "nearest, truncate"]);
}

#[test]
fn no_input_is_overwritten() {
    let (_guard, directory) = scratch();
    let net = network(&directory, "plain");
    let before = fs::read(&net).unwrap();
    let words = ["--out", "another file than the inputs", "plain.safetensors"];
    export(&net, "bullet", &net, "").refused(1, &words);
    let toml = directory.join("my.toml");
    let text = SaveFormat::preset_texts("bullet").unwrap()[0];
    fs::write(&toml, text).unwrap();
    let format = toml.to_str().unwrap();
    let words = ["--out", "another file than the inputs", "my.toml"];
    export(&net, format, &toml, "").refused(1, &words);
    // The list beside the file would take the place of the network.
    let taken = directory.join("x.check.tsv");
    fs::copy(&net, &taken).unwrap();
    let words = [
        "the list beside --out",
        "another file than the inputs",
        "x.check.tsv",
    ];
    export(&taken, "bullet", &directory.join("x"), "").refused(1, &words);
    assert!(!directory.join("x").exists());
    let data = cut(&directory, 100);
    let words = ["--out", "another file than the inputs", "100.bin"];
    let options = format!("--calibrate {}", data.display());
    export(&net, "bullet", &data, &options).refused(1, &words);
    let out = directory.join("net.bin");
    export(&net, "bullet", &out, "").success();
    let import = |file: &Path, format: &str, out: &Path| {
        let line = format!("import {} --format {format} --hidden 8", file.display());
        wgrad(&line, &[("--out", out)])
    };
    import(&out, "bullet", &out).refused(1, &["--out", "another file", "net.bin"]);
    import(&out, format, &toml).refused(1, &["--out", "another file", "my.toml"]);
    for path in [&net, &data] {
        let paths = [
            ("--net", &*net),
            ("--data", &*data),
            ("--evaluations", path),
        ];
        let run = wgrad("eval --device cpu", &paths);
        run.refused(1, &["--evaluations", "another file than the inputs"]);
    }
    assert_eq!(fs::read(&net).unwrap(), before);
    assert_eq!(fs::read(&taken).unwrap(), before);
    assert_eq!(fs::read_to_string(&toml).unwrap(), text);
    assert_eq!(fs::read(&data).unwrap().len(), 3200);
}

#[test]
fn networks_that_do_not_fit_are_refused_and_leave_no_file() {
    let (_guard, directory) = scratch();
    let net = network(&directory, "plain");
    let out = directory.join("out.bin");
    let refuse = |net: &Path, format: &str, words: &[&str]| {
        export(net, format, &out, "").refused(1, words);
        assert!(!out.exists() && !list_of(&out).exists());
    };
    let name = net.to_str().unwrap();
    refuse(
        &net,
        "tcheran",
        &[name, "hidden (K)", "256, as the format requires", "found 8"],
    );
    refuse(&net, "hobbes", &[name, "hidden (K)", "1536"]);
    refuse(&net, "nonsense", &["format", "\"nonsense\""]);
    refuse(&directory.join("none"), "bullet", &["none"]);
    let spoiled = directory.join("spoiled.safetensors");
    let with = |change: &dyn Fn(&mut Parameters), metadata: &[(&str, &str)]| {
        let (mut net, _) = read_network(&net).unwrap();
        change(&mut net);
        let own = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
        write_network(&spoiled, &net, metadata.iter().map(own).collect()).unwrap();
    };
    with(&|net| net.values_mut()[2][9] = 600.0, &[]);
    let words = [
        "spoiled",
        "tensor C, bucket 0, input 9",
        "38400 from the weight 600",
    ];
    refuse(&spoiled, "bullet", &words);
    with(&|_| {}, &[("inputs", "{\"name\": \"shogi\"}")]);
    refuse(
        &spoiled,
        "bullet",
        &["spoiled", "`inputs`", "the inputs of chess", "shogi"],
    );
    let other = parameters(&Architecture::new(42, 8).tied());
    write_network(&spoiled, &other, Default::default()).unwrap();
    refuse(&spoiled, "bullet", &["spoiled", "768", "42"]);
    // Without an integer evaluation there is no list, and so no file unless it is wanted alone.
    let clipped = Architecture::new(768, 8)
        .activation(Activation::SCRelu)
        .clip(0.5)
        .tied();
    write_network(&spoiled, &parameters(&clipped), Default::default()).unwrap();
    refuse(&spoiled, "bullet", &["clip (T)", "0.5"]);
    export(&spoiled, "bullet", &out, "--no-check").success();
    assert_eq!(fs::read(&out).unwrap().len(), 12_352);
}
