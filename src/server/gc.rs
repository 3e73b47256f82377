//! Removes parts of batches that have served their term, and files that belong to no part.

use std::collections::HashSet;

use hedui_protocol::acts::Retention;
use hedui_protocol::ids::BatchId;
use hedui_protocol::messages::BatchState;
use jiff::{SignedDuration, Timestamp};

use super::error::ServerResult;
use super::parts::{Object, Parts};
use super::store::{HeldBatch, Store};
use crate::terminal;

/// What was written later may belong to a part whose note is still to come.
const SETTLED: SignedDuration = SignedDuration::from_hours(24);

/// Collects what has served its term, and counts files.
pub async fn collect(store: &Store, parts: &Parts, dry_run: bool, now: Timestamp) -> ServerResult<usize> {
    let terms = Terms::of(&store.retention().await?, now);
    let (mut waste, mut held) = sorted(store, terms).await?;
    let batches = waste.iter().filter(|batch| !batch.parts.is_empty()).count();
    if !dry_run {
        // first in the books: what nobody may ask for any more can go; one that was committed meanwhile is needed now
        for batch in &waste {
            store.forget_parts(batch.batch, terms.begun, terms.ended).await?;
        }
        (waste, held) = sorted(store, terms).await?;
    }
    let gone = waste.iter().map(|batch| batch.batch).collect();
    let objects = orphans(parts, &held, &gone, now).await?;
    if !dry_run {
        for object in &objects {
            parts.remove(object).await?;
        }
    }
    let did = if dry_run { "would remove" } else { "removed" };
    terminal::note(format!("{did} {} files, with the parts of {batches} batches", objects.len()));
    Ok(objects.len())
}

/// What was begun, or replaced or refused, before these moments is not kept any more.
#[derive(Clone, Copy)]
struct Terms {
    begun: Timestamp,
    ended: Timestamp,
}

impl Terms {
    fn of(retention: &Retention, now: Timestamp) -> Self {
        let before = |days: u16| now - SignedDuration::from_hours(24 * i64::from(days));
        Self { begun: before(retention.open_batches), ended: before(retention.replaced_batches) }
    }
}

/// Batches that have served their term, and the others.
async fn sorted(store: &Store, terms: Terms) -> ServerResult<(Vec<HeldBatch>, Vec<HeldBatch>)> {
    let is_waste = |batch: &HeldBatch| match batch.state {
        BatchState::Open => batch.created_at <= terms.begun,
        _ => !batch.is_needed() && batch.ended_at.is_some_and(|ended_at| ended_at <= terms.ended),
    };
    Ok(store.held_batches().await?.into_iter().partition(is_waste))
}

/// Files that belong to no part of a batch that is needed, and have settled.
pub async fn orphans(
    parts: &Parts,
    held: &[HeldBatch],
    gone: &HashSet<BatchId>,
    now: Timestamp,
) -> ServerResult<Vec<Object>> {
    let noted: HashSet<(BatchId, u32)> =
        held.iter().flat_map(|held| held.parts.iter().map(|number| (held.batch, *number))).collect();
    let is_orphan = |object: &Object| match object.part {
        Some(part) if gone.contains(&part.0) => true,
        Some(part) if noted.contains(&part) => false,
        _ => object.written_at < now - SETTLED,
    };
    Ok(parts.list().await?.into_iter().filter(is_orphan).collect())
}
