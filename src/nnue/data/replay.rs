//! Readers of files that are replayed: containers, each a game or a chunk of games.

use super::filter::InGame;
use super::packed::Input;
use super::place::Spot;
use super::record::RawRecord;
use super::sieve::{Note, Sieve};
use crate::error::{Error, Fault, Result};
use aligned_vec::{AVec, CACHELINE_ALIGN};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

/// A part of a file whose positions follow from those before them in the part alone.
pub(crate) trait Container: Sized {
    /// What errors call a container and one of its steps.
    const NAMES: [&'static str; 2];

    /// The next container of a file that has `left` bytes left, or what is wrong with it if nothing
    /// tells where the one after it begins.
    fn read(input: &mut impl BufRead, left: u64) -> io::Result<Result<Self, Fault>>;

    /// Its bytes in the file.
    fn bytes(&self) -> u64;

    /// Whether a position is left, or a fault in the place of one.
    fn has_next(&self) -> bool;

    /// Appends the next position, if one is left. After a fault the container is not used again.
    ///
    /// # Errors
    /// Damage, with the field.
    fn next(&mut self, records: &mut AVec<RawRecord>) -> Result<Told, Fault>;

    /// The positions that are left and count although a fault is in their way.
    fn left(&self) -> u64;

    /// Checks the end when no position is left.
    ///
    /// # Errors
    /// What follows the last position.
    fn check_end(&self) -> Result<(), Fault> {
        Ok(())
    }
}

/// What a container tells of a position.
pub(crate) struct Told {
    pub(crate) in_game: InGame,
    /// Whether it is the first one of a game.
    pub(crate) begins: bool,
}

/// Reads the positions of a file of containers.
pub(crate) struct Replay<C> {
    path: PathBuf,
    input: BufReader<Input>,
    /// The size of the file. Bytes after it are not read.
    bytes: u64,
    /// Where the container begins, and its positions that were given.
    spot: Spot,
    container: Option<C>,
    /// The number of the first position of the game.
    game: u64,
    /// An error that was found ahead of its turn.
    error: Option<Error>,
}

impl<C: Container> Replay<C> {
    /// Starts at a spot of a file that is open at the container of the spot.
    pub(crate) fn new(path: PathBuf, file: Input, bytes: u64, from: Spot) -> Self {
        Self {
            path,
            input: buffered(file),
            bytes,
            spot: Spot { file: 0, ..from },
            container: None,
            game: 0,
            error: None,
        }
    }

    /// The spot before the next position.
    pub(crate) fn spot(&self) -> Spot {
        self.spot
    }

    /// Whether no position is left. An error is left for [`Self::read`].
    pub(crate) fn is_at_end(&mut self, sieve: &Sieve) -> bool {
        match self.error.is_none().then(|| self.find(sieve)) {
            None => false,
            Some(Ok(found)) => !found,
            Some(Err(error)) => {
                self.error = Some(error);
                false
            }
        }
    }

    /// Appends the next positions, at most `most`; fewer only at the end of the file. Each has a
    /// note if there is a list of them.
    pub(crate) fn read(
        &mut self,
        records: &mut AVec<RawRecord>,
        notes: Option<&mut Vec<Note>>,
        most: usize,
        sieve: &Sieve,
    ) -> Result<()> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        // As in `Fill`, the loop is compiled for several SIMD levels, because it counts and finds
        // bits.
        pulp::Arch::new().dispatch(
            #[inline(always)]
            || self.append(records, notes, most, sieve),
        )
    }

    #[inline(always)]
    fn append(
        &mut self,
        records: &mut AVec<RawRecord>,
        mut notes: Option<&mut Vec<Note>>,
        most: usize,
        sieve: &Sieve,
    ) -> Result<()> {
        let full = records.len() + most;
        while records.len() < full && (self.has_next() || self.find(sieve)?) {
            let (at, number) = (self.spot, self.spot.number);
            match self.step(records) {
                Ok(in_game) => {
                    if let Some(notes) = &mut notes {
                        notes.push(Note {
                            number,
                            game: self.game,
                            in_game,
                        });
                    }
                }
                Err(fault) => {
                    // The positions after a damaged one are unknown.
                    self.leave();
                    sieve.refuse(&self.path, name::<C>(at), fault)?;
                }
            }
        }
        Ok(())
    }

