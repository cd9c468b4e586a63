//! Data of other tools that are not read: their names, and how to convert them.

/// The EPD operations that take the place of score and result.
const OPERATIONS: [&str; 6] = ["c0 ", "c9 ", "ce ", "bm ", "am ", "id "];

/// Names the format of a file by its first bytes, with the way to convert it.
pub(crate) fn name(head: &[u8]) -> Option<&'static str> {
    if head.starts_with(b"BINP") {
        return Some(
            "Stockfish binpack (a build with `--features binpack-gpl-3` reads it, under GPL-3.0; \
             or convert it to .plain with Stockfish's tools, and that to lines)",
        );
    }
    let line = first_line(head)?;
    if line.starts_with("fen ") {
        return Some(
            "Stockfish .plain (write each `fen`, `score` and `result` as one line, \
             with score and result relative to White)",
        );
    }
    if line.starts_with("[Event ") {
        return Some("PGN games (extract positions with a tool such as pgn-extract)");
    }
    let has = |operation: &&str| line.contains(&format!(" {operation}"));
    if !line.contains('|') && OPERATIONS.iter().any(has) {
        return Some("EPD with operations (write each as `FEN | score | result`)");
    }
    None
}

/// The first line that is not blank.
pub(crate) fn first_line(head: &[u8]) -> Option<&str> {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    head.split(|&byte| byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .find(|line| !line.is_empty())
        .and_then(|line| str::from_utf8(line).ok())
}

#[cfg(test)]
mod tests {
    use super::name;

    /// A build that reads this format does not ask for its name.
    #[test]
    fn stockfish_binpack_is_named_with_the_feature_that_reads_it() {
        let found = name(b"BINP\x00\x08\x00\x00").unwrap();
        assert!(found.starts_with("Stockfish binpack"), "{found}");
        assert!(found.contains("--features binpack-gpl-3"), "{found}");
    }
}
