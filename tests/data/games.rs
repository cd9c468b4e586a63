//! Games of viriformat, against the crate of that format.

use crate::support::{START, file, raw, settings};
use bulletformat::ChessBoard;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;
use viriformat::chess::board::Board;
use viriformat::dataformat::{Filter as Theirs, Game};
use wgrad::nnue::Needs;
use wgrad::nnue::data::{
    BadRecords, Chess768, Dataset, Filter, Loader, LoaderSettings, Place, Position,
};

/// The byte of the result in the position that begins a game.
const RESULT: usize = 30;

/// Positions from which random play soon castles, takes in passing and promotes.
pub const BEGINNINGS: [&str; 4] = [
    START,
    "r3k2r/pppq1ppp/2npbn2/2b1p3/2B1P3/2NPBN2/PPPQ1PPP/R3K2R w KQkq - 4 8",
    "r1bqkbnr/pppp1pp1/2n5/4p3/4P1Pp/2N2N2/PPPP1P1P/R1BQKB1R b KQkq g3 0 5",
    "8/P1k5/8/8/3p4/8/2P3Kp/8 w - - 3 60",
];

/// The bytes of games of random legal moves with random scores and results.
pub fn random_games(count: usize, seed: u64) -> Vec<u8> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut bytes = Vec::new();
    for number in 0..count {
        let mut board = Board::new();
        board
            .set_from_fen(BEGINNINGS[number % BEGINNINGS.len()], false)
            .unwrap();
        let mut game = Game::new(&board);
        // Some games have no move.
        for _ in 0..random.random_range(0..120) {
            let moves = board.legal_moves();
            if moves.is_empty() || board.is_draw() {
                break;
            }
            let next = moves[random.random_range(0..moves.len())];
            let score = match random.random_range(0..20) {
                0 => 31_000,
                _ => random.random_range(-1500..1500),
            };
            game.add_move(next, score);
            board.make_move_simple(next);
        }
        let begin = bytes.len();
        game.serialise_into(&mut bytes).unwrap();
        bytes[begin + RESULT] = random.random_range(0..3);
    }
    bytes
}

/// The records that the crate makes of games and a filter.
pub fn expected(games: &[u8], filter: &Theirs) -> Vec<Vec<u8>> {
    let mut input = games;
    let mut records = Vec::new();
    while !input.is_empty() {
        let game = Game::deserialise_from(&mut input, Vec::new()).unwrap();
        let put = |record: ChessBoard| {
            records.push(raw(&record));
            Ok(())
        };
        game.splat_to_bulletformat(put, filter).unwrap();
    }
    records
}

pub fn records(dataset: &Dataset) -> Vec<Vec<u8>> {
    let positions = dataset.iter().map(Result::unwrap);
    positions
        .map(|position| position.to_bytes().to_vec())
        .collect()
}

pub fn open(path: &Path) -> Dataset {
    Dataset::open(&[path.into()]).unwrap()
}

#[test]
fn games_have_the_positions_of_their_crate() {
    let folder = tempfile::tempdir().unwrap();
    let games = random_games(300, 1);
    let expected = expected(&games, &Theirs::UNRESTRICTED);
    assert!(expected.len() > 10_000);
    let path = file(&folder, "games.vf", &games);
    let dataset = open(&path);
    assert_eq!(records(&dataset), expected);
    assert_eq!(dataset.positions(), None);
    assert_eq!(dataset.count().unwrap(), expected.len() as u64);
    let estimate = dataset.estimate().unwrap();
    assert_eq!(
        (estimate.positions, estimate.exact),
        (expected.len() as u64, true)
    );
    let packed = file(
        &folder,
        "games.zst",
        zstd::encode_all(&games[..], 1).unwrap(),
    );
    assert_eq!(records(&open(&packed)), expected);
}

/// Files of games, lines, games and records, without a filter's keys that need games.
fn mixed(folder: &TempDir) -> Vec<PathBuf> {
    let lines = fs::read_to_string(crate::support::shipped("chess_sample.txt")).unwrap();
    let lines: Vec<_> = lines.lines().take(150).collect();
    let validation = fs::read(crate::support::shipped("chess_validation.bin")).unwrap();
    vec![
        file(folder, "a.vf", random_games(6, 2)),
        file(folder, "b.txt", lines.join("\n\n")),
        file(folder, "c.vf", random_games(5, 3)),
        file(folder, "d.bin", &validation[..32 * 200]),
    ]
}

pub fn load(dataset: &Dataset, settings: &LoaderSettings) -> Vec<(Vec<i16>, Place)> {
    let loader = Loader::new(dataset, Arc::new(Chess768), settings, Needs::default()).unwrap();
    let batches = loader.map(Result::unwrap);
    batches
        .map(|batch| (batch.scores().to_vec(), *batch.next_place()))
        .collect()
}

#[test]
fn a_loader_goes_on_inside_games_with_any_filter() {
    let folder = tempfile::tempdir().unwrap();
    let paths = mixed(&folder);
    let whole = Filter::from_toml(
        "min_ply = 0\nmin_pieces = 0\nfilter_tactical = false\nfilter_check = false\n\
         random_fen_skipping = true\nrandom_fen_skip_probability = 0.4",
    )
    .unwrap();
    for filter in [None, Some(whole)] {
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
            for (at, (_, place)) in batches.iter().enumerate() {
                let left = settings.clone().start(*place).epochs(Some(2 - place.epoch));
                if place.epoch < 2 {
                    assert_eq!(load(&sieved(), &left), batches[at + 1..], "{shuffle}, {at}");
                }
            }
            let all = batches
                .iter()
                .map(|(scores, _)| scores.len())
                .sum::<usize>();
            let count = sieved().count().unwrap() as usize;
            match filter {
                Some(_) => assert!((count..2 * count).contains(&all), "{all} of {count}"),
                None => assert!(all > 19 * count / 10, "{all} of {count}"),
            }
        }
    }
}

