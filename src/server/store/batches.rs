//! Batches and their parts: created, filled, committed; replaced or refused later.

use std::collections::HashMap;

use hedui_protocol::ids::BatchId;
use hedui_protocol::log::Event;
use hedui_protocol::messages::{BatchState, BatchStatus};
use hedui_protocol::part::BatchHeader;
use hedui_protocol::sign::Signed;
use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Job, JobKind, Store, Tx};
use crate::server::error::{ServerError, ServerResult};
use crate::server::parts::Shelf;
use crate::server::shred::ShredKey;

/// What an agency has submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgencySet {
    None,
    /// The first set is committed and not indexed yet.
    Indexing,
    Indexed(BatchId),
}

/// Deltas that a set may have: beyond it each probe would look in too many places.
pub const MOST_DELTAS: i64 = 32;

/// What committing came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commit {
    Done,
    /// The delta continues another batch than the agency's newest.
    OtherBase,
    TooManyDeltas,
    /// Not all of them are here any more.
    PartsMissing,
}

/// A batch with all that is stored of it.
pub struct HeldBatch {
    pub batch: BatchId,
    /// Stands in the names of its parts.
    pub tag: Option<String>,
    pub header: BatchHeader,
    pub state: BatchState,
    /// Parts that have arrived and were not collected.
    pub parts: Vec<u32>,
}

impl HeldBatch {
    /// Whether anybody may still want its parts: it is being filled, indexed or matched against.
    pub fn is_needed(&self) -> bool {
        is_needed(&self.state)
    }
}

/// Of the batch in this state: nobody wants the parts of one that was replaced or refused.
pub fn is_needed(state: &BatchState) -> bool {
    !matches!(state, BatchState::Replaced | BatchState::Refused)
}

impl Store {
    /// Creates a batch, or finds the one that is there; false while files of an erased one with the same header are still being
    /// removed, or where the epoch was erased.
    pub async fn create_batch(
        &self,
        batch: BatchId,
        header: &BatchHeader,
        signed: &Signed,
        now: Timestamp,
    ) -> ServerResult<bool> {
        let bytes = serde_json::to_vec(signed).expect("a signed header is JSON");
        let mut tx = self.write().await?;
        sqlx::query(
            "INSERT INTO batches (batch, agency, header, state, created_at, base, shred_key, sealed, tag)
             SELECT $1, $2, $3, 'open', $4, $5, $6, 1, $7
             WHERE NOT EXISTS (SELECT 1 FROM project WHERE erased_at IS NOT NULL)
             AND NOT EXISTS (SELECT 1 FROM removals WHERE batch = $1)
             ON CONFLICT (batch) DO NOTHING",
        )
        .bind(batch.to_string())
        .bind(&header.agency)
        .bind(bytes)
        .bind(now.as_second())
        .bind(header.base.map(|base| base.to_string()))
        .bind(ShredKey::fresh()?.bytes())
        .bind(Shelf::fresh_tag()?)
        .execute(&mut *tx)
        .await?;
        let here = sqlx::query("SELECT batch FROM batches WHERE batch = $1").bind(batch.to_string());
        let here = here.fetch_optional(&mut *tx).await?.is_some();
        tx.commit().await?;
        Ok(here)
    }

    /// A batch's header and status; none where there is no such batch.
    pub async fn batch(&self, batch: BatchId) -> ServerResult<Option<(BatchHeader, BatchStatus)>> {
        let row = sqlx::query("SELECT header, state, reason FROM batches WHERE batch = $1")
            .bind(batch.to_string())
            .fetch_optional(&self.pool)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let header = header_of(row.get("header"))?;
        let here: Vec<i64> = sqlx::query_scalar("SELECT number FROM parts WHERE batch = $1")
            .bind(batch.to_string())
            .fetch_all(&self.pool)
            .await?;
        let here: std::collections::HashSet<i64> = here.into_iter().collect();
        let numbers = header.parts.iter().map(|part| part.number);
        let missing = numbers.filter(|number| !here.contains(&i64::from(*number))).collect();
        let state = state_of(row.get("state"))?;
        Ok(Some((header, BatchStatus { batch, state, missing, reason: row.get("reason") })))
    }

