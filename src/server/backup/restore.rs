//! Puts a backup back: everything is looked over before anything is written, and a server starts on the whole or on nothing.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use hedui_protocol::ids::{ContentHash, ManifestId};
use hedui_protocol::log::Event;
use hedui_protocol::part::PartInfo;
use jiff::Timestamp;

use super::super::Places;
use super::super::error::{ServerError, ServerResult};
use super::super::parts::{Parts, Shelf, name};
use super::super::store::{DumpedRow, EPOCHS, Store};
use super::keys::Keys;
use super::lines::Line;
use super::{KEYS, Noted, ROWS, Seal, part_path};
use crate::failure::{Failure, Outcome};
use crate::staging::private_folder;
use crate::terminal;

/// Puts a backup of all its epochs into an empty place.
pub async fn restore(backups: Vec<Backup>, places: &Places, now: Timestamp) -> Outcome {
    let mut targets = Vec::new();
    for backup in backups {
        let places = backup.epoch.map_or_else(|| places.clone(), |manifest| places.of_epoch(manifest));
        targets.push(Target::open(backup, places).await?);
    }
    let first = targets.first().expect("there is a first epoch");
    // by it a server finds the others
    first.store.begin_restoring().await?;
    // a server that finds the first one whole finds the others whole
    for target in targets.iter().rev() {
        target.fill().await?;
        target.store.note(target.backup.restored(), now).await?;
    }
    Ok(())
}

/// A backup's epochs, the first one first, and each whole. `keys`: those of a later one, so that what was erased meanwhile stays
/// so.
pub fn backups(from: &Path, keys: Option<&Path>, now: Timestamp) -> Outcome<Vec<Backup>> {
    let first = Seal::read(from)?;
    let epochs = std::iter::once(None).chain(first.epochs.iter().copied().map(Some));
    epochs.map(|epoch| Backup::open(from, keys, epoch, now)).collect()
}

/// What a line of a backup comes to.
enum Opened {
    Row(DumpedRow),
    /// Its key is gone: the batch or commission that it was about.
    Erased(Option<String>),
    /// A part of a set that nobody needs.
    NotNeeded,
}

/// A backup of one epoch that can be put back.
pub struct Backup {
    /// None: the first one.
    epoch: Option<ManifestId>,
    folder: PathBuf,
    seal: Seal,
    keys: Keys,
    noted: Noted,
    /// Rows that are put back.
    kept: u64,
    /// Batches and commissions that were erased since.
    erased: BTreeSet<ContentHash>,
}