    /// Whether a position is left in the container.
    #[inline(always)]
    fn has_next(&self) -> bool {
        self.container.as_ref().is_some_and(C::has_next)
    }

    /// Whether a position is left, after it has gone to the next container that has one if
    /// necessary.
    #[inline(never)]
    fn find(&mut self, sieve: &Sieve) -> Result<bool> {
        loop {
            if let Some(container) = &self.container {
                if container.has_next() {
                    return Ok(true);
                }
                let (at, end) = (self.spot, container.check_end());
                self.leave();
                if let Err(fault) = end {
                    sieve.refuse(&self.path, name::<C>(at), fault)?;
                }
            }
            if self.spot.offset >= self.bytes {
                return Ok(false);
            }
            self.open(sieve)?;
        }
    }

    /// Goes to the end of the container.
    fn leave(&mut self) {
        if let Some(container) = self.container.take() {
            self.spot.offset += container.bytes();
            self.spot.number += container.left();
            self.spot.inside = 0;
        }
    }

    /// Reads the container at the spot, and replays it up to there.
    fn open(&mut self, sieve: &Sieve) -> Result<()> {
        let left = self.bytes - self.spot.offset;
        let found = C::read(&mut self.input, left).map_err(Error::io(&self.path, "read"))?;
        let Spot { inside, number, .. } = self.spot;
        match found {
            Ok(container) => self.container = Some(container),
            Err(fault) => {
                sieve.refuse(&self.path, name::<C>(self.spot), fault)?;
                self.spot.offset = self.bytes;
                return Ok(());
            }
        }
        // The steps count the positions again that the spot has counted.
        self.spot.inside = 0;
        self.spot.number = number.saturating_sub(inside);
        let mut passed = AVec::new(CACHELINE_ALIGN);
        for positions in 0..inside {
            if !self.has_next() {
                let [container, _] = C::NAMES;
                let expected = format!("at most the {positions} positions of the {container}");
                return Err(Error::argument("start, inside", expected, inside));
            }
            if let Err(fault) = self.step(&mut passed) {
                return Err(Error::data(&self.path, fault.within(name::<C>(self.spot))));
            }
        }
        Ok(())
    }

    /// Appends the next position of the container, which has one.
    #[inline(always)]
    fn step(&mut self, records: &mut AVec<RawRecord>) -> Result<InGame, Fault> {
        let missing = || Fault::new(C::NAMES[0], "one that is open", "none");
        let container = self.container.as_mut().ok_or_else(missing)?;
        let Told { in_game, begins } = container.next(records)?;
        if begins {
            self.game = self.spot.number;
        }
        self.spot.inside += 1;
        self.spot.number += 1;
        Ok(in_game)
    }
}

/// The input with a buffer.
pub(crate) fn buffered(input: Input) -> BufReader<Input> {
    BufReader::with_capacity(1 << 16, input)
}

/// The place of a position as errors name it.
pub(crate) fn name<C: Container>(spot: Spot) -> String {
    let Spot { offset, inside, .. } = spot;
    let [container, step] = C::NAMES;
    format!("{container} at byte {offset}, {step} {inside} (counted from 0)")
}

/// The positions of the first containers of a file of this size, at least `most` if there are as
/// many, and the bytes of those containers. `count` is the number of positions of a container.
/// Nothing counts from a container on that cannot be read.
pub(crate) fn count<C: Container>(
    path: &Path,
    input: Input,
    bytes: u64,
    most: u64,
    count: impl Fn(C) -> u64,
) -> Result<(u64, u64)> {
    let mut input = buffered(input);
    let (mut positions, mut read) = (0, 0);
    while positions < most && read < bytes {
        let found = C::read(&mut input, bytes - read).map_err(Error::io(path, "read"))?;
        let Ok(container) = found else {
            break;
        };
        read += container.bytes();
        positions += count(container);
    }
    Ok((positions, read))
}
