//! Leaving nothing of deleted rows in the database's own files.

use jiff::Timestamp;
use sqlx::{AssertSqlSafe, Executor as _, Row as _};

use super::Store;
use super::acts::Erasure;
use super::connection::SQLITE;
use crate::server::error::{ServerError, ServerResult};

/// Columns of which nothing may outlive its row.
const SECRET: [(&str, &[&str]); 4] = [
    ("matches", &["subject", "record", "slot"]),
    ("commissions", &["ticket", "ticket_signature", "encodings", "withdrawal", "shred_key"]),
    ("encodings", &["encodings"]),
    ("batches", &["header", "shred_key"]),
];

impl Store {
    /// PostgreSQL keeps samples of a column's values for its planner, and no vacuum takes them away: not of these.
    pub(super) async fn sample_nothing(&self) -> ServerResult<()> {
        if self.database.is_sqlite() {
            return Ok(());
        }
        for (table, columns) in SECRET {
            let columns: Vec<String> =
                columns.iter().map(|column| format!("ALTER COLUMN {column} SET STATISTICS 0")).collect();
            let alter = format!("ALTER TABLE {table} {}", columns.join(", "));
            sqlx::query(AssertSqlSafe(alter)).execute(&self.pool).await?;
        }
        self.forget_samples().await
    }

    /// What an earlier program let PostgreSQL sample: a column that is given its type again has no samples any more.
    async fn forget_samples(&self) -> ServerResult<()> {
        let sampled = "SELECT CAST(s.tablename AS TEXT) AS named, CAST(s.attname AS TEXT) AS of,
                format_type(a.atttypid, a.atttypmod) AS kind
            FROM pg_stats s JOIN pg_attribute a ON a.attname = s.attname
                AND a.attrelid = to_regclass(quote_ident(s.schemaname) || '.' || quote_ident(s.tablename))
            WHERE s.schemaname = current_schema()";
        for row in sqlx::query(sampled).fetch_all(&self.pool).await? {
            let (table, column, kind): (&str, &str, &str) = (row.get("named"), row.get("of"), row.get("kind"));
            if SECRET.iter().any(|(named, columns)| *named == table && columns.contains(&column)) {
                let alter = format!("ALTER TABLE {table} ALTER COLUMN {column} TYPE {kind}");
                sqlx::query(AssertSqlSafe(alter)).execute(&self.pool).await?;
            }
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

    /// Whether somebody can still read what was deleted: a transaction that began before, even if it reads nothing, a copy that
    /// follows, or one that was prepared. Nothing takes it away as long as they can.
    pub async fn is_read_from_before(&self, erasures: impl Iterator<Item = Erasure>) -> ServerResult<bool> {
        let Some(last) = erasures.filter_map(|erasure| erasure.tx).max() else { return Ok(false) };
        // how old a snapshot is, in transactions: everybody may see that, of every role
        let reads = "SELECT 1 AS one FROM (
            SELECT age(xid) AS old FROM pg_stat_activity, LATERAL (VALUES (backend_xmin), (backend_xid)) AS began (xid)
                WHERE pid <> pg_backend_pid() AND (datname = current_database() OR datname IS NULL)
            UNION ALL SELECT age(xmin) FROM pg_replication_slots
            UNION ALL SELECT age(transaction) FROM pg_prepared_xacts WHERE database = current_database()) AS readers
            WHERE old >= age(CAST(CAST($1 AS TEXT) AS XID)) LIMIT 1";
        // a snapshot's number is the lower half of a transaction's
        let last = last & i64::from(u32::MAX);
        Ok(sqlx::query(reads).bind(last).fetch_optional(&self.pool).await?.is_some())
    }

    /// Leaves nothing of deleted rows in the database's own files.
    pub async fn compact(&self) -> ServerResult<()> {
        let mut connection = self.pool.acquire().await?;
        if self.database.is_sqlite() {
            // deleted rows are overwritten; what was written before is still in the journal. Whoever writes waits behind this
            connection.execute("PRAGMA busy_timeout = 100").await?;
            let emptied = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut *connection).await;
            connection.execute(SQLITE).await?;
            return match emptied?.get::<i64, _>(0) {
                0 => Ok(()),
                _ => Err(ServerError::Failed("the journal is still being read".into())),
            };
        }
        // whoever waits for the table waits behind this: not for long
        connection.execute("SET lock_timeout = '200ms'").await?;
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
