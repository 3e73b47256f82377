//! Takes away what is to be gone: the files of what was erased, and what has served its term.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::error::ServerResult;
use super::store::Removal;
use super::{Linkage, indexer, worker};

/// Between looks at what operators have erased.
const LOOK: Duration = Duration::from_secs(1);
/// Between looks at what has served its term.
const TERMS: Duration = Duration::from_secs(60);

/// Goes on as long as the server does. Several servers may: what is gone already is no error.
pub async fn keep_tidy(linkage: Arc<Linkage>) {
    let mut terms = None::<Instant>;
    loop {
        if terms.is_none_or(|last| last.elapsed() >= TERMS) {
            terms = Some(Instant::now());
            if let Err(why) = expire(&linkage).await {
                tracing::error!("What has served its term could not be taken away: {why}");
            }
        }
        if let Err(why) = finish(&linkage).await {
            tracing::error!("What was erased is not all gone yet: {why}");
        }
        let _ = tokio::time::timeout(LOOK, linkage.wake.tidy.notified()).await;
    }
}

async fn expire(linkage: &Linkage) -> ServerResult<()> {
    linkage.store.forget_ended(linkage.clock.now()).await?;
    loop {
        let ended = linkage.store.expire(linkage.clock.now()).await?;
        for ended in &ended {
            let (batches, commissions) = (ended.batches.len(), ended.commissions.len());
            tracing::info!("A term ended ({:?}): {batches} batches, {commissions} commissions", ended.class);
        }
        if ended.is_empty() {
            return Ok(());
        }
    }
}

async fn finish(linkage: &Arc<Linkage>) -> ServerResult<()> {
    for Removal { batch, parts } in linkage.store.removals().await? {
        linkage.parts.remove_batch(batch, parts).await?;
        indexer::give_up(linkage, batch)?;
        linkage.store.removed(batch).await?;
    }
    linkage.erased.store(linkage.store.is_erased().await?, Ordering::Relaxed);
    let acts = linkage.store.acts_to_finish().await?;
    if acts.is_empty() {
        return Ok(());
    }
    worker::follow(linkage, &mut Default::default()).await?;
    linkage.store.compact().await?;
    for act in acts {
        linkage.store.finish_act(act, linkage.clock.now()).await?;
        tracing::info!("Act {act} is done: what it erased is gone");
    }
    linkage.wake.tell();
    Ok(())
}
