//! Takes away what is to be gone: the files of what was erased, and what has served its term.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hedui_protocol::ids::BatchId;
use hedui_protocol::part::BatchHeader;
use jiff::Timestamp;

use super::error::{ServerError, ServerResult};
use super::store::Removal;
use super::telling::Telling;
use super::{Linkage, indexer, worker};
use crate::clock::Evenness;

/// Between looks at what operators have erased.
const LOOK: Duration = Duration::from_secs(1);
/// Between looks at what has served its term.
const TERMS: Duration = Duration::from_secs(15);
/// What could not be compacted is tried again after so long: whoever waits for the table waits behind it.
const PAUSE: Duration = Duration::from_secs(30);
/// Between the words of a worker that it is there.
const BEAT: Duration = Duration::from_secs(30);

struct Tidier {
    linkage: Arc<Linkage>,
    clock: Evenness,
    looked_at_terms: Option<Instant>,
    /// When compacting failed.
    failed: Option<Instant>,
    beaten: Option<Instant>,
    /// There may be something that was stored before there were keys.
    old: bool,
    /// Of that, the batch that was last tried.
    sealing: Option<BatchId>,
    /// One could not be sealed: the others are, and it is tried again later.
    unsealable: bool,
    seal_again: Option<Instant>,
    telling: Telling,
}

/// Goes on as long as the server does. Several servers may: what is gone already is no error.
pub async fn keep_tidy(linkage: Arc<Linkage>) {
    let now = Instant::now();
    let mut tidier = Tidier {
        clock: Evenness::begin(now, linkage.clock.now()),
        linkage,
        looked_at_terms: None,
        failed: None,
        beaten: None,
        old: true,
        sealing: None,
        unsealable: false,
        seal_again: None,
        telling: Telling::default(),
    };
    loop {
        if let Err(why) = tidier.round().await
            && tidier.telling.is_due(&why.to_string(), Instant::now())
        {
            tracing::error!("What is to be gone is not all gone yet: {why}");
        }
        let _ = tokio::time::timeout(LOOK, tidier.linkage.wake.tidy.notified()).await;
    }
}

impl Tidier {
    async fn round(&mut self) -> ServerResult<()> {
        let terms = self.looked_at_terms.is_none_or(|last| last.elapsed() >= TERMS);
        if terms {
            self.looked_at_terms = Some(Instant::now());
            self.terms().await?;
        }
        let started = self.linkage.clock.now();
        self.files(terms, started).await?;
        if self.failed.is_none_or(|last| last.elapsed() >= PAUSE) {
            self.rows(started).await?;
        }
        self.old().await
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
        if !self.clock.is_even_for(self.linkage.clock.settles()) {
            return Ok(());
        }
        store.retire_workers(now).await?;
        store.forget_ended(now).await?;
        loop {
            let ended = store.expire(self.linkage.clock.now()).await?;
            for ended in &ended {
                let (batches, commissions) = (ended.batches.len(), ended.commissions.len());
                tracing::info!("A term ended ({:?}): {batches} batches, {commissions} commissions", ended.class);
            }
            if ended.is_empty() {
                return Ok(());
            }
        }
    }

    /// Gives a key to what was stored before there were keys, and seals it.
    async fn old(&mut self) -> ServerResult<()> {
        let Linkage { store, .. } = &*self.linkage;
        if !self.old || self.seal_again.is_some_and(|at| Instant::now() < at) {
            return Ok(());
        }
        let given = store.give_keys().await?;
        let Some((batch, header)) = store.unsealed(self.sealing.take()).await? else {
            let failed = std::mem::take(&mut self.unsealable);
            self.old = given || failed;
            self.seal_again = failed.then(|| Instant::now() + PAUSE);
            return Ok(());
        };
        self.sealing = Some(batch);
        let sealed = self.seal(batch, &header).await;
        self.unsealable |= sealed.is_err();
        sealed
    }

    async fn seal(&self, batch: BatchId, header: &BatchHeader) -> ServerResult<()> {
        let Linkage { store, parts, .. } = &*self.linkage;
        let shelf = store.shelf(batch).await?;
        for part in &header.parts {
            let bytes = match parts.get(&shelf, part).await {
                Ok(bytes) => bytes,
                // of a batch that is still being filled
                Err(_)
                    if store.batch(batch).await?.is_some_and(|(_, status)| status.missing.contains(&part.number)) =>
                {
                    continue;
                }
                Err(why) => return Err(why),
            };
            parts.put(&shelf, part.number, bytes).await?;
        }
        if !store.sealed(batch).await? {
            // erased meanwhile: its files may have been removed before these came
            parts.remove_batch(&shelf, u32::try_from(header.parts.len()).map_err(ServerError::failed)?).await?;
        }
        Ok(())
    }

    /// Removes the files of what was erased or has ended, here and where the parts are.
    async fn files(&mut self, thorough: bool, started: Timestamp) -> ServerResult<()> {
        let Linkage { store, parts, indexes, .. } = &*self.linkage;
        // first: what is erased from now on is followed next time
        let so_far = store.erased_so_far().await?;
        let waiting = store.files_are_awaited().await?;
        let removals = store.removals().await?;
        if thorough || waiting || !removals.is_empty() {
            for batch in indexes.all_here()? {
                if !store.keeps(batch).await? {
                    indexer::give_up(&self.linkage, batch)?;
                    indexes.remove(batch)?;
                }
            }
        }
        // one that cannot be removed holds up no other
        let mut all_removed = Ok(());
        for Removal { shelf, parts: count } in removals {
            all_removed = all_removed.and(match parts.remove_batch(&shelf, count).await {
                Ok(()) => store.removed(&shelf).await,
                Err(why) => Err(why),
            });
        }
        all_removed?;
        if waiting || self.beaten.is_none_or(|last| last.elapsed() >= BEAT) {
            store.followed(so_far, started).await?;
            self.beaten = Some(Instant::now());
        }
        Ok(())
    }

    /// Leaves nothing of deleted rows: at once of what was erased, and of what has ended where that costs little or is the whole
    /// epoch; of whatever was deleted once a day. Of what nobody has any more, the log says so then.
    async fn rows(&mut self, started: Timestamp) -> ServerResult<()> {
        let Linkage { store, .. } = &*self.linkage;
        let acts = store.acts_to_finish(started).await?;
        let ended = store.ended_to_finish(started).await?;
        let ends_at_once = store.compacts_at_once() || self.linkage.is_erased();
        let at_once = !acts.is_empty() || ended.is_some() && ends_at_once;
        let turn = !at_once && store.takes_the_days_turn(started).await?;
        if !at_once && !turn {
            return Ok(());
        }
        let is_read = store.is_read_from_before(acts.iter().copied().chain(ended)).await?;
        let compacted = match is_read {
            true => Err(ServerError::Failed("a transaction of before is still open: a backup?".into())),
            false => store.compact().await,
        };
        if let Err(why) = compacted {
            self.failed = (turn || !is_read && !store.compacts_at_once()).then(Instant::now);
            if turn {
                store.gives_the_turn_back().await?;
            }
            return Err(why);
        }
        for act in acts {
            store.finish_act(act, self.linkage.clock.now()).await?;
            tracing::info!("Act {} is done: what it erased is gone", act.number);
        }
        if let Some(ended) = ended {
            store.finish_ended(ended, self.linkage.clock.now()).await?;
            tracing::info!("What had ended by its term is gone, up to entry {} of the log", ended.entry);
        }
        self.linkage.wake.tell();
        Ok(())
    }
}
