//! Whether what operators did was two people's, and whether what ended had served its term.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use hedui_protocol::acts::{Actor, DataClass, Deed, Ended, PATIENCE, Retention};
use hedui_protocol::ids::{BatchId, CommissionId};
use hedui_protocol::log::{Entry, Event};
use jiff::{SignedDuration, Timestamp};

use super::sets::Sets;
use super::{Checked, SKEW};

/// What the log has said so far of acts.
#[derive(Default)]
pub struct Acts {
    proposed: HashMap<u64, (Actor, Deed, Timestamp)>,
    /// Approved, and not done.
    approved: HashMap<u64, Deed>,
    done: HashSet<u64>,
    retention: Retention,
    /// When the next epoch was opened.
    next_epoch: Option<Timestamp>,
    /// Entries about what ended by its term.
    ended: HashSet<u64>,
}

impl Acts {
    /// An epoch begins with the terms of the one before.
    pub fn opened(&mut self, retention: Option<&Retention>) {
        if let Some(retention) = retention {
            self.retention.clone_from(retention);
        }
    }

    pub fn proposed(&mut self, act: u64, by: &Actor, deed: &Deed, at: Timestamp) {
        self.proposed.insert(act, (by.clone(), deed.clone(), at));
    }

    pub fn approved(&mut self, act: u64, by: &Actor, deed: &Deed, at: Timestamp) -> Checked {
        if self.approved.contains_key(&act) || self.done.contains(&act) {
            return Err(("repeated-act", format!("act {act} had been approved before")));
        }
        match self.proposed.get(&act) {
            Some((first, proposed, since)) if proposed == deed && by.is_a_colleague_of(first) => {
                if at > *since + PATIENCE + SignedDuration::from_secs(SKEW) {
                    return Err(("lapsed-act", format!("act {act} was approved after it had lapsed")));
                }
            }
            Some((_, proposed, _)) if proposed == deed => {
                let why = format!("act {act} was not approved by a colleague of who proposed it, but by `{}`", by.name);
                return Err(("one-person", why));
            }
            _ => return Err(("one-person", format!("nobody proposed what was approved as act {act}"))),
        }
        match deed {
            Deed::SetRetention { retention } => self.retention.clone_from(retention),
            Deed::OpenEpoch { .. } => self.next_epoch = self.next_epoch.or(Some(at)),
            _ => {}
        }
        self.approved.insert(act, deed.clone());
        Ok(())
    }

    pub fn erased(&mut self, act: u64, deed: &Deed) -> Checked {
        match self.approved.remove(&act) {
            Some(approved) if approved == *deed => {
                self.done.insert(act);
                Ok(())
            }
            _ => Err(("unapproved-erasure", format!("what was erased as act {act} was not approved by two operators"))),
        }
    }

    /// Whether what ended had served its term. `ends` tells when a commission did.
    pub fn expired(
        &mut self,
        entry: &Entry,
        ended: &Ended,
        ends: impl Fn(&CommissionId) -> Option<Timestamp>,
        sets: &Sets,
    ) -> Checked {
        self.ended.insert(entry.number);
        let over = |from: Timestamp, days: u16| {
            from + SignedDuration::from_hours(24 * i64::from(days)) <= entry.at + SignedDuration::from_secs(SKEW)
        };
        let Retention { answers, tickets, replaced_batches, epoch, .. } = self.retention;
        let of_commissions =
            |term| ended.commissions.iter().all(|commission| ends(commission).is_some_and(|end| over(end, term)));
        let is_over = match ended.class {
            DataClass::Answers => of_commissions(answers),
            DataClass::Tickets => of_commissions(tickets),
            DataClass::Epoch => self.next_epoch.zip(epoch).is_some_and(|(opened, days)| over(opened, days)),
            // when it was begun is not in the log
            DataClass::OpenBatches => !ended.batches.iter().any(|batch| sets.is_committed(*batch)),
            DataClass::ReplacedBatches => {
                ended.batches.iter().all(|batch| sets.ended(*batch).is_some_and(|end| over(end, replaced_batches)))
            }
        };
        if is_over {
            return Ok(());
        }
        Err(("early-expiry", "data was taken away before its term had ended, or though it is needed".to_owned()))
    }

    /// Whether what is said to be gone had ended.
    pub fn gone(&self, through: u64) -> Checked {
        if self.ended.contains(&through) {
            return Ok(());
        }
        Err(("early-expiry", format!("what is said to be gone, up to entry {through}, had not ended by its term")))
    }
}

/// What a log says that it erased, and the entries that say so: of what came before the last of them, proofs may be missing where
/// it was read only afterwards; after the first, nothing is released.
#[derive(Default)]
pub struct Erased {
    commissions: HashMap<CommissionId, Said>,
    batches: HashMap<BatchId, Said>,
    agencies: HashMap<String, Said>,
    all: Option<Said>,
}

