//! The variants of a kernel: every combination of one choice per axis.

use super::Kernel;

/// One value of an axis: a name, and the overrides that it sets.
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    /// The name in reports and file names, empty for the plain form.
    pub name: &'static str,
    /// The name and the value of each `override` of the shader. Other overrides keep their
    /// defaults.
    pub constants: &'static [(&'static str, u32)],
}

impl Choice {
    /// A choice of this name and these overrides.
    pub const fn new(name: &'static str, constants: &'static [(&'static str, u32)]) -> Self {
        Self { name, constants }
    }
}

/// Something that a kernel has several forms of, such as the activation or the optimizer.
pub type Axis = &'static [Choice];

/// The axes of a kernel of one form.
pub const PLAIN: &[Axis] = &[];

impl Kernel {
    /// The number of variants.
    pub fn variants(&self) -> usize {
        self.axes.iter().map(|axis| axis.len()).product()
    }

    /// The variant of one choice per axis, by their places. The first axis is the slowest.
    pub fn variant<const N: usize>(&self, choices: [usize; N]) -> usize {
        debug_assert_eq!(N, self.axes.len(), "{}", self.name);
        let axes = self.axes.iter().zip(choices);
        axes.fold(0, |variant, (axis, choice)| variant * axis.len() + choice)
    }

    /// The place of a variant's choice on each axis: undoes [`Kernel::variant`].
    pub fn choices<const N: usize>(&self, variant: usize) -> [usize; N] {
        debug_assert_eq!(N, self.axes.len(), "{}", self.name);
        let mut rest = variant;
        let mut choices = [0; N];
        for (choice, axis) in choices.iter_mut().zip(self.axes).rev() {
            *choice = rest % axis.len();
            rest /= axis.len();
        }
        choices
    }

    /// The choices of a variant.
    pub fn chosen(&self, variant: usize) -> Vec<&'static Choice> {
        let mut rest = variant;
        let mut chosen: Vec<&Choice> = Vec::new();
        for axis in self.axes.iter().rev() {
            chosen.push(&axis[rest % axis.len()]);
            rest /= axis.len();
        }
        chosen.reverse();
        chosen
    }

    /// The names of a variant's choices that have one, joined by dots; empty for a kernel of one
    /// form.
    pub fn variant_name(&self, variant: usize) -> String {
        let chosen = self.chosen(variant).into_iter();
        let names: Vec<&str> = chosen
            .map(|one| one.name)
            .filter(|name| !name.is_empty())
            .collect();
        names.join(".")
    }

    /// The kernel's name and the variant's name, as in reports and file names.
    pub fn label(&self, variant: usize) -> String {
        match self.variant_name(variant) {
            variant if variant.is_empty() => self.name.to_owned(),
            variant => format!("{}.{variant}", self.name),
        }
    }

    /// The operation that a variant computes.
    pub fn operation(&self, variant: usize) -> &'static str {
        let first = || {
            self.chosen(variant)
                .first()
                .map_or(self.name, |one| one.name)
        };
        self.operation.unwrap_or_else(first)
    }
}
