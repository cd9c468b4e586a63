//! The keys: the only list of them, for reading, writing and comparing trainings.

use super::field::{Field, text_of, unplaced, wrong};
use crate::error::{Error, Fault, Result};
use crate::nnue::ParameterGroups;
use crate::nnue::data::ChessInputs;
use crate::nnue::names::one_of;
use crate::nnue::train::run::Run;
use crate::nnue::train::settings::Settings;
use crate::nnue::train::stage::Stage;
use crate::optim::{Optimizer, ParameterGroup};
use toml::{Table, Value};

/// A key of a stage. It may stand above the stages too.
pub(super) struct Key {
    pub(super) name: &'static str,
    /// Puts the value into the stage. The table has the other keys beside it.
    pub(super) read: fn(&mut Stage, &Value, &Table) -> Result<(), Fault>,
    /// The value in a stage; `None` if the key has no use there.
    pub(super) write: fn(&Stage) -> Option<Value>,
}

/// A key of the run, above the stages.
pub(super) struct RunKey {
    pub(super) name: &'static str,
    pub(super) read: fn(&mut Run, &Value) -> Result<(), Fault>,
    pub(super) write: fn(&Run) -> Option<Value>,
}

/// A key that is a field of the settings.
macro_rules! setting {
    ($name:ident) => {
        setting!($name: $name)
    };
    ($name:ident: $($place:ident).+) => {
        Key {
            name: stringify!($name),
            read: |stage, value, _| {
                stage.settings.$($place).+ = Field::read(value)?;
                Ok(())
            },
            write: |stage| Field::write(&stage.settings.$($place).+),
        }
    };
}

/// A key that is a field of some optimizers.
macro_rules! of_optimizer {
    ($($kind:ident)|+, $name:ident) => {
        of_optimizer!($($kind)|+, $name: $name)
    };
    ($($kind:ident)|+, $name:ident: $field:ident) => {
        Key {
            name: stringify!($name),
            read: |stage, value, _| {
                match &mut stage.settings.optimizer {
                    $(Optimizer::$kind(numbers) => numbers.$field = Field::read(value)?,)+
                    #[allow(unreachable_patterns)]
                    other => {
                        let expected = format!("no such key with optimizer {:?}", other.name());
                        return Err(wrong(expected, value));
                    }
                }
                Ok(())
            },
            write: |stage| match &stage.settings.optimizer {
                $(Optimizer::$kind(numbers) => Field::write(&numbers.$field),)+
                #[allow(unreachable_patterns)]
                _ => None,
            },
        }
    };
}

macro_rules! of_run {
    ($name:ident) => {
        RunKey {
            name: stringify!($name),
            read: |run, value| {
                run.$name = Field::read(value)?;
                Ok(())
            },
            write: |run| Field::write(&run.$name),
        }
    };
}

/// The keys of a stage, in the order in which they are read and written.
pub(super) const KEYS: &[Key] = &[
    Key {
        name: "inputs",
        read: |stage, value, table| {
            let buckets = table.get("buckets").map(Vec::<usize>::read).transpose();
            let buckets = buckets.map_err(|fault| named("buckets", fault))?;
            set_inputs(stage, &String::read(value)?, buckets.as_deref())
        },
        write: |stage| Some(Value::String(stage.settings.inputs.name().to_owned())),
    },
    Key {
        name: "buckets",
        read: |stage, value, table| match table.contains_key("inputs") {
            // The key `inputs` has read both.
            true => Ok(()),
            false => {
                let name = stage.settings.inputs.name();
                set_inputs(stage, name, Some(&Vec::<usize>::read(value)?))
            }
        },
        write: |stage| {
            let inputs = &stage.settings.inputs;
            let table = inputs.king_buckets().filter(|kings| kings.buckets() > 1);
            table.and_then(|kings| kings.table().to_vec().write())
        },
    },
    Key {
        name: "output_buckets",
        read: |stage, value, _| {
            stage.settings.output_buckets = Field::read(value)?;
            stage.settings.architecture.buckets = stage.settings.output_buckets.count();
            Ok(())
        },
        write: |stage| stage.settings.output_buckets.write(),
    },
    setting!(hidden: architecture.hidden),
    setting!(tied: architecture.tied),
    setting!(activation: architecture.activation),
    setting!(clip: architecture.clip),
    setting!(pairwise: architecture.pairwise),
    setting!(layers: architecture.layers),
    setting!(skip: architecture.skip),
    Key {
        name: "factorise",
        read: |stage, value, _| {
            let architecture = &mut stage.settings.architecture;
            let factorised = architecture.clone().factorised(bool::read(value)?);
            *architecture = factorised.map_err(|error| unplaced(error, value))?;
            Ok(())
        },
        write: |stage| stage.settings.architecture.is_factorised().write(),
    },
    setting!(initial),
    setting!(seed),
    setting!(half),
    setting!(half_weights),
    setting!(quantization_aware),
    setting!(lanes: tuning.lanes),
    setting!(tiles: tuning.tiles),
    setting!(batch_size),
    setting!(shards),
    Key {
        name: "epochs",
        read: |stage, value, table| {
            if table.contains_key("superbatches") {
                return Err(wrong("no epochs beside superbatches", value));
            }
            stage.settings.epochs = Field::read(value)?;
            stage.settings.superbatches = 0;
            Ok(())
        },
        write: |stage| match stage.settings.in_superbatches() {
            true => None,
            false => stage.settings.epochs.write(),
        },
    },
    Key {
        name: "superbatches",
        read: |stage, value, _| {
            stage.settings.superbatches = match Field::read(value)? {
                0 => return Err(wrong("at least 1", value)),
                superbatches => superbatches,
            };
            Ok(())
        },
        write: |stage| match stage.settings.in_superbatches() {
            true => stage.settings.superbatches.write(),
            false => None,
        },
    },
    setting!(batches_per_superbatch),
    setting!(max_score),
    setting!(filter),
    setting!(bad_records),
    setting!(text_scores),
    setting!(text_results),
    setting!(shuffle_buffer),
    setting!(learning_rate),
    setting!(schedule),
    setting!(warmup),
    setting!(schedule_per),
    Key {
        name: "optimizer",
        read: |stage, value, _| {
            let name = String::read(value)?;
            let standing = &mut stage.settings.optimizer;
            if name != standing.name() {
                *standing = Optimizer::named(&name)
                    .ok_or_else(|| wrong(one_of(&Optimizer::NAMES), value))?;
            }
            Ok(())
        },
        write: |stage| Some(Value::String(stage.settings.optimizer.name().to_owned())),
    },
    of_optimizer!(Sgd, momentum),
    of_optimizer!(AdamW | RAdam | Ranger, beta1),
    of_optimizer!(AdamW | RAdam | Ranger, beta2),
    of_optimizer!(AdamW | RAdam | Ranger, epsilon),
    of_optimizer!(AdamW | RAdam | Ranger, weight_decay),
    of_optimizer!(AdamW | RAdam | Ranger, weight_range),
    of_optimizer!(AdamW, bias_correction),
    of_optimizer!(Ranger, lookahead_alpha: alpha),
    of_optimizer!(Ranger, lookahead_period: period),
    of_optimizer!(Ranger, slow_start),
    Key {
        name: "groups",
        read: |stage, value, _| read_groups(&mut stage.settings.groups, value),
        write: |stage| {
            let groups = stage.settings.groups.iter();
            let groups = groups.map(|(name, group)| (name.to_owned(), group_value(group)));
            let groups: Table = groups.collect();
            (!groups.is_empty()).then_some(Value::Table(groups))
        },
    },
    setting!(lambda),
    setting!(lambda_schedule),
    setting!(lambda_warmup),
    setting!(scale),
    setting!(target_win_rate),
    Key {
        name: "loss",
        read: |stage, value, _| {
            let loss = &mut stage.settings.loss;
            let named = loss.named(&text_of(value));
            *loss = named.map_err(|error| unplaced(error, value))?;
            Ok(())
        },
        write: |stage| Some(Value::String(stage.settings.loss.name().to_owned())),
    },
    setting!(power: loss.power),
    setting!(asymmetry: loss.asymmetry),
    setting!(win_rate: loss.win_rate),
    setting!(l1),
];

