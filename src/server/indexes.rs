//! Indexes that are ready: opened once, checked against their checksums, shared by all who match.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, RwLock};

use hedui_protocol::ids::{BatchId, ContentHash};
use hedui_protocol::messages::Blob;
use hedui_protocol::part::{BatchHeader, PartSeal};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::error::{ServerError, ServerResult};
use super::layers::{Layer, ReadyIndex};
use crate::failure::{Failure, Outcome, io_words};
use crate::matching::build::{POSTINGS, rows_file};
use crate::matching::bytes::Bytes;
use crate::matching::index::Index;
use crate::matching::rows::RowTable;
use crate::staging::private_folder;

pub const SEAL: &str = "index.json";
const PARTIAL: &str = "partial";
/// The layout of the files; another is rebuilt.
pub const VERSION: u32 = 3;

/// What every version of the seal says.
#[derive(Deserialize)]
struct Layout {
    version: u32,
}

/// Written last: an index without it is none.
#[derive(Serialize, Deserialize)]
pub struct IndexSeal {
    pub version: u32,
    /// Whose it is: in another one's place it would answer wrongly.
    pub batch: BatchId,
    pub postings: ContentHash,
    pub parts: Vec<PartText>,
}

/// A part: the checksum of its rows, and what it is sealed with.
#[derive(Serialize, Deserialize)]
pub struct PartText {
    pub rows: ContentHash,
    pub seal: PartSealText,
}

/// A part's salt and encapsulations.
#[derive(Serialize, Deserialize)]
pub struct PartSealText {
    pub salt: Blob,
    pub encapsulations: Vec<Blob>,
}

pub struct Indexes {
    folder: PathBuf,
    ready: RwLock<HashMap<String, Arc<ReadyIndex>>>,
}

impl Indexes {
    pub fn open_folder(folder: PathBuf) -> Outcome<Self> {
        private_folder(&folder)?;
        Ok(Self::beside(folder))
    }

    /// Those of a server that may be running, or may never have run.
    pub fn beside(folder: PathBuf) -> Self {
        Self { folder, ready: RwLock::default() }
    }

    pub fn folder(&self, batch: BatchId) -> PathBuf {
        self.folder.join(batch.to_string())
    }

    pub fn of(&self, agency: &str) -> Option<Arc<ReadyIndex>> {
        self.ready.read().expect("no holder of the lock panics").get(agency).cloned()
    }

    /// Opens an index from its files, and reads all of them once. An error says that it must be built anew.
    pub fn open(&self, batch: BatchId, header: &BatchHeader) -> ServerResult<Arc<Layer>> {
        self.read(batch, header, |bytes, hash| ContentHash::of(bytes) == hash)
    }

    /// Opens an index that was written just now.
    pub fn open_new(&self, batch: BatchId, header: &BatchHeader) -> ServerResult<Arc<Layer>> {
        self.read(batch, header, |_, _| true)
    }

    fn read(
        &self,
        batch: BatchId,
        header: &BatchHeader,
        is_whole: impl Fn(&Bytes, ContentHash) -> bool + Sync,
    ) -> ServerResult<Arc<Layer>> {
        let folder = self.folder(batch);
        let damaged = |what: &str| ServerError::Failed(format!("the index of batch {batch} {what}"));
        let seal = std::fs::read(folder.join(SEAL)).map_err(|e| damaged(&format!("is not there: {e}")))?;
        let unread = |_| damaged("has a damaged seal");
        let Layout { version } = serde_json::from_slice(&seal).map_err(unread)?;
        if version != VERSION {
            return Err(damaged(&format!("has layout {version}, this program knows {VERSION}")));
        }
        let seal: IndexSeal = serde_json::from_slice(&seal).map_err(unread)?;
        if seal.batch != batch {
            return Err(damaged("is of another batch"));
        }
        let file = |name: &str, hash: ContentHash| {
            let bytes = Bytes::map(&folder.join(name))?;
            if is_whole(&bytes, hash) {
                return Ok(bytes);
            }
            Err(damaged(&format!("is damaged: `{name}` has another checksum")))
        };
        let postings = file(POSTINGS, seal.postings)?;
        let rows = seal.parts.par_iter().enumerate().map(|(number, part)| file(&rows_file(number as u32), part.rows));
        let rows: Vec<Bytes> = rows.collect::<ServerResult<_>>()?;
        let rows =
            rows.into_iter().map(RowTable::new).collect::<Option<_>>().ok_or_else(|| damaged("does not read"))?;
        let index = Index::new(rows, postings);
        let index = index.ok_or_else(|| damaged("does not read"))?;
        if u64::from(index.rows()) != header.records {
            return Err(damaged("has another number of records than its batch"));
        }
        let seals = seal.parts.iter().map(|part| part_seal(&part.seal)).collect::<Option<_>>();
        let seals = seals.ok_or_else(|| damaged("has no part seals"))?;
        let deletes = header.base.map(|_| header.deletes.as_slice());
        Ok(Arc::new(Layer::new(batch, index, seals, deletes)))
    }

