//! `hedui audit verify`: an exported log is whole, is the one that was signed and seen, and what it says was allowed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use hedui_protocol::log::{Event, Receipt};
use hedui_protocol::manifest::Manifest;
use serde::{Deserialize, Serialize};

use super::integrity::{self, Roots};
use super::rules::Book;
use super::{Exported, Finding, LogFolder};
use crate::failure::{Failure, Outcome};
use crate::signatures;

#[derive(Args, Debug)]
pub struct Verify {
    #[command(flatten)]
    log: LogFolder,
    /// What somebody else has seen of the log: a checkpoint, or a party's file of receipts; may be given several times
    #[arg(long, value_name = "FILE")]
    against: Vec<PathBuf>,
    /// The auditor's own copy of the manifest; without it the one in the folder is believed
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Print one JSON object on standard output
    #[arg(long)]
    json: bool,
}

/// Its field names are the contract of `--json`.
#[derive(Serialize)]
struct Verdict {
    manifest: String,
    entries: usize,
    /// Entries that the log's own checkpoint signs; later ones came since it was signed.
    signed: u64,
    /// Checkpoints and receipts that were compared.
    compared: usize,
    /// Commissions and batches whose proofs were erased before this log was exported: an earlier export has them.
    erased: u64,
    /// Entries by what they say.
    events: BTreeMap<&'static str, u64>,
    holds: bool,
    findings: Vec<Finding>,
}

impl Verify {
    pub fn run(self) -> Outcome {
        let log = Exported::load(&self.log.folder)?;
        let mut findings = Vec::new();
        self.manifest_is_the_auditors(&log, &mut findings)?;
        let (roots, signed) = integrity::of_itself(&log, &mut findings);
        let broken = !findings.is_empty();
        let mut compared = 1;
        for path in &self.against {
            compared += against(path, &log, &roots, broken, &mut findings)?;
        }
        let mut book = Book::new(&log.manifest, log.book.commissions()?, log.book.batches()?);
        book.foresee(log.entries.iter().flatten());
        let mut events = BTreeMap::new();
        for entry in log.entries.iter().flatten() {
            findings.extend(book.read(entry));
            *events.entry(entry.event.what()).or_default() += 1;
        }
        let erased = book.unproved();
        let (manifest, entries, holds) = (log.manifest.id().to_string(), log.lines.len(), findings.is_empty());
        let verdict = Verdict { manifest, entries, signed, compared, erased, events, holds, findings };
        if self.json {
            println!("{}", serde_json::to_string(&verdict).expect("a verdict is JSON"));
        } else {
            print(&verdict, &log);
        }
        match verdict.findings.len() {
            0 => Ok(()),
            1 => Err(Failure::refused("1 finding: the log does not hold")),
            more => Err(Failure::refused(format!("{more} findings: the log does not hold"))),
        }
    }

    /// Everything hangs on the manifest: it names the keys.
    fn manifest_is_the_auditors(&self, log: &Exported, findings: &mut Vec<Finding>) -> Outcome {
        let path = log.book.manifest();
        let bytes = std::fs::read(&path).map_err(|e| Failure::file("read", &path, &e))?;
        if let Some(own) = &self.manifest {
            let own = std::fs::read(own).map_err(|e| Failure::file("read", own, &e))?;
            let id = Manifest::parse(&own).map_err(Failure::refused)?.id();
            if id != log.manifest.id() {
                findings.push(Finding::new("other-manifest", format!("the log's manifest is {}", log.manifest.id())));
            }
        }
        for signature in signatures::load(&path)?.signatures {
            if log.manifest.verify(&bytes, &signature).is_err() {
                let party = &signature.party;
                let detail = format!("the manifest's signature of `{party}` does not verify");
                findings.push(Finding::new("bad-signature", detail));
            }
        }
        Ok(())
    }
}

/// A line of a party's receipts.
#[derive(Deserialize)]
pub struct Kept {
    pub receipt: Receipt,
}

/// Compares with what somebody has seen; how many things that was.
fn against(path: &Path, log: &Exported, roots: &Roots, broken: bool, findings: &mut Vec<Finding>) -> Outcome<usize> {
    let text = std::fs::read_to_string(path).map_err(|e| Failure::file("read", path, &e))?;
    let name = path.display().to_string();
    if !text.is_empty() && !text.starts_with('{') {
        one(text, &name, log, roots, broken, findings);
        return Ok(1);
    }
    let (mut compared, before) = (0, findings.len());
    // a last line that is still being written is not one
    for (number, line) in (1..).zip(text.split_inclusive('\n').filter(|line| line.ends_with('\n'))) {
        let receipt = serde_json::from_str::<Kept>(line);
        let receipt = receipt.map_err(|_| Failure::refused(format!("{name}: line {number} is no receipt")))?.receipt;
        let whose = format!("{name}, line {number}");
        // receipts of an earlier manifest's log lie in the same file
        if !receipt.checkpoint.starts_with(&format!("{}\n", log.origin)) {
            continue;
        }
        if let Err(why) = receipt.check(&log.key, &log.origin, None) {
            findings.push(Finding::new("unsound-receipt", format!("{whose}: {why}")));
            continue;
        }
        compared += 1;
        one(receipt.checkpoint, &whose, log, roots, broken, findings);
    }
    if compared == 0 && findings.len() == before {
        let why = format!("{name}: no line of it is a receipt of this log: is it of this project and epoch?");
        findings.push(Finding::new("nothing-compared", why));
    }
    Ok(compared)
}

fn one(note: String, whose: &str, log: &Exported, roots: &Roots, broken: bool, findings: &mut Vec<Finding>) {
    match log.signed(note) {
        Ok(checkpoint) => integrity::signed(checkpoint, whose, log, roots, broken, findings),
        Err(why) => findings.push(Finding::new("unsound-checkpoint", format!("{whose}: {why}"))),
    }
}

fn print(verdict: &Verdict, log: &Exported) {
    println!("manifest   {}", verdict.manifest);
    let Verdict { entries, signed, compared, .. } = verdict;
    println!("entries    {entries}, of which {signed} are signed; {compared} checkpoints compared");
    for (what, count) in &verdict.events {
        println!("           {count:>8} {what}");
    }
    if verdict.erased > 0 {
        println!(
            "erased     {:>8} tickets and batch headers, before this export: an earlier one proves them",
            verdict.erased
        );
    }
    let mut refusals: BTreeMap<(&str, &str), (u64, u64)> = BTreeMap::new();
    for entry in log.entries.iter().flatten() {
        if let Event::Refused { organisation, problem, subjects, .. } = &entry.event {
            let (count, people) = refusals.entry((organisation, problem)).or_default();
            *count += 1;
            *people += subjects.unwrap_or(0);
        }
    }
    for ((organisation, problem), (count, people)) in refusals {
        println!("refused    {count:>8} requests of {organisation}, about {people} people: {problem}");
    }
    for Finding { kind, entry, detail } in &verdict.findings {
        let place = entry.map(|entry| format!("entry {entry}")).unwrap_or_default();
        println!("FINDING    {kind}  {place}  {detail}");
    }
    if verdict.holds {
        println!("The log is whole, is the one that was signed, and every release in it stands on a ticket.");
    }
}
