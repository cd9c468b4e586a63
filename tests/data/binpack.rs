//! Stockfish binpack, against the crate of that format and moves of cozy-chess.

use crate::games::{BEGINNINGS, load, open, records};
use crate::support::{file, loader, settings, shipped};
use cozy_chess::{Board, Color, GameStatus, Move, Piece};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sfbinpack::chess::color::Color as Side;
use sfbinpack::chess::coords::Square;
use sfbinpack::chess::r#move::Move as PackedMove;
use sfbinpack::chess::piece::Piece as PackedPiece;
use sfbinpack::chess::piecetype::PieceType;
use sfbinpack::chess::position::Position as PackedPosition;
use sfbinpack::{CompressedTrainingDataEntryWriter as Writer, TrainingDataEntry};
use std::fs;
use std::path::Path;
use tempfile::TempDir;
use wgrad::nnue::data::{BadRecords, Dataset, Filter, Place, Position, split};

/// An entry, and what the reader makes of it.
struct Sample {
    entry: TrainingDataEntry,
    record: Vec<u8>,
    ply: u32,
    tactical: bool,
    castling: bool,
    check: bool,
}

/// Random legal moves with random scores and results, by game.
fn random_games(count: usize, seed: u64) -> Vec<Vec<Sample>> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut game = |number: usize| {
        let beginning = BEGINNINGS[number % BEGINNINGS.len()];
        let mut board: Board = beginning.parse().unwrap();
        let mut pos = PackedPosition::from_fen(beginning).unwrap();
        // Of White.
        let result = random.random_range(-1..=1);
        let mut samples = Vec::new();
        for _ in 0..random.random_range(1..120) {
            if board.status() != GameStatus::Ongoing {
                break;
            }
            let mut moves = Vec::new();
            board.generate_moves(|list| {
                moves.extend(list);
                false
            });
            let next = moves[random.random_range(0..moves.len())];
            let score = match random.random_range(0..20) {
                0 => 32_002,
                1 => -31_000,
                _ => random.random_range(-1500..1500),
            };
            let sample = sample(&board, &pos, next, score, result);
            board.play(next);
            pos = pos.after_move(sample.entry.mv);
            samples.push(sample);
        }
        samples
    };
    (0..count).map(&mut game).collect()
}

/// A position before a move. The score and the result are White's.
fn sample(board: &Board, pos: &PackedPosition, next: Move, score: i16, result: i16) -> Sample {
    let black = board.side_to_move() == Color::Black;
    let sign = if black { -1 } else { 1 };
    let own = board.side_to_move();
    let castling = board.color_on(next.to) == Some(own);
    let is_pawn = board.piece_on(next.from) == Some(Piece::Pawn);
    let takes = board.color_on(next.to) == Some(!own);
    let passes = is_pawn && !takes && next.from.file() != next.to.file();
    let (from, to) = (Square::new(next.from as u32), Square::new(next.to as u32));
    let mv = match next.promotion {
        _ if castling => PackedMove::castle(from, to),
        _ if passes => PackedMove::en_passant(from, to),
        None => PackedMove::normal(from, to),
        Some(piece) => {
            let kind = PieceType::from_ordinal(piece as u8);
            let side = if black { Side::Black } else { Side::White };
            PackedMove::promotion(from, to, PackedPiece::new(kind, side))
        }
    };
    let fen = board.to_string();
    let position = Position::from_fen(&fen, score, (result + 1) as u8).unwrap();
    assert_eq!(
        fen.split(' ').next(),
        pos.fen().unwrap().split(' ').next(),
        "the crate plays the same moves"
    );
    let ply = 2 * (u32::from(board.fullmove_number()) - 1) + u32::from(black);
    Sample {
        entry: TrainingDataEntry {
            pos: *pos,
            mv,
            score: sign * score,
            ply: ply as u16,
            result: sign * result,
        },
        record: position.to_bytes().to_vec(),
        ply,
        tactical: takes || passes || next.promotion.is_some(),
        castling,
        check: !board.checkers().is_empty(),
    }
}

/// Files of one chunk each, one after the other.
fn written<'a>(chunks: impl IntoIterator<Item = &'a [Vec<Sample>]>) -> Vec<u8> {
    let chunk = |games: &[Vec<Sample>]| {
        let mut writer = Writer::new_in_memory().unwrap();
        for sample in games.iter().flatten() {
            writer.write_entry(&sample.entry).unwrap();
        }
        writer.into_bytes().unwrap()
    };
    chunks.into_iter().flat_map(chunk).collect()
}

