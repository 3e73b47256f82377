//! All pairs of filters: for the profiles without tokens, `record` and `clk`.

use hedui_protocol::encodings::{Encodings, Shape};
use hedui_protocol::schema::{Profile, Schema};

use super::Match;
use super::index::Index;

/// The first filter of every row that has one, word by word.
pub struct FilterMatrix {
    words: usize,
    rows: Vec<u32>,
    filters: Vec<u64>,
    /// Set bits of each.
    ones: Vec<u32>,
}

impl FilterMatrix {
    pub fn new(index: &Index, shape: &Shape) -> Self {
        let words = shape.filter_bytes.first().map_or(0, |bytes| bytes / 8);
        let mut matrix = Self { words, rows: Vec::new(), filters: Vec::new(), ones: Vec::new() };
        for row in 0..index.rows() {
            let encodings =
                Encodings::parse(index.row(row).encodings, shape).expect("rows were checked when they came in");
            if let Some((_, bits)) = encodings.filters.first() {
                matrix.rows.push(row);
                matrix.filters.extend(bits.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)));
                matrix.ones.push(bits.iter().map(|byte| byte.count_ones()).sum());
            }
        }
        matrix
    }

    pub fn matches(&self, schema: &Schema, probe: &Encodings) -> Vec<Match> {
        let Some((_, bits)) = probe.filters.first() else { return Vec::new() };
        let probe: Vec<u64> = bits.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
        let ones: u32 = probe.iter().map(|word| word.count_ones()).sum();
        // SPEC 6.6  what the differing bits are a share of; of two empty CLKs 0/0, which is in no band
        let whole = |other: u32| match schema.profile {
            Profile::Clk => f64::from(ones + other),
            Profile::Cohort | Profile::Record => (self.words * 64) as f64,
        };
        let judge = |((row, filter), other): ((&u32, &[u64]), &u32)| {
            let distance: u32 = probe.iter().zip(filter).map(|(a, b)| (a ^ b).count_ones()).sum();
            let score = schema.score(&[], &[Some(f64::from(distance) / whole(*other))]);
            let band = schema.band(score, &[])?;
            Some(Match { row: *row, score, band, via: None })
        };
        self.rows.iter().zip(self.filters.chunks_exact(self.words)).zip(&self.ones).filter_map(judge).collect()
    }
}
