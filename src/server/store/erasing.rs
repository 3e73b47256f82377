//! Erasing: because two operators want it, or because a term has ended (`terms`). The rows go in the transaction that says so;
//! files are noted as to be removed, and their keys are gone already.

use hedui_protocol::acts::Counts;
use hedui_protocol::ids::{BatchId, CommissionId};
use hedui_protocol::part::BatchHeader;
use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row as _};

use super::batches::header_of;
use super::matches::FORGOTTEN;
use super::{JobKind, Store, Tx};
use crate::server::error::{ServerError, ServerResult};
use crate::server::parts::Shelf;
use crate::server::shred::ShredKey;

/// What is worked on in one transaction.
pub(super) const TOGETHER: i64 = 500;

/// What is to be removed of a batch: so many parts.
pub struct Removal {
    pub shelf: Shelf,
    pub parts: u32,
}

impl Store {
    /// What stays of a commission is its id, so that its ticket is not taken again, and how many people its office asked about.
    pub(super) async fn erase_commissions(tx: &mut Tx, commissions: &[CommissionId]) -> ServerResult<Counts> {
        let mut counts = Counts::default();
        for commission in commissions {
            let id = commission.to_string();
            counts.answers += Self::forget_answers(tx, &id).await?.unwrap_or(0);
            sqlx::query("DELETE FROM encodings WHERE commission = $1").bind(&id).execute(&mut **tx).await?;
            Self::cancel(tx, JobKind::Commission, &id).await?;
            Self::cancel(tx, JobKind::Sweep, &id).await?;
            let erase = "UPDATE commissions SET state = 'erased', standing = 0, ticket = $2, ticket_signature = '', encodings = $3,
                    withdrawal = NULL, shred_key = NULL, version = version + 1, ended = 3
                WHERE commission = $1 AND state <> 'erased'";
            let erase = sqlx::query(erase).bind(&id).bind(Vec::<u8>::new()).bind(FORGOTTEN);
            counts.commissions += erase.execute(&mut **tx).await?.rows_affected();
        }
        Ok(counts)
    }

    /// How many matches there were; none where it was not matched.
    pub(super) async fn forget_answers(tx: &mut Tx, commission: &str) -> ServerResult<Option<u64>> {
        let matches = sqlx::query("DELETE FROM matches WHERE commission = $1").bind(commission);
        let matches = matches.execute(&mut **tx).await?.rows_affected();
        let against = sqlx::query("DELETE FROM matched_against WHERE commission = $1").bind(commission);
        let was_matched = against.execute(&mut **tx).await?.rows_affected() > 0;
        Ok(was_matched.then_some(matches))
    }

    /// What an agency has submitted and answered; it may submit again.
    pub(super) async fn erase_agency(tx: &mut Tx, agency: &str, act: u64) -> ServerResult<Counts> {
        let batches = Self::remove_batches(tx, Some(agency), Some(act)).await?;
        let answers = sqlx::query("DELETE FROM matches WHERE agency = $1").bind(agency).execute(&mut **tx).await?;
        let told = "UPDATE commissions SET version = version + 1 WHERE state = 'matched'
            AND commission IN (SELECT commission FROM matched_against WHERE agency = $1)";
        sqlx::query(told).bind(agency).execute(&mut **tx).await?;
        let forget = "UPDATE matched_against SET batch = NULL WHERE agency = $1";
        sqlx::query(forget).bind(agency).execute(&mut **tx).await?;
        Ok(Counts { batches, commissions: 0, answers: answers.rows_affected() })
    }

    /// Everything but the log, the acts, and the manifest by which they read.
    pub(super) async fn erase_project(tx: &mut Tx, act: Option<u64>, now: Timestamp) -> ServerResult<Counts> {
        let answers = sqlx::query("DELETE FROM matches").execute(&mut **tx).await?.rows_affected();
        for table in ["matched_against", "encodings"] {
            sqlx::query(AssertSqlSafe(format!("DELETE FROM {table}"))).execute(&mut **tx).await?;
        }
        let commissions = sqlx::query("DELETE FROM commissions").execute(&mut **tx).await?.rows_affected();
        let batches = Self::remove_batches(tx, None, act).await?;
        sqlx::query("DELETE FROM jobs").execute(&mut **tx).await?;
        sqlx::query("UPDATE project SET erased_at = $1").bind(now.as_second()).execute(&mut **tx).await?;
        Ok(Counts { batches, commissions, answers })
    }

    /// Batches of one agency, or of all, with their keys; how many there were.
    async fn remove_batches(tx: &mut Tx, agency: Option<&str>, act: Option<u64>) -> ServerResult<u64> {
        let rows = sqlx::query("SELECT batch, header, tag FROM batches WHERE agency = $1 OR $1 IS NULL").bind(agency);
        let rows = rows.fetch_all(&mut **tx).await?;
        for row in &rows {
            Self::remove_batch(tx, row, act).await?;
        }
        Ok(rows.len() as u64)
    }

    pub(super) async fn remove_batch(tx: &mut Tx, row: &AnyRow, act: Option<u64>) -> ServerResult<()> {
        let batch: &str = row.get("batch");
        Self::remove_files(tx, row, act).await?;
        Self::drop_job(tx, JobKind::Index, batch).await?;
        sqlx::query("DELETE FROM batches WHERE batch = $1").bind(batch).execute(&mut **tx).await?;
        Ok(())
    }

