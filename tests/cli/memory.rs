//! Sizes that the memory of the system does not suffice for.

use crate::support::{Ended, WGRAD, command, ended, scratch};

/// Runs `wgrad` with a limit of 1 GiB on its memory.
fn limited(line: &str) -> Ended {
    let mut limited = command("sh", ["-c", "ulimit -v 1048576; exec \"$@\"", "sh", WGRAD]);
    limited.args(line.split_whitespace());
    ended(limited)
}

#[test]
fn a_size_that_memory_does_not_hold_is_an_error_with_its_bytes() {
    let (_folder, path) = scratch();
    let out = path.join("run");
    let train = format!("train --device cpu --threads 1 --out {}", out.display());
    let refusals = [
        (
            "--hidden 1000000 --tied",
            "A1 needs 3072000000 bytes of memory",
        ),
        // Of L records of 32 bytes.
        (
            "--hidden 8 --batch-size 67000000",
            "a batch needs 2144000000 bytes of memory",
        ),
    ];
    for (options, expected) in refusals {
        let _ = std::fs::remove_dir_all(&out);
        limited(&format!("{train} {options}")).refused(1, &[expected]);
    }
}
