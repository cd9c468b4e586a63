//! The types of the values of keys.

use crate::error::{Error, Fault, Result};
use crate::files::path::StoredPath;
use crate::nnue::data::{BadRecords, Filter, OutputBuckets, Side};
use crate::nnue::export::FormatChoice;
use crate::nnue::{HiddenLayer, Initial, Tiles, activation::Activation, loss::WinRate};
use crate::optim::SlowStart;
use crate::optim::schedule::{Schedule, Unit, Warmup};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use toml::{Table, Value};

/// A value that a key may have. Faults have no place yet.
pub(super) trait Field: Sized {
    /// Reads the value of a key.
    fn read(value: &Value) -> Result<Self, Fault>;
    /// The value of a key; `None` if the key is left out.
    fn write(&self) -> Option<Value>;
}

/// The fault of an error, without its place.
pub(super) fn unplaced(error: Error, value: &Value) -> Fault {
    match error {
        Error::Argument(fault) => Fault::new("", fault.expected, fault.found),
        error => wrong(error.to_string(), value),
    }
}

/// A fault without a place.
pub(super) fn wrong(expected: impl Into<String>, found: &Value) -> Fault {
    Fault::new("", expected, found)
}

impl Field for bool {
    fn read(value: &Value) -> Result<Self, Fault> {
        value.as_bool().ok_or_else(|| wrong("true or false", value))
    }

    fn write(&self) -> Option<Value> {
        Some(Value::Boolean(*self))
    }
}

impl Field for f32 {
    fn read(value: &Value) -> Result<Self, Fault> {
        match *value {
            Value::Float(number) => Ok(number as Self),
            Value::Integer(number) => Ok(number as Self),
            _ => Err(wrong("a number", value)),
        }
    }

    /// The shortest decimal number that reads back.
    fn write(&self) -> Option<Value> {
        let number = self.to_string().parse().unwrap_or(f64::from(*self));
        Some(Value::Float(number))
    }
}

macro_rules! whole_numbers {
    ($($type:ty),*) => {$(
        impl Field for $type {
            fn read(value: &Value) -> Result<Self, Fault> {
                let number = value.as_integer().and_then(|number| number.try_into().ok());
                number.ok_or_else(|| wrong("a whole number from 0", value))
            }

            fn write(&self) -> Option<Value> {
                i64::try_from(*self).ok().map(Value::Integer)
            }
        }
    )*};
}

whole_numbers!(u16, u32, u64, usize);

impl Field for String {
    fn read(value: &Value) -> Result<Self, Fault> {
        let text = value.as_str().ok_or_else(|| wrong("a text", value))?;
        Ok(text.to_owned())
    }

    fn write(&self) -> Option<Value> {
        (!self.is_empty()).then(|| Value::String(self.clone()))
    }
}

impl<T: Field> Field for Option<T> {
    fn read(value: &Value) -> Result<Self, Fault> {
        T::read(value).map(Some)
    }

    fn write(&self) -> Option<Value> {
        self.as_ref().and_then(T::write)
    }
}

/// A range: two numbers, or one for −R..R.
impl Field for (f32, f32) {
    fn read(value: &Value) -> Result<Self, Fault> {
        let fault = || wrong("[LOW, HIGH], or R for [-R, R]", value);
        match value.as_array().map(Vec::as_slice) {
            Some([low, high]) => Ok((
                f32::read(low).map_err(|_| fault())?,
                f32::read(high).map_err(|_| fault())?,
            )),
            Some(_) => Err(fault()),
            None => f32::read(value)
                .map(|range| (-range, range))
                .map_err(|_| fault()),
        }
    }

    fn write(&self) -> Option<Value> {
        Some(Value::Array(vec![self.0.write()?, self.1.write()?]))
    }
}

impl Field for PathBuf {
    fn read(value: &Value) -> Result<Self, Fault> {
        let stored: StoredPath = value
            .clone()
            .try_into()
            .map_err(|_| wrong("a path", value))?;
        Ok(stored.into())
    }

    fn write(&self) -> Option<Value> {
        let stored = StoredPath::from(Path::new(self));
        (!self.as_os_str().is_empty()).then(|| Value::try_from(stored).ok())?
    }
}

/// A list; a single value is a list of one.
impl Field for Vec<PathBuf> {
    fn read(value: &Value) -> Result<Self, Fault> {
        match value {
            Value::Array(list) => list.iter().map(PathBuf::read).collect(),
            _ => PathBuf::read(value).map(|path| vec![path]),
        }
        .map_err(|_: Fault| wrong("a path, or a list of paths", value))
    }

    fn write(&self) -> Option<Value> {
        let list: Vec<_> = self.iter().filter_map(PathBuf::write).collect();
        (!list.is_empty()).then_some(Value::Array(list))
    }
}

impl Field for Vec<usize> {
    fn read(value: &Value) -> Result<Self, Fault> {
        let list = value.as_array().map(|list| list.iter().map(usize::read));
        let list = list.and_then(|list| list.collect::<Result<_, _>>().ok());
        list.ok_or_else(|| wrong("a list of whole numbers from 0", value))
    }

