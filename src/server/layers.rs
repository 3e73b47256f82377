//! An agency's set as it stands: a whole batch and the deltas over it, each with an index of its own. A record is what the
//! newest of them says.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use hedui_protocol::encodings::{Encodings, Shape, Token};
use hedui_protocol::ids::{BatchId, RecordId};
use hedui_protocol::part::PartSeal;
use hedui_protocol::schema::Schema;
use rayon::prelude::*;

use crate::matching::index::Index;
use crate::matching::rows::RowView;
use crate::matching::{Match, Matcher};

/// The index of one committed batch.
pub struct Layer {
    pub batch: BatchId,
    pub index: Index,
    pub seals: Vec<PartSeal>,
    /// Of a delta: the records that it adds, replaces or deletes. In the layers below they are no more.
    supersedes: HashSet<RecordId>,
}

impl Layer {
    /// `deletes`: of a delta, the records that it deletes; none of a whole set.
    pub fn new(batch: BatchId, index: Index, seals: Vec<PartSeal>, deletes: Option<&[RecordId]>) -> Self {
        let mut supersedes = HashSet::new();
        if let Some(deletes) = deletes {
            supersedes.extend(deletes);
            supersedes.extend((0..index.rows()).map(|row| index.row(row).record));
        }
        Self { batch, index, seals, supersedes }
    }
}

/// What commissions are matched against.
pub struct ReadyIndex {
    /// The newest batch of the set.
    pub batch: BatchId,
    /// The whole batch first.
    layers: Vec<Arc<Layer>>,
}

/// A record that matches, and the layer that has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    pub layer: usize,
    pub found: Match,
}

impl ReadyIndex {
    /// Of at least one layer.
    pub fn new(layers: Vec<Arc<Layer>>) -> Self {
        let batch = layers.last().expect("a set has a batch").batch;
        Self { batch, layers }
    }

    pub fn layer(&self, batch: BatchId) -> Option<Arc<Layer>> {
        self.layers.iter().find(|layer| layer.batch == batch).cloned()
    }

    pub fn batches(&self) -> impl Iterator<Item = BatchId> {
        self.layers.iter().map(|layer| layer.batch)
    }