/// The keys of the run.
pub(super) const RUN_KEYS: &[RunKey] = &[
    of_run!(data),
    of_run!(validation),
    of_run!(out),
    of_run!(init),
    of_run!(threads),
    of_run!(save_every),
    of_run!(validate_every),
    of_run!(validate_integers),
    of_run!(keep),
    of_run!(keep_best),
    of_run!(patience),
];

/// The keys of a stage that are not settings.
pub(super) const STAGE_KEYS: [&str; 3] = ["name", "data", "validation"];

/// Replaces what the tables `[groups.TENSOR]` say.
fn read_groups(groups: &mut ParameterGroups, value: &Value) -> Result<(), Fault> {
    let expected = "tables [groups.TENSOR] of rate_factor, weight_decay and range";
    let tables = value.as_table().ok_or_else(|| wrong(expected, value))?;
    for (tensors, table) in tables {
        let mut group = groups.get(tensors).copied().unwrap_or_default();
        for (name, value) in table.as_table().ok_or_else(|| wrong(expected, value))? {
            match name.as_str() {
                "rate_factor" => group.rate_factor = Field::read(value)?,
                "weight_decay" => group.weight_decay = Field::read(value)?,
                "range" => group.range = Field::read(value)?,
                _ => return Err(wrong(expected, &Value::String(name.clone()))),
            }
        }
        *groups = std::mem::take(groups).with(tensors, group);
    }
    Ok(())
}

fn group_value(group: &ParameterGroup) -> Value {
    let factor = (group.rate_factor != 1.0).then_some(group.rate_factor);
    let values = [
        ("rate_factor", factor.write()),
        ("weight_decay", group.weight_decay.write()),
        ("range", group.range.write()),
    ];
    let values = values.into_iter();
    let given = values.filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Table(given.collect())
}

/// A fault that names its place.
fn named(name: &str, fault: Fault) -> Fault {
    Fault {
        place: name.to_owned(),
        ..fault
    }
}

fn set_inputs(stage: &mut Stage, name: &str, table: Option<&[usize]>) -> Result<(), Fault> {
    let inputs = ChessInputs::named(name, table).map_err(|error| match error {
        Error::Argument(fault) => fault,
        error => Fault::new("", "inputs of chess", error),
    })?;
    stage.settings.architecture.inputs = inputs.inputs();
    stage.settings.inputs = inputs;
    Ok(())
}

/// The keys in which two settings differ, with the values of both: (key, own, given).
pub fn differences(own: &Settings, given: &Settings) -> Vec<(&'static str, String, String)> {
    let [own, given] = [own, given].map(|settings| Stage::new(settings.clone()));
    let text = |value: Option<Value>| value.map_or("none".to_owned(), |value| text_of(&value));
    let values = KEYS.iter().map(|key| {
        let (own, given) = ((key.write)(&own), (key.write)(&given));
        (key.name, text(own), text(given))
    });
    values.filter(|(_, own, given)| own != given).collect()
}
