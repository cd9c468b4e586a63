//! Training runs: settings, schedules, checkpoints and logs around a [`Learner`](crate::perspective::Learner).

pub mod checkpoint;
pub mod log;
pub mod schedule;
pub mod settings;
