//! The cases of a kernel: inputs, outputs, and the error that each output is allowed.

use super::Params;

/// The error that the elements of an output are allowed, with ε = 2⁻²³, the distance from 1 to the
/// next f32.
#[derive(Clone, Debug)]
pub enum Bound {
    /// No error: the bits of the reference's result rounded to f32.
    Exact,
    /// `ulps`·ε·|expected| + `absolute`: for elementwise functions, following WGSL's accuracy table.
    Ulps {
        /// Units in the last place, relative to the expected value.
        ulps: f64,
        /// An absolute error, added to the relative one.
        absolute: f64,
    },
    /// `c`·ε·√`terms`·Σ|a·b|, for sums of products. The sum of magnitudes comes from the twin, run
    /// on the absolute values of all float inputs, so the bound holds for kernels that only
    /// multiply and add.
    Sum {
        /// The number of products that are summed into one element.
        terms: usize,
        /// A small constant that the case chooses.
        c: f64,
    },
    /// As [`Bound::Sum`], for elements that are sums of different lengths.
    Sums {
        /// The number of products that are summed into each element.
        terms: Vec<usize>,
        /// A small constant that the case chooses.
        c: f64,
    },
    /// An absolute bound for each element, which the case derives.
    Each(Vec<f64>),
}

/// A buffer of a case.
#[derive(Clone, Debug)]
pub enum Slot {
    /// Floats to read.
    Floats(Vec<f32>),
    /// Words to read.
    Words(Vec<u32>),
    /// Floats to write. The run starts with NaN in every element.
    Output {
        /// The number of elements that the kernel owns. Guard elements follow them.
        len: usize,
        /// The allowed error.
        bound: Bound,
    },
    /// Words to change in place. They must equal the words of the reference.
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
    /// The sizes and what is special about the case, unique within the kernel: "L=5 K=33".
    pub name: String,
    /// Index into the kernel's variants.
    pub variant: usize,
    /// The parameters as bytes.
    pub params: Vec<u8>,
    /// The number of workgroups of the dispatch.
    pub groups: u32,
    /// One slot per binding.
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
