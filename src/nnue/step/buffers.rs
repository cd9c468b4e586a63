//! Buffers that grow with the micro-batches.

use crate::engine::device::{Buffer, Device};
use crate::engine::kernel::Element;
use crate::error::Result;

/// Makes a buffer large enough, if it is not.
pub(super) fn grow(
    device: &Device,
    buffer: &mut Buffer,
    what: &str,
    element: Element,
    len: usize,
) -> Result<()> {
    if buffer.len() < len {
        *buffer = device.allocate(what, element, len)?;
    }
    Ok(())
}

/// As [`grow`], for a length that differs between batches of equal size. It adds an eighth to the
/// length, so that buffers stop growing after a few batches.
pub(super) fn grow_roomy(
    device: &Device,
    buffer: &mut Buffer,
    what: &str,
    element: Element,
    len: usize,
) -> Result<()> {
    if buffer.len() >= len {
        return Ok(());
    }
    let limit = (device.binding_limit() / 4) as usize;
    let roomy = (len + len / 8).min(limit.max(len));
    grow(device, buffer, what, element, roomy)
}
