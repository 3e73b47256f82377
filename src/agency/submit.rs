//! `hedui agency submit`: a folder of parts goes to the server, resumable, all or nothing.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use futures::{StreamExt as _, TryStreamExt as _};
use hedui_protocol::ids::ContentHash;
use hedui_protocol::log::Event;
use hedui_protocol::messages::{BatchState, BatchStatus, Stored};
use hedui_protocol::part::{BatchHeader, PartInfo, batch_id};
use hedui_protocol::sign::Signed;

use super::encode::{HEADER_FILE, part_file};
use crate::failure::{Failure, Outcome};
use crate::options::{ManifestFile, ServerAddress};
use crate::terminal;
use crate::transport::client::Client;

/// Seconds that the server is asked to wait for the index.
const WAIT: u64 = 30;
/// Parts under way at once.
const AT_ONCE: usize = 2;

#[derive(Args, Debug)]
pub struct Submit {
    /// The folder that `hedui agency encode` wrote
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    #[command(flatten)]
    manifest: ManifestFile,
    #[command(flatten)]
    server: ServerAddress,
    /// Do not wait until the server has indexed the batch
    #[arg(long)]
    no_wait: bool,
}

impl Submit {
    pub async fn run(self) -> Outcome {
        let client = self.server.client(&self.manifest.load()?)?;
        let (signed, header) = read_header(&self.folder)?;
        let batch = batch_id(&signed);
        let status: BatchStatus = client.post("/v1/batches", &signed).await?;
        send_parts(&client, &self.folder, &header, &status).await?;
        let says = |event: &Event| event.what() == "batch-committed" && event.batch() == Some(batch);
        let mut status: BatchStatus = client.post_logged(&format!("/v1/batches/{batch}/commit"), &(), says).await?;
        terminal::note(format!("Committed {} records of `{}` as batch {batch}", header.records, header.agency));
        if !self.no_wait {
            status = indexed(&client, status).await?;
        }
        outcome_of(&status)
    }
}

/// Waits for the index: as long as it takes, but where the server cannot build it, no longer than for one that is down.
async fn indexed(client: &Client, mut status: BatchStatus) -> Outcome<BatchStatus> {
    let wait = client.patience().as_secs().clamp(1, WAIT);
    let mut late: Option<Instant> = None;
    while status.state == BatchState::Committed {
        late = status.reason.as_ref().and(late.or_else(|| Some(Instant::now())));
        if let (Some(reason), Some(since)) = (&status.reason, late)
            && since.elapsed() >= client.patience()
        {
            return Err(Failure::try_again(format!("the batch is stored, and {reason}")).hint(
                "run the same command again, which waits for the index; if that goes on, tell the server's operator",
            ));
        }
        status = client.get(&format!("/v1/batches/{}?wait={wait}", status.batch)).await?;
    }
    Ok(status)
}

fn outcome_of(status: &BatchStatus) -> Outcome {
    match (status.state, &status.reason) {
        (BatchState::Committed, _) | (_, None) => Ok(()),
        (_, Some(reason)) => Err(Failure::refused(format!("the server refused the batch: {reason}"))),
    }
}

pub fn read_header(folder: &Path) -> Outcome<(Signed, BatchHeader)> {
    let path = folder.join(HEADER_FILE);
    let bytes = std::fs::read(&path).map_err(|e| {
        Failure::file("read", &path, &e).hint("`hedui agency encode` writes such a folder when it has finished")
    })?;
    let unreadable = |why: String| Failure::refused(format!("{}: {why}", path.display()));
    let signed: Signed = serde_json::from_slice(&bytes).map_err(|e| unreadable(format!("line {}", e.line())))?;
    let header = BatchHeader::parse(&signed.bytes).map_err(|e| unreadable(e.to_string()))?;
    Ok((signed, header))
}

async fn send_parts(client: &Client, folder: &Path, header: &BatchHeader, status: &BatchStatus) -> Outcome {
    let missing = header.parts.iter().filter(|part| status.missing.contains(&part.number));
    let progress = terminal::bar(header.parts.iter().map(|part| part.bytes).sum(), "submitting bytes");
    let arrived = header.parts.iter().filter(|part| !status.missing.contains(&part.number));
    progress.inc(arrived.map(|part| part.bytes).sum());
    let sends = missing.map(|part| async {
        let bytes = read_part(folder, part)?;
        let path = format!("/v1/batches/{}/parts/{}", status.batch, part.number);
        let _: Stored = client.put(&path, bytes.into()).await?;
        progress.inc(part.bytes);
        Ok(())
    });
    let sent: Outcome<Vec<()>> = futures::stream::iter(sends).buffer_unordered(AT_ONCE).try_collect().await;
    progress.finish_and_clear();
    sent.map(drop)
}

fn read_part(folder: &Path, part: &PartInfo) -> Outcome<Vec<u8>> {
    let path = folder.join(part_file(part.number));
    let bytes = std::fs::read(&path).map_err(|e| Failure::file("read", &path, &e))?;
    if ContentHash::of(&bytes) == part.hash {
        return Ok(bytes);
    }
    Err(Failure::refused(format!("{}: the part is not the one that was encoded", path.display()))
        .hint("it was changed or cut after encoding; encode the file again"))
}
