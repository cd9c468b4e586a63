//! Formats and networks that are refused, and the words of each message.

use crate::support::{
    encoding, format, free, inputs, layered, parameters, plain, refused, small_buckets,
};
use wgrad::nnue::Activation;
use wgrad::nnue::data::{Encoding, OutputBuckets};
use wgrad::nnue::export::{Quantized, SaveFormat};

/// A plain format with a change of its text.
fn changed(from: &str, to: &str) -> String {
    let text = SaveFormat::preset_texts("bullet").unwrap()[0];
    assert!(text.contains(from), "no {from:?}");
    text.replacen(from, to, 1)
}

#[track_caller]
fn refuse(text: &str, words: &[&str]) {
    refused(SaveFormat::from_toml(text), words);
}

#[test]
fn unknown_and_wrong_keys_are_named_with_their_line() {
    let line = |text: &str, key: &str| {
        let number = 1 + text.lines().position(|line| line.contains(key)).unwrap();
        format!("line {number}")
    };
    for (from, to, key, word) in [
        (
            "type = \"i16\"",
            "types = \"i16\"",
            "types",
            "unknown field `types`",
        ),
        (
            "[padding]",
            "[pading]",
            "[pading]",
            "unknown field `pading`",
        ),
        (
            "[padding]",
            "[padding]\nfill = 1",
            "fill",
            "unknown field `fill`",
        ),
        (
            "[evaluation]",
            "[evaluation]\nqa = 255",
            "qa =",
            "unknown field `qa`",
        ),
        (
            "type = \"i16\"",
            "type = \"i12\"",
            "i12",
            "unknown variant `i12`",
        ),
        (
            "scale = 255",
            "scale = '255'",
            "'255'",
            "invalid type: string",
        ),
        ("to = 64", "to = -1", "to = -1", "invalid value"),
        (
            "scale = 400",
            "scale = 400.5",
            "400.5",
            "invalid type: floating point",
        ),
        (
            "merge = [\"shared\"]",
            "merge = [\"all\"]",
            "\"all\"",
            "unknown variant `all`",
        ),
        (
            "merge = [\"shared\"]",
            "order = [\"row\"]",
            "\"row\"",
            "unknown variant `row`",
        ),
        (
            "scale = 255",
            "rounding = \"up\"",
            "\"up\"",
            "unknown variant `up`",
        ),
        (
            "[padding]",
            "rounding = 'up'\n[padding]",
            "'up'",
            "unknown variant `up`",
        ),
        (
            "scale = 255",
            "scale = 255\nscale = 1",
            "scale = 1",
            "duplicate key",
        ),
        (
            "[evaluation]",
            "[requires]\nk = 1\n[evaluation]",
            "k = 1",
            "unknown field `k`",
        ),
    ] {
        let text = changed(from, to);
        refuse(
            &text,
            &[&line(&text, key), "the keys of a save format", word],
        );
    }
    refuse("", &["missing field `tensors`"]);
    refuse("tensors = []", &["tensors", "at least one", "none"]);
    refuse(
        "[[tensors]]\ntensor = 'A1'\n",
        &["line 1", "missing field `type`"],
    );
    let header = |header: &str| changed("[padding]", &format!("[header]\n{header}\n[padding]"));
    refuse(&header("kind = 'png'"), &["unknown variant `png`"]);
    refuse(
        &header("kind = 'bytes'\nhex = '1 2 3'"),
        &["header, hex", "two per byte", "1 2 3"],
    );
    let name = "n".repeat(49);
    let long = format!("kind = 'cbnf'\narch = 0\nactivation = 0\nname = '{name}'");
    refuse(&header(&long), &["header, name", "at most 48 bytes", "49"]);
    refuse(
        &header("kind = 'cbnf'\narch = 256\nactivation = 0\nname = ''"),
        &["invalid value"],
    );
}

#[test]
fn numbers_out_of_their_range_are_named_with_their_tensor() {
    for scale in ["0", "-1", "nan", "inf", "-inf"] {
        let text = changed("scale = 255", &format!("scale = {scale}"));
        let found = scale.replace("nan", "NaN");
        refuse(
            &text,
            &["tensor A1, scale", "a finite number above 0", &found],
        );
    }
    for align in [0, 65_537] {
        let text = changed("scale = 255", &format!("align = {align}"));
        refuse(
            &text,
            &["tensor A1, align", "1 to 65536", &align.to_string()],
        );
        let text = changed("to = 64", &format!("to = {align}"));
        refuse(&text, &["padding, to", "1 to 65536", &align.to_string()]);
    }
    let twice = changed("scale = 64", "order = ['input', 'input']");
    refuse(&twice, &["tensor C, order", "each axis once", "input"]);
    let merged = changed("tensor = \"C\"", "tensor = \"C\"\nmerge = ['kings']");
    refuse(
        &merged,
        &["tensor C, merge", "none but for A1 and A2", "Kings"],
    );
    for scale in [0, -400] {
        let text = changed("scale = 400", &format!("scale = {scale}"));
        refuse(
            &text,
            &["evaluation, scale", "at least 1", &scale.to_string()],
        );
    }
    for key in ["product_shift", "sum_shift"] {
        let text = changed("scale = 400", &format!("scale = 400\n{key} = 17"));
        refuse(
            &text,
            &[&format!("evaluation, {key}"), "at most 16 bits", "17"],
        );
    }
    let container = changed("[padding]", "container = 'inference'\n[padding]");
    let container = container.replace("[evaluation]\nscale = 400\n", "");
    refuse(&container, &["[evaluation]", "container inference"]);
}

