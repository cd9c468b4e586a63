//! The data that the host brings to a recording, and the mapped buffers ("sheets") that carry it.
//!
//! The host fills a sheet while it is mapped, the copies of one recording read it, and it is mapped
//! again when their submission is done. So a steady state writes to the same pages again and again,
//! whereas `Queue::write_buffer` asks the system for new ones.

use super::UNIFORM_SLOT;
use crate::engine::recording::{Command, Data, Recording};
use std::borrow::Cow;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use web_time::Instant;

/// The smallest sheet, which holds the parameters of a long recording.
const SMALLEST: u64 = 1 << 16;
/// Uploads share a sheet up to this size. A larger one gets a sheet of its exact size, which is not
/// kept.
const KEPT: u64 = 64 << 20;

/// The state of the request to map a sheet.
const REQUESTED: u8 = 0;
const MAPPED: u8 = 1;
const FAILED: u8 = 2;

struct Sheet {
    buffer: wgpu::Buffer,
    state: Arc<AtomicU8>,
    /// Whether somebody still holds the values of the recording that the sheet served.
    held: Weak<Held>,
}

/// Represents a recording that somebody has yet to wait for.
pub(super) struct Held;

impl Sheet {
    fn is(&self, state: u8) -> bool {
        self.state.load(Ordering::Acquire) == state
    }
}

/// A region of a sheet that holds host data.
#[derive(Clone, Copy)]
struct Region {
    sheet: usize,
    start: u64,
    /// The bytes to copy from here on. They include uploads that continue where this one ends, and
    /// those have none themselves.
    copied: u64,
}

/// The regions for all the data of a recording.
#[derive(Default)]
struct Placement {
    /// The bytes of each sheet.
    sheets: Vec<u64>,
    /// The parameters of all dispatches, one slot each, then the uploads in their order.
    pieces: Vec<Region>,
}

impl Placement {
    fn new(recording: &Recording<'_>) -> Self {
        let mut plan = Self::default();
        let commands = recording.commands();
        let dispatches = commands
            .iter()
            .filter(|command| matches!(command, Command::Dispatch(_)));
        let parameters = plan.place(dispatches.count() as u64 * UNIFORM_SLOT);
        plan.pieces.push(parameters);
        // The last region with bytes to copy, and the buffer and offset where they end.
        let mut head = 0;
        let mut end = None;
        for command in commands {
            let Command::Upload(id, at, data) = command else {
                end = None;
                continue;
            };
            let mut piece = plan.place(4 * data.len() as u64);
            let before = &mut plan.pieces[head];
            if end == Some((*id, *at)) && piece.sheet == before.sheet {
                before.copied += piece.copied;
                piece.copied = 0;
            } else {
                head = plan.pieces.len();
            }
            plan.pieces.push(piece);
            end = Some((*id, at + data.len()));
        }
        plan
    }

    fn place(&mut self, size: u64) -> Region {
        let fits = |used: &&mut u64| size == 0 || **used + size <= KEPT;
        let start = match self.sheets.last_mut().filter(fits) {
            Some(used) => {
                *used += size;
                *used - size
            }
            None if size == 0 => 0,
            None => {
                self.sheets.push(size);
                0
            }
        };
        Region {
            sheet: self.sheets.len().saturating_sub(1),
            start,
            copied: size,
        }
    }
}

/// The sheets of one recording, and the regions of its data.
pub(super) struct Staged {
    sheets: Vec<Sheet>,
    pieces: Vec<Region>,
}

/// The source of a copy: a buffer, the first byte and the number of bytes.
pub(super) type CopySource<'a> = (&'a wgpu::Buffer, u64, u64);

impl Staged {
    /// The sources for the parameters, then for the uploads in their order; `None` for an upload
    /// that the copy before it includes.
    pub(super) fn sources(&self) -> impl Iterator<Item = Option<CopySource<'_>>> {
        self.pieces.iter().map(|piece| {
            let source = || {
                let buffer = &self.sheets[piece.sheet].buffer;
                (buffer, piece.start, piece.copied)
            };
            (piece.copied > 0).then(source)
        })
    }

    /// The bytes of all its data.
    pub(super) fn bytes(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.copied).sum()
    }

    /// Writes the data of a recording, hands the sheets over to the device, and returns the time
    /// that writing took. Copies from the sheets may be encoded before.
    pub(super) fn write(&self, recording: &Recording<'_>) -> Result<Duration, wgpu::MapRangeError> {
        let start = Instant::now();
        self.fill(recording)?;
        let taken = start.elapsed();
        for sheet in &self.sheets {
            sheet.buffer.unmap();
        }
        Ok(taken)
    }

    fn fill(&self, recording: &Recording<'_>) -> Result<(), wgpu::MapRangeError> {
        let views = self.sheets.iter();
        let views = views.map(|sheet| sheet.buffer.get_mapped_range_mut(..));
        let mut views = views.collect::<Result<Vec<_>, _>>()?;
        let mut write = |piece: &Region, offset: u64, bytes: &[u8]| {
            if !bytes.is_empty() {
                let start = (piece.start + offset) as usize;
                let mut to = views[piece.sheet].slice(start..start + bytes.len());
                to.copy_from_slice(bytes);
            }
        };
        let (parameters, mut uploads) = (&self.pieces[0], self.pieces[1..].iter());
        let mut slot = 0;
        for command in recording.commands() {
            match command {
                Command::Dispatch(dispatch) => {
                    write(parameters, slot, &dispatch.params);
                    slot += UNIFORM_SLOT;
                }
                Command::Upload(_, _, data) => {
                    if let Some(piece) = uploads.next() {
                        write(piece, 0, &bytes(*data));
                    }
                }
                Command::Copy { .. } | Command::Read(..) => {}
            }
        }
        Ok(())
    }
}

