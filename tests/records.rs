//! Records that a device decodes: the index of every batch is the host's, and a training from
//! records has the bits of a training from lists.

mod common;

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::VecDeque;
use std::path::Path;
use wgrad::engine::device::{Buffer, Device, Values};
use wgrad::engine::kernel::Element;
use wgrad::engine::recording::{Command, Recording};
use wgrad::nnue::data::{
    Chess768, ChessInputs, Dataset, FeatureSet, KingBuckets, LoadedBatch, LoaderSettings,
    OutputBuckets, Perspective, Position,
};
use wgrad::nnue::kernels::{decode_records, index_chunks, index_samples};
use wgrad::nnue::{
    Activation, Architecture, Batch, Learner, Loss, Needs, Network, Parameters, SparseInputs,
};
use wgrad::optim::Optimizer;

/// The most samples of a chunk.
const CHUNK: usize = 1024;

/// A random position of 2 to 32 pieces.
fn position(random: &mut ChaCha8Rng) -> Position {
    let count = random.random_range(2..=32);
    let mut squares: Vec<u8> = (0..64).collect();
    squares.shuffle(random);
    squares.truncate(count);
    squares.sort_unstable();
    let mut codes: Vec<u8> = (2..count)
        .map(|_| 8 * random.random_range(0..2) + random.random_range(0..5))
        .collect();
    codes.extend([5, 13]);
    codes.shuffle(random);
    let mut bytes = [0; Position::BYTES];
    for (piece, (&square, &code)) in squares.iter().zip(&codes).enumerate() {
        bytes[usize::from(square / 8)] |= 1 << (square % 8);
        bytes[8 + piece / 2] |= code << (4 * (piece % 2));
        match code {
            5 => bytes[27] = square,
            13 => bytes[28] = square ^ 56,
            _ => {}
        }
    }
    Position::from_bytes(&bytes).unwrap()
}

/// What a device needs to know of a feature set: the views by the square of the king, for which
/// the position of the two kings alone is enough.
fn views(set: &dyn FeatureSet<Position = Position>) -> Vec<u32> {
    let view = |king: u8| {
        let other = if king == 0 { 63 } else { 0 };
        let mut bytes = [0; Position::BYTES];
        for square in [king, other] {
            bytes[usize::from(square / 8)] |= 1 << (square % 8);
        }
        bytes[8] = if king < other { 0xD5 } else { 0x5D };
        (bytes[27], bytes[28]) = (king, other ^ 56);
        let position = Position::from_bytes(&bytes).unwrap();
        let mut list = [0; 64];
        set.write(&position, Perspective::Own, &mut list);
        let feature = list[usize::from(king > other)];
        // Plain features have the king at 320 + its square.
        let flip = (feature % 64) ^ u32::from(king);
        (feature - 320 - (u32::from(king) ^ flip)) | flip << 28
    };
    (0..64).map(view).collect()
}

/// The buffers of the kernels, which serve every batch of a feature set.
struct Decoder<'a> {
    device: &'a Device,
    set: &'a dyn FeatureSet<Position = Position>,
    buckets: OutputBuckets,
    /// Lists of a feature: one for each bucket, or 1.
    ranges: usize,
    records: Buffer,
    lists: Buffer,
    bits: Buffer,
    counts: Buffer,
}

/// The most samples of a batch here.
const MOST: usize = 2100;

impl<'a> Decoder<'a> {
    fn new(
        device: &'a Device,
        set: &'a dyn FeatureSet<Position = Position>,
        buckets: OutputBuckets,
        ranges: usize,
    ) -> Self {
        let words = |what, len| device.allocate(what, Element::Word, len).unwrap();
        let lists = set.inputs() * ranges;
        Self {
            device,
            set,
            buckets,
            ranges,
            records: words("records", 100 + 8 * MOST),
            lists: words("lists", 4 * (lists + 1) + (4 * 32 + 8) * (MOST + 1)),
            bits: words("bits", 2 * set.inputs() * MOST.div_ceil(32)),
            counts: words("counts", 2 * lists),
        }
    }

