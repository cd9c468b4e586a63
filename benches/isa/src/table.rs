//! The table: rows on the screen and in the baseline.

use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// What the compiler of one chip makes of one kernel.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Row {
    pub chip: String,
    pub kernel: String,
    /// Whether no GPU runs it.
    pub is_for_software: bool,
    pub invocations: u32,
    /// Invocations of a wave.
    pub wave: u32,
    pub vgprs: u32,
    pub sgprs: u32,
    pub spilled_vgprs: u32,
    pub spilled_sgprs: u32,
    /// Bytes of memory that stand in for registers.
    pub scratch: u32,
    /// Bytes of workgroup memory.
    pub lds: u32,
    pub instructions: u32,
    /// Waves that a SIMD holds, and the most for workgroups of this size.
    pub waves: f64,
    pub most: f64,
    /// What keeps `waves` below `most`.
    pub limit: String,
    /// Instructions of each innermost loop that reads memory.
    pub loops: Vec<usize>,
}

/// The rows of a file, and the driver that they are of.
#[derive(Debug, Default, PartialEq)]
pub struct Baseline {
    pub driver: String,
    pub rows: Vec<Row>,
}

const DRIVER: &str = "# driver: ";
const COLUMNS: [&str; 16] = [
    "chip",
    "kernel",
    "class",
    "invocations",
    "wave",
    "VGPRs",
    "SGPRs",
    "spilled VGPRs",
    "spilled SGPRs",
    "scratch",
    "LDS",
    "instructions",
    "waves",
    "most",
    "limit",
    "loops",
];

impl Row {
    fn fields(&self) -> [String; COLUMNS.len()] {
        let class = if self.is_for_software {
            "software"
        } else {
            "gpu"
        };
        [
            self.chip.clone(),
            self.kernel.clone(),
            class.to_owned(),
            self.invocations.to_string(),
            self.wave.to_string(),
            self.vgprs.to_string(),
            self.sgprs.to_string(),
            self.spilled_vgprs.to_string(),
            self.spilled_sgprs.to_string(),
            self.scratch.to_string(),
            self.lds.to_string(),
            self.instructions.to_string(),
            self.waves.to_string(),
            self.most.to_string(),
            self.limit.clone(),
            joined(&self.loops),
        ]
    }

    /// The row of a line, or the name of the first column that is wrong.
    fn parse(line: &str) -> Result<Self, &'static str> {
        let mut fields = line.split('\t').zip(COLUMNS);
        let mut next = |column| match fields.next() {
            Some((field, _)) => Ok(field),
            None => Err(column),
        };
        fn number<T: std::str::FromStr>(
            field: Result<&str, &'static str>,
            column: &'static str,
        ) -> Result<T, &'static str> {
            field?.parse().map_err(|_| column)
        }
        let row = Self {
            chip: next("chip")?.to_owned(),
            kernel: next("kernel")?.to_owned(),
            is_for_software: match next("class")? {
                "software" => true,
                "gpu" => false,
                _ => return Err("class"),
            },
            invocations: number(next("invocations"), "invocations")?,
            wave: number(next("wave"), "wave")?,
            vgprs: number(next("VGPRs"), "VGPRs")?,
            sgprs: number(next("SGPRs"), "SGPRs")?,
            spilled_vgprs: number(next("spilled VGPRs"), "spilled VGPRs")?,
            spilled_sgprs: number(next("spilled SGPRs"), "spilled SGPRs")?,
            scratch: number(next("scratch"), "scratch")?,
            lds: number(next("LDS"), "LDS")?,
            instructions: number(next("instructions"), "instructions")?,
            waves: number(next("waves"), "waves")?,
            most: number(next("most"), "most")?,
            limit: next("limit")?.to_owned(),
            loops: match next("loops")? {
                "-" => Vec::new(),
                list => {
                    let counts = list.split('+').map(|count| number(Ok(count), "loops"));
                    counts.collect::<Result<_, _>>()?
                }
            },
        };
        Ok(row)
    }
}

