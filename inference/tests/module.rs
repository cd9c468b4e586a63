//! The folder `src` as a module of another program, and what its files import.

use std::fs;
use std::path::Path;

// An engine that copies the folder has these attributes too, or removes the one line.
#[allow(dead_code, unused_attributes, unused_imports)]
#[path = "../src/lib.rs"]
mod copied;

mod support;

#[test]
fn a_copied_folder_evaluates_as_the_crate_does() {
    let mut random = support::Random(4);
    for (name, inputs) in support::forms() {
        let network = support::plain(inputs, 8, &mut random);
        let copy = copied::Network::from_bytes(&network.to_bytes()).unwrap();
        for field in [
            "rnbqkbnr/pppppppp/8/8/8/8/PPPPPPPP/RNBQKBNR",
            "r3k2r/p1ppqpb1/bn2pnp1/3PN3/1p2P3/2N2Q1p/PPPBBPPP/R3K2R",
            "8/2p5/3p4/KP5r/1R3p1k/8/4P1P1/8",
        ] {
            let board = wgrad_inference::pieces_of(field);
            let expected = network.evaluate_checked(board, wgrad_inference::Color::Black);
            let board = copied::pieces_of(field);
            let accumulators = copied::Accumulators::new(&copy, board.clone());
            let found = copy.evaluate(&accumulators, copied::Color::Black, board.count());
            assert_eq!(Ok(found), expected, "{name}, {field}");
        }
    }
}

#[test]
fn no_file_names_std_or_another_crate() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = 0;
    let folders = [source.clone(), source.join("file")];
    let entries = folders
        .iter()
        .flat_map(|folder| fs::read_dir(folder).unwrap());
    let paths = entries.map(|entry| entry.unwrap().path());
    for path in paths.filter(|path| path.is_file()) {
        let text = fs::read_to_string(&path).unwrap();
        files += 1;
        for (number, line) in (1..).zip(text.lines()) {
            let code = line.split("//").next().unwrap().trim();
            let place = format!("{}, line {number}: {line}", path.display());
            for name in ["std::", "crate::", "println!", "extern crate std"] {
                assert!(!code.contains(name), "{place}");
            }
            if let Some(import) = code.strip_prefix("use ") {
                assert!(
                    import.starts_with("super::") || import.starts_with("core::"),
                    "{place}"
                );
            }
        }
        let is_root = path.ends_with("lib.rs");
        assert_eq!(text.contains("#![no_std]"), is_root, "{}", path.display());
    }
    assert!(files > 10, "only {files} files");
}
