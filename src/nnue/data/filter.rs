//! Which positions a training takes: the filter of viriformat, as a TOML file or table.

use super::attacks::in_check;
use super::record::Position;
use crate::error::{Error, Result};
use crate::files::line::line_of;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;

/// The keys of a filter of viriformat (version 3 of its crate), with that crate's defaults. A
/// position is left out if any key says so.
///
/// ```
/// use wgrad::nnue::data::Filter;
///
/// let filter = Filter::from_toml("min_ply = 8\nfilter_check = false").unwrap();
/// assert_eq!((filter.min_ply, filter.max_eval), (8, 31_339));
/// assert!(Filter::from_toml("min_plies = 8").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Filter {
    /// Leaves out positions before this half move of the game, counted from 0. Only formats of whole
    /// games know it.
    pub min_ply: u32,
    /// Leaves out positions with fewer pieces.
    pub min_pieces: u32,
    /// Leaves out positions whose score has at least this size.
    pub max_eval: u32,
    /// Leaves out positions before a capture or a promotion. Only formats of whole games know it.
    pub filter_tactical: bool,
    /// Leaves out positions whose side to move is in check.
    pub filter_check: bool,
    /// Leaves out positions before castling. Only formats of whole games know it.
    pub filter_castling: bool,
    /// Leaves out positions of drawn games with a larger score, and positions of other games whose
    /// loser has a larger score.
    pub max_eval_incorrectness: u32,
    /// Whether [`Self::random_fen_skip_probability`] is used.
    pub random_fen_skipping: bool,
    /// The share of positions that are left out at random.
    pub random_fen_skip_probability: f64,
    /// Whether each position is kept with the probability that the model of wins, draws and losses
    /// gives its result.
    pub wdl_filtered: bool,
    /// The model's a as a polynomial of the material, from the cube on.
    pub wdl_model_params_a: [f64; 4],
    /// The model's b likewise.
    pub wdl_model_params_b: [f64; 4],
    /// The least material of the model, with 1, 3, 3, 5 and 9 per piece.
    pub material_min: u32,
    /// The most material of the model.
    pub material_max: u32,
    /// The material that counts as 1 in the polynomials.
    pub mom_target: u32,
    /// A factor of b.
    pub wdl_heuristic_scale: f64,
    /// Whether [`Self::material_count_probabilities`] is used.
    pub material_count_filtered: bool,
    /// For each number of pieces, the share of positions that are left out at random.
    #[serde(with = "counts")]
    pub material_count_probabilities: [f64; 33],
}

impl Default for Filter {
    fn default() -> Self {
        Self {
            min_ply: 16,
            min_pieces: 4,
            max_eval: 31_339,
            filter_tactical: true,
            filter_check: true,
            filter_castling: false,
            max_eval_incorrectness: u32::MAX,
            random_fen_skipping: false,
            random_fen_skip_probability: 0.0,
            wdl_filtered: false,
            wdl_model_params_a: [6.871_558_62, -39.652_263_91, 90.684_603_52, 170.669_963_64],
            wdl_model_params_b: [-7.198_907_1, 56.139_471_85, -139.910_911_83, 182.810_074_27],
            material_min: 17,
            material_max: 78,
            mom_target: 58,
            wdl_heuristic_scale: 1.5,
            material_count_filtered: false,
            material_count_probabilities: [0.0; 33],
        }
    }
}

/// What the move of a game and its place there tell of a position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct InGame {
    /// Half moves of the game before the position.
    pub(crate) ply: u32,
    /// Whether a capture or a promotion follows.
    pub(crate) tactical: bool,
    /// Whether castling follows.
    pub(crate) castling: bool,
    /// Whether the side to move is in check, if that is known without the pieces.
    pub(crate) check: Option<bool>,
}

