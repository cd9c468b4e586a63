//! Training runs: a [`Learner`](crate::nnue::Learner) fed by a [`Loader`](crate::nnue::data::Loader), with settings,
//! schedules, validation, checkpoints and a log.

pub mod checkpoint;
pub mod evaluate;
pub mod event;
mod input;
pub mod log;
pub mod run;
pub mod settings;
pub mod trainer;

pub use evaluate::{Evaluation, evaluate};
pub use event::{Event, Summary};
pub use run::Run;
pub use settings::{Objective, Settings};
pub use trainer::Trainer;
