//! A backup: a folder with everything that must survive, taken while servers run, and put back into an empty place.
//!
//! `database.jsonl` is the database, a row a line; `parts/` the parts of its batches; `backup.json` says what there is, and
//! holds the first one's hash. Parts are checked against the hashes in their batches' signed headers, coming and going.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use hedui_protocol::ids::{BatchId, ContentHash};
use hedui_protocol::part::BatchHeader;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::{ServerError, ServerResult};
use super::parts::Parts;
use super::store::{Database, DumpedRow, Store, Value, header_of};
use crate::failure::{Failure, Outcome};
use crate::staging::{Staging, private_folder, write_private};
use crate::terminal;

const SEAL: &str = "backup.json";
const ROWS: &str = "database.jsonl";

/// Written last: a folder without it is no backup.
#[derive(Serialize, Deserialize)]
struct Seal {
    taken_at: Timestamp,
    /// The last migration that the database had had.
    version: i64,
    rows: u64,
    rows_hash: ContentHash,
    parts: u64,
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
    fn each(&self) -> impl Iterator<Item = ServerResult<(BatchId, &hedui_protocol::part::PartInfo)>> {
        self.parts.iter().map(|(batch, number)| {
            let info = self.headers.get(batch).and_then(|header| header.parts.get(*number as usize));
            info.map(|info| (*batch, info))
                .ok_or_else(|| ServerError::Failed(format!("batch {batch} has no part {number}")))
        })
    }
}

/// Takes a backup into a new folder.
pub async fn backup(store: &Store, parts: &Parts, out: &Path, now: Timestamp) -> Outcome {
    let staging = Staging::new(out)?;
    let path = staging.path(ROWS);
    let failed = |e: std::io::Error| Failure::file("write", &path, &e);
    write_private(&path, b"")?;
    let mut file = BufWriter::new(File::options().append(true).open(&path).map_err(failed)?);
    let (mut hash, mut rows, mut noted) = (blake3::Hasher::new(), 0, Noted::default());
    let dumped = store.dump(|row| {
        noted.see(&row)?;
        let mut line = serde_json::to_vec(&row).expect("rows are JSON");
        line.push(b'\n');
        hash.update(&line);
        rows += 1;
        Ok(file.write_all(&line)?)
    });
    dumped.await.map_err(Failure::refused)?;
    let file = file.into_inner().map_err(|e| failed(e.into_error()))?;
    file.sync_all().map_err(failed)?;
    let progress = terminal::bar(noted.parts.len() as u64, "copying parts");
    for part in noted.each() {
        let (batch, info) = part.map_err(Failure::refused)?;
        let bytes = parts.get(batch, info).await.map_err(Failure::refused)?;
        let to = part_path(&staging.path("parts"), batch, info.number);
        private_folder(to.parent().expect("a part lies in its batch's folder"))?;
        write_private(&to, &bytes)?;
        progress.inc(1);
    }
    progress.finish_and_clear();
    let seal = Seal {
        taken_at: now,
        version: store.version().await.map_err(Failure::refused)?,
        rows,
        rows_hash: ContentHash(*hash.finalize().as_bytes()),
        parts: noted.parts.len() as u64,
    };
    staging.write(SEAL, &serde_json::to_vec(&seal).expect("a seal is JSON"))?;
    staging.finish()?;
    terminal::note(format!("{}: {} rows and {} parts", out.display(), seal.rows, seal.parts));
    Ok(())
}

/// Puts a backup into an empty database and a place for parts.
pub async fn restore(from: &Path, database: &Database, parts: &Parts) -> Outcome {
    let damaged = |what: &str| Failure::refused(format!("{}: {what}", from.display()));
    let path = from.join(SEAL);
    let seal = std::fs::read(&path).map_err(|e| Failure::file("read", &path, &e))?;
    let seal: Seal = serde_json::from_slice(&seal).map_err(|_| damaged("this is no backup, or its seal is damaged"))?;
    let path = from.join(ROWS);
    let unreadable = |e: std::io::Error| Failure::file("read", &path, &e);
    let mut hash = blake3::Hasher::new();
    hash.update_reader(File::open(&path).map_err(unreadable)?).map_err(unreadable)?;
    if ContentHash(*hash.finalize().as_bytes()) != seal.rows_hash {
        return Err(damaged("the rows are damaged: their hash differs"));
    }
    let rows = || -> Outcome<_> {
        let lines = BufReader::new(File::open(&path).map_err(unreadable)?).split(b'\n');
        Ok(lines.map(|line| serde_json::from_slice::<DumpedRow>(&line?).map_err(ServerError::failed)))
    };
    let mut noted = Noted::default();
    for row in rows()? {
        noted.see(&row.map_err(Failure::refused)?).map_err(Failure::refused)?;
    }
    let refused = |e| Failure::refused(format!("{database}: {e}"));
    let store = Store::open_empty(database, seal.version).await.map_err(refused)?;
    let progress = terminal::bar(noted.parts.len() as u64, "putting parts back");
    for part in noted.each() {
        let (batch, info) = part.map_err(Failure::refused)?;
        let path = part_path(&from.join("parts"), batch, info.number);
        let mut bytes = Vec::new();
        File::open(&path)
            .and_then(|mut file| file.read_to_end(&mut bytes))
            .map_err(|e| Failure::file("read", &path, &e))?;
        if ContentHash::of(&bytes) != info.hash {
            return Err(Failure::refused(format!("{}: the part is damaged: its hash differs", path.display())));
        }
        parts.put(batch, info.number, Bytes::from(bytes)).await.map_err(Failure::refused)?;
        progress.inc(1);
    }
    progress.finish_and_clear();
    // the database last: a server that finds a batch finds its parts
    store.fill(rows()?).await.map_err(refused)?;
    terminal::note(format!("{database}: {} rows and {} parts of {}", seal.rows, seal.parts, seal.taken_at));
    Ok(())
}

fn part_path(parts: &Path, batch: BatchId, number: u32) -> PathBuf {
    parts.join(batch.to_string()).join(format!("{number:05}.parquet"))
}
