//! Tests of the tests: what compares must reject what is wrong.

mod common;

use wgrad::engine::device::Device;
use wgrad::engine::kernel::{Call, Case, Kernel, reflect};
use wgrad::nnue::kernels::sum;
use wgrad::verify::{compare, verify};

#[test]
fn compare_accepts_what_is_within_its_bound() {
    let worst = compare(&[1.0, 2.0], &[1.0, 2.5], &[0.0, 1.0]);
    assert_eq!((worst.error, worst.bound, worst.fraction), (0.5, 1.0, 0.5));
    assert_eq!(worst.index, Some(1));
    let infinite = [f64::INFINITY, f64::NAN];
    assert_eq!(compare(&infinite, &infinite, &[0.0, 0.0]).fraction, 0.0);
    assert_eq!(compare(&[], &[], &[]).fraction, 0.0);
}

#[test]
fn compare_rejects_every_kind_of_wrong_output() {
    let rejected = [
        ("past its bound", vec![1.0], vec![1.1], vec![0.05]),
        ("no bound", vec![1.0], vec![1.0 + 1e-15], vec![0.0]),
        ("NaN for a number", vec![1.0], vec![f64::NAN], vec![1e9]),
        ("a number for NaN", vec![f64::NAN], vec![1.0], vec![1e9]),
        (
            "infinity for a number",
            vec![1.0],
            vec![f64::INFINITY],
            vec![1e9],
        ),
        (
            "the other infinity",
            vec![f64::INFINITY],
            vec![f64::NEG_INFINITY],
            vec![1e9],
        ),
        ("a bound of NaN", vec![1.0], vec![2.0], vec![f64::NAN]),
        (
            "an infinite bound for NaN",
            vec![1.0],
            vec![f64::NAN],
            vec![f64::INFINITY],
        ),
        ("too short", vec![1.0, 2.0], vec![1.0], vec![1.0, 1.0]),
        ("no bounds", vec![1.0], vec![1.0], vec![]),
        (
            "zero for a sum of zero magnitude",
            vec![0.0],
            vec![1e-30],
            vec![0.0],
        ),
    ];
    for (what, expected, found, bounds) in rejected {
        let accepted = compare(&expected, &found, &bounds).fraction <= 1.0;
        assert!(!accepted, "{what} was accepted");
    }
}

/// The cases of `sum` but the large one, which takes seconds on a software adapter.
fn small_cases() -> Vec<Case> {
    let cases = (sum::KERNEL.cases)().into_iter();
    cases.filter(|case| case.groups <= 65_535).collect()
}

