//! Removes files that no batch needs: of what has ended by its term, and what belongs to no part. What has not ended is not
//! ended here: that stands in the log, and is the workers' (`tidy`).

use std::collections::HashSet;

use hedui_protocol::ids::BatchId;
use jiff::{SignedDuration, Timestamp};

use super::error::ServerResult;
use super::parts::{Named, Object, Parts};
use super::store::{HeldBatch, Store};
use crate::terminal;

/// What was written later may belong to a part whose note is still to come.
const SETTLED: SignedDuration = SignedDuration::from_hours(24);

/// Removes them, and counts.
pub async fn collect(store: &Store, parts: &Parts, dry_run: bool, now: Timestamp) -> ServerResult<usize> {
    // before the books: whatever comes later is not among them
    let stored = parts.list().await?;
    let held = store.held_batches().await?;
    let ended = held.iter().filter(|held| !held.is_needed()).map(|held| (held.batch, held.tag.clone()));
    let removals = store.removals().await?;
    let gone = ended.chain(removals.into_iter().map(|removal| (removal.shelf.batch, removal.shelf.tag))).collect();
    let objects = orphans(stored, &held, &gone, now);
    if !dry_run {
        for object in &objects {
            parts.remove(object).await?;
        }
    }
    let did = if dry_run { "would remove" } else { "removed" };
    terminal::note(format!("{did} {} files that no batch needs", objects.len()));
    Ok(objects.len())
}

/// A batch, and the tag of its parts.
pub type Tagged = (BatchId, Option<String>);

/// Files, as they were stored before the books were read, that belong to no part, and have settled; no part of the batches that
/// are `gone` is still to come.
pub fn orphans(stored: Vec<Object>, held: &[HeldBatch], gone: &HashSet<Tagged>, now: Timestamp) -> Vec<Object> {
    let parts = |held: &HeldBatch| {
        let (batch, tag) = (held.batch, held.tag.clone());
        held.parts.iter().map(move |number| Named { batch, tag: tag.clone(), number: *number }).collect::<Vec<_>>()
    };
    let noted: HashSet<Named> = held.iter().flat_map(parts).collect();
    let is_orphan = |object: &Object| match &object.part {
        Some(part) if noted.contains(part) => false,
        Some(part) if gone.contains(&(part.batch, part.tag.clone())) => true,
        _ => object.written_at < now - SETTLED,
    };
    stored.into_iter().filter(is_orphan).collect()
}

#[cfg(test)]
mod tests {
    use super::super::backup::tests::Place;
    use super::*;

    #[tokio::test]
    async fn what_a_term_has_not_ended_stays_whatever_the_clock_says() {
        let place = Place::new(1).await;
        let (replaced, _) = (place.indexed(1).await, place.indexed(2).await);
        let (open, _) = place.begun(3).await;
        let (store, parts) = (&place.store, &place.parts);
        let ahead = Timestamp::now() + SignedDuration::from_hours(9999 * 24);
        assert_eq!(collect(store, parts, false, ahead).await.unwrap(), 0);
        assert!(place.part(replaced).exists() && place.part(open).exists());

        // once it has ended, with an entry of the log, its files may go at once
        store.expire(ahead).await.unwrap();
        assert_eq!(collect(store, parts, true, Timestamp::now()).await.unwrap(), 2);
        assert_eq!(collect(store, parts, false, Timestamp::now()).await.unwrap(), 2);
        assert!(!place.part(replaced).exists() && !place.part(open).exists());
    }
}
