//! The `clk` profile: cryptographic longterm keys, byte for byte as clkhash 0.18.3 makes them (SPEC 13).
//!
//! For interoperation and research. A CLK is an undiffused Bloom filter over all fields: frequency and pattern
//! attacks read such filters, so a service project that uses them must say `dangerously_plain`.

mod date;
mod format;
mod hash;
mod number;
mod pattern;
pub mod profile;
mod schema;
mod tokens;

pub use schema::{ClkSchema, ClkSchemaError};

use std::ops::Range;

use foldhash::HashMap;
use hash::FieldHash;
use schema::{Field, Strategy};
use tokens::Tokens;

/// Values of one field that a [`Cache`] remembers before it starts anew, and tokens.
const VALUES: usize = 1 << 14;
const TOKENS: usize = 1 << 16;
/// Of so many values of a field one in five must have been seen before, or its values are not remembered any more.
const TRIAL: u32 = 1 << 12;

/// Encodes rows under one schema and secret. Holds keys: not `Debug`. Shared by threads.
pub struct ClkEncoder {
    fields: Vec<Option<FieldEncoder>>,
    /// Bits before folding.
    bits: usize,
    folds: u32,
}

struct FieldEncoder {
    field: Field,
    hash: FieldHash,
}

/// What was seen before, field by field: people share names, towns, years and the bigrams in them. One a thread.
pub struct Cache {
    fields: Vec<Seen>,
    tokens: Tokens,
    /// The row at hand.
    bits: Vec<u64>,
}

#[derive(Default)]
struct Seen {
    /// Values, and where in `masks` the bits lie that they set.
    values: HashMap<Box<str>, usize>,
    masks: Vec<u64>,
    positions: Positions,
    asked: u32,
    met: u32,
}

/// Tokens, and their positions: as many as were asked so far.
#[derive(Default)]
struct Positions {
    tokens: HashMap<u128, Range<usize>>,
    known: Vec<u32>,
    /// Of a token that is not remembered.
    passing: Vec<u32>,
}

impl Positions {
    /// The first `k` positions of a token; `make` appends them, and perhaps more, where they are not known.
    fn of<E>(&mut self, token: &str, k: usize, make: impl FnOnce(&mut Vec<u32>) -> Result<(), E>) -> Result<&[u32], E> {
        let Some(name) = as_number(token) else {
            self.passing.clear();
            make(&mut self.passing)?;
            return Ok(&self.passing[..k]);
        };
        if let Some(known) = self.tokens.get(&name).filter(|known| known.len() >= k) {
            return Ok(&self.known[known.start..][..k]);
        }
        if self.tokens.len() >= TOKENS {
            self.tokens.clear();
            self.known.clear();
        }
        let start = self.known.len();
        make(&mut self.known)?;
        self.tokens.insert(name, start..self.known.len());
        Ok(&self.known[start..][..k])
    }
}

/// A token of at most fifteen bytes as a number; longer ones seldom come again, and are not remembered.
fn as_number(token: &str) -> Option<u128> {
    let mut bytes = [0; 16];
    bytes[..15].get_mut(..token.len())?.copy_from_slice(token.as_bytes());
    bytes[15] = token.len() as u8;
    Some(u128::from_le_bytes(bytes))
}

impl Seen {
    /// Whether this field's values repeat often enough to be remembered.
    fn repeats(&self) -> bool {
        self.asked < TRIAL || self.met > TRIAL / 5
    }
}

/// Why a row is refused: which column, and the rule. Never the value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{column}` {wrong}")]
pub struct RowRefused {
    pub column: String,
    pub wrong: String,
}

impl ClkEncoder {
    pub fn new(schema: &ClkSchema, secret: &[u8]) -> Result<Self, ClkSchemaError> {
        let keys = schema.kdf.keys(secret, schema.fields.len())?;
        let encoder = |(field, keys): (&Option<Field>, [Vec<u8>; 2])| {
            let field = field.as_ref()?.clone();
            let hash = FieldHash::new(&field.hash, keys, schema.unfolded_bits());
            Some(hash.map(|hash| FieldEncoder { field, hash }))
        };
        let fields = schema.fields.iter().zip(keys).map(|pair| encoder(pair).transpose());
        Ok(Self { fields: fields.collect::<Result<_, _>>()?, bits: schema.unfolded_bits(), folds: schema.folds })
    }

