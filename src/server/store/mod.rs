//! The control plane in SQL: SQLite beside the server, or a PostgreSQL that several servers share. The statements are the same.
//!
//! One method is one transaction, and every write may be repeated. Ids are text, times are seconds since 1970.

mod acts;
mod batches;
mod commissions;
mod compaction;
mod connection;
mod database;
mod dump;
mod erasing;
mod jobs;
mod log;
mod matches;
mod terms;
#[cfg(test)]
mod tests;
mod versions;

use hedui_protocol::ids::ManifestId;
use jiff::Timestamp;
use sqlx::{Any, AnyPool, Executor as _, Row as _, Transaction};

pub use acts::{Approval, NextEpoch};
pub use batches::{AgencySet, Commit, HeldBatch, MOST_DELTAS, header_of, is_needed, state_of};
pub use commissions::{Filed, FiledState, Filing};
pub use database::{Database, EPOCHS};
pub use dump::{DumpedRow, StaysErased, Value};
pub use erasing::Removal;
pub use jobs::{Job, JobKind, LONGEST};
pub use log::Leaf;
pub use matches::{AnswerRow, MatchRow, Outcome as CommissionOutcome, Pending, Release, Told};
pub use versions::newest;

use super::error::{ServerError, ServerResult};
use crate::failure::{Failure, Outcome};

#[derive(Clone)]
pub struct Store {
    pool: AnyPool,
    database: Database,
    /// In whose name jobs are claimed: the same after a restart.
    holder: String,
}

type Tx = Transaction<'static, Any>;

/// PostgreSQL lets one transaction write at a time, as SQLite does: the number is ours among its advisory locks.
const WRITE_TURN: &str = "SELECT pg_advisory_xact_lock(4847442)";
const WRITE_TURN_OF_A_SESSION: &str = "SELECT pg_advisory_lock(4847442)";
const END_OF_A_SESSIONS_TURN: &str = "SELECT pg_advisory_unlock(4847442)";

impl Store {
    /// Opens the database, makes it if it is SQLite's and not there, and brings its tables up to date. A later program may have
    /// brought it further: see [`Store::beyond`].
    pub async fn open(database: &Database, holder: &str) -> Outcome<Self> {
        let store = Self::make(database, holder).await?;
        store.prepare().await.map_err(|why| Failure::try_again(format!("{database}: {why}")))?;
        Ok(store)
    }

    async fn prepare(&self) -> ServerResult<()> {
        self.make_schema().await?;
        self.bring_up_to_date().await?;
        self.sample_nothing().await
    }

    /// Opens the database; makes it, without tables, if it is SQLite's and not there.
    async fn make(database: &Database, holder: &str) -> Outcome<Self> {
        if let Database::Sqlite(path) = database {
            connection::keep_private(path)?;
        }
        Self::connect(database, holder).await
    }

    /// The schema of an epoch's tables, which migrations do not make.
    async fn make_schema(&self) -> ServerResult<()> {
        if let Some(schema) = self.database.schema() {
            // its name is made of a word and hexadecimal digits
            let make = format!("CREATE SCHEMA IF NOT EXISTS \"{schema}\"");
            sqlx::query(sqlx::AssertSqlSafe(make)).execute(&self.pool).await?;
        }
        Ok(())
    }

    /// Whether there is such a database: SQLite's file, or an epoch's schema.
    pub async fn is_there(database: &Database) -> Outcome<bool> {
        if let Database::Sqlite(path) = database {
            return path.try_exists().map_err(|e| Failure::file("read", path, &e));
        }
        let Some(schema) = database.schema() else { return Ok(true) };
        let store = Self::connect(database, "").await?;
        let known = sqlx::query("SELECT 1 AS one FROM pg_namespace WHERE nspname = $1").bind(schema);
        let known = known.fetch_optional(&store.pool).await;
        known.map(|row| row.is_some()).map_err(|e| Failure::try_again(ServerError::from(e)))
    }

    /// Opens the database as it is.
    pub async fn connect(database: &Database, holder: &str) -> Outcome<Self> {
        Self::by(database, &database.url(), holder, connection::SQLITE).await
    }

    /// Opens the database as it is, to read: nothing of it changes, nor is anything made beside it.
    pub async fn look(database: &Database) -> Outcome<Self> {
        Self::by(database, &database.url_to_look(), "", connection::SQLITE_LOOK).await
    }