fn chess() -> Encoding {
    encoding(inputs("chess768", None), 1)
}

#[test]
fn tensors_are_those_of_the_network() {
    let architecture = plain(&chess(), 4);
    let net = parameters(&architecture, 0.4, 31);
    let new = |text: &str| Quantized::new(&format(text), &net, Some(&chess()));
    for name in ["W1", "A2", "A1f", "c", ""] {
        let text = changed("tensor = \"C\"", &format!("tensor = \"{name}\""));
        let words = [
            "tensors",
            "A1, B1, C or d",
            "(768 -> 4) x 2 -> 1",
            &format!("{name:?}"),
        ];
        refused(new(&text), &words);
    }
    let twice = changed("tensor = \"d\"", "tensor = \"C\"");
    refused(new(&twice), &["tensors", "C once", "it again"]);
    let entry = "[[tensors]]\ntensor = \"d\"\ntype = \"i16\"\nscale = 16320\n";
    let without = changed(entry, "");
    refused(
        new(&without),
        &["tensors", "every tensor of (768 -> 4) x 2", "none for d"],
    );
    let order = changed(
        "tensor = \"C\"",
        "tensor = \"C\"\norder = ['lane', 'input']",
    );
    refused(
        new(&order),
        &[
            "tensor C, order",
            "bucket, input in any order",
            "lane, input",
        ],
    );
    let short = changed("tensor = \"A1\"", "tensor = \"A1\"\norder = ['lane']");
    refused(
        new(&short),
        &["tensor A1, order", "input, lane in any order", "lane"],
    );
    let long = changed(
        "tensor = \"B1\"",
        "tensor = \"B1\"\norder = ['lane', 'input']",
    );
    refused(new(&long), &["tensor B1, order", "lane in any order"]);
    // An optional entry has no effect, and a star none without layers.
    let optional = changed(
        "[evaluation]",
        "[[tensors]]\ntensor = 'W1'\ntype = 'i8'\n\
                           optional = true\n[[tensors]]\ntensor = 'W*'\ntype = 'i8'\n[evaluation]",
    );
    let found = new(&optional).unwrap().to_bytes().unwrap();
    assert_eq!(found, new(&changed("", "")).unwrap().to_bytes().unwrap());
    // A factorised network whose shared part nothing mentions.
    let kings = encoding(inputs("king-buckets-mirrored", Some(&small_buckets())), 1);
    let shared = plain(&kings, 2).factorised(true).unwrap();
    let shared = parameters(&shared, 0.4, 31);
    let unmerged = changed("merge = [\"shared\"]\n", "");
    refused(
        Quantized::new(&format(&unmerged), &shared, Some(&kings)),
        &["none for A1f"],
    );
}

#[test]
fn a_weight_out_of_range_is_named_with_its_place_and_the_clip_that_prevents_it() {
    let architecture = layered(&chess(), 4, &["2:crelu", "3:crelu"]);
    let check = |tensor: usize, place: usize, weight: f32, words: &[&str]| {
        let mut net = parameters(&architecture, 0.1, 32);
        net.values_mut()[tensor][place] = weight;
        let format = free("hobbes", &architecture);
        refused(Quantized::new(&format, &net, Some(&chess())), words);
    };
    check(
        0,
        4 * 700 + 3,
        128.6,
        &[
            "tensor A1, input 700, lane 3",
            "-32768 to 32767 at scale 255",
            "clipped at 128.4980",
            "32793 from the weight 128.6",
        ],
    );
    check(
        0,
        0,
        -128.51,
        &[
            "tensor A1, input 0, lane 0",
            "-32770 from the weight -128.51",
        ],
    );
    check(
        2,
        4 + 2,
        1.0,
        &[
            "tensor W1, bucket 0, output 1, input 2",
            "-128 to 127 at scale 129.0",
            "clipped at 0.9845",
            "129 from the weight 1",
        ],
    );
    check(
        7,
        0,
        128.0,
        &[
            "tensor c3, bucket 0, output 0",
            "2147483648 from the weight 128",
        ],
    );
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        check(
            1,
            2,
            bad,
            &["tensor B1, lane 2", &format!("from the weight {bad}")],
        );
    }
    // The ends of the range fit.
    let mut net = parameters(&architecture, 0.1, 32);
    net.values_mut()[2][..2].copy_from_slice(&[0.9844, -0.992]);
    let format = free("hobbes", &architecture);
    let quantized = Quantized::new(&format, &net, Some(&chess())).unwrap();
    assert_eq!(crate::support::integers(&quantized, "W1")[..2], [127, -128]);
}

