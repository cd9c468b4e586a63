//! The loops in a listing of RADV.

use std::collections::BTreeMap;

/// The prefixes of the instructions that read memory: buffers, constants and workgroup memory.
const READS: [&str; 10] = [
    "buffer_load",
    "tbuffer_load",
    "global_load",
    "flat_load",
    "scratch_load",
    "s_load",
    "s_buffer_load",
    "ds_load",
    "ds_read",
    "image_load",
];

/// The number of instructions of each innermost loop that reads memory, in the order of the code. A
/// loop is what lies between a label and the last branch back to it; waits count as instructions.
pub fn loops(listing: &str) -> Vec<usize> {
    let mut instructions: Vec<&str> = Vec::new();
    let mut labels: BTreeMap<&str, usize> = BTreeMap::new();
    for line in listing.lines() {
        let code = line.split(';').next().unwrap_or_default().trim();
        if let Some(label) = code.strip_suffix(':') {
            labels.insert(label, instructions.len());
        } else if code.starts_with(|c: char| c.is_ascii_lowercase()) && code.contains('_') {
            instructions.push(code);
        }
    }
    // The last branch back to each label that has one.
    let mut ends: BTreeMap<usize, usize> = BTreeMap::new();
    for (at, code) in instructions.iter().enumerate() {
        let mut words = code.split_whitespace();
        let is_branch = words
            .next()
            .is_some_and(|name| name == "s_branch" || name.starts_with("s_cbranch"));
        let target = words.next().and_then(|label| labels.get(label));
        if let Some(start) = target.filter(|start| is_branch && **start <= at) {
            ends.insert(*start, at);
        }
    }
    let is_inner = |start: usize, end: usize| {
        let mut others = ends.iter().map(|(other, last)| (*other, *last));
        !others.any(|(other, last)| start <= other && last <= end && (other, last) != (start, end))
    };
    let reads = |code: &&str| READS.iter().any(|prefix| code.starts_with(prefix));
    ends.iter()
        .map(|(start, end)| (*start, *end))
        .filter(|(start, end)| is_inner(*start, *end))
        .filter_map(|(start, end)| instructions.get(start..=end))
        .filter(|body| body.iter().any(reads))
        .map(<[&str]>::len)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inner_loops_that_read_are_counted() {
        let listing = "BB0:
\ts_mov_b32 s0, 0                              ; be800080
BB1:
\tv_mov_b32_e32 v0, 0                          ; 7e000280
BB2:
\tbuffer_load_dword v1, v0, s[0:3], 0 offen    ; e0301000 80000100
\ts_waitcnt vmcnt(0)                           ; bf8c3f70
\ts_cbranch_scc1 BB3                           ; bf850002
\ts_branch BB2                                 ; bf82fffb
BB3:
\ts_cbranch_scc0 BB1                           ; bf84fff8
BB4:
\tv_add_f32_e32 v0, v0, v1                     ; 02000300
\ts_cbranch_vccnz BB4                          ; bf87fffe
\ts_endpgm                                     ; bf810000
";
        assert_eq!(loops(listing), [4]);
    }

    #[test]
    fn two_branches_to_a_label_are_one_loop() {
        let listing = "BB1:\n\tds_read_b32 v0, v1\n\ts_cbranch_vccz BB1\n\tv_nop\n\ts_branch BB1\n";
        assert_eq!(loops(listing), [4]);
    }
}
