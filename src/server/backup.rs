//! A backup: a folder with everything that must survive, taken while servers run, and put back into an empty place.
//!
//! `database.jsonl` is the database, a row a line; `parts/` the parts of its batches; `keys.jsonl` the keys of its batches and
//! commissions, without which their rows and parts are noise; `backup.json` says what there is, and holds the first one's
//! hash. Parts are checked against the hashes in their batches' signed headers, coming and going.
//!
//! What was erased later has no key in a later backup's `keys.jsonl`: put back with that one, it stays erased. Later epochs lie
//! in `epochs/MANIFEST/`, each in the same way; the first one's seal names them, and is written last.

mod keys;
mod lines;
mod prune;
mod restore;
#[cfg(test)]
pub mod tests;

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use hedui_protocol::ids::{BatchId, ContentHash, ManifestId};
use hedui_protocol::part::{BatchHeader, PartInfo};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use self::keys::Keys;
use self::lines::Line;
use super::error::{ServerError, ServerResult};
use super::parts::{Parts, Shelf, name};
use super::store::{DumpedRow, EPOCHS, Store, Value, header_of, is_needed, state_of};
use crate::failure::{Failure, Outcome};
use crate::random;
use crate::staging::{Staging, private_folder, write_private};
use crate::terminal;

pub use prune::prune;
pub use restore::{backups, restore};

const SEAL: &str = "backup.json";
const ROWS: &str = "database.jsonl";
const KEYS: &str = "keys.jsonl";

/// Written last: a folder without it is no backup.
#[derive(Serialize, Deserialize)]
struct Seal {
    taken_at: Timestamp,
    /// When its term is over, and it is to be removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ends_at: Option<Timestamp>,
    /// Names what is sealed in it: no two backups share a name.
    #[serde(default)]
    id: String,
    /// Of which project it is; not said by backups of before there were epochs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    manifest: Option<ManifestId>,
    /// Epochs that came after, each in a folder of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    epochs: Vec<ManifestId>,
    /// The last migration that the database had had.
    version: i64,
    rows: u64,
    rows_hash: ContentHash,
    parts: u64,
}

impl Seal {
    fn read(folder: &Path) -> Outcome<Self> {
        let path = folder.join(SEAL);
        let seal = std::fs::read(&path).map_err(|e| Failure::file("read", &path, &e))?;
        let damaged = format!("{}: this is no backup, or its seal is damaged", folder.display());
        serde_json::from_slice(&seal).map_err(|_| Failure::refused(damaged))
    }

    fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a seal is JSON")
    }
}

/// Parts that somebody may want: their batch's header names them, and the database has noted them.
#[derive(Default)]
struct Noted {
    headers: HashMap<BatchId, (BatchHeader, Option<String>)>,
    parts: Vec<(BatchId, u32)>,
}

impl Noted {
    /// Whether the row is to be kept. Of a set that nobody needs the parts are not, as when its term is over.
    fn see(&mut self, row: &DumpedRow) -> ServerResult<bool> {
        let text = |name: &str| match row.row.get(name) {
            Some(Value::Text(text)) => Ok(text.as_str()),
            _ => Err(ServerError::Failed(format!("a row of `{}` has no {name}", row.table))),
        };
        let batch = || text("batch")?.parse::<BatchId>().map_err(ServerError::failed);
        match (row.table.as_str(), row.row.get("header"), row.row.get("number")) {
            ("batches", Some(Value::Bytes { base64 }), _) => {
                if is_needed(&state_of(text("state")?)?) {
                    let tag = row.row.contains_key("tag").then(|| text("tag")).transpose()?.map(str::to_owned);
                    self.headers.insert(batch()?, (header_of(base64.0.clone())?, tag));
                }
                Ok(true)
            }
            ("parts", _, Some(Value::Number(number))) => {
                let part = (batch()?, u32::try_from(*number).map_err(ServerError::failed)?);
                let wanted = self.headers.contains_key(&part.0);
                self.parts.extend(wanted.then_some(part));
                Ok(wanted)
            }
            _ => Ok(true),
        }
    }

    /// Each part with where it lies, and what its header says of it.
    fn each(&self, keys: &Keys) -> impl Iterator<Item = ServerResult<(Shelf, &PartInfo)>> {
        self.parts.iter().map(|(batch, number)| {
            let part = self.headers.get(batch).and_then(|(header, tag)| {
                let key = keys.of(&batch.to_string()).cloned();
                Some((Shelf { batch: *batch, tag: tag.clone(), key }, header.parts.get(*number as usize)?))
            });
            part.ok_or_else(|| ServerError::Failed(format!("batch {batch} has no part {number}")))
        })
    }
}

/// The stores of one epoch.
pub struct Source<'s> {
    pub manifest: ManifestId,
    pub store: &'s Store,
    pub parts: &'s Parts,
}