/// The first entry and the last one that say so.
#[derive(Clone, Copy)]
struct Said {
    first: u64,
    last: u64,
}

impl Said {
    fn at(entry: u64) -> Self {
        Self { first: entry, last: entry }
    }

    fn again(self, entry: u64) -> Self {
        Self { last: entry, ..self }
    }
}

fn say<K: Hash + Eq>(said: &mut HashMap<K, Said>, what: K, entry: u64) {
    said.entry(what).and_modify(|said| *said = said.again(entry)).or_insert(Said::at(entry));
}

impl Erased {
    pub fn read(&mut self, entry: &Entry) {
        let at = entry.number;
        match &entry.event {
            // its rows are gone with the second operator's word
            Event::Approved { deed, .. } => match deed {
                Deed::EraseCommissions { commissions } => self.say_of(commissions, at),
                Deed::EraseAgency { agency } => say(&mut self.agencies, agency.clone(), at),
                Deed::EraseProject => self.say_of_all(at),
                Deed::OpenEpoch { .. } | Deed::SetRetention { .. } => {}
            },
            Event::Expired { ended, .. } => match ended.class {
                DataClass::Tickets => self.say_of(&ended.commissions, at),
                DataClass::Epoch => self.say_of_all(at),
                _ => {}
            },
            Event::Restored { erased, .. } => {
                let ids: Vec<CommissionId> = erased.iter().map(|id| CommissionId(id.0)).collect();
                self.say_of(&ids, at);
                erased.iter().for_each(|id| say(&mut self.batches, BatchId(id.0), at));
            }
            _ => {}
        }
    }

    fn say_of(&mut self, commissions: &[CommissionId], at: u64) {
        commissions.iter().for_each(|id| say(&mut self.commissions, *id, at));
    }

    fn say_of_all(&mut self, at: u64) {
        self.all = Some(self.all.map_or(Said::at(at), |said| said.again(at)));
    }

    /// Whether a commission was erased after this entry.
    pub fn commission(&self, commission: CommissionId, entry: u64) -> bool {
        self.said_of(self.commissions.get(&commission)).any(|said| said.last > entry)
    }

    /// Whether a commission was erased before this entry.
    pub fn commission_before(&self, commission: CommissionId, entry: u64) -> bool {
        self.said_of(self.commissions.get(&commission)).any(|said| said.first < entry)
    }

    /// Whether an agency's batch was erased after this entry, by itself or with all of the agency's.
    pub fn batch(&self, batch: BatchId, agency: &str, entry: u64) -> bool {
        let own = self.said_of(self.batches.get(&batch)).chain(self.agencies.get(agency));
        own.into_iter().any(|said| said.last > entry)
    }

    /// What was said of something, and of all.
    fn said_of<'s>(&'s self, own: Option<&'s Said>) -> impl Iterator<Item = &'s Said> {
        own.into_iter().chain(&self.all)
    }
}

#[cfg(test)]
mod tests {
    use hedui_protocol::ids::{ContentHash, KeyHash, ManifestId, TreeHash};

    use super::*;

    fn actor(name: &str, key: u8) -> Actor {
        Actor { organisation: "City".into(), name: name.into(), key: KeyHash([key; 32]) }
    }

    fn at(day: i64) -> Timestamp {
        Timestamp::from_second(day * 86_400).unwrap()
    }

