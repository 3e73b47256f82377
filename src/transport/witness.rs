//! A party's own memory of the server's log: each response's receipt is checked against it, and kept (SPEC 14.5).

use std::path::Path;
use std::sync::Mutex;

use hedui_protocol::ids::ManifestId;
use hedui_protocol::log::{self, Checkpoint, Distrust, Event, Receipt};
use hedui_protocol::manifest::Manifest;
use hedui_protocol::sign::PublicKey;
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Outcome};
use crate::lines::LineFile;

/// Receipts as JSON lines, only ever appended to.
pub struct Witness {
    manifest: ManifestId,
    key: PublicKey,
    origin: String,
    /// How the file is called.
    file: String,
    state: Mutex<State>,
}

struct State {
    file: LineFile,
    /// The newest tree that was seen.
    seen: Option<Checkpoint>,
}

/// A line of the file.
#[derive(Serialize, Deserialize)]
struct Kept {
    request: String,
    receipt: Receipt,
}

impl Witness {
    /// Opens the file of receipts, or begins one. Receipts of another manifest's log are passed over.
    pub fn open(path: &Path, manifest: &Manifest) -> Outcome<Self> {
        let key = manifest.log_key.ok_or_else(|| {
            Failure::refused("the manifest names no `log_key`: what a server does under it could not be proved")
        })?;
        let origin = log::origin(manifest.id());
        let mut file = LineFile::open(path).map_err(|failure| failure.hint("`--receipts` names another file"))?;
        let seen = newest(&mut file, &key, &origin)?;
        let (manifest, name) = (manifest.id(), path.display().to_string());
        Ok(Self { manifest, key, origin, file: name, state: Mutex::new(State { file, seen }) })
    }

    /// Whose log it is.
    pub fn manifest(&self) -> ManifestId {
        self.manifest
    }

    /// The newest tree that was seen.
    pub fn seen(&self) -> Option<Checkpoint> {
        self.state.lock().expect("no holder of the lock panics").seen
    }

    /// Checks a receipt that answers a request made when `before` was the newest tree, and keeps it. The event that the log
    /// has of the request, if it has one.
    pub fn check(&self, request: &str, receipt: &str, before: Option<Checkpoint>) -> Outcome<Option<Event>> {
        let receipt = Receipt::from_header(receipt).map_err(|e| self.distrust(&e))?;
        let (now, event) = receipt.check(&self.key, &self.origin, before).map_err(|e| self.distrust(&e))?;
        let mut state = self.state.lock().expect("no holder of the lock panics");
        let newer = state.seen.is_none_or(|seen| seen.size < now.size);
        if newer || event.is_some() {
            // how it continues what was seen has been checked, and is of no use to anybody else
            let receipt = Receipt { consistency: Vec::new(), ..receipt };
            let mut line =
                serde_json::to_vec(&Kept { request: request.to_owned(), receipt }).expect("receipts are JSON");
            line.push(b'\n');
            state.file.append(&line, false)?;
        }
        if newer {
            state.seen = Some(now);
        }
        Ok(event)
    }

    /// The newest receipt of the file that proves something, as its line stands there.
    #[cfg(feature = "operator")]
    pub fn receipt_of(&self, proves: impl Fn(&Event) -> bool) -> Outcome<Option<Vec<u8>>> {
        let mut newest = None;
        self.state.lock().expect("no holder of the lock panics").file.read(|line| {
            if let Ok(kept) = serde_json::from_slice::<Kept>(line)
                && let Ok((_, Some(event))) = kept.receipt.check(&self.key, &self.origin, None)
                && proves(&event)
            {
                newest = Some(line.to_vec());
            }
            Ok(())
        })?;
        Ok(newest)
    }

    /// What a server that gives no receipt is told as.
    pub fn missing(&self) -> Failure {
        Failure::refused("the server did not prove what it did: its log's receipt of it is missing")
            .hint("is this the project's server? tell the auditor if it is")
    }

    /// The same of a refusal: the log must have it.
    pub fn unproved(&self, refusal: &str) -> Failure {
        Failure::refused(format!(
            "{refusal}; and the server did not prove that it refuses this: its log's receipt of it is missing"
        ))
        .hint("is this the project's server, and this certificate still good? tell the auditor if they are")
    }

    /// What a server is told as whose log says something else than its answer.
    pub fn told_otherwise(&self, what: &str) -> Failure {
        Failure::refused(format!("the server's log has an entry `{what}` that is not what was done"))
            .hint(format!("keep {} as evidence and tell the auditor", self.file))
    }

    fn distrust(&self, why: &Distrust) -> Failure {
        Failure::refused(format!("the server's log cannot be trusted: {why}")).hint(format!(
            "keep {} as evidence and tell the auditor; the project goes on with a new file of receipts (`--receipts`) when the \
             operator has explained it",
            self.file
        ))
    }
}

/// The newest tree of the receipts in a file. They stand in the order in which they came, but for those of requests that were
/// under way together: of the last lines that are of this log, the newest.
fn newest(file: &mut LineFile, key: &PublicKey, origin: &str) -> Outcome<Option<Checkpoint>> {
    let (path, mut newest) = (file.path().display().to_string(), None::<Checkpoint>);
    file.read_from_the_end(|lines| {
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            let kept = serde_json::from_slice::<Kept>(line);
            let kept = kept.map_err(|_| Failure::refused(format!("{path}: a line is no receipt")))?;
            if let Ok((seen, _)) = kept.receipt.check(key, origin, None)
                && newest.is_none_or(|newest| newest.size < seen.size)
            {
                newest = Some(seen);
            }
        }
        Ok(newest.is_some())
    })?;
    Ok(newest)
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn any_bytes_are_receipts_or_refused(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("receipts");
            std::fs::write(&path, &bytes).unwrap();
            let mut file = LineFile::open(&path).unwrap();
            let read = newest(&mut file, &PublicKey([1; 32]), "log");
            let torn = !bytes.contains(&b'\n');
            proptest::prop_assert_eq!(read.is_ok_and(|newest| newest.is_none()), torn);
        }
    }
}
