//! The kernels of the table, variant by variant.

use crate::Failure;
use wgrad::engine::kernel::Kernel;
use wgrad::nnue::Tiles;
use wgrad::verify::table;

/// One variant of one kernel.
pub struct Form {
    kernel: &'static Kernel,
    variant: usize,
    /// The names of the kernel and the variant, as in reports and file names.
    pub label: String,
}

impl Form {
    /// The whole WGSL text.
    pub fn wgsl(&self) -> String {
        self.kernel.assemble(self.variant)
    }

    /// The number of storage buffers, at the bindings from 0 on. The uniform of the parameters has
    /// the next binding.
    pub fn buffers(&self) -> u32 {
        self.kernel.bindings.len() as u32
    }

    /// Whether only software adapters take this variant by vendor: tiles in registers, which a GPU
    /// has only if a tuning says so, and 8 slots of `masked_head`.
    pub fn is_for_software(&self) -> bool {
        let chosen = self.kernel.chosen(self.variant);
        let mut names = chosen.iter().map(|choice| choice.name);
        names.any(|name| [Tiles::Registers.name(), "8_slots"].contains(&name))
    }
}

/// The variants whose label contains `name`, or all, in the order of the table.
pub fn forms(name: Option<&str>) -> Result<Vec<Form>, Failure> {
    let mut forms = Vec::new();
    for kernel in table::kernels() {
        for variant in 0..kernel.variants() {
            let label = kernel.label(variant);
            if name.is_none_or(|name| label.contains(name)) {
                forms.push(Form {
                    kernel,
                    variant,
                    label,
                });
            }
        }
    }
    match name {
        Some(name) if forms.is_empty() => Err(Failure::Unable(format!(
            "--kernel {name}: expected a part of a name that `wgrad kernels` lists, found none"
        ))),
        _ => Ok(forms),
    }
}