/// Takes a backup of all epochs, the first one first, into a new folder: whole, or not at all.
pub async fn backup(sources: &[Source<'_>], out: &Path, now: Timestamp) -> Outcome {
    let staging = Staging::new(out)?;
    let ends_at = now + shortest_term(sources).await?;
    let later = sources.iter().skip(1).map(|source| source.manifest);
    let (mut epochs, mut copies) = (later.collect::<Vec<_>>(), Vec::new());
    for source in sources {
        // what is erased from now on may be in it
        source.store.note_backup(ends_at).await?;
        let folder = match copies.is_empty() {
            true => staging.path(""),
            false => staging.path(EPOCHS).join(source.manifest.to_string()),
        };
        let copied = copy(source, &folder).await?;
        let seal = Seal {
            taken_at: now,
            ends_at: Some(ends_at),
            id: copied.id,
            manifest: Some(source.manifest),
            epochs: std::mem::take(&mut epochs),
            version: source.store.version().await?,
            rows: copied.count,
            rows_hash: copied.hash,
            parts: copied.noted.parts.len() as u64,
        };
        copies.push((folder, copied.keys, seal));
    }
    // what is cut short before this is noise
    for (folder, keys, _) in &copies {
        write_private(&folder.join(KEYS), &keys.to_bytes(now))?;
    }
    for (folder, _, seal) in copies.iter().rev() {
        write_private(&folder.join(SEAL), &seal.to_bytes())?;
    }
    staging.finish()?;
    let (_, _, Seal { rows, parts, .. }) = &copies[0];
    terminal::note(format!("{}: {rows} rows and {parts} parts, to be kept until {ends_at}", out.display()));
    Ok(())
}

/// The folder is kept or removed as one.
async fn shortest_term(sources: &[Source<'_>]) -> Outcome<SignedDuration> {
    let mut shortest = u16::MAX;
    for source in sources {
        shortest = shortest.min(source.store.retention().await?.backups);
    }
    Ok(SignedDuration::from_hours(24 * i64::from(shortest)))
}

/// Copies an epoch into a folder, all but its keys.
async fn copy(source: &Source<'_>, folder: &Path) -> Outcome<Rows> {
    let parts = folder.join("parts");
    loop {
        private_folder(&parts)?;
        let rows = Rows::write(source.store, &folder.join(ROWS)).await?;
        if copy_parts(source, &rows, &parts).await? {
            return Ok(rows);
        }
        terminal::note("a set went while its parts were copied: beginning again without it");
        std::fs::remove_dir_all(&parts).map_err(|e| Failure::file("remove", &parts, &e))?;
    }
}

/// The rows of an epoch as they were at one moment, in a file.
struct Rows {
    /// Names what is sealed in it.
    id: String,
    count: u64,
    hash: ContentHash,
    noted: Noted,
    keys: Keys,
}

impl Rows {
    async fn write(store: &Store, path: &Path) -> Outcome<Self> {
        let id = format!("{:032x}", u128::from_be_bytes(random::bytes()?));
        let failed = |e: std::io::Error| Failure::file("write", path, &e);
        write_private(path, b"")?;
        let mut file = BufWriter::new(File::options().append(true).open(path).map_err(failed)?);
        let (mut hash, mut count, mut noted, mut keys) =
            (blake3::Hasher::new(), 0u64, Noted::default(), Keys::default());
        let mut wrong = None;
        let dumped = store.dump(|mut row| {
            if !noted.see(&row)? {
                return Ok(());
            }
            keys.take(&mut row)?;
            let mut line = Line::of(row, &keys, &id, count)?.to_bytes();
            line.push(b'\n');
            hash.update(&line);
            count += 1;
            file.write_all(&line).map_err(|e| std::io::Error::from(wrong.insert(e).kind()).into())
        });
        if let Err(why) = dumped.await {
            return Err(wrong.map_or_else(|| why.into(), failed));
        }
        let file = file.into_inner().map_err(|e| failed(e.into_error()))?;
        file.sync_all().map_err(failed)?;
        Ok(Self { id, count, hash: ContentHash(*hash.finalize().as_bytes()), noted, keys })
    }
}

/// Copies the parts that rows name, under their keys; false where one is not to be had because nobody needs its set any more.
async fn copy_parts(source: &Source<'_>, rows: &Rows, folder: &Path) -> Outcome<bool> {
    let progress = terminal::bar(rows.noted.parts.len() as u64, "copying parts");
    for part in rows.noted.each(&rows.keys) {
        let (shelf, info) = part?;
        let batch = shelf.batch;
        let mut bytes = match source.parts.get(&shelf, info).await {
            Ok(bytes) => Vec::from(bytes),
            Err(why) => {
                let now = source.store.batch(batch).await?;
                match now.is_some_and(|(_, status)| is_needed(&status.state)) {
                    true => return Err(Failure::refused(why)),
                    false => return Ok(false),
                }
            }
        };
        if let Some(key) = &shelf.key {
            key.seal(&name(batch, info.number), &mut bytes)?;
        }
        let to = part_path(folder, batch, info.number);
        private_folder(to.parent().expect("a part lies in its batch's folder"))?;
        write_private(&to, &bytes)?;
        progress.inc(1);
    }
    progress.finish_and_clear();
    Ok(true)
}

fn part_path(parts: &Path, batch: BatchId, number: u32) -> PathBuf {
    parts.join(batch.to_string()).join(format!("{number:05}.parquet"))
}
