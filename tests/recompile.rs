//! No kernel is compiled again from dispatch to dispatch.
//!
//! Mesa's lavapipe may replace a uniform that decides a branch or a loop on its own by the value of
//! the dispatch. If that makes the shader much smaller, it compiles the shader in every dispatch
//! anew, and keeps the code. So a branch on parameters alone costs memory and time in every step of
//! a training. GL has the same compiler without that replacement, so it takes one case per kernel.
//!
//! The code of one process is measured, so its cases run one after the other. The cases on Vulkan
//! are shared out among processes.

mod common;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::process::{Child, Command, Stdio};
use wgrad::engine::device::{Buffer, Device};
use wgrad::engine::kernel::{Case, Element, Field, Kernel, Kind, Slot};
use wgrad::engine::recording::{Dispatch, Recording};
use wgrad::verify::table;

/// Dispatches that may still compile: the first one compiles the shader, the next ones may try to
/// make it smaller.
const WARM_UP: usize = 4;
/// Dispatches that must not compile.
const DISPATCHES: usize = 6;

/// The bytes of machine code that this process has compiled and not freed: its executable memory
/// that belongs to no file.
fn compiled_bytes() -> u64 {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let of_line = |line: &str| {
        let mut words = line.split_whitespace();
        let (range, permissions) = (words.next()?, words.next()?);
        let (start, end) = range.split_once('-')?;
        let bytes = |text| u64::from_str_radix(text, 16).ok();
        let anonymous = words.nth(3).is_none();
        (anonymous && permissions.contains('x')).then_some(bytes(end)? - bytes(start)?)
    };
    maps.lines().filter_map(of_line).sum()
}

/// The parameters of a case as far as branches go: numbers up to 2, which may be flags or counts,
/// by their value, larger ones alike.
fn flags(kernel: &Kernel, case: &Case) -> Vec<u32> {
    let fields = Field::flat(kernel.fields);
    let words = fields.iter().filter(|field| field.kind == Kind::Word);
    let word = |field: &Field| {
        let at = field.offset as usize;
        u32::from_le_bytes(case.params[at..at + 4].try_into().unwrap()).min(3)
    };
    words.map(word).collect()
}

fn buffer(device: &Device, slot: &Slot) -> Buffer {
    match slot {
        Slot::Floats(values) | Slot::Update { values, .. } => device.upload("case", values),
        Slot::Words(words) | Slot::UpdateWords(words) => device.upload("case", &words[..]),
        Slot::Output { len, .. } => device.allocate("case", Element::Float, *len),
    }
    .unwrap()
}

/// The bytes of code that repeated dispatches of a case add, with a pipeline of its own.
fn growth(device: &Device, kernel: &Kernel, case: &Case) -> u64 {
    // The executor keeps a pipeline per kernel in memory, so a copy gets a new one.
    let kernel: &'static Kernel = Box::leak(Box::new(Kernel { ..*kernel }));
    let buffers: Vec<Buffer> = case.slots.iter().map(|slot| buffer(device, slot)).collect();
    let play = || {
        let mut recording = Recording::new();
        recording.push(Dispatch {
            kernel,
            variant: case.variant,
            params: case.params.clone(),
            groups: case.groups.min(2),
            buffers: buffers.iter().map(Buffer::id).collect(),
        });
        recording.read(buffers[0].id(), 1);
        device.play(&recording).unwrap().wait().unwrap();
    };
    (0..WARM_UP).for_each(|_| play());
    let before = compiled_bytes();
    (0..DISPATCHES).for_each(|_| play());
    compiled_bytes().saturating_sub(before)
}

/// The processes that share the cases on Vulkan.
const PROCESSES: usize = 2;
/// The variable with the number of such a process.
const PROCESS: &str = "WGRAD_TEST_PROCESS";

/// Checks the first `per_kernel` cases of each kernel that differ in their variant or flags: of
/// these, those of one of several processes.
fn check(device: &Device, per_kernel: usize, (process, processes): (usize, usize)) {
    let start = compiled_bytes();
    let (mut found, mut dispatched, mut grown) = (0, 0, String::new());
    for kernel in table::kernels() {
        let mut seen = BTreeSet::new();
        for case in (kernel.cases)() {
            if case.groups == 0 || !seen.insert((case.variant, flags(kernel, &case))) {
                continue;
            }
            if seen.len() > per_kernel {
                break;
            }
            found += 1;
            if found % processes != process {
                continue;
            }
            dispatched += 1;
            let bytes = growth(device, kernel, &case);
            if bytes > 0 {
                let label = kernel.label(case.variant);
                writeln!(grown, "{label} {}: {bytes} bytes", case.name).unwrap();
            }
        }
    }
    let least = table::kernels().count() * per_kernel.min(4);
    assert!(
        dispatched >= least / processes,
        "only {dispatched} cases were dispatched"
    );
    assert!(compiled_bytes() > start, "no compiled code was found");
    assert!(grown.is_empty(), "{}:\n{grown}", device.name());
}

#[test]
fn no_kernel_is_compiled_again_on_vulkan() {
    if let Ok(process) = std::env::var(PROCESS) {
        return check(
            &common::VULKAN,
            usize::MAX,
            (process.parse().unwrap(), PROCESSES),
        );
    }
    let _turn = common::turn();
    let program = std::env::current_exe().unwrap();
    let start = |process: usize| {
        let mut command = Command::new(&program);
        command.args(["--exact", "no_kernel_is_compiled_again_on_vulkan"]);
        command.env(PROCESS, process.to_string());
        let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        piped.spawn().unwrap()
    };
    let started: Vec<Child> = (0..PROCESSES).map(start).collect();
    let ended = started
        .into_iter()
        .map(|child| child.wait_with_output().unwrap());
    for output in ended.collect::<Vec<_>>() {
        let text = String::from_utf8_lossy(&output.stdout);
        let ran = output.status.success() && text.contains("1 passed");
        assert!(ran, "{text}{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn no_kernel_is_compiled_again_on_gl() {
    let _turn = common::turn();
    check(&common::GL, 1, (0, 1));
}
