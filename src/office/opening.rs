//! Opening what was released for one commission, under its ticket, for people this office can name.

use hedui_protocol::decision::Band;
use hedui_protocol::ids::{RecordId, SubjectId};
use hedui_protocol::keys::WrapKey;
use hedui_protocol::manifest::{Agency, Level, Manifest};
use hedui_protocol::messages::SubjectAnswer;
use hedui_protocol::open::{Deposit, OpenError, Opener, OpeningKey};
use hedui_protocol::payload::Payload;
use hedui_protocol::slot::{Slot, SlotShape};
use hedui_protocol::ticket::Granted;
use jiff::Timestamp;
use serde::Serialize;

use super::commission::Encoders;
use super::journal::{Commission, Person, Standing};
use crate::failure::{Failure, Outcome};

/// What one agency has said about one person.
#[derive(Serialize)]
pub struct AgencyAnswer {
    pub agency: String,
    pub state: AnswerState,
    pub records: Vec<OpenedRecord>,
    /// The agency has more records of this person than an answer has room for.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub incomplete: bool,
    /// Why something that was released could not be opened.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unopened: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnswerState {
    Answered,
    NoRecord,
    /// A possible match, which releases nothing: to be confirmed by other means.
    PossibleMatch,
    Pending,
    Declined,
    /// The agency had submitted nothing to match against.
    NotSubmitted,
    /// The person's authorisation does not cover this agency.
    NotCovered,
    /// The server refused the commission before this agency's answer was fetched.
    Refused,
}

/// A record that the agency told about.
#[derive(Serialize)]
pub struct OpenedRecord {
    pub record: RecordId,
    pub band: Band,
    pub items: Vec<OpenedItem>,
}

#[derive(Serialize)]
pub struct OpenedItem {
    pub item: String,
    pub level: Level,
    pub payload: Payload,
}

/// Opens answers of one office at one moment.
pub struct Reader<'r> {
    pub manifest: &'r Manifest,
    pub key: &'r OpeningKey,
    pub encoders: &'r Encoders,
    pub now: Timestamp,
}

impl Reader<'_> {
    pub fn grant(&self, commission: &Commission) -> Outcome<Granted> {
        Granted::check(&commission.ticket, self.manifest).map_err(Failure::refused)
    }

    /// Every answer about `person`, agency by agency in the ticket's order.
    pub fn answers(
        &self,
        ticket: &Granted,
        person: &Person,
        subject: SubjectId,
        answers: &[&SubjectAnswer],
    ) -> Outcome<Vec<AgencyAnswer>> {
        let subjects = &ticket.ticket().subjects;
        let own = subjects.iter().find(|entry| entry.subject == subject);
        let asked = |name: &str| own.is_some_and(|own| own.agencies.iter().any(|agency| agency == name));
        let answer = |name: &str| {
            let agency = self.manifest.agency(name).expect("a granted ticket asks agencies of the manifest");
            match answers.iter().find(|answer| answer.agency == name) {
                Some(answer) => self.answer(ticket, person, subject, agency, &answer.slots.0),
                None => Ok(AgencyAnswer {
                    agency: name.to_owned(),
                    state: if asked(name) { AnswerState::Refused } else { AnswerState::NotCovered },
                    records: Vec::new(),
                    incomplete: false,
                    unopened: Vec::new(),
                }),
            }
        };
        ticket.agencies().into_iter().map(answer).collect()
    }

    fn answer(
        &self,
        ticket: &Granted,
        person: &Person,
        subject: SubjectId,
        agency: &Agency,
        slots: &[u8],
    ) -> Outcome<AgencyAnswer> {
        let shape = SlotShape::of(ticket, agency);
        let slots: Vec<Slot> = slots
            .chunks(shape.bytes())
            .map(|slot| shape.read(slot))
            .collect::<Result<_, _>>()
            .map_err(|e| Failure::refused(format!("agency `{}`: {e}", agency.name)))?;
        let (mut records, mut unopened) = (Vec::new(), Vec::new());
        for slot in &slots {
            match self.open(ticket, person, subject, agency, slot) {
                Ok(Some(record)) => records.push(record),
                Ok(None) => {}
                Err(why) => unopened.push(why.to_string()),
            }
        }
        let incomplete = slots.contains(&Slot::More);
        Ok(AgencyAnswer { agency: agency.name.clone(), state: state(&slots), records, incomplete, unopened })
    }

    fn open(
        &self,
        ticket: &Granted,
        person: &Person,
        subject: SubjectId,
        agency: &Agency,
        slot: &Slot,
    ) -> Result<Option<OpenedRecord>, OpenError> {
        let opener = Opener { key: self.key, manifest: self.manifest, ticket, now: self.now };
        let (band, record, payloads) = match slot {
            Slot::Deposit { band, pass, record, salt, encapsulation, wrap, locked } => {
                let deposit = Deposit { record: *record, salt, encapsulation, wrap, locked };
                let payloads = opener.deposit(subject, agency, &deposit, &self.wrap_keys(person, agency, *pass))?;
                (*band, *record, payloads)
            }
            Slot::Answer { band, answer } => (*band, answer.record, opener.answer(subject, agency, answer)?),
            _ => return Ok(None),
        };
        let item = |(asked, payload): (&hedui_protocol::ticket::Asked, Vec<u8>)| {
            let payload = Payload::parse(&payload).ok_or(OpenError::NotOurs)?;
            Ok(OpenedItem { item: asked.item.clone(), level: asked.level, payload })
        };
        let items = ticket.asked(&agency.name).zip(payloads).map(item).collect::<Result<_, OpenError>>()?;
        Ok(Some(OpenedRecord { record, band, items }))
    }

    /// The wrap keys that this person's own values give for one pass.
    fn wrap_keys(&self, person: &Person, agency: &Agency, pass: u8) -> Vec<WrapKey> {
        let cells: Vec<&str> = person.cells.iter().map(String::as_str).collect();
        // what cannot be encoded has no wrap keys
        let Ok(encoded) = self.encoders.of(&agency.name).encode(&cells) else { return Vec::new() };
        let tokens = &encoded.encodings.tokens;
        let keys = encoded.wrap_keys.into_iter();
        keys.filter(|(index, _)| tokens[usize::from(*index)].0 == pass).map(|(_, key)| key).collect()
    }
}

/// The subjects that a commission asks about.
pub fn subjects_of(commission: &Commission) -> usize {
    commission.people.iter().filter(|person| matches!(person.standing, Standing::Subject(_))).count()
}

fn state(slots: &[Slot]) -> AnswerState {
    let any = |is: fn(&Slot) -> bool| slots.iter().any(is);
    if any(|slot| matches!(slot, Slot::Deposit { .. } | Slot::Answer { .. })) {
        AnswerState::Answered
    } else if any(|slot| matches!(slot, Slot::Pending { .. })) {
        AnswerState::Pending
    } else if any(|slot| matches!(slot, Slot::Declined { .. })) {
        AnswerState::Declined
    } else if any(|slot| matches!(slot, Slot::Possible | Slot::More)) {
        AnswerState::PossibleMatch
    } else if any(|slot| matches!(slot, Slot::Absent)) {
        AnswerState::NotSubmitted
    } else {
        AnswerState::NoRecord
    }
}
