//! The numbers of an optimizer that differ between the tensors of a network.

use super::architecture::{Architecture, ParameterName};
use super::names::one_of;
use crate::error::{Error, Result};
use crate::optim::{Optimizer, ParameterGroup};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Learning-rate factors, weight decays and ranges of tensors, instead of the optimizer's.
///
/// A key is the name of a tensor as in network files: `A1`, `A2`, `A1f`, `A2f` (the shared parts of
/// factorised inputs), `B1`, `B2`, `C`, `d`, `W1`, `W2` …, `c1`, `c2` …. A name without its number
/// stands for every number: `A` for `A1` and `A2`, `W` for the weights of all layers. In a pattern,
/// `*` stands for any characters and `?` for one. A tensor has the group of its own name, otherwise
/// that of its name without the number, otherwise that of the pattern with the most other
/// characters. A tensor without a group has the optimizer's numbers.
///
/// ```
/// use wgrad::nnue::ParameterGroups;
/// use wgrad::optim::ParameterGroup;
///
/// let clipped = ParameterGroup { range: Some((-0.99, 0.99)), ..ParameterGroup::default() };
/// let groups = ParameterGroups::new().with("A*", clipped);
/// assert_eq!(groups.iter().count(), 1);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ParameterGroups(BTreeMap<String, ParameterGroup>);

impl ParameterGroups {
    /// No groups: every tensor has the optimizer's numbers.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same groups, with this one for the tensors that a name or pattern stands for.
    #[must_use]
    pub fn with(mut self, tensors: impl Into<String>, group: ParameterGroup) -> Self {
        self.0.insert(tensors.into(), group);
        self
    }

    /// Whether there are no groups.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The group of a name or pattern.
    pub fn get(&self, tensors: &str) -> Option<&ParameterGroup> {
        self.0.get(tensors)
    }

    /// The names and patterns in ascending order, with their groups.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &ParameterGroup)> {
        self.0.iter().map(|(name, group)| (name.as_str(), group))
    }

    /// Checks that the groups fit a network and an optimizer.
    ///
    /// # Errors
    /// A name or pattern without a tensor in the network, two patterns that claim a tensor alike,
    /// and the errors of [`ParameterGroup::check`] and [`ParameterGroup::check_for`]. Each names
    /// the key.
    pub fn check(&self, architecture: &Architecture, optimizer: &Optimizer) -> Result<()> {
        self.of_tensors(architecture, optimizer).map(drop)
    }

    /// The group of each tensor, in the order of [`Architecture::tensors`].
    pub(super) fn of_tensors(
        &self,
        architecture: &Architecture,
        optimizer: &Optimizer,
    ) -> Result<Vec<ParameterGroup>> {
        let tensors = architecture.tensors().into_iter();
        let names: Vec<ParameterName> = tensors.map(|tensor| tensor.name).collect();
        for (key, group) in self.iter() {
            let place = format!("groups.{key}");
            let checked = group.check().and_then(|()| group.check_for(optimizer));
            checked.map_err(|error| error.within(place))?;
            if names.iter().all(|name| claim(key, name.as_str()).is_none()) {
                return Err(unknown(key, &names));
            }
        }
        names
            .iter()
            .map(|name| self.of_tensor(name.as_str()))
            .collect()
    }

    fn of_tensor(&self, name: &str) -> Result<ParameterGroup> {
        let claims = self.iter();
        let claims = claims.filter_map(|(key, group)| Some((claim(key, name)?, key, group)));
        let mut best: Option<(Claim, &str, &ParameterGroup)> = None;
        for other in claims {
            match best {
                Some((claim, key, _)) if claim == other.0 => {
                    let expected =
                        format!("at most one pattern of {} characters for {name}", claim.1);
                    let found = format!("{key} and {}", other.1);
                    return Err(Error::argument("groups", expected, found));
                }
                Some((claim, ..)) if claim > other.0 => {}
                _ => best = Some(other),
            }
        }
        Ok(best.map(|(.., group)| *group).unwrap_or_default())
    }
}

/// How closely a key names a tensor: 2 by its name, 1 without the number, 0 by a pattern; and the
/// characters that the key gives.
type Claim = (u8, usize);

fn claim(key: &str, name: &str) -> Option<Claim> {
    let numberless = || {
        let letters = name.chars().filter(|letter| !letter.is_ascii_digit());
        key.chars().eq(letters)
    };
    if key == name {
        Some((2, 0))
    } else if numberless() {
        Some((1, 0))
    } else if matches(key.as_bytes(), name.as_bytes()) {
        let given = key.chars().filter(|letter| !matches!(letter, '*' | '?'));
        Some((0, given.count()))
    } else {
        None
    }
}

/// Whether a pattern stands for a name.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    match pattern {
        [] => name.is_empty(),
        [b'*', rest @ ..] => (0..=name.len()).any(|end| matches(rest, &name[end..])),
        [first, rest @ ..] => match name {
            [letter, others @ ..] => (*first == b'?' || first == letter) && matches(rest, others),
            [] => false,
        },
    }
}

