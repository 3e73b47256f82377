//! Memory for bodies that are arriving or being checked: only so much in all, and only half of it for one organisation.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes in all.
const ALL: u64 = 1 << 30;
/// One organisation's: what it sends slowly, or not at all, keeps nobody else waiting.
const EACH: u64 = ALL / 2;
const UNIT: u64 = 1 << 16;

pub struct Room {
    all: Arc<Semaphore>,
    each: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// Memory that is somebody's until this is dropped.
pub struct Taken {
    _own: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Default for Room {
    fn default() -> Self {
        Self { all: semaphore(ALL), each: Mutex::default() }
    }
}

impl Room {
    /// Waits until there is memory for `bytes` more of this organisation's.
    pub async fn take(&self, organisation: &str, bytes: u64) -> Taken {
        let own = {
            let mut each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(each.entry(organisation.to_owned()).or_insert_with(|| semaphore(EACH)))
        };
        // its own first: who waits for itself holds nothing of the others'
        let own = acquire(own, bytes).await;
        Taken { _own: own, _all: acquire(Arc::clone(&self.all), bytes).await }
    }
}

fn units(bytes: u64) -> u32 {
    u32::try_from(bytes.clamp(1, EACH).div_ceil(UNIT)).expect("the room has fewer units")
}

fn semaphore(bytes: u64) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(usize::try_from(bytes / UNIT).expect("the room has fewer units")))
}

async fn acquire(semaphore: Arc<Semaphore>, bytes: u64) -> OwnedSemaphorePermit {
    semaphore.acquire_many_owned(units(bytes)).await.expect("the semaphore is never closed")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn an_organisation_that_takes_all_it_can_leaves_room_for_another() {
        let room = Room::default();
        let soon = async |whose: &str, bytes| {
            tokio::time::timeout(Duration::from_millis(50), room.take(whose, bytes)).await.ok()
        };
        let one = soon("bank", u64::MAX).await.expect("half of the room is free");
        assert!(soon("bank", 1).await.is_none());
        let _other = soon("vehicle", EACH).await.expect("the other half is");
        drop(one);
        assert!(soon("bank", 1).await.is_some());
    }
}
