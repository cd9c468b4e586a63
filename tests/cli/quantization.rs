//! `--quantization-aware` of `wgrad train`: stages whose steps see the numbers of a save format.

use crate::support::{assert_holds, checkpoint, cut, names, scratch, wgrad};
use std::fs;
use std::path::Path;

fn net(run: &Path) -> Vec<u8> {
    fs::read(run.join("net.safetensors")).unwrap()
}

#[test]
fn a_fine_tuning_stage_keeps_its_format_and_resumes_to_the_same_bits() {
    let (_guard, directory) = scratch();
    let data = cut(&directory, 2000);
    let own = directory.join("own.toml");
    let tensors = [("A1", 255), ("B1", 255), ("C", 64), ("d", 16_320)];
    let tensors = tensors.map(|(tensor, scale)| {
        format!("[[tensors]]\ntensor = '{tensor}'\ntype = 'i16'\nscale = {scale}\n")
    });
    fs::write(&own, tensors.concat()).unwrap();
    let train = |name: &str, format: &str| {
        let run = directory.join(name);
        let recipe = directory.join(format!("{name}.toml"));
        let stage = "hidden = 16\ntied = true\nepochs = 1\nbatch_size = 500\n\
                     [[stage]]\nname = 'main'\n[[stage]]\nname = 'fine'\nlearning_rate = 0.0002\n";
        fs::write(&recipe, format!("{stage}{format}\n")).unwrap();
        let line = format!(
            "train --device cpu --save-every 1 --keep 0 {}",
            recipe.display()
        );
        let ended = wgrad(&line, &[("--data", &data), ("--out", &run)]).success();
        (run, ended.stdout)
    };
    let (preset, shown) = train("preset", "quantization_aware = 'bullet'");
    assert_eq!(shown.matches(", quantized as bullet").count(), 1, "{shown}");
    let log = fs::read_to_string(preset.join("log.jsonl")).unwrap();
    assert_eq!(log.matches(r#""quantization_aware":"bullet""#).count(), 1);
    let (floats, shown) = train("floats", "");
    assert!(!shown.contains("quantized"), "{shown}");
    assert!(net(&floats) != net(&preset), "the setting has no effect");
    let same = |step| [&floats, &preset].map(|run| fs::read(checkpoint(run, step)).unwrap());
    let [one, other] = same(3);
    assert!(one == other, "the first stage is plain");

    let format = format!("quantization_aware = '{}'", own.display());
    let (first, shown) = train("first", &format);
    assert!(
        shown.contains("quantized as a format of its own"),
        "{shown}"
    );
    assert!(
        net(&first) == net(&preset),
        "both formats have the same numbers"
    );
    // As if killed after step 6, in the second stage, and the file of the format is gone.
    let (second, _) = train("second", &format);
    fs::remove_file(&own).unwrap();
    let steps = names(&second)
        .into_iter()
        .filter(|name| name.starts_with("step"));
    for name in steps.filter(|name| name.as_str() > "step-00000006.safetensors") {
        fs::remove_file(second.join("checkpoints").join(name)).unwrap();
    }
    fs::remove_file(second.join("net.safetensors")).unwrap();
    let resume = |option: &str| wgrad(&format!("train {option}"), &[("--resume", &second)]);
    let refusal = ["--quantization-aware bullet (the run has"];
    resume("--quantization-aware bullet").refused(2, &refusal);
    resume("").success();
    assert_holds(&second, &first);
}

#[test]
fn formats_that_do_not_fit_are_refused() {
    let (_guard, directory) = scratch();
    let (data, run) = (cut(&directory, 500), directory.join("run"));
    for (options, status, words) in [
        (
            "--quantization-aware stockfish",
            2,
            ["--quantization-aware", "publius"],
        ),
        // The format has one accumulator.
        (
            "--quantization-aware bullet",
            1,
            ["quantization_aware, tensors", "none for A2"],
        ),
        (
            "--tied --layers 4:crelu --quantization-aware publius",
            1,
            ["quantization_aware", "expected"],
        ),
        (
            "--tied --quantization-aware raw",
            1,
            ["quantization_aware, format", "a tensor of integers"],
        ),
    ] {
        let line = format!("train --device cpu {options}");
        let ended = wgrad(&line, &[("--data", &data), ("--out", &run)]);
        ended.refused(status, &words);
        assert!(!run.exists(), "{line}");
    }
}
