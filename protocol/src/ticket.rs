//! The commission ticket: who may be asked about, whom, what, how long, on whose authorisation.

use std::collections::{HashMap, HashSet};

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};

use crate::ids::{CommissionId, ContentHash, ManifestId, SubjectId};
use crate::manifest::{Level, Manifest, Office};
use crate::sign::{Purpose, Signed};

/// SPEC 9.2  What an office signs when it commissions a verification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ticket {
    pub manifest: ManifestId,
    pub office: String,
    /// The office's own number of the commission (委托书编号).
    pub commission_no: String,
    pub programme: String,
    /// The period that is asked about.
    pub window: Window,
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
    /// The subjects are looked for again whenever an agency commits, until the ticket ends (在库人员自主比对).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub standing: bool,
    pub items: Vec<Asked>,
    pub subjects: Vec<Subject>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    pub from: Date,
    pub to: Date,
}

/// One check item at one agency, at one level.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    pub agency: String,
    pub item: String,
    pub level: Level,
}

/// A person covered by an authorisation (授权书).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    pub subject: SubjectId,
    pub capacity: Capacity,
    /// The agencies that this person's authorisation covers.
    pub agencies: Vec<String>,
    /// Hash of the authorisation kept by the office.
    pub evidence: ContentHash,
    /// Last day of this person's authorisation.
    pub valid_until: Date,
    /// Binds the subject to its encodings (SPEC 9.3).
    pub encodings: ContentHash,
}

/// In which capacity a person is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Capacity {
    /// Co-resident family member (共同生活的家庭成员).
    CoResident,
    /// Support obligor (赡养、抚养、扶养义务人), with a consent of their own.
    Obligor,
}

/// SPEC 9.5  The office takes a commission back; signed like the ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Withdrawal {
    pub commission: CommissionId,
    pub office: String,
    pub withdrawn_at: Timestamp,
}

/// Why a ticket gives no right. The texts name rules and parties, never a person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the ticket does not read as a ticket: {0}")]
    Malformed(String),
    #[error("the ticket is for manifest {got}, this project's is {expected}")]
    OtherManifest { got: ManifestId, expected: ManifestId },
    #[error("`{0}` is no office of the manifest")]
    UnknownOffice(String),
    #[error("the ticket's signature is not the one of office `{0}`")]
    BadSignature(String),
    #[error("`{0}` is no programme of the manifest")]
    UnknownProgramme(String),
    #[error("the ticket asks agency `{agency}` for `{item}` at {level}, which it does not offer")]
    NotOffered { agency: String, item: String, level: Level },
    #[error("the ticket asks agency `{agency}` for `{item}` at {level} twice")]
    ItemTwice { agency: String, item: String, level: Level },
    #[error("the ticket's commission number is longer than {COMMISSION_NO} bytes")]
    LongNumber,
    #[error("the ticket names subject {0} twice")]
    SubjectTwice(SubjectId),
    #[error("the ticket's subject {subject} names agency `{agency}` twice")]
    AgencyTwice { subject: SubjectId, agency: String },
    #[error("the ticket names {got} subjects; the manifest allows {allowed}")]
    TooManySubjects { got: usize, allowed: u32 },
    #[error("the ticket's subject {subject} names agency `{agency}`, which its items do not ask")]
    AgencyNotAsked { subject: SubjectId, agency: String },
    #[error("the ticket would hold longer than the {0} days that the manifest allows")]
    TooLong(u32),
    #[error("the ticket's period ends before it begins")]
    NoPeriod,
    #[error("the ticket is not valid before {0}")]
    NotYet(Timestamp),
    #[error("the ticket expired at {0}")]
    Expired(Timestamp),
    #[error("the commission was withdrawn")]
    Withdrawn,
    #[error("subject {0} is not named by the ticket")]
    UnknownSubject(SubjectId),
    #[error("the authorisation of subject {subject} ended on {ended}")]
    AuthorisationEnded { subject: SubjectId, ended: Date },
    #[error("the authorisation of subject {subject} does not cover agency `{agency}`")]
    AgencyNotCovered { subject: SubjectId, agency: String },
    #[error("the ticket does not ask agency `{agency}` for `{item}` at {level}")]
    NotAsked { agency: String, item: String, level: Level },
}

/// Bytes that a commission number may have.
const COMMISSION_NO: usize = 128;
/// Seconds that two parties' clocks may differ.
const CLOCK_SKEW_S: i64 = 300;

/// A ticket whose signature and terms hold under a manifest. The only way to one is [`Granted::check`].
#[derive(Clone, Debug)]
pub struct Granted {
    id: CommissionId,
    ticket: Ticket,
    /// Where each subject stands: a commission may name 100,000.
    places: HashMap<SubjectId, usize>,
}

