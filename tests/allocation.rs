//! Sizes that a file claims make nothing allocate more than the file has.

// A counting allocator is unsafe by its nature.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use wgrad::nnue::Architecture;
use wgrad::nnue::export::{Quantized, SaveFormat, read_bullet_weights};
use wgrad_inference::{Damage, Network};

/// The system's allocator, which remembers the largest request.
struct Largest(AtomicUsize);

// SAFETY: every request goes to the system's allocator as it is.
unsafe impl GlobalAlloc for Largest {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.0.fetch_max(layout.size(), Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        self.0.fetch_max(size, Ordering::Relaxed);
        unsafe { System.realloc(block, layout, size) }
    }
}

#[global_allocator]
static LARGEST: Largest = Largest(AtomicUsize::new(0));

/// The largest allocation of `work`, which must be at most `limit` bytes.
#[track_caller]
fn within<T>(limit: usize, work: impl FnOnce() -> T) -> T {
    LARGEST.0.store(0, Ordering::Relaxed);
    let found = work();
    let largest = LARGEST.0.load(Ordering::Relaxed);
    assert!(largest <= limit, "{largest} bytes at once, limit {limit}");
    found
}

// One test, because tests of a program run at the same time.
#[test]
fn claimed_sizes_allocate_no_more_than_the_file_has() {
    // Words, names of errors and lists of a few layers.
    const SMALL: usize = 1 << 14;
    let mut bytes = b"wgradnet\x01\0\0\0".to_vec();
    bytes.resize(SMALL, 0);
    let sizes = [1, 2, 255, 1 << 16, 1 << 30, u32::MAX];
    for layered in [0, 1] {
        for hidden in sizes {
            for outputs in sizes {
                bytes[115] = layered;
                let numbers: &[u32] = match layered {
                    0 => &[hidden, 400, 255, 1, 64],
                    _ => &[
                        hidden, 400, 255, 2, 9, outputs, 3, 0, 1, 64, 8, 0, 2, outputs, 0, 1, 0,
                    ],
                };
                for (place, number) in (116..).step_by(4).zip(numbers) {
                    bytes[place..place + 4].copy_from_slice(&number.to_le_bytes());
                }
                let sum = crc32fast::hash(&bytes[16..]);
                bytes[12..16].copy_from_slice(&sum.to_le_bytes());
                let read = within(SMALL, || Network::from_bytes(&bytes));
                match read {
                    Ok(network) => assert!(network.hidden() <= 2),
                    Err(Damage::Short | Damage::Long | Damage::Mismatch(_)) => {}
                    Err(other) => panic!("{hidden}, {outputs}: {other}"),
                }
            }
        }
    }
    // A file of a few bytes for a network of gigabytes.
    let architecture = Architecture::new(768, 1 << 22).tied();
    let format = SaveFormat::preset("bullet", &architecture).unwrap();
    let read = within(1 << 16, || {
        Quantized::from_bytes(&format, &architecture, None, &bytes)
    });
    assert!(
        read.unwrap_err()
            .to_string()
            .contains("bytes for (768 -> 4194304) x 2")
    );
    let mut named = b"l0w\n".to_vec();
    named.extend((1u64 << 40).to_le_bytes());
    let read = within(1 << 16, || read_bullet_weights(&named, &architecture, None));
    assert!(
        read.unwrap_err()
            .to_string()
            .contains("all elements of the tensor")
    );
}
