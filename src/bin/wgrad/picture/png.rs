//! Pictures in files of the format that their names say.

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree};
use std::fmt::Display;
use std::io::Write;
use std::path::Path;
use wgrad::files::atomic::write_atomically;
use wgrad::{Error, Result};

/// PNG pixels per pixel of the SVG, for screens of high resolution.
const SCALE: f32 = 2.0;

/// Writes an SVG, or its PNG if the name ends with `.png`. The file is replaced atomically.
///
/// # Errors
/// Another ending than `.svg` and `.png`, and every error of the file system.
pub fn write_picture(path: &Path, svg: &str) -> Result<()> {
    match ending(path)? {
        Ending::Svg => write_atomically(path, |out| out.write_all(svg.as_bytes())),
        Ending::Png => {
            let bytes = rasterized(svg).map_err(Error::io(path, "draw the picture"))?;
            write_atomically(path, |out| out.write_all(&bytes))
        }
    }
}

/// The format of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Svg,
    Png,
}

/// The format that a name says.
///
/// # Errors
/// Another ending than `.svg` and `.png`.
pub fn ending(path: &Path) -> Result<Ending> {
    let ending = path.extension().map(|ending| ending.to_ascii_lowercase());
    match ending.as_deref().and_then(|ending| ending.to_str()) {
        Some("svg") => Ok(Ending::Svg),
        Some("png") => Ok(Ending::Png),
        _ => {
            let expected = "a name that ends with .svg or .png";
            Err(Error::argument("--out", expected, path.display()))
        }
    }
}

/// The bytes of the PNG.
fn rasterized(svg: &str) -> std::io::Result<Vec<u8>> {
    pixels(svg)?.encode_png().map_err(other)
}

/// The pixels of an SVG. Its only font is the one in the program, so that every machine draws the
/// same picture.
fn pixels(svg: &str) -> std::io::Result<Pixmap> {
    let mut options = Options::default();
    let fonts = options.fontdb_mut();
    fonts.load_font_data(dejavu::sans::regular().to_vec());
    fonts.set_sans_serif_family("DejaVu Sans");
    let tree = Tree::from_str(svg, &options).map_err(other)?;
    let size = tree.size().to_int_size();
    let length = |pixels: u32| (SCALE * pixels as f32) as u32;
    let pixmap = Pixmap::new(length(size.width()), length(size.height()));
    let mut pixmap = pixmap.ok_or_else(|| other("a picture of no pixels"))?;
    let scale = Transform::from_scale(SCALE, SCALE);
    resvg::render(&tree, scale, &mut pixmap.as_mut());
    Ok(pixmap)
}

fn other(error: impl Display) -> std::io::Error {
    std::io::Error::other(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::{INK, painted, text};
    use plotters::prelude::{IntoDrawingArea, SVGBackend, WHITE};

    /// The number of pixels that are not white, of a picture with these words.
    fn inked(words: &str) -> usize {
        let svg = painted((80, 30), |svg| {
            let root = SVGBackend::with_string(svg, (640, 240)).into_drawing_area();
            root.fill(&WHITE)?;
            text(&root, words, (4, 4), 16, INK)?;
            root.present()?;
            Ok(())
        });
        let pixmap = pixels(&svg.unwrap()).unwrap();
        assert_eq!((pixmap.width(), pixmap.height()), (160, 60));
        let white = |pixel: &[u8]| pixel == [255; 4];
        let pixels = pixmap.data().chunks_exact(4);
        pixels.filter(|pixel| !white(pixel)).count()
    }

    #[test]
    fn text_is_drawn_with_the_font_of_the_program() {
        let [none, little, much] = ["", "λ", "λ and more"].map(inked);
        assert_eq!(none, 0);
        assert!(little > 20 && much > 3 * little, "{little} {much}");
    }

    #[test]
    fn an_ending_tells_the_format() {
        for (name, expected) in [
            ("a.svg", Some(Ending::Svg)),
            ("a.svg.PNG", Some(Ending::Png)),
            ("svg", None),
            ("a.html", None),
        ] {
            assert_eq!(ending(Path::new(name)).ok(), expected, "{name}");
        }
    }
}