#[test]
fn a_past_covers_the_moves_of_a_game_that_was_read() {
    let folder = tempfile::tempdir().unwrap();
    let games = random_games(8, 4);
    let path = file(&folder, "games.vf", &games);
    let batches = load(&open(&path), &settings(10, 0));
    let (_, place) = batches[10];
    assert!(place.to.inside > 0);
    let end = (place.to.offset + 32 + 4 * place.to.inside) as usize;
    let past = open(&path).past(&place).unwrap();
    open(&path).check_past(&past).unwrap();
    for (byte, changes) in [(end, false), (end - 1, true)] {
        let mut changed = games.clone();
        changed[byte] ^= 1;
        fs::write(&path, changed).unwrap();
        assert_eq!(
            open(&path).check_past(&past).is_err(),
            changes,
            "{byte} of {end}"
        );
    }
}

/// The first error of a file.
fn error(path: &Path) -> String {
    let errors = open(path).iter().filter_map(Result::err);
    errors.map(|error| error.to_string()).next().unwrap()
}

#[test]
fn damaged_games_are_errors_or_are_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let games = random_games(4, 6);
    let whole = expected(&games, &Theirs::UNRESTRICTED);
    let first = expected_lengths(&games);
    let second = 36 + 4 * first[0];
    // The byte, its change, the error and the positions that are left.
    let after = first[0] + first[1];
    let cases = [
        (
            second + 32 + 4 * 10,
            0xff,
            "move 10 (counted from 0), move: expected a legal move in",
            {
                let mut left = whole.clone();
                left.drain(first[0] + 10..after);
                left
            },
        ),
        (
            second + RESULT,
            0x80,
            "move 0 (counted from 0), result: expected 0, 1 or 2",
            {
                let mut left = whole.clone();
                left.drain(first[0]..after);
                left
            },
        ),
        (
            second + 24,
            0x54,
            "position: expected a pawn that has just moved two squares",
            {
                let mut left = whole.clone();
                left.drain(first[0]..after);
                left
            },
        ),
    ];
    for (byte, change, message, left) in cases {
        let mut bytes = games.clone();
        bytes[byte] ^= change;
        let path = file(&folder, "damaged.vf", bytes);
        let found = error(&path);
        let place = format!("damaged.vf: game at byte {second}, ");
        assert!(found.contains(&place) && found.contains(message), "{found}");
        let skipping = open(&path).bad_records(BadRecords::Skip);
        assert_eq!(records(&skipping), left, "{message}");
        assert_eq!(skipping.dropped().bad, 1);
    }
    // The last game has no end.
    let path = file(&folder, "short.vf", &games[..games.len() - 5]);
    let found = error(&path);
    assert!(
        found.contains("expected 4 zero bytes after the last move"),
        "{found}"
    );
    let skipping = open(&path).bad_records(BadRecords::Skip);
    let left = records(&skipping);
    assert_eq!(left, whole[..left.len()]);
    assert!(left.len() >= first[0] + first[1] + first[2] && left.len() < whole.len());
}

#[test]
fn a_place_outside_of_its_game_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "games.vf", random_games(3, 14));
    let place: Place = serde_json::from_str(r#"{"from": {"inside": 200}}"#).unwrap();
    let start = settings(10, 0).start(place);
    let loader = Loader::new(&open(&path), Arc::new(Chess768), &start, Needs::default());
    let error = loader.unwrap().find_map(Result::err).unwrap().to_string();
    assert!(
        error.contains("start, inside: expected at most the"),
        "{error}"
    );
}

/// The number of moves of each game.
fn expected_lengths(games: &[u8]) -> Vec<usize> {
    let mut input = games;
    let mut lengths = Vec::new();
    while !input.is_empty() {
        let game = Game::deserialise_from(&mut input, Vec::new()).unwrap();
        lengths.push(game.len());
    }
    lengths
}

/// Random damage never panics, and gives positions or an error.
#[test]
fn random_damage_is_an_error_at_most() {
    let folder = tempfile::tempdir().unwrap();
    let games = random_games(6, 8);
    let mut random = ChaCha8Rng::seed_from_u64(9);
    let (mut errors, mut sound) = (0, 0);
    for _ in 0..2000 {
        let mut bytes = games.clone();
        for _ in 0..random.random_range(1..6) {
            let bit = random.random_range(0..8 * bytes.len());
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        let path = file(&folder, "random.vf", &bytes);
        let Ok(dataset) = Dataset::open(&[path]) else {
            errors += 1;
            continue;
        };
        let read: Result<Vec<Position>, _> = dataset.iter().collect();
        match read {
            Ok(positions) => sound += usize::from(!positions.is_empty()),
            Err(_) => errors += 1,
        }
        let skipping = dataset.bad_records(BadRecords::Skip);
        assert!(skipping.iter().all(|position| position.is_ok()));
    }
    assert!(
        errors > 500 && sound > 100,
        "{errors} errors, {sound} sound"
    );
}