#[test]
fn every_key_of_a_requirement_is_compared() {
    let hobbes = SaveFormat::from_toml(SaveFormat::preset_texts("hobbes").unwrap()[0]).unwrap();
    let (architecture, encoding) = hobbes.requires.network().unwrap();
    // The shape is refused before a tensor is looked at, so small networks do.
    let check =
        |format: &SaveFormat, change: &dyn Fn(&mut wgrad::nnue::Architecture), words: &[&str]| {
            let mut other = architecture.clone();
            change(&mut other);
            let read = Quantized::from_bytes(format, &other, Some(&encoding), &[]);
            refused(read, &[&["as the format requires"], words].concat());
        };
    check(
        &hobbes,
        &|one| one.hidden = 512,
        &["hidden (K)", "1536", "512"],
    );
    check(
        &hobbes,
        &|one| one.activation = Activation::SCRelu,
        &["activation", "crelu", "screlu"],
    );
    check(
        &hobbes,
        &|one| one.pairwise = false,
        &["pairwise", "true", "false"],
    );
    check(
        &hobbes,
        &|one| one.layers.truncate(1),
        &["layers", "16:dual-square,32:crelu", "16:dual-square"],
    );
    check(
        &hobbes,
        &|one| one.layers.clear(),
        &["layers", "16:dual-square,32:crelu", "none"],
    );
    check(&hobbes, &|one| one.skip = true, &["skip", "false", "true"]);
    let with = |inputs: wgrad::nnue::data::ChessInputs, buckets| {
        let encoding = Encoding::new(inputs, buckets);
        let mut other = architecture.clone();
        other.inputs = encoding.inputs.inputs();
        other.buckets = encoding.output_buckets.count();
        Quantized::from_bytes(&hobbes, &other, Some(&encoding), &[])
    };
    let eight = OutputBuckets::material(8).unwrap();
    let kings = inputs("king-buckets-mirrored", Some(&small_buckets()));
    let words = [
        "inputs",
        "--buckets 0,1,2,3,4",
        "--buckets 0,0,1,1,0",
        "requires",
    ];
    refused(with(kings, eight), &words);
    refused(
        with(inputs("chess768", None), eight),
        &["inputs", "found chess768"],
    );
    let own = encoding.inputs.clone();
    let words = ["output buckets", "material:8", "requires", "material:4"];
    refused(with(own, OutputBuckets::material(4).unwrap()), &words);
    // The network of tcheran is as large as one of bullet.
    let tcheran = SaveFormat::from_toml(SaveFormat::preset_texts("tcheran").unwrap()[0]).unwrap();
    let net = parameters(&plain(&chess(), 128), 0.4, 33);
    let new = Quantized::new(&tcheran, &net, Some(&chess()));
    refused(new, &["hidden (K)", "256, as the format requires", "128"]);
}

#[test]
fn unknown_names_and_files_are_named() {
    let architecture = plain(&chess(), 4);
    for name in ["stockfish", "", "bullet_layers", "Bullet"] {
        let words = [
            "format",
            "wgrad, bullet, raw",
            ".toml",
            &format!("{name:?}"),
        ];
        refused(SaveFormat::find(name, &architecture), &words);
        refused(SaveFormat::preset_texts(name), &words);
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("my.toml");
    let name = path.to_str().unwrap();
    refused(
        SaveFormat::find(name, &architecture),
        &[name, "could not read"],
    );
    std::fs::write(&path, changed("type = \"i16\"", "types = 1")).unwrap();
    refused(
        SaveFormat::find(name, &architecture),
        &[name, "line ", "`types`"],
    );
    std::fs::write(&path, [0xff, 0xfe]).unwrap();
    refused(
        SaveFormat::find(name, &architecture),
        &[name, "could not read"],
    );
    std::fs::write(&path, changed("", "")).unwrap();
    let found = SaveFormat::find(name, &architecture).unwrap();
    assert_eq!(found, SaveFormat::preset("bullet", &architecture).unwrap());
}
