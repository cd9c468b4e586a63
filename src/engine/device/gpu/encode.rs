//! A recording as the commands of one submission.

use super::staging::Staged;
use super::stamps::{Stamps, around_copy};
use super::{Gpu, MAX_GROUPS, State, UNIFORM_SLOT, UNIFORMS};
use crate::engine::device::clock::{Work, WorkTime};
use crate::engine::recording::{Command, Dispatch, Recording};
use crate::error::Result;
use std::time::Duration;

impl Gpu {
    /// Encodes the commands. Consecutive dispatches share a compute pass, unless `stamps` time
    /// them. The timestamps come after the other values in `reads`.
    pub(super) fn encode(
        &self,
        state: &mut State,
        recording: &Recording<'_>,
        staged: &Staged,
        reads: Option<&wgpu::Buffer>,
        mut stamps: Option<&mut Stamps>,
    ) -> Result<wgpu::CommandBuffer> {
        let mut encoder = self.device.create_command_encoder(&Default::default());
        let mut sources = staged.sources();
        if let Some((from, start, size)) = sources.next().flatten() {
            if size > state.uniforms.size() {
                state.uniforms =
                    self.create_buffer("parameters", size.next_power_of_two(), UNIFORMS);
                state.forget_bind_groups();
            }
            let stamps = stamps.as_deref_mut();
            around_copy(stamps, &mut encoder, Work::Upload, |encoder| {
                encoder.copy_buffer_to_buffer(from, start, &state.uniforms, 0, size);
            });
        }
        let (mut slot, mut read) = (0, 0);
        let mut commands = recording.commands().iter().peekable();
        while let Some(command) = commands.next() {
            match command {
                Command::Upload(id, at, _) => {
                    if let Some((from, start, size)) = sources.next().flatten() {
                        let (to, at) = (&state.buffers[id].buffer, 4 * *at as u64);
                        let stamps = stamps.as_deref_mut();
                        around_copy(stamps, &mut encoder, Work::Upload, |encoder| {
                            encoder.copy_buffer_to_buffer(from, start, to, at, size);
                        });
                    }
                }
                Command::Copy {
                    from,
                    to,
                    first,
                    len,
                } => {
                    let (from, to) = (&state.buffers[from].buffer, &state.buffers[to].buffer);
                    let (at, size) = (4 * *first as u64, 4 * *len as u64);
                    let stamps = stamps.as_deref_mut().filter(|_| size > 0);
                    around_copy(stamps, &mut encoder, Work::Copy, |encoder| {
                        encoder.copy_buffer_to_buffer(from, 0, to, at, size);
                    });
                }
                Command::Read(id, len) => {
                    let size = 4 * *len as u64;
                    if let Some(to) = reads.filter(|_| size > 0) {
                        let from = &state.buffers[id].buffer;
                        let stamps = stamps.as_deref_mut();
                        around_copy(stamps, &mut encoder, Work::Read, |encoder| {
                            encoder.copy_buffer_to_buffer(from, 0, to, read, size);
                        });
                    }
                    read += size;
                }
                Command::Dispatch(dispatch) => {
                    let timestamp_writes = stamps.as_deref_mut().and_then(|stamps| {
                        let work = WorkTime::of(command, Duration::ZERO);
                        work.map(|work| stamps.pass(work))
                    });
                    let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                        label: None,
                        timestamp_writes,
                    });
                    let mut next = Some(dispatch);
                    while let Some(dispatch) = next {
                        if dispatch.groups > 0 {
                            let (pipeline, group) = self.bound(state, dispatch)?;
                            pass.set_pipeline(pipeline);
                            pass.set_bind_group(0, &group, &[slot]);
                            let x = dispatch.groups.min(MAX_GROUPS);
                            pass.dispatch_workgroups(x, dispatch.groups.div_ceil(x), 1);
                        }
                        slot += UNIFORM_SLOT as u32;
                        next = match stamps {
                            None => next_dispatch(&mut commands),
                            Some(_) => None,
                        };
                    }
                }
            }
        }
        if let Some(stamps) = stamps {
            stamps.resolve(&mut encoder, reads, read);
        }
        Ok(encoder.finish())
    }
}

/// The next command if it is a dispatch; it then shares the compute pass of the dispatch before it.
fn next_dispatch<'a, 'd: 'a>(
    commands: &mut std::iter::Peekable<impl Iterator<Item = &'a Command<'d>>>,
) -> Option<&'a Dispatch> {
    match commands.next_if(|command| matches!(command, Command::Dispatch(_))) {
        Some(Command::Dispatch(dispatch)) => Some(dispatch),
        _ => None,
    }
}
