//! What a pair of rows shows, field by field: which of its parts agree.

use std::collections::BTreeSet;

use hedui_protocol::passes::Normaliser;
use hedui_protocol::schema::{Pass, Schema};

use crate::learning::mixture::Shown;

/// Reads rows into parts, and compares them.
pub struct Comparer {
    normaliser: Normaliser,
    fields: usize,
    /// For each part that some pass takes: its field, and its bit among that field's parts.
    parts: Vec<(usize, u16)>,
    /// For each pass, the bits of each field that must agree.
    passes: Vec<Vec<(usize, u16)>>,
    /// Parts that may agree crosswise: two names that may be swapped.
    crosswise: Vec<(usize, usize)>,
}

/// A row's parts: for each the hashes of its alternatives.
pub struct Parts(Vec<Vec<u64>>);

impl Comparer {
    pub fn new(schema: &Schema) -> Self {
        let texts: BTreeSet<&String> = schema.passes.iter().flat_map(|pass| &pass.of).collect();
        let texts: Vec<&String> = texts.into_iter().collect();
        let mut taken = vec![0u16; schema.fields.len()];
        let parts: Vec<(usize, u16)> = texts
            .iter()
            .map(|text| {
                let (field, _) = schema.part(text).expect("validated: every part is one of the schema's");
                taken[field] += 1;
                (field, 1 << (taken[field] - 1))
            })
            .collect();
        let place = |text: &String| texts.iter().position(|known| *known == text).expect("taken from the passes");
        let pass = |pass: &Pass| pass.of.iter().map(|text| parts[place(text)]).collect();
        let crosswise = schema.passes.iter().filter(|pass| pass.unordered).flat_map(|pass| {
            let pairs = pass
                .of
                .iter()
                .enumerate()
                .flat_map(|(at, one)| pass.of[at + 1..].iter().map(move |other| (one, other)));
            pairs.filter(|(one, other)| kind(one) == kind(other)).map(|(one, other)| (place(one), place(other)))
        });
        // named by the kind of part alone: what two fields have in common has the same bytes
        let single = |text: &&String| Pass {
            name: kind(text).to_owned(),
            of: vec![(*text).clone()],
            identifies: None,
            equal: 0.0,
            unequal: 0.0,
            unordered: false,
            strangers: None,
        };
        let alone = Schema { passes: texts.iter().map(single).collect(), filters: Vec::new(), ..schema.clone() };
        Self {
            normaliser: Normaliser::new(&alone),
            fields: schema.fields.len(),
            passes: schema.passes.iter().map(pass).collect(),
            crosswise: crosswise.collect::<BTreeSet<_>>().into_iter().collect(),
            parts,
        }
    }

    pub fn read(&self, cells: &[&str]) -> Parts {
        Parts(self.normaliser.row(cells).passes.hashes().map(Iterator::collect).collect())
    }

    /// One outcome a field: 0 where a side has no value, else 1 and a bit for each part that agrees.
    pub fn compare(&self, a: &Parts, b: &Parts) -> Shown {
        let mut shown = vec![0u16; self.fields];
        for (at, (field, bit)) in self.parts.iter().enumerate() {
            let (ours, theirs) = (&a.0[at], &b.0[at]);
            if ours.is_empty() || theirs.is_empty() {
                continue;
            }
            shown[*field] = shown[*field].max(1);
            if meet(ours, theirs) {
                shown[*field] += *bit;
            }
        }
        for (one, other) in &self.crosswise {
            if meet(&a.0[*one], &b.0[*other]) && meet(&a.0[*other], &b.0[*one]) {
                for (field, bit) in [self.parts[*one], self.parts[*other]] {
                    shown[field] = 1 + ((shown[field] - 1) | bit);
                }
            }
        }
        shown.into()
    }

    /// Whether a pair that shows this meets in some pass.
    pub fn meets(&self, shown: &[u16]) -> bool {
        (0..self.passes.len()).any(|pass| self.meets_in(pass, shown))
    }

    /// Whether a pair that shows this meets in the pass of this number.
    pub fn meets_in(&self, pass: usize, shown: &[u16]) -> bool {
        self.passes[pass].iter().all(|(field, bit)| shown[*field] > 0 && (shown[*field] - 1) & bit != 0)
    }
}

/// What is taken of a field, without the field.
fn kind(text: &str) -> &str {
    text.split_once('.').map_or(text, |(_, kind)| kind)
}

fn meet(one: &[u64], other: &[u64]) -> bool {
    one.iter().any(|value| other.contains(value))
}
