//! stub
use serde::{Deserialize, Serialize};
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Schema {
    pub name: String,
    pub normalisation: String,
    pub profile: Profile,
    #[serde(rename = "field")]
    pub fields: Vec<Field>,
    #[serde(rename = "pass", default)]
    pub passes: Vec<Pass>,
    #[serde(rename = "filter", default)]
    pub filters: Vec<Filter>,
    pub decision: Decision,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    Cohort,
    Record,
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Field {
    pub name: String,
    pub kind: String,
    #[serde(default)]
    pub columns: Vec<String>,
    #[serde(default)]
    pub optional: bool,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Identifies {
    Exact,
    Repaired,
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pass {
    pub name: String,
    pub of: Vec<String>,
    pub identifies: Option<Identifies>,
    pub equal: f64,
    pub unequal: f64,
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Filter {
    pub name: String,
    pub cohort: Option<String>,
    pub fields: Vec<String>,
    pub bits: u16,
    pub k: u16,
    pub t: u8,
    pub bands: Vec<FilterBand>,
    pub beyond: f64,
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FilterBand {
    pub at_most: f64,
    pub weight: f64,
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    pub bias: f64,
    pub possible: f64,
    pub probable: f64,
}
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct SchemaError(String);
impl Schema {
    pub fn validate(&self) -> Result<(), SchemaError> {
        Ok(())
    }
    pub fn parse(text: &str) -> Result<Schema, SchemaError> {
        toml::from_str(text).map_err(|e| SchemaError(e.to_string()))
    }
    pub fn preset(_: &str) -> Option<&'static str> {
        None
    }
    pub fn for_record_profile(&self) -> Schema {
        self.clone()
    }
    pub const PRESETS: &[&str] = &[];
}
