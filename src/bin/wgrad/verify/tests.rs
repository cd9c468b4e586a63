//! `wgrad verify` with kernels and devices that fail, and its report.

use super::*;
use std::fs;
use wgrad::engine::kernels::multiply_add::KERNEL;

/// The outcomes of a correct kernel, compared with a different twin.
fn outcomes(twin: fn(kernel::Call<'_, f64>)) -> Vec<verify::Outcome> {
    let kernel = Box::leak(Box::new(Kernel {
        twin,
        ..KERNEL.clone()
    }));
    let cases = (kernel.cases)().into_iter().take(3).collect();
    let device = Device::cpu().unwrap();
    let mut outcomes = Vec::new();
    let work = Selection::Kernel(kernel, cases);
    work.compare(&device, &mut outcomes).unwrap();
    outcomes
}

fn status(outcomes: &[verify::Outcome]) -> ExitCode {
    let mut tally = Tally::default();
    outcomes.iter().for_each(|outcome| tally.add(outcome));
    tally.status()
}

#[test]
fn a_failed_comparison_is_exit_status_1_and_names_the_command_that_repeats_it() {
    assert_eq!(status(&outcomes(KERNEL.twin)), ExitCode::SUCCESS);
    let failed = outcomes(|_| {});
    assert_eq!(status(&failed), ExitCode::FAILURE);
    let text = describe(&failed[1], &Device::cpu().unwrap(), "--kernel multiply_add");
    let again = "wgrad verify --device 'cpu' --kernel multiply_add --case 'n=1 ";
    assert!(
        text.contains("FAILED multiply_add") && text.contains(again),
        "{text}"
    );
}

/// The result and the text of a report about `work` on the CPU.
fn reported(work: Vec<Selection>) -> (Outcome, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("report.md");
    let options = Options {
        device: DeviceOption {
            device: Some("cpu".to_owned()),
        },
        kernel: None,
        operation: None,
        case: None,
        json: true,
        report: Some(path.clone()),
    };
    let ended = run_all(&options, work.into_iter());
    let text = fs::read_to_string(path).unwrap();
    let place = directory.path().to_str().unwrap();
    assert!(!text.contains(place), "{text}");
    (ended, text)
}

/// A whole row of the table for each of the first `count` cases of the kernel.
fn assert_rows(text: &str, count: usize, passed: &str) {
    let rows: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("| multiply_add | forward | n="))
        .collect();
    assert_eq!(rows.len(), count, "{text}");
    for row in rows {
        let end = format!(" | {passed} |");
        assert!(
            row.ends_with(&end) && row.matches('|').count() == 9,
            "{row}"
        );
    }
}

#[test]
fn a_report_tells_of_comparisons_that_fail() {
    let broken = Box::leak(Box::new(Kernel {
        twin: |_| {},
        ..KERNEL.clone()
    }));
    let mut cases = (KERNEL.cases)();
    cases.retain(|case| case.groups > 0);
    cases.truncate(2);
    let (ended, text) = reported(vec![Selection::Kernel(broken, cases)]);
    assert!(matches!(ended, Ok(status) if status == ExitCode::FAILURE));
    let head = "# wgrad verify: 2 comparisons of 1 kernel and 0 operations on cpu: 2 FAILED\n";
    assert!(text.starts_with(head), "{text}");
    assert_eq!(
        text.matches("again: wgrad verify --device 'cpu'").count(),
        2
    );
    assert_rows(&text, 2, "FAILED");
}

#[test]
fn a_report_tells_of_a_device_that_fails_and_of_what_it_did_before() {
    let mut cases = (KERNEL.cases)();
    cases.truncate(3);
    cases[2].slots.pop();
    let name = cases[2].name.clone();
    let (ended, text) = reported(vec![Selection::Kernel(&KERNEL, cases)]);
    let Err(failure) = ended else {
        panic!("no failure: {text}");
    };
    let head = format!(
        "# wgrad verify: DID NOT FINISH: {}. 2 comparisons",
        reason(&failure)
    );
    assert!(text.starts_with(&head), "{text}");
    let place = format!("the device failed in multiply_add, case {name}");
    assert!(text.contains(&place), "{text}");
    assert_rows(&text, 2, "passed");
}