    /// Decodes positions, which are in the order of their buckets, and compares every word with
    /// the lists and the index of the host.
    fn check(&self, positions: &[Position]) {
        let (samples, count) = (positions.len(), self.buckets.count());
        let inputs = self.set.inputs();
        let mut words = views(self.set);
        words.extend(self.buckets.table().map(|bucket| bucket as u32));
        words.resize(100, 0);
        let mut start = 0;
        for (sample, position) in positions.iter().enumerate() {
            let bytes = position.to_bytes();
            let (of_record, _) = bytes.as_chunks::<4>();
            words.extend(
                of_record[..6]
                    .iter()
                    .map(|&bytes| u32::from_le_bytes(bytes)),
            );
            words.extend([sample as u32 + 7, start]);
            start += position.piece_count() as u32;
        }
        let entries = start as usize;
        let lists = inputs * self.ranges;
        let chunks = index_chunks::most_chunks(lists, entries);
        let mut end = 0;
        let mut place = |len: usize| {
            end += len;
            (end - len) as u32
        };
        let starts = place(2 * (samples + 1));
        let [indices_1, indices_2] = [(); 2].map(|()| place(entries));
        let [bucket, targets] = [(); 2].map(|()| place(samples));
        let first_chunks = place(2 * (lists + 1));
        let chunk_starts = place(2 * (chunks + 1));
        let [samples_1, samples_2] = [(); 2].map(|()| place(entries));
        assert_eq!(starts, 0);

        let (records, index) = (self.records.id(), self.lists.id());
        let (bits, counts) = (self.bits.id(), self.counts.id());
        let mut recording = Recording::new();
        recording.upload(records, words.as_slice());
        let bit_words = samples.div_ceil(32) as u32;
        let params = decode_records::Params {
            samples: samples as u32,
            inputs: inputs as u32,
            buckets: count as u32,
            ranges: self.ranges as u32,
            words: bit_words,
            indices_1,
            indices_2,
            targets,
            bucket,
        };
        let buffers = decode_records::Buffers {
            records,
            lists: index,
            bits,
            counts,
        };
        recording.dispatch(0, params, buffers);
        let params = index_chunks::Params {
            perspectives: 2,
            lists: lists as u32,
            chunks: chunks as u32,
            first_chunks,
            starts: chunk_starts,
        };
        recording.dispatch(0, params, index_chunks::Buffers { counts, index });
        let params = index_samples::Params {
            inputs: inputs as u32,
            ranges: self.ranges as u32,
            words: bit_words,
            chunks: chunks as u32,
            first_chunks,
            starts: chunk_starts,
            samples_1,
            samples_2,
            entries: entries as u32,
        };
        recording.dispatch(
            0,
            params,
            index_samples::Buffers {
                bits,
                counts,
                index,
            },
        );
        recording.read(index, end);
        recording.read(bits, self.bits.len());
        recording.read(counts, self.counts.len());
        let found = self.device.play(&recording).unwrap().wait().unwrap();
        let [index, bits, counts] =
            <[Values; 3]>::try_from(found)
                .unwrap()
                .map(|values| match values {
                    Values::Words(words) => words,
                    other => panic!("words, found {other:?}"),
                });
        assert!(bits.iter().chain(&counts).all(|&word| word == 0));
        let part = |first: u32, len: usize| &index[first as usize..first as usize + len];
        let own: Vec<u32> = positions.iter().map(|one| self.buckets.of(one)).collect();
        let numbers: Vec<u32> = (7..).take(samples).collect();
        assert_eq!(part(targets, samples), numbers);
        if count > 1 {
            assert_eq!(part(bucket, samples), own);
        }
        for (perspective, view) in [Perspective::Own, Perspective::Other]
            .into_iter()
            .enumerate()
        {
            let expected = self.lists(positions, view);
            let of_perspective = [indices_1, indices_2][perspective];
            assert_eq!(part(of_perspective, entries), expected.indices());
            let at = perspective * (samples + 1);
            assert_eq!(part(at as u32, samples + 1), expected.starts());
            let of_perspective = [samples_1, samples_2][perspective];
            assert_eq!(part(of_perspective, entries), expected.samples());
            let first_chunks = first_chunks as usize + perspective * (lists + 1);
            let chunk_starts = chunk_starts as usize + perspective * (chunks + 1);
            let first = &index[first_chunks..][..=lists];
            let starts = &index[chunk_starts..][..=chunks];
            self.check_chunks(&expected, &own, first, starts);
        }
    }

    fn lists(&self, positions: &[Position], view: Perspective) -> SparseInputs {
        let (mut starts, mut indices) = (vec![0], Vec::new());
        for position in positions {
            let mut list = [0; 64];
            let count = self.set.write(position, view, &mut list);
            indices.extend(&list[..count]);
            starts.push(indices.len() as u32);
        }
        SparseInputs::from_lists(self.set.inputs(), starts, indices).unwrap()
    }

