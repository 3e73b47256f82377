//! `hedui schema learn`: weights for a schema, learned where the data is; only weights leave.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use clap::Args;
use hedui_protocol::encoder::Encoder;
use hedui_protocol::encodings::Encodings;
use hedui_protocol::ids::ManifestId;
use hedui_protocol::keys::LinkageKey;
use hedui_protocol::schema::{Profile, Schema};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use rayon::prelude::*;

use crate::failure::{Failure, Outcome};
use crate::learning::disturb::Disturber;
use crate::learning::outcomes::{self, Pair};
use crate::learning::regression::{Example, Model};
use crate::options::TableFormat;
use crate::project::manifest::{ProfileName, load_schema};
use crate::sides::{Side, reviewed_pairs, true_pairs};
use crate::staging::{refuse_to_overwrite, replace_private};
use crate::terminal::{self, Interrupt};

/// Rows of a file that are used; more teach nothing new.
const ROWS: usize = 6000;
/// Matches and strangers below which weights are mostly chance.
const FEW: usize = 100;
/// Rounds in which likely matches among the supposed strangers of one file are left out.
const ROUNDS: usize = 3;
/// Further views of every data set, with fields left out of both sides: files that lack them.
const VIEWS: u64 = 4;
/// Fields left out of a view, one in so many.
const LEFT_OUT: f64 = 0.35;

#[derive(Args, Debug)]
pub struct Learn {
    /// A schema file, or the name of a preset; its weights are replaced
    #[arg(long, value_name = "FILE|PRESET")]
    schema: String,
    /// Two files and their true pairs (id_a,id_b); may be given several times
    #[arg(long, value_names = ["A", "B", "TRUTH"], num_args = 3)]
    known: Vec<PathBuf>,
    /// Two files and pairs of theirs that somebody looked at (id_a,id_b,match: 1 or 0); may be given several times
    #[arg(long, value_names = ["A", "B", "PAIRS"], num_args = 3)]
    reviewed: Vec<PathBuf>,
    /// A file whose truth nobody knows: its rows are compared with disturbed copies of themselves; may be given several times
    #[arg(long, value_name = "FILE")]
    own: Vec<PathBuf>,
    #[command(flatten)]
    format: TableFormat,
    /// The same seed draws the same copies
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// The schema to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Rows of a file, one cell a field.
type Rows = Side<Vec<String>>;

/// Two sides and which of their rows are one person's.
struct DataSet {
    a: Rows,
    b: Rows,
    truth: HashSet<(u32, u32)>,
    /// The pairs of which something is known, where that is not all.
    reviewed: Option<HashSet<(u32, u32)>>,
    /// Rows of one file may be one person's without anybody knowing.
    doubtful: bool,
}

impl Learn {
    pub fn run(self) -> Outcome {
        let interrupt = Interrupt::listen();
        let schema = load_schema(&self.schema, ProfileName::Cohort)?;
        if schema.profile != Profile::Cohort {
            return Err(Failure::usage("weights are learned for the `cohort` profile"));
        }
        let inputs = self.known.iter().chain(&self.reviewed).chain(&self.own).map(PathBuf::as_path);
        refuse_to_overwrite(&inputs.collect::<Vec<_>>(), [&self.out])?;
        if self.known.is_empty() && self.reviewed.is_empty() && self.own.is_empty() {
            return Err(Failure::usage(
                "name a file with `--own`, or two files and their truth with `--known`, or a sample with `--reviewed`",
            ));
        }
        let mut sets = Vec::new();
        for files in self.known.chunks(3) {
            sets.push(self.known_set(&schema, &files[0], &files[1], &files[2], &interrupt)?);
        }
        for files in self.reviewed.chunks(3) {
            sets.push(self.reviewed_set(&schema, &files[0], &files[1], &files[2], &interrupt)?);
        }
        for file in &self.own {
            sets.push(self.own_set(&schema, file, &interrupt)?);
        }
        let examples = examples(&schema, &sets, self.seed, &interrupt)?;
        let matches = examples.iter().filter(|example| example.positive).count();
        if matches < FEW || examples.len() - matches < FEW {
            terminal::note(format!(
                "warning: weights from so few pairs are mostly chance: {matches} matches and {} strangers, and {FEW} of each are few",
                examples.len() - matches
            ));
        }
        let model = Model::fit(&examples, outcomes::count(&schema));
        let learned = outcomes::with_weights(&schema, &model);
        let text = toml::to_string(&learned).map_err(Failure::refused)?;
        replace_private(&self.out, text.as_bytes())?;
        terminal::note(format!(
            "{}: weights from {matches} matches and {} strangers that meet in some pass",
            self.out.display(),
            examples.len() - matches,
        ));
        Ok(())
    }

    fn rows(&self, schema: &Schema, path: &Path, interrupt: &Interrupt) -> Outcome<Rows> {
        let keep = |cells: &[&str]| Ok(cells.iter().map(|cell| (*cell).to_owned()).collect());
        Side::read(path, &self.format, schema, interrupt, keep)
    }

