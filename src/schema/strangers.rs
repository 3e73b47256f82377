//! What a schema's weights are worth in one file: how many other people's rows share a row's values there, and here.
//!
//! What agreement says against a pair of strangers falls as more of them agree. How often errors break agreement between
//! one person's rows is the preset's (a file alone does not show it); how common its values are is the file's own.

use hedui_protocol::decision::Seen;
use hedui_protocol::encoder::Encoder;
use hedui_protocol::ids::ManifestId;
use hedui_protocol::keys::LinkageKey;
use hedui_protocol::schema::Schema;
use rayon::prelude::*;

use crate::failure::{Failure, Outcome};
use crate::matching::index::Index;
use crate::matching::join::Evidence;

/// How much of its share of strangers (in bits) a weight follows, the bias and each pass: passes overlap, and a value that
/// is common makes several of them so. Chosen on towns made up for it (FEBRL's names, evenly or skewed; 1,000 to 20,000
/// rows; four choices of fields): mean F1 .804 with the preset's weights, .838 with these. On cities of `hedui synth`, mean
/// over three choices of fields: .975, .971 (6,000 people; a set of 34 matches loses three), .926, .932 (300,000).
const OF_BIAS: f64 = 0.75;
const OF_PASS: f64 = 0.25;
/// Rows with a value below which a pass keeps its weight.
const FEWEST: f64 = 100.0;

const HEAD: &str =
    "bits of evidence, by how many rows of other people share a row's value, on average (and in the preset's file)";

/// How many rows of other people share something with a row of a file, on average.
pub struct Strangers {
    /// Rows that meet a row in some pass.
    pub met: f64,
    /// For each pass, of the rows that have a value; none where too few do.
    pub sharing: Vec<Option<f64>>,
}

impl Strangers {
    /// Pairs of `rows` that match by the schema's weights, and not barely, are one person's, entered twice, and do not count.
    /// The file has `times` as many rows as are given.
    pub fn among(schema: &Schema, rows: &[Vec<&str>], times: f64) -> Outcome<Self> {
        let key: Vec<u8> = (0..32).collect();
        let key = LinkageKey::new(&key).expect("32 different bytes");
        // nothing of these encodings is kept: any key will do
        let encoder = Encoder::new(&key, ManifestId([0; 32]), schema, "local");
        let encodings: Vec<_> =
            rows.par_iter().map(|cells| encoder.encode(&encoder.normalise(cells)).encodings).collect();
        let index = Index::of_encodings(encodings.iter()).map_err(Failure::refused)?;
        let passes = schema.passes.len();
        // half-way: from `possible` on namesakes would be left out, below `probable` many a person entered twice would count
        let one_person = (schema.decision.possible + schema.decision.probable) / 2.0;
        // the last count is of rows that meet in any pass
        let of_row = |(row, probe): (u32, &_)| {
            let mut counts = vec![0u64; passes + 1];
            for other in index.candidates(probe).into_iter().filter(|other| *other != row) {
                let Evidence { passes: seen, distances } = Evidence::of(schema, probe, &encodings[other as usize]);
                if schema.score(&seen, &distances) < one_person {
                    seen.iter().zip(&mut counts).for_each(|(seen, count)| *count += u64::from(*seen == Seen::Equal));
                    counts[passes] += 1;
                }
            }
            counts
        };
        let add = |mut sum: Vec<u64>, more: Vec<u64>| {
            sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
            sum
        };
        let numbered: Vec<_> = (0u32..).zip(&encodings).collect();
        let counts = numbered.into_par_iter().map(of_row).reduce(|| vec![0; passes + 1], add);
        let sharing = (0..passes).map(|pass| {
            let number = u8::try_from(pass).expect("validated: at most 200 passes");
            let filled = encodings.iter().filter(|row| row.of_pass(number).next().is_some()).count() as f64;
            (filled >= FEWEST).then(|| two_digits(times * counts[pass] as f64 / filled))
        });
        let met = two_digits(times * counts[passes] as f64 / encodings.len().max(1) as f64);
        Ok(Self { met, sharing: sharing.collect() })
    }

