//! Memory whose size the input decides: an error instead of an abort if the system refuses it.

use crate::error::{Error, Result};

/// Makes room for exactly `additional` more elements of `what`.
///
/// # Errors
/// [`Error::Memory`] with the bytes of all elements.
pub(crate) fn reserve<T>(what: &str, values: &mut Vec<T>, additional: usize) -> Result<()> {
    let len = values.len().saturating_add(additional);
    let reserved = values.try_reserve_exact(additional);
    reserved.map_err(|_| Error::memory::<T>(what, len))
}

/// An empty vector with room for `capacity` elements.
///
/// # Errors
/// As [`reserve`].
pub(crate) fn room<T>(what: &str, capacity: usize) -> Result<Vec<T>> {
    let mut values = Vec::new();
    reserve(what, &mut values, capacity)?;
    Ok(values)
}

/// `len` elements of one value.
///
/// # Errors
/// As [`reserve`].
pub(crate) fn filled<T: Clone>(what: &str, len: usize, value: T) -> Result<Vec<T>> {
    let mut values = room(what, len)?;
    values.resize(len, value);
    Ok(values)
}

/// A copy of `values`.
///
/// # Errors
/// As [`reserve`].
pub(crate) fn copied<T: Copy>(what: &str, values: &[T]) -> Result<Vec<T>> {
    let mut copy = room(what, values.len())?;
    copy.extend_from_slice(values);
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_system_has_is_an_error_with_its_bytes() {
        let error = filled("tensor `A1`", usize::MAX / 8, 0.0f32).unwrap_err();
        let bytes = usize::MAX / 8 * 4;
        let expected =
            format!("tensor `A1` needs {bytes} bytes of memory, more than the system has");
        assert_eq!(error.to_string(), expected);
        assert_eq!(copied("x", &[1, 2]).unwrap(), [1, 2]);
    }
}
