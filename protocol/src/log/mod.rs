//! The log of what the linkage server did: entries, the tree over them, signed checkpoints, receipts (SPEC 14).

mod checkpoint;
mod event;
mod receipt;
mod tree;

pub use checkpoint::{Checkpoint, SignedCheckpoint, UnsoundCheckpoint, origin};
pub use event::{Entry, Event, Handed};
pub use receipt::{CHECKPOINT_HEADER, Distrust, Inclusion, RECEIPT_HEADER, Receipt};
pub use tree::{Hashes, HashesNeeded, NoSuchHashes, Tree, leaf_hash};
