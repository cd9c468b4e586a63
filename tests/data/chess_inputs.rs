//! The feature sets that depend on the square of the king: features computed by hand and by their
//! definition, their names, and the tables that are refused.

use crate::support::{lists, sample_lines, settings, shipped};
use wgrad::engine::device::Device;
use wgrad::nnue::data::{
    Chess768, ChessInputs, Dataset, FeatureSet, KingBuckets, OutputBuckets, Perspective, Position,
};
use wgrad::nnue::{
    Activation, Architecture, HeadActivation, HiddenLayer, Needs, Network, Parameters,
};

const PERSPECTIVES: [Perspective; 2] = [Perspective::Own, Perspective::Other];

/// Four buckets: a1 and b1; c1 and d1; rank 2; the rest.
fn four_of_half() -> Vec<usize> {
    let mut table = vec![3; 32];
    table[..8].copy_from_slice(&[0, 0, 1, 1, 2, 2, 2, 2]);
    table
}

/// Four buckets: 1 for files e to h, and 2 more from rank 2 on.
fn four_of_board() -> Vec<usize> {
    let bucket = |square| usize::from(square % 8 >= 4) + 2 * usize::from(square >= 8);
    (0..64).map(bucket).collect()
}

fn written(
    set: &(impl FeatureSet<Position = Position> + ?Sized),
    position: &Position,
) -> [Vec<u32>; 2] {
    PERSPECTIVES.map(|perspective| {
        let mut list = vec![u32::MAX; set.max_indices()];
        let count = set.write(position, perspective, &mut list);
        list.truncate(count);
        list.sort();
        list
    })
}

/// Black: king g8, rook a8; White: king e1, pawn e4.
///
/// As Black sees it, the own king is on g1 = 6 and the own rook on a1 = 0, the opponent's pawn on
/// e5 = 36 and the opponent's king on e8 = 60. Mirrored: 1, 7, 35 and 59. As White sees it, the own
/// pawn is on e4 = 28 and the own king on e1 = 4, the opponent's rook on a8 = 56 and the opponent's
/// king on g8 = 62. Mirrored: 27, 3, 63 and 57.
fn black_to_move() -> Position {
    Position::from_fen("r5k1/8/8/8/4P3/8/8/4K3 b - - 0 1", 35, 2).unwrap()
}

/// White: king c3; Black: king e8, pawn h2.
///
/// As White sees it, the own king is on c3 = 18, the opponent's pawn on h2 = 15 and the opponent's
/// king on e8 = 60; nothing is mirrored. As Black sees it, the own pawn is on h7 = 55, the own king
/// on e1 = 4 and the opponent's king on c6 = 42. Mirrored: 48, 3 and 45.
fn white_to_move() -> Position {
    Position::from_fen("4k3/8/8/8/8/2K5/7p/8 w - - 0 1", 0, 1).unwrap()
}

#[test]
fn mirrored_features_by_hand() {
    let set = ChessInputs::named("chess768-mirrored", None).unwrap();
    let own = vec![192 + 7, 320 + 1, 384 + 35, 704 + 59];
    let other = vec![27, 320 + 3, 576 + 63, 704 + 57];
    assert_eq!(written(&*set.features(), &black_to_move()), [own, other]);
    let own = vec![320 + 18, 384 + 15, 704 + 60];
    let other = vec![48, 320 + 3, 704 + 45];
    assert_eq!(written(&*set.features(), &white_to_move()), [own, other]);
}

#[test]
fn king_buckets_by_hand() {
    let set = KingBuckets::mirrored(&four_of_half()).unwrap();
    assert_eq!((set.inputs(), set.buckets()), (3072, 4));
    // Black's king on b1 has bucket 0, White's on d1 bucket 1.
    let own = vec![192 + 7, 320 + 1, 384 + 35, 704 + 59];
    let other = [27, 320 + 3, 576 + 63, 704 + 57].map(|feature| 768 + feature);
    assert_eq!(written(&set, &black_to_move()), [own, other.to_vec()]);
    // White's king on c3 has bucket 3, Black's on d1 bucket 1.
    let own = [320 + 18, 384 + 15, 704 + 60].map(|feature| 3 * 768 + feature);
    let other = [48, 320 + 3, 704 + 45].map(|feature| 768 + feature);
    assert_eq!(written(&set, &white_to_move()), [own, other].map(Vec::from));

    let set = KingBuckets::new(&four_of_board()).unwrap();
    // Black's king on g1 and White's on e1 both have bucket 1.
    let own = [192, 320 + 6, 384 + 36, 704 + 60].map(|feature| 768 + feature);
    let other = [28, 320 + 4, 576 + 56, 704 + 62].map(|feature| 768 + feature);
    assert_eq!(written(&set, &black_to_move()), [own, other].map(Vec::from));
    // White's king on c3 has bucket 2, Black's on e1 bucket 1.
    let own = [320 + 18, 384 + 15, 704 + 60].map(|feature| 2 * 768 + feature);
    let other = [55, 320 + 4, 704 + 42].map(|feature| 768 + feature);
    assert_eq!(written(&set, &white_to_move()), [own, other].map(Vec::from));
}

