//! Receipts: what every response carries, and how a party checks it against what it has seen before.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use tlog_tiles::tlog::{self, Hash};

use super::checkpoint::{Checkpoint, SignedCheckpoint, UnsoundCheckpoint};
use super::event::{Entry, Event};
use super::tree::leaf_hash;
use crate::ids::TreeHash;
use crate::sign::PublicKey;

/// SPEC 14.5  Of a request: the size of the newest tree that the caller has seen.
pub const CHECKPOINT_HEADER: &str = "hedui-checkpoint";
/// SPEC 14.5  Of a response: base64 of a receipt's JSON.
pub const RECEIPT_HEADER: &str = "hedui-receipt";

/// SPEC 14.5  A signed tree, that it continues the one the caller knew, and that what was done stands in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "describe", derive(schemars::JsonSchema))]
pub struct Receipt {
    /// A signed note.
    pub checkpoint: String,
    /// From the caller's tree to this one; empty where the caller named none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub consistency: Vec<TreeHash>,
    /// The entry about this request, if it left one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<Inclusion>,
}

/// An entry, and that it is in the tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "describe", derive(schemars::JsonSchema))]
pub struct Inclusion {
    /// The entry's exact bytes: JSON.
    pub entry: String,
    pub proof: Vec<TreeHash>,
}

/// Why a receipt does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    #[error("the receipt does not read")]
    Malformed,
    #[error("the receipt's checkpoint is unsound: {0}")]
    Checkpoint(#[from] UnsoundCheckpoint),
    #[error("the log has {now} entries, it had {before}: it was rolled back")]
    RolledBack { before: u64, now: u64 },
    #[error("the log of {now} entries does not continue the one of {before} entries that was seen: it was forked")]
    Forked { before: u64, now: u64 },
    #[error("the receipt does not show that its entry is in the log")]
    NotIncluded,
}

impl Receipt {
    pub fn to_header(&self) -> String {
        BASE64.encode(serde_json::to_vec(self).expect("a receipt has only string keys"))
    }

    pub fn from_header(text: &str) -> Result<Self, Distrust> {
        let bytes = BASE64.decode(text).map_err(|_| Distrust::Malformed)?;
        serde_json::from_slice(&bytes).map_err(|_| Distrust::Malformed)
    }

    /// Checks the receipt for a party that has seen the tree `before`; what it has seen now, and the entry.
    pub fn check(
        &self,
        key: &PublicKey,
        origin: &str,
        before: Option<Checkpoint>,
    ) -> Result<(Checkpoint, Option<Event>), Distrust> {
        let now = SignedCheckpoint::from_text(self.checkpoint.clone()).open(key, origin)?;
        if let Some(before) = before.filter(|before| before.size > 0) {
            self.continues(before, now)?;
        }
        let event = self.entry.as_ref().map(|inclusion| inclusion.check(now)).transpose()?;
        Ok((now, event))
    }

    fn continues(&self, before: Checkpoint, now: Checkpoint) -> Result<(), Distrust> {
        if now.size < before.size {
            return Err(Distrust::RolledBack { before: before.size, now: now.size });
        }
        let forked = Distrust::Forked { before: before.size, now: now.size };
        if now.size == before.size {
            return if now.root == before.root { Ok(()) } else { Err(forked) };
        }
        let proof = hashes(&self.consistency);
        tlog::check_tree(&proof, now.size, Hash(now.root.0), before.size, Hash(before.root.0)).map_err(|_| forked)
    }
}

impl Inclusion {
    fn check(&self, tree: Checkpoint) -> Result<Event, Distrust> {
        let entry = Entry::parse(self.entry.as_bytes()).ok_or(Distrust::Malformed)?;
        let (proof, leaf) = (hashes(&self.proof), leaf_hash(self.entry.as_bytes()));
        if entry.number >= tree.size {
            return Err(Distrust::NotIncluded);
        }
        tlog::check_record(&proof, tree.size, Hash(tree.root.0), entry.number, Hash(leaf.0))
            .map_err(|_| Distrust::NotIncluded)?;
        Ok(entry.event)
    }
}

