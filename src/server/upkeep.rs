//! What an operator does beside a running server, or before one runs.

use std::path::{Path, PathBuf};

use hedui_protocol::ids::ManifestId;
use hedui_protocol::log::Event;
use jiff::{SignedDuration, Timestamp};

use super::doctor::Patient;
use super::log::{self, Log};
use super::parts::{Parts, PartsAt};
use super::project::Project;
use super::revocations::Standing;
use super::store::{Database, EPOCHS, Store};
use super::{Config, Places, backup, gc, lock, unreachable};
use crate::failure::{Failure, Outcome};
use crate::logbook::Logbook;
use crate::staging::private_folder;
use crate::terminal;

/// Whether a server could run so: everything that it needs is there and lets it in. Changes nothing.
pub async fn check(config: &Config) -> Outcome {
    let project = Project::load(&config.manifest)?;
    if let Some(list) = config.certificates.load()?.revocations
        && list.standing(Timestamp::now()) == Standing::Ended
    {
        let (path, ends) = (list.path.display(), list.ends);
        return Err(Failure::refused(format!(
            "{path}: the revocation list ended at {ends}: its authority's clients would be refused"
        ))
        .hint("have the authority write its list anew"));
    }
    Log::load(&config.log_key, &project.manifest, &config.places.data)?;
    let Places { data, database, parts, parts_config } = &config.places;
    // a file that is not there yet is made at the start
    if !matches!(database, Database::Sqlite(path) if !path.exists()) {
        let store = Store::connect(database, "").await.map_err(|e| unreachable(database, &e))?;
        store.ping().await.map_err(|e| unreachable(database, &e))?;
    }
    if let PartsAt::Bucket { .. } = parts {
        let bucket = Parts::open(parts, parts_config.as_deref())?;
        bucket.ping().await.map_err(|e| Failure::try_again(format!("{parts}: {e}")))?;
    }
    let (signed, id) = (project.signed_by().len(), project.manifest.id());
    println!("manifest {id}, signed by {signed} parties; {database}; parts in {parts}; indexes in {}", data.display());
    Ok(())
}

/// The stores of servers that may be running, as they are.
async fn beside(places: &Places) -> Outcome<(Store, Parts)> {
    if let Database::Sqlite(path) = &places.database
        && !path.exists()
    {
        return Err(Failure::refused(format!("{}: there is no server's database here", path.display())));
    }
    let parts = Parts::open(&places.parts, places.parts_config.as_deref())?;
    // no migration: a server of another version may be using it
    let store = Store::connect(&places.database, "").await.map_err(|e| unreachable(&places.database, &e))?;
    Ok((store, parts))
}

/// An epoch's stores, and whose they are; none for the first one.
struct Beside {
    epoch: Option<ManifestId>,
    places: Places,
    store: Store,
    parts: Parts,
}

impl Beside {
    async fn open(epoch: Option<ManifestId>, places: Places) -> Outcome<Self> {
        let (store, parts) = beside(&places).await?;
        Ok(Self { epoch, places, store, parts })
    }

    /// The first epoch and those that came after it.
    async fn all(places: &Places) -> Outcome<Vec<Self>> {
        let mut all = vec![Self::open(None, places.clone()).await?];
        let mut number = 0;
        while number < all.len() {
            for next in all[number].store.next_epochs().await.map_err(Failure::refused)? {
                if all.iter().all(|known| known.epoch != Some(next.manifest)) {
                    all.push(Self::open(Some(next.manifest), places.of_epoch(next.manifest)).await?);
                }
            }
            number += 1;
        }
        Ok(all)
    }

    /// Says which epoch it is about, where there are several.
    fn tell(&self) {
        if let Some(manifest) = self.epoch {
            println!("The epoch of manifest {manifest}:");
        }
    }

    /// What an operator does beside a server stands in the log.
    async fn note(&self, act: String, now: Timestamp) -> Outcome {
        self.store.note(Event::Administered { act }, now).await.map(drop).map_err(Failure::refused)
    }
}

