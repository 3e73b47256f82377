//! Leaving nothing of deleted rows in the database's own files.

use jiff::Timestamp;
use sqlx::{AssertSqlSafe, Executor as _, Row as _};

use super::Store;
use crate::server::error::{ServerError, ServerResult};

impl Store {
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

    /// Whether it is this server's turn to compact for the day: it is nobody else's then.
    pub async fn takes_the_days_turn(&self, now: Timestamp) -> ServerResult<bool> {
        // one that lies ahead is of a clock that was set back since
        let due = "SELECT compacted_at FROM project WHERE compacted_at <= $1 - 86400 OR compacted_at > $1";
        if sqlx::query(due).bind(now.as_second()).fetch_optional(&self.pool).await?.is_none() {
            return Ok(false);
        }
        let take = "UPDATE project SET compacted_at = $1 WHERE compacted_at <= $1 - 86400 OR compacted_at > $1";
        Ok(sqlx::query(take).bind(now.as_second()).execute(&self.pool).await?.rows_affected() == 1)
    }

    /// It was not done: whoever comes next may.
    pub async fn gives_the_turn_back(&self) -> ServerResult<()> {
        sqlx::query("UPDATE project SET compacted_at = 0").execute(&self.pool).await?;
        Ok(())
    }

    /// Whether a transaction is open that began before `since`: what was deleted then it may still read, and nothing takes it away.
    pub async fn is_read_from_before(&self, since: Timestamp) -> ServerResult<bool> {
        if self.database.is_sqlite() {
            return Ok(false);
        }
        let older = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
            AND xact_start <= to_timestamp($1) + interval '1 second' LIMIT 1";
        let older = sqlx::query(older).bind(since.as_second() as f64).fetch_optional(&self.pool).await?;
        Ok(older.is_some())
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
            done = connection.execute(vacuum).await.map(drop);
            if done.is_err() {
                break;
            }
        }
        connection.execute("RESET lock_timeout").await?;
        done?;
        Ok(())
    }
}
