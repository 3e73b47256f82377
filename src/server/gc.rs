//! Removes parts that no batch needs which is being filled, indexed or matched against.

use std::collections::HashSet;

use hedui_protocol::ids::BatchId;
use jiff::{SignedDuration, Timestamp};

use super::error::ServerResult;
use super::parts::{Object, Parts};
use super::store::{HeldBatch, Store};
use crate::terminal;

/// What was written later may belong to a part whose note is still to come.
pub const SETTLED: SignedDuration = SignedDuration::from_hours(24);

/// What is to go.
struct Waste {
    batches: Vec<HeldBatch>,
    objects: Vec<Object>,
}

/// Collects; batches that were never committed when they are older than `open`.
pub async fn collect(
    store: &Store,
    parts: &Parts,
    open: SignedDuration,
    dry_run: bool,
    now: Timestamp,
) -> ServerResult<()> {
    let before = now - open;
    let mut waste = find(store, parts, before, now).await?;
    if !dry_run {
        // first in the books: what nobody may ask for any more can go
        for batch in &waste.batches {
            store.forget_parts(batch.batch, before).await?;
        }
        waste.objects = find(store, parts, before, now).await?.objects;
        for object in &waste.objects {
            parts.remove(object).await?;
        }
    }
    let (did, of_batches) = (if dry_run { "would remove" } else { "removed" }, waste.batches.len());
    terminal::note(format!("{did} {} files, with the parts of {of_batches} batches", waste.objects.len()));
    Ok(())
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

async fn find(store: &Store, parts: &Parts, before: Timestamp, now: Timestamp) -> ServerResult<Waste> {
    let (waste, held): (Vec<HeldBatch>, Vec<HeldBatch>) = store.held_batches().await?.into_iter().partition(|held| {
        !held.is_needed() || held.state == hedui_protocol::messages::BatchState::Open && held.created_at < before
    });
    let gone = waste.iter().map(|held| held.batch).collect();
    let objects = orphans(parts, &held, &gone, now).await?;
    let batches = waste.into_iter().filter(|held| !held.parts.is_empty()).collect();
    Ok(Waste { batches, objects })
}
