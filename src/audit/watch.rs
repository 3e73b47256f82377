//! `hedui audit watch`: tells entries and findings of an exported log as it grows.

use std::time::Duration;

use clap::Args;
use hedui_protocol::log::Entry;

use super::rules::Book;
use super::{Exported, LogFolder, integrity, line};
use crate::failure::{Failure, Outcome};
use crate::terminal::Interrupt;

#[derive(Args, Debug)]
pub struct Watch {
    #[command(flatten)]
    log: LogFolder,
    /// Seconds between looks
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    every: u64,
    /// Tell only what is to be looked at: findings, refusals, and what operators do
    #[arg(long)]
    quiet: bool,
}

impl Watch {
    /// Until it is interrupted, or the log is not the one it was.
    pub fn run(self) -> Outcome {
        let interrupt = Interrupt::listen();
        let first = Exported::load(&self.log.folder)?;
        let manifest = first.manifest.clone();
        let mut book = Book::new(&manifest, Vec::new(), Vec::new());
        let mut told: Vec<Vec<u8>> = Vec::new();
        let mut seen = None;
        loop {
            let stamp = first.book.stamp();
            if seen.as_ref() != Some(&stamp) {
                seen = Some(stamp);
                told = self.look(told, &mut book)?;
            }
            for _ in 0..10 * self.every {
                if interrupt.check().is_err() {
                    return Ok(());
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }

    /// Tells what has come since; all of the log, as it is now.
    fn look(&self, told: Vec<Vec<u8>>, book: &mut Book<'_>) -> Outcome<Vec<Vec<u8>>> {
        let log = Exported::load(&self.log.folder)?;
        if !log.lines.starts_with(&told) {
            return Err(Failure::refused("the log is not the one that it was: entries that were told have changed"));
        }
        book.learn(log.book.commissions()?, log.book.batches()?);
        book.foresee(log.entries.iter().skip(told.len()).flatten());
        for entry in log.entries.iter().skip(told.len()).flatten() {
            self.tell(entry, book);
        }
        if log.lines.len() > told.len() {
            let mut found = Vec::new();
            integrity::of_itself(&log, &mut found);
            // an export that is under way signs its last entries at its end
            for finding in found.iter().filter(|finding| (finding.kind, finding.entry.is_some()) != ("unsigned", true))
            {
                println!("FINDING {} {}", finding.kind, finding.detail);
            }
        }
        Ok(log.lines)
    }

    fn tell(&self, entry: &Entry, book: &mut Book<'_>) {
        if !self.quiet
            || matches!(
                entry.event.what(),
                "refused" | "proposed" | "approved" | "erased" | "administered" | "restored"
            )
        {
            println!("{}", line::of(entry, book.asks.of(&entry.event)));
        }
        for finding in book.read(entry) {
            println!("FINDING {} {}: {}", finding.kind, line::of(entry, book.asks.of(&entry.event)), finding.detail);
        }
    }
}
