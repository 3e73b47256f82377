//! The tasks that do queued work: one builds indexes, one matches commissions that somebody waits for, one those that are large
//! or stand. Any may die; a lease ends, and the work is taken up again.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hedui_protocol::ids::{BatchId, CommissionId};
use hedui_protocol::messages::BatchState;
use rayon::prelude::*;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::Linkage;
use super::error::{ServerError, ServerResult};
use super::indexer::{self, Built};
use super::run::Ready;
use super::store::{CommissionOutcome, Job, JobKind, LONGEST};
use super::telling::Telling;

/// Seconds that a job is a worker's before another may take it.
pub const LEASE: i64 = 20;
/// Seconds until a failed job is tried again, times the attempts so far.
const RETRY: i64 = 5;
const IDLE: Duration = Duration::from_millis(500);
/// Commissions that are matched and stored together.
const TOGETHER: i64 = 64;

/// What is told to an agency that waits for an index. The log has the reason.
const DELAYED: &str = "the server could not build the index yet, and tries again";

/// How long a server that starts waits for its indexes before it serves.
const START: Duration = Duration::from_secs(30);

/// Parts of a large commission that are matched together: a few thousand subjects read each index once.
const PARTS_TOGETHER: usize = 8;

/// Tells a worker that a job was queued.
#[derive(Default)]
pub struct Wake {
    pub index: Notify,
    pub commission: Notify,
    pub sweep: Notify,
    /// Something is to be taken away.
    pub tidy: Notify,
    /// Counts what was done: who waits for something looks again.
    pub done: watch::Sender<u64>,
}

impl Wake {
    fn of(&self, kind: JobKind) -> &Notify {
        match kind {
            JobKind::Index => &self.index,
            JobKind::Commission => &self.commission,
            JobKind::Sweep => &self.sweep,
        }
    }

    /// Tells whoever waits that something was done.
    pub fn tell(&self) {
        self.done.send_modify(|done| *done += 1);
    }
}

/// Opens the indexes of a server that starts again; a damaged one is built anew.
pub async fn recover(linkage: &Arc<Linkage>) -> ServerResult<()> {
    // one that cannot be built, or not yet, is no reason not to serve the others
    match tokio::time::timeout(START, follow(linkage, &mut Following::default())).await {
        Ok(Ok(())) => linkage.indexes.remove_others()?,
        Ok(Err(why)) => tracing::error!("An index that another server built could not be built here: {why}"),
        Err(_) => {}
    }
    Ok(())
}

pub fn start(linkage: &Arc<Linkage>) -> Vec<JoinHandle<()>> {
    let index = tokio::spawn(work(Arc::clone(linkage), JobKind::Index, 1));
    let commission = tokio::spawn(work(Arc::clone(linkage), JobKind::Commission, TOGETHER));
    let sweep = tokio::spawn(work(Arc::clone(linkage), JobKind::Sweep, TOGETHER));
    let followed = Arc::clone(linkage);
    let following = tokio::spawn(async move {
        let (mut state, mut telling) = (Following::default(), Telling::default());
        loop {
            tokio::time::sleep(IDLE).await;
            if let Err(why) = follow(&followed, &mut state).await
                && telling.is_due(&why.to_string(), Instant::now())
            {
                tracing::error!("An index that another server built could not be built here: {why}");
            }
        }
    });
    vec![index, commission, sweep, following]
}

/// Sets that have no index here, though they have one in the books.
#[derive(Default)]
struct Following {
    refused: HashSet<BatchId>,
    /// How often building failed, and when it is tried again.
    failing: HashMap<BatchId, (i64, Instant)>,
}

impl Following {
    fn is_to_be_tried(&self, batch: BatchId) -> bool {
        !self.refused.contains(&batch) && self.failing.get(&batch).is_none_or(|(_, again)| Instant::now() >= *again)
    }

    fn failed(&mut self, batch: BatchId) {
        let (attempts, again) = self.failing.entry(batch).or_insert((0, Instant::now()));
        *attempts += 1;
        *again = Instant::now() + Duration::from_secs((RETRY * *attempts).min(LONGEST).cast_unsigned());
    }
}

