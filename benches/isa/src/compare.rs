//! Rows against the baseline.

use crate::table::{Baseline, Row, joined};

/// The result for one row.
#[derive(Debug, Default, PartialEq)]
pub struct Finding {
    /// Whether the row fails.
    pub fails: bool,
    /// What differs, and why it fails; empty if nothing differs.
    pub text: String,
}

/// Compares a row with the recorded one of the same kernel and chip. It fails if the compiler
/// spills more than recorded or, with the same driver, if a SIMD holds fewer waves. Variants that
/// no GPU runs fail only if their row is missing.
pub fn compare(row: &Row, baseline: &Baseline, driver: &str) -> Finding {
    let Some(old) = baseline.find(&row.chip, &row.kernel) else {
        return Finding {
            fails: true,
            text: "FAILS: not in the baseline; add it with --record".to_owned(),
        };
    };
    let mut notes = Vec::new();
    let mut note = |name: &str, was: String, is: String| {
        if was != is {
            notes.push(format!("{name} {was} → {is}"));
        }
    };
    let spills = |row: &Row| [row.spilled_vgprs, row.spilled_sgprs, row.scratch];
    let mut fails = spills(row)
        .iter()
        .zip(spills(old))
        .any(|(is, was)| *is > was);
    let number = |value: u32| value.to_string();
    note(
        "spilled VGPRs",
        number(old.spilled_vgprs),
        number(row.spilled_vgprs),
    );
    note(
        "spilled SGPRs",
        number(old.spilled_sgprs),
        number(row.spilled_sgprs),
    );
    note("scratch", number(old.scratch), number(row.scratch));
    if driver == baseline.driver {
        fails |= row.waves < old.waves;
        note("waves", old.waves.to_string(), row.waves.to_string());
        note("VGPRs", number(old.vgprs), number(row.vgprs));
        note("LDS", number(old.lds), number(row.lds));
        note(
            "instructions",
            number(old.instructions),
            number(row.instructions),
        );
        note("loops", joined(&old.loops), joined(&row.loops));
    } else if row.waves != old.waves {
        notes.push(format!("waves not comparable, recorded {}", old.waves));
    }
    fails &= !row.is_for_software;
    let mark = if fails { "FAILS: " } else { "" };
    Finding {
        fails,
        text: format!("{mark}{}", notes.join(", ")),
    }
}

/// The recorded kernels of these chips that the table of kernels no longer has.
pub fn stale<'a>(baseline: &'a Baseline, rows: &[Row], chips: &[&str]) -> Vec<&'a Row> {
    let is_measured = |old: &Row| {
        rows.iter()
            .any(|row| row.chip == old.chip && row.kernel == old.kernel)
    };
    let recorded = baseline.rows.iter();
    recorded
        .filter(|old| chips.contains(&old.chip.as_str()) && !is_measured(old))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        Row {
            chip: "gfx1100".to_owned(),
            kernel: "sum".to_owned(),
            vgprs: 24,
            waves: 12.0,
            most: 16.0,
            ..Row::default()
        }
    }

    fn baseline() -> Baseline {
        Baseline {
            driver: "radv Mesa 1".to_owned(),
            rows: vec![row()],
        }
    }

    fn found(row: &Row, driver: &str) -> (bool, String) {
        let finding = compare(row, &baseline(), driver);
        (finding.fails, finding.text)
    }

    #[test]
    fn the_same_row_passes() {
        assert_eq!(found(&row(), "radv Mesa 1"), (false, String::new()));
    }

    #[test]
    fn spills_fail_with_every_driver() {
        for change in [
            (|row: &mut Row| row.spilled_vgprs = 1) as fn(&mut Row),
            |row| row.spilled_sgprs = 1,
            |row| row.scratch = 4,
        ] {
            let mut spilled = row();
            change(&mut spilled);
            assert!(found(&spilled, "radv Mesa 1").0);
            assert!(found(&spilled, "radv Mesa 2").0);
            spilled.is_for_software = true;
            assert!(!found(&spilled, "radv Mesa 1").0);
        }
    }

    #[test]
    fn lost_waves_fail_with_the_recorded_driver() {
        let mut slower = row();
        slower.waves = 11.0;
        let lost = "FAILS: waves 12 → 11".to_owned();
        assert_eq!(found(&slower, "radv Mesa 1"), (true, lost));
        let other = "waves not comparable, recorded 12".to_owned();
        assert_eq!(found(&slower, "radv Mesa 2"), (false, other));
        slower.waves = 13.0;
        let won = "waves 12 → 13".to_owned();
        assert_eq!(found(&slower, "radv Mesa 1"), (false, won));
    }

    #[test]
    fn unknown_and_stale_kernels_are_found() {
        let mut other = row();
        other.kernel = "copy".to_owned();
        assert!(found(&other, "radv Mesa 1").0);
        assert_eq!(stale(&baseline(), &[other.clone()], &["gfx1100"]), [&row()]);
        assert!(stale(&baseline(), &[other], &["navi21"]).is_empty());
        assert!(stale(&baseline(), &[row()], &["gfx1100"]).is_empty());
    }
}
