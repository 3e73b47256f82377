//! What a feature's cells must look like, and the form that is hashed (SPEC 13.2).

use std::borrow::Cow;
use std::collections::BTreeSet;

use fancy_regex::Regex;
use num_bigint::BigInt;

use super::date::DateFormat;
use super::number;
use super::schema::Field;

/// How a feature's characters become bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextEncoding {
    Ascii,
    Utf8,
    /// With a byte-order mark, little-endian: what Python writes on the usual machines.
    Utf16,
    Utf32,
}

#[derive(Clone, Debug)]
pub enum Format {
    Text { case: Case, min_length: Option<f64>, max_length: Option<f64> },
    Pattern(Box<Regex>),
    Integer { minimum: Option<BigInt>, maximum: Option<BigInt> },
    Date(DateFormat),
    Enum(BTreeSet<String>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    Upper,
    Lower,
    Mixed,
}

/// A value that stands for none, and what is hashed in its place.
#[derive(Clone, Debug)]
pub struct MissingValue {
    pub sentinel: String,
    pub replace_with: Option<String>,
}

impl Field {
    /// The text to hash. An error says the rule that the cell breaks, not the cell.
    pub fn value<'c>(&'c self, cell: &'c str) -> Result<Cow<'c, str>, String> {
        if let Some(missing) = self.missing.as_ref().filter(|missing| missing.sentinel == cell) {
            return Ok(missing.replace_with.as_deref().unwrap_or(cell).into());
        }
        if self.encoding == TextEncoding::Ascii && !cell.is_ascii() {
            return Err("is not ASCII, which the schema says it is".into());
        }
        self.format.value(cell)
    }
}

impl Format {
    fn value<'c>(&self, cell: &'c str) -> Result<Cow<'c, str>, String> {
        match self {
            Self::Text { case, min_length, max_length } => {
                let length = cell.chars().count();
                if let Some(least) = min_length.filter(|least| (length as f64) < *least) {
                    return Err(format!("has {length} characters, fewer than {least}"));
                }
                if let Some(most) = max_length.filter(|most| (length as f64) > *most) {
                    return Err(format!("has {length} characters, more than {most}"));
                }
                match case {
                    Case::Upper if cell.to_uppercase() != *cell => Err("is not in upper case".into()),
                    Case::Lower if cell.to_lowercase() != *cell => Err("is not in lower case".into()),
                    _ => Ok(cell.into()),
                }
            }
            Self::Pattern(pattern) => match pattern.is_match(cell) {
                Ok(true) => Ok(cell.into()),
                _ => Err("does not match the schema's pattern".into()),
            },
            Self::Integer { minimum, maximum } => {
                let value = number::integer(cell).ok_or("is not an integer")?;
                if let Some(least) = minimum.as_ref().filter(|least| value < **least) {
                    return Err(format!("is less than {least}"));
                }
                if let Some(most) = maximum.as_ref().filter(|most| value > **most) {
                    return Err(format!("is more than {most}"));
                }
                Ok(value.to_string().into())
            }
            Self::Date(format) => {
                format.read(cell).map(Cow::from).ok_or_else(|| "is not a date in the schema's format".into())
            }
            Self::Enum(values) if values.contains(cell) => Ok(cell.into()),
            Self::Enum(_) => Err("is none of the values that the schema lists".into()),
        }
    }
}

impl TextEncoding {
    pub fn bytes<'t>(self, token: &'t str) -> Result<Cow<'t, [u8]>, String> {
        match self {
            Self::Ascii if !token.is_ascii() => Err("has a replacement that is not ASCII".into()),
            Self::Ascii | Self::Utf8 => Ok(token.as_bytes().into()),
            Self::Utf16 => Ok(std::iter::once(0xfeff).chain(token.encode_utf16()).flat_map(u16::to_le_bytes).collect()),
            Self::Utf32 => {
                Ok(std::iter::once(0xfeff).chain(token.chars().map(u32::from)).flat_map(u32::to_le_bytes).collect())
            }
        }
    }
}
