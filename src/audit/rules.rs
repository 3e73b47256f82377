//! Whether what the log says was allowed: each release on a ticket, within its scope, its time, and before it was taken back.

use std::collections::{BTreeMap, HashMap};

use hedui_protocol::acts::Deed;
use hedui_protocol::ids::{BatchId, CommissionId};
use hedui_protocol::log::{Entry, Event, Handed};
use hedui_protocol::manifest::Manifest;
use hedui_protocol::messages::CommissionProof;
use hedui_protocol::part::{BatchHeader, batch_id};
use hedui_protocol::sign::{Purpose, Signed};
use hedui_protocol::ticket::{Asked, Granted, Withdrawal};
use jiff::Timestamp;

use super::acts::{Acts, Erased};
use super::asks::Asks;
use super::sets::Sets;
use super::{Checked, Finding, SKEW, Wrong};

/// What the parties signed, and what the log has said so far.
pub struct Book<'b> {
    manifest: &'b Manifest,
    tickets: HashMap<CommissionId, CommissionProof>,
    headers: HashMap<BatchId, Signed>,
    sets: Sets,
    commissions: HashMap<CommissionId, Filed>,
    pub asks: Asks,
    last: Option<Timestamp>,
    acts: Acts,
    erased: Erased,
    /// Commissions and batches whose proofs were erased before the log was read.
    unproved: u64,
}

/// A commission that the log has.
struct Filed {
    office: String,
    expires_at: Timestamp,
    withdrawn: bool,
    /// The ticket, if it is there and holds.
    ticket: Option<Granted>,
}

impl<'b> Book<'b> {
    pub fn new(manifest: &'b Manifest, tickets: Vec<CommissionProof>, headers: Vec<Signed>) -> Self {
        let id = |proof: &CommissionProof| CommissionId(*blake3::hash(&proof.ticket.bytes).as_bytes());
        let mut proofs: HashMap<CommissionId, CommissionProof> = HashMap::new();
        for proof in tickets {
            let known = proofs.entry(id(&proof)).or_insert_with(|| proof.clone());
            // what was taken back later is told again with the withdrawal
            known.withdrawal = known.withdrawal.take().or(proof.withdrawal);
        }
        Self {
            manifest,
            tickets: proofs,
            headers: headers.into_iter().map(|signed| (batch_id(&signed), signed)).collect(),
            sets: Sets::default(),
            commissions: HashMap::new(),
            asks: Asks::default(),
            last: None,
            acts: Acts::default(),
            erased: Erased::default(),
            unproved: 0,
        }
    }

    /// Takes more of what the parties signed.
    pub fn learn(&mut self, tickets: Vec<CommissionProof>, headers: Vec<Signed>) {
        let more = Self::new(self.manifest, tickets, headers);
        self.tickets.extend(more.tickets);
        self.headers.extend(more.headers);
    }

