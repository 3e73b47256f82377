//! The log as the server keeps it: its key signs what the database holds, and a file remembers what was signed last.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use hedui_protocol::acts::Retention;
use hedui_protocol::log::{self, Checkpoint, Entry, Event, Receipt, SignedCheckpoint};
use hedui_protocol::manifest::Manifest;
use hedui_protocol::messages::LogPage;
use hedui_protocol::sign::{PublicKey, SigningKey};
use jiff::Timestamp;

use super::error::ServerResult;
use super::store::{Leaf, Store};
use crate::failure::{Failure, Outcome};
use crate::keyfile;
use crate::staging::replace_private;

/// Where a server remembers the newest tree that it has signed.
const REMEMBERED: &str = "checkpoint";

pub struct Log {
    key: SigningKey,
    origin: String,
    remembered: PathBuf,
    /// Entries of the tree in that file.
    written: AtomicU64,
}

impl Log {
    /// Loads the key, if it is the one that the manifest names.
    pub fn load(key_file: &Path, manifest: &Manifest, data: &Path) -> Outcome<Self> {
        let key = load_key(key_file, log_key(manifest)?)?;
        let (origin, remembered) = (log::origin(manifest.id()), data.join(REMEMBERED));
        Ok(Self { key, origin, remembered, written: AtomicU64::default() })
    }

    /// Begins the log where there is none; one that holds less than this server has signed is refused.
    pub async fn open(
        &self,
        store: &Store,
        manifest: &Manifest,
        retention: Option<Retention>,
        now: Timestamp,
    ) -> Outcome {
        let opened = Event::Opened { manifest: manifest.id(), retention };
        store.open_log(opened, now).await.map_err(Failure::try_again)?;
        self.holds_what_was_signed(store).await?;
        self.remember(store).await
    }

    /// Whether the database still holds what this server has signed.
    pub async fn holds_what_was_signed(&self, store: &Store) -> Outcome {
        let text = match std::fs::read_to_string(&self.remembered) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(Failure::file("read", &self.remembered, &e)),
        };
        let file = self.remembered.display();
        let known = SignedCheckpoint::from_text(text).open(&self.key.public(), &self.origin);
        let known = known.map_err(|e| Failure::refused(format!("{file}: {e}")))?;
        let rolled_back = "an older copy of it was put back. Put the newest one back; where it is lost, move this file \
                           away, and tell the auditor and every party: their receipts will not fit any more";
        match store.root_at(known.size).await.map_err(Failure::try_again)? {
            Some(root) if root == known.root => Ok(()),
            Some(_) => Err(Failure::refused(format!(
                "{file}: the database's log is not the one that this server has signed: it differs in its first {} entries",
                known.size
            ))
            .hint(rolled_back)),
            None => Err(Failure::refused(format!(
                "{file}: this server has signed a log of {} entries, and the database has fewer: it was rolled back",
                known.size
            ))
            .hint(rolled_back)),
        }
    }

    /// A receipt for somebody who has seen the tree of `before` entries, about an entry.
    pub async fn receipt(&self, store: &Store, before: u64, leaf: Option<&Leaf>) -> ServerResult<Receipt> {
        let extract = store.extract(before, leaf).await?;
        let checkpoint = self.sign(extract.tree).as_str().to_owned();
        Ok(Receipt { checkpoint, consistency: extract.consistency, entry: extract.entry })
    }

    fn sign(&self, tree: Checkpoint) -> SignedCheckpoint {
        SignedCheckpoint::sign(&self.key, &self.origin, tree)
    }

    /// Signs what there is and writes it down, in the database for its readers and beside it: a database that is put back
    /// to an older state is noticed at the next start.
    pub async fn remember(&self, store: &Store) -> Outcome {
        let tree = store.extract(0, None).await.map_err(Failure::try_again)?.tree;
        if self.written.load(Ordering::Relaxed) == tree.size {
            return Ok(());
        }
        let signed = self.sign(tree);
        store.keep_checkpoint(tree.size, signed.as_str()).await.map_err(Failure::try_again)?;
        replace_private(&self.remembered, signed.as_str().as_bytes())?;
        // what failed is tried again
        self.written.store(tree.size, Ordering::Relaxed);
        Ok(())
    }
}

/// Entries in one page, and bytes of what proves them; one entry is always told.
const PAGE: u32 = 500;
const PAGE_BYTES: usize = 32 << 20;

/// Which entries are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Those that the newest checkpoint signs.
    Signed,
    All,
}

/// The entries from `from` on, with what proves them.
pub async fn page(store: &Store, from: u64, told: Told) -> ServerResult<LogPage> {
    // before the entries: there are as many as it says
    let (signed, checkpoint) = store.checkpoint().await?.unzip();
    let most = match told {
        Told::Signed => signed.unwrap_or(0).saturating_sub(from).min(u64::from(PAGE)) as u32,
        Told::All => PAGE,
    };
    let mut page = LogPage { checkpoint, ..LogPage::default() };
    let mut bytes = 0;
    for entry in store.entries(from, most).await? {
        let parsed = Entry::parse(entry.as_bytes()).map(|entry| entry.event);
        match parsed {
            Some(Event::CommissionFiled { commission, .. } | Event::Withdrawn { commission, .. }) => {
                let proof = store.proof(commission).await?;
                bytes += proof.as_ref().map_or(0, |proof| proof.ticket.bytes.len());
                page.commissions.extend(proof);
            }
            Some(Event::BatchCommitted { batch, .. }) => page.batches.extend(store.signed_header(batch).await?),
            _ => {}
        }
        bytes += entry.len();
        page.entries.push(entry);
        if bytes > PAGE_BYTES {
            break;
        }
    }
    Ok(page)
}

/// The key that a project's log must be signed with.
fn log_key(manifest: &Manifest) -> Outcome<PublicKey> {
    manifest.log_key.ok_or_else(|| {
        Failure::refused("the manifest names no `log_key`: no server runs without a log")
            .hint("`hedui manifest new --log-key` takes the public half, as `hedui key new --kind log` prints it")
    })
}

fn load_key(file: &Path, public: PublicKey) -> Outcome<SigningKey> {
    let key = SigningKey::try_from(keyfile::read(file)?.as_slice()).ok();
    key.filter(|key| key.public() == public)
        .ok_or_else(|| Failure::refused(format!("{}: this is not the log key that the manifest names", file.display())))
}
