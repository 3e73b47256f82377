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
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use hedui_protocol::acts::Retention;
use hedui_protocol::ids::{BatchId, ContentHash, ManifestId};
use hedui_protocol::part::{BatchHeader, PartInfo};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use self::keys::Keys;
use self::lines::Line;
use super::error::{ServerError, ServerResult};
use super::parts::{Parts, name};
use super::store::{Database, DumpedRow, EPOCHS, Store, Value, header_of};
use crate::failure::{Failure, Outcome};
use crate::random;
use crate::staging::{Staging, private_folder, write_private};
use crate::terminal;

pub use prune::prune;

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

/// Parts that a batch's header names and the database has noted.
#[derive(Default)]
struct Noted {
    headers: HashMap<BatchId, BatchHeader>,
    parts: Vec<(BatchId, u32)>,
}

impl Noted {
    fn see(&mut self, row: &DumpedRow) -> ServerResult<()> {
        let text = |name: &str| match row.row.get(name) {
            Some(Value::Text(text)) => text.parse::<BatchId>().map_err(ServerError::failed),
            _ => Err(ServerError::Failed(format!("a row of `{}` has no {name}", row.table))),
        };
        match (row.table.as_str(), row.row.get("header"), row.row.get("number")) {
            ("batches", Some(Value::Bytes { base64 }), _) => {
                self.headers.insert(text("batch")?, header_of(base64.0.clone())?);
            }
            ("parts", _, Some(Value::Number(number))) => {
                self.parts.push((text("batch")?, u32::try_from(*number).map_err(ServerError::failed)?));
            }
            _ => {}
        }
        Ok(())
    }