    /// The words of a finding; none where all is well.
    fn word(checked: Checked) -> Option<&'static str> {
        checked.err().map(|(kind, _)| kind)
    }

    #[test]
    fn an_act_needs_two_people_and_a_proposal_that_says_the_same() {
        let (deed, other) = (Deed::EraseProject, Deed::EraseAgency { agency: "bank".into() });
        let mut acts = Acts::default();
        acts.proposed(7, &actor("li", 1), &deed, at(0));
        assert_eq!(word(acts.erased(7, &deed)), Some("unapproved-erasure"));
        for (act, by, deed) in [
            (7, actor("li", 1), &deed),
            (7, actor("li", 2), &deed),
            (7, actor("wang", 1), &deed),
            (7, actor("wang", 2), &other),
            (8, actor("wang", 2), &deed),
        ] {
            assert_eq!(word(acts.approved(act, &by, deed, at(0))), Some("one-person"), "{act} {by:?} {deed}");
        }
        assert_eq!(word(acts.approved(7, &actor("wang", 2), &deed, at(8))), Some("lapsed-act"));
        assert_eq!(word(acts.erased(7, &deed)), Some("unapproved-erasure"));
        assert_eq!(word(acts.approved(7, &actor("wang", 2), &deed, at(7))), None);
        assert_eq!(word(acts.approved(7, &actor("wang", 2), &deed, at(7))), Some("repeated-act"));
        assert_eq!(word(acts.erased(7, &deed)), None);
        assert_eq!(word(acts.erased(7, &deed)), Some("unapproved-erasure"), "twice");
        assert_eq!(word(acts.approved(7, &actor("wang", 2), &deed, at(7))), Some("repeated-act"));
    }

    #[test]
    fn what_ends_before_its_term_is_found() {
        let commission = CommissionId([1; 32]);
        let mut acts = Acts::default();
        let (mut sets, live, former) = (Sets::default(), BatchId([8; 32]), BatchId([9; 32]));
        for batch in [former, live] {
            sets.committed("bank", batch, None);
            sets.indexed(batch, at(10));
        }
        let of = |acts: &mut Acts, class, day: i64, batches: &[BatchId]| {
            let commissions = if batches.is_empty() && class != DataClass::Epoch { vec![commission] } else { vec![] };
            let ended = Ended { class, batches: batches.to_vec(), commissions };
            let event = Event::Expired { ended: ended.clone(), backups_until: at(day) };
            let entry = Entry { number: day.cast_unsigned(), at: at(day), tree: TreeHash([0; 32]), event };
            word(acts.expired(&entry, &ended, |id| (*id == commission).then(|| at(10)), &sets))
        };
        assert_eq!(of(&mut acts, DataClass::ReplacedBatches, 16, &[former]), Some("early-expiry"));
        assert_eq!(of(&mut acts, DataClass::ReplacedBatches, 17, &[former]), None);
        assert_eq!(
            of(&mut acts, DataClass::ReplacedBatches, 99, &[former, live]),
            Some("early-expiry"),
            "it is needed"
        );
        assert_eq!(of(&mut acts, DataClass::OpenBatches, 99, &[live]), Some("early-expiry"), "it was committed");
        assert_eq!(of(&mut acts, DataClass::OpenBatches, 99, &[BatchId([7; 32])]), None);
        let expired = |acts: &mut Acts, class, day: i64| of(acts, class, day, &[]);
        assert_eq!(expired(&mut acts, DataClass::Answers, 16), Some("early-expiry"));
        assert_eq!(expired(&mut acts, DataClass::Answers, 17), None);
        assert_eq!(expired(&mut acts, DataClass::Tickets, 1105), Some("early-expiry"));
        assert_eq!(expired(&mut acts, DataClass::Tickets, 1106), None);
        // a policy that two people changed
        let retention = Retention { answers: 1, epoch: Some(30), ..Retention::default() };
        let deed = Deed::SetRetention { retention };
        acts.proposed(1, &actor("li", 1), &deed, at(4));
        assert_eq!(word(acts.approved(1, &actor("wang", 2), &deed, at(5))), None);
        assert_eq!(expired(&mut acts, DataClass::Answers, 11), None);
        assert_eq!(expired(&mut acts, DataClass::Epoch, 99), Some("early-expiry"), "there is no next epoch");
        let deed = Deed::OpenEpoch { manifest: ManifestId([2; 32]), epoch: "next".into() };
        acts.proposed(2, &actor("li", 1), &deed, at(19));
        assert_eq!(word(acts.approved(2, &actor("wang", 2), &deed, at(20))), None);
        assert_eq!(expired(&mut acts, DataClass::Epoch, 49), Some("early-expiry"));
        assert_eq!(expired(&mut acts, DataClass::Epoch, 50), None);
        assert_eq!(word(acts.gone(50)), None);
        assert_eq!(word(acts.gone(51)), Some("early-expiry"), "no entry says that anything ended");
    }

    #[test]
    fn what_is_erased_twice_was_erased_from_the_first_time_on() {
        let (commission, batch) = (CommissionId([1; 32]), BatchId([2; 32]));
        let mut erased = Erased::default();
        let mut read = |number: u64, event: Event| {
            erased.read(&Entry { number, at: at(1), tree: TreeHash([0; 32]), event });
        };
        let deed = Deed::EraseCommissions { commissions: vec![commission] };
        for entry in [10, 20] {
            read(entry, Event::Approved { act: entry - 1, by: actor("wang", 2), deed: deed.clone() });
        }
        read(30, Event::Restored { taken_at: at(1), erased: vec![ContentHash([2; 32])], agencies: vec![] });
        assert!(erased.commission_before(commission, 15), "what went out between them went out after an erasure");
        assert!(!erased.commission_before(commission, 9));
        assert!(erased.commission(commission, 15) && !erased.commission(commission, 20));
        assert!(erased.batch(batch, "bank", 29) && !erased.batch(batch, "bank", 30));
    }
}
