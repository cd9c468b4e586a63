//! Sparse inputs: lists that are refused, and the transposed index.

use crate::support::{lists, load, settings, shipped};
use wgrad::batch::CHUNK;
use wgrad::data::SparseInputs;

#[test]
fn sparse_inputs_refuse_bad_lists() {
    let says = |width, indices: &[i32]| {
        let error = SparseInputs::new("X1", 10, width, indices.to_vec()).unwrap_err();
        error.to_string()
    };
    assert_eq!(
        says(2, &[0, 1, 2, 10]),
        "X1, sample 1: expected an index from 0 to 9 or -1, found 10"
    );
    assert!(says(2, &[-2, 1]).starts_with("X1, sample 0"));
    assert_eq!(
        says(3, &[0, 1, 2, 5, -1, 5]),
        "X1, sample 1: expected each index at most once, found 5 twice"
    );
    assert!(says(2, &[0, 1, 2]).contains("found 3 in all"));
    assert!(says(0, &[]).contains("at least 1 place"));
    assert!(
        SparseInputs::new("X1", 0, 1, vec![0])
            .unwrap_err()
            .to_string()
            .contains("at least 1 feature")
    );
}

#[test]
fn the_transposed_index_is_the_naive_one() {
    let batches = load(&[shipped("chess_validation.bin")], &settings(1000, 4000)).unwrap();
    let padded_anywhere =
        SparseInputs::new("X1", 5, 3, vec![-1, 4, 0, 0, -1, -1, -1, -1, -1, 4, 3, 0]).unwrap();
    assert_eq!(padded_anywhere.samples(), [0, 1, 3, 3, 0, 3]);
    for inputs in batches
        .iter()
        .take(2)
        .flat_map(lists)
        .chain([&padded_anywhere])
    {
        assert_eq!(inputs.offsets().len(), inputs.features() + 1);
        for feature in 0..inputs.features() {
            let [from, to] = [0, 1].map(|end| inputs.offsets()[feature + end] as usize);
            let naive: Vec<u32> = (0..inputs.len())
                .filter(|&sample| inputs.list(sample).contains(&(feature as u32)))
                .map(|sample| sample as u32)
                .collect();
            assert_eq!(inputs.samples()[from..to], naive);
            let [first, end] = [0, 1].map(|end| inputs.first_chunks()[feature + end] as usize);
            assert_eq!(end - first, naive.len().div_ceil(CHUNK));
            let starts = &inputs.chunk_starts()[first..=end];
            let expected = (from..to).step_by(CHUNK).map(|start| start as u32);
            assert_eq!(starts[..end - first], expected.collect::<Vec<_>>());
        }
        assert_eq!(
            *inputs.offsets().last().unwrap() as usize,
            inputs.samples().len()
        );
    }
}
