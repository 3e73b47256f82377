//! Takes away what is to be gone: the files of what was erased, and what has served its term.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::ServerResult;
use super::store::Removal;
use super::{Linkage, indexer, worker};
use crate::clock::Evenness;

/// Between looks at what operators have erased.
const LOOK: Duration = Duration::from_secs(1);
/// Between looks at what has served its term.
const TERMS: Duration = Duration::from_secs(15);
/// How long the clock must have run evenly before anything is forgotten by it: one that is set ahead by mistake is set right
/// in that time.
const EVEN: Duration = Duration::from_secs(6 * 3600);
/// Within so long, what was deleted is gone from the database's files too.
const COMPACT: Duration = Duration::from_secs(24 * 3600);
/// What fails each time is told so often.
const TELL: Duration = Duration::from_secs(60);
/// Between the words of a worker that it is there.
const BEAT: Duration = Duration::from_secs(30);

struct Tidier {
    linkage: Arc<Linkage>,
    clock: Evenness,
    looked_at_terms: Option<Instant>,
    /// None: not since the server started.
    compacted: Option<Instant>,
    started: Instant,
    /// Something was deleted by its term and is not overwritten yet.
    deleted: bool,
    beaten: Option<Instant>,
    /// There may be something that was stored before there were keys.
    old: bool,
    told: Option<(String, Instant)>,
}

/// Goes on as long as the server does. Several servers may: what is gone already is no error.
pub async fn keep_tidy(linkage: Arc<Linkage>) {
    let now = Instant::now();
    let mut tidier = Tidier {
        clock: Evenness::begin(now, linkage.clock.now()),
        linkage,
        looked_at_terms: None,
        compacted: None,
        started: now,
        deleted: false,
        beaten: None,
        old: true,
        told: None,
    };
    loop {
        if let Err(why) = tidier.round().await {
            tidier.tell(why.to_string());
        }
        let _ = tokio::time::timeout(LOOK, tidier.linkage.wake.tidy.notified()).await;
    }
}

impl Tidier {
    /// Once a minute, or where it is another reason.
    fn tell(&mut self, why: String) {
        let known = self.told.as_ref().is_some_and(|(known, at)| *known == why && at.elapsed() < TELL);
        if !known {
            tracing::error!("What is to be gone is not all gone yet: {why}");
            self.told = Some((why, Instant::now()));
        }
    }

    async fn round(&mut self) -> ServerResult<()> {
        let terms = self.looked_at_terms.is_none_or(|last| last.elapsed() >= TERMS);
        if terms {
            self.looked_at_terms = Some(Instant::now());
            self.terms().await?;
        }
        self.erased(terms).await?;
        if self.is_to_be_compacted() {
            self.linkage.store.compact().await?;
            (self.compacted, self.deleted) = (Some(Instant::now()), false);
        }
        self.old().await
    }

    /// What ended by its term first; whatever else was deleted, once a day.
    fn is_to_be_compacted(&self) -> bool {
        let first = self.compacted.is_none() || self.linkage.store.compacts_at_once();
        self.deleted && first || self.compacted.unwrap_or(self.started).elapsed() >= COMPACT
    }

    /// Ends what has served its term. Not by a clock that has just been set: what is forgotten is lost.
    async fn terms(&mut self) -> ServerResult<()> {
        let Linkage { store, .. } = &*self.linkage;
        let now = self.linkage.clock.now();
        if let Some(seconds) = self.clock.look(Instant::now(), now) {
            tracing::warn!("The clock of this machine was set, by {seconds} s");
        }
        store.shorten_leases(worker::LEASE, now).await?;
        store.know_the_ends(now).await?;
        if !self.clock.is_even_for(EVEN) {
            return Ok(());
        }
        store.forget_ended(now).await?;
        loop {
            let ended = store.expire(now).await?;
            for ended in &ended {
                let (batches, commissions) = (ended.batches.len(), ended.commissions.len());
                tracing::info!("A term ended ({:?}): {batches} batches, {commissions} commissions", ended.class);
                self.deleted = true;
            }
            if ended.is_empty() {
                return Ok(());
            }
        }
    }

    /// Gives a key to what was stored before there were keys, and seals it.
    async fn old(&mut self) -> ServerResult<()> {
        let Linkage { store, parts, .. } = &*self.linkage;
        if !self.old {
            return Ok(());
        }
        let given = store.give_keys().await?;
        let Some((batch, header)) = store.unsealed().await? else {
            self.old = given;
            return Ok(());
        };
        let key = store.shred_key(batch).await?;
        for part in &header.parts {
            let bytes = match parts.get(batch, part, key.as_ref()).await {
                Ok(bytes) => bytes,
                // of a batch that is still being filled
                Err(_)
                    if store.batch(batch).await?.is_some_and(|(_, status)| status.missing.contains(&part.number)) =>
                {
                    continue;
                }
                Err(why) => return Err(why),
            };
            parts.put(batch, part.number, bytes, key.as_ref()).await?;
        }
        store.sealed(batch).await
    }

    /// Removes the files of what was erased, here and where the parts are, and says so when nobody has any more of it.
    async fn erased(&mut self, thorough: bool) -> ServerResult<()> {
        let Linkage { store, parts, indexes, .. } = &*self.linkage;
        let started = self.linkage.clock.now();
        let waiting = store.acts_under_way().await?;
        let removals = store.removals().await?;
        if thorough || waiting || !removals.is_empty() {
            for batch in indexes.all_here()? {
                if store.batch(batch).await?.is_none() {
                    indexer::give_up(&self.linkage, batch)?;
                    indexes.remove(batch)?;
                }
            }
        }
        for Removal { batch, parts: count } in removals {
            parts.remove_batch(batch, count).await?;
            store.removed(batch).await?;
        }
        if waiting || self.beaten.is_none_or(|last| last.elapsed() >= BEAT) {
            store.tidied(started).await?;
            self.beaten = Some(Instant::now());
        }
        let Some(since) = store.acts_to_finish(started).await?.iter().map(|(_, approved)| *approved).min() else {
            return Ok(());
        };
        // what was deleted may still be read by a transaction that began before
        store.compact_since(since).await?;
        for (act, _) in self.linkage.store.acts_to_finish(started).await? {
            store.finish_act(act, self.linkage.clock.now()).await?;
            tracing::info!("Act {act} is done: what it erased is gone");
        }
        self.linkage.wake.tell();
        Ok(())
    }
}
