//! Checks a recording against the buffers of the device that is about to play it.

use super::{BufferId, Command, Data, Dispatch, Recording};
use crate::engine::kernel::{Access, Element};
use crate::error::{Error, Result};

/// A buffer as its device knows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known<'a> {
    /// The name it was allocated with.
    pub(crate) name: &'a str,
    /// The type of its elements.
    pub(crate) element: Element,
    /// The number of elements that it has room for.
    pub(crate) len: usize,
}

impl Recording<'_> {
    /// Checks that every command names buffers that exist, of the right element type, and stays
    /// inside them.
    ///
    /// # Errors
    /// [`Error::Argument`] names the command, the buffer, and what was expected.
    pub(crate) fn check<'b>(&self, known: impl Fn(BufferId) -> Option<Known<'b>>) -> Result<()> {
        let find = |what: &dyn Fn() -> String, id| {
            known(id).ok_or_else(|| {
                let expected = "a buffer of this device";
                Error::argument(what(), expected, "a dropped buffer, or another device's")
            })
        };
        for command in self.commands() {
            match command {
                Command::Upload(id, first, data) => {
                    let buffer = find(&|| "an upload".to_owned(), *id)?;
                    let what = || format!("an upload into {}", buffer.name);
                    let element = match data {
                        Data::Floats(_) | Data::Doubles(_) => Element::Float,
                        Data::Words(_) => Element::Word,
                    };
                    check_element(what, buffer, element)?;
                    check_range(what, buffer, *first, data.len())?;
                }
                Command::Copy {
                    from,
                    to,
                    first,
                    len,
                } => {
                    let from_buffer = find(&|| "the source of a copy".to_owned(), *from)?;
                    let to_buffer = find(&|| "the destination of a copy".to_owned(), *to)?;
                    let what = || format!("a copy of {} into {}", from_buffer.name, to_buffer.name);
                    if from == to {
                        return Err(Error::argument(what(), "two buffers", "one"));
                    }
                    check_element(what, to_buffer, from_buffer.element)?;
                    check_range(what, from_buffer, 0, *len)?;
                    check_range(what, to_buffer, *first, *len)?;
                }
                Command::Dispatch(dispatch) => check_dispatch(dispatch, find)?,
                Command::Read(id, len) => {
                    let buffer = find(&|| "a read".to_owned(), *id)?;
                    check_range(|| format!("a read of {}", buffer.name), buffer, 0, *len)?;
                }
            }
        }
        Ok(())
    }
}

fn check_dispatch<'b>(
    dispatch: &Dispatch,
    find: impl Fn(&dyn Fn() -> String, BufferId) -> Result<Known<'b>>,
) -> Result<()> {
    let (kernel, buffers) = (dispatch.kernel, &dispatch.buffers);
    if buffers.len() != kernel.bindings.len() {
        let expected = format!("{} buffers", kernel.bindings.len());
        return Err(Error::argument(kernel.name, expected, buffers.len()));
    }
    for (place, (id, binding)) in buffers.iter().zip(kernel.bindings).enumerate() {
        let what = || format!("{}, binding `{}`", kernel.name, binding.name);
        check_element(what, find(&what, *id)?, binding.element)?;
        let other = buffers.iter().position(|other| other == id);
        let shared = other.is_some_and(|other| other != place);
        let first = other.map(|other| &kernel.bindings[other]);
        let written = |binding: &crate::engine::kernel::Binding| binding.access != Access::Read;
        if shared && (written(binding) || first.is_some_and(written)) {
            let expected = "a buffer of its own, because the kernel writes it";
            let found = format!("the buffer of `{}`", first.map_or("", |first| first.name));
            return Err(Error::argument(what(), expected, found));
        }
    }
    Ok(())
}

fn check_element(what: impl Fn() -> String, buffer: Known<'_>, expected: Element) -> Result<()> {
    if buffer.element == expected {
        return Ok(());
    }
    let name = |element| match element {
        Element::Float => "floats",
        Element::Word => "words",
    };
    let found = format!("{}, of {}", buffer.name, name(buffer.element));
    let expected = format!("a buffer of {}", name(expected));
    Err(Error::argument(what(), expected, found))
}

fn check_range(
    what: impl Fn() -> String,
    buffer: Known<'_>,
    first: usize,
    len: usize,
) -> Result<()> {
    if first.checked_add(len).is_some_and(|end| end <= buffer.len) {
        return Ok(());
    }
    let expected = format!("at most {} elements of {}", buffer.len, buffer.name);
    let found = format!("{len} elements from index {first}");
    Err(Error::argument(what(), expected, found))
}
