//! A split into two files keeps the games of viriformat whole.

use crate::games::{expected, random_games};
use crate::support::{file, shipped};
use std::fs;
use viriformat::dataformat::Filter as Theirs;
use wgrad::nnue::data::{Dataset, Filter, split};

#[test]
fn games_stay_whole() {
    let folder = tempfile::tempdir().unwrap();
    let games: Vec<_> = (0..240).map(|seed| random_games(1, seed)).collect();
    let records = fs::read(shipped("chess_validation.bin")).unwrap();
    let records = &records[..32 * 100];
    let paths = [
        file(&folder, "a.vf", games[..120].concat()),
        file(&folder, "b.bin", records),
        file(&folder, "c.vf", games[120..].concat()),
    ];
    let all = Dataset::open(&paths).unwrap();
    let of_games = Dataset::open(&[paths[0].clone(), paths[2].clone()]).unwrap();
    let filtered = of_games.filter(Filter::default(), 0).unwrap();
    let outputs = ["first", "second"].map(|name| folder.path().join(name));
    for (dataset, filter, singles) in [
        (all, Theirs::UNRESTRICTED, records),
        (filtered, Theirs::default(), &[][..]),
    ] {
        let units = games.iter().map(|game| expected(game, &filter).concat());
        let mut units: Vec<_> = units.collect();
        units.splice(120..120, singles.chunks(32).map(<[u8]>::to_vec));
        units.retain(|unit| !unit.is_empty());
        let positions = units.iter().map(Vec::len).sum::<usize>() / 32;
        assert!(positions > 4096, "more than is read at once: {positions}");
        let paths = outputs.each_ref().map(AsRef::as_ref);
        let counts = split(&dataset, paths, 0.4, 5, |_| {}).unwrap();
        assert_eq!(counts.iter().sum::<u64>(), positions as u64);
        let parts = outputs.each_ref().map(|path| fs::read(path).unwrap());
        let mut rest = parts.each_ref().map(Vec::as_slice);
        let mut chosen = [0; 2];
        for unit in &units {
            let into = rest.iter().position(|part| part.starts_with(unit));
            let into = into.expect("a part with the whole game next");
            rest[into] = &rest[into][unit.len()..];
            chosen[into] += 1;
        }
        assert!(rest.iter().all(|part| part.is_empty()));
        // Five deviations of a binomial distribution: 5 · √(n · 0.4 · 0.6).
        let mean = 0.4 * units.len() as f64;
        let deviation = (0.6 * mean).sqrt();
        let found = f64::from(chosen[1]);
        assert!((found - mean).abs() < 5.0 * deviation, "{chosen:?}");
    }
}