fn expected(games: &[Vec<Sample>]) -> Vec<Vec<u8>> {
    let samples = games.iter().flatten();
    samples.map(|sample| sample.record.clone()).collect()
}

fn says(path: &Path) -> String {
    let dataset = match Dataset::open(&[path.into()]) {
        Ok(dataset) => dataset,
        Err(error) => return error.to_string(),
    };
    let errors = dataset.iter().filter_map(Result::err);
    errors.map(|error| error.to_string()).next().unwrap()
}

#[test]
fn binpack_has_the_positions_that_its_crate_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let games = random_games(300, 1);
    let expected = expected(&games);
    assert!(expected.len() > 10_000);
    for kind in [
        |sample: &Sample| sample.castling,
        |sample: &Sample| sample.entry.mv.promoted_piece() != PackedPiece::none(),
        |sample: &Sample| sample.tactical && sample.entry.pos.ep_square() == sample.entry.mv.to(),
    ] {
        assert!(games.iter().flatten().any(kind));
    }
    let bytes = written(games.chunks(40));
    let path = file(&folder, "games.binpack", &bytes);
    let dataset = open(&path);
    assert_eq!(records(&dataset), expected);
    assert_eq!(dataset.positions(), None);
    let count = expected.len() as u64;
    assert_eq!(dataset.count().unwrap(), count);
    let estimate = dataset.estimate().unwrap();
    assert_eq!((estimate.positions, estimate.exact), (count, true));
    let packed = zstd::encode_all(&bytes[..], 1).unwrap();
    assert_eq!(
        records(&open(&file(&folder, "games.zst", packed))),
        expected
    );
    // Engines write 32,002 for a missing score.
    let sound = dataset.max_score(20_000);
    assert!(
        sound
            .iter()
            .all(|read| read.unwrap().score().abs() < 20_000)
    );
    assert!(sound.dropped().scores > 500);
}

#[test]
fn binpack_is_filtered_by_half_move_next_move_and_check() {
    let folder = tempfile::tempdir().unwrap();
    let games = random_games(60, 2);
    let path = file(&folder, "games.binpack", written(games.chunks(7)));
    let keys = "max_eval = 32767\nfilter_castling = true\nmin_ply = 20";
    let filter = Filter::from_toml(keys).unwrap();
    let kept = games.iter().flatten().filter(|sample| {
        let pieces = sample.entry.pos.occupied().count();
        sample.ply >= 20 && pieces >= 4 && !sample.tactical && !sample.castling && !sample.check
    });
    let kept: Vec<_> = kept.map(|sample| sample.record.clone()).collect();
    assert!(kept.len() > 500);
    assert_eq!(records(&open(&path).filter(filter, 1).unwrap()), kept);
}

/// Chunks, lines and chunks.
fn mixed(folder: &TempDir) -> Vec<std::path::PathBuf> {
    let lines = fs::read_to_string(shipped("chess_sample.txt")).unwrap();
    let lines: Vec<_> = lines.lines().take(100).collect();
    vec![
        file(folder, "a.binpack", written(random_games(6, 3).chunks(2))),
        file(folder, "b.txt", lines.join("\n")),
        file(folder, "c.binpack", written(random_games(4, 4).chunks(3))),
    ]
}

#[test]
fn binpack_goes_on_inside_chunks_with_any_filter() {
    let folder = tempfile::tempdir().unwrap();
    let paths = mixed(&folder);
    let keys = "min_ply = 0\nmin_pieces = 0\nfilter_tactical = false\nfilter_check = false\n\
                random_fen_skipping = true\nrandom_fen_skip_probability = 0.4";
    for filter in [None, Some(Filter::from_toml(keys).unwrap())] {
        let sieved = || {
            let dataset = Dataset::open(&paths).unwrap().max_score(20_000);
            match &filter {
                Some(filter) => dataset.filter(filter.clone(), 5).unwrap(),
                None => dataset,
            }
        };
        for shuffle in [0, 7, 64, 5000] {
            let settings = settings(10, shuffle).epochs(Some(2));
            let batches = load(&sieved(), &settings);
            assert!(batches.len() > 30);
            for (at, (_, place)) in batches.iter().enumerate() {
                let left = settings.clone().start(*place).epochs(Some(2 - place.epoch));
                if place.epoch < 2 {
                    assert_eq!(load(&sieved(), &left), batches[at + 1..], "{shuffle}, {at}");
                }
            }
        }
    }
}