/// The sheets between two uses.
#[derive(Default)]
pub(super) struct Sheets {
    waiting: Vec<Sheet>,
}

impl Sheets {
    /// Mapped sheets for the data of a recording.
    ///
    /// While there are fewer than `ring` sheets, a sheet whose recording is still held is not taken
    /// even if it is mapped. The number of sheets then depends on how many recordings a program has
    /// in flight, and not on the speed of the device.
    pub(super) fn stage(
        &mut self,
        recording: &Recording<'_>,
        ring: usize,
        mut create: impl FnMut(u64) -> wgpu::Buffer,
    ) -> Staged {
        self.waiting.retain(|sheet| !sheet.is(FAILED));
        let plan = Placement::new(recording);
        let sheets = plan
            .sheets
            .iter()
            .map(|&size| self.take(size, ring, &mut create));
        Staged {
            sheets: sheets.collect(),
            pieces: plan.pieces,
        }
    }

    /// The smallest idle sheet that is large enough, or a new one in the place of one that is not.
    fn take(&mut self, size: u64, ring: usize, create: impl FnOnce(u64) -> wgpu::Buffer) -> Sheet {
        let new = |size| Sheet {
            buffer: create(size),
            state: Arc::default(),
            held: Weak::new(),
        };
        if size > KEPT {
            return new(size);
        }
        let many = self.waiting.len() >= ring;
        let idle = self.waiting.iter().enumerate().filter(|(_, sheet)| {
            let released = many || sheet.held.strong_count() == 0;
            released && sheet.is(MAPPED)
        });
        let best = idle.min_by_key(|(_, sheet)| {
            let has = sheet.buffer.size();
            (has < size, has)
        });
        let best = best.map(|(index, _)| index);
        match best.map(|index| self.waiting.swap_remove(index)) {
            Some(sheet) if sheet.buffer.size() >= size => sheet,
            _ => new(size.next_power_of_two().max(SMALLEST)),
        }
    }

    /// Lets the submission of these commands ask for the sheets to be mapped again.
    pub(super) fn take_back(
        &mut self,
        staged: Staged,
        commands: &wgpu::CommandBuffer,
    ) -> Arc<Held> {
        let held = Arc::new(Held);
        for mut sheet in staged.sheets {
            if sheet.buffer.size() > KEPT {
                continue;
            }
            sheet.held = Arc::downgrade(&held);
            sheet.state.store(REQUESTED, Ordering::Release);
            let state = Arc::clone(&sheet.state);
            commands.map_buffer_on_submit(&sheet.buffer, wgpu::MapMode::Write, .., move |done| {
                let reached = if done.is_ok() { MAPPED } else { FAILED };
                state.store(reached, Ordering::Release);
            });
            self.waiting.push(sheet);
        }
        held
    }
}

/// The bytes of these values in a GPU buffer.
fn bytes(data: Data<'_>) -> Cow<'_, [u8]> {
    match data {
        Data::Floats(values) => bytemuck::cast_slice(values).into(),
        Data::Words(values) => bytemuck::cast_slice(values).into(),
        Data::Doubles(values) => {
            let rounded: Vec<f32> = values.iter().map(|&value| value as f32).collect();
            bytemuck::cast_slice(&rounded).to_vec().into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::recording::BufferId;

    /// The pieces of a recording of uploads: sheet, start and bytes to copy.
    fn plan(uploads: &[(BufferId, usize, &[f32])]) -> (Vec<u64>, Vec<(usize, u64, u64)>) {
        let mut recording = Recording::new();
        for &(buffer, at, values) in uploads {
            recording.upload_at(buffer, at, values);
        }
        let plan = Placement::new(&recording);
        let pieces = plan.pieces[1..].iter();
        let pieces = pieces.map(|piece| (piece.sheet, piece.start, piece.copied));
        (plan.sheets, pieces.collect())
    }

    #[test]
    fn uploads_that_go_on_where_the_one_before_ended_are_one_copy() {
        let [a, b] = [BufferId::new(), BufferId::new()];
        let values = [0.0; 8];
        let (sheets, pieces) = plan(&[
            (a, 0, &values),
            (a, 8, &[]),
            (a, 8, &values[..3]),
            // Elsewhere in the buffer, another buffer, and the first again.
            (a, 12, &values),
            (b, 20, &values),
            (a, 20, &values),
        ]);
        assert_eq!(sheets, [4 * 35]);
        let expected = [(0, 44), (32, 0), (32, 0), (44, 32), (76, 32), (108, 32)];
        assert_eq!(pieces, expected.map(|(start, copied)| (0, start, copied)));
    }

    #[test]
    fn a_large_upload_has_a_sheet_of_its_own() {
        let a = BufferId::new();
        let large = vec![0.0; (KEPT / 4) as usize];
        let (sheets, pieces) = plan(&[(a, 0, &[]), (a, 0, &large), (a, large.len(), &[0.0; 2])]);
        assert_eq!(sheets, [KEPT, 8]);
        assert_eq!(pieces, [(0, 0, KEPT), (0, 0, 0), (1, 0, 8)]);
        let (sheets, _) = plan(&[(a, 0, &[])]);
        assert!(sheets.is_empty());
    }
}
