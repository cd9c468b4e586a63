//! Sums over index lists, products of pairs, and linear layers by bucket: against the same results
//! from other operations, at their edges, and with the same bits in every run.

use crate::common;
use wgrad::engine::device::Device;
use wgrad::engine::kernel::inputs::Inputs;
use wgrad::tensor::lists::SparseInputs;
use wgrad::tensor::{Classes, IndexLists, Tensor};

/// Random multiples of 1/16, whose sums of products are exact in f32.
fn exact(device: &Device, seed: u64, shape: &[usize]) -> Tensor {
    let values = Inputs::new(seed).sixteenths(shape.iter().product());
    Tensor::new(device, &values, shape).unwrap().parameter()
}

/// The result and the gradients by the operands, for an upstream gradient of multiples of 1/16.
fn everything(y: &Tensor, operands: &[&Tensor]) -> Vec<Vec<f32>> {
    let upstream = exact(y.device(), 7, &y.shape()).detach();
    let gradients = y.backward_with(&upstream).unwrap();
    let of = |operand: &&Tensor| gradients.of(operand).unwrap().to_vec().unwrap();
    let mut all = vec![y.to_vec().unwrap()];
    all.extend(operands.iter().map(of));
    all
}

fn on_every_device(test: impl Fn(&Device)) {
    let _turn = common::turn();
    test(&Device::reference());
    test(&Device::cpu().unwrap());
    test(&common::VULKAN);
    test(&common::GL);
}

#[test]
fn one_bucket_is_a_linear_layer() {
    on_every_device(|device| {
        let (x, w, c) = (
            exact(device, 1, &[37, 19]),
            exact(device, 2, &[1, 5, 19]),
            exact(device, 3, &[1, 5]),
        );
        let buckets = Classes::new(device, &[0; 37], 1).unwrap();
        let y = x.bucketed_linear(&w, &c, &buckets).unwrap();
        let (matrix, row) = (w.reshape(&[5, 19]).unwrap(), c.reshape(&[5]).unwrap());
        let linear = x.matmul(&matrix.t().unwrap()).unwrap().add(&row).unwrap();
        assert_eq!(y.shape(), linear.shape());
        let operands = [&x, &w, &c];
        assert_eq!(everything(&y, &operands), everything(&linear, &operands));
    });
}

#[test]
fn each_bucket_is_a_linear_layer_of_its_own_samples() {
    on_every_device(|device| {
        // Bucket 2 has no sample, and bucket 0 has more than a chunk.
        let of_samples: Vec<u32> = (0..1500).map(|s| [0, 3, 0, 0, 1, 0][s % 6]).collect();
        let (x, w, c) = (
            exact(device, 4, &[1500, 6]),
            exact(device, 5, &[4, 3, 6]),
            exact(device, 6, &[4, 3]),
        );
        let buckets = Classes::new(device, &of_samples, 4).unwrap();
        let y = x.bucketed_linear(&w, &c, &buckets).unwrap();
        // Every sample through every bucket's layer, and 0 for the layers of the other buckets.
        let layers = w.reshape(&[12, 6]).unwrap().t().unwrap();
        let all = x.matmul(&layers).unwrap().reshape(&[1500, 4, 3]).unwrap();
        let mask = buckets.one_hot().unwrap().unsqueeze(2).unwrap();
        let chosen = all.add(&c).unwrap().mul(&mask).unwrap();
        let chosen = chosen.sum(1, false).unwrap();
        let operands = [&x, &w, &c];
        let found = everything(&y, &operands);
        assert_eq!(found, everything(&chosen, &operands));
        assert!(found[2][2 * 18..3 * 18].iter().all(|value| *value == 0.0));
    });
}

#[test]
fn accumulate_is_the_product_with_a_matrix_of_zeros_and_ones() {
    on_every_device(|device| {
        let lists = Inputs::new(8).sparse(1500, 5, 23);
        let mut dense = vec![0.0f32; 1500 * 23];
        for s in 0..1500 {
            lists
                .list(s)
                .iter()
                .for_each(|&i| dense[s * 23 + i as usize] = 1.0);
        }
        let x = Tensor::new(device, &dense, &[1500, 23]).unwrap();
        let (a, b) = (exact(device, 9, &[23, 10]), exact(device, 10, &[10]));
        let lists = IndexLists::new(device, &lists).unwrap();
        assert_eq!((lists.len(), lists.inputs()), (1500, 23));
        let z = lists.accumulate(&a, &b).unwrap();
        let product = x.matmul(&a).unwrap().add(&b).unwrap();
        assert_eq!(everything(&z, &[&a, &b]), everything(&product, &[&a, &b]));
    });
}

