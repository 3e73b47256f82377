//! From a household to a commission: subjects, their encodings for each agency, the signed ticket.

use std::collections::{BTreeMap, HashSet};
use std::str::FromStr;

use hedui_protocol::basis::Basis;
use hedui_protocol::encodings::subject_hash;
use hedui_protocol::ids::{CommissionId, SubjectId};
use hedui_protocol::keys::{EvidenceKey, LinkageKey};
use hedui_protocol::manifest::{Level, Manifest};
use hedui_protocol::messages::{Blob, CommissionRequest, PART_SUBJECTS, SubjectEncodings};
use hedui_protocol::row_encoder::RowEncoder;
use hedui_protocol::sign::{Purpose, Signed, SigningKey};
use hedui_protocol::ticket::{Asked, Granted, Subject, Ticket, Window};
use jiff::Timestamp;
use jiff::civil::Date;
use rayon::prelude::*;

use super::authorisation::capacity;
use super::household::{Household, Member};
use super::journal::{Commission, Person, Standing};
use super::withdraw::Signer;
use crate::clock;
use crate::failure::{Failure, Outcome};

/// `AGENCY.ITEM=LEVEL` from the command line.
#[derive(Clone, Debug)]
pub struct AskedItem(pub Asked);

impl FromStr for AskedItem {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = "expected AGENCY.ITEM=LEVEL, for instance bank.deposits=L1";
        let (what, level) = text.split_once('=').ok_or(expected)?;
        let (agency, item) = what.split_once('.').ok_or(expected)?;
        let level: Level = level.parse()?;
        Ok(Self(Asked { agency: agency.to_owned(), item: item.to_owned(), level }))
    }
}

/// One encoder an agency: a person's encodings differ from agency to agency.
pub struct Encoders(BTreeMap<String, RowEncoder>);

impl Encoders {
    pub fn new(key: &LinkageKey, manifest: &Manifest, agencies: &[String]) -> Self {
        let encoder = |agency: &String| RowEncoder::new(key, manifest.id(), &manifest.schema, agency);
        Self(agencies.iter().map(|agency| (agency.clone(), encoder(agency))).collect())
    }

    pub fn of(&self, agency: &str) -> &RowEncoder {
        self.0.get(agency).expect("there is an encoder for every agency asked")
    }
}

/// What all commissions of one run share.
pub struct Desk<'d> {
    pub manifest: &'d Manifest,
    pub office: &'d str,
    pub key: SigningKey,
    pub evidence: EvidenceKey,
    pub encoders: Encoders,
    pub programme: String,
    pub window: Window,
    /// Its first and last day, where somebody named them.
    pub wanted: (Option<Date>, Option<Date>),
    pub items: Vec<Asked>,
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
    /// Last day of the authorisations.
    pub valid_until: Date,
    /// The subjects are looked for again whenever an agency commits.
    pub standing: bool,
}

