//! Setters for the public fields of settings.

/// Declares a method for each field of a settings struct that replaces the field and returns the
/// settings: `Settings::default().epochs(3)`. Structs that may get more fields cannot be built by
/// struct update syntax outside the crate.
macro_rules! setters {
    ($settings:ident { $($field:ident: $type:ty,)* }) => {
        impl $settings {
            $(
                #[doc = concat!("Replaces the field `", stringify!($field), "`.")]
                #[must_use]
                pub fn $field(self, $field: $type) -> Self {
                    Self { $field, ..self }
                }
            )*
        }
    };
}

pub(crate) use setters;
