//! Splits positions into two files, such as training and validation data.

use super::dataset::Dataset;
use super::place::Origin;
use crate::error::{Error, Result};
use crate::files::atomic::try_write_atomically;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::io::Write;
use std::path::Path;

/// Writes each position of a dataset to one of two bulletformat files, and returns the numbers of
/// positions in them. A game goes to the second file with a probability of `share`, by a choice
/// that follows from the seed and the number of the game in the data: equal data and seeds give
/// equal files. In the formats without games, which are all but viriformat and Stockfish binpack,
/// each position is a game of its own. Binpack does not say where a game ends: a game is a chain of
/// a chunk, and the chains after it whose half moves go on and whose results agree.
///
/// `seen` is called with the number of positions read from time to time. The files are replaced
/// only when both are complete.
///
/// # Errors
/// A share that is not between 0 and 1, or that leaves a file without positions, damaged data, and
/// every error of the file system. Existing files then stay as they were.
pub fn split(
    dataset: &Dataset,
    paths: [&Path; 2],
    share: f64,
    seed: u64,
    mut seen: impl FnMut(u64),
) -> Result<[u64; 2]> {
    if !(share > 0.0 && share < 1.0) {
        let expected = "a number between 0 and 1, without these";
        return Err(Error::argument("share", expected, share));
    }
    let mut choice = Choice::new(share, seed);
    let mut positions = dataset.iter();
    let mut counts = [0u64; 2];
    try_write_atomically(paths[0], |first| {
        try_write_atomically(paths[1], |second| {
            while let Some(position) = positions.next() {
                let record = position?.to_bytes();
                let into = choice.of(positions.game());
                counts[into] += 1;
                let written = match into {
                    0 => first.write_all(&record),
                    _ => second.write_all(&record),
                };
                written.map_err(Error::io(paths[into], "write"))?;
                let read = counts[0] + counts[1];
                if read.is_multiple_of(1 << 16) {
                    seen(read);
                }
            }
            if counts.contains(&0) {
                let expected = "a share that gives both files a position";
                let found = format!("{share}, and {} and {} positions", counts[0], counts[1]);
                return Err(Error::argument("share", expected, found));
            }
            // The second file is replaced next, so the first one must be on the disk by now.
            let complete = first.flush().and_then(|()| first.get_ref().sync_all());
            complete.map_err(Error::io(paths[0], "write"))
        })
    })?;
    Ok(counts)
}

/// Chooses a file for each game.
struct Choice {
    share: f64,
    random: ChaCha8Rng,
    /// The last game and its file.
    last: Option<(Origin, usize)>,
}

impl Choice {
    fn new(share: f64, seed: u64) -> Self {
        Self {
            share,
            random: ChaCha8Rng::seed_from_u64(seed),
            last: None,
        }
    }

    /// The file of a game, 0 or 1. The positions of a game are consecutive.
    fn of(&mut self, game: Origin) -> usize {
        match self.last {
            Some((last, into)) if last == game => into,
            _ => {
                let into = usize::from(self.random.random_bool(self.share));
                self.last = Some((game, into));
                into
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_game_stays_whole() {
        let games = (0..3000u64).map(|number| Origin { file: 0, number });
        let mut choice = Choice::new(0.25, 7);
        let mut chosen = [0; 2];
        for game in games {
            let into = choice.of(game);
            chosen[into] += 1;
            for _ in 0..game.number % 5 {
                assert_eq!(choice.of(game), into);
            }
        }
        // The deviation of a binomial distribution: √(3000 · ¼ · ¾) = 24.
        assert!((750 - 120..750 + 120).contains(&chosen[1]), "{chosen:?}");
        // The first game of a file is another game than the first one of the file before.
        let mut choice = Choice::new(0.5, 1);
        let files = (0..64).map(|file| choice.of(Origin { file, number: 0 }));
        assert!((16..48).contains(&files.sum::<usize>()));
    }
}
