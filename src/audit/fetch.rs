//! `hedui audit fetch`: an auditor copies the log from a running server, and goes on where the copy ends.

use std::path::PathBuf;

use clap::Args;
use hedui_protocol::messages::LogPage;

use crate::failure::{Failure, Outcome};
use crate::logbook::Logbook;
use crate::options::{ManifestFile, ServerAddress};
use crate::signatures;
use crate::terminal::{self, Interrupt};

/// Seconds for which the server is asked to wait for entries.
const WAIT: u64 = 30;
const PAUSE: std::time::Duration = std::time::Duration::from_secs(1);

#[derive(Args, Debug)]
pub struct Fetch {
    #[command(flatten)]
    manifest: ManifestFile,
    #[command(flatten)]
    server: ServerAddress,
    /// The folder to write, or to go on with
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Go on until interrupted: entries are copied as they come
    #[arg(long)]
    follow: bool,
}

impl Fetch {
    pub async fn run(self) -> Outcome {
        let interrupt = Interrupt::listen();
        let manifest = self.manifest.load()?;
        let client = self.server.client(&manifest)?;
        let path = &self.manifest.manifest;
        let bytes = std::fs::read(path).map_err(|e| Failure::file("read", path, &e))?;
        let signed = std::fs::read(signatures::path_of(path)).unwrap_or_default();
        let book = Logbook::begin(&self.out, &bytes, &signed)?;
        let known = book.entries()?;
        let mut have = known.len();
        if let Some(last) = known.last() {
            let page: LogPage = client.get(&format!("/v1/log?from={}", have - 1)).await?;
            book.must_continue(&page, last)?;
        }
        let wait = if self.follow { WAIT } else { 0 };
        let progress = terminal::counter("copying entries");
        loop {
            interrupt.check()?;
            let asked = tokio::time::Instant::now();
            let page: LogPage = client.get(&format!("/v1/log?from={have}&wait={wait}")).await?;
            book.append(&page, have as u64)?;
            have += page.entries.len();
            progress.inc(page.entries.len() as u64);
            if page.entries.is_empty() {
                if !self.follow {
                    break;
                }
                // a server that does not wait is not asked in a loop
                tokio::time::sleep_until(asked + PAUSE).await;
            }
        }
        progress.finish_and_clear();
        terminal::note(format!("{}: {have} entries", self.out.display()));
        Ok(())
    }
}
