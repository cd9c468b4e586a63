//! `wgrad import`: files of engines become networks that are trained further.

use crate::export::{export, network};
use crate::support::{cut, scratch, wgrad};
use std::fs;
use std::path::Path;
use wgrad::nnue::read_network;

#[test]
fn imported_networks_are_trained_further() {
    let (_guard, directory) = scratch();
    let data = cut(&directory, 500);
    for (name, options, shape) in [
        (
            "plain",
            "--hidden 8",
            "--hidden 8 --tied --activation screlu",
        ),
        (
            "layered",
            "--hidden 8 --pairwise --layers 4:dual,3:crelu --output-buckets material:8",
            "--hidden 8 --tied --pairwise --layers 4:dual,3:crelu --output-buckets material:8",
        ),
    ] {
        let net = network(&directory, name);
        let (engine, raw, own) = (
            directory.join("a.nnue"),
            directory.join("a.raw"),
            directory.join("a.wgrad"),
        );
        export(&net, "bullet", &engine, "").success();
        export(&net, "raw", &raw, "").success();
        export(&net, "wgrad", &own, "").success();
        let table = "--inputs king-buckets-mirrored --buckets \
                     0,0,1,1,0,0,1,1,2,2,3,3,2,2,3,3,4,4,5,5,4,4,5,5,6,6,7,7,6,6,7,7";
        let table = if name == "plain" { "" } else { table };
        let imported = directory.join("imported.safetensors");
        let import = |file: &Path, format: &str, options: &str| {
            let line = format!("import {} --format {format} {options}", file.display());
            wgrad(&line, &[("--out", &imported)])
        };
        let options = format!("{options} {table}");
        import(&raw, "raw", &options).success();
        assert_eq!(
            read_network(&imported).unwrap(),
            read_network(&net).unwrap()
        );
        // The file of wgrad says its shape.
        import(&own, "wgrad", "").success();
        let (found, metadata) = read_network(&imported).unwrap();
        let (expected, expected_metadata) = read_network(&net).unwrap();
        assert_eq!(found.architecture(), expected.architecture());
        assert_eq!(metadata, expected_metadata);
        let shown = import(&engine, "bullet", &options).success().stdout;
        assert!(
            shown.contains(&expected.architecture().to_string()),
            "{shown}"
        );
        let (start, _) = read_network(&imported).unwrap();
        for (start, own) in start
            .values()
            .iter()
            .flatten()
            .zip(expected.values().iter().flatten())
        {
            assert!(
                (start - own).abs() <= 0.5 / 64.0 + 1e-6,
                "{start} for {own}"
            );
        }
        // The same bytes again.
        let again = directory.join("b.nnue");
        export(&imported, "bullet", &again, "").success();
        assert_eq!(fs::read(&again).unwrap(), fs::read(&engine).unwrap());
        let run = directory.join(format!("run-{name}"));
        let line = format!(
            "train --device cpu --epochs 1 --batch-size 500 --learning-rate 0.001 {shape} {table}"
        );
        let paths = [("--data", &*data), ("--init", &*imported), ("--out", &*run)];
        wgrad(&line, &paths).success();
        let (after, _) = read_network(&run.join("net.safetensors")).unwrap();
        let moves: Vec<f32> = after
            .values()
            .iter()
            .flatten()
            .zip(start.values().iter().flatten())
            .map(|(after, start)| (after - start).abs())
            .collect();
        let most = moves.iter().copied().fold(0.0, f32::max);
        assert!(
            most > 0.0005 && most < 0.0011,
            "one step moved a weight by {most}"
        );
    }
}

#[test]
fn wrong_imports_name_the_file_and_the_sizes() {
    let (_guard, directory) = scratch();
    let net = network(&directory, "plain");
    let (engine, out) = (directory.join("a.nnue"), directory.join("out.safetensors"));
    export(&net, "bullet", &engine, "").success();
    let import = |file: &Path, options: &str, words: &[&str]| {
        let run = wgrad(
            &format!("import {} {options}", file.display()),
            &[("--out", &out)],
        );
        run.refused(1, &[&[file.to_str().unwrap()], words].concat());
        assert!(!out.exists());
    };
    let words = [
        "size of the file",
        "197440 bytes for (768 -> 128) x 2",
        "found 12352",
    ];
    import(&engine, "--format bullet", &words);
    import(
        &engine,
        "--format tcheran",
        &["394816 bytes for (768 -> 256) x 2", "found 12352"],
    );
    let words = ["hidden (K)", "256, as the format requires", "8"];
    import(&engine, "--format tcheran --hidden 8", &words);
    import(&engine, "", &["a network of wgrad-inference", "wgradnet"]);
    import(&engine, "--format bullet-weights --hidden 8", &["byte 0"]);
    import(
        &directory.join("none"),
        "--format bullet",
        &["could not read"],
    );
    let own = directory.join("a.wgrad");
    export(&net, "wgrad", &own, "").success();
    let mut damaged = fs::read(&own).unwrap();
    damaged[5000] ^= 1;
    fs::write(&own, &damaged).unwrap();
    import(&own, "", &["checksum"]);
    wgrad("eval --fen x", &[("--net", &own)]).refused(1, &[own.to_str().unwrap(), "checksum"]);
    let run = wgrad("import x --inputs king-buckets", &[("--out", &out)]);
    assert_ne!(run.status, 0);
    assert!(
        run.stderr.contains("x") && !run.stderr.contains("panicked"),
        "{}",
        run.stderr
    );
}
