//! Work to do, as rows with a lease: a worker that dies is followed by another.

use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::{Store, Tx};
use crate::server::error::ServerResult;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobKind {
    /// Target: a batch.
    Index,
    /// Target: a commission.
    Commission,
}

impl JobKind {
    fn word(self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::Commission => "commission",
        }
    }
}

/// A job that is this worker's until its lease ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    pub kind: JobKind,
    pub target: String,
    pub attempts: i64,
}

impl Store {
    /// Queues a job, behind all others. Queuing one again changes nothing.
    pub(super) async fn queue(tx: &mut Tx, kind: JobKind, target: &str) -> ServerResult<()> {
        sqlx::query(
            "INSERT INTO jobs (kind, target, state, lease_until, attempts, place)
             VALUES ($1, $2, 'waiting', 0, 0, (SELECT COALESCE(MAX(place), 0) + 1 FROM jobs))
             ON CONFLICT (kind, target) DO NOTHING",
        )
        .bind(kind.word())
        .bind(target)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    /// Takes up to `most` jobs whose turn has come, the oldest first, for `lease` seconds.
    pub async fn claim(&self, kind: JobKind, most: i64, lease: i64, now: Timestamp) -> ServerResult<Vec<Job>> {
        let rows = sqlx::query(
            "UPDATE jobs SET state = 'running', lease_until = $3, attempts = attempts + 1
             WHERE kind = $1 AND target IN (
                 SELECT target FROM jobs WHERE kind = $1 AND state <> 'done' AND lease_until <= $2
                 ORDER BY place LIMIT $4
             ) RETURNING target, attempts, place",
        )
        .bind(kind.word())
        .bind(now.as_second())
        .bind(now.as_second() + lease)
        .bind(most)
        .fetch_all(&self.pool)
        .await?;
        let job = |row: &SqliteRow| {
            (row.get("place"), Job { kind, target: row.get("target"), attempts: row.get("attempts") })
        };
        let mut jobs: Vec<(i64, Job)> = rows.iter().map(job).collect();
        jobs.sort_by_key(|(place, _)| *place);
        Ok(jobs.into_iter().map(|(_, job)| job).collect())
    }

    /// Keeps a running job for `lease` more seconds.
    pub async fn renew(&self, job: &Job, lease: i64, now: Timestamp) -> ServerResult<()> {
        self.lease_until(job, now.as_second() + lease).await
    }

    /// Gives a job back, to be taken up again `after` seconds from now.
    pub async fn give_back(&self, job: &Job, after: i64, now: Timestamp) -> ServerResult<()> {
        self.lease_until(job, now.as_second() + after).await
    }

    async fn lease_until(&self, job: &Job, until: i64) -> ServerResult<()> {
        sqlx::query("UPDATE jobs SET lease_until = $3 WHERE kind = $1 AND target = $2 AND state = 'running'")
            .bind(job.kind.word())
            .bind(&job.target)
            .bind(until)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    pub(super) async fn done(tx: &mut Tx, kind: JobKind, target: &str) -> ServerResult<()> {
        sqlx::query("UPDATE jobs SET state = 'done' WHERE kind = $1 AND target = $2")
            .bind(kind.word())
            .bind(target)
            .execute(&mut **tx)
            .await?;
        Ok(())
    }

    /// A server that starts holds its folder alone: leases of the one before have ended.
    pub async fn end_leases(&self) -> ServerResult<()> {
        sqlx::query("UPDATE jobs SET lease_until = 0 WHERE state = 'running'").execute(&self.pool).await?;
        Ok(())
    }

    /// Jobs that are not done, by kind, for the metrics.
    pub async fn job_counts(&self) -> ServerResult<Vec<(String, i64)>> {
        let rows =
            sqlx::query("SELECT kind, COUNT(*) AS n FROM jobs WHERE state <> 'done' GROUP BY kind ORDER BY kind")
                .fetch_all(&self.pool)
                .await?;
        Ok(rows.iter().map(|row| (row.get("kind"), row.get("n"))).collect())
    }
}
