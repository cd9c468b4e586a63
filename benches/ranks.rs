//! The time of the sum over the processes of a job, beside `MPI_Allreduce`, which promises no order.
//!
//! ```sh
//! cargo bench -p benches --features mpi --bench ranks --no-run      # prints the path of PROGRAM
//! mpirun -n 2 PROGRAM
//! mpirun -n 4 --mca coll_tuned_use_dynamic_rules 1 --mca coll_tuned_allreduce_algorithm 4 PROGRAM
//! ```
//!
//! The second form forces one of Open MPI's algorithms, 1 to 6. The two sums take turns. A time is
//! the median over the turns of the slowest process.

use mpi::collective::SystemOperation;
use mpi::topology::SimpleCommunicator;
use mpi::traits::CommunicatorCollectives;
use std::time::Instant;
use wgrad::nnue::ranks::{MpiJob, Ranks, sum};

/// Values of a sum, and its turns: about 0.8, 3 and 90 MB.
const SIZES: [(usize, usize); 3] = [(200_000, 201), (750_000, 101), (22_500_000, 15)];

/// The milliseconds of the slowest process.
fn time(world: &SimpleCommunicator, work: impl FnOnce()) -> f64 {
    world.barrier();
    let begun = Instant::now();
    work();
    let own = begun.elapsed().as_secs_f64() * 1e3;
    let mut slowest = 0.0;
    world.all_reduce_into(&own, &mut slowest, SystemOperation::max());
    slowest
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() {
    let job = MpiJob::join().expect("a job of mpirun");
    let ranks = job.ranks();
    let world = SimpleCommunicator::world();
    if ranks.rank() == 0 {
        println!(
            "{} processes: milliseconds of the tree, of MPI_Allreduce, ratio",
            ranks.count()
        );
    }
    for (len, turns) in SIZES {
        let own: Vec<f32> = (0..len)
            .map(|at| (at * (ranks.rank() + 1)) as f32)
            .collect();
        let (mut values, mut spare) = (own.clone(), Vec::new());
        let (mut trees, mut others) = (Vec::new(), Vec::new());
        for _ in 0..turns {
            values.copy_from_slice(&own);
            trees.push(time(&world, || {
                sum(&ranks, &mut values, &mut spare).expect("a sum")
            }));
            let all = SystemOperation::sum();
            others.push(time(&world, || {
                world.all_reduce_into(&own[..], &mut values[..], all)
            }));
        }
        let (tree, other) = (median(trees), median(others));
        if ranks.rank() == 0 {
            let megabytes = len as f64 * 4e-6;
            println!(
                "{megabytes:6.1} MB {tree:9.3} {other:9.3} {:6.2}",
                tree / other
            );
        }
    }
}