/// The kernel `sum` with another CPU body.
const fn with_body(body: fn(Call<'_, f32>)) -> Kernel {
    Kernel {
        name: "sum",
        operation: Some("sum"),
        pass: sum::KERNEL.pass,
        wgsl: sum::KERNEL.wgsl,
        libraries: sum::KERNEL.libraries,
        axes: sum::KERNEL.axes,
        bindings: sum::KERNEL.bindings,
        fields: sum::KERNEL.fields,
        twin: sum::KERNEL.twin,
        cpu: Some(body),
        traffic: None,
        cases: small_cases,
    }
}

/// The honest body, for sabotage of its output.
fn honest(call: Call<'_, f32>) {
    (sum::KERNEL.cpu.unwrap())(call);
}

/// Runs the honest body on the call and then `spoil` on its output.
macro_rules! sabotaged {
    ($name:ident, $spoil:expr) => {
        static $name: Kernel = with_body(|call| {
            let (params, buffers) = call.open::<sum::Params>();
            let sum::Slices {
                values,
                bucket,
                sums,
                terms,
                total,
            } = buffers;
            sum_into(params, values, bucket, sums);
            let of_terms = sum::Params {
                buckets: params.totals,
                first: 0,
                ..params
            };
            sum_into(of_terms, terms, &[], total);
            let spoil: fn(&sum::Params, &mut [f32]) = $spoil;
            spoil(&params, sums);
        });
    };
}

fn sum_into(params: sum::Params, values: &[f32], bucket: &[u32], sums: &mut [f32]) {
    for (b, sum) in sums[params.first as usize..][..params.buckets as usize]
        .iter_mut()
        .enumerate()
    {
        let mine = |s: &usize| params.buckets == 1 || bucket[*s] as usize == b;
        let samples = (0..params.samples as usize).filter(mine);
        let total: f64 = samples.map(|s| f64::from(values[s])).sum();
        let before = if params.accumulate == 1 { *sum } else { 0.0 };
        *sum = (f64::from(before) + total) as f32;
    }
}

sabotaged!(UNSPOILED, |_, _| {});
sabotaged!(SLIGHTLY_OFF, |_, sums| sums[0] += 1e-3);
sabotaged!(NOT_A_NUMBER, |_, sums| sums[0] = f32::NAN);
sabotaged!(ONE_TOO_FAR, |params, sums| sums
    [(params.first + params.buckets) as usize] =
    0.0);
sabotaged!(FAR_TOO_FAR, |_, sums| *sums.last_mut().unwrap() = 0.0);
static LAZY: Kernel = with_body(|_| {});

fn failures(kernel: &'static Kernel) -> (usize, usize) {
    let (mut cases, mut failed) = (0, 0);
    verify(&Device::cpu().unwrap(), kernel, |outcome| {
        cases += 1;
        failed += usize::from(!outcome.ok);
        assert_eq!(outcome.ok, outcome.note.is_none());
    })
    .unwrap();
    (cases, failed)
}

#[test]
fn verify_accepts_an_honest_body() {
    let (cases, failed) = failures(&UNSPOILED);
    assert!(cases > 5);
    assert_eq!(failed, 0);
    static HONEST: Kernel = with_body(honest);
    assert_eq!(failures(&HONEST).1, 0);
}

#[test]
fn verify_rejects_sabotaged_bodies() {
    for (what, kernel) in [
        ("a value slightly off", &SLIGHTLY_OFF),
        ("NaN", &NOT_A_NUMBER),
        ("a write just past the end", &ONE_TOO_FAR),
        ("a write far past the end", &FAR_TOO_FAR),
    ] {
        let (cases, failed) = failures(kernel);
        assert_eq!(failed, cases, "{what}: {failed} of {cases} cases failed");
    }
    // A body that does nothing is right only where there is nothing to do: no sample, and 0 added to what stands there.
    let (cases, failed) = failures(&LAZY);
    assert!(
        failed + 1 >= cases,
        "a lazy body: {failed} of {cases} cases failed"
    );
}

/// The shader of `sum` with one change, against the unchanged twin.
fn with_shader(wgsl: &'static str) -> &'static Kernel {
    Box::leak(Box::new(Kernel {
        wgsl,
        ..with_body(honest)
    }))
}

#[test]
fn verify_rejects_sabotaged_shaders() {
    let _turn = common::turn();
    let changes = [
        (
            "partial_sums[invocation] = sum;",
            "partial_sums[invocation] = sum * 1.001;",
        ),
        ("params.accumulate == 1u", "params.accumulate == 2u"),
        ("bucket[s] == b", "bucket[s] == b + 1u"),
        ("s < params.samples", "s + 1u < params.samples"),
        ("s += INVOCATIONS", "s += INVOCATIONS + 1u"),
        (
            "let at = params.first + b;",
            "let at = params.first + b; sums[at + 1u] = 1.0;",
        ),
    ];
    for (from, to) in changes {
        assert_eq!(sum::KERNEL.wgsl.matches(from).count(), 1, "{from}");
        let kernel = with_shader(Box::leak(
            sum::KERNEL.wgsl.replace(from, to).into_boxed_str(),
        ));
        let mut failed = 0;
        verify(&common::VULKAN, kernel, |outcome| {
            failed += usize::from(!outcome.ok);
        })
        .unwrap();
        assert!(failed > 0, "{to} was accepted");
    }
}

#[test]
fn reflection_sees_a_struct_that_differs_from_the_shader() {
    let text = sum::KERNEL.assemble(0);
    let swapped = text.replace(
        "    samples: u32,\n    buckets: u32,",
        "    buckets: u32,\n    samples: u32,",
    );
    assert_ne!(text, swapped);
    let promised = sum::KERNEL.signature();
    assert_eq!(reflect(&text).unwrap().signature, promised);
    let found = reflect(&swapped).unwrap().signature;
    assert_eq!(found.bindings, promised.bindings);
    assert_ne!(found.fields, promised.fields);

    let changes = [
        (
            "var<storage, read> values",
            "var<storage, read_write> values",
        ),
        (
            "bucket: array<u32>; // [samples]",
            "bucket: array<f32>; // [samples]",
        ),
        ("@binding(1)", "@binding(7)"),
        ("samples: u32", "samples: f32"),
    ];
    for (from, to) in changes {
        let changed = text.replace(from, to);
        assert_ne!(changed, text, "{from}");
        assert!(
            reflect(&changed).map_or(true, |found| found.signature != promised),
            "{to}"
        );
    }
    assert!(reflect("fn broken(").is_err());
}