/// The features by the definition, from the pieces one at a time.
fn defined(kings: &KingBuckets, position: &Position) -> [Vec<u32>; 2] {
    [true, false].map(|own_view| {
        let turned = |square: u8| if own_view { square } else { square ^ 56 };
        let pieces: Vec<_> = position.pieces().collect();
        let mine = |piece: &wgrad::nnue::data::Piece| piece.own == own_view;
        let king = pieces.iter().find(|piece| mine(piece) && piece.kind == 5);
        let king = turned(king.unwrap().square);
        let flip = if kings.is_mirrored() && king % 8 >= 4 {
            7
        } else {
            0
        };
        let king = usize::from(king ^ flip);
        let bucket = match kings.is_mirrored() {
            true => kings.table()[king / 8 * 4 + king % 8],
            false => kings.table()[king],
        };
        let mut list: Vec<_> = pieces
            .iter()
            .map(|piece| {
                let square = u32::from(turned(piece.square) ^ flip);
                let color = if mine(piece) { 0 } else { 384 };
                768 * bucket as u32 + color + 64 * u32::from(piece.kind) + square
            })
            .collect();
        list.sort();
        list
    })
}

#[test]
fn features_are_those_of_the_definition_also_from_a_loader() {
    let every: Vec<usize> = (0..64).collect();
    let sets = [
        KingBuckets::mirrored(&[0; 32]).unwrap(),
        KingBuckets::mirrored(&four_of_half()).unwrap(),
        KingBuckets::mirrored(&every[..32]).unwrap(),
        KingBuckets::new(&four_of_board()).unwrap(),
        KingBuckets::new(&every).unwrap(),
    ];
    let lines = sample_lines();
    let dataset = Dataset::open(&[shipped("chess_sample.txt")]).unwrap();
    for set in sets {
        assert!(set.is_distinct() && set.other_names().is_none());
        let inputs = ChessInputs::from(set.clone());
        let mut batches = inputs.loader(&dataset, &settings(512, 0), Needs::default());
        let mut batches = batches.as_mut().unwrap().by_ref().map(Result::unwrap);
        for lines in lines.chunks(512) {
            let of_line = |line: &String| {
                let position: Position = line.parse().unwrap();
                let expected = defined(&set, &position);
                assert_eq!(written(&set, &position), expected, "{line}");
                expected
            };
            let mut expected: Vec<[Vec<u32>; 2]> = lines.iter().map(of_line).collect();
            // A batch is in the order of both kings' buckets, then in the order of the file.
            expected.sort_by_key(|lists| lists.each_ref().map(|list| list[0] / 768));
            let batch = batches.next().unwrap();
            assert_eq!(batch.len(), lines.len());
            assert_eq!(batch.buckets(), None);
            for (sample, expected) in expected.into_iter().enumerate() {
                let loaded = lists(&batch).each_ref().map(|lists| {
                    let mut list = lists.list(sample).to_vec();
                    list.sort();
                    list
                });
                assert_eq!(loaded, expected);
            }
        }
        assert!(batches.next().is_none());
    }
}

#[test]
fn a_loader_orders_by_king_buckets_first_where_the_network_gains_from_it() {
    let kings = KingBuckets::new(&four_of_board()).unwrap();
    let dataset = Dataset::open(&[shipped("chess_sample.txt")]).unwrap();
    let settings = settings(512, 0).output_buckets(OutputBuckets::material(8).unwrap());
    let keys = |inputs: usize, layers: &[HiddenLayer]| {
        let architecture = Architecture::new(inputs, 32).tied().buckets(8);
        let architecture = architecture
            .activation(Activation::SCRelu)
            .layers(layers.to_vec());
        let network = Network::new(
            &Device::cpu().unwrap(),
            &Parameters::initial(architecture, 1).unwrap(),
        );
        let network = network.unwrap();
        let chosen = ChessInputs::from(kings.clone());
        let mut batches = chosen.loader(&dataset, &settings, network.needs()).unwrap();
        let batch = batches.next().unwrap().unwrap();
        let own = batch.buckets().unwrap();
        (0..batch.len())
            .map(|sample| {
                let kings = lists(&batch)
                    .each_ref()
                    .map(|lists| lists.list(sample)[0] / 768);
                (kings, own[sample])
            })
            .collect::<Vec<_>>()
    };
    let by_kings = keys(3072, &[]);
    assert!(by_kings.is_sorted());
    let mut by_bucket = by_kings;
    by_bucket.sort_by_key(|(kings, bucket)| (*bucket, *kings));
    let layers = [HiddenLayer::new(8, HeadActivation::CRelu)];
    assert_eq!(keys(3072, &layers), by_bucket);
}

