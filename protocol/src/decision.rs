//! stub
use crate::schema::Schema;
use serde::{Deserialize, Serialize};
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    Missing,
    Equal,
    Unequal,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Band {
    Exact,
    Repaired,
    Probable,
    Possible,
}
impl Schema {
    pub fn score(&self, _: &[Seen], _: &[Option<f64>]) -> f64 {
        0.0
    }
    pub fn band(&self, _: f64, _: &[Seen]) -> Option<Band> {
        None
    }
}
