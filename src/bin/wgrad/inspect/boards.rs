//! The weights of lanes by piece and square as pictures: twelve boards per lane.

use std::fmt::Write;

/// The kinds of pieces, in the order of the features.
const KINDS: [&str; 6] = ["pawn", "knight", "bishop", "rook", "queen", "king"];
/// The width of a square, and of a board with the gap after it, in pixels.
const SQUARE: usize = 9;
const BOARD: usize = 8 * SQUARE + 8;
/// The room for labels to the left and above.
const LEFT: usize = 48;
const TOP: usize = 48;
/// The width and height of the boards of a lane.
pub const SIZE: [usize; 2] = [LEFT + 6 * BOARD, TOP + 2 * BOARD + 6];
/// Shades of each color.
const SHADES: i32 = 16;
/// The colors of the lowest weights, of 0 and of the highest weights.
const COLOURS: [[f64; 3]; 3] = [
    [179.0, 88.0, 6.0],
    [247.0, 247.0, 247.0],
    [0.0, 90.0, 160.0],
];
/// Text, and squares that no pawn is on.
const INK: &str = "#2D323A";
const FAINT: &str = "#6E7680";
const NEVER: &str = "#B4B9C0";

/// A lane: its index and its weights `[12, 64]`.
pub struct Lane {
    pub index: usize,
    pub weights: Vec<f32>,
}

/// A sheet of lanes in so many columns, as SVG.
pub fn sheet(lanes: &[Lane], columns: usize, title: &str) -> String {
    const MARGIN: usize = 20;
    let columns = columns.clamp(1, lanes.len().max(1));
    let [width, height] = SIZE;
    let (cell, row) = (width + MARGIN, height + MARGIN);
    let size = (
        columns * cell + MARGIN,
        lanes.len().div_ceil(columns) * row + 3 * MARGIN,
    );
    let body = lanes.iter().enumerate().map(|(at, lane)| {
        let (x, y) = (
            MARGIN + at % columns * cell,
            3 * MARGIN + at / columns * row,
        );
        format!("<g transform=\"translate({x},{y})\">{}</g>\n", lane.paint())
    });
    let body: String = body.collect();
    format!(
        "{}<rect width=\"100%\" height=\"100%\" fill=\"#FFFFFF\"/>\n\
         <text x=\"{MARGIN}\" y=\"32\" font-size=\"20\" fill=\"{INK}\">{title}</text>\n\
         {body}</svg>\n",
        head(size)
    )
}

fn head((width, height): (usize, usize)) -> String {
    format!(
        "<svg width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         xmlns=\"http://www.w3.org/2000/svg\" font-family=\"{}\">\n",
        crate::picture::FONT
    )
}

impl Lane {
    /// The lane as a picture of its own, without a background.
    pub fn to_svg(&self) -> String {
        format!("{}{}</svg>\n", head(SIZE.into()), self.paint())
    }

    /// The largest weight, without those of squares that no pawn is on.
    fn largest(&self) -> f32 {
        let weights = self.weights.iter().enumerate();
        let real = weights.filter(|(feature, _)| !is_never(feature / 64, feature % 64));
        real.map(|(_, weight)| weight.abs()).fold(0.0, f32::max)
    }

    fn paint(&self) -> String {
        let largest = self.largest();
        let mut svg = String::new();
        // Writing to a string cannot fail.
        let _ = write!(
            svg,
            "<text x=\"{LEFT}\" y=\"16\" font-size=\"17\" fill=\"{INK}\">lane {}: ±{largest:.3}\
             </text>",
            self.index
        );
        for (kind, name) in KINDS.iter().enumerate() {
            let x = LEFT + kind * BOARD;
            let _ = write!(
                svg,
                "<text x=\"{x}\" y=\"41\" font-size=\"15\" fill=\"{FAINT}\">{name}</text>"
            );
        }
        for (side, name) in ["own", "other"].into_iter().enumerate() {
            let y = TOP + side * BOARD + 4 * SQUARE + 4;
            let _ = write!(
                svg,
                "<text x=\"0\" y=\"{y}\" font-size=\"15\" fill=\"{FAINT}\">{name}</text>"
            );
        }
        for (board, weights) in self.weights.chunks(64).enumerate() {
            let (x, y) = (LEFT + board % 6 * BOARD, TOP + board / 6 * BOARD);
            let _ = write!(
                svg,
                "<g transform=\"translate({x},{y}) scale({SQUARE})\" shape-rendering=\"crispEdges\">\
                 <path fill=\"{}\" d=\"M0 0h8v8h-8z\"/>{}</g>",
                colour(0),
                squares(board, weights, largest)
            );
        }
        svg
    }
}

/// The squares of a board with a color other than that of 0: a path for each shade.
fn squares(board: usize, weights: &[f32], largest: f32) -> String {
    let mut paths = vec![String::new(); 2 * SHADES as usize + 2];
    for (square, weight) in weights.iter().enumerate() {
        let shade = match largest {
            0.0 => 0,
            largest => (weight / largest * SHADES as f32).round() as i32,
        };
        let path = match is_never(board, square) {
            true => paths.len() - 1,
            false => (shade.clamp(-SHADES, SHADES) + SHADES) as usize,
        };
        // Rank 8 is above.
        let (x, y) = (square % 8, 7 - square / 8);
        let _ = write!(paths[path], "M{x} {y}h1v1h-1z");
    }
    let painted = paths.iter().enumerate().filter_map(|(path, d)| {
        let shade = path as i32 - SHADES;
        let fill = match shade {
            _ if d.is_empty() => return None,
            0 => return None,
            shade if shade > SHADES => NEVER.to_owned(),
            shade => colour(shade),
        };
        Some(format!("<path fill=\"{fill}\" d=\"{d}\"/>"))
    });
    painted.collect()
}

/// Whether no pawn is on the square, so that the weight was never trained.
fn is_never(board: usize, square: usize) -> bool {
    board.is_multiple_of(6) && !(8..56).contains(&square)
}

/// The color of a shade, from −SHADES to SHADES.
fn colour(shade: i32) -> String {
    let [low, middle, high] = COLOURS;
    let end = if shade < 0 { low } else { high };
    let part = f64::from(shade.abs()) / f64::from(SHADES);
    let mixed = [0, 1, 2].map(|at| (middle[at] + part * (end[at] - middle[at])).round() as u8);
    let [red, green, blue] = mixed;
    format!("#{red:02X}{green:02X}{blue:02X}")
}
