//! Sparse inputs: lists that are refused, and the transposed index.

use crate::support::{lists, load, settings, shipped};
use wgrad::tensor::lists::{CHUNK, SparseInputs, Transpose};

#[test]
fn sparse_inputs_refuse_bad_lists() {
    let says = |width, indices: &[i32]| {
        let error = SparseInputs::new(10, width, indices.to_vec()).unwrap_err();
        error.to_string()
    };
    assert_eq!(
        says(2, &[0, 1, 2, 10]),
        "sample 1: expected an index from 0 to 9 or -1, found 10"
    );
    assert!(says(2, &[-2, 1]).starts_with("sample 0: "));
    assert_eq!(
        says(3, &[0, 1, 2, 5, -1, 5]),
        "sample 1: expected each index at most once, found 5 twice"
    );
    assert!(says(2, &[0, 1, 2]).contains("found 3 in all"));
    assert!(says(0, &[]).contains("at least 1 index"));
    assert!(
        SparseInputs::new(0, 1, vec![0])
            .unwrap_err()
            .to_string()
            .contains("at least 1 input")
    );
}

#[test]
fn the_transposed_index_is_the_naive_one() {
    let batches = load(&[shipped("chess_validation.bin")], &settings(1000, 4000)).unwrap();
    // More samples than are sorted at a time.
    let long = load(&[shipped("chess_validation.bin")], &settings(5000, 0)).unwrap();
    let padded_anywhere =
        SparseInputs::new(5, 3, vec![-1, 4, 0, 0, -1, -1, -1, -1, -1, 4, 3, 0]).unwrap();
    assert_eq!(padded_anywhere.samples(), [0, 1, 3, 3, 0, 3]);
    for inputs in batches
        .iter()
        .take(2)
        .chain(&long[..1])
        .flat_map(lists)
        .chain([&padded_anywhere])
    {
        let lengths = (0..inputs.len()).map(|sample| inputs.list(sample).len());
        assert_eq!(inputs.longest(), lengths.max().unwrap());
        assert_eq!(inputs.offsets().len(), inputs.inputs() + 1);
        for feature in 0..inputs.inputs() {
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

#[test]
fn a_feature_twice_is_found_in_whatever_block_it_is() {
    let starts: Vec<u32> = (0..=6000).map(|sample| 2 * sample).collect();
    for wrong in [0, 2047, 2048, 5999] {
        let mut indices = [0, 1].repeat(6000);
        indices[2 * wrong] = 1;
        for transpose in [Transpose::Now, Transpose::OnDemand] {
            let made = SparseInputs::default().refill(2, &starts, &indices, transpose);
            let expected =
                format!("sample {wrong}: expected each index at most once, found 1 twice");
            assert_eq!(made.unwrap_err().to_string(), expected);
        }
    }
}

/// The transposed index.
fn index_of(inputs: &SparseInputs) -> [&[u32]; 4] {
    [
        inputs.offsets(),
        inputs.samples(),
        inputs.first_chunks(),
        inputs.chunk_starts(),
    ]
}

#[test]
fn the_transposed_index_is_the_same_whenever_it_is_made() {
    let batches = load(&[shipped("chess_validation.bin")], &settings(1000, 4000)).unwrap();
    let mut memory = SparseInputs::default();
    for inputs in batches.iter().take(3).flat_map(lists) {
        let (features, starts, indices) = (inputs.inputs(), inputs.starts(), inputs.indices());
        let from_lists = SparseInputs::from_lists(features, starts.to_vec(), indices.to_vec());
        let from_lists = from_lists.unwrap();
        assert_eq!(&from_lists, inputs);
        assert_eq!(index_of(&from_lists), index_of(inputs));
        for transpose in [Transpose::OnDemand, Transpose::Now] {
            let filled = memory.refill(features, starts, indices, transpose);
            memory = filled.unwrap();
            assert_eq!(&memory, inputs);
            assert_eq!(index_of(&memory), index_of(inputs));
        }
    }
    let lists = |transpose| {
        let lists = ([0u32, 2, 2, 5], [3u32, 1, 9, 2, 9]);
        SparseInputs::default()
            .refill(10, &lists.0, &lists.1, transpose)
            .unwrap_err()
    };
    for transpose in [Transpose::OnDemand, Transpose::Now] {
        let expected = "sample 2: expected each index at most once, found 9 twice";
        assert_eq!(lists(transpose).to_string(), expected);
    }
}

#[test]
fn renamed_lists_are_those_with_other_names() {
    let lists = |indices: [i32; 9]| SparseInputs::new(4, 3, indices.to_vec()).unwrap();
    let before = lists([3, 0, -1, -1, -1, -1, 0, 1, 3]);
    let after = lists([0, 2, -1, -1, -1, -1, 2, 1, 0]);
    // Before the transposed index is built, and after, when it is moved.
    for _ in 0..2 {
        let renamed = before.renamed(&[2, 1, 3, 0]).unwrap();
        assert_eq!(renamed, after);
        assert_eq!(index_of(&renamed), index_of(&after));
        assert_eq!(index_of(&before)[1], [0, 2, 2, 0, 2]);
    }
    for (names, found) in [
        (vec![0, 1, 2], "3 names"),
        (vec![0, 1, 2, 2], "[0, 1, 2, 2]"),
        (vec![0, 1, 2, 4], "[0, 1, 2, 4]"),
    ] {
        let error = before.renamed(&names).unwrap_err().to_string();
        assert!(
            error.contains("expected a permutation of 0 to 3") && error.contains(found),
            "{error}"
        );
    }
}

#[test]
fn lists_one_after_the_other_are_checked_as_padded_ones() {
    let from_lists = |starts: &[u32], indices: &[u32]| {
        SparseInputs::from_lists(10, starts.to_vec(), indices.to_vec())
    };
    let padded = SparseInputs::new(10, 2, vec![7, 1, -1, -1, 1, -1]).unwrap();
    assert_eq!(from_lists(&[0, 2, 2, 3], &[7, 1, 1]).unwrap(), padded);
    let says =
        |starts: &[u32], indices: &[u32]| from_lists(starts, indices).unwrap_err().to_string();
    assert_eq!(
        says(&[0, 1, 3], &[1, 2, 10]),
        "sample 1: expected an index from 0 to 9 or -1, found 10"
    );
    assert_eq!(
        says(&[0, 1, 1, 4, 6], &[5, 5, 6, 6, 5, 5]),
        "sample 2: expected each index at most once, found 6 twice"
    );
    assert!(says(&[0, 2, 1, 3], &[1, 2, 3]).contains("ascending starts of lists from 0 to 3"));
    assert!(says(&[0, 2], &[1, 2, 3]).contains("ascending starts of lists from 0 to 3"));
}
