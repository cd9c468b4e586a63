//! What a kernel is verified on: inputs, outputs, and for each output the error that is allowed.

use super::Params;

/// The error allowed for the elements of an output, with ε = 2⁻²³, the distance from 1 to the next f32.
#[derive(Clone, Debug)]
pub enum Bound {
    /// Bit for bit what the reference, rounded to f32, gives.
    Exact,
    /// `ulps`·ε·|expected| + `absolute`: for elementwise functions, following WGSL's accuracy table.
    Ulps {
        /// Units in the last place, relative to the expected value.
        ulps: f64,
        /// An absolute allowance beside it.
        absolute: f64,
    },
    /// `c`·ε·√`terms`·Σ|a·b|: for sums of products. The sum of magnitudes comes from the twin, run on the
    /// absolute values of all float inputs, so it holds for kernels that only multiply and add.
    Sum {
        /// Number of products summed into one element.
        terms: usize,
        /// A small constant, stated by the case.
        c: f64,
    },
    /// The same where elements are sums of different lengths: `terms` for each.
    Sums {
        /// Number of products summed into each element.
        terms: Vec<usize>,
        /// A small constant, stated by the case.
        c: f64,
    },
    /// An absolute bound for each element, derived by the case.
    Each(Vec<f64>),
}

/// A buffer of a case.
#[derive(Clone, Debug)]
pub enum Slot {
    /// Floats to read.
    Floats(Vec<f32>),
    /// Words to read.
    Words(Vec<u32>),
    /// Floats to write: poisoned before the run.
    Output {
        /// Elements the kernel owns; guards follow them.
        len: usize,
        /// The allowed error.
        bound: Bound,
    },
    /// Words to change in place, which must become those of the reference.
    UpdateWords(Vec<u32>),
    /// Floats to change in place.
    Update {
        /// Values before the run.
        values: Vec<f32>,
        /// The allowed error.
        bound: Bound,
    },
}

/// One dispatch with known inputs.
#[derive(Clone, Debug)]
pub struct Case {
    /// Sizes and what is special, unique within the kernel: "L=5 K=33".
    pub name: String,
    /// Index into the kernel's variants.
    pub variant: usize,
    /// The parameters as bytes.
    pub params: Vec<u8>,
    /// Workgroups of the dispatch.
    pub groups: u32,
    /// One for each binding.
    pub slots: Vec<Slot>,
}

impl Case {
    /// A case of the kernel that the parameters belong to.
    pub fn new<P: Params>(
        name: impl Into<String>,
        variant: usize,
        params: P,
        slots: impl Into<Vec<Slot>>,
    ) -> Self {
        let slots = slots.into();
        assert_eq!(slots.len(), P::KERNEL.bindings.len());
        Self {
            name: name.into(),
            variant,
            params: bytemuck::bytes_of(&params).to_vec(),
            groups: params.groups(),
            slots,
        }
    }
}
