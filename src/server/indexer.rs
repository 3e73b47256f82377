//! Derives an agency's index from the committed parts of a batch. It can be done again at any time.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use bloomfilter::Bloom;
use bytes::Bytes as PartBytes;
use hedui_protocol::encodings::{Encodings, Shape, Token};
use hedui_protocol::ids::{BatchId, ContentHash};
use hedui_protocol::messages::Blob;
use hedui_protocol::part::{BatchHeader, PartSeal};

use super::Linkage;
use super::error::{ServerError, ServerResult};
use super::indexes::{IndexSeal, PREFILTER, PartSealText, ROWS, ReadyIndex, SEAL, TOKENS, VERSION};
use crate::matching::bytes::Bytes;
use crate::matching::rows::{RowView, RowWriter};
use crate::matching::tokens::{Sorted, TokenSorter, TokenTable};
use crate::parts::PartReader;
use crate::staging::private_folder;

/// Share of strange tokens that the prefilter lets through to the table.
const FALSE_POSITIVES: f64 = 0.01;

/// What building an index came to.
pub enum Built {
    Ready(Arc<ReadyIndex>),
    /// The batch breaks a rule that no part shows alone.
    Refused(String),
}

/// Builds the index of a batch, or opens the one that is there.
pub async fn build(linkage: &Arc<Linkage>, batch: BatchId, header: &BatchHeader) -> ServerResult<Built> {
    let shared = Arc::clone(linkage);
    let folder = linkage.indexes.folder(batch);
    match blocking(move || shared.indexes.open(batch)).await {
        Ok(ready) => return Ok(Built::Ready(ready)),
        Err(why) if folder.exists() => tracing::warn!("Building an index anew: {why}"),
        Err(_) => {}
    }
    let partial = folder.with_extension("partial");
    remove(&partial)?;
    private_folder(&partial).map_err(|failure| ServerError::Failed(failure.message))?;
    let mut builder = Builder::new(&partial, linkage.project.manifest.shape())?;
    for part in &header.parts {
        let bytes = linkage.parts.get(batch, part.number).await?;
        builder = blocking(move || builder.part(bytes)).await?;
    }
    let to = partial.clone();
    let sorted = blocking(move || builder.finish(&to)).await?;
    let cap = u64::from(linkage.project.manifest.limits.cohort);
    if sorted.largest_cohort > cap {
        remove(&partial)?;
        let most = sorted.largest_cohort;
        return Ok(Built::Refused(format!("{most} of its rows share one token; the manifest allows {cap}")));
    }
    remove(&folder)?;
    std::fs::rename(&partial, &folder)?;
    let shared = Arc::clone(linkage);
    blocking(move || shared.indexes.open(batch)).await.map(Built::Ready)
}

/// Long work on a thread of its own.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> ServerResult<T> + Send + 'static) -> ServerResult<T> {
    tokio::task::spawn_blocking(work).await.map_err(ServerError::failed)?
}

fn remove(folder: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// An index in the making.
struct Builder {
    shape: Shape,
    rows: RowWriter<Hashing<BufWriter<File>>>,
    tokens: TokenSorter,
    seals: Vec<PartSeal>,
}

impl Builder {
    fn new(folder: &Path, shape: Shape) -> io::Result<Self> {
        let rows = RowWriter::new(Hashing::new(BufWriter::with_capacity(1 << 20, File::create(folder.join(ROWS))?)));
        Ok(Self { shape, rows, tokens: TokenSorter::new(Some(folder.to_owned())), seals: Vec::new() })
    }

    fn part(mut self, bytes: PartBytes) -> ServerResult<Self> {
        let mut reader = PartReader::open(bytes).map_err(ServerError::failed)?;
        let part = u32::try_from(self.seals.len()).expect("fewer than 2^32 parts");
        self.seals.push(reader.meta.seal.clone());
        while let Some(rows) = reader.next_rows().map_err(ServerError::failed)? {
            for row in rows {
                let encodings = Encodings::parse(&row.encodings, &self.shape).map_err(ServerError::failed)?;
                let (encoded, wraps, locked) = (&row.encodings, &row.wraps, &row.locked);
                let number =
                    self.rows.write(&RowView { record: row.record, part, encodings: encoded, wraps, locked })?;
                for (_, token) in &encodings.tokens {
                    self.tokens.add(token, number)?;
                }
            }
        }
        Ok(self)
    }

    fn finish(self, folder: &Path) -> ServerResult<Sorted> {
        let rows = self.rows.finish()?.finish()?;
        let mut out = Hashing::new(BufWriter::with_capacity(1 << 20, File::create(folder.join(TOKENS))?));
        let sorted = self.tokens.finish(&mut out)?;
        let tokens = out.finish()?;
        let prefilter = prefilter(&folder.join(TOKENS), sorted.entries)?;
        let hash = ContentHash::of(&prefilter);
        std::fs::write(folder.join(PREFILTER), prefilter)?;
        let blob = |bytes: &[u8]| Blob(bytes.to_vec());
        let text = |seal: &PartSeal| PartSealText {
            salt: blob(&seal.salt),
            encapsulations: seal.encapsulations.iter().map(|bytes| blob(bytes)).collect(),
        };
        let parts = self.seals.iter().map(text).collect();
        let seal = IndexSeal { version: VERSION, rows, tokens, prefilter: hash, parts };
        std::fs::write(folder.join(SEAL), serde_json::to_vec(&seal).expect("a seal is JSON"))?;
        Ok(sorted)
    }
}

fn prefilter(tokens: &Path, entries: u64) -> ServerResult<Vec<u8>> {
    let table = TokenTable::new(Bytes::map(tokens)?).expect("written just now");
    let items = usize::try_from(entries.max(1)).expect("entries fit in memory's addresses");
    let mut bloom = Bloom::<Token>::new_for_fp_rate(items, FALSE_POSITIVES).map_err(ServerError::failed)?;
    table.tokens().for_each(|token| bloom.set(&token));
    Ok(bloom.into_bytes())
}

/// Hashes what passes through.
struct Hashing<W> {
    out: W,
    hasher: blake3::Hasher,
}

impl<W: Write> Hashing<W> {
    fn new(out: W) -> Self {
        Self { out, hasher: blake3::Hasher::new() }
    }

    fn finish(mut self) -> io::Result<ContentHash> {
        self.out.flush()?;
        Ok(ContentHash(*self.hasher.finalize().as_bytes()))
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
