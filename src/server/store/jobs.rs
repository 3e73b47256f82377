//! Work to do, as rows with a lease: a worker that dies is followed by another.

use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Store, Tx};
use crate::server::error::ServerResult;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobKind {
    /// Target: a batch.
    Index,
    /// Target: a commission that somebody waits for.
    Commission,
    /// Target: a large commission, or a standing one that is matched again. It holds up nobody.
    Sweep,
}

impl JobKind {
    fn word(self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::Commission => "commission",
            Self::Sweep => "sweep",
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

/// What is done stays, and is not looked at.
pub(super) const CLAIM: &str =
    "UPDATE jobs SET state = 'running', lease_until = $3, attempts = attempts + 1, holder = $5
    WHERE kind = $1 AND state IN ('waiting', 'running') AND target IN (
        SELECT target FROM jobs
        WHERE kind = $1 AND state IN ('waiting', 'running') AND (lease_until <= $2 OR state = 'running' AND holder = $5)
        ORDER BY place LIMIT $4
    ) RETURNING target, attempts, place";

/// Longest time, in seconds, that a job is kept from others.
pub const LONGEST: i64 = 300;

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

    /// Queues a job that may have been done before.
    pub(super) async fn queue_again(tx: &mut Tx, kind: JobKind, target: &str) -> ServerResult<()> {
        Self::queue(tx, kind, target).await?;
        sqlx::query(
            "UPDATE jobs SET state = 'waiting', lease_until = 0, place = (SELECT MAX(place) + 1 FROM jobs)
             WHERE kind = $1 AND target = $2 AND state = 'done'",
        )
        .bind(kind.word())
        .bind(target)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    /// Takes up to `most` jobs whose turn has come, the oldest first, for `lease` seconds.
    ///
    /// Who asks has none of this kind in hand: what is still in its name, from before a crash or a database that was away, is
    /// to be done as well.
    pub async fn claim(&self, kind: JobKind, most: i64, lease: i64, now: Timestamp) -> ServerResult<Vec<Job>> {
        let mut tx = self.write().await?;
        let rows = sqlx::query(CLAIM)
            .bind(kind.word())
            .bind(now.as_second())
            .bind(now.as_second() + lease)
            .bind(most)
            .bind(&self.holder)
            .fetch_all(&mut *tx)
            .await?;
        tx.commit().await?;
        let job =
            |row: &AnyRow| (row.get("place"), Job { kind, target: row.get("target"), attempts: row.get("attempts") });
        let mut jobs: Vec<(i64, Job)> = rows.iter().map(job).collect();
        jobs.sort_by_key(|(place, _)| *place);
        Ok(jobs.into_iter().map(|(_, job)| job).collect())
    }

    /// Keeps a running job for `lease` more seconds. Changes nothing where another has taken it over.
    pub async fn renew(&self, job: &Job, lease: i64, now: Timestamp) -> ServerResult<()> {
        self.set(job, "running", now.as_second() + lease).await
    }

    /// Gives a job back, to be taken up again `after` seconds from now.
    pub async fn give_back(&self, job: &Job, after: i64, now: Timestamp) -> ServerResult<()> {
        self.set(job, "waiting", now.as_second() + after).await
    }

    /// Shortens what jobs are kept for beyond the longest to `lease` seconds: a clock that was wrong has told it, and they would
    /// wait until its time has come. A worker that has one of them in hand renews it, by its own clock.
    pub async fn shorten_leases(&self, lease: i64, now: Timestamp) -> ServerResult<()> {
        // by the index: jobs that are done stay, and are many
        let shorten = "UPDATE jobs SET lease_until = $1 WHERE kind IN ('index', 'commission', 'sweep')
            AND state IN ('waiting', 'running') AND lease_until > $2";
        sqlx::query(shorten).bind(now.as_second() + lease).bind(now.as_second() + LONGEST).execute(&self.pool).await?;
        Ok(())
    }

    async fn set(&self, job: &Job, state: &str, until: i64) -> ServerResult<()> {
        sqlx::query(
            "UPDATE jobs SET state = $5, lease_until = $4
             WHERE kind = $1 AND target = $2 AND attempts = $3 AND state = 'running'",
        )
        .bind(job.kind.word())
        .bind(&job.target)
        .bind(job.attempts)
        .bind(until)
        .bind(state)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Ends a job, in the transaction that writes what it came to; false where it is this worker's no more, and nothing
    /// may be written. Who takes a job over counts one attempt more: the count is the fence.
    pub(super) async fn finish(&self, tx: &mut Tx, job: &Job) -> ServerResult<bool> {
        let finished = sqlx::query(
            "UPDATE jobs SET state = 'done' WHERE kind = $1 AND target = $2 AND attempts = $3 AND state = 'running'",
        )
        .bind(job.kind.word())
        .bind(&job.target)
        .bind(job.attempts)
        .execute(&mut **tx)
        .await?;
        if finished.rows_affected() == 0 {
            tracing::warn!("A job was finished that is another's by now; what it came to is left to that one");
        }
        Ok(finished.rows_affected() == 1)
    }

    /// Ends a job, whoever has it.
    pub(super) async fn cancel(tx: &mut Tx, kind: JobKind, target: &str) -> ServerResult<()> {
        sqlx::query("UPDATE jobs SET state = 'done' WHERE kind = $1 AND target = $2")
            .bind(kind.word())
            .bind(target)
            .execute(&mut **tx)
            .await?;
        Ok(())
    }

    /// Forgets a job: what it was about is gone.
    pub(super) async fn drop_job(tx: &mut Tx, kind: JobKind, target: &str) -> ServerResult<()> {
        let forget = sqlx::query("DELETE FROM jobs WHERE kind = $1 AND target = $2");
        forget.bind(kind.word()).bind(target).execute(&mut **tx).await?;
        Ok(())
    }

    /// Jobs that are not done, by kind, for the metrics.
    pub async fn job_counts(&self) -> ServerResult<Vec<(String, i64)>> {
        let rows = sqlx::query(
            "SELECT kind, COUNT(*) AS n FROM jobs WHERE state IN ('waiting', 'running') GROUP BY kind ORDER BY kind",
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.iter().map(|row| (row.get("kind"), row.get("n"))).collect())
    }
}
