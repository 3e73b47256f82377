//! How many may be connected: strangers whose handshake is under way, one organisation's connections, and all of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Most of each.
#[derive(Clone, Copy, Debug)]
pub struct Most {
    /// Connections whose handshake is under way. One more, and the oldest of them has to go: who is honest is through in
    /// milliseconds, who only holds a place loses it.
    pub strangers: usize,
    /// Connections of one organisation. What is more is closed: it harms nobody but itself.
    pub of_one: usize,
    pub inside: usize,
}

impl Most {
    /// For parties: the rest of the file descriptors is for files and the database.
    pub fn of_parties(descriptors: u64) -> Self {
        let share = |of: u64, most: usize| usize::try_from(of).unwrap_or(most).clamp(1, most);
        Self { strangers: share(descriptors / 4, 1024), of_one: 256, inside: share(descriptors / 2, 16_384) }
    }

    pub const OF_OPERATOR: Self = Self { strangers: 64, of_one: 64, inside: 128 };
}

#[derive(Clone)]
pub struct Crowd {
    most: Most,
    counts: Arc<Mutex<Counts>>,
}

#[derive(Default)]
struct Counts {
    arrivals: u64,
    /// In the order of their arrival; who is dropped from here has to go.
    strangers: BTreeMap<u64, oneshot::Sender<()>>,
    inside: usize,
    of: HashMap<String, usize>,
}

/// A place among the strangers.
pub struct Stranger {
    crowd: Crowd,
    number: u64,
    /// Ends when another needs the place.
    pub must_go: oneshot::Receiver<()>,
}

/// A place inside.
pub struct Guest {
    crowd: Crowd,
    organisation: String,
}

impl Crowd {
    pub fn new(most: Most) -> Self {
        Self { most, counts: Arc::default() }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in a stranger; whether another has to go for it.
    pub fn stranger(&self) -> (Stranger, bool) {
        let (place, must_go) = oneshot::channel();
        let mut counts = self.counts();
        let number = counts.arrivals;
        counts.arrivals += 1;
        counts.strangers.insert(number, place);
        let crowded = counts.strangers.len() > self.most.strangers;
        if crowded {
            counts.strangers.pop_first();
        }
        (Stranger { crowd: self.clone(), number, must_go }, crowded)
    }

    /// None: the organisation has all the connections that it may have, or the server has.
    pub fn guest(&self, organisation: &str) -> Option<Guest> {
        let mut counts = self.counts();
        let of_one = counts.of.get(organisation).copied().unwrap_or(0);
        if counts.inside >= self.most.inside || of_one >= self.most.of_one {
            return None;
        }
        counts.inside += 1;
        counts.of.insert(organisation.to_owned(), of_one + 1);
        Some(Guest { crowd: self.clone(), organisation: organisation.to_owned() })
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.crowd.counts().strangers.remove(&self.number);
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut counts = self.crowd.counts();
        counts.inside -= 1;
        if let Some(left) = counts.of.get_mut(&self.organisation) {
            *left -= 1;
            if *left == 0 {
                counts.of.remove(&self.organisation);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_stranger_goes_for_the_newest() {
        let crowd = Crowd::new(Most { strangers: 2, of_one: 1, inside: 2 });
        let (mut first, _) = crowd.stranger();
        let (second, _) = crowd.stranger();
        drop(second);
        let (mut third, crowded) = crowd.stranger();
        assert!(!crowded && first.must_go.try_recv() == Err(oneshot::error::TryRecvError::Empty));
        assert!(crowd.stranger().1);
        assert_eq!(first.must_go.try_recv(), Err(oneshot::error::TryRecvError::Closed));
        assert_eq!(third.must_go.try_recv(), Err(oneshot::error::TryRecvError::Empty));
    }

    #[test]
    fn one_organisation_does_not_take_anothers_place_and_who_leaves_makes_room() {
        let crowd = Crowd::new(Most { strangers: 1, of_one: 2, inside: 3 });
        let mut bank = [crowd.guest("bank"), crowd.guest("bank")];
        assert!(crowd.guest("bank").is_none());
        let _vehicle = crowd.guest("vehicle").expect("there is a place");
        assert!(crowd.guest("vehicle").is_none(), "three are inside");
        bank[0] = None;
        assert!(crowd.guest("vehicle").is_some());
        drop(bank);
        let counts = crowd.counts();
        assert_eq!((counts.inside, counts.of.len()), (1, 1));
    }
}
