//! Ranks that are threads of this process.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use wgrad::nnue::ranks::Ranks;
use wgrad::{Error, Result};

/// What a rank sends to another one.
enum Message {
    Floats(Vec<f32>),
    Bytes(Vec<u8>),
}

/// A rank that is a thread of this process.
struct Thread {
    rank: usize,
    to: Vec<Sender<Message>>,
    from: Vec<Mutex<Receiver<Message>>>,
    /// The values that it has sent.
    sent: Arc<AtomicUsize>,
}

impl std::fmt::Debug for Thread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "rank {}", self.rank)
    }
}

impl Thread {
    fn send(&self, to: usize, message: Message) -> Result<()> {
        let sent = self.to[to].send(message);
        sent.map_err(|_| Error::argument(format!("rank {to}"), "a rank that goes on", "none"))
    }

    fn receive(&self, from: usize) -> Result<Message> {
        let received = self.from[from].lock().unwrap().recv();
        received.map_err(|_| Error::argument(format!("rank {from}"), "a rank that goes on", "none"))
    }
}

impl Ranks for Thread {
    fn rank(&self) -> usize {
        self.rank
    }

    fn count(&self) -> usize {
        self.to.len()
    }

    fn exchange(&self, with: usize, own: &[f32], theirs: &mut [f32]) -> Result<()> {
        self.sent.fetch_add(own.len(), Ordering::Relaxed);
        self.send(with, Message::Floats(own.to_vec()))?;
        let Message::Floats(values) = self.receive(with)? else {
            panic!("rank {with} sent bytes");
        };
        theirs.copy_from_slice(&values);
        Ok(())
    }

    fn share(&self, own: &[u8]) -> Result<Vec<Vec<u8>>> {
        for rank in 0..self.count() {
            self.send(rank, Message::Bytes(own.to_vec()))?;
        }
        let parts = (0..self.count()).map(|rank| match self.receive(rank)? {
            Message::Bytes(bytes) => Ok(bytes),
            Message::Floats(_) => panic!("rank {rank} sent floats"),
        });
        parts.collect()
    }

    fn place(&self) -> String {
        format!("host {}", self.rank / 2)
    }
}

/// Runs `work` on each of `count` ranks and returns the results by rank.
pub fn on_ranks<T: Send>(count: usize, work: impl Fn(Arc<dyn Ranks>) -> T + Sync) -> Vec<T> {
    counted(count, work).0
}

/// As [`on_ranks`], with the number of values that all ranks have sent.
pub fn counted<T: Send>(
    count: usize,
    work: impl Fn(Arc<dyn Ranks>) -> T + Sync,
) -> (Vec<T>, usize) {
    let sent = Arc::new(AtomicUsize::new(0));
    let mut to: Vec<Vec<_>> = (0..count).map(|_| Vec::new()).collect();
    let mut from: Vec<Vec<_>> = (0..count).map(|_| Vec::new()).collect();
    for sender in &mut to {
        for receivers in &mut from {
            let (send, receive) = channel();
            sender.push(send);
            receivers.push(Mutex::new(receive));
        }
    }
    let ranks = to.into_iter().zip(from).enumerate();
    let results = thread::scope(|scope| {
        let threads: Vec<_> = ranks
            .map(|(rank, (to, from))| {
                let (work, sent) = (&work, sent.clone());
                let rank = Thread {
                    rank,
                    to,
                    from,
                    sent,
                };
                scope.spawn(move || work(Arc::new(rank)))
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    (results, sent.load(Ordering::Relaxed))
}