/// The folder of an epoch's backup in that of the first one.
fn of_epoch(backup: &Path, epoch: Option<ManifestId>) -> PathBuf {
    epoch.map_or_else(|| backup.to_owned(), |manifest| backup.join(EPOCHS).join(manifest.to_string()))
}

pub async fn back_up(places: &Places, out: &Path, now: Timestamp) -> Outcome {
    for beside in Beside::all(places).await? {
        let out = of_epoch(out, beside.epoch);
        if beside.epoch.is_some() {
            private_folder(out.parent().expect("it lies in a folder"))?;
        }
        backup::backup(&beside.store, &beside.parts, &out, now).await?;
        beside.note("took a backup".to_owned(), now).await?;
    }
    Ok(())
}

pub async fn examine(
    places: &Places,
    certificates: &[PathBuf],
    crls: &[PathBuf],
    repair: bool,
    now: Timestamp,
) -> Outcome {
    let _lock = repair.then(|| lock(&places.data)).transpose()?;
    let mut wrong = Ok(());
    for (number, beside) in Beside::all(places).await?.iter().enumerate() {
        beside.tell();
        let Beside { places, store, parts, .. } = beside;
        // files are looked at once
        let (certificates, crls) = if number == 0 { (certificates, crls) } else { (&[][..], &[][..]) };
        wrong = wrong.and(Patient { places, store, parts, certificates, crls, repair }.examine(now).await);
    }
    wrong
}

pub async fn collect(places: &Places, open: SignedDuration, dry_run: bool, now: Timestamp) -> Outcome {
    for beside in Beside::all(places).await? {
        beside.tell();
        let removed = gc::collect(&beside.store, &beside.parts, open, dry_run, now).await.map_err(Failure::refused)?;
        if removed > 0 && !dry_run {
            beside.note(format!("removed {removed} files that no batch needed"), now).await?;
        }
    }
    Ok(())
}

/// Writes the log into a folder, or goes on with one.
pub async fn export_log(places: &Places, out: &Path) -> Outcome {
    let (store, _) = beside(places).await?;
    let terms = store.terms().await.map_err(Failure::refused)?;
    let (manifest, signatures) = terms
        .ok_or_else(|| Failure::refused(format!("{}: no server has run on this database yet", places.database)))?;
    let book = Logbook::begin(out, &manifest, &signatures)?;
    let known = book.entries()?;
    let mut have = known.len() as u64;
    if let Some(last) = known.last() {
        book.must_continue(&log::page(&store, have - 1).await.map_err(Failure::refused)?, last)?;
    }
    let progress = terminal::counter("exporting entries");
    loop {
        let page = log::page(&store, have).await.map_err(Failure::refused)?;
        book.append(&page)?;
        have += page.entries.len() as u64;
        progress.inc(page.entries.len() as u64);
        if page.entries.is_empty() {
            break;
        }
    }
    progress.finish_and_clear();
    terminal::note(format!("{}: {have} entries", out.display()));
    Ok(())
}

pub async fn restore(from: &Path, keys: Option<&Path>, places: &Places, now: Timestamp) -> Outcome {
    private_folder(&places.data)?;
    let _lock = lock(&places.data)?;
    let mut epochs = vec![None];
    if let Ok(later) = std::fs::read_dir(from.join(EPOCHS)) {
        let manifest = |entry: std::fs::DirEntry| entry.file_name().to_str().and_then(|name| name.parse().ok());
        epochs.extend(later.filter_map(Result::ok).filter_map(manifest).map(Some));
    }
    for epoch in epochs {
        let places = epoch.map_or_else(|| places.clone(), |manifest| places.of_epoch(manifest));
        private_folder(&places.data)?;
        let parts = Parts::open(&places.parts, places.parts_config.as_deref())?;
        let keys = keys.map(|keys| {
            let (folder, name) = (keys.parent().unwrap_or(Path::new("")), keys.file_name().unwrap_or_default());
            of_epoch(folder, epoch).join(name)
        });
        backup::restore(&of_epoch(from, epoch), keys.as_deref(), &places.database, &parts, now).await?;
        let beside = Beside::open(epoch, places).await?;
        beside.note("put a backup back".to_owned(), now).await?;
    }
    Ok(())
}
