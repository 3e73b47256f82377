//! The control plane in SQL: SQLite today, written so that PostgreSQL takes the same statements.
//!
//! One method is one transaction, and every write may be repeated. Ids are text, times are seconds since 1970.

mod batches;
mod commissions;
mod jobs;
mod matches;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Sqlite, SqlitePool, Transaction};

pub use commissions::{Filed, FiledState};
pub use jobs::{Job, JobKind};
pub use matches::{AnswerRow, MatchRow, Outcome as CommissionOutcome, Pending, Release};

use super::error::ServerResult;

#[derive(Clone)]
pub struct Store {
    pool: SqlitePool,
}

type Tx = Transaction<'static, Sqlite>;

impl Store {
    /// Opens the database, makes it if need be, and brings its tables up to date.
    pub async fn open(path: &Path) -> ServerResult<Self> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // what was acknowledged survives a power cut
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(30));
        let pool = SqlitePoolOptions::new().max_connections(8).connect_with(options).await?;
        sqlx::migrate!("src/server/store/migrations").run(&pool).await.map_err(sqlx::Error::from)?;
        Ok(Self { pool })
    }

    /// A transaction that will write: it waits for its turn at the start, not in the middle.
    async fn write(&self) -> ServerResult<Tx> {
        Ok(self.pool.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> ServerResult<()> {
        sqlx::query("SELECT 1").execute(&self.pool).await?;
        Ok(())
    }
}