    /// Where a batch's parts lie, and the key that they are under. Of a batch that was erased there is nothing, and nothing may
    /// be stored.
    pub async fn shelf(&self, batch: BatchId) -> ServerResult<Shelf> {
        let row = sqlx::query("SELECT shred_key, tag FROM batches WHERE batch = $1").bind(batch.to_string());
        let row = row.fetch_optional(&self.pool).await?;
        let row = row.ok_or_else(|| ServerError::Failed(format!("batch {batch} is not there")))?;
        let key = row.get::<Option<Vec<u8>>, _>("shred_key").map(|bytes| ShredKey::of(&bytes)).transpose()?;
        Ok(Shelf { batch, tag: row.get("tag"), key })
    }

    /// The header that a batch's agency signed; none where it is not held.
    pub async fn signed_header(&self, batch: BatchId) -> ServerResult<Option<Signed>> {
        let header: Option<Vec<u8>> = sqlx::query_scalar("SELECT header FROM batches WHERE batch = $1")
            .bind(batch.to_string())
            .fetch_optional(&self.pool)
            .await?;
        header.map(|bytes| serde_json::from_slice(&bytes).map_err(ServerError::failed)).transpose()
    }

    /// Notes that a part is stored; false where its batch was erased meanwhile. Noting it again changes nothing.
    pub async fn note_part(&self, shelf: &Shelf, number: u32, now: Timestamp) -> ServerResult<bool> {
        let mut tx = self.write().await?;
        let (batch, tag) = (shelf.batch.to_string(), shelf.tag.as_deref().unwrap_or_default());
        let here = sqlx::query("SELECT batch FROM batches WHERE batch = $1 AND COALESCE(tag, '') = $2");
        let here = here.bind(&batch).bind(tag).fetch_optional(&mut *tx).await?.is_some();
        if here {
            let note = "INSERT INTO parts (batch, number, stored_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
            let note = sqlx::query(note).bind(&batch).bind(i64::from(number)).bind(now.as_second());
            note.execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(here)
    }

    /// Makes a batch visible, whole, and queues its index. A delta must continue the agency's newest set.
    pub async fn commit_batch(&self, batch: BatchId, header: &BatchHeader, now: Timestamp) -> ServerResult<Commit> {
        let mut tx = self.write().await?;
        if let Some(base) = header.base {
            let refused = Self::may_continue(&mut tx, batch, base, &header.agency).await?;
            if refused != Commit::Done {
                return Ok(refused);
            }
        }
        let commit = "UPDATE batches SET state = 'committed', committed_at = $2,
                place = (SELECT COALESCE(MAX(place), 0) + 1 FROM batches)
            WHERE batch = $1 AND state = 'open'";
        let committed =
            sqlx::query(commit).bind(batch.to_string()).bind(now.as_second()).execute(&mut *tx).await?.rows_affected();
        if committed == 1 {
            let here = sqlx::query_scalar("SELECT COUNT(*) FROM parts WHERE batch = $1").bind(batch.to_string());
            let here: i64 = here.fetch_one(&mut *tx).await?;
            if u64::try_from(here).map_err(ServerError::failed)? < header.parts.len() as u64 {
                return Ok(Commit::PartsMissing);
            }
            Self::queue(&mut tx, JobKind::Index, &batch.to_string()).await?;
            let (agency, records, base) = (header.agency.clone(), header.records, header.base);
            Self::log(&mut tx, Event::BatchCommitted { agency, batch, records, base }, now).await?;
        }
        tx.commit().await?;
        Ok(Commit::Done)
    }

    /// Whether a delta continues the newest set that its agency has committed. One that is committed already does.
    async fn may_continue(tx: &mut Tx, batch: BatchId, base: BatchId, agency: &str) -> ServerResult<Commit> {
        let state: Option<String> = sqlx::query_scalar("SELECT state FROM batches WHERE batch = $1")
            .bind(batch.to_string())
            .fetch_optional(&mut **tx)
            .await?;
        if state.is_some_and(|state| state != "open") {
            return Ok(Commit::Done);
        }
        let newest: Option<String> = sqlx::query_scalar(
            "SELECT batch FROM batches WHERE agency = $1 AND state IN ('committed', 'indexed') ORDER BY place DESC LIMIT 1",
        )
        .bind(agency)
        .fetch_optional(&mut **tx)
        .await?;
        if newest.as_ref() != Some(&base.to_string()) {
            return Ok(Commit::OtherBase);
        }
        let deltas: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM batches WHERE agency = $1 AND state = 'extended'")
            .bind(agency)
            .fetch_one(&mut **tx)
            .await?;
        Ok(if deltas >= MOST_DELTAS { Commit::TooManyDeltas } else { Commit::Done })
    }

    /// A batch and what it continues, the whole set first.
    pub async fn chain(&self, batch: BatchId) -> ServerResult<Vec<(BatchId, BatchHeader)>> {
        let (mut chain, mut next) = (Vec::new(), Some(batch));
        while let Some(batch) = next {
            let Some((header, _)) = self.batch(batch).await? else {
                return Err(ServerError::Failed(format!("batch {batch}, which others continue, is not there")));
            };
            next = header.base;
            chain.push((batch, header));
        }
        chain.reverse();
        Ok(chain)
    }

    /// Whether a set that its agency committed later has been indexed already.
    pub async fn is_superseded(&self, batch: BatchId, agency: &str) -> ServerResult<bool> {
        let later = "SELECT batch FROM batches WHERE agency = $1 AND state = 'indexed'
            AND place > (SELECT place FROM batches WHERE batch = $2) LIMIT 1";
        Ok(sqlx::query(later).bind(agency).bind(batch.to_string()).fetch_optional(&self.pool).await?.is_some())
    }

    /// The batch is indexed: it takes the place of the agency's former set, or continues it, unless a later commit has taken
    /// it already.
    ///
    /// Returns whether it is the agency's set now.
    pub async fn batch_indexed(&self, job: &Job, batch: BatchId, agency: &str, now: Timestamp) -> ServerResult<bool> {
        let mut tx = self.write().await?;
        if !self.finish(&mut tx, job).await? {
            return Ok(false);
        }
        let row = sqlx::query("SELECT place, base FROM batches WHERE batch = $1").bind(batch.to_string());
        let row = row.fetch_one(&mut *tx).await?;
        let (place, base): (i64, Option<String>) = (row.get("place"), row.get("base"));
        let later = "SELECT place FROM batches WHERE agency = $1 AND state = 'indexed' AND place > $2 LIMIT 1";
        let later: Option<i64> = sqlx::query_scalar(later).bind(agency).bind(place).fetch_optional(&mut *tx).await?;
        if later.is_some() {
            Self::end_batch(&mut tx, batch, "replaced", None, now).await?;
            tx.commit().await?;
            return Ok(false);
        }
        let before = match &base {
            Some(base) => {
                let extended = "UPDATE batches SET state = 'extended' WHERE agency = $1 AND batch = $2";
                sqlx::query(extended).bind(agency).bind(base.clone())
            }
            None => {
                let replaced = "UPDATE batches SET state = 'replaced', ended_at = $3
                    WHERE agency = $1 AND state IN ('indexed', 'extended') AND batch <> $2";
                sqlx::query(replaced).bind(agency).bind(batch.to_string()).bind(now.as_second())
            }
        };
        before.execute(&mut *tx).await?;
        let indexed = "UPDATE batches SET state = 'indexed', reason = NULL WHERE batch = $1";
        sqlx::query(indexed).bind(batch.to_string()).execute(&mut *tx).await?;
        Self::log(&mut tx, Event::BatchIndexed { agency: agency.to_owned(), batch }, now).await?;
        for commission in Self::standing_at(&mut tx, agency, now).await? {
            Self::queue_again(&mut tx, JobKind::Sweep, &commission).await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    /// The batch cannot be matched against; the agency's former set stays.
    pub async fn batch_refused(
        &self,
        job: &Job,
        batch: BatchId,
        agency: &str,
        reason: &str,
        now: Timestamp,
    ) -> ServerResult<()> {
        let mut tx = self.write().await?;
        if self.finish(&mut tx, job).await? {
            Self::end_batch(&mut tx, batch, "refused", Some(reason), now).await?;
            let (agency, reason) = (agency.to_owned(), reason.to_owned());
            Self::log(&mut tx, Event::BatchRefused { agency, batch, reason }, now).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Notes why a committed batch is not indexed yet, for the agency that waits; forgotten once it is.
    pub async fn note_delay(&self, batch: BatchId, reason: &str) -> ServerResult<()> {
        sqlx::query("UPDATE batches SET reason = $2 WHERE batch = $1 AND state = 'committed'")
            .bind(batch.to_string())
            .bind(reason)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// There is nothing to do any more.
    pub async fn job_is_done(&self, job: &Job) -> ServerResult<()> {
        let mut tx = self.write().await?;
        self.finish(&mut tx, job).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn end_batch(
        tx: &mut Tx,
        batch: BatchId,
        state: &str,
        reason: Option<&str>,
        now: Timestamp,
    ) -> ServerResult<()> {
        sqlx::query("UPDATE batches SET state = $2, reason = $3, ended_at = $4 WHERE batch = $1")
            .bind(batch.to_string())
            .bind(state)
            .bind(reason)
            .bind(now.as_second())
            .execute(&mut **tx)
            .await?;
        Ok(())
    }

    /// What an agency's commissions are matched against.
    pub async fn set_of(&self, agency: &str) -> ServerResult<AgencySet> {
        let rows =
            sqlx::query("SELECT batch, state FROM batches WHERE agency = $1 AND state IN ('committed', 'indexed')")
                .bind(agency)
                .fetch_all(&self.pool)
                .await?;
        // the former set answers until the new one can
        let Some(row) = rows.iter().find(|row| row.get::<&str, _>("state") == "indexed") else {
            return Ok(if rows.is_empty() { AgencySet::None } else { AgencySet::Indexing });
        };
        row.get::<&str, _>("batch").parse().map(AgencySet::Indexed).map_err(ServerError::failed)
    }

    /// Every agency's indexed batch: what a worker must have an index of.
    pub async fn indexed_batches(&self) -> ServerResult<Vec<(String, BatchId)>> {
        let rows =
            sqlx::query("SELECT agency, batch FROM batches WHERE state = 'indexed'").fetch_all(&self.pool).await?;
        let batch = |row: &AnyRow| {
            let batch = row.get::<&str, _>("batch").parse().map_err(ServerError::failed)?;
            Ok((row.get("agency"), batch))
        };
        rows.iter().map(batch).collect()
    }

    /// Every batch.
    pub async fn held_batches(&self) -> ServerResult<Vec<HeldBatch>> {
        let mut parts: HashMap<String, Vec<u32>> = HashMap::new();
        for row in sqlx::query("SELECT batch, number FROM parts").fetch_all(&self.pool).await? {
            let number = u32::try_from(row.get::<i64, _>("number")).map_err(ServerError::failed)?;
            parts.entry(row.get("batch")).or_default().push(number);
        }
        let batches = "SELECT batch, tag, header, state FROM batches ORDER BY created_at, batch";
        let held = |row: &AnyRow| {
            let batch: String = row.get("batch");
            Ok(HeldBatch {
                parts: parts.remove(&batch).unwrap_or_default(),
                batch: batch.parse().map_err(ServerError::failed)?,
                tag: row.get("tag"),
                header: header_of(row.get("header"))?,
                state: state_of(row.get("state"))?,
            })
        };
        sqlx::query(batches).fetch_all(&self.pool).await?.iter().map(held).collect()
    }

    /// Batches by state, for the metrics.
    pub async fn batch_counts(&self) -> ServerResult<Vec<(String, i64)>> {
        let rows = sqlx::query("SELECT state, COUNT(*) AS n FROM batches GROUP BY state ORDER BY state")
            .fetch_all(&self.pool)
            .await?;
        Ok(rows.iter().map(|row| (row.get("state"), row.get("n"))).collect())
    }
}

/// A batch's header, from the signed one that is stored.
pub fn header_of(bytes: Vec<u8>) -> ServerResult<BatchHeader> {
    let signed: Signed = serde_json::from_slice(&bytes).map_err(ServerError::failed)?;
    BatchHeader::parse(&signed.bytes).map_err(ServerError::failed)
}

pub fn state_of(word: &str) -> ServerResult<BatchState> {
    serde_json::from_value(serde_json::Value::from(word)).map_err(ServerError::failed)
}
