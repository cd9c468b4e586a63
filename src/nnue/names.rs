//! Names that options, files and errors list.

/// "a, b or c", for the expected values in an error.
pub(crate) fn one_of(names: &[&str]) -> String {
    match names {
        [] => "nothing".to_owned(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::one_of;

    #[test]
    fn names_are_listed_as_in_a_sentence() {
        assert_eq!(one_of(&["mse"]), "mse");
        assert_eq!(one_of(&["mse", "sigmoid_mse"]), "mse or sigmoid_mse");
        assert_eq!(
            one_of(&["crelu", "screlu", "relu"]),
            "crelu, screlu or relu"
        );
    }
}
