//! The processes of a training: this one alone, or those that `mpirun` has started.

use crate::{Failure, Outcome, warn};
use std::num::NonZeroUsize;
use std::sync::Arc;
use wgrad::Device;
use wgrad::nnue::ranks::{Alone, Ranks};
use wgrad::nnue::train::Config;

/// Variables that launchers give to each process of a job with its number: Open MPI, MPICH and Intel
/// MPI, and SLURM's `srun` with PMIx.
const RANK_VARIABLES: [&str; 3] = ["OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK"];

/// The part of this process in a training.
pub struct Job {
    pub ranks: Arc<dyn Ranks>,
    /// The number of this process among those of its host.
    local_rank: usize,
    #[cfg(feature = "mpi")]
    mpi: Option<wgrad::nnue::ranks::MpiJob>,
}

impl Job {
    /// Joins the job of `mpirun`, if there is one.
    pub fn join() -> Result<Self, Failure> {
        let is_started = RANK_VARIABLES
            .iter()
            .any(|name| std::env::var_os(name).is_some());
        if is_started {
            return Self::join_mpi();
        }
        Ok(Self {
            ranks: Arc::new(Alone),
            local_rank: 0,
            #[cfg(feature = "mpi")]
            mpi: None,
        })
    }

    #[cfg(feature = "mpi")]
    fn join_mpi() -> Result<Self, Failure> {
        let mpi = wgrad::nnue::ranks::MpiJob::join()?;
        let job = Self {
            ranks: Arc::new(mpi.ranks()),
            local_rank: mpi.local_rank(),
            mpi: Some(mpi),
        };
        wgrad::nnue::ranks::MpiJob::abort_on_panic();
        Ok(job)
    }

    #[cfg(not(feature = "mpi"))]
    fn join_mpi() -> Result<Self, Failure> {
        let message = "mpirun has started this program, which was built without MPI: build it \
                       with `cargo build --release --features cli,mpi`";
        Err(Failure::Message(message.to_owned()))
    }

    /// Whether this process writes the files and talks to the user.
    pub fn is_first(&self) -> bool {
        self.ranks.rank() == 0
    }

    /// Whether there are other processes.
    pub fn is_shared(&self) -> bool {
        self.ranks.count() > 1
    }

    /// The name of the device of this process: of several names with commas, the processes of a host
    /// take one after the other. With it, the number of this process among those that take it.
    fn named<'a>(&self, config: &'a Config) -> (Option<&'a str>, usize) {
        let Some(names) = &config.device else {
            return (None, self.local_rank);
        };
        let count = names.split(',').count();
        let name = names.split(',').nth(self.local_rank % count);
        (name, self.local_rank / count)
    }

    /// The name of the device of this process, if one is named.
    pub fn device<'a>(&self, config: &'a Config) -> Option<&'a str> {
        self.named(config).0
    }

    /// Opens the device of this process: of equal adapters with its name, the processes of a host
    /// take one after the other.
    pub fn open(&self, config: &Config) -> wgrad::Result<Device> {
        let (name, number) = self.named(config);
        let threads = NonZeroUsize::new(config.run.threads);
        #[cfg(feature = "mpi")]
        if self.mpi.is_some() {
            self.warn_of_few_cores(threads);
        }
        Device::open_numbered(name, threads, number)
    }

    /// Open MPI binds each process to one core unless it is told not to.
    #[cfg(feature = "mpi")]
    fn warn_of_few_cores(&self, threads: Option<NonZeroUsize>) {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        if cores < threads.map_or(2, usize::from) {
            let (rank, place) = (self.ranks.rank(), self.ranks.place());
            let wanted = threads.map_or_else(String::new, |count| format!(" for {count} threads"));
            log::warn!(
                "rank {rank} on {place} may use {cores} core(s){wanted}; after `mpirun --bind-to \
                 none` it may use all of its host"
            );
        }
    }

    /// A command for all processes of the job.
    pub fn command(&self, command: &str) -> String {
        match self.ranks.count() {
            1 => command.to_owned(),
            count => format!("mpirun -n {count} {command}"),
        }
    }

    /// Leaves the job. A failure ends all of its processes.
    pub fn leave(self, outcome: Outcome) -> Outcome {
        if let Err(failure) = &outcome
            && self.is_shared()
        {
            let (rank, place) = (self.ranks.rank(), self.ranks.place());
            warn(format_args!(
                "error: rank {rank} on {place}: {}",
                failure.message()
            ));
            #[cfg(feature = "mpi")]
            wgrad::nnue::ranks::MpiJob::abort();
        }
        #[cfg(feature = "mpi")]
        drop(self.mpi);
        outcome
    }
}
