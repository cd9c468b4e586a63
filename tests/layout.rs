//! The floors of the crate: each subject imports only from those below it.

use std::path::{Path, PathBuf};

/// The subjects from the lowest floor up. Files of one floor may import each other.
const FLOORS: [&[&str]; 7] = [
    &["error", "files", "panics", "setters"],
    &["engine"],
    &["tensor"],
    &["optim"],
    &["nn"],
    &["nnue"],
    &["verify"],
];

fn floor_of(subject: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&subject))
}

/// Every Rust file under a folder.
fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The members of a group of imports after its `{`, which may be groups themselves.
fn members(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut members) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                members.push(&group[start..at]);
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    members
}

/// The subjects that a line of code names by `crate::subject`, also inside `crate::{…}`.
fn named_subjects(text: &str) -> Vec<String> {
    let code: String = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n");
    let mut subjects = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let first = |name: &str| -> String {
            let is_word = |c: &char| c.is_alphanumeric() || *c == '_';
            name.trim().chars().take_while(is_word).collect()
        };
        match rest.strip_prefix('{') {
            Some(group) => subjects.extend(members(group).into_iter().map(first)),
            None => subjects.push(first(rest)),
        }
    }
    subjects
}

#[test]
fn no_import_goes_up() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&root, &mut files);
    let (mut imports, mut upward) = (0, Vec::new());
    for file in &files {
        let path = file.strip_prefix(&root).unwrap();
        let top = path.iter().next().unwrap().to_str().unwrap();
        if ["lib.rs", "bin"].contains(&top) {
            continue;
        }
        let floor = floor_of(top.trim_end_matches(".rs"));
        let floor = floor.unwrap_or_else(|| panic!("{top} is on no floor"));
        for subject in named_subjects(&std::fs::read_to_string(file).unwrap()) {
            // Names at the crate's root, such as macros and the error type, are on no floor.
            let Some(named) = floor_of(&subject) else {
                continue;
            };
            imports += 1;
            if named > floor {
                upward.push(format!("{} names crate::{subject}", path.display()));
            }
        }
    }
    assert!(upward.is_empty(), "{}", upward.join("\n"));
    assert!(imports > 300, "only {imports} imports were read");
}

#[test]
fn imports_of_every_form_are_read() {
    let text = "use crate::{nnue, optim::{Optimizer, sinks}, tensor};\n// crate::verify\nlet x = \
                crate::nn::f();";
    assert_eq!(named_subjects(text), ["nnue", "optim", "tensor", "nn"]);
}
