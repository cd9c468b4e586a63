//! The sums of the ranks: their order is that of the tree.

use crate::threads::{counted, on_ranks};
use wgrad::nnue::ranks::{Rows, sum, sum_of_rows};

/// Values of many sizes, whose sums depend on their order.
fn values(shard: usize, len: usize) -> Vec<f32> {
    let mut state = (shard as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let value = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let mantissa = (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0;
        mantissa * ((state >> 20 & 15) as f32 - 8.0).exp2()
    };
    (0..len).map(value).collect()
}

/// The sum of consecutive shards in the order of the tree.
fn tree(first: usize, count: usize, len: usize) -> Vec<f32> {
    if count == 1 {
        return values(first, len);
    }
    let (left, right) = (
        tree(first, count / 2, len),
        tree(first + count / 2, count / 2, len),
    );
    left.iter().zip(right).map(|(a, b)| a + b).collect()
}

#[test]
fn a_sum_does_not_depend_on_the_number_of_ranks() {
    for len in [0, 1, 7, 1000, (1 << 16) - 1, 1 << 16, 70_001] {
        let expected = tree(0, 8, len);
        let from_left = (1..8).fold(values(0, len), |sum, shard| {
            let added = sum.iter().zip(values(shard, len));
            added.map(|(a, b)| a + b).collect()
        });
        assert!(
            len < 7 || from_left != expected,
            "another order has the same bits"
        );
        for count in [1, 2, 4, 8] {
            let own = 8 / count;
            let sums = on_ranks(count, |ranks| {
                let mut sums = tree(ranks.rank() * own, own, len);
                sum(&*ranks, &mut sums, &mut Vec::new()).unwrap();
                sums
            });
            for found in sums {
                assert_eq!(found, expected, "{len} values on {count} ranks");
            }
        }
    }
}

/// Two matrices among other values, of which the ranks touch different rows. -0 is touched, and a
/// row that two ranks cancel out has a sum of +0, as in the sum of all values.
#[test]
fn rows_of_zeros_stay_at_home_and_the_sum_keeps_its_bits() {
    let matrices = [(5, 3000, 40), (120_005, 777, 3)];
    let matrices = matrices.map(|(start, count, width)| Rows {
        start,
        count,
        width,
    });
    let len = 120_005 + 777 * 3 + 9;
    for every in [1, 2, 7, 1000] {
        let own = |rank: usize| {
            let mut own = values(rank, len);
            for matrix in &matrices {
                for row in 0..matrix.count {
                    let at = matrix.start + row * matrix.width;
                    let row_values = &mut own[at..at + matrix.width];
                    match (row * 31 + rank / 2) % every {
                        0 if row % 11 == 3 => row_values.fill(-0.0),
                        0 if row % 11 == 4 => row_values.fill([1.0, -1.0][rank % 2]),
                        0 => {}
                        _ => row_values.fill(0.0),
                    }
                }
            }
            own
        };
        for count in [1, 2, 4, 8] {
            let [(dense, all), (rows, sent)] = [false, true].map(|by_rows| {
                counted(count, |ranks| {
                    let mut sums = own(ranks.rank());
                    let spare = &mut Vec::new();
                    match by_rows {
                        true => sum_of_rows(&*ranks, &mut sums, &matrices, spare),
                        false => sum(&*ranks, &mut sums, spare),
                    }
                    .unwrap();
                    sums.into_iter().map(f32::to_bits).collect::<Vec<_>>()
                })
            });
            assert!(dense == rows, "every {every} on {count} ranks");
            match every {
                1 => assert_eq!(sent, all),
                // Both touch the same seventh of the rows.
                7 if count == 2 => assert!((sent as f64) < 0.16 * all as f64, "{sent} of {all}"),
                1000 if count > 1 => assert!(sent < all / 50, "{sent} of {all}"),
                _ => assert!(sent <= all),
            }
        }
    }
}