/// Brings this server's indexes to what the books say: another server may have indexed a set.
async fn follow(linkage: &Arc<Linkage>, state: &mut Following) -> ServerResult<()> {
    let _alone = linkage.indexing.lock().await;
    let indexed = linkage.store.indexed_batches().await?;
    let (mut changed, mut failed) = (linkage.indexes.keep(&indexed), Ok(()));
    for (agency, batch) in indexed {
        let here = linkage.indexes.of(&agency).is_some_and(|index| index.batch == batch);
        if here || !state.is_to_be_tried(batch) {
            continue;
        }
        let Some((header, _)) = linkage.store.batch(batch).await? else { continue };
        match indexer::build(linkage, batch, &header).await {
            Ok(Built::Ready(ready)) => linkage.indexes.switch(&agency, ready),
            Ok(Built::Refused(reason)) => {
                tracing::error!("Batch {batch} of `{agency}` has no index: {reason}");
                state.refused.insert(batch);
            }
            // the others' are not held up
            Err(why) => {
                state.failed(batch);
                failed = Err(why);
                continue;
            }
        }
        state.failing.remove(&batch);
        changed = true;
    }
    if changed {
        linkage.indexes.remove_others()?;
    }
    failed
}

async fn work(linkage: Arc<Linkage>, kind: JobKind, most: i64) {
    loop {
        let claimed = linkage.store.claim(kind, most, LEASE, linkage.clock.now()).await;
        let jobs = claimed.unwrap_or_else(|e| {
            tracing::error!("No job could be claimed: {e}");
            Vec::new()
        });
        if jobs.is_empty() {
            let _ = tokio::time::timeout(IDLE, linkage.wake.of(kind).notified()).await;
            continue;
        }
        let _heartbeat = Heartbeat::start(&linkage, jobs.clone());
        match kind {
            JobKind::Index => each(&linkage, &jobs).await,
            JobKind::Commission | JobKind::Sweep => {
                // one that cannot be done must not hold up the others
                if let Err(why) = commissions(&linkage, &jobs).await {
                    tracing::warn!("{} commissions are matched one by one, together they failed: {why}", jobs.len());
                    each(&linkage, &jobs).await;
                }
            }
        }
    }
}

async fn each(linkage: &Arc<Linkage>, jobs: &[Job]) {
    for job in jobs {
        let done = match job.kind {
            JobKind::Index => index(linkage, job).await,
            JobKind::Commission | JobKind::Sweep => commissions(linkage, std::slice::from_ref(job)).await,
        };
        if let Err(why) = done {
            tracing::error!("A job failed and will be tried again: {why}");
            let after = (RETRY * job.attempts).min(LONGEST);
            if let Err(e) = linkage.store.give_back(job, after, linkage.clock.now()).await {
                tracing::error!("A job could not be given back; its lease will end: {e}");
            }
            if let (JobKind::Index, Ok(batch)) = (job.kind, job.target.parse())
                && let Err(e) = linkage.store.note_delay(batch, DELAYED).await
            {
                tracing::error!("An agency could not be told that its index is late: {e}");
            }
        }
    }
}

async fn index(linkage: &Arc<Linkage>, job: &Job) -> ServerResult<()> {
    let batch: BatchId = job.target.parse().map_err(ServerError::failed)?;
    let Some((header, status)) = linkage.store.batch(batch).await? else {
        return Err(ServerError::Failed(format!("batch {batch} is to be indexed and is not there")));
    };
    if !matches!(status.state, BatchState::Committed | BatchState::Indexed) {
        indexer::give_up(linkage, batch)?;
        return linkage.store.job_is_done(job).await;
    }
    let _alone = linkage.indexing.lock().await;
    if linkage.store.is_superseded(batch, &header.agency).await? {
        // what nobody needs is not built, and cannot fail
        indexer::give_up(linkage, batch)?;
        linkage.store.batch_indexed(job, batch, &header.agency, linkage.clock.now()).await?;
        tracing::info!("Batch {batch} of `{}` was replaced before it was indexed", header.agency);
        return Ok(());
    }
    if let Some(base) = header.base {
        match linkage.store.batch(base).await?.map(|(_, status)| status.state) {
            Some(BatchState::Indexed) => {}
            // another worker is at it
            Some(BatchState::Committed) => return linkage.store.give_back(job, 1, linkage.clock.now()).await,
            _ => {
                let reason = "the batch that it continues is not the agency's set any more; submit the set whole";
                return refuse(linkage, job, batch, &header.agency, reason).await;
            }
        }
    }
    match indexer::build(linkage, batch, &header).await? {
        Built::Ready(ready) => {
            // first for matching, then in the books: a commission waits until the books say so
            let current = linkage.indexes.of(&header.agency);
            linkage.indexes.switch(&header.agency, ready);
            if linkage.store.batch_indexed(job, batch, &header.agency, linkage.clock.now()).await? {
                tracing::info!("Indexed {} records of `{}` as batch {batch}", header.records, header.agency);
            } else if let Some(current) = current {
                linkage.indexes.switch(&header.agency, current);
                tracing::info!("Batch {batch} of `{}` was replaced before it was indexed", header.agency);
            } else {
                // erased meanwhile
                linkage.indexes.remove(batch)?;
            }
            linkage.indexes.remove_others()?;
        }
        Built::Refused(reason) => refuse(linkage, job, batch, &header.agency, &reason).await?,
    }
    linkage.wake.commission.notify_one();
    linkage.wake.sweep.notify_one();
    linkage.wake.tell();
    Ok(())
}

