//! What `hedui tune` says: the curve, what each pass brings, and advice.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use hedui_protocol::schema::Schema;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use serde::Serialize;

use super::agreement::Comparer;
use super::estimate::{Advice, Bar, Estimate, Estimates, Missed, Point, Scored, advise, stratum};
use super::meetings::{Meeting, Meetings};
use crate::failure::{Failure, Outcome};
use crate::sides::KnownPair;

#[derive(Serialize)]
pub struct Report {
    pub schema: String,
    pub rows_a: usize,
    pub rows_b: usize,
    /// Rows of A that were compared: of a large file every so manieth.
    pub queries: f64,
    /// Pairs that meet in some pass.
    pub pairs: usize,
    /// Expected matches, and those of them that meet in no pass.
    pub matches: f64,
    pub unseen: f64,
    pub reviewed: usize,
    /// Reviewed pairs that meet in no pass: no threshold finds them.
    pub reviewed_unmet: usize,
    pub recommended: Advice,
    /// What the schema's own thresholds give.
    pub schema_possible: Point,
    pub schema_probable: Point,
    pub curve: Vec<Point>,
    pub histogram: Vec<Bar>,
    pub passes: Vec<PassReport>,
}

#[derive(Serialize)]
pub struct PassReport {
    pub pass: String,
    /// Pairs that agree in this pass.
    pub pairs: u64,
    /// How many of them match, if agreement in this pass were all that is asked.
    pub precision: Estimate,
    /// How many of all matches agree in this pass.
    pub recall: Estimate,
    /// Expected matches that agree in no other pass.
    pub alone: f64,
    /// The same by threshold, for pairs that agree in this pass.
    pub curve: Vec<Point>,
}

/// Thresholds that the text lists, every second one; the page and the JSON have all.
const SHOWN: std::ops::RangeInclusive<f64> = -8.0..=16.0;
/// Fewer pairs than these say little.
const FEW: usize = 100;
/// Pairs of each stratum that a sample for review holds.
const SAMPLE: usize = 20;

impl Report {
    pub fn of(
        schema: &Schema,
        comparer: &Comparer,
        meetings: &Meetings,
        reviewed: &[KnownPair],
        rows: [usize; 2],
    ) -> Outcome<Self> {
        let places: HashMap<(u32, u32), &Meeting> =
            meetings.pairs.iter().map(|pair| ((pair.a, pair.b), pair)).collect();
        let place = |pair: &KnownPair| places.get(&(pair.a, pair.b)).or_else(|| places.get(&(pair.b, pair.a)));
        let known: Vec<(&Meeting, bool)> =
            reviewed.iter().filter_map(|pair| place(pair).map(|met| (*met, pair.matches))).collect();
        let scored = |pair: &Meeting| Scored { score: pair.score, p: meetings.groups[pair.group as usize].1 };
        let estimates = |of: &dyn Fn(u32) -> bool| {
            let pairs = meetings.pairs.iter().filter(|pair| of(pair.group)).map(scored).collect();
            let known: Vec<(Scored, bool)> = known
                .iter()
                .filter(|(pair, _)| of(pair.group))
                .map(|(pair, matches)| (scored(pair), *matches))
                .collect();
            Estimates::new(pairs, &known, meetings.queries)
        };
        let unseen = Missed::inferred(meetings.unseen);
        let all = estimates(&|_| true).missing(unseen);
        let curve = all.curve();
        let recommended = advise(&curve).ok_or_else(|| {
            Failure::refused("no row of A meets any row of B in any pass")
                .hint("are these files of the same people, and the columns mapped to the right fields?")
        })?;
        let pass = |number: usize| {
            let agrees: Vec<bool> = meetings.groups.iter().map(|(shown, _)| comparer.meets_in(number, shown)).collect();
            let of = |group: u32| agrees[group as usize];
            let own = estimates(&of);
            let missed = Missed { matches: (all.matches() - own.matches()).max(0.0), ..unseen };
            let own = own.missing(missed);
            let alone = meetings.pairs.iter().filter(|pair| {
                let shown = &meetings.groups[pair.group as usize].0;
                of(pair.group)
                    && !(0..schema.passes.len()).any(|other| other != number && comparer.meets_in(other, shown))
            });
            let whole = own.at(f64::NEG_INFINITY);
            PassReport {
                pass: schema.passes[number].name.clone(),
                pairs: whole.pairs,
                precision: whole.precision,
                recall: whole.recall,
                alone: alone.map(|pair| scored(pair).p).fold(0.0, |sum, p| sum + p),
                curve: own.curve(),
            }
        };
        Ok(Self {
            schema: schema.name.clone(),
            rows_a: rows[0],
            rows_b: rows[1],
            queries: meetings.queries,
            pairs: meetings.pairs.len(),
            matches: all.matches(),
            unseen: meetings.unseen,
            reviewed: reviewed.len(),
            reviewed_unmet: reviewed.len() - known.len(),
            recommended,
            schema_possible: all.at(schema.decision.possible),
            schema_probable: all.at(schema.decision.probable),
            curve,
            histogram: all.histogram(),
            passes: (0..schema.passes.len()).map(pass).collect(),
        })
    }

