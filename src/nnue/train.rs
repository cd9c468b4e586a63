//! Whole trainings: a [`Learner`](crate::nnue::Learner) and a
//! [`Loader`](crate::nnue::data::Loader) with settings, a schedule, validation, checkpoints and a
//! log.
//!
//! A [`Trainer`] is what `wgrad train` runs. [`Settings`] determine the numbers of a training.
//! [`Run`] names the files that it reads and writes. A [`History`] is what its log says, and
//! [`inspect`](inspect::inspect) shows what a network does on positions.

pub mod checkpoint;
mod config;
mod data_state;
mod evaluate;
mod event;
mod extension;
mod history;
mod init;
mod input;
pub mod inspect;
mod integers;
pub mod log;
mod objective;
mod progress;
mod rescore;
mod run;
mod settings;
mod stage;
mod step_file;
mod trainer;

pub use config::{Config, differences};
pub use data_state::DataState;
pub use evaluate::{Evaluation, Evaluator, evaluate};
pub use event::{Event, Summary};
pub use extension::LENGTH_KEYS;
pub use history::{History, Point, Validated};
pub use init::Taken;
pub use objective::Objective;
pub use progress::{Best, Progress};
pub use rescore::{Rescored, Rescorer};
pub use run::Run;
pub use settings::Settings;
pub use stage::Stage;
pub use step_file::{learning_rate_of, perform_step, push_gradients};
pub use trainer::Trainer;