async fn refuse(linkage: &Linkage, job: &Job, batch: BatchId, agency: &str, reason: &str) -> ServerResult<()> {
    linkage.store.batch_refused(job, batch, agency, reason, linkage.clock.now()).await?;
    tracing::warn!("Refused batch {batch} of `{agency}`: {reason}");
    // a delta's own index may be there
    linkage.indexes.remove_others()?;
    linkage.wake.tell();
    Ok(())
}

async fn commissions(linkage: &Arc<Linkage>, jobs: &[Job]) -> ServerResult<()> {
    let mut ready = Vec::new();
    for job in jobs {
        let commission: CommissionId = job.target.parse().map_err(ServerError::failed)?;
        let ticket = linkage.granted(commission).await?;
        let Some(gathered) = Ready::gather(linkage, ticket).await? else {
            // an index is being built
            linkage.store.give_back(job, 1, linkage.clock.now()).await?;
            continue;
        };
        let parts = linkage.store.encoding_parts(commission).await?;
        if parts.is_empty() {
            let encodings = linkage.store.commission_encodings(commission).await?;
            if encodings.is_empty() && gathered.asks_about_somebody() {
                // it has ended, and what it was matched by is forgotten: that says nothing about anybody
                linkage.store.job_is_done(job).await?;
                continue;
            }
            ready.push((job.clone(), gathered, encodings));
        } else {
            in_parts(linkage, job, gathered, commission, &parts).await?;
        }
    }
    if ready.is_empty() {
        return Ok(());
    }
    let (shared, now, count) = (Arc::clone(linkage), linkage.clock.now(), ready.len());
    let matching = tokio::task::spawn_blocking(move || {
        let matched = ready.into_par_iter().map(|(job, ready, encodings)| {
            let matches = ready.run(&shared, &encodings, now)?;
            Ok((job, ready.outcome(matches)))
        });
        matched.collect::<ServerResult<Vec<_>>>()
    });
    let outcomes = matching.await.map_err(ServerError::failed)??;
    store(linkage, &outcomes).await?;
    tracing::info!("Matched {count} commissions");
    Ok(())
}

/// Matches a large commission, a part of its subjects after the other.
async fn in_parts(
    linkage: &Arc<Linkage>,
    job: &Job,
    ready: Ready,
    commission: CommissionId,
    parts: &[u32],
) -> ServerResult<()> {
    let (ready, now, mut matches) = (Arc::new(ready), linkage.clock.now(), Vec::new());
    for parts in parts.chunks(PARTS_TOGETHER) {
        let mut encodings = Vec::new();
        for part in parts {
            encodings.extend(linkage.store.encodings_of_part(commission, *part).await?);
        }
        let (shared, ready) = (Arc::clone(linkage), Arc::clone(&ready));
        matches.extend(linkage.background.run(move || ready.run(&shared, &encodings, now)).await?);
    }
    let outcome = ready.outcome(matches);
    store(linkage, &[(job.clone(), outcome)]).await?;
    tracing::info!("Matched commission {commission} in {} parts", parts.len());
    Ok(())
}

async fn store(linkage: &Linkage, outcomes: &[(Job, CommissionOutcome)]) -> ServerResult<()> {
    linkage.store.store_outcomes(outcomes, linkage.clock.now()).await?;
    linkage.wake.tell();
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