#[test]
fn a_place_outside_of_its_chunk_of_binpack_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let games = random_games(3, 14);
    let path = file(&folder, "games.binpack", written(games.chunks(2)));
    let place: Place = serde_json::from_str(r#"{"from": {"inside": 900}}"#).unwrap();
    let mut loader = loader(&open(&path), &settings(10, 0).start(place)).unwrap();
    let error = loader.find_map(Result::err).unwrap().to_string();
    let positions = games[..2].iter().map(Vec::len).sum::<usize>();
    let expected =
        format!("start, inside: expected at most the {positions} positions of the chunk");
    assert!(error.contains(&expected), "{error}");
}

#[test]
fn the_past_of_binpack_is_the_chunks_that_were_read() {
    let folder = tempfile::tempdir().unwrap();
    let games = random_games(8, 5);
    let bytes = written(games.chunks(4));
    let path = file(&folder, "games.binpack", &bytes);
    let first = written([&games[..4]]).len();
    let batches = load(&open(&path), &settings(10, 0));
    let (_, place) = batches[2];
    assert!(place.to.inside > 0 && place.to.offset == 0);
    let past = open(&path).past(&place).unwrap();
    for (byte, changes) in [(first + 20, false), (first - 1, true)] {
        let mut changed = bytes.clone();
        changed[byte] ^= 1;
        fs::write(&path, changed).unwrap();
        let found = open(&path).check_past(&past);
        assert_eq!(found.is_err(), changes, "{byte} of {first}");
    }
    // All of a compressed file, once some of it was read.
    let packed = |bytes: &[u8]| file(&folder, "games.zst", zstd::encode_all(bytes, 1).unwrap());
    let dataset = open(&packed(&bytes));
    let (_, place) = load(&dataset, &settings(10, 0))[2];
    assert!(place.to.inside > 0 && place.to.offset == 0);
    let past = dataset.past(&place).unwrap();
    dataset.check_past(&past).unwrap();
    let other = open(&packed(&written(random_games(8, 15).chunks(4))));
    assert!(other.check_past(&past).is_err());
}

#[test]
fn a_split_of_binpack_keeps_games_whole() {
    let folder = tempfile::tempdir().unwrap();
    let mut games = random_games(200, 6);
    // A removed position breaks a game into two chains.
    for game in games.iter_mut().filter(|game| game.len() > 4) {
        game.remove(2);
    }
    let path = file(&folder, "games.binpack", written(games.chunks(50)));
    let outputs = ["first", "second"].map(|name| folder.path().join(name));
    let paths = outputs.each_ref().map(AsRef::as_ref);
    split(&open(&path), paths, 0.4, 5, |_| {}).unwrap();
    let parts = outputs.each_ref().map(|path| fs::read(path).unwrap());
    let mut rest = parts.each_ref().map(Vec::as_slice);
    let mut chosen = [0; 2];
    for game in &games {
        let unit: Vec<_> = game
            .iter()
            .flat_map(|sample| sample.record.clone())
            .collect();
        let into = rest.iter().position(|part| part.starts_with(&unit));
        let into = into.expect("a part with the whole game next");
        rest[into] = &rest[into][unit.len()..];
        chosen[into] += 1;
    }
    assert!(rest.iter().all(|part| part.is_empty()));
    // Five deviations of a binomial distribution: 5 · √(200 · 0.4 · 0.6) = 35. Games that follow
    // each other like parts of one game widen it.
    assert!((30..130).contains(&chosen[1]), "{chosen:?}");
}

