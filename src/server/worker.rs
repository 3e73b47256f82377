//! The tasks that do queued work: one builds indexes, one matches commissions. Any may die; a lease ends, and the work
//! is taken up again.

use std::sync::Arc;
use std::time::Duration;

use hedui_protocol::ids::{BatchId, CommissionId};
use hedui_protocol::ticket::Granted;
use tokio::task::JoinHandle;

use super::Linkage;
use super::error::{ServerError, ServerResult};
use super::indexer::{Indexed, index_batch};
use super::run::Ready;
use super::store::{Job, JobKind};

/// Seconds that a job is a worker's before another may take it.
const LEASE: i64 = 60;
/// Seconds until a failed job is tried again.
const RETRY: i64 = 5;
const IDLE: Duration = Duration::from_millis(500);
/// Commissions that are matched and stored together.
const TOGETHER: i64 = 64;

/// Opens the indexes of a server that starts again; a damaged one is built anew.
pub async fn recover(linkage: &Linkage) -> ServerResult<()> {
    linkage.store.end_leases().await?;
    for (batch, header) in linkage.store.indexed_batches().await? {
        match linkage.indexes.open(&header.agency, batch) {
            Ok(ready) => drop(linkage.indexes.switch(&header.agency, ready)),
            Err(why) => {
                tracing::warn!("Building the index of `{}` anew: {why}", header.agency);
                index_batch(linkage, batch, &header).await?;
            }
        }
    }
    Ok(())
}

pub fn start(linkage: &Arc<Linkage>) -> Vec<JoinHandle<()>> {
    let index = tokio::spawn(work(Arc::clone(linkage), JobKind::Index, 1));
    let commission = tokio::spawn(work(Arc::clone(linkage), JobKind::Commission, TOGETHER));
    vec![index, commission]
}

async fn work(linkage: Arc<Linkage>, kind: JobKind, most: i64) {
    loop {
        let claimed = linkage.store.claim(kind, most, LEASE, linkage.clock.now()).await;
        let jobs = claimed.unwrap_or_else(|e| {
            tracing::error!("No job could be claimed: {e}");
            Vec::new()
        });
        if jobs.is_empty() {
            let woken = linkage.wake.notified();
            let _ = tokio::time::timeout(IDLE, woken).await;
            continue;
        }
        let _heartbeat = Heartbeat::start(&linkage, jobs.clone());
        let done = match kind {
            JobKind::Index => index(&linkage, &jobs[0]).await,
            JobKind::Commission => commissions(&linkage, &jobs).await,
        };
        if let Err(why) = done {
            tracing::error!("A job failed and will be tried again: {why}");
            for job in &jobs {
                if let Err(e) = linkage.store.give_back(job, RETRY, linkage.clock.now()).await {
                    tracing::error!("A job could not be given back; its lease will end: {e}");
                }
            }
        }
    }
}

async fn index(linkage: &Linkage, job: &Job) -> ServerResult<()> {
    let batch: BatchId = job.target.parse().map_err(ServerError::failed)?;
    let Some((header, _)) = linkage.store.batch(batch).await? else {
        return Err(ServerError::Failed(format!("batch {batch} is to be indexed and is not there")));
    };
    match index_batch(linkage, batch, &header).await? {
        Indexed::Ready => {
            linkage.store.batch_indexed(batch, &header.agency).await?;
            tracing::info!("Indexed {} records of `{}` as batch {batch}", header.records, header.agency);
            linkage.wake.notify_waiters();
        }
        Indexed::Refused(reason) => {
            linkage.store.batch_refused(batch, &reason).await?;
            tracing::warn!("Refused batch {batch} of `{}`: {reason}", header.agency);
        }
    }
    Ok(())
}

async fn commissions(linkage: &Arc<Linkage>, jobs: &[Job]) -> ServerResult<()> {
    let mut ready = Vec::new();
    for job in jobs {
        let commission: CommissionId = job.target.parse().map_err(ServerError::failed)?;
        let Some(filed) = linkage.store.commission(commission).await? else { continue };
        let ticket = Granted::check(&filed.ticket, &linkage.project.manifest).map_err(ServerError::failed)?;
        let encodings = linkage.store.commission_encodings(commission).await?;
        match Ready::gather(linkage, ticket, encodings).await? {
            Some(gathered) => ready.push(gathered),
            // an index is being built; its end wakes us
            None => linkage.store.give_back(job, 1, linkage.clock.now()).await?,
        }
    }
    if ready.is_empty() {
        tokio::time::sleep(Duration::from_millis(50)).await;
        return Ok(());
    }
    let (shared, now, count) = (Arc::clone(linkage), linkage.clock.now(), ready.len());
    let matching = tokio::task::spawn_blocking(move || {
        ready.into_iter().map(|ready| ready.run(&shared, now)).collect::<ServerResult<Vec<_>>>()
    });
    let outcomes = matching.await.map_err(ServerError::failed)??;
    linkage.store.store_outcomes(&outcomes).await?;
    tracing::debug!("Matched {count} commissions");
    Ok(())
}

/// Renews leases while work goes on; ends when dropped.
struct Heartbeat(JoinHandle<()>);

impl Heartbeat {
    fn start(linkage: &Arc<Linkage>, jobs: Vec<Job>) -> Self {
        let linkage = Arc::clone(linkage);
        Self(tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_secs(LEASE as u64 / 3)).await;
                for job in &jobs {
                    if let Err(e) = linkage.store.renew(job, LEASE, linkage.clock.now()).await {
                        tracing::error!("A lease could not be renewed: {e}");
                    }
                }
            }
        }))
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.0.abort();
    }
}