impl Baseline {
    /// The text of the file.
    pub fn text(&self) -> String {
        let mut text = format!("{DRIVER}{}\n{}\n", self.driver, COLUMNS.join("\t"));
        for row in &self.rows {
            text.push_str(&row.fields().join("\t"));
            text.push('\n');
        }
        text
    }

    /// The baseline in a text, or the number of the first wrong line and what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, (usize, String)> {
        let mut lines = (1..).zip(text.lines());
        let first = lines.next().and_then(|(_, line)| line.strip_prefix(DRIVER));
        let driver = first.ok_or_else(|| (1, format!("expected `{DRIVER}…`")))?;
        let header = COLUMNS.join("\t");
        if lines.next().is_none_or(|(_, line)| line != header) {
            return Err((2, format!("expected the columns {}", COLUMNS.join(", "))));
        }
        let rows = lines.map(|(number, line)| {
            Row::parse(line).map_err(|column| (number, format!("wrong {column} in `{line}`")))
        });
        Ok(Self {
            driver: driver.to_owned(),
            rows: rows.collect::<Result<_, _>>()?,
        })
    }

    /// The row of a kernel on a chip.
    pub fn find(&self, chip: &str, kernel: &str) -> Option<&Row> {
        let mut rows = self.rows.iter();
        rows.find(|row| row.chip == chip && row.kernel == kernel)
    }
}

/// The numbers of instructions of a kernel's loops, or `-`.
pub fn joined(loops: &[usize]) -> String {
    if loops.is_empty() {
        return "-".to_owned();
    }
    let counts: Vec<_> = loops.iter().map(usize::to_string).collect();
    counts.join("+")
}

/// The first of these numbers, as many as fit the screen.
fn shortened(loops: &[usize]) -> String {
    const SHOWN: usize = 4;
    match loops.get(..SHOWN) {
        Some(first) if loops.len() > SHOWN => format!("{}+…", joined(first)),
        _ => joined(loops),
    }
}

/// Rows for the screen, each with a note.
pub fn show(rows: &[(&Row, String)]) -> String {
    let mut text = format!(
        "{:<42} {:>7} {:>5} {:>9} {:>7} {:>6} {:>6} {:>11} {:<5}  {:<17}  note\n",
        "kernel",
        "threads",
        "VGPRs",
        "spilled",
        "scratch",
        "LDS",
        "instr",
        "waves",
        "limit",
        "loops"
    );
    for (row, note) in rows {
        let spilled = format!("{}+{}", row.spilled_vgprs, row.spilled_sgprs);
        let waves = format!("{} of {}", row.waves, row.most);
        let line = format!(
            "{:<42} {:>7} {:>5} {spilled:>9} {:>7} {:>6} {:>6} {waves:>11} {:<5}  {:<17}  {note}",
            row.kernel,
            row.invocations,
            row.vgprs,
            row.scratch,
            row.lds,
            row.instructions,
            row.limit,
            shortened(&row.loops)
        );
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_baseline_reads_what_it_writes() {
        let row = Row {
            chip: "gfx1100".to_owned(),
            kernel: "matmul.shared".to_owned(),
            waves: 3.75,
            most: 16.0,
            limit: "LDS".to_owned(),
            loops: vec![82, 30],
            ..Row::default()
        };
        let software = Row {
            is_for_software: true,
            limit: "-".to_owned(),
            loops: Vec::new(),
            ..row.clone()
        };
        let baseline = Baseline {
            driver: "radv Mesa 1".to_owned(),
            rows: vec![row, software],
        };
        assert_eq!(Baseline::parse(&baseline.text()), Ok(baseline));
    }

    #[test]
    fn wrong_lines_are_named() {
        let good = Baseline::default().text();
        let error = |text: &str| Baseline::parse(text).map_err(|(line, _)| line);
        assert_eq!(error(""), Err(1));
        assert_eq!(error(&good.replace("LDS", "lds")), Err(2));
        assert_eq!(error(&format!("{good}gfx1100\tmatmul\n")), Err(3));
    }
}