    /// Looks ahead for what was erased: what it was is proved no more.
    pub fn foresee<'e>(&mut self, entries: impl Iterator<Item = &'e Entry>) {
        entries.for_each(|entry| self.erased.read(entry));
    }

    /// How many commissions and batches could not be proved, for what proves them was erased.
    pub fn unproved(&self) -> u64 {
        self.unproved
    }

    /// What is wrong with the next entry.
    pub fn read(&mut self, entry: &Entry) -> Vec<Finding> {
        let mut found = Vec::new();
        let mut wrong = |kind, detail: String| found.push(Finding::at(entry.number, kind, detail));
        if self.last.is_some_and(|last| last.as_second() > entry.at.as_second() + SKEW) {
            wrong("clock", "the server's clock was set back".to_owned());
        }
        self.last = Some(self.last.map_or(entry.at, |last| last.max(entry.at)));
        self.asks.read(&entry.event);
        let checked = match &entry.event {
            Event::Opened { manifest, .. } if *manifest != self.manifest.id() || entry.number > 0 => {
                Err(("other-manifest", format!("the log was opened for manifest {manifest}")))
            }
            Event::BatchCommitted { agency, batch, records, base } => {
                self.committed(entry.number, agency, *batch, *records, *base)
            }
            Event::BatchIndexed { agency, batch } | Event::BatchRefused { agency, batch, .. } => {
                match (self.sets.is_of(*batch, agency), &entry.event) {
                    (false, _) => Err(("unknown-batch", format!("batch {batch} of `{agency}` was never committed"))),
                    (true, Event::BatchIndexed { .. }) => {
                        self.sets.indexed(*batch, entry.at);
                        Ok(())
                    }
                    (true, _) => {
                        self.sets.refused(*batch, entry.at);
                        Ok(())
                    }
                }
            }
            Event::CommissionFiled { .. } => self.filed(entry),
            Event::CommissionMatched { commission, against } => self.matched(*commission, against),
            Event::Answered { agency, commission, .. } => {
                self.within(*commission, std::iter::once(agency.as_str()), entry).map(drop)
            }
            Event::Released { office, commission, from, to, agencies, items } => self
                .released(office, *commission, (*from, *to), agencies, entry)
                .and_then(|()| as_asked(*commission, items, self.asks.of(&entry.event))),
            Event::Withdrawn { office, commission } => self.withdrawn(entry.number, office, *commission),
            Event::Proposed { by, .. } | Event::Approved { by, .. } if self.manifest.has_party(&by.organisation) => {
                Err(("partys-operator", format!("`{}` acted as operator, and is a party", by.organisation)))
            }
            Event::Proposed { by, deed } => {
                self.acts.proposed(entry.number, by, deed, entry.at);
                Ok(())
            }
            Event::Approved { act, by, deed } => {
                match deed {
                    Deed::EraseAgency { agency } => self.sets.erased(Some(agency)),
                    Deed::EraseProject => self.sets.erased(None),
                    _ => {}
                }
                self.acts.approved(*act, by, deed, entry.at)
            }
            Event::Erased { act, deed, .. } => self.acts.erased(*act, deed),
            Event::Expired { ended, .. } => {
                self.acts.expired(entry, ended, |id| self.commissions.get(id).map(|filed| filed.expires_at), &self.sets)
            }
            Event::Gone { through, .. } => self.acts.gone(*through),
            Event::Opened { retention, .. } => {
                self.acts.opened(retention.as_ref());
                Ok(())
            }
            Event::Refused { .. } | Event::Administered { .. } | Event::Restored { .. } => Ok(()),
        };
        if let Err((kind, detail)) = checked {
            wrong(kind, detail);
        }
        found
    }

    fn committed(&mut self, entry: u64, agency: &str, batch: BatchId, records: u64, base: Option<BatchId>) -> Checked {
        self.sets.committed(agency, batch, base);
        let signed = self.headers.get(&batch);
        if signed.is_none() && self.erased.batch(batch, agency, entry) {
            self.unproved += 1;
            return Ok(());
        }
        let signed = signed.ok_or_else(|| ("unproved-batch", format!("the header of batch {batch} is not here")))?;
        let unproved = |why: &str| ("unproved-batch", format!("batch {batch}: {why}"));
        let party = self.manifest.agency(agency).ok_or_else(|| unproved("its agency is not of the manifest"))?;
        let header = BatchHeader::parse(&signed.bytes).map_err(|_| unproved("its header does not read"))?;
        signed.verify(Purpose::Batch, &party.signing_key).map_err(|_| unproved("its agency has not signed it"))?;
        if header.agency != agency || header.records != records || header.base != base {
            return Err(unproved("its header says something else than the log"));
        }
        Ok(())
    }

    fn filed(&mut self, entry: &Entry) -> Checked {
        let Event::CommissionFiled { office, commission, expires_at, .. } = &entry.event else { return Ok(()) };
        let erased = !self.tickets.contains_key(commission) && self.erased.commission(*commission, entry.number);
        let granted = self.ticket_of(*commission, entry);
        let ticket = granted.as_ref().ok().cloned();
        let filed = Filed { office: office.clone(), expires_at: *expires_at, withdrawn: false, ticket };
        self.commissions.insert(*commission, filed);
        if erased {
            self.unproved += 1;
            return Ok(());
        }
        granted.map(drop)
    }

    /// The ticket of a commission, if it gives the right that the log says.
    fn ticket_of(&self, commission: CommissionId, entry: &Entry) -> Result<Granted, Wrong> {
        let proof = self.tickets.get(&commission);
        let proof =
            proof.ok_or_else(|| ("missing-ticket", format!("the ticket of commission {commission} is not here")))?;
        let unfit = |why: String| ("unfit-ticket", format!("commission {commission}: {why}"));
        let granted = Granted::check(&proof.ticket, self.manifest).map_err(|e| unfit(e.to_string()))?;
        granted.holds(entry.at).map_err(|e| unfit(e.to_string()))?;
        if Event::filed(&granted) != entry.event {
            return Err(unfit("the ticket says something else than the log".into()));
        }
        Ok(granted)
    }

    fn matched(&self, commission: CommissionId, against: &BTreeMap<String, Option<BatchId>>) -> Checked {
        let filed = self.commissions.get(&commission).ok_or_else(|| unknown(commission))?;
        if let Some(granted) = &filed.ticket {
            let asked = granted.agencies();
            if let Some(stray) = against.keys().find(|agency| !asked.contains(&agency.as_str())) {
                return Err(("beyond-scope", format!("commission {commission} does not ask agency `{stray}`")));
            }
        }
        for (agency, batch) in against {
            let Some(batch) = batch else { continue };
            if !self.sets.is_of(*batch, agency) {
                return Err(("unknown-batch", format!("batch {batch} of `{agency}` was never committed")));
            }
        }
        Ok(())
    }

    /// The commission, if it is there, not taken back, not over, and asks these agencies.
    fn within<'a>(
        &self,
        commission: CommissionId,
        mut agencies: impl Iterator<Item = &'a str>,
        entry: &Entry,
    ) -> Result<&Filed, Wrong> {
        let filed = self.commissions.get(&commission);
        let filed =
            filed.ok_or_else(|| ("release-without-ticket", format!("commission {commission} was never filed")))?;
        if filed.withdrawn {
            return Err(("after-withdrawal", format!("commission {commission} had been taken back")));
        }
        if self.erased.commission_before(commission, entry.number) {
            return Err(("after-erasure", format!("commission {commission} had been erased")));
        }
        if entry.at >= filed.expires_at {
            return Err(("after-expiry", format!("commission {commission} had expired at {}", filed.expires_at)));
        }
        let asked = filed.ticket.as_ref().map(Granted::agencies);
        let stray = asked.and_then(|asked| agencies.find(|agency| !asked.contains(agency)));
        match stray {
            Some(stray) => Err(("beyond-scope", format!("commission {commission} does not ask agency `{stray}`"))),
            None => Ok(filed),
        }
    }

    fn released(
        &self,
        office: &str,
        commission: CommissionId,
        (from, to): (u64, u64),
        agencies: &BTreeMap<String, Handed>,
        entry: &Entry,
    ) -> Checked {
        let (filed, at) = (self.within(commission, agencies.keys().map(String::as_str), entry)?, entry.at);
        if filed.office != office {
            return Err((
                "wrong-office",
                format!("commission {commission} is of `{}`, not of `{office}`", filed.office),
            ));
        }
        let Some(granted) = &filed.ticket else { return Ok(()) };
        let pairs = granted
            .ticket()
            .subjects
            .iter()
            .flat_map(|subject| subject.agencies.iter().map(move |agency| (subject.subject, agency.as_str())));
        let range = pairs.skip(usize::try_from(from).unwrap_or(usize::MAX));
        let range: Vec<_> = range.take(usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX)).collect();
        if from > to || range.len() as u64 != to - from {
            return Err(("beyond-scope", format!("commission {commission} has no pairs {from} to {to}")));
        }
        for (agency, handed) in agencies {
            let covered =
                range.iter().filter(|(subject, name)| name == agency && granted.covers(*subject, agency, at).is_ok());
            let most = covered.count() as u64 * u64::from(self.manifest.limits.answer_slots);
            if handed.deposits + handed.answers > most {
                let handed = handed.deposits + handed.answers;
                return Err((
                    "beyond-scope",
                    format!(
                        "commission {commission}: {handed} payloads of `{agency}` went out, its authorisations cover at most {most}"
                    ),
                ));
            }
        }
        Ok(())
    }

    fn withdrawn(&mut self, entry: u64, office: &str, commission: CommissionId) -> Checked {
        let filed = self.commissions.get_mut(&commission).ok_or_else(|| unknown(commission))?;
        filed.withdrawn = true;
        let unproved = |why: &str| ("unproved-withdrawal", format!("commission {commission}: {why}"));
        let signed = self.tickets.get(&commission).and_then(|proof| proof.withdrawal.as_ref());
        if signed.is_none() && self.erased.commission(commission, entry) {
            return Ok(());
        }
        let signed = signed.ok_or_else(|| unproved("its withdrawal is not here"))?;
        let party = self.manifest.office(office).ok_or_else(|| unproved("its office is not of the manifest"))?;
        signed.verify(Purpose::Withdrawal, &party.signing_key).map_err(|_| unproved("its office has not signed it"))?;
        let said: Option<Withdrawal> = serde_json::from_slice(&signed.bytes).ok();
        match said.filter(|said| said.commission == commission && said.office == office) {
            Some(_) => Ok(()),
            None => Err(unproved("its withdrawal names another")),
        }
    }
}

/// What went out is what the commission asks, at that level. Entries of before this was said name nothing.
fn as_asked(commission: CommissionId, items: &[Asked], asks: &[Asked]) -> Checked {
    let Some(Asked { agency, item, level }) = items.iter().find(|item| !asks.contains(item)) else { return Ok(()) };
    Err(("beyond-scope", format!("commission {commission} does not ask `{agency}` for `{item}` at {level}")))
}

fn unknown(commission: CommissionId) -> Wrong {
    ("unknown-commission", format!("commission {commission} was never filed"))
}