impl Backup {
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
            if let Line::Plain(row) = line? {
                keys.see_done(&row);
            }
        }
        let (noted, erased) = Default::default();
        let mut backup = Self { epoch, folder, seal, keys, noted, kept: 0, erased };
        let (mut noted, mut kept, mut erased) = (Noted::default(), 0, BTreeSet::new());
        for line in backup.opened()? {
            match line? {
                Opened::Row(row) => {
                    noted.see(&row)?;
                    kept += 1;
                }
                Opened::Erased(unit) => erased.extend(unit.and_then(|unit| unit.parse::<ContentHash>().ok())),
                Opened::NotNeeded => {}
            }
        }
        (backup.noted, backup.kept, backup.erased) = (noted, kept, erased);
        backup.look_over_parts()?;
        Ok(backup)
    }

    fn look_over_parts(&self) -> Outcome {
        let progress = terminal::bar(self.noted.parts.len() as u64, "reading parts");
        for part in self.noted.each(&self.keys) {
            let (shelf, info) = part?;
            self.part(&shelf, info)?;
            progress.inc(1);
        }
        progress.finish_and_clear();
        Ok(())
    }

    fn opened(&self) -> Outcome<impl Iterator<Item = ServerResult<Opened>>> {
        let mut noted = Noted::default();
        Ok(lines(&self.folder.join(ROWS))?.enumerate().map(move |(number, line)| {
            let line = line?;
            let unit = line.unit().map(str::to_owned);
            match line.open(&self.keys, &self.seal.id, number as u64)? {
                Some(row) if noted.see(&row)? => Ok(Opened::Row(row)),
                Some(_) => Ok(Opened::NotNeeded),
                None => Ok(Opened::Erased(unit)),
            }
        }))
    }

    /// The rows that are put back.
    pub fn rows(&self) -> Outcome<impl Iterator<Item = ServerResult<DumpedRow>>> {
        let row = |line: ServerResult<Opened>| match line {
            Ok(Opened::Row(row)) => Some(Ok(row)),
            Ok(_) => None,
            Err(why) => Some(Err(why)),
        };
        Ok(self.opened()?.filter_map(row))
    }

    /// What the log says of it: an auditor does not find the proofs of what was erased since.
    fn restored(&self) -> Event {
        let (erased, agencies) = (self.erased.iter().copied().collect(), self.keys.erased_agencies());
        Event::Restored { taken_at: self.seal.taken_at, erased, agencies }
    }

    /// A part as it came.
    fn part(&self, shelf: &Shelf, info: &PartInfo) -> Outcome<Bytes> {
        let path = part_path(&self.folder.join("parts"), shelf.batch, info.number);
        let damaged =
            || Failure::refused(format!("{}: the part is damaged: it is not the one that was stored", path.display()));
        let bytes = std::fs::read(&path).map_err(|e| Failure::file("read", &path, &e))?;
        let bytes = match &shelf.key {
            // of before there were keys
            Some(_) if ContentHash::of(&bytes) == info.hash => bytes,
            Some(key) => key.open(&name(shelf.batch, info.number), bytes).map_err(|_| damaged())?,
            None => bytes,
        };
        if ContentHash::of(&bytes) != info.hash {
            return Err(damaged());
        }
        Ok(Bytes::from(bytes))
    }
}

/// Where an epoch is put back.
struct Target {
    backup: Backup,
    places: Places,
    store: Store,
    parts: Parts,
}

impl Target {
    async fn open(backup: Backup, places: Places) -> Outcome<Self> {
        private_folder(&places.data)?;
        let parts = Parts::open(&places.parts, places.parts_config.as_deref())?;
        let store = Store::open_empty(&places.database, backup.seal.version).await?;
        Ok(Self { backup, places, store, parts })
    }

    async fn fill(&self) -> Outcome {
        let Self { backup, places: Places { database, parts: at, .. }, store, parts } = self;
        let progress = terminal::bar(backup.noted.parts.len() as u64, "putting parts back");
        for part in backup.noted.each(&backup.keys) {
            let (shelf, info) = part?;
            let put = parts.put(&shelf, info.number, backup.part(&shelf, info)?).await;
            put.map_err(|e| Failure::refused(format!("{at}: part {} of batch {}: {e}", info.number, shelf.batch)))?;
            progress.inc(1);
        }
        progress.finish_and_clear();
        // the database last: a server that finds a batch finds its parts
        let filled = store.fill(backup.rows()?, backup.keys.stays_erased()).await;
        filled.map_err(|e| Failure::refused(format!("{database}: {e}")))?;
        let erased = match backup.seal.rows - backup.kept {
            0 => String::new(),
            gone => format!("; {gone} rows were erased since, and stay so"),
        };
        let (kept, count, taken_at) = (backup.kept, backup.noted.parts.len(), backup.seal.taken_at);
        terminal::note(format!("{database}: {kept} rows and {count} parts of {taken_at}{erased}"));
        Ok(())
    }
}

fn lines(path: &Path) -> Outcome<impl Iterator<Item = ServerResult<Line>> + use<>> {
    let file = File::open(path).map_err(|e| Failure::file("read", path, &e))?;
    let lines = BufReader::new(file).split(b'\n');
    Ok(lines.map(|line| line.map_err(ServerError::from).and_then(|line| Line::parse(&line))))
}
