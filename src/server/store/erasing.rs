//! Erasing: because two operators want it, or because a term has ended. The rows go in the transaction that says so; files are
//! noted as to be removed, and their keys are gone already.

use hedui_protocol::acts::{Counts, DataClass, Ended, Retention};
use hedui_protocol::ids::{BatchId, CommissionId};
use hedui_protocol::log::Event;
use hedui_protocol::part::BatchHeader;
use hedui_protocol::ticket::Ticket;
use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Executor as _, Row as _};

use super::acts::days;
use super::batches::header_of;
use super::matches::FORGOTTEN;
use super::{JobKind, Store, Tx};
use crate::server::error::{ServerError, ServerResult};
use crate::server::shred::ShredKey;

/// What ends in one transaction, and stands in one entry of the log.
const TOGETHER: i64 = 500;

/// A batch whose files are to be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    pub batch: BatchId,
    pub parts: u32,
}

impl Store {
    /// What stays of a commission is its id, so that its ticket is not taken again, and how many people its office asked about.
    pub(super) async fn erase_commissions(tx: &mut Tx, commissions: &[CommissionId]) -> ServerResult<Counts> {
        let mut counts = Counts::default();
        for commission in commissions {
            let id = commission.to_string();
            counts.answers += Self::forget_answers(tx, &id).await?;
            sqlx::query("DELETE FROM encodings WHERE commission = $1").bind(&id).execute(&mut **tx).await?;
            Self::cancel(tx, JobKind::Commission, &id).await?;
            Self::cancel(tx, JobKind::Sweep, &id).await?;
            let erase = "UPDATE commissions SET state = 'erased', standing = 0, ticket = $2, ticket_signature = '', encodings = $3,
                    withdrawal = NULL, shred_key = NULL, version = version + 1
                WHERE commission = $1 AND state <> 'erased'";
            let erase = sqlx::query(erase).bind(&id).bind(Vec::<u8>::new()).bind(FORGOTTEN);
            counts.commissions += erase.execute(&mut **tx).await?.rows_affected();
        }
        Ok(counts)
    }

    /// How many matches there were.
    async fn forget_answers(tx: &mut Tx, commission: &str) -> ServerResult<u64> {
        let matches = sqlx::query("DELETE FROM matches WHERE commission = $1").bind(commission);
        let matches = matches.execute(&mut **tx).await?.rows_affected();
        sqlx::query("DELETE FROM matched_against WHERE commission = $1").bind(commission).execute(&mut **tx).await?;
        Ok(matches)
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
        let rows = sqlx::query("SELECT batch, header FROM batches WHERE agency = $1 OR $1 IS NULL").bind(agency);
        let rows = rows.fetch_all(&mut **tx).await?;
        for row in &rows {
            Self::remove_batch(tx, row, act).await?;
        }
        Ok(rows.len() as u64)
    }

    async fn remove_batch(tx: &mut Tx, row: &AnyRow, act: Option<u64>) -> ServerResult<()> {
        let batch: &str = row.get("batch");
        Self::remove_files(tx, row, act).await?;
        Self::drop_job(tx, JobKind::Index, batch).await?;
        sqlx::query("DELETE FROM batches WHERE batch = $1").bind(batch).execute(&mut **tx).await?;
        Ok(())
    }

    /// Notes a batch's files as to be removed, and forgets the key that they are under.
    async fn remove_files(tx: &mut Tx, row: &AnyRow, act: Option<u64>) -> ServerResult<()> {
        let batch: &str = row.get("batch");
        let parts = header_of(row.get("header"))?.parts.len();
        sqlx::query(
            "INSERT INTO removals (batch, parts, act) VALUES ($1, $2, $3)
             ON CONFLICT (batch) DO UPDATE SET act = excluded.act",
        )
        .bind(batch)
        .bind(i64::try_from(parts).map_err(ServerError::failed)?)
        .bind(act.map(i64::try_from).transpose().map_err(ServerError::failed)?)
        .execute(&mut **tx)
        .await?;
        sqlx::query("DELETE FROM parts WHERE batch = $1").bind(batch).execute(&mut **tx).await?;
        sqlx::query("UPDATE batches SET shred_key = NULL WHERE batch = $1").bind(batch).execute(&mut **tx).await?;
        Ok(())
    }

    /// Files that are to be removed.
    pub async fn removals(&self) -> ServerResult<Vec<Removal>> {
        let rows = sqlx::query("SELECT batch, parts FROM removals ORDER BY batch").fetch_all(&self.pool).await?;
        let removal = |row: &AnyRow| {
            Ok(Removal {
                batch: row.get::<&str, _>("batch").parse().map_err(ServerError::failed)?,
                parts: u32::try_from(row.get::<i64, _>("parts")).map_err(ServerError::failed)?,
            })
        };
        rows.iter().map(removal).collect()
    }