    /// The chunks of each list, by their definition.
    fn check_chunks(&self, lists: &SparseInputs, own: &[u32], first: &[u32], starts: &[u32]) {
        if self.ranges == 1 {
            assert_eq!(first, lists.first_chunks());
            assert_eq!(starts[..lists.chunk_starts().len()], *lists.chunk_starts());
        }
        let (mut chunk, mut begin) = (0, 0);
        for feature in 0..lists.inputs() {
            let of_feature =
                lists.offsets()[feature] as usize..lists.offsets()[feature + 1] as usize;
            let samples = &lists.samples()[of_feature];
            for range in 0..self.ranges {
                assert_eq!(first[feature * self.ranges + range] as usize, chunk);
                let is_in =
                    |sample: &&u32| self.ranges == 1 || own[**sample as usize] as usize == range;
                let len = samples.iter().filter(is_in).count();
                for start in (0..len).step_by(CHUNK) {
                    assert_eq!(starts[chunk] as usize, begin + start);
                    chunk += 1;
                }
                begin += len;
            }
        }
        assert_eq!(*first.last().unwrap() as usize, chunk);
        assert!(starts[chunk..].iter().all(|&start| start as usize == begin));
    }
}

fn king_buckets() -> KingBuckets {
    let table: Vec<usize> = (0..32).map(|entry| entry / 4).collect();
    KingBuckets::mirrored(&table).unwrap()
}

/// Feature sets, output buckets and lists of a feature.
type Form = (
    Box<dyn FeatureSet<Position = Position>>,
    OutputBuckets,
    usize,
);

fn every_form() -> [Form; 4] {
    let board: Vec<usize> = (0..64).map(|square| square % 3).collect();
    let board = KingBuckets::new(&board).unwrap();
    let eight = OutputBuckets::material(8).unwrap();
    [
        (Box::new(Chess768), OutputBuckets::ONE, 1),
        (Box::new(Chess768), eight, 8),
        (Box::new(king_buckets()), eight, 8),
        (Box::new(board), eight, 1),
    ]
}

#[test]
fn the_index_of_random_batches_is_that_of_the_host() {
    let _turn = common::turn();
    let mut random = ChaCha8Rng::seed_from_u64(5);
    for (device, batches) in [(&*common::VULKAN, 125), (&*common::GL, 25)] {
        for (set, buckets, ranges) in &every_form() {
            let decoder = Decoder::new(device, &**set, *buckets, *ranges);
            for batch in 0..batches {
                let samples = match batch {
                    0 => 1,
                    1 => MOST,
                    _ => random.random_range(1..200),
                };
                let mut positions: Vec<_> = (0..samples).map(|_| position(&mut random)).collect();
                positions.sort_by_key(|position| buckets.of(position));
                decoder.check(&positions);
            }
        }
    }
}

fn shipped() -> Dataset {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data/chess_train.bin");
    Dataset::open(&[path]).unwrap()
}

#[test]
fn the_index_of_real_batches_is_that_of_the_host() {
    let _turn = common::turn();
    let bytes = std::fs::read("examples/data/chess_train.bin").unwrap();
    let (records, _) = bytes.as_chunks::<{ Position::BYTES }>();
    for (set, buckets, ranges) in &every_form() {
        let decoder = Decoder::new(&common::VULKAN, &**set, *buckets, *ranges);
        for batch in records.chunks(2000).take(25) {
            let positions = batch
                .iter()
                .map(|record| Position::from_bytes(record).unwrap());
            let mut positions: Vec<_> = positions.collect();
            positions.sort_by_key(|position| buckets.of(position));
            decoder.check(&positions);
        }
    }
}

/// The parameters after a few steps on the batches of a loader, the words per position that the
/// steps upload, and whether the device decodes records. With `with_needs` the loader makes records.
fn trained(
    device: &Device,
    architecture: &Architecture,
    inputs: &ChessInputs,
    with_needs: bool,
) -> (Parameters, f64, bool) {
    let parameters = Parameters::initial(architecture.clone(), 3).unwrap();
    let mut learner =
        Learner::new(device, &parameters, Loss::SIGMOID_MSE, Optimizer::ADAMW).unwrap();
    let buckets = OutputBuckets::material(architecture.buckets).unwrap();
    let settings = LoaderSettings::default()
        .batch_size(2000)
        .shuffle_buffer(0)
        .output_buckets(buckets);
    let needs = match with_needs {
        true => learner.needs().with_records(true),
        false => Needs::default(),
    };
    let loader = inputs.loader(&shipped(), &settings, needs).unwrap();
    let (mut words, mut samples, mut decodes) = (0, 0, true);
    for batch in loader.take(4) {
        let batch = batch.unwrap();
        let see = |recording: &Recording<'_>| {
            let mut has_decoded = false;
            for command in recording.commands() {
                match command {
                    Command::Upload(_, _, data) => words += data.len(),
                    Command::Dispatch(dispatch) => {
                        has_decoded |= dispatch.kernel.name == "decode_records";
                    }
                    _ => {}
                }
            }
            decodes &= has_decoded;
        };
        learner.recordings(&batch, see).unwrap();
        samples += batch.len();
        learner.step(&batch, 1e-3).unwrap().wait().unwrap();
    }
    let found = learner.parameters().unwrap();
    (found, words as f64 / samples as f64, decodes)
}