    pub fn cache(&self) -> Cache {
        let fields = self.fields.iter().map(|_| Seen::default()).collect();
        Cache { fields, tokens: Tokens::default(), bits: vec![0; self.bits.div_ceil(64)] }
    }

    /// One cell a feature of the schema, in its order. Appends the bytes of the CLK, the first bit the highest of the
    /// first byte.
    pub fn encode(&self, cells: &[&str], cache: &mut Cache, into: &mut Vec<u8>) -> Result<(), RowRefused> {
        assert_eq!(cells.len(), self.fields.len(), "one cell a feature");
        let Cache { fields, tokens, bits } = cache;
        bits.fill(0);
        for ((field, cell), seen) in self.fields.iter().zip(cells).zip(fields) {
            let Some(encoder) = field else { continue };
            if !seen.repeats() {
                encoder.set(cell, &mut seen.positions, tokens, bits)?;
                continue;
            }
            seen.asked = seen.asked.saturating_add(1);
            let words = bits.len();
            if let Some(start) = seen.values.get(*cell) {
                seen.met = seen.met.saturating_add(1);
                merge(bits, &seen.masks[*start..][..words]);
                continue;
            }
            if seen.values.len() >= VALUES {
                seen.values.clear();
                seen.masks.clear();
            }
            let start = seen.masks.len();
            seen.masks.resize(start + words, 0);
            let own = &mut seen.masks[start..];
            if let Err(refused) = encoder.set(cell, &mut seen.positions, tokens, own) {
                seen.masks.truncate(start);
                return Err(refused);
            }
            merge(bits, own);
            seen.values.insert((*cell).into(), start);
        }
        self.fold(bits);
        let length = self.bits >> self.folds;
        let bytes = bits[..length.div_ceil(64)].iter().map(|word| word.to_be_bytes());
        let end = into.len() + length.div_ceil(8);
        bytes.for_each(|word| into.extend_from_slice(&word));
        into.truncate(end);
        Ok(())
    }

    // SPEC 13.6  each fold XORs the two halves
    fn fold(&self, bits: &mut [u64]) {
        let mut length = self.bits;
        for _ in 0..self.folds {
            length /= 2;
            if length.is_multiple_of(64) {
                let (first, second) = bits[..length / 32].split_at_mut(length / 64);
                first.iter_mut().zip(second).for_each(|(one, other)| *one ^= *other);
            } else {
                let folded: Vec<bool> = (0..length).map(|at| bit(bits, at) != bit(bits, at + length)).collect();
                bits.fill(0);
                (0..length).filter(|at| folded[*at]).for_each(|at| set_bit(bits, at));
            }
        }
    }
}

impl FieldEncoder {
    fn set(&self, cell: &str, seen: &mut Positions, tokens: &mut Tokens, bits: &mut [u64]) -> Result<(), RowRefused> {
        let refused = |wrong: String| RowRefused { column: self.field.name.clone(), wrong };
        let value = self.field.value(cell).map_err(refused)?;
        self.field.comparison.tokens(&value, tokens).map_err(refused)?;
        let count = tokens.len();
        for (at, token) in tokens.iter().enumerate() {
            let k = match self.field.strategy {
                Strategy::BitsPerToken(k) => k,
                // SPEC 13.5  the first tokens take the remainder
                Strategy::BitsPerFeature(total) => total / count + usize::from(at < total % count),
            };
            let make = |into: &mut Vec<u32>| {
                self.hash.positions(&self.field.encoding.bytes(token).map_err(refused)?, k, into);
                Ok(())
            };
            seen.of(token, k, make)?.iter().for_each(|at| set_bit(bits, *at as usize));
        }
        Ok(())
    }
}

fn merge(bits: &mut [u64], more: &[u64]) {
    bits.iter_mut().zip(more).for_each(|(bits, more)| *bits |= more);
}

fn bit(bits: &[u64], at: usize) -> bool {
    bits[at / 64] >> (63 - at % 64) & 1 == 1
}

fn set_bit(bits: &mut [u64], at: usize) {
    bits[at / 64] |= 1 << (63 - at % 64);
}
