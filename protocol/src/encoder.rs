//! From a row's cells to its encodings for one agency: normalise, then tokens, filters and wrap keys.

use std::fmt;

use crate::encodings::{Encodings, Token};
use crate::filter::Diffuser;
use crate::ids::ManifestId;
use crate::keys::{LinkageKey, PassSecret, ProjectKey, WrapKey};
use crate::passes::{NormalisedRow, Normaliser};
use crate::schema::{Profile, Schema};

/// Encodes rows for one agency under one manifest. Holds secrets; shared by threads.
pub struct Encoder {
    agency: String,
    key: ProjectKey,
    normaliser: Normaliser,
    identifies: Vec<bool>,
    filters: Vec<FilterUse>,
}

struct FilterUse {
    name: String,
    /// The pass whose value keys the filter; none in the record profile.
    cohort: Option<usize>,
    diffuser: Diffuser,
}

/// A row's encodings, with what only their owner may keep.
pub struct Encoded {
    pub encodings: Encodings,
    /// For each token of an identifying pass: its index among the tokens, and its wrap key.
    pub wrap_keys: Vec<(u8, WrapKey)>,
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Encoder({}, ..)", self.agency)
    }
}

impl Encoder {
    pub fn new(key: &LinkageKey, manifest: ManifestId, schema: &Schema, agency: &str) -> Self {
        let key = key.for_project(manifest);
        let filters = schema.filters.iter().map(|filter| {
            let cohort = filter.cohort.as_ref().map(|cohort| {
                let position = schema.passes.iter().position(|pass| pass.name == *cohort);
                position.expect("validated: a filter's cohort is a pass")
            });
            let diffuser = Diffuser::new(filter, key.filter_map(&filter.name, agency));
            FilterUse { name: filter.name.clone(), cohort, diffuser }
        });
        Self {
            agency: agency.to_owned(),
            filters: filters.collect(),
            normaliser: Normaliser::new(schema),
            identifies: match schema.profile {
                Profile::Cohort => schema.passes.iter().map(|pass| pass.identifies.is_some()).collect(),
                Profile::Record => Vec::new(),
            },
            key,
        }
    }

    pub fn normalise(&self, cells: &[&str]) -> NormalisedRow {
        self.normaliser.row(cells)
    }

    pub fn encode(&self, row: &NormalisedRow) -> Encoded {
        let secrets: Vec<Vec<PassSecret>> =
            row.passes.iter().map(|values| values.iter().map(|value| self.key.secret(value)).collect()).collect();
        let mut tokens: Vec<(u8, Token)> = Vec::with_capacity(32);
        let mut wrap_keys = Vec::new();
        for (pass, secrets) in secrets.iter().enumerate() {
            for secret in secrets {
                if self.identifies[pass] {
                    let index = u8::try_from(tokens.len()).expect("a row has at most 255 tokens");
                    wrap_keys.push((index, secret.wrap_key(&self.agency)));
                }
                let pass = u8::try_from(pass).expect("validated: at most 255 passes");
                tokens.push((pass, secret.token(&self.agency)));
            }
        }
        Encoded { encodings: Encodings { tokens, filters: self.filters(row, &secrets) }, wrap_keys }
    }

    fn filters(&self, row: &NormalisedRow, secrets: &[Vec<PassSecret>]) -> Vec<(u8, Vec<u8>)> {
        let mut filters = Vec::with_capacity(self.filters.len());
        for (number, (filter, grams)) in self.filters.iter().zip(&row.grams).enumerate() {
            if grams.is_empty() {
                continue;
            }
            let record_secret;
            let secret = match filter.cohort {
                Some(pass) => secrets[pass].first(),
                None => {
                    record_secret = self.key.record_secret(&filter.name);
                    Some(&record_secret)
                }
            };
            if let Some(secret) = secret {
                let key = secret.filter_key(&self.agency, &filter.name);
                let number = u8::try_from(number).expect("validated: at most 255 filters");
                filters.push((number, filter.diffuser.encode(&key, grams)));
            }
        }
        filters
    }
}
