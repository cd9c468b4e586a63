//! The handwritten digits of `examples/data/digits.csv`: 1,797 images of 8 × 8 with values from 0 to 16, and their labels.

// Each example that compiles this file uses only some of it.
#![allow(dead_code)]

use wgrad::{Error, Fault, Result};

/// The number of pixels of an image.
pub const PIXELS: usize = 64;

/// Images and labels.
#[derive(Default)]
pub struct Digits {
    /// `[images, 64]`, values from 0 to 16.
    pub images: Vec<f32>,
    /// `[images]`, from 0 to 9.
    pub labels: Vec<u32>,
}

impl Digits {
    /// All images, in the order of the file.
    pub fn load() -> Result<Self> {
        const PATH: &str = "examples/data/digits.csv";
        let fault = |place: String, found: String| {
            Error::data(PATH, Fault::new(place, "64 pixels and a label", found))
        };
        let text = std::fs::read_to_string(PATH)
            .map_err(|error| fault("file".to_owned(), error.to_string()))?;
        let mut digits = Self::default();
        for (number, line) in text.lines().enumerate().skip(1) {
            let fault = |found| fault(format!("line {}", number + 1), found);
            let row: std::result::Result<Vec<f32>, _> = line.split(',').map(str::parse).collect();
            let row = row.map_err(|error| fault(format!("{error}: {line}")))?;
            let (pixels, label) = match row.split_last() {
                Some((label, pixels)) if pixels.len() == PIXELS => (pixels, label),
                _ => return Err(fault(format!("{} numbers", row.len()))),
            };
            digits.images.extend_from_slice(pixels);
            digits.labels.push(*label as u32);
        }
        Ok(digits)
    }

    /// The images to train on, and the images to test with, which are the rows whose number is 4
    /// modulo 5.
    pub fn split(&self) -> [Self; 2] {
        let mut parts = [Self::default(), Self::default()];
        for (row, &label) in self.labels.iter().enumerate() {
            let part = &mut parts[usize::from(row % 5 == 4)];
            part.images.extend_from_slice(self.image(row));
            part.labels.push(label);
        }
        parts
    }

    /// The images of these rows, one after the other, divided by 16 so that values are from 0 to 1.
    pub fn batch(&self, rows: &[usize]) -> Vec<f32> {
        let images = rows.iter().flat_map(|&row| self.image(row));
        images.map(|pixel| pixel / 16.0).collect()
    }

    /// The labels of these rows.
    pub fn labels(&self, rows: &[usize]) -> Vec<u32> {
        rows.iter().map(|&row| self.labels[row]).collect()
    }

    /// The number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    fn image(&self, row: usize) -> &[f32] {
        &self.images[row * PIXELS..][..PIXELS]
    }
}
