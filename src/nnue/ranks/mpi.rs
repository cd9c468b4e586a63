//! Ranks that are processes of an MPI job (crate `mpi`, feature `mpi`).

use super::Ranks;
use crate::error::{Error, Result};
use mpi::Threading;
use mpi::datatype::PartitionMut;
use mpi::environment::{Universe, initialize_with_threading, processor_name};
use mpi::point_to_point::send_receive_into;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives};

/// The part of this process in an MPI job. Dropping it waits for the drop in all other processes,
/// so a process that fails calls [`MpiJob::abort`] instead.
pub struct MpiJob {
    _universe: Universe,
}

impl MpiJob {
    /// Joins the job that `mpirun` has started.
    ///
    /// # Errors
    /// An MPI that cannot be used, and a second call in a process.
    pub fn join() -> Result<Self> {
        // One thread at a time calls MPI.
        let Some((universe, _)) = initialize_with_threading(Threading::Serialized) else {
            return Err(Error::argument(
                "MPI",
                "a job that begins",
                "one that was joined before",
            ));
        };
        Ok(Self {
            _universe: universe,
        })
    }

    /// The ranks of the job.
    pub fn ranks(&self) -> MpiRanks {
        let world = SimpleCommunicator::world();
        MpiRanks {
            rank: world.rank() as usize,
            count: world.size() as usize,
        }
    }

    /// The number of this process among those of its host, from 0.
    pub fn local_rank(&self) -> usize {
        let world = SimpleCommunicator::world();
        world.split_shared(world.rank()).rank() as usize
    }

    /// Makes a panic of this process end all processes of the job, after its message is printed. A
    /// panic that unwinds would wait for the others for ever, when it drops the job. Panics of
    /// drivers, which wgrad turns into errors, do not count.
    pub fn abort_on_panic() {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            print(info);
            if !crate::panics::become_errors() {
                Self::abort();
            }
        }));
    }

    /// Ends all processes of the job.
    pub fn abort() -> ! {
        SimpleCommunicator::world().abort(1)
    }
}

/// The processes of an MPI job.
#[derive(Clone, Copy, Debug)]
pub struct MpiRanks {
    rank: usize,
    count: usize,
}

/// The most values of one message. Of messages of tens of MB, both directions of a TCP connection
/// do not travel at the same time.
const PART: usize = 1 << 18;

/// A number as MPI counts.
fn number(bytes: usize) -> Result<i32> {
    i32::try_from(bytes).map_err(|_| {
        let expected = format!("at most {} bytes at once", i32::MAX);
        Error::argument("MPI", expected, bytes)
    })
}

impl Ranks for MpiRanks {
    fn rank(&self) -> usize {
        self.rank
    }

    fn count(&self) -> usize {
        self.count
    }

    fn place(&self) -> String {
        processor_name().unwrap_or_default()
    }

    fn exchange(&self, with: usize, own: &[f32], theirs: &mut [f32]) -> Result<()> {
        let world = SimpleCommunicator::world();
        let other = world.process_at_rank(number(with)?);
        let (mut own, mut theirs) = (own, theirs);
        while !own.is_empty() || !theirs.is_empty() {
            let (sent, rest) = own.split_at(own.len().min(PART));
            let (received, others) = theirs.split_at_mut(theirs.len().min(PART));
            send_receive_into(sent, &other, received, &other);
            (own, theirs) = (rest, others);
        }
        Ok(())
    }

    fn share(&self, own: &[u8]) -> Result<Vec<Vec<u8>>> {
        let world = SimpleCommunicator::world();
        let mut counts = vec![0; self.count];
        world.all_gather_into(&number(own.len())?, &mut counts[..]);
        let mut total = 0;
        let mut starts = Vec::with_capacity(self.count);
        for &count in &counts {
            starts.push(number(total)?);
            total += count as usize;
        }
        number(total)?;
        let mut all = vec![0_u8; total];
        let mut parts = PartitionMut::new(&mut all[..], &counts[..], &starts[..]);
        world.all_gather_varcount_into(own, &mut parts);
        let mut rest = &all[..];
        let parts = counts.iter().map(|&count| {
            let (part, others) = rest.split_at(count as usize);
            rest = others;
            part.to_vec()
        });
        Ok(parts.collect())
    }
}
