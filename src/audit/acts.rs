//! Whether what operators did was two people's, and whether what ended had served its term.

use std::collections::{HashMap, HashSet};

use hedui_protocol::acts::{Actor, DataClass, Deed, Ended, PATIENCE, Retention};
use hedui_protocol::ids::CommissionId;
use hedui_protocol::log::{Entry, Event};
use jiff::{SignedDuration, Timestamp};

use super::{Checked, SKEW};

/// What the log has said so far of acts.
#[derive(Default)]
pub struct Acts {
    proposed: HashMap<u64, (Actor, Deed, Timestamp)>,
    approved: HashMap<u64, Deed>,
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
        match self.proposed.get(&act) {
            Some((first, proposed, since)) if proposed == deed && by.is_another_than(first) => {
                if at > *since + PATIENCE + SignedDuration::from_secs(SKEW) {
                    return Err(("lapsed-act", format!("act {act} was approved after it had lapsed")));
                }
            }
            Some((_, proposed, _)) if proposed == deed => {
                return Err(("one-person", format!("act {act} was proposed and approved by `{}` alone", by.name)));
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

    pub fn erased(&self, act: u64, deed: &Deed) -> Checked {
        match self.approved.get(&act) {
            Some(approved) if approved == deed => Ok(()),
            _ => Err(("unapproved-erasure", format!("what was erased as act {act} was not approved by two operators"))),
        }
    }

    /// Whether what ended had served its term. `ends` tells when a commission did.
    pub fn expired(
        &mut self,
        entry: u64,
        ended: &Ended,
        at: Timestamp,
        ends: impl Fn(&CommissionId) -> Option<Timestamp>,
    ) -> Checked {
        self.ended.insert(entry);
        let over = |from: Timestamp, days: u16| {
            from + SignedDuration::from_hours(24 * i64::from(days)) <= at + SignedDuration::from_secs(SKEW)
        };
        let early = || Err(("early-expiry", "data was taken away before its term had ended".to_owned()));
        let term = match ended.class {
            DataClass::Answers => self.retention.answers,
            DataClass::Tickets => self.retention.tickets,
            DataClass::Epoch => {
                let over = self.next_epoch.zip(self.retention.epoch).is_some_and(|(opened, days)| over(opened, days));
                return if over { Ok(()) } else { early() };
            }
            DataClass::OpenBatches | DataClass::ReplacedBatches => return Ok(()),
        };
        let all = ended.commissions.iter().all(|commission| ends(commission).is_some_and(|end| over(end, term)));
        if all { Ok(()) } else { early() }
    }

    /// Whether what is said to be gone had ended.
    pub fn gone(&self, through: u64) -> Checked {
        if self.ended.contains(&through) {
            return Ok(());
        }
        Err(("early-expiry", format!("what is said to be gone, up to entry {through}, had not ended by its term")))
    }
}

/// What a log says that it erased, and the entry that says so: of what came before it, proofs may be missing where it was read
/// only afterwards.
#[derive(Default)]
pub struct Erased {
    commissions: HashMap<CommissionId, u64>,
    agencies: HashMap<String, u64>,
    all: Option<u64>,
}

impl Erased {
    pub fn read(&mut self, entry: &Entry) {
        let at = entry.number;
        match &entry.event {
            // its rows are gone with the second operator's word
            Event::Approved { deed, .. } => match deed {
                Deed::EraseCommissions { commissions } => {
                    self.commissions.extend(commissions.iter().map(|id| (*id, at)))
                }
                Deed::EraseAgency { agency } => drop(self.agencies.insert(agency.clone(), at)),
                Deed::EraseProject => self.all = Some(at),
                Deed::OpenEpoch { .. } | Deed::SetRetention { .. } => {}
            },
            Event::Expired { ended, .. } => match ended.class {
                DataClass::Tickets => self.commissions.extend(ended.commissions.iter().map(|id| (*id, at))),
                DataClass::Epoch => self.all = Some(at),
                _ => {}
            },
            _ => {}
        }
    }

    /// Whether a commission was erased after this entry.
    pub fn commission(&self, commission: CommissionId, entry: u64) -> bool {
        self.all.is_some_and(|at| at > entry) || self.commissions.get(&commission).is_some_and(|at| *at > entry)
    }

    /// Whether an agency was erased after this entry.
    pub fn agency(&self, agency: &str, entry: u64) -> bool {
        self.all.is_some_and(|at| at > entry) || self.agencies.get(agency).is_some_and(|at| *at > entry)
    }
}

#[cfg(test)]
mod tests {
    use hedui_protocol::ids::{KeyHash, ManifestId};

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
        assert_eq!(word(acts.erased(7, &deed)), None);
        assert_eq!(word(acts.erased(7, &other)), Some("unapproved-erasure"));
    }

    #[test]
    fn what_ends_before_its_term_is_found() {
        let commission = CommissionId([1; 32]);
        let mut acts = Acts::default();
        let expired = |acts: &mut Acts, class, day: i64| {
            let commissions = if class == DataClass::Epoch { vec![] } else { vec![commission] };
            let ended = Ended { class, batches: vec![], commissions };
            word(acts.expired(day.cast_unsigned(), &ended, at(day), |id| (*id == commission).then(|| at(10))))
        };
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
}