    /// Whether so few pairs meet that a model of them says little.
    pub fn is_of_few(&self) -> bool {
        self.pairs < FEW
    }

    pub fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |line: std::fmt::Arguments| writeln!(text, "{line}").expect("a String takes everything");
        let (a, b) = (self.rows_a, self.rows_b);
        line(format_args!("{a} rows against {b}: {} pairs meet in some pass", self.pairs));
        if self.queries < a as f64 {
            line(format_args!("(from {} rows of the first file, evenly drawn)", self.queries));
        }
        line(format_args!("{:.0} matches expected, {:.0} of them meet in no pass", self.matches, self.unseen));
        if self.is_of_few() {
            line(format_args!("so few pairs say little: the intervals are wide, and the advice may be far off"));
        }
        if self.reviewed > 0 {
            line(format_args!("{} reviewed pairs, {} of them meet in no pass", self.reviewed, self.reviewed_unmet));
        }
        line(format_args!("\nthreshold     pairs  precision             recall                false a million rows"));
        let shown = |point: &&Point| SHOWN.contains(&point.threshold) && point.threshold.rem_euclid(2.0) == 0.0;
        for point in self.curve.iter().filter(shown) {
            line(format_args!("{}", row(&format!("{:.1}", point.threshold), point)));
        }
        line(format_args!("\nadvice (bits)"));
        for (name, why, point) in [
            ("possible", "precision and recall are best together", &self.recommended.possible),
            ("probable", "at most one in a thousand is expected to be false", &self.recommended.probable),
        ] {
            line(format_args!("{}   {why}", row(&format!("{name} = {:.1}", point.threshold), point)));
        }
        line(format_args!("\nthe schema `{}` as it is", self.schema));
        for (name, point) in [("possible", &self.schema_possible), ("probable", &self.schema_probable)] {
            line(format_args!("{}", row(&format!("{name} = {:.1}", point.threshold), point)));
        }
        line(format_args!("\npass                            pairs  precision  recall  found by it alone"));
        for pass in &self.passes {
            let (precision, recall) = (pass.precision.estimate, pass.recall.estimate);
            line(format_args!("{:26} {:10}  {precision:9.4}  {recall:6.4}  {:.0}", pass.pass, pass.pairs, pass.alone));
        }
        text
    }
}

fn row(name: &str, point: &Point) -> String {
    let interval = |Estimate { estimate, low, high }| format!("{estimate:.4} ({low:.3}–{high:.3})");
    format!(
        "{name:>9} {:>9}  {}  {}  {:.0}",
        point.pairs,
        interval(point.precision),
        interval(point.recall),
        point.false_per_million
    )
}

/// Pairs worth a look: of every stratum of scores the same number, drawn at random (the same each time).
pub fn sample(meetings: &Meetings) -> Vec<&Meeting> {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut strata: BTreeMap<usize, Vec<(u32, &Meeting)>> = BTreeMap::new();
    for pair in &meetings.pairs {
        strata.entry(stratum(pair.score)).or_default().push((random.next_u32(), pair));
    }
    let drawn = strata.into_values().flat_map(|mut pairs| {
        pairs.sort_by_key(|(lot, _)| *lot);
        pairs.into_iter().take(SAMPLE).map(|(_, pair)| pair)
    });
    drawn.collect()
}