    /// Moves a schema's weights from the file that they were learned on to this one. Says what it did, a line each.
    pub fn weigh(&self, schema: &mut Schema) -> Vec<String> {
        let mut lines = Vec::new();
        let decision = &mut schema.decision;
        if let Some(learned) = decision.strangers {
            let weight = moved(decision.bias, OF_BIAS, learned, self.met);
            lines.push(HEAD.into());
            lines.push(told("bias", weight, decision.bias, self.met, learned));
            (decision.bias, decision.strangers) = (weight, Some(self.met));
        }
        for (pass, sharing) in schema.passes.iter_mut().zip(&self.sharing) {
            match (pass.strangers, *sharing) {
                (None, _) => {}
                (Some(_), None) => {
                    lines.push(format!(
                        "  {:24} {:5}: as in the preset, too few rows have a value",
                        pass.name, pass.equal
                    ));
                }
                (Some(learned), Some(here)) => {
                    let weight = moved(pass.equal, OF_PASS, learned, here);
                    lines.push(told(&pass.name, weight, pass.equal, here, learned));
                    (pass.equal, pass.strangers) = (weight, Some(here));
                }
            }
        }
        lines
    }
}

fn told(what: &str, weight: f64, before: f64, here: f64, learned: f64) -> String {
    let moved = if weight == before { "as in the preset".to_owned() } else { format!("from {before}") };
    format!("  {what:24} {weight:5}: {moved}, {here} rows ({learned})")
}

/// A weight in bits, rounded as people write them. Of `1 + strangers` rows that share a value one may be the person's.
fn moved(weight: f64, part: f64, learned: f64, here: f64) -> f64 {
    let weight = weight - part * ((1.0 + here) / (1.0 + learned)).log2();
    (100.0 * weight).round() / 100.0
}

/// What more digits would say is chance.
fn two_digits(number: f64) -> f64 {
    format!("{number:.1e}").parse().expect("it was a number")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_strangers_leave_a_weight_and_more_lower_it() {
        assert_eq!(moved(3.0, 0.25, 0.1, 0.1), 3.0);
        assert_eq!(moved(3.0, 1.0, 0.0, 3.0), 1.0);
        assert_eq!(moved(3.0, 0.25, 0.0, 15.0), 2.0);
        assert_eq!(moved(3.0, 0.75, 3.0, 0.0), 4.5);
        assert_eq!((two_digits(0.0), two_digits(1234.5), two_digits(0.0616)), (0.0, 1200.0, 0.062));
    }

    /// Two hundred people, each entered twice: nobody's own second row is a stranger's.
    #[test]
    fn rows_of_one_person_are_no_strangers_and_a_sample_counts_for_its_file() {
        let schema = Schema::parse(Schema::preset("person").unwrap()).unwrap();
        let cell = |field: &str, person: usize| match field {
            "given_name" => "ann".to_owned(),
            "surname" => format!("{}{}", char::from(b'a' + (person % 26) as u8), ["ron", "tim", "sal"][person % 3]),
            "dob" => format!("19{:02}-{:02}-{:02}", person % 90 + 10, person % 12 + 1, person % 28 + 1),
            "national_id" => format!("{}", 1_000_003 * (person + 11)),
            _ => String::new(),
        };
        let cells: Vec<Vec<String>> =
            (0..400).map(|row| schema.fields.iter().map(|field| cell(&field.name, row % 200)).collect()).collect();
        let rows: Vec<Vec<&str>> = cells.iter().map(|row| row.iter().map(String::as_str).collect()).collect();
        let at = |name: &str| schema.passes.iter().position(|pass| pass.name == name).unwrap();
        let once = Strangers::among(&schema, &rows, 1.0).unwrap();
        assert_eq!(once.sharing[at("nid")], Some(0.0));
        assert!(once.sharing[at("names")].unwrap() > 1.0);
        assert_eq!(once.sharing[at("phone")], None, "nobody has one");
        let sample = Strangers::among(&schema, &rows, 10.0).unwrap();
        assert!((sample.met / once.met - 10.0).abs() < 0.6, "{} {}", sample.met, once.met);
    }
}
