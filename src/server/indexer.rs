//! Derives an agency's index from the committed parts of a batch. It can be done again at any time, and goes on after a kill.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes as PartBytes;
use hedui_protocol::encodings::{Encodings, Shape};
use hedui_protocol::ids::BatchId;
use hedui_protocol::messages::Blob;
use hedui_protocol::part::{BatchHeader, PartInfo, PartSeal};
use rayon::prelude::*;

use super::Linkage;
use super::error::{ServerError, ServerResult};
use super::indexes::{IndexSeal, PartSealText, PartText, SEAL, VERSION};
use super::layers::{Layer, ReadyIndex};
use crate::matching::build::{Building, Done, Finished};
use crate::matching::postings::Merged;
use crate::parts::PartReader;
use crate::staging::private_folder;

/// A part takes its own bytes, its rows as they are read, and its tokens.
const PART_MEMORY: u64 = 4;

/// What building an index came to.
pub enum Built {
    Ready(Arc<ReadyIndex>),
    /// The batch breaks a rule that no part shows alone.
    Refused(String),
}

/// Builds the index of an agency's set: of a batch, and of those that it continues, as far as they are not here.
pub async fn build(linkage: &Arc<Linkage>, batch: BatchId, header: &BatchHeader) -> ServerResult<Built> {
    let here = linkage.indexes.of(&header.agency);
    let mut layers = Vec::new();
    for (batch, header) in linkage.store.chain(batch).await? {
        let layer = match here.as_ref().and_then(|here| here.layer(batch)) {
            Some(layer) => Ok(layer),
            None => layer(linkage, batch, &header).await?,
        };
        match layer {
            Ok(layer) => layers.push(layer),
            Err(refused) => return Ok(Built::Refused(refused)),
        }
    }
    let ready = ReadyIndex::new(layers);
    if header.base.is_some() {
        let (mut rows, shelf) = (Vec::new(), linkage.store.shelf(batch).await?);
        for part in &header.parts {
            let bytes = linkage.parts.get(&shelf, part).await?;
            let shape = linkage.project.manifest.shape();
            rows.extend(linkage.background.run(move || encodings(bytes, &shape)).await?);
        }
        let (ready, most) = linkage
            .background
            .run(move || {
                let most = ready.largest_cohort(&rows);
                Ok((ready, most))
            })
            .await?;
        return Ok(match oversize(linkage, most) {
            Some(refused) => Built::Refused(refused),
            None => Built::Ready(Arc::new(ready)),
        });
    }
    Ok(Built::Ready(Arc::new(ready)))
}

/// What is wrong with so many rows that share a token.
fn oversize(linkage: &Linkage, most: u64) -> Option<String> {
    let cap = u64::from(linkage.project.manifest.limits.cohort);
    (most > cap).then(|| format!("{most} of its rows share one token; the manifest allows {cap}"))
}

fn encodings(part: PartBytes, shape: &Shape) -> ServerResult<Vec<Encodings>> {
    let mut reader = PartReader::open(part).map_err(ServerError::failed)?;
    let mut all = Vec::new();
    while let Some(rows) = reader.next_rows().map_err(ServerError::failed)? {
        for row in rows {
            all.push(Encodings::parse(&row.encodings, shape).map_err(ServerError::failed)?);
        }
    }
    Ok(all)
}

