//! Positions per second of one thread from a file of each format, beside the crate of the format on
//! the same file.

use bulletformat::{ChessBoard, DataLoader};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::fs::File;
use std::hint::black_box;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use viriformat::chess::board::Board;
use viriformat::dataformat::{Filter, Game};
use wgrad::nnue::data::{Dataset, OutputFormat, convert};

/// The number of games of random moves.
const GAMES: u64 = 1500;

/// The numbers of a small generator, so that the games do not depend on a library.
struct Xorshift(u64);

impl Xorshift {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn games() -> Vec<u8> {
    let mut random = Xorshift(1);
    let mut bytes = Vec::new();
    for _ in 0..GAMES {
        let mut board = Board::new();
        let start = "rnbqkbnr/pppppppp/8/8/8/8/PPPPPPPP/RNBQKBNR w KQkq - 0 1";
        board.set_from_fen(start, false).unwrap();
        let mut game = Game::new(&board);
        for _ in 0..130 {
            let moves = board.legal_moves();
            if moves.is_empty() || board.is_draw() {
                break;
            }
            let next = moves[random.below(moves.len() as u64) as usize];
            game.add_move(next, random.below(2000) as i16 - 1000);
            board.make_move_simple(next);
        }
        game.serialise_into(&mut bytes).unwrap();
    }
    bytes
}

/// Reads all positions and checks them.
fn read(path: &Path) -> u64 {
    let dataset = Dataset::open(&[path.into()]).unwrap();
    let positions = dataset.iter().map(Result::unwrap);
    positions
        .inspect(|position| {
            black_box(position);
        })
        .count() as u64
}

fn read_sieved(path: &Path) -> u64 {
    let dataset = Dataset::open(&[path.into()]).unwrap().max_score(20_000);
    dataset.iter().map(Result::unwrap).count() as u64
}

/// Reads with the usual filter, and half of the rest at random.
fn read_filtered(path: &Path) -> u64 {
    let mut filter = wgrad::nnue::data::Filter::default();
    (
        filter.random_fen_skipping,
        filter.random_fen_skip_probability,
    ) = (true, 0.5);
    let dataset = Dataset::open(&[path.into()])
        .unwrap()
        .filter(filter, 0)
        .unwrap();
    let kept = dataset.iter().map(Result::unwrap).count() as u64;
    kept + dataset.dropped().filtered
}

fn crate_of_games(path: &Path) -> u64 {
    let bytes = std::fs::read(path).unwrap();
    let (mut input, mut buffer, mut count) = (&bytes[..], Vec::new(), 0);
    while !input.is_empty() {
        let game = Game::deserialise_from(&mut input, buffer).unwrap();
        let put = |record: ChessBoard| {
            black_box(record);
            count += 1;
            Ok(())
        };
        game.splat_to_bulletformat(put, &Filter::UNRESTRICTED)
            .unwrap();
        buffer = game.into_move_buffer();
    }
    count
}

/// The crate copies records without checks.
fn crate_of_records(path: &Path) -> u64 {
    let mut count = 0;
    let loader = DataLoader::<ChessBoard>::new(path, 4).unwrap();
    loader.map_positions(|board| {
        black_box(board);
        count += 1;
    });
    count
}

fn crate_of_lines(path: &Path) -> u64 {
    let lines = BufReader::new(File::open(path).unwrap()).lines();
    let boards = lines.map(|line| line.unwrap().parse::<ChessBoard>().unwrap());
    boards
        .inspect(|board| {
            black_box(board);
        })
        .count() as u64
}

fn formats(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    let (viri, bullet, text) = (place("a.vf"), place("a.bin"), place("a.txt"));
    std::fs::write(&viri, games()).unwrap();
    let dataset = Dataset::open(std::slice::from_ref(&viri)).unwrap();
    let count = convert(&dataset, &bullet, OutputFormat::Records, |_| {}).unwrap();
    convert(&dataset, &text, OutputFormat::Text, |_| {}).unwrap();
    let zst = place("a.zst");
    let packed = zstd::encode_all(File::open(&bullet).unwrap(), 3).unwrap();
    std::fs::write(&zst, packed).unwrap();

    let mut group = criterion.benchmark_group("formats");
    group.sample_size(20);
    group.throughput(Throughput::Elements(count));
    type Reader = fn(&Path) -> u64;
    let readers: [(&str, &PathBuf, Reader); 9] = [
        ("bulletformat", &bullet, read),
        ("bulletformat, max_score", &bullet, read_sieved),
        ("bulletformat, its crate", &bullet, crate_of_records),
        ("viriformat", &viri, read),
        ("viriformat, filter", &viri, read_filtered),
        ("viriformat, its crate", &viri, crate_of_games),
        ("text", &text, read),
        ("text, bulletformat's crate", &text, crate_of_lines),
        ("bulletformat in zstd", &zst, read),
    ];
    for (name, path, read) in readers {
        assert_eq!(read(path), count, "{name}");
        group.bench_function(name, |bencher| bencher.iter(|| black_box(read(path))));
    }
    group.finish();
}

criterion_group!(benches, formats);
criterion_main!(benches);
