//! FXC, the shader compiler of Windows without `dxcompiler.dll`, refuses a function with a result
//! whose flow it cannot follow to a `return` (error X3507). It follows a `return` that ends the
//! body, and a final `switch` whose every case ends in a `return`. It does not follow a second
//! `return`, inside an `if` of such a case.

use crate::{hlsl_text, variants};

/// A statement of a block, as far as the flow of control goes.
#[derive(Debug, PartialEq)]
enum Statement {
    Return,
    /// The blocks of a `switch`, one per case that has one.
    Switch(Vec<Vec<Statement>>),
    /// An `if`, a loop, or any other statement with blocks, and whether one of them returns.
    Nested {
        returns: bool,
    },
    Straight,
}

/// Splits HLSL into words and the punctuation that separates statements.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = vec![String::new()];
    for line in text.lines() {
        let code = line.split("//").next().unwrap_or_default();
        for c in code.chars().chain([' ']) {
            let last = tokens.last_mut().unwrap();
            if c.is_alphanumeric() || c == '_' {
                last.push(c);
            } else {
                if !last.is_empty() {
                    tokens.push(String::new());
                }
                if !c.is_whitespace() {
                    *tokens.last_mut().unwrap() = c.to_string();
                    tokens.push(String::new());
                }
            }
        }
    }
    tokens.retain(|token| !token.is_empty());
    tokens
}

/// Reads the statements of a block whose `{` was read, through its `}`.
fn block(tokens: &mut std::slice::Iter<'_, String>) -> Vec<Statement> {
    let mut statements = Vec::new();
    let mut words: Vec<&str> = Vec::new();
    while let Some(token) = tokens.next() {
        match token.as_str() {
            "}" => break,
            ";" => {
                statements.push(match words.first() {
                    Some(&"return") => Statement::Return,
                    _ => Statement::Straight,
                });
                words.clear();
            }
            "{" => {
                let inner = block(tokens);
                let starts = |word| words.first() == Some(&word);
                if starts("case") || starts("default") {
                    statements.push(Statement::Switch(vec![inner]));
                } else if starts("switch") {
                    let cases = inner.into_iter().flat_map(|case| match case {
                        Statement::Switch(blocks) => blocks,
                        other => vec![vec![other]],
                    });
                    statements.push(Statement::Switch(cases.collect()));
                } else {
                    let returns = contains_return(&inner);
                    statements.push(Statement::Nested { returns });
                }
                words.clear();
            }
            word => words.push(word),
        }
    }
    statements
}

fn contains_return(statements: &[Statement]) -> bool {
    statements.iter().any(|statement| match statement {
        Statement::Return => true,
        Statement::Switch(cases) => cases.iter().any(|case| contains_return(case)),
        Statement::Nested { returns } => *returns,
        Statement::Straight => false,
    })
}

/// Whether FXC sees that every path through a body returns.
fn returns(body: &[Statement]) -> bool {
    match body.last() {
        Some(Statement::Return) => true,
        Some(Statement::Switch(cases)) => cases.iter().all(|case| {
            let (last, before) = case.split_last().unwrap_or((&Statement::Straight, &[]));
            *last == Statement::Return && !contains_return(before)
        }),
        _ => false,
    }
}

/// The names of the functions with a result, and those among them that FXC refuses.
fn functions(text: &str) -> (Vec<String>, Vec<String>) {
    let tokens = tokens(text);
    let (mut all, mut refused) = (Vec::new(), Vec::new());
    let mut rest = tokens.iter();
    let mut words: Vec<&str> = Vec::new();
    while let Some(token) = rest.next() {
        match token.as_str() {
            ";" => words.clear(),
            "{" => {
                let body = block(&mut rest);
                let open = words.iter().position(|word| *word == "(");
                let is_plain = !["struct", "cbuffer"].contains(words.first().unwrap_or(&""));
                if let Some(open) = open.filter(|&open| open >= 2 && is_plain) {
                    let (result, name) = (words[open - 2], words[open - 1]);
                    if result != "void" && name != "numthreads" {
                        all.push(name.to_owned());
                        if !returns(&body) {
                            refused.push(name.to_owned());
                        }
                    }
                }
                words.clear();
            }
            word => words.push(word),
        }
    }
    (all, refused)
}

#[test]
fn every_function_ends_in_returns_that_fxc_follows() {
    let mut count = 0;
    for (kernel, variant) in variants() {
        let text = hlsl_text(kernel, variant);
        let (all, refused) = functions(&text);
        assert!(
            refused.is_empty(),
            "{}: {refused:?}:\n{text}",
            kernel.label(variant)
        );
        count += all.len();
    }
    assert!(
        count > variants().count(),
        "only {count} functions were read"
    );
}

#[test]
fn the_check_sees_a_branch_within_a_case() {
    let text = "
        float good(float x) { if (x > 0.0) { return 1.0; } return 0.0; }
        float chosen(uint k) { switch(k) { case 0: { float y = 1.0; return y; } default: { return 0.0; } } }
        float branches(uint k, float x) {
            switch(k) { case 0: { if (x > 0.0) { return 1.0; } return 0.0; } default: { return 0.0; } }
        }
        float joined(uint k, float x) {
            switch(k) { default: { bool b = false; if (x > 0.0) { b = true; } return b ? 1.0 : 0.0; } }
        }
        float open(float x) { if (x > 0.0) { return 1.0; } else { return 0.0; } }
        [numthreads(64, 1, 1)] void main(uint3 id : SV_GroupID) { if (id.x > 0u) { return; } }";
    let (all, refused) = functions(text);
    assert_eq!(all, ["good", "chosen", "branches", "joined", "open"]);
    assert_eq!(refused, ["branches", "open"]);
}