impl Desk<'_> {
    /// The household's commission; none where nobody in it may be asked about.
    pub fn commission(&self, household: &Household) -> Outcome<Option<Commission>> {
        let asked = household.members.par_iter().map(|member| match &member.agencies {
            Ok(agencies) => self.subject(member, agencies).map(Ok),
            Err(reason) => Ok(Err(*reason)),
        });
        let mut subjects = Vec::new();
        let mut people = Vec::new();
        for (member, asked) in household.members.iter().zip(asked.collect::<Outcome<Vec<_>>>()?) {
            let standing = match asked {
                Ok(subject) => {
                    let id = subject.subject;
                    subjects.push(subject);
                    Standing::Subject(id)
                }
                Err(reason) => Standing::Excluded(reason),
            };
            let (row_id, relation, cells) = (member.row_id.clone(), member.relation.clone(), member.cells.clone());
            people.push(Person { row_id, relation, cells, standing });
        }
        if subjects.is_empty() {
            return Ok(None);
        }
        let commission_no = format!("WT-{}", &String::from(SubjectId(crate::random::bytes()?))[..12]);
        let ticket = Ticket {
            manifest: self.manifest.id(),
            office: self.office.to_owned(),
            commission_no: commission_no.clone(),
            programme: self.programme.clone(),
            window: self.window,
            issued_at: self.issued_at,
            expires_at: self.expires_at,
            standing: self.standing,
            items: self.items.clone(),
            subjects,
        };
        let ticket = Signed::new(&self.key, Purpose::Ticket, ticket.to_bytes());
        let commission = CommissionId(*blake3::hash(&ticket.bytes).as_bytes());
        Ok(Some(Commission { commission, commission_no, household: household.number.clone(), ticket, people }))
    }

    fn subject(&self, member: &Member, agencies: &[String]) -> Outcome<Subject> {
        let encoded = self.encodings(&member.cells, agencies)?;
        let pairs = encoded.iter().map(|(agency, bytes)| (agency.as_str(), bytes.as_slice()));
        Ok(Subject {
            subject: SubjectId(crate::random::bytes()?),
            capacity: capacity(&member.relation),
            agencies: agencies.to_vec(),
            evidence: self.evidence.hash(&member.authorisation_no),
            valid_until: self.valid_until,
            encodings: subject_hash(pairs),
        })
    }

    fn encodings(&self, cells: &[String], agencies: &[String]) -> Outcome<Vec<(String, Vec<u8>)>> {
        let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
        let encode = |agency: &String| {
            let encoded = self.encoders.of(agency).encode(&cells).map_err(Failure::refused)?;
            Ok((agency.clone(), encoded.encodings.to_bytes()))
        };
        agencies.iter().map(encode).collect()
    }

    /// Whether a prepared commission can still be sent; one of another manifest, or past its time, is made anew.
    pub fn still_holds(&self, commission: &Commission) -> bool {
        Granted::check(&commission.ticket, self.manifest).is_ok_and(|ticket| ticket.holds(self.issued_at).is_ok())
    }

    /// Whether a commission asks what this run asks, of the same people of the household.
    /// This office, as it signs what it takes back.
    pub fn signer(&self) -> Signer<'_> {
        Signer { office: self.office, key: &self.key, now: self.issued_at }
    }

    pub fn asks_the_same(&self, commission: &Commission, household: &Household) -> bool {
        let Ok(ticket) = serde_json::from_slice::<Ticket>(&commission.ticket.bytes) else { return false };
        ticket.programme == self.programme
            && ticket.standing == self.standing
            && ticket.items == self.items
            && self.wanted.0.is_none_or(|from| from == ticket.window.from)
            && self.wanted.1.is_none_or(|to| to == ticket.window.to)
            && may_be_asked(household) == asked(commission)
    }

    /// The request to send: the ticket, and the encodings that it binds, derived again; without them where they follow in parts.
    pub fn request(&self, commission: &Commission) -> Outcome<CommissionRequest> {
        let encodings = match parts(commission) {
            0 | 1 => self.part(commission, &ticket_of(commission)?, 0)?,
            // they follow
            _ => Vec::new(),
        };
        Ok(CommissionRequest { basis: Basis::of(self.manifest), ticket: commission.ticket.clone(), encodings })
    }

    /// SPEC 11.5  The encodings of one part's subjects, in the ticket's order, which is that of the commission's people.
    pub fn part(&self, commission: &Commission, ticket: &Ticket, part: usize) -> Outcome<Vec<SubjectEncodings>> {
        let subject = |person: &Person| matches!(person.standing, Standing::Subject(_));
        let asked = commission.people.iter().filter(|person| subject(person)).zip(&ticket.subjects);
        let own: Vec<(&Person, &Subject)> = asked.skip(part * PART_SUBJECTS).take(PART_SUBJECTS).collect();
        let encoded = own.par_iter().map(|(person, subject)| {
            let encoded = self.encodings(&person.cells, &subject.agencies)?.into_iter();
            let entry = |(agency, bytes)| SubjectEncodings { subject: subject.subject, agency, encodings: Blob(bytes) };
            Ok(encoded.map(entry).collect::<Vec<_>>())
        });
        Ok(encoded.collect::<Outcome<Vec<_>>>()?.into_iter().flatten().collect())
    }
}

/// Whether everybody whom a commission asks about is of the household, and may still be asked about.
pub fn asks_of_members_only(commission: &Commission, household: &Household) -> bool {
    asked(commission).is_subset(&may_be_asked(household))
}

fn asked(commission: &Commission) -> HashSet<&str> {
    let people = commission.people.iter().filter(|person| matches!(person.standing, Standing::Subject(_)));
    people.map(|person| person.row_id.as_str()).collect()
}

fn may_be_asked(household: &Household) -> HashSet<&str> {
    let members = household.members.iter().filter(|member| member.agencies.is_ok());
    members.map(|member| member.row_id.as_str()).collect()
}

/// The ticket that a commission was prepared with.
pub fn ticket_of(commission: &Commission) -> Outcome<Ticket> {
    serde_json::from_slice(&commission.ticket.bytes)
        .map_err(|_| Failure::refused("the office's journal holds a ticket that does not read"))
}

/// Parts in which a commission's encodings are sent.
pub fn parts(commission: &Commission) -> usize {
    super::opening::subjects_of(commission).div_ceil(PART_SUBJECTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn any_text_is_an_asked_item_or_refused(text in ".*") {
            let _ = text.parse::<AskedItem>();
        }
    }

    #[test]
    fn an_asked_item_reads() {
        let asked = "bank.deposits=L1".parse::<AskedItem>().unwrap().0;
        assert_eq!((asked.agency.as_str(), asked.item.as_str(), asked.level), ("bank", "deposits", Level::L1));
        assert!("bank.deposits=L9".parse::<AskedItem>().is_err());
    }
}
