//! Every pair of rows that meet in some pass: its score, and what its fields show.

use std::collections::{HashMap, HashSet};

use hedui_protocol::encoder::Encoder;
use hedui_protocol::encodings::Encodings;
use hedui_protocol::schema::{Kind, Schema};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use rayon::prelude::*;

use super::agreement::{Comparer, Parts};
use crate::failure::{Failure, Outcome};
use crate::learning::mixture::{self, Group, Sample, Shown};
use crate::matching::index::Index;
use crate::matching::join::Evidence;
use crate::sides::Side;
use crate::terminal::{self, Interrupt};

/// A row, encoded as a server would hold it, and read into parts as only its owner can.
pub struct Row {
    encodings: Encodings,
    parts: Parts,
}

impl Row {
    pub fn read(encoder: &Encoder, comparer: &Comparer, cells: &[&str]) -> Self {
        Self { encodings: encoder.encode(&encoder.normalise(cells)).encodings, parts: comparer.read(cells) }
    }
}

/// A pair of rows that meet.
pub struct Meeting {
    pub a: u32,
    pub b: u32,
    pub score: f64,
    /// Position among the groups of pairs that show the same.
    pub group: u32,
}

pub struct Meetings {
    pub pairs: Vec<Meeting>,
    /// What the pairs of each group show, and the probability that they match.
    pub groups: Vec<(Shown, f64)>,
    /// Expected matches that meet in no pass.
    pub unseen: f64,
    /// Rows of A that were compared.
    pub queries: f64,
}

const BLOCK: usize = 1024;
/// Rows of A that are compared; of a larger file every so manieth.
const MOST_QUERIES: usize = 20_000;
/// Random pairs, from which chance agreement is known.
const STRANGERS: usize = 1_000_000;
/// Bits from which a pair counts as sure.
const SURE: f64 = 7.0;
/// Bits by which a doubtful pair is less likely where both of its rows have a sure partner: files mostly hold a person once.
const TAKEN: f64 = 4.0;

impl Meetings {
    /// `one_file` says that A and B are the same file: a pair has no direction then, and no row meets itself.
    pub fn of(
        schema: &Schema,
        comparer: &Comparer,
        a: &Side<Row>,
        b: &Side<Row>,
        one_file: bool,
        interrupt: &Interrupt,
    ) -> Outcome<Self> {
        let index = Index::of_encodings(b.rows.iter().map(|row| &row.encodings)).map_err(Failure::refused)?;
        let step = if one_file { 1 } else { a.rows.len().div_ceil(MOST_QUERIES) };
        let queries: Vec<usize> = (0..a.rows.len()).step_by(step).collect();
        let of_row = |at: &usize| {
            let (ours, at) = (&a.rows[*at], u32::try_from(*at).expect("files of fewer than 2^32 rows"));
            let found = index.candidates(&ours.encodings).into_iter();
            found.filter(move |row| !one_file || *row > at).map(move |row| {
                let theirs = &b.rows[row as usize];
                let Evidence { passes, distances } = Evidence::of(schema, &ours.encodings, &theirs.encodings);
                (at, row, schema.score(&passes, &distances), comparer.compare(&ours.parts, &theirs.parts))
            })
        };
        let mut met: Vec<(u32, u32, f64, Shown)> = Vec::new();
        let progress = terminal::bar(queries.len() as u64, "comparing pairs");
        for some in queries.chunks(BLOCK) {
            interrupt.check()?;
            met.par_extend(some.par_iter().flat_map_iter(of_row));
            progress.inc(some.len() as u64);
        }
        progress.finish_and_clear();
        let sure: Vec<(u32, u32)> =
            met.iter().filter(|(_, _, score, _)| *score >= SURE).map(|(a, b, ..)| (*a, *b)).collect();
        let known = if one_file { Known::persons(a.rows.len(), &sure) } else { Known::partners(&sure) };
        let mut numbers: HashMap<Shown, u32> = HashMap::new();
        let mut groups: Vec<Group> = Vec::new();
        let mut pairs = Vec::with_capacity(met.len());
        for (a, b, score, shown) in met {
            let group = *numbers.entry(shown).or_insert_with_key(|shown| {
                groups.push(Group { shown: shown.clone(), pairs: 0.0, guess: 0.0 });
                u32::try_from(groups.len() - 1).expect("fewer groups than pairs")
            });
            groups[group as usize].pairs += 1.0;
            groups[group as usize].guess += 1.0 / (1.0 + (-known.corrected(a, b, score)).exp2());
            pairs.push(Meeting { a, b, score, group });
        }
        groups.iter_mut().for_each(|group| group.guess /= group.pairs);
        let (rows_a, rows_b) = (queries.len() as f64, b.rows.len() as f64);
        let of_birth = |kind| matches!(kind, Kind::Date | Kind::ResidentId | Kind::Sex);
        let fit = mixture::fit(&Sample {
            groups: &groups,
            strangers: &strangers(comparer, a, b, one_file),
            all_pairs: if one_file { rows_a * (rows_a - 1.0) / 2.0 } else { rows_a * rows_b },
            of_birth: &schema.fields.iter().map(|field| of_birth(field.kind)).collect::<Vec<_>>(),
            meets: &|shown| comparer.meets(shown),
        });
        let groups = groups.into_iter().zip(fit.matches).map(|(group, p)| (group.shown, p)).collect();
        Ok(Self { pairs, groups, unseen: fit.unseen, queries: rows_a })
    }
}

fn strangers(comparer: &Comparer, a: &Side<Row>, b: &Side<Row>, one_file: bool) -> Vec<Shown> {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut below = |bound: usize| ((u64::from(random.next_u32()) * bound as u64) >> 32) as usize;
    let drawn: Vec<(usize, usize)> = (0..STRANGERS).map(|_| (below(a.rows.len()), below(b.rows.len()))).collect();
    let different = drawn.par_iter().filter(|(a, b)| !one_file || a != b);
    different.map(|(at_a, at_b)| comparer.compare(&a.rows[*at_a].parts, &b.rows[*at_b].parts)).collect()
}

/// What sure pairs say of the others.
enum Known {
    /// Rows of one file that are one person's: what two of them share with a third, they share (union-find).
    Persons(Vec<u32>),
    /// Rows of two files that have a sure partner.
    Partners(HashSet<u32>, HashSet<u32>),
}

impl Known {
    fn persons(rows: usize, sure: &[(u32, u32)]) -> Self {
        let mut persons: Vec<u32> = (0..u32::try_from(rows).expect("files of fewer than 2^32 rows")).collect();
        for (one, other) in sure {
            let (one, other) = (person(&persons, *one), person(&persons, *other));
            persons[one.max(other) as usize] = one.min(other);
        }
        Self::Persons(persons)
    }

    fn partners(sure: &[(u32, u32)]) -> Self {
        Self::Partners(sure.iter().map(|(a, _)| *a).collect(), sure.iter().map(|(_, b)| *b).collect())
    }

    /// A doubtful pair's score in the light of the sure ones: it is sure if they connect it, and unlikely if each of its
    /// rows has a partner already.
    fn corrected(&self, a: u32, b: u32, score: f64) -> f64 {
        match self {
            _ if score >= SURE => score,
            Self::Persons(persons) if person(persons, a) == person(persons, b) => SURE,
            Self::Partners(of_a, of_b) if of_a.contains(&a) && of_b.contains(&b) => score - TAKEN,
            _ => score,
        }
    }
}

fn person(persons: &[u32], row: u32) -> u32 {
    let mut at = row;
    while persons[at as usize] != at {
        at = persons[at as usize];
    }
    at
}