    fn write(&self) -> Option<Value> {
        Some(Value::Array(self.iter().filter_map(usize::write).collect()))
    }
}

/// The text of a value that its type parses. Lists and numbers are joined with commas.
pub(super) fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().map(text_of).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

fn parsed<T: FromStr<Err = Error>>(value: &Value) -> Result<T, Fault> {
    let parsed = text_of(value).parse();
    parsed.map_err(|error| unplaced(error, value))
}

/// Types with a text of their own.
macro_rules! texts {
    ($($type:ty: $write:expr;)*) => {$(
        impl Field for $type {
            fn read(value: &Value) -> Result<Self, Fault> {
                parsed(value)
            }

            fn write(&self) -> Option<Value> {
                let write: fn(&Self) -> String = $write;
                Some(Value::String(write(self)))
            }
        }
    )*};
}

texts! {
    Activation: |activation| activation.name().to_owned();
    Schedule: ToString::to_string;
    Initial: ToString::to_string;
    Unit: ToString::to_string;
    OutputBuckets: ToString::to_string;
    Tiles: |tiles| tiles.name().to_owned();
    BadRecords: |bad| bad.name().to_owned();
    Side: |side| side.name().to_owned();
}

impl Field for SlowStart {
    fn read(value: &Value) -> Result<Self, Fault> {
        match value.as_str() {
            Some("weights") => Ok(Self::Weights),
            Some("zero") => Ok(Self::Zero),
            _ => Err(wrong("weights or zero", value)),
        }
    }

    fn write(&self) -> Option<Value> {
        let name = match self {
            Self::Weights => "weights",
            Self::Zero => "zero",
        };
        Some(Value::String(name.to_owned()))
    }
}

impl Field for Warmup {
    fn read(value: &Value) -> Result<Self, Fault> {
        parsed(value)
    }

    fn write(&self) -> Option<Value> {
        match self.harmonic {
            true => Some(Value::String(self.to_string())),
            false => self.steps.write(),
        }
    }
}

/// A table of the three numbers. A number that is left out is Stockfish's.
impl Field for WinRate {
    fn read(value: &Value) -> Result<Self, Fault> {
        let expected = "a table of scale, offset and scaling";
        let mut model = Self::STOCKFISH;
        for (name, value) in value.as_table().ok_or_else(|| wrong(expected, value))? {
            let place = match name.as_str() {
                "scale" => &mut model.scale,
                "offset" => &mut model.offset,
                "scaling" => &mut model.scaling,
                _ => return Err(wrong(expected, &Value::String(name.clone()))),
            };
            *place = Field::read(value)?;
        }
        Ok(model)
    }

    fn write(&self) -> Option<Value> {
        let numbers = [
            ("scale", self.scale.write()?),
            ("offset", self.offset.write()?),
            ("scaling", self.scaling.write()?),
        ];
        let numbers = numbers.into_iter();
        Some(Value::Table(
            numbers
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        ))
    }
}

/// The keys of a filter as a table, or the path of a file of them.
impl Field for Filter {
    fn read(value: &Value) -> Result<Self, Fault> {
        let filter = match value {
            Value::Table(table) => Self::from_table(table.clone()),
            Value::String(path) => Self::from_file(Path::new(path)),
            _ => return Err(wrong("a path, or a table of a filter's keys", value)),
        };
        filter.map_err(|error| unplaced(error, value))
    }

    /// The keys that differ from the defaults.
    fn write(&self) -> Option<Value> {
        let standard = Table::try_from(Self::default()).ok()?;
        let own = Table::try_from(self).ok()?.into_iter();
        let changed = own.filter(|(key, value)| standard.get(key) != Some(value));
        Some(Value::Table(changed.collect()))
    }
}

/// The name of a preset, the path of a file, or the keys of a format as a table.
impl Field for FormatChoice {
    fn read(value: &Value) -> Result<Self, Fault> {
        let choice = match value {
            Value::Table(table) => Self::from_table(table),
            Value::String(name) => name.parse(),
            _ => return Err(wrong("the name of a save format, or a path", value)),
        };
        choice.map_err(|error| unplaced(error, value))
    }

    fn write(&self) -> Option<Value> {
        Some(match self.table() {
            Some(table) => Value::Table(table),
            None => Value::String(self.to_string()),
        })
    }
}

/// A list of layers, or one text with commas.
impl Field for Vec<HiddenLayer> {
    fn read(value: &Value) -> Result<Self, Fault> {
        let text = text_of(value);
        let layers = text.split(',').filter(|layer| !layer.trim().is_empty());
        let layers = layers.map(|layer| layer.trim().parse());
        let layers = layers.collect::<Result<_>>();
        layers.map_err(|error| unplaced(error, value))
    }

    fn write(&self) -> Option<Value> {
        let layers = self.iter().map(|layer| Value::String(layer.to_string()));
        Some(Value::Array(layers.collect()))
    }
}
