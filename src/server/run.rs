//! Matches a commission: each subject against each agency that its authorisation covers.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use hedui_protocol::encodings::Encodings;
use hedui_protocol::ids::BatchId;
use hedui_protocol::messages::SubjectEncodings;
use hedui_protocol::ticket::Granted;
use jiff::Timestamp;
use rayon::prelude::*;

use super::Linkage;
use super::error::{ServerError, ServerResult};
use super::layers::ReadyIndex;
use super::release::Desk;
use super::store::{AgencySet, CommissionOutcome, MatchRow};

/// Subjects that are looked up together: a commission of a city in one go through the index, and what they meet in memory.
const TOGETHER: usize = 16_384;

/// What of a commission can be matched now.
pub struct Ready {
    ticket: Arc<Granted>,
    indexes: BTreeMap<String, Option<Arc<ReadyIndex>>>,
}

impl Ready {
    /// None while an agency's set is committed but not indexed yet, or not here. Agencies whose sets the commission was matched
    /// against already are left out.
    pub async fn gather(linkage: &Linkage, ticket: Arc<Granted>) -> ServerResult<Option<Self>> {
        let before: HashMap<String, Option<BatchId>> =
            linkage.store.matched_against(ticket.id()).await?.into_iter().collect();
        let mut indexes = BTreeMap::new();
        for agency in ticket.agencies() {
            // while a further set is indexed, the former one answers
            let index = match linkage.store.set_of(agency).await? {
                AgencySet::None => None,
                AgencySet::Indexing => return Ok(None),
                AgencySet::Indexed(batch) => match linkage.indexes.of(agency).filter(|index| index.batch == batch) {
                    None => return Ok(None),
                    here => here,
                },
            };
            if before.get(agency).is_none_or(|before| *before != index.as_ref().map(|index| index.batch)) {
                indexes.insert(agency.to_owned(), index);
            }
        }
        Ok(Some(Self { ticket, indexes }))
    }

    /// Matches of some subjects. Pure work, for a thread of its own.
    pub fn run(
        &self,
        linkage: &Linkage,
        encodings: &[SubjectEncodings],
        now: Timestamp,
    ) -> ServerResult<Vec<MatchRow>> {
        let mut matches = Vec::new();
        for (agency, index) in &self.indexes {
            if let Some(index) = index {
                matches.extend(self.at_agency(linkage, agency, index, encodings, now)?);
            }
        }
        Ok(matches)
    }

    pub fn asks_about_somebody(&self) -> bool {
        !self.ticket.ticket().subjects.is_empty()
    }

    pub fn outcome(&self, matches: Vec<MatchRow>) -> CommissionOutcome {
        let against =
            self.indexes.iter().map(|(agency, index)| (agency.clone(), index.as_ref().map(|index| index.batch)));
        CommissionOutcome { commission: self.ticket.id(), against: against.collect(), matches }
    }

    fn at_agency(
        &self,
        linkage: &Linkage,
        name: &str,
        index: &ReadyIndex,
        encodings: &[SubjectEncodings],
        now: Timestamp,
    ) -> ServerResult<Vec<MatchRow>> {
        let manifest = &linkage.project.manifest;
        let agency = manifest.agency(name).expect("a granted ticket asks agencies of the manifest");
        let desk = Desk::new(manifest, &self.ticket, agency);
        let shape = manifest.shape();
        let asked: Vec<&SubjectEncodings> = encodings.iter().filter(|entry| entry.agency == name).collect();
        let mut rows = Vec::new();
        for asked in asked.chunks(TOGETHER) {
            let probe =
                |entry: &&SubjectEncodings| Encodings::parse(&entry.encodings.0, &shape).map_err(ServerError::failed);
            let probes: Vec<Encodings> = asked.par_iter().map(probe).collect::<ServerResult<_>>()?;
            let found = index.matches_of_all(&manifest.schema, &shape, &probes.iter().collect::<Vec<_>>());
            let release = asked
                .par_iter()
                .zip(&found)
                .flat_map_iter(|(entry, matches)| desk.release(index, entry.subject, matches, now));
            rows.par_extend(release);
        }
        Ok(rows)
    }
}