#[test]
fn pairwise_is_the_product_of_two_clamps() {
    on_every_device(|device| {
        let z = exact(device, 11, &[3, 5, 14]);
        let h = z.clamp(0.0, 0.5).unwrap();
        let (first, second) = (h.slice(-1, 0..7).unwrap(), h.slice(-1, 7..14).unwrap());
        let product = first.mul(&second).unwrap();
        let y = z.pairwise(0.5).unwrap();
        assert_eq!(y.shape()[..], [3, 5, 7]);
        assert_eq!(everything(&y, &[&z]), everything(&product, &[&z]));
    });
}

#[test]
fn pairwise_at_its_edges() {
    const NAN: f32 = f32::NAN;
    const INF: f32 = f32::INFINITY;
    // Both values, their product for T = 2, and the gradients by both.
    let rows = [
        [0.0, 1.5, 0.0, 1.5, 0.0],
        [2.0, 1.5, 3.0, 1.5, 2.0],
        [2.0, 2.0, 4.0, 2.0, 2.0],
        [-0.5, 1.5, 0.0, 0.0, 0.0],
        [2.5, 1.5, 3.0, 0.0, 2.0],
        [0.0, 0.0, 0.0, 0.0, 0.0],
        [-1.0, 3.0, 0.0, 0.0, 0.0],
        [INF, 0.5, 1.0, 0.0, 2.0],
        [-INF, 0.5, 0.0, 0.0, 0.0],
        [NAN, 0.5, NAN, 0.0, NAN],
        [0.5, NAN, NAN, NAN, 0.0],
    ];
    for device in [Device::reference(), Device::cpu().unwrap()] {
        let values: Vec<f32> = rows.iter().flat_map(|row| [row[0], row[1]]).collect();
        let z = Tensor::new(&device, &values, &[rows.len(), 2]).unwrap();
        let z = z.parameter();
        let y = z.pairwise(2.0).unwrap();
        let gradients = y.sum(.., false).unwrap().backward().unwrap();
        let (y, gradient) = (y.to_vec().unwrap(), gradients.of(&z).unwrap());
        let gradient = gradient.to_vec().unwrap();
        for (place, row) in rows.iter().enumerate() {
            let found = [y[place], gradient[2 * place], gradient[2 * place + 1]];
            for (expected, found) in row[2..].iter().zip(found) {
                let same = *expected == found || (expected.is_nan() && found.is_nan());
                assert!(same, "{row:?}: {found} on {}", device.name());
            }
        }
    }
}

#[test]
fn a_nan_stays_in_its_bucket() {
    let device = Device::cpu().unwrap();
    let x = Tensor::new(&device, &[f32::NAN, 1.0, 2.0], &[3, 1]).unwrap();
    let x = x.parameter();
    let (w, c) = (exact(&device, 12, &[2, 1, 1]), exact(&device, 13, &[2, 1]));
    let buckets = Classes::new(&device, &[0, 1, 1], 2).unwrap();
    let y = x.bucketed_linear(&w, &c, &buckets).unwrap();
    let [y, _, w, c] = everything(&y, &[&x, &w, &c]).try_into().unwrap();
    assert!(y[0].is_nan() && y[1].is_finite() && y[2].is_finite());
    assert!(w[0].is_nan() && w[1].is_finite());
    assert!(c.iter().all(|value| value.is_finite()));
}

/// The bits of all three operations and their gradients on random inputs, whose sums round.
fn bits(device: &Device) -> Vec<u32> {
    let mut inputs = Inputs::new(14);
    let lists = inputs.sparse(1300, 12, 50);
    let of_samples = inputs.words(1300, 3);
    let mut random = |shape: &[usize]| {
        let values = inputs.floats(shape.iter().product(), -1.0, 1.0);
        Tensor::new(device, &values, shape).unwrap().parameter()
    };
    let (a, b) = (random(&[50, 66]), random(&[66]));
    let (w, c) = (random(&[3, 17, 33]), random(&[3, 17]));
    let lists = IndexLists::new(device, &lists).unwrap();
    let buckets = Classes::new(device, &of_samples, 3).unwrap();
    let z = lists.accumulate(&a, &b).unwrap();
    let x = z.pairwise(0.75).unwrap();
    let y = x.bucketed_linear(&w, &c, &buckets).unwrap();
    let all = everything(&y, &[&a, &b, &w, &c]).concat();
    all.into_iter().map(f32::to_bits).collect()
}

#[test]
fn two_runs_give_the_same_bits() {
    on_every_device(|device| assert_eq!(bits(device), bits(device)));
    let threads = |count: usize| Device::cpu_with_threads(count.try_into().unwrap()).unwrap();
    assert_eq!(bits(&threads(1)), bits(&threads(3)));
}

