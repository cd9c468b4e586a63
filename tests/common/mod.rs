//! Devices for tests. A test program opens each adapter once and shares it.

// Every test program compiles this file and uses only a part of it.
#![allow(dead_code)]

pub mod nets;

use std::path::Path;
use std::sync::{LazyLock, Mutex};
use wgrad::engine::device::Device;

/// llvmpipe through Vulkan, or the adapter that `WGRAD_TEST_VULKAN` names.
pub static VULKAN: LazyLock<Device> =
    LazyLock::new(|| open("WGRAD_TEST_VULKAN", "vulkan:llvmpipe"));
/// llvmpipe through GL, or the adapter that `WGRAD_TEST_GL` names.
pub static GL: LazyLock<Device> = LazyLock::new(|| open("WGRAD_TEST_GL", "gl:llvmpipe"));

/// A GPU test without an adapter fails, and says which adapters were found.
fn open(variable: &str, default: &str) -> Device {
    let request = std::env::var(variable).unwrap_or_else(|_| default.to_owned());
    match Device::open(Some(&request)) {
        Ok(device) => device,
        Err(error) => panic!(
            "a GPU test has no adapter: {error}; run `make adapters` to install a software adapter"
        ),
    }
}

/// Overwrites a file as a failing disk does: the time of its last change stays.
pub fn damage(path: &Path, bytes: &[u8]) {
    let modified = std::fs::metadata(path).unwrap().modified().unwrap();
    std::fs::write(path, bytes).unwrap();
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_modified(modified).unwrap();
}

/// The driver of a software adapter uses every core, so the GPU tests of a program take turns.
pub static TURN: Mutex<()> = Mutex::new(());

/// Waits for its turn. A test that fails during its turn does not make the others fail.
pub fn turn() -> std::sync::MutexGuard<'static, ()> {
    TURN.lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
