//! Which positions come from the same game.

use super::place::Origin;
use super::sieve::Note;

/// Where the games of records begin that were read last.
#[derive(Debug, Default)]
pub(crate) struct GameStarts(Vec<Origin>);

impl GameStarts {
    /// Adds the games of consecutive records of a file, after all games so far.
    pub(crate) fn add(&mut self, file: usize, notes: &[Note]) {
        for note in notes {
            let start = Origin {
                file,
                number: note.game,
            };
            if self.0.last() != Some(&start) {
                self.0.push(start);
            }
        }
    }

    /// The first record of the game of a record. A record without a game is a game of its own.
    pub(crate) fn of(&self, record: Origin) -> Origin {
        let key = |origin: &Origin| (origin.file, origin.number);
        let after = self.0.partition_point(|start| key(start) <= key(&record));
        let start = after.checked_sub(1).map(|last| self.0[last]);
        // Records of bulletformat have no notes, so the last start may be of another file.
        start
            .filter(|start| start.file == record.file)
            .unwrap_or(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_belong_to_the_last_start_of_their_file() {
        let origin = |file, number| Origin { file, number };
        let of = |game| Note {
            game,
            ..Note::default()
        };
        let mut starts = GameStarts::default();
        assert_eq!(starts.of(origin(0, 7)), origin(0, 7));
        starts.add(1, &[of(4), of(4), of(4), of(7)]);
        starts.add(1, &[of(7), of(9)]);
        starts.add(3, &[of(0)]);
        for (number, start) in [(4, 4), (6, 4), (7, 7), (8, 7), (9, 9), (10, 9)] {
            assert_eq!(starts.of(origin(1, number)), origin(1, start));
        }
        assert_eq!(starts.of(origin(2, 5)), origin(2, 5));
        assert_eq!(starts.of(origin(3, 5)), origin(3, 0));
    }
}