    /// Each part with what its header says of it.
    fn each(&self) -> impl Iterator<Item = ServerResult<(BatchId, &PartInfo)>> {
        self.parts.iter().map(|(batch, number)| {
            let info = self.headers.get(batch).and_then(|header| header.parts.get(*number as usize));
            info.map(|info| (*batch, info))
                .ok_or_else(|| ServerError::Failed(format!("batch {batch} has no part {number}")))
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
    let (first, later) = sources.split_first().expect("there is a first epoch");
    for source in later {
        let folder = staging.path(EPOCHS).join(source.manifest.to_string());
        let seal = copy(source, Vec::new(), &folder, now).await?;
        write_private(&folder.join(SEAL), &seal.to_bytes())?;
    }
    let epochs = later.iter().map(|source| source.manifest).collect();
    let seal = copy(first, epochs, &staging.path(""), now).await?;
    staging.write(SEAL, &seal.to_bytes())?;
    staging.finish()?;
    let ends_at = seal.ends_at.unwrap_or(now);
    terminal::note(format!(
        "{}: {} rows and {} parts, to be kept until {ends_at}",
        out.display(),
        seal.rows,
        seal.parts
    ));
    Ok(())
}

/// Copies an epoch into a folder; its seal, which is still to be written.
async fn copy(source: &Source<'_>, epochs: Vec<ManifestId>, folder: &Path, now: Timestamp) -> Outcome<Seal> {
    let Source { manifest, store, parts } = source;
    private_folder(folder)?;
    let Retention { backups, .. } = store.retention().await.map_err(Failure::refused)?;
    let ends_at = now + SignedDuration::from_hours(24 * i64::from(backups));
    // what is erased from now on may be in it
    store.note_backup(ends_at).await.map_err(Failure::refused)?;
    let id = format!("{:032x}", u128::from_be_bytes(random::bytes()?));
    let path = folder.join(ROWS);
    let failed = |e: std::io::Error| Failure::file("write", &path, &e);
    write_private(&path, b"")?;
    let mut file = BufWriter::new(File::options().append(true).open(&path).map_err(failed)?);
    let (mut hash, mut rows, mut noted, mut keys) = (blake3::Hasher::new(), 0u64, Noted::default(), Keys::default());
    let dumped = store.dump(|mut row| {
        noted.see(&row)?;
        keys.take(&mut row)?;
        let mut line = Line::of(row, &keys, &id, rows)?.to_bytes();
        line.push(b'\n');
        hash.update(&line);
        rows += 1;
        Ok(file.write_all(&line)?)
    });
    dumped.await.map_err(Failure::refused)?;
    let file = file.into_inner().map_err(|e| failed(e.into_error()))?;
    file.sync_all().map_err(failed)?;
    write_private(&folder.join(KEYS), &keys.to_bytes(now))?;
    let progress = terminal::bar(noted.parts.len() as u64, "copying parts");
    for part in noted.each() {
        let (batch, info) = part.map_err(Failure::refused)?;
        let key = keys.of(&batch.to_string());
        let mut bytes = Vec::from(parts.get(batch, info, key).await.map_err(Failure::refused)?);
        if let Some(key) = key {
            key.seal(&name(batch, info.number), &mut bytes).map_err(Failure::refused)?;
        }
        let to = part_path(&folder.join("parts"), batch, info.number);
        private_folder(to.parent().expect("a part lies in its batch's folder"))?;
        write_private(&to, &bytes)?;
        progress.inc(1);
    }
    progress.finish_and_clear();
    Ok(Seal {
        taken_at: now,
        ends_at: Some(ends_at),
        id,
        manifest: Some(*manifest),
        epochs,
        version: store.version().await.map_err(Failure::refused)?,
        rows,
        rows_hash: ContentHash(*hash.finalize().as_bytes()),
        parts: noted.parts.len() as u64,
    })
}

/// A backup of one epoch that can be put back.
pub struct Restorable {
    /// None: the first one.
    pub epoch: Option<ManifestId>,
    folder: PathBuf,
    seal: Seal,
    keys: Keys,
}

/// Looks over a backup and its keys, before anything is put back. `keys`: those of a later one, so that what was erased
/// meanwhile stays so.
pub fn restorable(from: &Path, keys: Option<&Path>, now: Timestamp) -> Outcome<Vec<Restorable>> {
    let first = Seal::read(from)?;
    let epochs = std::iter::once(None).chain(first.epochs.iter().copied().map(Some));
    epochs.map(|epoch| Restorable::open(from, keys, epoch, now)).collect()
}

impl Restorable {
    fn open(from: &Path, keys: Option<&Path>, epoch: Option<ManifestId>, now: Timestamp) -> Outcome<Self> {
        let of_epoch = |folder: &Path| match epoch {
            Some(manifest) => folder.join(EPOCHS).join(manifest.to_string()),
            None => folder.to_owned(),
        };
        let folder = of_epoch(from);
        let damaged = |what: &str| Failure::refused(format!("{}: {what}", folder.display()));
        let seal = Seal::read(&folder)?;
        if let Some(ends_at) = seal.ends_at.filter(|ends_at| *ends_at <= now) {
            return Err(damaged(&format!("its term was over at {ends_at}: what it holds was to be gone by then"))
                .hint("`hedui server prune` removes such backups"));
        }
        let path = folder.join(ROWS);
        let unreadable = |e: std::io::Error| Failure::file("read", &path, &e);
        let mut hash = blake3::Hasher::new();
        hash.update_reader(File::open(&path).map_err(unreadable)?).map_err(unreadable)?;
        if ContentHash(*hash.finalize().as_bytes()) != seal.rows_hash {
            return Err(damaged("the rows are damaged: their hash differs"));
        }
        let mut keys = match keys {
            Some(keys) => {
                let (beside, name) = (keys.parent().unwrap_or(Path::new("")), keys.file_name().unwrap_or_default());
                Keys::read(&of_epoch(beside).join(name), &seal)?
            }
            None => Keys::read(&folder.join(KEYS), &seal)?,
        };
        for line in lines(&path)? {
            if let Line::Plain(row) = line.map_err(Failure::refused)? {
                keys.see_done(&row);
            }
        }
        Ok(Self { epoch, folder, seal, keys })
    }

    /// The rows; one whose key is gone is none.
    fn rows(&self) -> Outcome<impl Iterator<Item = ServerResult<DumpedRow>>> {
        Ok(lines(&self.folder.join(ROWS))?.enumerate().filter_map(|(number, line)| {
            line.and_then(|line| line.open(&self.keys, &self.seal.id, number as u64)).transpose()
        }))
    }

    /// Puts it into an empty database and a place for parts.
    pub async fn restore(&self, database: &Database, parts: &Parts) -> Outcome {
        let (mut noted, mut kept) = (Noted::default(), 0);
        for row in self.rows()? {
            noted.see(&row.map_err(Failure::refused)?).map_err(Failure::refused)?;
            kept += 1;
        }
        let refused = |e| Failure::refused(format!("{database}: {e}"));
        let store = Store::open_empty(database, self.seal.version).await.map_err(refused)?;
        let progress = terminal::bar(noted.parts.len() as u64, "putting parts back");
        for part in noted.each() {
            let (batch, info) = part.map_err(Failure::refused)?;
            let path = part_path(&self.folder.join("parts"), batch, info.number);
            let mut bytes = Vec::new();
            File::open(&path)
                .and_then(|mut file| file.read_to_end(&mut bytes))
                .map_err(|e| Failure::file("read", &path, &e))?;
            let key = self.keys.of(&batch.to_string());
            let bytes = match key {
                // of before there were keys
                Some(_) if ContentHash::of(&bytes) == info.hash => bytes,
                Some(key) => key.open(&name(batch, info.number), bytes).map_err(|_| damaged_part(&path))?,
                None => bytes,
            };
            if ContentHash::of(&bytes) != info.hash {
                return Err(damaged_part(&path));
            }
            parts.put(batch, info.number, Bytes::from(bytes), key).await.map_err(Failure::refused)?;
            progress.inc(1);
        }
        progress.finish_and_clear();
        // the database last: a server that finds a batch finds its parts
        store.fill(self.rows()?, self.keys.stays_erased()).await.map_err(refused)?;
        let erased = match self.seal.rows - kept {
            0 => String::new(),
            gone => format!("; {gone} rows were erased since, and stay so"),
        };
        let (count, taken_at) = (noted.parts.len(), self.seal.taken_at);
        terminal::note(format!("{database}: {kept} rows and {count} parts of {taken_at}{erased}"));
        Ok(())
    }
}

fn lines(path: &Path) -> Outcome<impl Iterator<Item = ServerResult<Line>> + use<>> {
    let file = File::open(path).map_err(|e| Failure::file("read", path, &e))?;
    let lines = BufReader::new(file).split(b'\n');
    Ok(lines.map(|line| line.map_err(ServerError::from).and_then(|line| Line::parse(&line))))
}

fn damaged_part(path: &Path) -> Failure {
    Failure::refused(format!("{}: the part is damaged: it is not the one that was stored", path.display()))
}

fn part_path(parts: &Path, batch: BatchId, number: u32) -> PathBuf {
    parts.join(batch.to_string()).join(format!("{number:05}.parquet"))
}