    /// Notes a batch's files as to be removed, and forgets the key that they are under.
    pub(super) async fn remove_files(tx: &mut Tx, row: &AnyRow, act: Option<u64>) -> ServerResult<()> {
        let batch: &str = row.get("batch");
        let parts = header_of(row.get("header"))?.parts.len();
        sqlx::query(
            "INSERT INTO removals (batch, parts, act, tag) VALUES ($1, $2, $3, $4)
             ON CONFLICT (batch) DO UPDATE SET act = excluded.act",
        )
        .bind(batch)
        .bind(i64::try_from(parts).map_err(ServerError::failed)?)
        .bind(act.map(i64::try_from).transpose().map_err(ServerError::failed)?)
        .bind(row.get::<Option<String>, _>("tag"))
        .execute(&mut **tx)
        .await?;
        sqlx::query("DELETE FROM parts WHERE batch = $1").bind(batch).execute(&mut **tx).await?;
        sqlx::query("UPDATE batches SET shred_key = NULL WHERE batch = $1").bind(batch).execute(&mut **tx).await?;
        Ok(())
    }

    /// Files that are to be removed.
    pub async fn removals(&self) -> ServerResult<Vec<Removal>> {
        let rows = sqlx::query("SELECT batch, parts, tag FROM removals ORDER BY batch").fetch_all(&self.pool).await?;
        let removal = |row: &AnyRow| {
            let batch = row.get::<&str, _>("batch").parse().map_err(ServerError::failed)?;
            Ok(Removal {
                shelf: Shelf { batch, tag: row.get("tag"), key: None },
                parts: u32::try_from(row.get::<i64, _>("parts")).map_err(ServerError::failed)?,
            })
        };
        rows.iter().map(removal).collect()
    }

    /// Whether a batch may still be needed: it is there, and has not ended by its term.
    pub async fn keeps(&self, batch: BatchId) -> ServerResult<bool> {
        let kept = "SELECT batch FROM batches
            WHERE batch = $1 AND (state NOT IN ('replaced', 'refused') OR shred_key IS NOT NULL)";
        Ok(sqlx::query(kept).bind(batch.to_string()).fetch_optional(&self.pool).await?.is_some())
    }

    /// They are gone.
    pub async fn removed(&self, shelf: &Shelf) -> ServerResult<()> {
        let removed = "DELETE FROM removals WHERE batch = $1 AND COALESCE(tag, '') = $2";
        let removed = sqlx::query(removed).bind(shelf.batch.to_string()).bind(shelf.tag.as_deref().unwrap_or_default());
        removed.execute(&self.pool).await?;
        Ok(())
    }

    /// Whether nothing of this epoch is kept any more but its log.
    pub async fn is_erased(&self) -> ServerResult<bool> {
        let row = sqlx::query("SELECT erased_at FROM project").fetch_optional(&self.pool).await?;
        Ok(row.is_some_and(|row| row.get::<Option<i64>, _>("erased_at").is_some()))
    }

    /// Gives keys to what was stored before there were any, some at a time; false where nothing is without one.
    pub async fn give_keys(&self) -> ServerResult<bool> {
        let mut given = false;
        for (select, update) in [
            (
                "SELECT commission AS id FROM commissions WHERE shred_key IS NULL AND state <> 'erased' LIMIT $1",
                "UPDATE commissions SET shred_key = $2 WHERE commission = $1 AND shred_key IS NULL AND state <> 'erased'",
            ),
            (
                "SELECT batch AS id FROM batches WHERE shred_key IS NULL AND state NOT IN ('replaced', 'refused') LIMIT $1",
                "UPDATE batches SET shred_key = $2 WHERE batch = $1 AND shred_key IS NULL",
            ),
        ] {
            let mut tx = self.write().await?;
            let rows = sqlx::query(select).bind(TOGETHER).fetch_all(&mut *tx).await?;
            for row in &rows {
                let update = sqlx::query(update).bind(row.get::<String, _>("id")).bind(ShredKey::fresh()?.bytes());
                update.execute(&mut *tx).await?;
            }
            tx.commit().await?;
            given = given || !rows.is_empty();
        }
        Ok(given)
    }

    /// A batch whose parts are not sealed yet, though it has a key; the next one after another.
    pub async fn unsealed(&self, after: Option<BatchId>) -> ServerResult<Option<(BatchId, BatchHeader)>> {
        let unsealed = "SELECT batch, header FROM batches WHERE sealed = 0 AND shred_key IS NOT NULL AND batch > $1
            ORDER BY batch LIMIT 1";
        let after = after.map(|batch| batch.to_string()).unwrap_or_default();
        let row = sqlx::query(unsealed).bind(after).fetch_optional(&self.pool).await?;
        let batch = |row: AnyRow| {
            let batch = row.get::<&str, _>("batch").parse().map_err(ServerError::failed)?;
            Ok((batch, header_of(row.get("header"))?))
        };
        row.map(batch).transpose()
    }

    /// They are now; false where the batch was erased meanwhile.
    pub async fn sealed(&self, batch: BatchId) -> ServerResult<bool> {
        let sealed = "UPDATE batches SET sealed = 1 WHERE batch = $1 AND shred_key IS NOT NULL";
        let sealed = sqlx::query(sealed).bind(batch.to_string());
        Ok(sealed.execute(&self.pool).await?.rows_affected() == 1)
    }
}