/// The error of a key that stands for no tensor. It suggests the name that shares most letters from
/// the beginning on, in upper or lower case.
fn unknown(key: &str, names: &[ParameterName]) -> Error {
    let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
    let shared = |name: &&&str| {
        let pairs = name.chars().zip(key.chars());
        pairs.take_while(|(a, b)| a.eq_ignore_ascii_case(b)).count()
    };
    let nearest = names.iter().rev().max_by_key(shared);
    let nearest = nearest.filter(|name| shared(name) > 0);
    let nearest = nearest.map_or(String::new(), |name| format!("; the nearest is {name}"));
    let expected = format!(
        "a tensor of the network or a pattern of names ({}{nearest})",
        one_of(&names)
    );
    Error::argument("groups", expected, format!("{key:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nnue::head::{HeadActivation, HiddenLayer};
    use crate::optim::Sgd;

    fn rate(rate_factor: f32) -> ParameterGroup {
        ParameterGroup {
            rate_factor,
            ..ParameterGroup::default()
        }
    }

    fn deep() -> Architecture {
        let layer = HiddenLayer::new(4, HeadActivation::CRelu);
        Architecture::new(8, 32).layers(vec![layer]).shared(4)
    }

    fn factors(groups: &ParameterGroups, architecture: &Architecture) -> Vec<(String, f32)> {
        let found = groups.of_tensors(architecture, &Optimizer::ADAMW).unwrap();
        let names = architecture.tensors().into_iter();
        let names = names.map(|tensor| tensor.name.to_string());
        let factors = found.into_iter().map(|group| group.rate_factor);
        names.zip(factors).collect()
    }

    #[test]
    fn the_closest_key_wins() {
        let groups = ParameterGroups::new()
            .with("*", rate(0.5))
            .with("A*", rate(2.0))
            .with("A", rate(3.0))
            .with("A2", rate(4.0))
            .with("W", rate(5.0))
            .with("c?", rate(6.0))
            .with("?1f", rate(7.0));
        let expected = [
            ("A1", 3.0),
            ("A2", 4.0),
            ("A1f", 7.0),
            ("A2f", 2.0),
            ("B1", 0.5),
            ("B2", 0.5),
            ("W1", 5.0),
            ("W2", 5.0),
            ("c1", 6.0),
            ("c2", 6.0),
        ];
        let expected = expected.map(|(name, factor)| (name.to_owned(), factor));
        assert_eq!(factors(&groups, &deep()), expected);
        assert!(
            factors(&ParameterGroups::new(), &deep())
                .iter()
                .all(|one| one.1 == 1.0)
        );
    }

    #[test]
    fn what_does_not_fit_names_its_key() {
        let check = |groups: ParameterGroups, optimizer: Optimizer| {
            groups.check(&deep(), &optimizer).unwrap_err().to_string()
        };
        let adamw = Optimizer::ADAMW;
        let error = check(ParameterGroups::new().with("w3", rate(1.0)), adamw);
        assert_eq!(
            error,
            "groups: expected a tensor of the network or a pattern of names (A1, A2, A1f, A2f, B1, \
             B2, W1, W2, c1 or c2; the nearest is W1), found \"w3\""
        );
        let error = check(ParameterGroups::new().with("C", rate(1.0)), adamw);
        assert!(error.contains("the nearest is c1"), "{error}");
        let twice = ParameterGroups::new()
            .with("A?", rate(1.0))
            .with("A*", rate(2.0));
        let error = check(twice, adamw);
        assert!(error.contains("A* and A?"), "{error}");
        let error = check(ParameterGroups::new().with("B1", rate(-1.0)), adamw);
        assert!(
            error.starts_with("groups.B1, learning-rate factor"),
            "{error}"
        );
        let decay = ParameterGroup {
            weight_decay: Some(0.1),
            ..ParameterGroup::default()
        };
        let error = check(
            ParameterGroups::new().with("W*", decay),
            Sgd::default().into(),
        );
        assert!(
            error.starts_with("groups.W*, parameter group of sgd"),
            "{error}"
        );
    }

    #[test]
    fn groups_survive_json() {
        let clipped = ParameterGroup {
            range: Some((-0.99, 0.99)),
            ..ParameterGroup::default()
        };
        let groups = ParameterGroups::new()
            .with("A*", clipped)
            .with("d", rate(0.5));
        let text = serde_json::to_string(&groups).unwrap();
        assert_eq!(
            text,
            r#"{"A*":{"range":[-0.99,0.99]},"d":{"rate_factor":0.5}}"#
        );
        assert_eq!(
            serde_json::from_str::<ParameterGroups>(&text).unwrap(),
            groups
        );
        let error = serde_json::from_str::<ParameterGroups>(r#"{"A1":{"rate":1}}"#);
        let error = error.unwrap_err().to_string();
        assert!(error.contains("rate_factor"), "{error}");
    }
}