#[test]
fn what_does_not_fit_is_named() {
    let device = Device::cpu().unwrap();
    let ones = |shape: &[usize]| Tensor::ones(&device, shape).unwrap();
    let refused = |result: wgrad::Result<Tensor>, words: &[&str]| {
        let error = result.unwrap_err().to_string();
        for word in words {
            assert!(error.contains(word), "{error:?} lacks {word:?}");
        }
    };
    refused(
        ones(&[2, 5]).pairwise(1.0),
        &["pairwise", "[2, 5]", "even", "found 5"],
    );
    refused(ones(&[]).pairwise(1.0), &["pairwise", "a scalar"]);
    for clip in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        refused(ones(&[2]).pairwise(clip), &["pairwise", "clip above 0"]);
    }

    let lists = SparseInputs::new(4, 1, vec![3, -1]).unwrap();
    let lists = IndexLists::new(&device, &lists).unwrap();
    let accumulate = |a: &[usize], b: &[usize]| lists.accumulate(&ones(a), &ones(b));
    refused(
        accumulate(&[5, 3], &[3]),
        &["accumulate", "[5, 3] and [3]", "4 inputs (N)", "found 5"],
    );
    refused(
        accumulate(&[4, 3], &[2]),
        &["accumulate", "[4, 3] and [2]", "[N, K] and [K]"],
    );
    refused(accumulate(&[4], &[4]), &["accumulate", "[N, K] and [K]"]);

    let buckets = Classes::new(&device, &[0, 2], 3).unwrap();
    let linear = |x: &[usize], w: &[usize], c: &[usize]| {
        ones(x).bucketed_linear(&ones(w), &ones(c), &buckets)
    };
    let name = "bucketed_linear";
    refused(
        linear(&[3, 4], &[3, 5, 4], &[3, 5]),
        &[name, "2 samples", "found 3"],
    );
    refused(
        linear(&[2, 4], &[2, 5, 4], &[2, 5]),
        &[name, "3 buckets", "found 2"],
    );
    refused(
        linear(&[2, 4], &[3, 5, 6], &[3, 5]),
        &[name, "[2, 4] and [3, 5, 6] and [3, 5]", "[buckets, O, I]"],
    );
    refused(
        linear(&[2, 4], &[3, 5, 4], &[3, 6]),
        &[name, "[buckets, O]"],
    );
    let outside = Classes::new(&device, &[0, 3], 3).unwrap_err().to_string();
    assert!(
        outside.contains("row 1") && outside.contains("below 3"),
        "{outside}"
    );

    let other = Device::reference();
    let elsewhere = Classes::new(&other, &[0, 2], 3).unwrap();
    let y = ones(&[2, 4]).bucketed_linear(&ones(&[3, 5, 4]), &ones(&[3, 5]), &elsewhere);
    refused(y, &[name, "cpu", "reference"]);
    let lists = SparseInputs::new(4, 1, vec![3, -1]).unwrap();
    let lists = IndexLists::new(&other, &lists).unwrap();
    refused(
        lists.accumulate(&ones(&[4, 3]), &ones(&[3])),
        &["accumulate", "cpu", "reference"],
    );
    // The device still works.
    assert_eq!(ones(&[2]).pairwise(1.0).unwrap().item().unwrap(), 1.0);
}

/// The CPU executor adds few lanes feature by feature, and many in tiles of samples.
#[test]
fn a_lane_has_the_same_bits_among_few_and_among_many() {
    let device = Device::cpu().unwrap();
    let mut inputs = Inputs::new(15);
    let lists = IndexLists::new(&device, &inputs.sparse(3001, 9, 50)).unwrap();
    let upstream = inputs.floats(3001 * 133, -1.0, 1.0);
    let upstream = Tensor::new(&device, &upstream, &[3001, 133]).unwrap();
    let gradient = |lanes: std::ops::Range<usize>| {
        let zeros = |shape: &[usize]| Tensor::zeros(&device, shape).unwrap().parameter();
        let (a, b) = (zeros(&[50, lanes.len()]), zeros(&[lanes.len()]));
        let z = lists.accumulate(&a, &b).unwrap();
        let upstream = upstream.slice(1, lanes).unwrap();
        let gradients = z.backward_with(&upstream).unwrap();
        gradients.of(&a).unwrap()
    };
    let all = gradient(0..133);
    for lanes in [0..16, 60..70, 128..133] {
        let some = all.slice(1, lanes.clone()).unwrap().to_vec().unwrap();
        assert_eq!(gradient(lanes).to_vec().unwrap(), some);
    }
}
