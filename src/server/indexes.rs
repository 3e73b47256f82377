//! Indexes that are ready: opened once, checked against their checksums, shared by all who match.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, RwLock};

use bloomfilter::Bloom;
use hedui_protocol::encodings::Token;
use hedui_protocol::ids::{BatchId, ContentHash};
use hedui_protocol::part::PartSeal;
use serde::{Deserialize, Serialize};

use super::error::{ServerError, ServerResult};
use crate::matching::bytes::Bytes;
use crate::matching::index::Index;

pub const ROWS: &str = "rows";
pub const TOKENS: &str = "tokens";
pub const PREFILTER: &str = "prefilter";
pub const SEAL: &str = "index.json";
/// The layout of the files; another is rebuilt.
pub const VERSION: u32 = 1;

/// Written last: an index without it is none.
#[derive(Serialize, Deserialize)]
pub struct IndexSeal {
    pub version: u32,
    pub rows: ContentHash,
    pub tokens: ContentHash,
    pub prefilter: ContentHash,
    /// For each part: its salt and encapsulations, in hexadecimal.
    pub parts: Vec<PartSealText>,
}

#[derive(Serialize, Deserialize)]
pub struct PartSealText {
    pub salt: hedui_protocol::messages::Blob,
    pub encapsulations: Vec<hedui_protocol::messages::Blob>,
}

/// The index of one committed batch.
pub struct ReadyIndex {
    pub batch: BatchId,
    pub index: Index,
    pub seals: Vec<PartSeal>,
}

pub struct Indexes {
    folder: PathBuf,
    ready: RwLock<HashMap<String, Arc<ReadyIndex>>>,
}

impl Indexes {
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, ready: RwLock::default() }
    }

    pub fn folder(&self, agency: &str, batch: BatchId) -> PathBuf {
        self.folder.join(agency).join(batch.to_string())
    }

    pub fn of(&self, agency: &str) -> Option<Arc<ReadyIndex>> {
        self.ready.read().expect("no holder of the lock panics").get(agency).cloned()
    }

    /// Opens an index from its files. An error says that it must be built anew.
    pub fn open(&self, agency: &str, batch: BatchId) -> ServerResult<Arc<ReadyIndex>> {
        let folder = self.folder(agency, batch);
        let seal: IndexSeal =
            serde_json::from_slice(&std::fs::read(folder.join(SEAL))?).map_err(ServerError::failed)?;
        if seal.version != VERSION {
            return Err(ServerError::Failed(format!("the index of batch {batch} has layout {}", seal.version)));
        }
        let file = |name: &str, hash: ContentHash| {
            let bytes = Bytes::map(&folder.join(name))?;
            if ContentHash::of(&bytes) == hash {
                return Ok(bytes);
            }
            Err(ServerError::Failed(format!("the index of batch {batch} is damaged: `{name}` has another checksum")))
        };
        let (rows, tokens) = (file(ROWS, seal.rows)?, file(TOKENS, seal.tokens)?);
        let prefilter = Bloom::<Token>::from_slice(&file(PREFILTER, seal.prefilter)?).map_err(ServerError::failed)?;
        let index = Index::new(rows, tokens, move |token| prefilter.check(token));
        let index = index.ok_or_else(|| ServerError::Failed(format!("the index of batch {batch} does not read")))?;
        let seals = seal.parts.iter().map(part_seal).collect::<Option<_>>();
        let seals =
            seals.ok_or_else(|| ServerError::Failed(format!("the index of batch {batch} has no part seals")))?;
        Ok(Arc::new(ReadyIndex { batch, index, seals }))
    }

    /// From now on commissions are matched against this index. Returns the one it replaces.
    pub fn switch(&self, agency: &str, index: Arc<ReadyIndex>) -> Option<Arc<ReadyIndex>> {
        self.ready.write().expect("no holder of the lock panics").insert(agency.to_owned(), index)
    }
}

fn part_seal(text: &PartSealText) -> Option<PartSeal> {
    let encapsulations = text.encapsulations.iter().map(|blob| blob.0.as_slice().try_into().ok());
    Some(PartSeal {
        salt: text.salt.0.as_slice().try_into().ok()?,
        encapsulations: encapsulations.collect::<Option<_>>()?,
    })
}