impl Filter {
    /// Reads the keys from TOML. A key that is left out has its default.
    ///
    /// # Errors
    /// [`Error::Argument`] with the line or the key.
    pub fn from_toml(text: &str) -> Result<Self> {
        let filter: Self = toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| line_of(text, span.start));
            let place = line.map_or("filter".to_owned(), |line| format!("filter, line {line}"));
            Error::argument(place, "the keys of a filter of viriformat", error.message())
        })?;
        filter.check().map(|()| filter)
    }

    /// Takes the keys of a TOML table, as [`Self::from_toml`] reads them.
    pub(crate) fn from_table(table: toml::Table) -> Result<Self> {
        let filter: Self = table.try_into().map_err(|error: toml::de::Error| {
            Error::argument(
                "filter",
                "the keys of a filter of viriformat",
                error.message(),
            )
        })?;
        filter.check().map(|()| filter)
    }

    /// Reads a file of keys, as [`Self::from_toml`] reads them.
    ///
    /// # Errors
    /// A file that cannot be read, and wrong keys with the line.
    pub fn from_file(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(Error::io(path, "read"))?;
        Self::from_toml(&text).map_err(|error| match error {
            Error::Argument(fault) => Error::data(path, fault),
            error => error,
        })
    }

    /// Checks the numbers.
    ///
    /// # Errors
    /// [`Error::Argument`] with the key.
    pub fn check(&self) -> Result<()> {
        let share = |value: f64| (0.0..=1.0).contains(&value);
        let shares = self.material_count_probabilities.iter();
        let wrong_share = |key: &str, value: f64| {
            let key = format!("filter, {key}");
            Err(Error::argument(key, "0 to 1", value))
        };
        if !share(self.random_fen_skip_probability) {
            return wrong_share(
                "random_fen_skip_probability",
                self.random_fen_skip_probability,
            );
        }
        if let Some(&value) = shares.clone().find(|&&value| !share(value)) {
            return wrong_share("material_count_probabilities", value);
        }
        let numbers = self.wdl_model_params_a.iter();
        let numbers = numbers.chain(&self.wdl_model_params_b);
        let mut numbers = numbers.chain([&self.wdl_heuristic_scale]);
        if let Some(value) = numbers.find(|value| !value.is_finite()) {
            let key = "filter, the model of wins, draws and losses";
            return Err(Error::argument(key, "finite numbers", value));
        }
        if self.material_min > self.material_max {
            let expected = format!("at most material_max = {}", self.material_max);
            return Err(Error::argument(
                "filter, material_min",
                expected,
                self.material_min,
            ));
        }
        if self.mom_target == 0 {
            return Err(Error::argument("filter, mom_target", "at least 1", 0));
        }
        Ok(())
    }

    /// A key that only formats of whole games can answer, with the value that needs no game.
    pub(crate) fn of_games(&self) -> Option<&'static str> {
        let keys = [
            ("min_ply = 0", self.min_ply > 0),
            ("filter_tactical = false", self.filter_tactical),
            ("filter_castling = false", self.filter_castling),
        ];
        keys.iter().find(|(_, used)| *used).map(|&(key, _)| key)
    }

    /// The probability that a position is kept.
    pub(crate) fn share(&self, position: &Position, in_game: InGame) -> f64 {
        let pieces = position.piece_count();
        let score = position.score();
        let size = u32::from(score.unsigned_abs());
        let check = || in_game.check.unwrap_or_else(|| in_check(position));
        let is_out = in_game.ply < self.min_ply
            || (pieces as u32) < self.min_pieces
            || size >= self.max_eval
            || self.filter_tactical && in_game.tactical
            || self.filter_castling && in_game.castling
            || self.is_incorrect(score, position.result())
            || self.filter_check && check();
        if is_out {
            return 0.0;
        }
        let mut share = 1.0;
        if self.random_fen_skipping {
            share *= 1.0 - self.random_fen_skip_probability;
        }
        if self.wdl_filtered {
            share *= self.chance(position);
        }
        if self.material_count_filtered {
            share *= 1.0 - self.material_count_probabilities[pieces];
        }
        share
    }

    /// Whether a score is too far from a result, 0, ½ or 1.
    fn is_incorrect(&self, score: i16, result: f32) -> bool {
        let score = i32::from(score);
        let of_winner = if result == 1.0 { score } else { -score };
        let most = self.max_eval_incorrectness;
        let is_draw = result == 0.5;
        is_draw && score.unsigned_abs() > most || of_winner.min(0).unsigned_abs() > most
    }

    /// The probability of a position's result by the model: a win has 1/(1 + exp((a − score)/b)), a
    /// loss that of the opponent's win, and a draw the rest.
    fn chance(&self, position: &Position) -> f64 {
        const VALUES: [u32; 6] = [1, 3, 3, 5, 9, 0];
        let values = position
            .pieces()
            .map(|piece| VALUES[usize::from(piece.kind)]);
        let material = values
            .sum::<u32>()
            .clamp(self.material_min, self.material_max);
        let m = f64::from(material) / f64::from(self.mom_target);
        let polynomial = |p: &[f64; 4]| p.iter().fold(0.0, |sum, p| sum * m + p);
        let a = polynomial(&self.wdl_model_params_a);
        let b = polynomial(&self.wdl_model_params_b) * self.wdl_heuristic_scale;
        let win = |score: f64| 1.0 / (1.0 + ((a - score) / b).exp());
        let score = f64::from(position.score());
        let chance = match position.result() {
            1.0 => win(score),
            0.0 => win(-score),
            _ => 1.0 - win(score) - win(-score),
        };
        // The model may be no number, as 0 ÷ 0 for b = 0.
        if chance.is_nan() {
            0.0
        } else {
            chance.clamp(0.0, 1.0)
        }
    }
}

/// The shares by number of pieces, as a list.
mod counts {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub fn serialize<S: Serializer>(shares: &[f64; 33], to: S) -> Result<S::Ok, S::Error> {
        shares.as_slice().serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[f64; 33], D::Error> {
        let shares = Vec::<f64>::deserialize(from)?;
        let found = shares.len();
        let wrong = |_| D::Error::custom(format!("expected 33 numbers, found {found}"));
        shares.try_into().map_err(wrong)
    }
}
