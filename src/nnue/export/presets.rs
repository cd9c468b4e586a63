//! The save formats that come with wgrad, as TOML in the folder `presets`.

use super::format::SaveFormat;
use crate::error::{Error, Result};
use crate::nnue::names::one_of;

/// The names.
pub(super) const NAMES: [&str; 9] = [
    "wgrad", "bullet", "raw", "publius", "tcheran", "akimbo", "renegade", "integral", "hobbes",
];

/// The formats of a name: the one for networks without hidden layers first, if there are two.
pub(super) fn texts(name: &str) -> Result<Vec<&'static str>> {
    Ok(match name {
        "wgrad" => vec![
            include_str!("presets/wgrad.toml"),
            include_str!("presets/wgrad_layers.toml"),
        ],
        "bullet" => vec![
            include_str!("presets/bullet.toml"),
            include_str!("presets/bullet_layers.toml"),
        ],
        "raw" => vec![
            include_str!("presets/raw.toml"),
            include_str!("presets/raw_layers.toml"),
        ],
        "publius" => vec![include_str!("presets/publius.toml")],
        "tcheran" => vec![include_str!("presets/tcheran.toml")],
        "akimbo" => vec![include_str!("presets/akimbo.toml")],
        "renegade" => vec![include_str!("presets/renegade.toml")],
        "integral" => vec![include_str!("presets/integral.toml")],
        "hobbes" => vec![include_str!("presets/hobbes.toml")],
        _ => {
            let expected = format!("{}, or a file that ends in .toml", one_of(&NAMES));
            return Err(Error::argument("format", expected, format!("{name:?}")));
        }
    })
}

/// What a format is for.
pub(super) fn about(name: &str) -> String {
    let texts = texts(name).unwrap_or_default();
    let format = texts.first().map(|text| SaveFormat::from_toml(text));
    match format {
        Some(Ok(format)) => format.about.lines().next().unwrap_or_default().to_owned(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_sound_and_says_what_it_is_for() {
        for name in NAMES {
            for text in texts(name).unwrap() {
                let format = SaveFormat::from_toml(text);
                let format = format.unwrap_or_else(|error| panic!("{name}: {error}"));
                assert!(format.about.len() > 20, "{name}");
            }
            assert!(!about(name).is_empty(), "{name}");
        }
        let error = texts("stockfish").unwrap_err().to_string();
        assert!(
            error.contains("publius") && error.contains(".toml"),
            "{error}"
        );
    }
}