    /// They are gone.
    pub async fn removed(&self, batch: BatchId) -> ServerResult<()> {
        let removed = sqlx::query("DELETE FROM removals WHERE batch = $1").bind(batch.to_string());
        removed.execute(&self.pool).await?;
        Ok(())
    }

    /// Whether nothing of this epoch is kept any more but its log.
    pub async fn is_erased(&self) -> ServerResult<bool> {
        let row = sqlx::query("SELECT erased_at FROM project").fetch_optional(&self.pool).await?;
        Ok(row.is_some_and(|row| row.get::<Option<i64>, _>("erased_at").is_some()))
    }

    /// Ends what has served its term, some of each class at a time; what ended.
    pub async fn expire(&self, now: Timestamp) -> ServerResult<Vec<Ended>> {
        let retention = self.retention().await?;
        let mut all = Vec::new();
        for class in [
            DataClass::OpenBatches,
            DataClass::ReplacedBatches,
            DataClass::Answers,
            DataClass::Tickets,
            DataClass::Epoch,
        ] {
            all.extend(self.expire_class(class, &retention, now).await?);
        }
        Ok(all)
    }

    async fn expire_class(
        &self,
        class: DataClass,
        retention: &Retention,
        now: Timestamp,
    ) -> ServerResult<Option<Ended>> {
        let (select, term) = match class {
            DataClass::OpenBatches => (
                "SELECT batch, header FROM batches WHERE state = 'open' AND created_at <= $1 ORDER BY batch LIMIT $2",
                Some(retention.open_batches),
            ),
            DataClass::ReplacedBatches => (
                "SELECT batch, header FROM batches b WHERE state IN ('replaced', 'refused')
                 AND ended_at <= $1
                 AND (shred_key IS NOT NULL OR EXISTS (SELECT 1 FROM parts p WHERE p.batch = b.batch)) ORDER BY batch LIMIT $2",
                Some(retention.replaced_batches),
            ),
            DataClass::Answers => (
                "SELECT commission FROM commissions c WHERE expires_at > 0 AND expires_at <= $1
                 AND EXISTS (SELECT 1 FROM matched_against m WHERE m.commission = c.commission) ORDER BY commission LIMIT $2",
                Some(retention.answers),
            ),
            DataClass::Tickets => (
                "SELECT commission FROM commissions WHERE expires_at > 0 AND expires_at <= $1 AND state <> 'erased' ORDER BY commission LIMIT $2",
                Some(retention.tickets),
            ),
            DataClass::Epoch => (
                "SELECT manifest FROM epochs WHERE opened_at <= $1
                 AND (SELECT erased_at FROM project) IS NULL ORDER BY manifest LIMIT $2",
                retention.epoch,
            ),
        };
        let Some(term) = term else { return Ok(None) };
        let until = (now - days(term)).as_second();
        // most of the time there is nothing, and nobody has to wait for a turn to write
        if sqlx::query(select).bind(until).bind(1i64).fetch_optional(&self.pool).await?.is_none() {
            return Ok(None);
        }
        let mut tx = self.write().await?;
        let rows = sqlx::query(select).bind(until).bind(TOGETHER).fetch_all(&mut *tx).await?;
        if rows.is_empty() {
            return Ok(None);
        }
        let mut ended = Ended { class, batches: Vec::new(), commissions: Vec::new() };
        for row in &rows {
            match class {
                DataClass::OpenBatches | DataClass::ReplacedBatches => {
                    ended.batches.push(row.get::<&str, _>("batch").parse().map_err(ServerError::failed)?);
                    match class {
                        DataClass::OpenBatches => Self::remove_batch(&mut tx, row, None).await?,
                        // its header proves what was committed
                        _ => Self::remove_files(&mut tx, row, None).await?,
                    }
                }
                DataClass::Answers | DataClass::Tickets => {
                    let id: &str = row.get("commission");
                    ended.commissions.push(id.parse().map_err(ServerError::failed)?);
                    if class == DataClass::Answers {
                        Self::forget_answers(&mut tx, id).await?;
                    }
                }
                DataClass::Epoch => {}
            }
        }
        match class {
            DataClass::Tickets => drop(Self::erase_commissions(&mut tx, &ended.commissions).await?),
            DataClass::Epoch => drop(Self::erase_project(&mut tx, None, now).await?),
            _ => {}
        }
        let backups_until = Self::backups_until(&mut tx, now).await?;
        Self::log(&mut tx, Event::Expired { ended: ended.clone(), backups_until }, now).await?;
        tx.commit().await?;
        Ok(Some(ended))
    }

