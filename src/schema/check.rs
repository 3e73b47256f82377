//! `hedui schema check`: whether a schema reads, and what it does with a file's own values.

use std::collections::HashMap;
use std::path::PathBuf;

use clap::Args;
use hedui_protocol::passes::Normaliser;
use hedui_protocol::schema::{Profile, Schema};
use rayon::prelude::*;

use crate::failure::{Failure, Outcome};
use crate::options::{TableFormat, warn};
use crate::project::manifest::{ProfileName, load_schema};
use crate::table::columns::Columns;
use crate::terminal;

const BLOCK: usize = 4096;
/// The mean fill that a filter's `k` is to give (SPEC 6).
const FILL: std::ops::RangeInclusive<f64> = 0.35..=0.40;

#[derive(Args, Debug)]
pub struct Check {
    /// A schema file, or the name of a preset
    #[arg(value_name = "SCHEMA")]
    schema: String,
    /// A file to try it on: how many rows each pass can find, how large its cohorts are, how full its filters
    #[arg(long, value_name = "DATA")]
    data: Option<PathBuf>,
    #[command(flatten)]
    format: TableFormat,
    /// Rows that may share a token; beyond it the encoder leaves the token out
    #[arg(long, value_name = "ROWS", default_value_t = 256)]
    cohort: u32,
}

/// What a file's rows do under a schema.
struct Trial {
    rows: u64,
    /// For each pass: rows that have a value, and how many rows share each value (by its hash).
    passes: Vec<(u64, HashMap<u64, u32>)>,
    /// For each filter: rows that have grams, and the grams of all.
    grams: Vec<(u64, u64)>,
}

impl Check {
    pub fn run(self) -> Outcome {
        let schema = load_schema(&self.schema, ProfileName::Cohort)?;
        let (fields, passes, filters) = (schema.fields.len(), schema.passes.len(), schema.filters.len());
        println!("{}: {fields} fields, {passes} passes, {filters} filters", schema.name);
        warn(&self.schema, &schema);
        if let Some(data) = &self.data {
            if schema.profile == Profile::Clk {
                return Err(Failure::usage("cells of the profile `clk` are not read here")
                    .hint("`hedui clk encode` and `hedui clk describe` show what a file's CLKs look like"));
            }
            self.tell(&schema, &self.tried(&schema, data)?);
        }
        Ok(())
    }

    fn tried(&self, schema: &Schema, data: &std::path::Path) -> Outcome<Trial> {
        let mut table = self.format.open(data)?;
        let columns = Columns::find(&table, schema, &self.format.map)?;
        let normaliser = Normaliser::new(schema);
        let mut trial = Trial {
            rows: 0,
            passes: schema.passes.iter().map(|_| Default::default()).collect(),
            grams: vec![(0, 0); schema.filters.len()],
        };
        let progress = terminal::counter("trying rows");
        loop {
            let rows = table.next_rows(BLOCK)?;
            if rows.is_empty() {
                progress.finish_and_clear();
                return table.refuse_empty().map(|()| trial);
            }
            let read: Vec<_> = rows.par_iter().map(|row| normaliser.row(&columns.cells(row))).collect();
            for row in read {
                trial.rows += 1;
                for ((filled, cohorts), values) in trial.passes.iter_mut().zip(row.passes.hashes()) {
                    *filled += u64::from(values.len() > 0);
                    values.for_each(|value| *cohorts.entry(value).or_default() += 1);
                }
                for ((filled, grams), own) in trial.grams.iter_mut().zip(&row.grams) {
                    *filled += u64::from(!own.is_empty());
                    *grams += own.len() as u64;
                }
            }
            progress.set_position(trial.rows);
        }
    }

    fn tell(&self, schema: &Schema, trial: &Trial) {
        let share = |rows: u64| 100.0 * rows as f64 / trial.rows as f64;
        println!("{} rows", trial.rows);
        for (pass, (filled, cohorts)) in schema.passes.iter().zip(&trial.passes) {
            let largest = cohorts.values().copied().max().unwrap_or(0);
            let over = cohorts.values().filter(|rows| **rows > self.cohort).count();
            let capped = if over > 0 {
                format!(" · {over} values over the cap are left out: too coarse for this file")
            } else {
                String::new()
            };
            println!("  pass   {:26} {:5.1} % of rows · largest cohort {largest}{capped}", pass.name, share(*filled));
        }
        for (filter, (filled, grams)) in schema.filters.iter().zip(&trial.grams) {
            let mean = if *filled == 0 { 0.0 } else { *grams as f64 / *filled as f64 };
            let fill = 1.0 - (-mean * f64::from(filter.k) / f64::from(filter.bits)).exp();
            let advice = if *filled == 0 || FILL.contains(&fill) {
                String::new()
            } else {
                format!(" · k = {} would give .37", k_for(filter.bits, mean))
            };
            println!(
                "  filter {:26} {:5.1} % of rows · {mean:.1} grams, fill {fill:.2}{advice}",
                filter.name,
                share(*filled)
            );
        }
    }
}

/// A gram with fewer positions is hardly told from what others set by chance.
const LEAST_K: u16 = 8;

/// The shorter length, unless that leaves a gram fewer than [`LEAST_K`] positions at the fill it should have.
pub fn bits_for(grams: f64) -> u16 {
    if k_for(1024, grams) < LEAST_K { 2048 } else { 1024 }
}

/// Positions a gram for a mean fill of .37: fill = 1 − exp(−grams · k / bits).
pub fn k_for(bits: u16, grams: f64) -> u16 {
    (0.462 * f64::from(bits) / grams.max(1.0)).round().clamp(1.0, 400.0) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_as_long_and_as_full_as_its_grams_ask() {
        for (grams, bits, k) in [(0.0, 1024, 400), (8.0, 1024, 59), (40.0, 1024, 12), (63.0, 1024, 8), (64.0, 2048, 15)]
        {
            assert_eq!((bits_for(grams), k_for(bits, grams)), (bits, k), "{grams}");
            if grams > 0.0 {
                let fill = 1.0 - (-grams * f64::from(k) / f64::from(bits)).exp();
                assert!((0.35..0.40).contains(&fill), "{grams}: {fill}");
            }
        }
    }
}
