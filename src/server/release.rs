//! The one rule of what may go out for a match.
//!
//! | band | agency | asked by | via | goes out |
//! |---|---|---|---|---|
//! | possible | any | any | any | that there is a possible match |
//! | better | deposit | an office with deposits | an identifying pass | the deposit |
//! | better | otherwise | | | nothing: the agency is asked |
//!
//! Beyond `limits.answer_slots` matches the last slot says that there are more, whatever its band.
//!
//! Before any of it, the ticket covers this subject at this agency now.

use hedui_protocol::decision::Band;
use hedui_protocol::ids::SubjectId;
use hedui_protocol::manifest::{Agency, Manifest, Release as Mode};
use hedui_protocol::part::{StoredRecord, locked_range};
use hedui_protocol::slot::{Slot, SlotShape};
use hedui_protocol::ticket::Granted;
use jiff::Timestamp;

use super::layers::{Found, ReadyIndex};
use super::store::{MatchRow, Release};

/// What a commission asks of one agency, ready for many matches.
pub struct Desk<'d> {
    manifest: &'d Manifest,
    ticket: &'d Granted,
    agency: &'d Agency,
    shape: SlotShape,
    /// The asking office's place among those that deposits are sealed to.
    deposits: Option<usize>,
}

impl<'d> Desk<'d> {
    pub fn new(manifest: &'d Manifest, ticket: &'d Granted, agency: &'d Agency) -> Self {
        let office = &ticket.ticket().office;
        let deposits = manifest.deposit_offices().position(|deposit| deposit.name == *office);
        let deposits = deposits.filter(|_| agency.release == Mode::Deposit);
        Self { manifest, ticket, agency, shape: SlotShape::of(ticket, agency), deposits }
    }

    /// The subject's matches as they are released, no more than an answer has room for; none if the ticket does not
    /// cover the subject here and now.
    pub fn release(&self, index: &ReadyIndex, subject: SubjectId, matches: &[Found], now: Timestamp) -> Vec<MatchRow> {
        let covered = self.ticket.covers(subject, &self.agency.name, now);
        let Some(until) = covered.ok().and_then(|_| self.ticket.covered_until(subject)) else { return Vec::new() };
        let room = usize::from(self.manifest.limits.answer_slots);
        let mut told: Vec<&Found> = matches.iter().take(room).collect();
        let last = told.last().copied().filter(|_| matches.len() > room);
        // the surest were chosen; in which order they came is nobody's business
        told.sort_by_key(|found| (found.found.band, index.row(found).record));
        let row = |(found, place): (&Found, u32)| {
            let cut_off = last.is_some_and(|last| std::ptr::eq(last, found));
            let slot = if cut_off { Slot::More } else { self.slot(index, found) };
            MatchRow {
                subject,
                agency: self.agency.name.clone(),
                record: index.row(found).record,
                place,
                band: found.found.band,
                release: match slot {
                    Slot::Possible | Slot::More => Release::Possible,
                    Slot::Deposit { .. } => Release::Deposit,
                    _ => Release::Pending,
                },
                until,
                asked_at: now,
                slot: self.shape.write(&slot),
            }
        };
        told.into_iter().zip(0u32..).map(row).collect()
    }

    fn slot(&self, index: &ReadyIndex, found: &Found) -> Slot {
        if found.found.band == Band::Possible {
            return Slot::Possible;
        }
        self.deposit(index, found).unwrap_or(Slot::Pending { band: found.found.band })
    }

    /// The deposit, if this match may release one.
    fn deposit(&self, index: &ReadyIndex, found: &Found) -> Option<Slot> {
        let office = self.deposits?;
        let via = found.found.via.filter(|_| matches!(found.found.band, Band::Exact | Band::Repaired))?;
        let (row, seal) = (index.row(found), index.seal(found)?);
        let wrap = StoredRecord::wrap_of(row.wraps, via.token)?;
        let locked = self.ticket.asked(&self.agency.name).map(|asked| {
            let range = locked_range(self.agency, office, &asked.item, asked.level)?;
            row.locked.get(range).map(<[u8]>::to_vec)
        });
        Some(Slot::Deposit {
            band: found.found.band,
            pass: via.pass,
            record: row.record,
            salt: seal.salt,
            encapsulation: *seal.encapsulations.get(office)?,
            wrap: wrap.try_into().ok()?,
            locked: locked.collect::<Option<_>>()?,
        })
    }
}

#[cfg(test)]
mod tests;
