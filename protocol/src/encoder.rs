//! From a row's cells to its encodings for one agency: normalise, then tokens, filters and wrap keys.

use std::fmt;

use crate::encodings::{Encodings, Token};
use crate::filter::Diffuser;
use crate::ids::ManifestId;
use crate::keys::{LinkageKey, PassSecret, ProjectKey, TokenContext, WrapKey};
use crate::passes::{FieldState, NormalisedRow, Normaliser};
use crate::schema::{Profile, Schema};

/// Encodes rows for one agency under one manifest. Holds secrets; shared by threads.
pub struct Encoder {
    agency: String,
    tokens: TokenContext,
    key: ProjectKey,
    normaliser: Normaliser,
    /// For each pass, whether it names one person.
    identifies: Vec<bool>,
    /// For each pass, whether it is some filter's cohort.
    keys_filters: Vec<bool>,
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
    /// A spreadsheet has rounded one of the row's numbers.
    pub rounded: bool,
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Encoder({}, ..)", self.agency)
    }
}

impl Encoder {
    /// In the profiles `cohort` and `record`; [`RowEncoder`](crate::row_encoder::RowEncoder) knows `clk` too.
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
        let filters: Vec<FilterUse> = filters.collect();
        let keys_filter = |pass: usize| filters.iter().any(|filter| filter.cohort == Some(pass));
        Self {
            agency: agency.to_owned(),
            tokens: TokenContext::of(agency),
            keys_filters: (0..schema.passes.len()).map(keys_filter).collect(),
            filters,
            normaliser: Normaliser::new(schema),
            identifies: match schema.profile {
                Profile::Cohort => schema.passes.iter().map(|pass| pass.identifies.is_some()).collect(),
                Profile::Record => Vec::new(),
                Profile::Clk => unreachable!("a CLK is made of unread cells"),
            },
            key,
        }
    }

    pub fn normalise(&self, cells: &[&str]) -> NormalisedRow {
        self.normaliser.row(cells)
    }

    pub fn encode(&self, row: &NormalisedRow) -> Encoded {
        let mut tokens: Vec<(u8, Token)> = Vec::with_capacity(32);
        let mut wrap_keys = Vec::new();
        let mut cohorts: Vec<(usize, PassSecret)> = Vec::new();
        for (pass, values) in row.passes.iter().enumerate() {
            let number = u8::try_from(pass).expect("validated: at most 255 passes");
            for (at, value) in values.enumerate() {
                let secret = self.key.secret(value);
                if self.identifies[pass] {
                    let index = u8::try_from(tokens.len()).expect("a row has at most 255 tokens");
                    wrap_keys.push((index, secret.wrap_key(&self.agency)));
                }
                tokens.push((number, secret.token(&self.tokens)));
                if at == 0 && self.keys_filters[pass] {
                    cohorts.push((pass, secret));
                }
            }
        }
        let rounded = row.states.contains(&FieldState::Destroyed);
        Encoded { encodings: Encodings { tokens, filters: self.filters(row, &cohorts) }, wrap_keys, rounded }
    }

    fn filters(&self, row: &NormalisedRow, cohorts: &[(usize, PassSecret)]) -> Vec<(u8, Vec<u8>)> {
        let mut filters = Vec::with_capacity(self.filters.len());
        for (number, (filter, grams)) in self.filters.iter().zip(&row.grams).enumerate() {
            if grams.is_empty() {
                continue;
            }
            let record_secret;
            let secret = match filter.cohort {
                Some(pass) => cohorts.iter().find(|(of, _)| *of == pass).map(|(_, secret)| secret),
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
