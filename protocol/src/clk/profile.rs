//! The profile `clk` of the service: a schema around a clkhash linkage schema (SPEC 13.7 to 13.10).

use std::sync::{Mutex, PoisonError};

use super::{Cache, ClkEncoder, ClkSchema, ClkSchemaError, RowRefused};
use crate::schema::{
    Clk, DateOrder, Decision, Field, Filter, FilterBand, Kind, Profile, Schema, SchemaError, UNREAD, entry,
};

/// Encodes rows by the linkage schema of a schema. Holds keys: not `Debug`. Shared by threads.
pub struct PlainEncoder {
    encoder: ClkEncoder,
    /// For each feature, whether the schema has a field for it: ignored ones have none.
    encoded: Vec<bool>,
    /// Those that no thread uses just now.
    caches: Mutex<Vec<Cache>>,
}

impl PlainEncoder {
    /// `schema` has been validated; `secret` is clkhash's.
    pub fn new(schema: &Schema, secret: &[u8]) -> Self {
        let linkage = linkage_schema(schema).expect("validated: the linkage schema reads");
        let encoder = ClkEncoder::new(&linkage, secret).expect("validated: the linkage schema makes CLKs");
        Self { encoder, encoded: linkage.fields.iter().map(Option::is_some).collect(), caches: Mutex::default() }
    }

    /// One cell a field of the schema, in its order.
    pub fn encode(&self, cells: &[&str]) -> Result<Vec<u8>, RowRefused> {
        let mut own = cells.iter();
        let mut cell = || *own.next().expect("validated: a field for each encoded feature");
        let cells: Vec<&str> = self.encoded.iter().map(|encoded| if *encoded { cell() } else { "" }).collect();
        let caches = || self.caches.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = caches().pop();
        let mut cache = idle.unwrap_or_else(|| self.encoder.cache());
        let mut clk = Vec::new();
        let encoded = self.encoder.encode(&cells, &mut cache, &mut clk);
        caches().push(cache);
        encoded.map(|()| clk)
    }
}

impl Schema {
    /// A schema of the profile `clk` around a linkage schema: its features as fields; a match is probable, or possible, from
    /// these Dice coefficients on.
    pub fn around_linkage_schema(name: &str, json: &str, probable: f64, possible: f64) -> Result<Self, SchemaError> {
        let linkage = ClkSchema::parse(json.as_bytes()).map_err(refused)?;
        let bits = u16::try_from(linkage.bits).map_err(|_| refused(too_long(&linkage)))?;
        let band = |at_most, weight| FilterBand { at_most, weight };
        let field = |name: &str| Field {
            name: name.trim().to_owned(),
            kind: Kind::Verbatim,
            columns: Vec::new(),
            optional: false,
            order: DateOrder::Any,
            tolerance: None,
            alias_of: None,
        };
        let schema = Self {
            name: name.to_owned(),
            normalisation: UNREAD.into(),
            profile: Profile::Clk,
            record_k: None,
            decision: Decision { bias: 0.0, possible: 4.0, probable: 8.0, strangers: None },
            clk: Some(Clk { schema: json.to_owned() }),
            fields: encoded(&linkage).map(field).collect(),
            passes: Vec::new(),
            filters: vec![Filter {
                name: "clk".into(),
                cohort: None,
                fields: Vec::new(),
                bits,
                k: 0,
                t: 0,
                bands: vec![band(one_less(probable), 8.0), band(one_less(possible), 4.0)],
                beyond: -8.0,
            }],
        };
        schema.validate().map(|()| schema)
    }
}

/// Whether the linkage schema reads, makes CLKs, and is the one that filter and fields speak of.
pub(crate) fn check(schema: &Schema) -> Result<(), SchemaError> {
    let linkage = linkage_schema(schema)?;
    // what a linkage schema lacks it lacks under any secret
    ClkEncoder::new(&linkage, &[]).map_err(refused)?;
    let filter = &schema.filters[0];
    if usize::from(filter.bits) != linkage.bits {
        let wrong = format!("has {} bits, the linkage schema's CLKs have {}", filter.bits, linkage.bits);
        return Err(entry("filter", &filter.name, wrong));
    }
    let (fields, features) = (schema.fields.len(), encoded(&linkage).count());
    if fields != features {
        let wrong = format!("encodes {features} features, but there are {fields} fields");
        return Err(entry("profile", "clk", wrong));
    }
    let mut pairs = schema.fields.iter().zip(encoded(&linkage));
    let is_of = |field: &Field, feature: &str| {
        std::iter::once(&field.name).chain(&field.columns).any(|name| name.trim() == feature.trim())
    };
    match pairs.find(|(field, feature)| !is_of(field, feature)) {
        None => Ok(()),
        Some((field, feature)) => {
            let wrong =
                format!("stands where the linkage schema encodes `{feature}`: neither its name nor in its columns");
            Err(entry("field", &field.name, wrong))
        }
    }
}

/// 1 − Dice as people write it, without a double's tail.
fn one_less(dice: f64) -> f64 {
    ((1.0 - dice) * 1e9).round() / 1e9
}

pub(crate) fn remarks(schema: &Schema) -> Vec<String> {
    linkage_schema(schema).map(|linkage| linkage.remarks()).unwrap_or_default()
}

fn linkage_schema(schema: &Schema) -> Result<ClkSchema, SchemaError> {
    let clk = schema.clk.as_ref().ok_or(SchemaError::Clk)?;
    ClkSchema::parse(clk.schema.as_bytes()).map_err(refused)
}

/// The features that are encoded, by name, in their order.
fn encoded(linkage: &ClkSchema) -> impl Iterator<Item = &str> {
    linkage.fields.iter().flatten().map(|field| field.name.as_str())
}

fn refused(error: ClkSchemaError) -> SchemaError {
    SchemaError::Linkage(error.to_string())
}

fn too_long(linkage: &ClkSchema) -> ClkSchemaError {
    ClkSchemaError::at("clkConfig.l", format!("CLKs of {} bits are longer than the service takes", linkage.bits))
}