    /// From now on commissions are matched against this index. Whoever still reads the one before may finish.
    pub fn switch(&self, agency: &str, index: Arc<ReadyIndex>) {
        self.ready.write().expect("no holder of the lock panics").insert(agency.to_owned(), index);
    }

    /// Lets go of the indexes of agencies that have no set any more; whether there was one.
    pub fn keep(&self, sets: &[(String, BatchId)]) -> bool {
        let mut ready = self.ready.write().expect("no holder of the lock panics");
        let before = ready.len();
        ready.retain(|agency, _| sets.iter().any(|(name, _)| name == agency));
        ready.len() < before
    }

    /// Where the index of a batch is in the making.
    pub fn partial(&self, batch: BatchId) -> PathBuf {
        self.folder(batch).with_extension(PARTIAL)
    }

    /// Batches whose index is in the folder, or in the making.
    pub fn all_here(&self) -> io::Result<Vec<BatchId>> {
        let mut batches = Vec::new();
        let entries = match std::fs::read_dir(&self.folder) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(batches),
            entries => entries?,
        };
        for entry in entries {
            let path = entry?.path();
            batches.extend(path.file_stem().and_then(|name| name.to_str()?.parse::<BatchId>().ok()));
        }
        Ok(batches)
    }

    /// Lets go of an index and of its files: nobody is to use it any more.
    pub fn remove(&self, batch: BatchId) -> io::Result<()> {
        let mut ready = self.ready.write().expect("no holder of the lock panics");
        ready.retain(|_, index| !index.batches().any(|layer| layer == batch));
        drop(ready);
        match std::fs::remove_dir_all(self.folder(batch)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    /// Removes the files of all of them, in the making too: this server has no use for any.
    pub fn clear(&self) -> Outcome {
        let cleared = std::fs::read_dir(&self.folder)
            .and_then(|mut entries| entries.try_for_each(|entry| std::fs::remove_dir_all(entry?.path())));
        cleared.map_err(|e| Failure::file("remove", &self.folder, &e))
    }

    /// Removes the files of every index that is not in use. What is in the making stays: it may go on.
    pub fn remove_others(&self) -> ServerResult<()> {
        let used: HashSet<String> = {
            let ready = self.ready.read().expect("no holder of the lock panics");
            ready.values().flat_map(|index| index.batches()).map(|batch| batch.to_string()).collect()
        };
        let wrong = |e: io::Error| ServerError::failed(format!("{}: {}", self.folder.display(), io_words(&e)));
        for entry in std::fs::read_dir(&self.folder).map_err(wrong)? {
            let entry = entry.map_err(wrong)?;
            if entry.path().extension().is_some_and(|extension| extension == PARTIAL) {
                continue;
            }
            if !entry.file_name().to_str().is_some_and(|name| used.contains(name)) {
                std::fs::remove_dir_all(entry.path()).map_err(wrong)?;
            }
        }
        Ok(())
    }
}

fn part_seal(text: &PartSealText) -> Option<PartSeal> {
    let encapsulations = text.encapsulations.iter().map(|blob| blob.0.as_slice().try_into().ok());
    Some(PartSeal {
        salt: text.salt.0.as_slice().try_into().ok()?,
        encapsulations: encapsulations.collect::<Option<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BATCH: BatchId = BatchId([7; 32]);

    fn opened(seal: &[u8], file: &[u8]) -> ServerResult<Arc<Layer>> {
        let folder = tempfile::tempdir().unwrap();
        let indexes = Indexes::open_folder(folder.path().join("index")).unwrap();
        private_folder(&indexes.folder(BATCH)).unwrap();
        for (name, bytes) in [(SEAL, seal), (&rows_file(0), file), (POSTINGS, file)] {
            std::fs::write(indexes.folder(BATCH).join(name), bytes).unwrap();
        }
        let header = r#"{"basis":{"manifest":"M","schema":"M","epoch":"e","linkage_key_check":"0000000000000000"},"agency":"bank","created_at":"2026-11-01T00:00:00Z","records":0,"parts":[]}"#;
        let header = BatchHeader::parse(header.replace('M', &"0".repeat(64)).as_bytes()).unwrap();
        indexes.open(BATCH, &header)
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_index_or_one_to_build_anew(seal in proptest::collection::vec(any::<u8>(), 0..200), file in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(opened(&seal, &file).is_err(), "a checksum of random bytes does not come by chance");
            // the checksums are right, and the files still are none
            let hash = ContentHash::of(&file);
            let seal = PartSealText { salt: Blob(vec![0; 16]), encapsulations: vec![] };
            let parts = vec![PartText { rows: hash, seal }];
            let whole = IndexSeal { version: VERSION, batch: BATCH, postings: hash, parts };
            prop_assert!(opened(&serde_json::to_vec(&whole).unwrap(), &file).is_err());
        }
    }
}