fn hashes(proof: &[TreeHash]) -> Vec<Hash> {
    proof.iter().map(|hash| Hash(hash.0)).collect()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::super::tree::{Hashes, Tree};
    use super::*;
    use crate::ids::ManifestId;
    use crate::sign::SigningKey;

    const LOG: &str = "hedui.log/test";

    /// A log that is held in memory.
    #[derive(Clone, Default)]
    struct Log {
        hashes: Hashes,
        entries: Vec<String>,
    }

    impl Log {
        fn tree(&self) -> Tree<'_> {
            Tree::new(self.entries.len() as u64, &self.hashes)
        }

        fn append(&mut self, byte: u8) {
            let (tree, number) = (self.tree().root().unwrap(), self.entries.len() as u64);
            let event = Event::Opened { manifest: ManifestId([byte; 32]), retention: None };
            let entry = Entry { number, at: Timestamp::UNIX_EPOCH, tree, event }.to_bytes();
            let stored = self.tree().next(leaf_hash(&entry)).unwrap();
            self.hashes.extend(stored);
            self.entries.push(String::from_utf8(entry).unwrap());
        }

        fn seen(&self) -> Checkpoint {
            Checkpoint { size: self.tree().size, root: self.tree().root().unwrap() }
        }

        fn receipt(&self, before: u64, entry: u64) -> Receipt {
            let inclusion = self.tree().inclusion(entry).unwrap();
            let consistency =
                (0 < before && before < self.tree().size).then(|| self.tree().consistency(before).unwrap());
            Receipt {
                checkpoint: SignedCheckpoint::sign(&key(), LOG, self.seen()).as_str().to_owned(),
                consistency: consistency.unwrap_or_default(),
                entry: Some(Inclusion { entry: self.entries[entry as usize].clone(), proof: inclusion }),
            }
        }
    }

    fn key() -> SigningKey {
        SigningKey::from_seed(&[7; 32])
    }

    #[test]
    fn a_log_that_grows_is_followed_and_one_that_was_rolled_back_or_forked_is_not() {
        let public = key().public();
        let mut log = Log::default();
        (0..5).for_each(|byte| log.append(byte));
        let before = log.clone();
        (5..9).for_each(|byte| log.append(byte));
        let receipt = log.receipt(5, 6);
        let (now, event) = receipt.check(&public, LOG, Some(before.seen())).unwrap();
        assert_eq!((now.size, event), (9, Some(Event::Opened { manifest: ManifestId([6; 32]), retention: None })));
        assert_eq!(Receipt::from_header(&receipt.to_header()).unwrap(), receipt);

        let back = before.receipt(0, 1).check(&public, LOG, Some(log.seen())).unwrap_err();
        assert_eq!(back, Distrust::RolledBack { before: 9, now: 5 });
        let mut fork = before.clone();
        (15..19).for_each(|byte| fork.append(byte));
        let same_size = fork.receipt(0, 1).check(&public, LOG, Some(log.seen())).unwrap_err();
        assert_eq!(same_size, Distrust::Forked { before: 9, now: 9 });
        fork.append(20);
        let longer = fork.receipt(9, 1).check(&public, LOG, Some(log.seen())).unwrap_err();
        assert_eq!(longer, Distrust::Forked { before: 9, now: 10 });
    }

    #[test]
    fn an_entry_that_was_changed_or_is_not_there_is_not_believed() {
        let public = key().public();
        let mut log = Log::default();
        (0..9).for_each(|byte| log.append(byte));
        let mut receipt = log.receipt(0, 3);
        let inclusion = receipt.entry.as_mut().unwrap();
        inclusion.entry = inclusion.entry.replace("0303", "0404");
        assert_eq!(receipt.check(&public, LOG, None), Err(Distrust::NotIncluded));
        let inclusion = receipt.entry.as_mut().unwrap();
        inclusion.entry = inclusion.entry.replace("\"number\":3", "\"number\":9");
        assert_eq!(receipt.check(&public, LOG, None), Err(Distrust::NotIncluded));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_a_receipt_or_none(text in ".{0,100}", before in 0u64..12, entry in 0u64..9) {
            let _ = Receipt::from_header(&text);
            let mut log = Log::default();
            (0..9).for_each(|byte| log.append(byte));
            let mut receipt = log.receipt(before.min(9), entry);
            proptest::prop_assert!(receipt.check(&key().public(), LOG, None).is_ok());
            receipt.entry.as_mut().unwrap().entry = text;
            proptest::prop_assert!(receipt.check(&key().public(), LOG, None).is_err());
        }
    }
}
