//! From a value to tokens: n-grams, the whole value, or a number's neighbourhood (SPEC 13.5).

use std::borrow::Cow;

use num_bigint::BigInt;
use num_integer::Integer as _;
use num_traits::{FromPrimitive as _, Zero as _};

use super::number;
use super::schema::Comparison;

impl Comparison {
    /// An empty value has no tokens.
    pub fn tokens<'v>(&self, value: &'v str) -> Result<Vec<Cow<'v, str>>, String> {
        if value.is_empty() {
            return Ok(Vec::new());
        }
        match self {
            Self::Exact => Ok(vec![value.into()]),
            Self::Ngram { n, positional } => Ok(ngrams(value, *n, *positional)),
            Self::Numeric { interval, resolution, fractional_precision } => {
                neighbourhood(value, interval, *resolution, *fractional_precision)
            }
        }
    }
}

// the value between n − 1 spaces on either side; positions count from 1
fn ngrams(value: &str, n: usize, positional: bool) -> Vec<Cow<'_, str>> {
    let pad = " ".repeat(n - 1);
    let padded = format!("{pad}{value}{pad}");
    let mut edges: Vec<usize> = padded.char_indices().map(|(at, _)| at).collect();
    edges.push(padded.len());
    let grams = (0..edges.len().saturating_sub(n)).map(|at| (at + 1, &padded[edges[at]..edges[at + n]]));
    grams.map(|(at, gram)| if positional { format!("{at} {gram}").into() } else { gram.to_owned().into() }).collect()
}

// Vatsalan and Christen (2015), quantised as clkhash does: 2 · resolution + 1 numbers around the nearest grid point
fn neighbourhood<'v>(
    value: &str,
    interval: &BigInt,
    resolution: u32,
    fractional_precision: u32,
) -> Result<Vec<Cow<'v, str>>, String> {
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
    Ok((-resolution..=resolution).map(|step| (&nearest + interval * step).to_string().into()).collect())
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
