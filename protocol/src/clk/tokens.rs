//! From a value to tokens: n-grams, the whole value, or a number's neighbourhood (SPEC 13.5).

use std::fmt::Write as _;

use num_bigint::BigInt;
use num_integer::Integer as _;
use num_traits::{FromPrimitive as _, Zero as _};

use super::number;
use super::schema::Comparison;

/// Tokens of one value, side by side; used again for the next.
#[derive(Default)]
pub struct Tokens {
    text: String,
    ends: Vec<usize>,
    /// The padded value, and where its characters begin.
    padded: String,
    starts: Vec<usize>,
}

impl Tokens {
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.text[start..*end])
    }

    fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    fn push(&mut self, token: std::fmt::Arguments<'_>) {
        self.text.write_fmt(token).expect("a String takes everything");
        self.ends.push(self.text.len());
    }
}

impl Comparison {
    /// Replaces `into` by the tokens of `value`; an empty value has none.
    pub fn tokens(&self, value: &str, into: &mut Tokens) -> Result<(), String> {
        into.clear();
        if value.is_empty() {
            return Ok(());
        }
        match self {
            Self::Exact => into.push(format_args!("{value}")),
            Self::Ngram { n, positional } => ngrams(value, *n, *positional, into),
            Self::Numeric { interval, resolution, fractional_precision } => {
                neighbourhood(value, interval, *resolution, *fractional_precision, into)?;
            }
        }
        Ok(())
    }
}

// the value between n − 1 spaces on either side; positions count from 1
fn ngrams(value: &str, n: usize, positional: bool, into: &mut Tokens) {
    let (mut padded, mut starts) = (std::mem::take(&mut into.padded), std::mem::take(&mut into.starts));
    padded.clear();
    padded.extend(std::iter::repeat_n(' ', n - 1).chain(value.chars()).chain(std::iter::repeat_n(' ', n - 1)));
    starts.clear();
    starts.extend(padded.char_indices().map(|(at, _)| at).chain([padded.len()]));
    for at in 0..starts.len().saturating_sub(n) {
        if positional {
            push_number(at + 1, &mut into.text);
            into.text.push(' ');
        }
        into.text.push_str(&padded[starts[at]..starts[at + n]]);
        into.ends.push(into.text.len());
    }
    (into.padded, into.starts) = (padded, starts);
}

// in decimal; the formatter took 8 % of all encoding for it
fn push_number(number: usize, into: &mut String) {
    if number >= 10 {
        push_number(number / 10, into);
    }
    into.push(char::from(b'0' + (number % 10) as u8));
}

// Vatsalan and Christen (2015), quantised as clkhash does: 2 · resolution + 1 numbers around the nearest grid point
fn neighbourhood(
    value: &str,
    interval: &BigInt,
    resolution: u32,
    fractional_precision: u32,
    into: &mut Tokens,
) -> Result<(), String> {
    let whole = number::integer(value).map(|whole| whole * BigInt::from(10).pow(fractional_precision));
    let scaled: BigInt = match whole {
        Some(scaled) => scaled,
        None => fraction(value, fractional_precision).ok_or("is not a number")?,
    };
    let scaled: BigInt = scaled * 2u32 * resolution;
    let residue = scaled.mod_floor(interval);
    let nearest =
        if residue.is_zero() || &residue * 2 < *interval { scaled - residue } else { scaled + (interval - residue) };
    let resolution = i64::from(resolution);
    (-resolution..=resolution).for_each(|step| into.push(format_args!("{}", &nearest + interval * step)));
    Ok(())
}

fn fraction(value: &str, fractional_precision: u32) -> Option<BigInt> {
    let float = number::float(value).filter(|float| float.is_finite())?;
    let scaled = if fractional_precision > 0 {
        (float * 10f64.powi(i32::try_from(fractional_precision).ok()?)).round_ties_even()
    } else {
        float.trunc()
    };
    BigInt::from_f64(scaled)
}