#[test]
fn inputs_have_a_name_and_a_json_form() {
    let half = four_of_half();
    let board = four_of_board();
    let text = |table: &[usize]| serde_json::to_string(table).unwrap();
    for (name, table, json, shown) in [
        (
            "chess768",
            None,
            r#"{"name":"chess768"}"#.to_owned(),
            "chess768",
        ),
        (
            "chess768-mirrored",
            None,
            r#"{"name":"chess768","mirrored":true}"#.to_owned(),
            "chess768-mirrored",
        ),
        (
            "king-buckets",
            Some(&board),
            format!(r#"{{"name":"king-buckets","table":{}}}"#, text(&board)),
            "king-buckets (4 buckets)",
        ),
        (
            "king-buckets-mirrored",
            Some(&half),
            format!(
                r#"{{"name":"king-buckets","mirrored":true,"table":{}}}"#,
                text(&half)
            ),
            "king-buckets-mirrored (4 buckets)",
        ),
    ] {
        let inputs = ChessInputs::named(name, table.map(Vec::as_slice)).unwrap();
        assert_eq!(inputs.name(), name);
        assert_eq!(inputs.to_string(), shown);
        assert_eq!(serde_json::to_string(&inputs).unwrap(), json);
        assert_eq!(serde_json::from_str::<ChessInputs>(&json).unwrap(), inputs);
        let buckets = if table.is_some() { 4 } else { 1 };
        assert_eq!((inputs.inputs(), inputs.max_indices()), (768 * buckets, 32));
        assert_eq!(inputs.features().inputs(), 768 * buckets);
    }
    // Equal sets are equal, whatever their names.
    let zeros = |name, count| ChessInputs::named(name, Some(&vec![0; count])).unwrap();
    assert_eq!(zeros("king-buckets", 64), Chess768.into());
    let mirrored = ChessInputs::named("chess768-mirrored", None).unwrap();
    assert_eq!(zeros("king-buckets-mirrored", 32), mirrored);
}

#[test]
fn wrong_tables_and_names_are_refused() {
    let mut gap = four_of_half();
    gap[7] = 5;
    let mut huge = four_of_board();
    huge[63] = usize::MAX;
    let mirrored = "king-buckets-mirrored";
    type Case<'a> = (&'a str, Option<&'a [usize]>, &'a [&'a str]);
    let cases: [Case; 10] = [
        (
            mirrored,
            Some(&[0; 31]),
            &["expected 32 bucket numbers", "found 31"],
        ),
        (
            mirrored,
            Some(&[0; 64]),
            &["expected 32 bucket numbers", "found 64"],
        ),
        (
            mirrored,
            Some(&[]),
            &["expected 32 bucket numbers", "found 0"],
        ),
        (
            "king-buckets",
            Some(&[0; 32]),
            &["expected 64 bucket numbers", "found 32"],
        ),
        (mirrored, Some(&gap), &["without gaps", "found 5 but no 4"]),
        (
            mirrored,
            Some(&[1; 32]),
            &["without gaps", "found 1 but no 0"],
        ),
        ("king-buckets", Some(&huge), &["without gaps", "but no 4"]),
        (
            mirrored,
            None,
            &["32 bucket numbers for king-buckets-mirrored", "found none"],
        ),
        (
            "chess768",
            Some(&[0; 32]),
            &["none with chess768", "found 32"],
        ),
        (
            "halfkp",
            None,
            &["chess768, chess768-mirrored, king-buckets", "\"halfkp\""],
        ),
    ];
    for (name, table, words) in cases {
        let error = ChessInputs::named(name, table).unwrap_err().to_string();
        for word in words {
            assert!(error.contains(word), "no {word:?} in: {error}");
        }
    }
    for (json, word) in [
        (r#"{"name":"ataxx"}"#, "ataxx"),
        (r#"{"name":"king-buckets"}"#, "table"),
        (
            r#"{"name":"king-buckets","table":[0,1]}"#,
            "expected 64 bucket numbers",
        ),
        (
            r#"{"name":"king-buckets","mirrored":true,"table":[0,-1]}"#,
            "-1",
        ),
        (r#"{"name":"chess768","mirror":true}"#, "mirror"),
        (r#"{"mirrored":true}"#, "name"),
    ] {
        let error = serde_json::from_str::<ChessInputs>(json)
            .unwrap_err()
            .to_string();
        assert!(error.contains(word), "no {word:?} in: {error}");
    }
}
