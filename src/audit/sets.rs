//! What an agency's set was, entry by entry: which batches are of it, and since when the others are not needed any more.

use std::collections::HashMap;

use hedui_protocol::ids::BatchId;
use jiff::Timestamp;

/// The sets of all agencies, as the log has told them so far.
#[derive(Default)]
pub struct Sets {
    /// By their place among all commits.
    committed: HashMap<BatchId, Committed>,
    commits: usize,
    /// Of each agency: the whole batch and the deltas over it.
    current: HashMap<String, Vec<BatchId>>,
    ended: HashMap<BatchId, Timestamp>,
}

struct Committed {
    agency: String,
    place: usize,
    base: Option<BatchId>,
    /// What is submitted again under its id is begun anew.
    erased: bool,
}

impl Sets {
    pub fn committed(&mut self, agency: &str, batch: BatchId, base: Option<BatchId>) {
        self.commits += 1;
        self.committed.insert(batch, Committed { agency: agency.to_owned(), place: self.commits, base, erased: false });
        // sent again after it was erased, it begins anew
        self.ended.remove(&batch);
    }

    /// A whole set takes the place of what was there; and of what was committed before it and never indexed.
    pub fn indexed(&mut self, batch: BatchId, at: Timestamp) {
        let Some(Committed { agency, place, base, .. }) = self.committed.get(&batch) else { return };
        let current = self.current.entry(agency.clone()).or_default();
        if base.is_some() && current.last() == base.as_ref() {
            current.push(batch);
            return;
        }
        *current = vec![batch];
        let before = self
            .committed
            .iter()
            .filter(|(id, other)| **id != batch && other.agency == *agency && other.place < *place);
        for (id, _) in before {
            self.ended.entry(*id).or_insert(at);
        }
    }

    pub fn refused(&mut self, batch: BatchId, at: Timestamp) {
        self.ended.entry(batch).or_insert(at);
    }

    /// Two operators have erased an agency, or all of them.
    pub fn erased(&mut self, agency: Option<&str>) {
        let own = self.committed.values_mut().filter(|batch| agency.is_none_or(|agency| batch.agency == agency));
        own.for_each(|batch| batch.erased = true);
    }

    pub fn is_committed(&self, batch: BatchId) -> bool {
        self.committed.get(&batch).is_some_and(|batch| !batch.erased)
    }

    pub fn is_of(&self, batch: BatchId, agency: &str) -> bool {
        self.committed.get(&batch).is_some_and(|committed| committed.agency == agency)
    }

    /// Since when a batch is not needed any more; none where it is.
    pub fn ended(&self, batch: BatchId) -> Option<Timestamp> {
        self.ended.get(&batch).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_ends_when_a_later_one_is_indexed_and_a_delta_ends_none() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let [whole, delta, late, next, other] = [1, 2, 3, 4, 5].map(|byte| BatchId([byte; 32]));
        let mut sets = Sets::default();
        for (agency, batch, base) in [
            ("bank", whole, None),
            ("tax", other, None),
            ("bank", delta, Some(whole)),
            ("bank", late, None),
            ("bank", next, None),
        ] {
            sets.committed(agency, batch, base);
        }
        for batch in [whole, other, delta] {
            sets.indexed(batch, at(7));
        }
        assert_eq!([whole, delta, late, other].map(|batch| sets.ended(batch)), [None; 4]);
        sets.indexed(next, at(9));
        assert_eq!([whole, delta, late].map(|batch| sets.ended(batch)), [Some(at(9)); 3], "{late} was never indexed");
        assert_eq!([next, other].map(|batch| sets.ended(batch)), [None; 2]);
        sets.refused(next, at(10));
        assert_eq!(sets.ended(next), Some(at(10)));
        assert!(sets.is_of(next, "bank") && !sets.is_of(next, "tax") && !sets.is_committed(BatchId([9; 32])));
        sets.erased(Some("bank"));
        assert!(!sets.is_committed(next) && sets.is_committed(other) && sets.is_of(next, "bank"));
        sets.committed("bank", next, None);
        assert!(sets.is_committed(next), "it was submitted again");
    }
}
