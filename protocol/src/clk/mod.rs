//! The `clk` profile: cryptographic longterm keys, byte for byte as clkhash 0.18.3 makes them (SPEC 13).
//!
//! For interoperation and research. A CLK is an undiffused Bloom filter over all fields: frequency and pattern
//! attacks read such filters, so a service project does not use them.

mod date;
mod format;
mod hash;
mod number;
mod pattern;
mod schema;
mod tokens;

use std::collections::HashMap;

pub use schema::{ClkSchema, ClkSchemaError};

use hash::FieldHash;
use schema::{Field, Strategy};

/// Values of one field that a [`Cache`] remembers before it starts anew.
const REMEMBERED: usize = 1 << 14;

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

/// Values seen before and the bits that they set, one map a field: people share names, towns and years. One a thread.
pub struct Cache(Vec<HashMap<String, Box<[u64]>>>);

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
        Cache(self.fields.iter().map(|_| HashMap::new()).collect())
    }

    /// One cell a feature of the schema, in its order. The bytes of the CLK, the first bit the highest of the first byte.
    pub fn encode(&self, cells: &[&str], cache: &mut Cache) -> Result<Vec<u8>, RowRefused> {
        assert_eq!(cells.len(), self.fields.len(), "one cell a feature");
        let mut bits = vec![0u64; self.bits.div_ceil(64)];
        for ((field, cell), known) in self.fields.iter().zip(cells).zip(&mut cache.0) {
            let Some(encoder) = field else { continue };
            if let Some(known) = known.get(*cell) {
                bits.iter_mut().zip(known).for_each(|(bits, known)| *bits |= known);
                continue;
            }
            let mut own = vec![0u64; bits.len()];
            encoder.set(cell, &mut own)?;
            bits.iter_mut().zip(&own).for_each(|(bits, own)| *bits |= own);
            if known.len() >= REMEMBERED {
                known.clear();
            }
            known.insert((*cell).to_owned(), own.into_boxed_slice());
        }
        Ok(self.folded(bits))
    }

    // SPEC 13.6  each fold XORs the two halves
    fn folded(&self, mut bits: Vec<u64>) -> Vec<u8> {
        let mut length = self.bits;
        for _ in 0..self.folds {
            length /= 2;
            bits = if length.is_multiple_of(64) {
                let (first, second) = bits.split_at(length / 64);
                first.iter().zip(second).map(|(one, other)| one ^ other).collect()
            } else {
                let folded = (0..length).filter(|at| bit(&bits, *at) != bit(&bits, at + length));
                folded.fold(vec![0; length.div_ceil(64)], |mut half, at| {
                    set_bit(&mut half, at);
                    half
                })
            };
        }
        let mut bytes: Vec<u8> = bits.iter().flat_map(|word| word.to_be_bytes()).collect();
        bytes.truncate(length.div_ceil(8));
        bytes
    }
}

impl FieldEncoder {
    fn set(&self, cell: &str, bits: &mut [u64]) -> Result<(), RowRefused> {
        let refused = |wrong: String| RowRefused { column: self.field.name.clone(), wrong };
        let value = self.field.value(cell).map_err(refused)?;
        let tokens = self.field.comparison.tokens(&value).map_err(refused)?;
        let count = tokens.len();
        for (at, token) in tokens.iter().enumerate() {
            let token = self.field.encoding.bytes(token).map_err(refused)?;
            let k = match self.field.strategy {
                Strategy::BitsPerToken(k) => k,
                // SPEC 13.5  the first tokens take the remainder
                Strategy::BitsPerFeature(total) => total / count + usize::from(at < total % count),
            };
            self.hash.set(&token, k, bits);
        }
        Ok(())
    }
}

fn bit(bits: &[u64], at: usize) -> bool {
    bits[at / 64] >> (63 - at % 64) & 1 == 1
}

fn set_bit(bits: &mut [u64], at: usize) {
    bits[at / 64] |= 1 << (63 - at % 64);
}