    /// When commissions end that were filed before their ends stood in a column of their own; and from when on sets are counted
    /// as replaced of which that was not noted.
    pub async fn know_the_ends(&self, now: Timestamp) -> ServerResult<()> {
        let old = "SELECT commission, ticket FROM commissions WHERE expires_at = 0 AND state <> 'erased' LIMIT $1";
        for row in sqlx::query(old).bind(TOGETHER).fetch_all(&self.pool).await? {
            // one that does not read ends with its epoch
            let ticket = serde_json::from_slice::<Ticket>(&row.get::<Vec<u8>, _>("ticket"));
            let end = ticket.map_or(-1, |ticket| ticket.expires_at.as_second());
            sqlx::query("UPDATE commissions SET expires_at = $2 WHERE commission = $1")
                .bind(row.get::<String, _>("commission"))
                .bind(end)
                .execute(&self.pool)
                .await?;
        }
        let replaced = "UPDATE batches SET ended_at = $1 WHERE state IN ('replaced', 'refused') AND ended_at IS NULL";
        sqlx::query(replaced).bind(now.as_second()).execute(&self.pool).await?;
        Ok(())
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

    /// A batch whose parts are not sealed yet, though it has a key.
    pub async fn unsealed(&self) -> ServerResult<Option<(BatchId, BatchHeader)>> {
        let row = sqlx::query("SELECT batch, header FROM batches WHERE sealed = 0 AND shred_key IS NOT NULL LIMIT 1");
        let row = row.fetch_optional(&self.pool).await?;
        let batch = |row: AnyRow| {
            let batch = row.get::<&str, _>("batch").parse().map_err(ServerError::failed)?;
            Ok((batch, header_of(row.get("header"))?))
        };
        row.map(batch).transpose()
    }

    /// They are now.
    pub async fn sealed(&self, batch: BatchId) -> ServerResult<()> {
        let sealed = sqlx::query("UPDATE batches SET sealed = 1 WHERE batch = $1").bind(batch.to_string());
        sealed.execute(&self.pool).await?;
        Ok(())
    }

    /// PostgreSQL keeps samples of a column's values for its planner, and no vacuum takes them away: not of these.
    pub(super) async fn sample_nothing(&self) -> ServerResult<()> {
        if self.database.is_sqlite() {
            return Ok(());
        }
        for (table, columns) in [
            ("matches", &["subject", "record", "slot"][..]),
            ("commissions", &["ticket", "ticket_signature", "encodings", "withdrawal", "shred_key"]),
            ("encodings", &["encodings"]),
            ("batches", &["header", "shred_key"]),
        ] {
            let columns: Vec<String> =
                columns.iter().map(|column| format!("ALTER COLUMN {column} SET STATISTICS 0")).collect();
            let alter = format!("ALTER TABLE {table} {}", columns.join(", "));
            sqlx::query(AssertSqlSafe(alter)).execute(&self.pool).await?;
        }
        Ok(())
    }

    /// Whether leaving nothing of deleted rows costs little enough to do it whenever some were.
    pub fn compacts_at_once(&self) -> bool {
        self.database.is_sqlite()
    }

    /// Leaves nothing in the database's files of rows that were deleted at `since`: what a transaction still reads that began
    /// before could not go.
    pub async fn compact_since(&self, since: Timestamp) -> ServerResult<()> {
        if !self.database.is_sqlite() {
            let older =
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
                AND xact_start <= to_timestamp($1) + interval '1 second' LIMIT 1";
            let older = sqlx::query(older).bind(since.as_second() as f64).fetch_optional(&self.pool).await?;
            if older.is_some() {
                return Err(ServerError::Failed("a transaction of before is still open: a backup?".into()));
            }
        }
        self.compact().await
    }

    /// Leaves nothing of deleted rows in the database's own files.
    pub async fn compact(&self) -> ServerResult<()> {
        if self.database.is_sqlite() {
            // deleted rows are overwritten; what was written before is still in the journal
            let row = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&self.pool).await?;
            return match row.get::<i64, _>(0) {
                0 => Ok(()),
                _ => Err(ServerError::Failed("the journal is still being read".into())),
            };
        }
        let mut connection = self.pool.acquire().await?;
        // whoever waits for the table waits behind this: not for long
        connection.execute("SET lock_timeout = '2s'").await?;
        let mut done = Ok(());
        for table in ["matches", "matched_against", "encodings", "commissions", "parts", "batches", "jobs"] {
            let vacuum = sqlx::query(AssertSqlSafe(format!("VACUUM (FULL) {table}")));
            done = done.and(connection.execute(vacuum).await.map(drop));
        }
        connection.execute("RESET lock_timeout").await?;
        done?;
        Ok(())
    }
}