/// Builds the index of one batch, or opens the one that is there; the reason where it breaks a rule.
async fn layer(
    linkage: &Arc<Linkage>,
    batch: BatchId,
    header: &BatchHeader,
) -> ServerResult<Result<Arc<Layer>, String>> {
    let (shared, own) = (Arc::clone(linkage), header.clone());
    let folder = linkage.indexes.folder(batch);
    match linkage.background.run(move || shared.indexes.open(batch, &own)).await {
        Ok(ready) => return Ok(Ok(ready)),
        Err(why) if folder.exists() => {
            tracing::warn!("Building an index anew: {why}");
            // of no use to anybody; where it cannot be built yet, it is told once
            remove(&folder)?;
        }
        Err(_) => {}
    }
    let partial = linkage.indexes.partial(batch);
    private_folder(&partial).map_err(|failure| ServerError::Failed(failure.message))?;
    let shape = linkage.project.manifest.shape();
    let maker = Arc::new(Maker { building: Building::new(&partial, shape.passes), shape });
    let shelf = linkage.store.shelf(batch).await?;
    let mut left = header.parts.as_slice();
    while !left.is_empty() {
        let together;
        (together, left) = left.split_at(fitting(left, linkage.index_memory));
        let mut parts = Vec::new();
        for part in together {
            let bytes = linkage.parts.get(&shelf, part).await?;
            parts.push((part.number, first_row(header, part.number)?, bytes));
        }
        let maker = Arc::clone(&maker);
        linkage
            .background
            .run(move || parts.into_par_iter().try_for_each(|(part, row, bytes)| maker.part(part, row, bytes)))
            .await?;
    }
    let (to, room, parts) = (partial.clone(), linkage.index_memory, header.parts.len() as u32);
    let merged = linkage.background.run(move || maker.finish(batch, &to, parts, room)).await?;
    if let Some(refused) = oversize(linkage, merged.largest_cohort) {
        remove(&partial)?;
        return Ok(Err(refused));
    }
    std::fs::rename(&partial, &folder)?;
    let (shared, own) = (Arc::clone(linkage), header.clone());
    linkage.background.run(move || shared.indexes.open_new(batch, &own)).await.map(Ok)
}

/// Forgets what was made of a batch's index that nobody needs any more.
pub fn give_up(linkage: &Linkage, batch: BatchId) -> io::Result<()> {
    remove(&linkage.indexes.partial(batch))
}

/// How many parts are worked on together: as many as there are threads, and memory for.
fn fitting(parts: &[PartInfo], memory: u64) -> usize {
    let mut room = memory / PART_MEMORY;
    let fits = |part: &&PartInfo| {
        room = room.saturating_sub(part.bytes);
        room > 0
    };
    parts.iter().take(rayon::current_num_threads()).take_while(fits).count().max(1)
}

fn first_row(header: &BatchHeader, part: u32) -> ServerResult<u32> {
    let before: u64 = header.parts[..part as usize].iter().map(|part| u64::from(part.rows)).sum();
    u32::try_from(before).map_err(|_| ServerError::Failed("a batch has more than 2^32 rows".into()))
}

fn remove(folder: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// Makes an index of parts.
struct Maker {
    building: Building,
    shape: Shape,
}

impl Maker {
    fn part(&self, part: u32, first_row: u32, bytes: PartBytes) -> ServerResult<()> {
        if self.building.is_done(part) {
            return Ok(());
        }
        let mut reader = PartReader::open(bytes).map_err(ServerError::failed)?;
        let mut builder = self.building.part(part, first_row)?;
        while let Some(rows) = reader.next_rows().map_err(ServerError::failed)? {
            for row in rows {
                let encodings = Encodings::parse(&row.encodings, &self.shape).map_err(ServerError::failed)?;
                builder.row(row.record, &encodings, &row.wraps, &row.locked)?;
            }
        }
        Ok(builder.finish(&serde_json::to_vec(&seal_text(&reader.meta.seal)).expect("a seal is JSON"))?)
    }

    fn finish(&self, batch: BatchId, folder: &Path, parts: u32, room: u64) -> ServerResult<Merged> {
        let Finished { parts, postings, merged } = self.building.finish(parts, room)?;
        let part = |done: Done| Ok(PartText { rows: done.rows, seal: serde_json::from_slice(&done.note)? });
        let parts =
            parts.into_iter().map(part).collect::<Result<_, serde_json::Error>>().map_err(ServerError::failed)?;
        let seal = IndexSeal { version: VERSION, batch, postings, parts };
        std::fs::write(folder.join(SEAL), serde_json::to_vec(&seal).expect("a seal is JSON"))?;
        Ok(merged)
    }
}

fn seal_text(seal: &PartSeal) -> PartSealText {
    let blob = |bytes: &[u8]| Blob(bytes.to_vec());
    PartSealText {
        salt: blob(&seal.salt),
        encapsulations: seal.encapsulations.iter().map(|bytes| blob(bytes)).collect(),
    }
}
