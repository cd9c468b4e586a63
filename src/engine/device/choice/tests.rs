//! `choose` on made-up adapters.

use super::*;

fn adapter(backend: &str, kind: &str, name: &str) -> AdapterReport {
    AdapterReport {
        name: name.to_owned(),
        backend: backend.to_owned(),
        kind: kind.to_owned(),
        driver: String::new(),
        max_binding_bytes: 1 << 30,
        max_buffer_bytes: 1 << 30,
        max_storage_buffers: 8,
        max_invocations: 256,
        max_workgroup_bytes: 16384,
        features: Vec::new(),
        unfit: None,
        auto: false,
    }
}

fn taken<'a>(
    found: &'a [AdapterReport],
    request: Option<&str>,
    backend: Option<&str>,
    name: Option<&str>,
) -> &'a str {
    let choice = choose(found, request, backend, name).unwrap();
    choice.index.map_or("cpu", |index| &found[index].name)
}

fn machine() -> Vec<AdapterReport> {
    let mut found = vec![
        adapter("gl", "other", "Card"),
        adapter("vulkan", "software", "llvmpipe"),
        adapter("vulkan", "integrated", "Chip"),
        adapter("vulkan", "discrete", "Card"),
    ];
    found.sort_by_key(rank);
    found
}

#[test]
fn words_are_upper_and_lower_case_alike() {
    assert_eq!(open(Some("CPU"), Some(1), 0).unwrap().name(), "cpu");
    assert_eq!(
        open(Some("Reference"), None, 0).unwrap().name(),
        "reference"
    );
}

#[test]
fn auto_prefers_discrete_then_integrated_and_native_before_gl() {
    let found = machine();
    let first = choose(&found, None, None, None).unwrap().index.unwrap();
    assert_eq!(found[first].label(), "vulkan:Card");
    assert_eq!(taken(&found[1..], Some("auto"), None, None), "Chip");
}

#[test]
fn auto_never_takes_software_and_takes_other_only_through_gl() {
    let software = [adapter("vulkan", "software", "llvmpipe")];
    assert_eq!(taken(&software, None, None, None), "cpu");
    assert_eq!(
        taken(&[adapter("vulkan", "other", "X")], None, None, None),
        "cpu"
    );
    assert_eq!(taken(&[adapter("gl", "other", "X")], None, None, None), "X");
    let mut unfit = adapter("vulkan", "discrete", "Small");
    unfit.unfit = Some("4 storage buffers".to_owned());
    assert_eq!(taken(&[unfit], None, None, None), "cpu");
}

#[test]
fn the_callers_word_comes_before_the_environment() {
    let found = machine();
    assert_eq!(
        taken(&found, Some("LLVM"), Some("gl"), Some("card")),
        "llvmpipe"
    );
    assert_eq!(taken(&found, Some("cpu"), Some("gl"), None), "cpu");
    let gl = choose(&found, Some("gl:card"), None, None).unwrap();
    assert_eq!(found[gl.index.unwrap()].backend, "gl");
}

#[test]
fn the_environment_filters_by_backend_and_name() {
    let found = machine();
    assert_eq!(taken(&found, None, None, Some("llvm")), "llvmpipe");
    let gl = choose(&found, None, Some("gles"), None).unwrap();
    assert_eq!(found[gl.index.unwrap()].backend, "gl");
    let software = [adapter("vulkan", "software", "llvmpipe")];
    assert!(choose(&software, None, Some("vulkan"), None).is_err());
    assert!(choose(&software, Some("vulkan:"), None, None).is_err());
    let both = choose(&found, None, Some("gl,vulkan"), Some("chip")).unwrap();
    assert_eq!(found[both.index.unwrap()].name, "Chip");
}

#[test]
fn what_matches_nothing_lists_what_was_found() {
    for (request, backend) in [(Some("radeon"), None), (None, Some("directx"))] {
        let error = choose(&machine(), request, backend, None).err().unwrap();
        let text = error.to_string();
        assert!(
            text.contains("vulkan:llvmpipe (software)") && text.contains("cpu"),
            "{text}"
        );
        assert!(
            text.contains("radeon") || text.contains("WGPU_BACKEND=directx"),
            "{text}"
        );
    }
}

#[test]
fn equal_adapters_are_taken_one_after_the_other() {
    let mut found = machine();
    found.push(adapter("vulkan", "discrete", "Card"));
    let mut unfit = adapter("vulkan", "discrete", "Card");
    unfit.unfit = Some("small".to_owned());
    found.push(unfit);
    found.sort_by_key(rank);
    let first = choose(&found, Some("vulkan:card"), None, None).unwrap();
    let first = first.index.unwrap();
    let fit = |index: &usize| {
        let report = &found[*index];
        report.label() == "vulkan:Card" && report.unfit.is_none()
    };
    let cards: Vec<usize> = (0..found.len()).filter(fit).collect();
    assert_eq!(cards.len(), 2);
    let taken: Vec<usize> = (0..4).map(|number| equal(&found, first, number)).collect();
    assert_eq!(taken, [cards[0], cards[1], cards[0], cards[1]]);
    let chip = choose(&found, Some("chip"), None, None).unwrap();
    let chip = chip.index.unwrap();
    assert_eq!(equal(&found, chip, 3), chip);
}