impl Granted {
    /// SPEC 9.4  Checks signature, manifest, programme, items, subjects, and length; not yet the time.
    pub fn check(signed: &Signed, manifest: &Manifest) -> Result<Self, Refusal> {
        let ticket: Ticket = serde_json::from_slice(&signed.bytes).map_err(|e| Refusal::Malformed(position_of(&e)))?;
        if ticket.manifest != manifest.id() {
            return Err(Refusal::OtherManifest { got: ticket.manifest, expected: manifest.id() });
        }
        let office = ticket.office_in(manifest)?;
        signed.verify(Purpose::Ticket, &office.signing_key).map_err(|_| Refusal::BadSignature(office.name.clone()))?;
        ticket.within(manifest)?;
        let id = CommissionId(*blake3::hash(&signed.bytes).as_bytes());
        let places = ticket.subjects.iter().map(|entry| entry.subject).zip(0..).collect();
        Ok(Self { id, ticket, places })
    }

    pub fn id(&self) -> CommissionId {
        self.id
    }

    pub fn ticket(&self) -> &Ticket {
        &self.ticket
    }

    /// Whether the ticket holds at `now`.
    pub fn holds(&self, now: Timestamp) -> Result<(), Refusal> {
        if now.as_second() + CLOCK_SKEW_S < self.ticket.issued_at.as_second() {
            return Err(Refusal::NotYet(self.ticket.issued_at));
        }
        if now >= self.ticket.expires_at {
            return Err(Refusal::Expired(self.ticket.expires_at));
        }
        Ok(())
    }

    /// Whether the ticket lets `agency` be asked about `subject` at `now`.
    pub fn covers(&self, subject: SubjectId, agency: &str, now: Timestamp) -> Result<&Subject, Refusal> {
        self.holds(now)?;
        let found = self.subject(subject).ok_or(Refusal::UnknownSubject(subject))?;
        if last_moment(found.valid_until).is_none_or(|end| now >= end) {
            return Err(Refusal::AuthorisationEnded { subject, ended: found.valid_until });
        }
        if !found.agencies.iter().any(|name| name == agency) {
            return Err(Refusal::AgencyNotCovered { subject, agency: agency.to_owned() });
        }
        Ok(found)
    }

    fn subject(&self, subject: SubjectId) -> Option<&Subject> {
        self.places.get(&subject).map(|place| &self.ticket.subjects[*place])
    }

    /// The first instant at which the ticket covers `subject` no more.
    pub fn covered_until(&self, subject: SubjectId) -> Option<Timestamp> {
        last_moment(self.subject(subject)?.valid_until).map(|end| end.min(self.ticket.expires_at))
    }

    /// Whether the ticket lets this item at this level be opened for `subject` at `now`.
    pub fn permits(
        &self,
        subject: SubjectId,
        agency: &str,
        item: &str,
        level: Level,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        self.covers(subject, agency, now)?;
        let asked = self.asked(agency).any(|asked| asked.item == item && asked.level == level);
        let refusal = || Refusal::NotAsked { agency: agency.to_owned(), item: item.to_owned(), level };
        if asked { Ok(()) } else { Err(refusal()) }
    }

    /// What the ticket asks of one agency, in the ticket's order.
    pub fn asked<'t>(&'t self, agency: &'t str) -> impl Iterator<Item = &'t Asked> {
        self.ticket.items.iter().filter(move |asked| asked.agency == agency)
    }

    /// The agencies that the ticket asks, each once, in the ticket's order.
    pub fn agencies(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for asked in &self.ticket.items {
            if !names.contains(&asked.agency.as_str()) {
                names.push(&asked.agency);
            }
        }
        names
    }
}

