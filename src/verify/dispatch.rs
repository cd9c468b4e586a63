//! The dispatch of a case: its buffers with guard elements, and their values after it.

use crate::engine::device::{Buffer, Device, Wait};
use crate::engine::kernel::{Case, Element, Kernel, Slot};
use crate::engine::recording::{Command, Dispatch, Recording};
use crate::error::Result;
use std::borrow::Cow;

/// The least number of guard elements after each output, which nothing may change.
const GUARDS: usize = 64;
/// The value of guard words. Guard floats are NaN.
const GUARD: u32 = 0xDEAD_BEEF;

/// The guards end with the buffer's memory, which is a multiple of four elements.
fn guards_after(len: usize) -> usize {
    (len + GUARDS).next_multiple_of(4) - len
}

/// The contents of a buffer before the dispatch.
#[derive(Debug)]
#[doc(hidden)]
pub enum Contents<'a> {
    Floats(Cow<'a, [f32]>),
    Words(Cow<'a, [u32]>),
}

/// The contents of a slot's buffer before the dispatch, with the guards of an output: the case's
/// own values or, with `magnitudes`, the absolute values of its floats. NaN is in every element
/// that the kernel has to overwrite.
#[doc(hidden)]
pub fn contents(slot: &Slot, magnitudes: bool) -> Contents<'_> {
    let own = |values: &[f32]| match magnitudes {
        true => values.iter().map(|value| value.abs()).collect(),
        false => values.to_vec(),
    };
    let poison = |len: usize| std::iter::repeat_n(f32::NAN, len);
    match slot {
        Slot::Floats(values) if magnitudes => Contents::Floats(own(values).into()),
        Slot::Floats(values) => Contents::Floats(values.into()),
        Slot::Words(words) => Contents::Words(words.into()),
        Slot::Output { len, .. } => Contents::Floats(poison(len + guards_after(*len)).collect()),
        Slot::UpdateWords(words) => {
            let guards = vec![GUARD; guards_after(words.len())];
            Contents::Words([words.as_slice(), &guards].concat().into())
        }
        Slot::Update { values, .. } => {
            let mut guarded = own(values);
            guarded.extend(poison(guards_after(values.len())));
            Contents::Floats(guarded.into())
        }
    }
}

/// The values that a slot owns after a run, and whether its guards are unchanged.
pub(super) struct Output {
    pub(super) values: Vec<f64>,
    pub(super) guards_whole: bool,
}

/// Runs a case on a device, on its own values or, with `magnitudes`, on the absolute values of all
/// its floats.
pub(super) async fn run(
    device: &Device,
    kernel: &'static Kernel,
    case: &Case,
    magnitudes: bool,
    wait: Wait,
) -> Result<Vec<Option<Output>>> {
    let mut buffers: Vec<Buffer> = Vec::new();
    for slot in &case.slots {
        buffers.push(match contents(slot, magnitudes) {
            Contents::Floats(values) if values.is_empty() => {
                device.allocate("case", Element::Float, 0)?
            }
            Contents::Floats(values) => device.upload("case", &*values)?,
            Contents::Words(words) if words.is_empty() => {
                device.allocate("case", Element::Word, 0)?
            }
            Contents::Words(words) => device.upload("case", &*words)?,
        });
    }
    let mut recording = Recording::new();
    recording.commands.push(Command::Dispatch(Dispatch {
        kernel,
        variant: case.variant,
        params: case.params.clone(),
        groups: case.groups,
        buffers: buffers.iter().map(Buffer::id).collect(),
    }));
    for (buffer, slot) in buffers.iter().zip(&case.slots) {
        if !matches!(slot, Slot::Floats(_) | Slot::Words(_)) {
            recording.read(buffer.id(), buffer.len());
        }
    }
    let values = device.play(&recording)?.by(wait).await?;
    let mut values = values.into_iter();
    let outputs = case.slots.iter().map(|slot| {
        let len = match slot {
            Slot::Floats(_) | Slot::Words(_) => return None,
            Slot::Output { len, .. } => *len,
            Slot::UpdateWords(words) => words.len(),
            Slot::Update { values, .. } => values.len(),
        };
        let mut values = values.next()?.into_f64();
        let guards = values.split_off(len);
        let is_whole = |guard: &f64| match slot {
            Slot::UpdateWords(_) => *guard == f64::from(GUARD),
            _ => guard.is_nan(),
        };
        Some(Output {
            guards_whole: guards.len() == guards_after(len) && guards.iter().all(is_whole),
            values,
        })
    });
    Ok(outputs.collect())
}