    pub fn row(&self, found: &Found) -> RowView<'_> {
        self.layers[found.layer].index.row(found.found.row)
    }

    /// What the part that holds a row is sealed with.
    pub fn seal(&self, found: &Found) -> Option<&PartSeal> {
        self.layers[found.layer].seals.get(self.row(found).part as usize)
    }

    fn is_alive(&self, layer: usize, record: RecordId) -> bool {
        self.layers[layer + 1..].iter().all(|newer| !newer.supersedes.contains(&record))
    }

    /// All matches of each probe, the surest first; equal ones by record id.
    pub fn matches_of_all(&self, schema: &Schema, shape: &Shape, probes: &[&Encodings]) -> Vec<Vec<Found>> {
        let mut all: Vec<Vec<Found>> = vec![Vec::new(); probes.len()];
        for (number, layer) in self.layers.iter().enumerate() {
            let found = Matcher::new(&layer.index, schema, shape.clone()).matches_of_all(probes);
            let alive = |found: &Match| self.is_alive(number, layer.index.row(found.row).record);
            all.par_iter_mut().zip(found).for_each(|(all, found)| {
                let found = found.into_iter().filter(alive);
                all.extend(found.map(|found| Found { layer: number, found }));
            });
        }
        if self.layers.len() > 1 {
            all.par_iter_mut().for_each(|found| self.sort(found));
        }
        all
    }

    fn sort(&self, found: &mut [Found]) {
        found.sort_by(|one, other| {
            let surer = one.found.band.cmp(&other.found.band).then(other.found.score.total_cmp(&one.found.score));
            surer.then_with(|| self.row(one).record.cmp(&self.row(other).record))
        });
    }

    /// The most rows that share a token which the newest layer has, among its rows (`own`) and those below that are alive.
    pub fn largest_cohort(&self, own: &[Encodings]) -> u64 {
        let mut counts: HashMap<(u8, Token), u64> = HashMap::new();
        own.iter().flat_map(|row| &row.tokens).for_each(|token| *counts.entry(*token).or_default() += 1);
        let (tokens, mut counts): (Vec<(u8, Token)>, Vec<u64>) = counts.into_iter().unzip();
        let probes: Vec<Encodings> =
            tokens.into_iter().map(|token| Encodings { tokens: vec![token], filters: Vec::new() }).collect();
        for (number, layer) in self.layers.iter().enumerate().rev().skip(1) {
            for hit in layer.index.hits(probes.iter()) {
                if self.is_alive(number, layer.index.row(hit.row).record) {
                    counts[hit.probe as usize] += 1;
                }
            }
        }
        counts.into_iter().max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use hedui_protocol::manifest::Manifest;
    use proptest::prelude::*;

    use super::*;
    use crate::matching::bytes::Bytes;
    use crate::matching::postings::{Run, WrittenRun, merge};
    use crate::matching::rows::{RowTable, RowWriter};

    type Rows = BTreeMap<RecordId, Encodings>;

    fn layer(rows: &Rows, deletes: Option<&[RecordId]>) -> Arc<Layer> {
        let (mut writer, mut run) = (RowWriter::new(Vec::new(), 1), Run::default());
        for ((record, encodings), row) in rows.iter().zip(0u32..) {
            writer.write(*record, encodings, &[], &[]).unwrap();
            run.add(row, encodings);
        }
        let table = RowTable::new(Bytes::Memory(writer.finish().unwrap())).unwrap();
        let (mut written, mut postings) = (Vec::new(), Vec::new());
        run.write(&mut written).unwrap();
        merge(&[WrittenRun::new(written).unwrap()], table.count(), 1 << 20, &mut postings).unwrap();
        let index = Index::new(vec![table], Bytes::Memory(postings)).unwrap();
        Arc::new(Layer::new(BatchId([0; 32]), index, Vec::new(), deletes))
    }

    fn person(number: u8) -> Encodings {
        Encodings { tokens: vec![(0, Token([number; 16]))], filters: Vec::new() }
    }

    /// What each person's probe meets, by record.
    fn answers(set: &ReadyIndex) -> Vec<Vec<RecordId>> {
        let manifest = Manifest::parse(include_bytes!("../../protocol/vectors/open/manifest.toml")).unwrap();
        let probes: Vec<Encodings> = (0..8).map(person).collect();
        let found = set.matches_of_all(&manifest.schema, &manifest.shape(), &probes.iter().collect::<Vec<_>>());
        let records = |found: &Vec<Found>| found.iter().map(|found| set.row(found).record).collect();
        found.iter().map(records).collect()
    }

    proptest! {
        #[test]
        fn a_set_with_deltas_answers_as_the_whole_one_does(
            base in proptest::collection::vec((0u8..12, 0u8..8), 0..12),
            deltas in proptest::collection::vec(proptest::collection::vec((0u8..12, proptest::option::of(0u8..8)), 0..6), 0..5),
        ) {
            let record = |number: u8| RecordId([number; 16]);
            let mut whole: Rows = base.iter().map(|(id, number)| (record(*id), person(*number))).collect();
            let mut layers = vec![layer(&whole, None)];
            for delta in deltas {
                // of one record the last word counts
                let words: BTreeMap<u8, Option<u8>> = delta.into_iter().collect();
                let (mut rows, mut deletes) = (Rows::new(), Vec::new());
                for (id, word) in words {
                    match word {
                        Some(number) => drop(rows.insert(record(id), person(number))),
                        None => deletes.push(record(id)),
                    }
                }
                deletes.iter().for_each(|record| drop(whole.remove(record)));
                whole.extend(rows.iter().map(|(record, row)| (*record, row.clone())));
                layers.push(layer(&rows, Some(&deletes)));
                let layered = ReadyIndex::new(layers.clone());
                let own: Vec<Encodings> = rows.into_values().collect();
                let most = whole.values().filter(|row| own.contains(row)).fold([0u64; 8], |mut counts, row| {
                    counts[usize::from(row.tokens[0].1.0[0])] += 1;
                    counts
                });
                prop_assert_eq!(layered.largest_cohort(&own), *most.iter().max().unwrap());
            }
            prop_assert_eq!(answers(&ReadyIndex::new(layers)), answers(&ReadyIndex::new(vec![layer(&whole, None)])));
        }
    }
}
