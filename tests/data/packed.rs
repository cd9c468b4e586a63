//! Compressed files of each format.

use crate::support::{file, load, loader, sample_lines, settings, shipped};
use std::fs;
use std::io::Write;
use wgrad::nnue::data::{Dataset, LoadedBatch};

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn zstd(content: &[u8]) -> Vec<u8> {
    zstd::encode_all(content, 1).unwrap()
}

fn targets(batches: &[LoadedBatch]) -> Vec<Vec<f32>> {
    batches
        .iter()
        .map(|batch| batch.targets().to_vec())
        .collect()
}

#[test]
fn compressed_files_give_the_positions_of_the_plain_ones() {
    let folder = tempfile::tempdir().unwrap();
    let records = fs::read(shipped("chess_validation.bin")).unwrap()[..32 * 1000].to_vec();
    let text = sample_lines()[..1000].join("\n").into_bytes();
    for content in [records, text] {
        let half = content.len() / 64 * 32;
        let plain = [file(&folder, "plain", &content)];
        let whole = load(&plain, &settings(64, 128)).unwrap();
        let pieces = [gzip(&content[..half]), gzip(&content[half..])].concat();
        let frames = [zstd(&content[..half]), zstd(&content[half..])].concat();
        for bytes in [gzip(&content), zstd(&content), pieces, frames] {
            // The name does not tell the format.
            let packed = [file(&folder, "packed.txt", &bytes)];
            let found = load(&packed, &settings(64, 128)).unwrap();
            assert_eq!(targets(&found), targets(&whole));
            for batch in [1, 5, 12] {
                let dataset = Dataset::open(&packed).unwrap();
                let next = *found[batch - 1].next_place();
                let rest = loader(&dataset, &settings(64, 128).start(next)).unwrap();
                let rest: Vec<_> = rest.collect::<Result<_, _>>().unwrap();
                assert_eq!(targets(&rest), targets(&whole[batch..]), "batch {batch}");
                let past = dataset.past(&next).unwrap();
                dataset.check_past(&past).unwrap();
                let mut other = bytes.clone();
                *other.last_mut().unwrap() ^= 1;
                fs::write(&packed[0], &other).unwrap();
                let error = dataset.check_past(&past).unwrap_err().to_string();
                assert!(error.contains("in the compressed file"), "{error}");
                fs::write(&packed[0], &bytes).unwrap();
            }
            fs::write(&packed[0], &bytes[..bytes.len() / 2 - 3]).unwrap();
            let error = Dataset::open(&packed).unwrap_err().to_string();
            assert!(
                error.contains("packed.txt: could not read or decompress"),
                "{error}"
            );
        }
    }
}
