//! What is told about a matched record at each level (SPEC 8.6): JSON, then padded and sealed.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::manifest::{Item, Level};

/// One opened payload. Personal data: it does not print itself.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payload {
    /// The day that the agency's row speaks of.
    pub as_of: Date,
    /// L1. None: the agency's row has no figure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over_limit: Option<bool>,
    /// L2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub band: Option<ValueBand>,
    /// L3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<BTreeMap<String, String>>,
}

/// `from` ≤ measure < `below`; an open end is left out.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValueBand {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub below: Option<f64>,
}

impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Payload(..)")
    }
}

/// A measure that is not a number. It names the column; the value stays where it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{column}` is not a number")]
pub struct NotANumber {
    pub column: String,
}

impl Payload {
    /// What `item` tells at `level`; `cell` gives the text of a payload column.
    pub fn of<'c>(item: &Item, level: Level, as_of: Date, cell: impl Fn(&str) -> &'c str) -> Result<Self, NotANumber> {
        let mut payload = Self { as_of, over_limit: None, band: None, values: None };
        match level {
            Level::L0 => {}
            Level::L1 => {
                let limit = item.limit.expect("validated: an item with L1 has a limit");
                payload.over_limit = measure(item, cell)?.map(|value| value > limit);
            }
            Level::L2 => payload.band = measure(item, cell)?.map(|value| band(&item.bands, value)),
            Level::L3 => {
                let value = |column: &String| (column.clone(), cell(column).to_owned());
                payload.values = Some(item.columns.iter().map(value).collect());
            }
        }
        Ok(payload)
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a payload has only string keys")
    }

    pub fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

fn measure<'c>(item: &Item, cell: impl Fn(&str) -> &'c str) -> Result<Option<f64>, NotANumber> {
    let column = item.measure.as_deref().expect("validated: an item with L1 or L2 has a measure");
    let text = cell(column).trim();
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(Some(value)),
        _ => Err(NotANumber { column: column.to_owned() }),
    }
}

fn band(ends: &[f64], value: f64) -> ValueBand {
    let above = ends.partition_point(|end| *end <= value);
    ValueBand { from: above.checked_sub(1).map(|i| ends[i]), below: ends.get(above).copied() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item() -> Item {
        Item {
            name: "deposits".into(),
            title: "Deposits".into(),
            title_zh: "存款".into(),
            levels: vec![Level::L0, Level::L1, Level::L2, Level::L3],
            columns: vec!["accounts".into(), "balance".into()],
            measure: Some("balance".into()),
            limit: Some(50_000.0),
            bands: vec![1_000.0, 50_000.0],
            bucket: 128,
        }
    }

    fn payload(level: Level, balance: &str) -> Result<String, NotANumber> {
        let cell = |column: &str| if column == "balance" { balance } else { "2" };
        let payload = Payload::of(&item(), level, jiff::civil::date(2026, 11, 24), cell)?;
        assert_eq!(Payload::parse(&payload.to_bytes()).as_ref(), Some(&payload));
        Ok(String::from_utf8(payload.to_bytes()).unwrap())
    }

    #[test]
    fn a_level_tells_no_more_than_it_says() {
        assert_eq!(payload(Level::L0, "70000.00").unwrap(), r#"{"as_of":"2026-11-24"}"#);
        assert_eq!(payload(Level::L1, "70000.00").unwrap(), r#"{"as_of":"2026-11-24","over_limit":true}"#);
        assert_eq!(payload(Level::L2, "70000.00").unwrap(), r#"{"as_of":"2026-11-24","band":{"from":50000.0}}"#);
        assert_eq!(
            payload(Level::L3, "70000.00").unwrap(),
            r#"{"as_of":"2026-11-24","values":{"accounts":"2","balance":"70000.00"}}"#
        );
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_a_payload_or_not_one(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let _ = Payload::parse(&bytes);
        }
    }

    #[test]
    fn bands_hold_their_lower_end() {
        assert!(payload(Level::L2, "999.99").unwrap().contains(r#""band":{"below":1000.0}"#));
        assert!(payload(Level::L2, "1000").unwrap().contains(r#""band":{"from":1000.0,"below":50000.0}"#));
    }

    #[test]
    fn a_figure_that_is_none_is_named_by_its_column() {
        assert_eq!(payload(Level::L1, "n/a").unwrap_err().to_string(), "`balance` is not a number");
        assert_eq!(payload(Level::L1, "").unwrap(), r#"{"as_of":"2026-11-24"}"#);
    }
}