    fn known_set(&self, schema: &Schema, a: &Path, b: &Path, truth: &Path, interrupt: &Interrupt) -> Outcome<DataSet> {
        let (a, b) = (self.rows(schema, a, interrupt)?, self.rows(schema, b, interrupt)?);
        let mut pairs = true_pairs(truth, &a.ids, &b.ids)?;
        // a file beside itself: a pair has no direction
        if a.ids == b.ids {
            let turned: Vec<(u32, u32)> = pairs.iter().map(|(one, other)| (*other, *one)).collect();
            pairs.extend(turned);
        }
        Ok(DataSet { a, b, truth: pairs, reviewed: None, doubtful: false })
    }

    fn reviewed_set(
        &self,
        schema: &Schema,
        a: &Path,
        b: &Path,
        reviewed: &Path,
        interrupt: &Interrupt,
    ) -> Outcome<DataSet> {
        let (a, b) = (self.rows(schema, a, interrupt)?, self.rows(schema, b, interrupt)?);
        let known = reviewed_pairs(reviewed, &a.ids, &b.ids)?;
        let truth = known.iter().filter(|pair| pair.matches).map(|pair| (pair.a, pair.b)).collect();
        let reviewed = Some(known.iter().map(|pair| (pair.a, pair.b)).collect());
        Ok(DataSet { a, b, truth, reviewed, doubtful: false })
    }

    fn own_set(&self, schema: &Schema, path: &Path, interrupt: &Interrupt) -> Outcome<DataSet> {
        let mut a = self.rows(schema, path, interrupt)?;
        let step = a.rows.len().div_ceil(ROWS);
        a.rows = a.rows.into_iter().step_by(step).collect();
        a.ids = a.ids.into_iter().step_by(step).collect();
        let mut disturber = Disturber::new(schema, self.seed);
        let count = a.rows.len();
        let copies = (0..count).map(|at| disturber.copy(&a.rows[at], &a.rows[(at + count / 2 + 1) % count]));
        let b = Rows { rows: copies.collect(), ids: a.ids.iter().map(|id| format!("{id}'")).collect() };
        let truth = (0..u32::try_from(count).expect("at most ROWS")).map(|at| (at, at)).collect();
        Ok(DataSet { a, b, truth, reviewed: None, doubtful: true })
    }
}

/// What the candidate pairs of all sets show, in every view.
fn examples(schema: &Schema, sets: &[DataSet], seed: u64, interrupt: &Interrupt) -> Outcome<Vec<Example>> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut examples = Vec::new();
    let progress = terminal::bar(sets.len() as u64 * (VIEWS + 1), "comparing pairs");
    for set in sets {
        for view in 0..=VIEWS {
            interrupt.check()?;
            let left_out: Vec<bool> = schema
                .fields
                .iter()
                .map(|_| view > 0 && f64::from(random.next_u32()) / f64::from(u32::MAX) < LEFT_OUT)
                .collect();
            let key: Vec<u8> = (0..32).map(|at: u8| at ^ view as u8).collect();
            let key = LinkageKey::new(&key).expect("32 different bytes");
            // nothing of these encodings is kept: any key will do
            let encoder = Encoder::new(&key, ManifestId([0; 32]), schema, "local");
            let (a, b) = (encode(&encoder, &set.a, &left_out), encode(&encoder, &set.b, &left_out));
            let mut pairs = outcomes::candidates(schema, &a, &b)?;
            pairs.retain(|pair| set.a.ids[pair.a as usize] != set.b.ids[pair.b as usize]);
            if let Some(reviewed) = &set.reviewed {
                pairs.retain(|pair| reviewed.contains(&(pair.a, pair.b)));
            }
            examples.extend(labelled(schema, set, pairs));
            progress.inc(1);
        }
    }
    progress.finish_and_clear();
    Ok(examples)
}

fn encode(encoder: &Encoder, rows: &Rows, left_out: &[bool]) -> Vec<Encodings> {
    let encode = |cells: &Vec<String>| {
        let cells = cells.iter().zip(left_out).map(|(cell, out)| if *out { "" } else { cell.as_str() });
        encoder.encode(&encoder.normalise(&cells.collect::<Vec<_>>())).encodings
    };
    rows.rows.par_iter().map(encode).collect()
}

/// Pairs with what is known of them. Where rows of one file may be one person's, likely matches that are none by the
/// list are left out: they would teach that likeness means nothing.
fn labelled(schema: &Schema, set: &DataSet, pairs: Vec<Pair>) -> Vec<Example> {
    let example = |pair: Pair| {
        let positive = set.truth.contains(&(pair.a, pair.b));
        Example { features: pair.features, positive }
    };
    let mut examples: Vec<Example> = pairs.into_iter().map(example).collect();
    if set.doubtful {
        for _ in 0..ROUNDS {
            let model = Model::fit(&examples, outcomes::count(schema));
            examples.retain(|example| example.positive || model.probability(&example.features) < 0.5);
        }
    }
    examples
}
