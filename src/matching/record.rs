//! All pairs of filters: for the profiles without tokens, `record` and `clk`.

use hedui_protocol::encodings::{Encodings, Shape};
use hedui_protocol::schema::{Profile, Schema};

use super::Match;
use super::exhaustive::{Filters, Kernel, Limit, Measure, Overlap, Records, Threshold};
use super::index::Index;

/// The first filter of every row that has one.
pub struct FilterMatrix {
    rows: Vec<u32>,
    records: Records,
}

impl FilterMatrix {
    pub fn new(index: &Index, shape: &Shape) -> Self {
        let length = shape.filter_bytes.first().copied().expect("validated: a profile without tokens has one filter");
        let (mut rows, mut bytes) = (Vec::new(), Vec::new());
        for row in 0..index.rows() {
            if let Some(bits) = index.row(row).filter(0, &shape.filter_bytes) {
                rows.push(row);
                bytes.extend_from_slice(bits);
            }
        }
        let filters = Filters::new(&bytes, length).expect("validated: a length that is compared");
        Self { rows, records: Records::new(&filters, Kernel::fastest()) }
    }

    pub fn matches(&self, schema: &Schema, probe: &Encodings) -> Vec<Match> {
        let Some((_, probe)) = probe.filters.first() else { return Vec::new() };
        let probe: Vec<u64> = probe.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
        let bits = u32::try_from(64 * probe.len()).expect("validated: at most 16,384");
        let Some(threshold) = reach(schema) else { return Vec::new() };
        let measure = match schema.profile {
            Profile::Clk => Measure::Dice,
            Profile::Cohort | Profile::Record => Measure::Hamming,
        };
        let mut matches = Vec::new();
        self.records.search(&probe, &Limit { measure, threshold, bits }, |found, Overlap { a, b, both }| {
            // SPEC 6.6  what the differing bits are a share of; of two empty CLKs 0/0, which is in no band
            let whole = match measure {
                Measure::Dice => a + b,
                Measure::Hamming => bits,
            };
            let score = schema.score(&[], &[Some(f64::from(a + b - 2 * both) / f64::from(whole))]);
            let band = schema.band(score, &[]);
            matches.extend(band.map(|band| Match { row: self.rows[found as usize], score, band, via: None }));
        });
        matches
    }
}

/// A similarity that no match falls below; none where nothing is a match.
fn reach(schema: &Schema) -> Option<Threshold> {
    let filter = &schema.filters[0];
    let is_match = |weight: f64| schema.decision.bias + weight >= schema.decision.possible;
    if is_match(filter.beyond) {
        return Some(Threshold::below(0.0));
    }
    let farthest = filter.bands.iter().rev().find(|band| is_match(band.weight))?;
    Some(Threshold::below(1.0 - farthest.at_most))
}