#[test]
fn a_training_from_records_has_the_bits_of_lists_and_uploads_less() {
    let _turn = common::turn();
    let plain = ChessInputs::default();
    let kings = ChessInputs::from(king_buckets());
    let layers = ["16:dual", "32:crelu"].map(|text| text.parse().unwrap());
    for device in [&*common::VULKAN, &*common::GL] {
        for (inputs, architecture) in [
            (&plain, Architecture::new(768, 64).tied()),
            (
                &plain,
                Architecture::new(768, 32)
                    .activation(Activation::SCRelu)
                    .buckets(8),
            ),
            (
                &plain,
                Architecture::new(768, 64)
                    .tied()
                    .pairwise(true)
                    .layers(layers.to_vec())
                    .buckets(8),
            ),
            (
                &kings,
                Architecture::new(6144, 32).tied().buckets(8).shared(768),
            ),
        ] {
            let (records, few, decodes) = trained(device, &architecture, inputs, true);
            let (lists, many, decodes_lists) = trained(device, &architecture, inputs, false);
            assert!(decodes && !decodes_lists, "{architecture}");
            assert_eq!(records, lists, "{architecture}");
            // A record has 8 words and a share in the tables and the starts of the blocks.
            assert!(few < 8.1 && many > 60.0, "{few} and {many}");
        }
    }
}

#[test]
fn a_steady_state_from_records_makes_no_objects_but_submissions() {
    let _turn = common::turn();
    for device in [&*common::VULKAN, &*common::GL] {
        let parameters = Parameters::initial(Architecture::new(768, 64).tied(), 3).unwrap();
        let (loss, optimizer) = (Loss::SIGMOID_MSE, Optimizer::ADAMW);
        let mut learner = Learner::new(device, &parameters, loss, optimizer).unwrap();
        let settings = LoaderSettings::default().batch_size(2000);
        let needs = learner.needs().with_records(true);
        let loader = ChessInputs::default().loader(&shipped(), &settings, needs);
        let batches: Vec<_> = loader.unwrap().take(16).map(Result::unwrap).collect();
        let (warm_up, steady) = batches.split_at(8);
        let mut steps = |batches: &[LoadedBatch]| {
            // Several losses in flight, as in a training, so that every kept buffer is in use.
            let mut in_flight = VecDeque::new();
            for batch in batches.iter().cycle().take(15) {
                assert!(batch.has_records());
                in_flight.push_back(learner.step(batch, 1e-3).unwrap());
                if in_flight.len() > device.steps_in_flight() {
                    in_flight.pop_front().unwrap().wait().unwrap();
                }
            }
            for loss in in_flight {
                loss.wait().unwrap();
            }
        };
        steps(warm_up);
        let mut expected = device.objects();
        steps(steady);
        expected.submissions += 15_u64.div_ceil(device.recordings_per_submission() as u64);
        assert_eq!(device.objects(), expected, "{}", device.name());
    }
}

#[test]
fn records_are_lists_for_other_paths() {
    let _turn = common::turn();
    let inputs = ChessInputs::from(king_buckets());
    let parameters = Parameters::initial(Architecture::new(6144, 32), 3).unwrap();
    let network = Network::new(&common::VULKAN, &parameters).unwrap();
    let settings = LoaderSettings::default().batch_size(500).shuffle_buffer(0);
    let batches = |needs| {
        let loader = inputs.loader(&shipped(), &settings, needs).unwrap();
        loader.take(2).map(Result::unwrap)
    };
    for (records, lists) in
        batches(network.needs().with_records(true)).zip(batches(Needs::default()))
    {
        assert_eq!(records.targets(), lists.targets());
        assert_eq!(records.inputs(), lists.inputs());
        assert_eq!(records.scores(), lists.scores());
        // Other buckets than those of the records.
        let buckets: Vec<u32> = (0..records.len() as u32).map(|s| s % 3).collect();
        let other = Batch::clone(&records)
            .with_buckets(buckets.clone())
            .unwrap();
        assert!(records.has_records() && !other.has_records());
        assert_eq!(other.inputs(), lists.inputs());
        assert_eq!(other.buckets(), Some(&buckets[..]));
        let outputs = |device: &Device, batch: &Batch| {
            let mut network = Network::new(device, &parameters).unwrap();
            network.forward(batch).unwrap()
        };
        let cpu = Device::cpu().unwrap();
        assert_eq!(outputs(&cpu, &records), outputs(&cpu, &lists));
        let vulkan = &*common::VULKAN;
        assert_eq!(outputs(vulkan, &records), outputs(vulkan, &lists));
    }
}