impl Ticket {
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a ticket has only string keys")
    }

    fn office_in<'m>(&self, manifest: &'m Manifest) -> Result<&'m Office, Refusal> {
        manifest.office(&self.office).ok_or_else(|| Refusal::UnknownOffice(self.office.clone()))
    }

    fn within(&self, manifest: &Manifest) -> Result<(), Refusal> {
        if !manifest.programmes.contains(&self.programme) {
            return Err(Refusal::UnknownProgramme(self.programme.clone()));
        }
        let days = manifest.limits.ticket_days;
        if self.expires_at.as_second() - self.issued_at.as_second() > i64::from(days) * 86_400 {
            return Err(Refusal::TooLong(days));
        }
        if self.window.from > self.window.to {
            return Err(Refusal::NoPeriod);
        }
        if self.commission_no.len() > COMMISSION_NO {
            return Err(Refusal::LongNumber);
        }
        // distinct, each of the manifest: so few that they may be repeated wherever something is said of the ticket
        let mut seen = HashSet::new();
        for Asked { agency, item, level } in &self.items {
            let (agency, item, level) = (agency.clone(), item.clone(), *level);
            let offered = manifest.agency(&agency).and_then(|party| party.item(&item));
            if !offered.is_some_and(|offered| offered.levels.contains(&level)) {
                return Err(Refusal::NotOffered { agency, item, level });
            }
            if !seen.insert((agency.clone(), item.clone(), level)) {
                return Err(Refusal::ItemTwice { agency, item, level });
            }
        }
        self.subjects_within(manifest.limits.subjects)
    }

    fn subjects_within(&self, allowed: u32) -> Result<(), Refusal> {
        if self.subjects.len() > allowed as usize {
            return Err(Refusal::TooManySubjects { got: self.subjects.len(), allowed });
        }
        let asked: HashSet<&str> = self.items.iter().map(|asked| asked.agency.as_str()).collect();
        let mut seen = HashSet::with_capacity(self.subjects.len());
        for Subject { subject, agencies, .. } in &self.subjects {
            if !seen.insert(subject) {
                return Err(Refusal::SubjectTwice(*subject));
            }
            let mut named = HashSet::new();
            for agency in agencies {
                let (subject, name) = (*subject, || agency.clone());
                if !asked.contains(agency.as_str()) {
                    return Err(Refusal::AgencyNotAsked { subject, agency: name() });
                }
                if !named.insert(agency) {
                    return Err(Refusal::AgencyTwice { subject, agency: name() });
                }
            }
        }
        Ok(())
    }
}

/// The first instant after `day`, in the latest time zone there is: an authorisation holds its whole last day.
fn last_moment(day: Date) -> Option<Timestamp> {
    let next = day.tomorrow().ok()?;
    let midnight = jiff::tz::TimeZone::UTC.to_timestamp(next.at(0, 0, 0, 0)).ok()?;
    midnight.checked_add(jiff::SignedDuration::from_hours(12)).ok()
}

/// Where JSON stopped reading, without the value it found there.
fn position_of(error: &serde_json::Error) -> String {
    format!("line {}, column {}", error.line(), error.column())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Names so many subjects.
    fn ticket(subjects: u8) -> Ticket {
        let day = jiff::civil::date(2026, 11, 24);
        let subject = |number| Subject {
            subject: SubjectId([number; 16]),
            capacity: Capacity::Obligor,
            agencies: vec!["bank".into()],
            evidence: ContentHash([2; 32]),
            valid_until: day,
            encodings: ContentHash([3; 32]),
        };
        Ticket {
            manifest: ManifestId([4; 32]),
            office: "office".into(),
            commission_no: "WT-1".into(),
            programme: "dibao".into(),
            window: Window { from: day, to: day },
            issued_at: Timestamp::UNIX_EPOCH,
            expires_at: Timestamp::UNIX_EPOCH,
            standing: false,
            items: vec![Asked { agency: "bank".into(), item: "deposits".into(), level: Level::L1 }],
            subjects: (0..subjects).map(subject).collect(),
        }
    }

    #[test]
    fn a_ticket_names_no_more_subjects_than_the_manifest_allows() {
        let text =
            include_str!("../vectors/open/manifest.toml").replace("[schema]", "[limits]\nsubjects = 2\n\n[schema]");
        let manifest = Manifest::parse(text.as_bytes()).unwrap();
        assert_eq!(ticket(2).within(&manifest), Ok(()));
        assert_eq!(ticket(3).within(&manifest), Err(Refusal::TooManySubjects { got: 3, allowed: 2 }));
    }

    #[test]
    fn an_authorisation_holds_its_whole_last_day_wherever_that_is() {
        let end = last_moment(jiff::civil::date(2026, 11, 24)).unwrap();
        assert_eq!(end.to_string(), "2026-11-25T12:00:00Z", "midnight in the latest time zone");
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_ticket_or_not_one(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in ".*") {
            let _ = serde_json::from_slice::<Ticket>(&bytes);
            let _ = serde_json::from_str::<Ticket>(&text);
            let _ = serde_json::from_str::<Withdrawal>(&text);
            let _ = serde_json::from_str::<Signed>(&text);
        }

        #[test]
        fn a_changed_byte_of_a_ticket_reads_or_is_refused(at in 0usize..700, value in 32u8..127) {
            let mut bytes = ticket(1).to_bytes();
            let at = at % bytes.len();
            bytes[at] = value;
            let _ = serde_json::from_slice::<Ticket>(&bytes);
        }
    }
}