#[test]
fn damaged_binpack_is_an_error_or_is_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let games = random_games(6, 7);
    let chunks = [&games[..2], &games[2..4], &games[4..]];
    let bytes = written(chunks);
    let second = written([chunks[0]]).len();
    let third = second + written([chunks[1]]).len();
    let lens = chunks.map(|games| games.iter().map(Vec::len).sum::<usize>());
    let whole = expected(&games);
    let without_second = || [&whole[..lens[0]], &whole[lens[0] + lens[1]..]].concat();
    // The range of bytes, what takes its place, the error and the positions that are left.
    let cases: [(_, &[u8], _, _); 7] = [
        (
            second..second + 1,
            b"X",
            "entry 0 (counted from 0), header: expected BINP, found XINP",
            whole[..lens[0]].to_vec(),
        ),
        (
            second + 4..second + 8,
            &[0xff; 4],
            "size: expected at most 104857600 bytes, found 4294967295",
            whole[..lens[0]].to_vec(),
        ),
        (
            second + 7..second + 8,
            &[1],
            "and the end of the file",
            whole[..lens[0]].to_vec(),
        ),
        // No pieces.
        (
            second + 8..second + 16,
            &[0; 8],
            "kings of White: expected 1, found 0",
            without_second(),
        ),
        // The result −2.
        (
            second + 36..second + 37,
            &[0xff],
            "result: expected 0, 1 or 2",
            without_second(),
        ),
        // A move of type 0 from a5, an empty square, to a1.
        (
            second + 32..second + 34,
            &[0b0010_0000, 0],
            "entry 0 (counted from 0), move: expected a piece of the side to move",
            without_second(),
        ),
        // 33 bytes before the chunk ends.
        (third..third, &[], "the end of the chunk", whole.clone()),
    ];
    for (range, new, message, left) in cases {
        let mut damaged = bytes.clone();
        if range.is_empty() {
            damaged.splice(third..third, [0; 33]);
            let size = (third - second - 8 + 33) as u32;
            damaged.splice(second + 4..second + 8, size.to_le_bytes());
        } else {
            damaged.splice(range, new.iter().copied());
        }
        let path = file(&folder, "damaged.binpack", damaged);
        let found = says(&path);
        let place = format!("damaged.binpack: chunk at byte {second}, entry ");
        assert!(found.contains(&place) && found.contains(message), "{found}");
        let skipping = open(&path).bad_records(BadRecords::Skip);
        assert_eq!(records(&skipping), left, "{message}");
        assert_eq!(skipping.dropped().bad, 1);
    }
}

#[test]
fn a_position_of_binpack_needs_no_move() {
    let folder = tempfile::tempdir().unwrap();
    let mut games = random_games(1, 11);
    games[0].truncate(1);
    for bits in [[0, 0], [0b0010_0000, 0]] {
        let mut bytes = written([&games[..]]);
        bytes[32..34].copy_from_slice(&bits);
        let path = file(&folder, "single.binpack", bytes);
        assert_eq!(records(&open(&path)), expected(&games));
    }
}

/// A file that ends anywhere is an error, and so is one without a sound entry.
#[test]
fn truncated_binpack_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let games = random_games(4, 8);
    let bytes = written(games.chunks(2));
    let first = written([&games[..2]]).len();
    let lens = (1..bytes.len()).filter(|&len| len != first);
    for len in lens.step_by(7) {
        let path = file(&folder, "short.binpack", &bytes[..len]);
        let found = says(&path);
        assert!(found.contains("short.binpack: "), "{len}: {found}");
    }
    let empty = file(&folder, "empty.binpack", b"BINP\0\0\0\0BINP\0\0\0\0");
    assert!(says(&empty).ends_with("chunks: expected at least 1 position, found none"));
}

/// Random damage never panics outside the reader, and gives positions or an error.
#[test]
fn random_damage_of_binpack_is_an_error_at_most() {
    let folder = tempfile::tempdir().unwrap();
    let games = random_games(8, 9);
    let bytes = written(games.chunks(3));
    let most = expected(&games).len() + 20;
    let mut random = ChaCha8Rng::seed_from_u64(10);
    let (mut errors, mut sound) = (0, 0);
    for _ in 0..600 {
        let mut damaged = bytes.clone();
        for _ in 0..random.random_range(1..6) {
            let bit = random.random_range(0..8 * damaged.len());
            damaged[bit / 8] ^= 1 << (bit % 8);
        }
        let path = file(&folder, "random.binpack", &damaged);
        let Ok(dataset) = Dataset::open(&[path]) else {
            errors += 1;
            continue;
        };
        assert!(dataset.count().is_ok());
        let read: Result<Vec<Position>, _> = dataset.iter().collect();
        match read {
            Ok(positions) => sound += usize::from(!positions.is_empty()),
            Err(_) => errors += 1,
        }
        let skipping = dataset.bad_records(BadRecords::Skip);
        let mut left = skipping.iter();
        assert!(left.all(|position| position.is_ok()));
        let kept = skipping.iter().count();
        assert!(kept <= most, "{kept} of {most} positions");
    }
    assert!(errors > 200 && sound > 20, "{errors} errors, {sound} sound");
}
