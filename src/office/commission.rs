//! From a household to a commission: subjects, their encodings for each agency, the signed ticket.

use std::collections::{BTreeMap, HashMap, HashSet};
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
use jiff::civil::Date;
use jiff::{Span, Timestamp};
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
    /// First and last day of the period that is asked about, where somebody named them.
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
    /// The period that is asked about by who asks at this moment: the year until then, where nobody named its days.
    pub fn window(&self, moment: Timestamp) -> Window {
        let today = clock::day(moment);
        let year_ago = today.saturating_sub(Span::new().years(1));
        Window { from: self.wanted.0.unwrap_or(year_ago), to: self.wanted.1.unwrap_or(today) }
    }

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
            window: self.window(self.issued_at),
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

    /// This office, as it signs what it takes back.
    pub fn signer(&self) -> Signer<'_> {
        Signer { office: self.office, key: &self.key, now: self.issued_at }
    }

    /// Whether a prepared commission can still be sent; one of another manifest, or past its time, is made anew.
    pub fn still_holds(&self, commission: &Commission) -> bool {
        Granted::check(&commission.ticket, self.manifest).is_ok_and(|ticket| ticket.holds(self.issued_at).is_ok())
    }

    /// Whether a commission asks what this run asks, about the same people of the household on the same authorisations.
    pub fn asks_the_same(&self, commission: &Commission, household: &Household) -> bool {
        let Ok(ticket) = ticket_of(commission) else { return false };
        let within = |one: &[Asked], other: &[Asked]| one.iter().all(|asked| other.contains(asked));
        let asked = asked(commission, &ticket)
            .map(|(person, subject)| (person.row_id.as_str(), (&subject.agencies, subject.evidence, &person.cells)));
        let may_be_asked = household.members.iter().filter_map(|member| {
            let agencies = member.agencies.as_ref().ok()?;
            Some((member.row_id.as_str(), (agencies, self.evidence.hash(&member.authorisation_no), &member.cells)))
        });
        ticket.programme == self.programme
            && ticket.standing == self.standing
            && within(&ticket.items, &self.items)
            && within(&self.items, &ticket.items)
            && ticket.window == self.window(ticket.issued_at)
            && asked.collect::<HashMap<_, _>>() == may_be_asked.collect::<HashMap<_, _>>()
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
        let own = asked(commission, ticket).skip(part * PART_SUBJECTS).take(PART_SUBJECTS);
        let own: Vec<(&Person, &Subject)> = own.collect();
        let encoded = own.par_iter().map(|(person, subject)| {
            let encoded = self.encodings(&person.cells, &subject.agencies)?.into_iter();
            let entry = |(agency, bytes)| SubjectEncodings { subject: subject.subject, agency, encodings: Blob(bytes) };
            Ok(encoded.map(entry).collect::<Vec<_>>())
        });
        Ok(encoded.collect::<Outcome<Vec<_>>>()?.into_iter().flatten().collect())
    }
}

/// Whether a commission asks about members of the household alone, and no agency that their authorisations do not cover.
pub fn is_covered(commission: &Commission, household: &Household) -> bool {
    let Ok(ticket) = ticket_of(commission) else { return false };
    let covered: HashMap<&str, &[String]> =
        household.members.iter().map(|member| (member.row_id.as_str(), member.covered.as_slice())).collect();
    asked(commission, &ticket).all(|(person, subject)| {
        let covered = covered.get(person.row_id.as_str()).copied().unwrap_or_default();
        subject.agencies.iter().all(|agency| covered.contains(agency))
    })
}

/// Whether somebody of a commission is of the household.
pub fn shares_people(commission: &Commission, household: &Household) -> bool {
    let members: HashSet<(&str, &[String])> =
        household.members.iter().map(|member| (member.row_id.as_str(), member.cells.as_slice())).collect();
    commission.people.iter().any(|person| members.contains(&(person.row_id.as_str(), person.cells.as_slice())))
}

/// Whom a commission asks about; its ticket has them in the order of its people.
fn asked<'c>(commission: &'c Commission, ticket: &'c Ticket) -> impl Iterator<Item = (&'c Person, &'c Subject)> {
    let is_asked = |person: &&Person| matches!(person.standing, Standing::Subject(_));
    commission.people.iter().filter(is_asked).zip(&ticket.subjects)
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