    async fn by(database: &Database, url: &str, holder: &str, settings: &'static str) -> Outcome<Self> {
        let pool = connection::pool(database, url, settings).await?;
        Ok(Self { pool, database: database.clone(), holder: holder.to_owned() })
    }

    /// A transaction that will write: it waits for its turn at the start, not in the middle.
    async fn write(&self) -> ServerResult<Tx> {
        if self.database.is_sqlite() {
            return Ok(self.pool.begin_with("BEGIN IMMEDIATE").await?);
        }
        let mut tx = self.pool.begin().await?;
        tx.execute(WRITE_TURN).await?;
        Ok(tx)
    }

    /// Waits until whoever writes has done so.
    pub async fn has_written(&self) -> ServerResult<()> {
        Ok(self.write().await?.rollback().await?)
    }

    /// Closes all connections: SQLite's journal is in its file then, which is whole by itself.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// A database belongs to one manifest for good. The one that it belongs to.
    pub async fn belongs_to(&self, manifest: ManifestId) -> ServerResult<ManifestId> {
        let mut tx = self.write().await?;
        let known: Option<String> = sqlx::query_scalar("SELECT manifest FROM project").fetch_optional(&mut *tx).await?;
        if known.is_none() {
            let own = sqlx::query("INSERT INTO project (manifest) VALUES ($1)").bind(manifest.to_string());
            own.execute(&mut *tx).await?;
        }
        tx.commit().await?;
        known.map_or(Ok(manifest), |known| known.parse().map_err(ServerError::failed))
    }

    /// The manifest that the database belongs to; none before a server has run on it.
    pub async fn manifest(&self) -> ServerResult<Option<ManifestId>> {
        let known: Option<String> =
            sqlx::query_scalar("SELECT manifest FROM project").fetch_optional(&self.pool).await?;
        known.map(|known| known.parse().map_err(ServerError::failed)).transpose()
    }

    /// Keeps the manifest and its signatures, as the files are: who reads the log later needs no other source.
    pub async fn keep_terms(&self, terms: &[u8], signatures: &[u8]) -> ServerResult<()> {
        sqlx::query("UPDATE project SET terms = $1, signatures = $2")
            .bind(terms)
            .bind(signatures)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// The manifest's file and its signatures'.
    pub async fn terms(&self) -> ServerResult<Option<(Vec<u8>, Vec<u8>)>> {
        let row = sqlx::query("SELECT terms, signatures FROM project WHERE terms IS NOT NULL");
        let row = row.fetch_optional(&self.pool).await?;
        Ok(row.map(|row| (row.get("terms"), row.get("signatures"))))
    }

    /// The database's own clock, where it has one.
    pub async fn clock(&self) -> ServerResult<Option<Timestamp>> {
        if self.database.is_sqlite() {
            return Ok(None);
        }
        let now: i64 =
            sqlx::query_scalar("SELECT CAST(EXTRACT(EPOCH FROM now()) AS BIGINT)").fetch_one(&self.pool).await?;
        Timestamp::from_second(now).map(Some).map_err(ServerError::failed)
    }

    /// Whether the database answers what is asked of it every day.
    pub async fn ping(&self) -> ServerResult<()> {
        sqlx::query("SELECT manifest FROM project").fetch_one(&self.pool).await?;
        sqlx::query("SELECT entry FROM log_entries ORDER BY number DESC LIMIT 1").fetch_one(&self.pool).await?;
        Ok(())
    }

    /// What is damaged in the file; PostgreSQL sees to its own.
    pub async fn damage(&self) -> ServerResult<Option<String>> {
        if !self.database.is_sqlite() {
            return Ok(None);
        }
        let found = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(&self.pool).await;
        match found {
            Ok(found) => Ok(Some(found).filter(|found: &String| found != "ok").map(|found| found.replace('\n', " "))),
            Err(sqlx::Error::Database(why)) if connection::is_of_damage(&*why) => Ok(Some(why.message().to_owned())),
            Err(why) => Err(why.into()),
        }
    }
}

/// `$from, …`: places of bound values.
fn places(from: usize, count: usize) -> String {
    let places: Vec<String> = (from..from + count).map(|place| format!("${place}")).collect();
    places.join(", ")
}
