//! `hedui clk describe`: how a file of CLKs looks, to its owner.

use std::collections::HashMap;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::file::{Clks, Form};
use crate::failure::Outcome;

/// Rows shown of duplicates and outliers.
const SHOWN: usize = 5;
/// Bars of the histogram.
const BARS: usize = 16;
/// Standard deviations from the mean beyond which a CLK is an outlier.
const FAR: f64 = 4.0;

#[derive(Args, Debug)]
pub struct Describe {
    /// CLKs: .json, .bin or .parquet
    #[arg(value_name = "CLKS")]
    clks: PathBuf,
    /// Bits of a CLK; raw binary does not tell
    #[arg(long, value_name = "BITS")]
    bits: Option<usize>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Description {
    clks: usize,
    bits: usize,
    /// Bits set: their mean, standard deviation, least and most.
    mean: f64,
    deviation: f64,
    least: u32,
    most: u32,
    /// CLKs without a bit: records with nothing to encode.
    empty: usize,
    histogram: Vec<Bar>,
    /// Rows whose CLK an earlier row has.
    duplicates: usize,
    /// Ids of rows that share the CLK which most rows have.
    commonest: Vec<String>,
    outliers: usize,
    /// Ids of the rows farthest from the mean.
    farthest: Vec<String>,
}

#[derive(Serialize)]
struct Bar {
    from: u32,
    below: u32,
    clks: usize,
}

impl Describe {
    pub fn run(self) -> Outcome {
        let clks = Clks::read(&self.clks, Form::of(None, &self.clks)?, self.bits)?;
        let description = describe(&clks);
        if self.json {
            println!("{}", serde_json::to_string(&description).expect("a description is JSON"));
        } else {
            description.print();
        }
        Ok(())
    }
}

fn describe(clks: &Clks) -> Description {
    let counts: Vec<u32> = clks.iter().map(|clk| clk.iter().map(|byte| byte.count_ones()).sum()).collect();
    let rows = counts.len() as f64;
    let mean = counts.iter().map(|count| f64::from(*count)).sum::<f64>() / rows;
    let variance = counts.iter().map(|count| (f64::from(*count) - mean).powi(2)).sum::<f64>() / rows;
    let deviation = variance.sqrt();
    let mut same: HashMap<&[u8], Vec<usize>> = HashMap::new();
    clks.iter().enumerate().for_each(|(row, clk)| same.entry(clk).or_default().push(row));
    let commonest =
        same.values().filter(|rows| rows.len() > 1).max_by_key(|rows| (rows.len(), std::cmp::Reverse(rows[0])));
    let mut far: Vec<usize> =
        (0..counts.len()).filter(|row| (f64::from(counts[*row]) - mean).abs() > FAR * deviation).collect();
    far.sort_by(|one, other| {
        let distance = |row: usize| (f64::from(counts[row]) - mean).abs();
        distance(*other).total_cmp(&distance(*one)).then(one.cmp(other))
    });
    let ids = |rows: &[usize]| rows.iter().take(SHOWN).map(|row| clks.id(*row)).collect::<Vec<_>>();
    Description {
        clks: counts.len(),
        bits: 8 * clks.length,
        mean,
        deviation,
        least: counts.iter().copied().min().unwrap_or(0),
        most: counts.iter().copied().max().unwrap_or(0),
        empty: counts.iter().filter(|count| **count == 0).count(),
        histogram: histogram(&counts),
        duplicates: counts.len() - same.len(),
        commonest: commonest.map(|rows| ids(rows)).unwrap_or_default(),
        outliers: far.len(),
        farthest: ids(&far),
    }
}

fn histogram(counts: &[u32]) -> Vec<Bar> {
    let (least, most) = (counts.iter().min().copied().unwrap_or(0), counts.iter().max().copied().unwrap_or(0));
    let width = (most - least) / BARS as u32 + 1;
    let bar = |from: u32| {
        let clks = counts.iter().filter(|count| (from..from + width).contains(count)).count();
        Bar { from, below: from + width, clks }
    };
    (least..=most).step_by(width as usize).map(bar).collect()
}

impl Description {
    fn print(&self) {
        println!("{} CLKs of {} bits", self.clks, self.bits);
        let share = 100.0 * self.mean / self.bits as f64;
        println!(
            "bits set: {:.1} on average ({share:.1} %), ± {:.1}; {} to {}",
            self.mean, self.deviation, self.least, self.most
        );
        let tallest = self.histogram.iter().map(|bar| bar.clks).max().unwrap_or(1).max(1);
        for bar in &self.histogram {
            let length = (bar.clks * 40).div_ceil(tallest);
            println!("  {:>5} – {:<5} {:40} {}", bar.from, bar.below - 1, "█".repeat(length), bar.clks);
        }
        let named =
            |ids: &[String]| if ids.is_empty() { String::new() } else { format!(" (rows {} …)", ids.join(", ")) };
        println!("duplicates: {}{}", self.duplicates, named(&self.commonest));
        println!("outliers, beyond {FAR} deviations: {}{}", self.outliers, named(&self.farthest));
        if self.empty > 0 {
            println!("without a bit: {}", self.empty);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duplicates_empty_ones_and_outliers_are_counted() {
        let mut bytes: Vec<u8> = (0..100u8).flat_map(|n| [0x0f, n, !n, 0xf0]).collect();
        bytes.extend([0x0f, 3, !3, 0xf0].into_iter().chain([0; 4]));
        let found = describe(&Clks { length: 4, bytes, ids: None });
        assert_eq!((found.clks, found.bits, found.duplicates, found.empty, found.outliers), (102, 32, 1, 1, 1));
        assert_eq!((found.commonest, found.farthest), (vec!["3".to_owned(), "100".into()], vec!["101".to_owned()]));
        assert_eq!(found.histogram.iter().map(|bar| bar.clks).sum::<usize>(), 102);
    }
}
