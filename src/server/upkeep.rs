//! What an operator does beside a running server.

use std::path::{Path, PathBuf};

use hedui_protocol::ids::ManifestId;
use hedui_protocol::log::Event;
use jiff::Timestamp;

use super::doctor::Patient;
use super::log;
use super::parts::Parts;
use super::store::{Database, Store, newest};
use super::{Places, backup, gc, lock, own_folder};
use crate::failure::{Failure, Outcome};
use crate::logbook::Logbook;
use crate::staging::private_folder;
use crate::terminal;

/// The stores of servers that may be running, as they are.
async fn beside(places: &Places) -> Outcome<(Store, Parts)> {
    let store = database(places).await?;
    Ok((store, Parts::beside(&places.parts, places.parts_config.as_deref())?))
}

/// The database of servers that may be running, as it is.
async fn database(places: &Places) -> Outcome<Store> {
    if let Database::Sqlite(path) = &places.database
        && !path.exists()
    {
        return Err(Failure::refused(format!("{}: there is no server's database here", path.display())));
    }
    // no migration: a server of another version may be using it
    Store::connect(&places.database, "").await
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

    /// The first epoch and those that came after it, as far as a server has opened them.
    async fn all(places: &Places) -> Outcome<Vec<Self>> {
        let mut all = vec![Self::open(None, places.clone()).await?];
        let mut number = 0;
        while number < all.len() {
            for next in all[number].store.next_epochs().await.map_err(Failure::refused)? {
                if all.iter().any(|known| known.epoch == Some(next.manifest)) {
                    continue;
                }
                match Self::open(Some(next.manifest), places.of_epoch(next.manifest)).await {
                    Ok(epoch) if epoch.store.version().await.is_ok() => all.push(epoch),
                    _ => terminal::note(format!("the epoch of manifest {} is not open yet", next.manifest)),
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

/// What a later program keeps is not known to this one: it would be left out of a backup, and taken for garbage.
async fn knows_all(store: &Store, database: &Database) -> Outcome {
    let (version, known) = (store.version().await.map_err(Failure::refused)?, newest());
    if version <= known {
        return Ok(());
    }
    Err(Failure::refused(format!("{database}: it is of version {version}, this program knows {known}"))
        .hint("use the later program"))
}

fn no_server_yet(database: &Database) -> Failure {
    Failure::refused(format!("{database}: no server has run on this database yet"))
}

pub async fn back_up(places: &Places, out: &Path, now: Timestamp) -> Outcome {
    let all = Beside::all(places).await?;
    let mut sources = Vec::new();
    for Beside { places, store, parts, .. } in &all {
        knows_all(store, &places.database).await?;
        let manifest = store.manifest().await.map_err(Failure::refused)?;
        let manifest = manifest.ok_or_else(|| no_server_yet(&places.database))?;
        sources.push(backup::Source { manifest, store, parts });
    }
    backup::backup(&sources, out, now).await?;
    for beside in &all {
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
    if !places.data.is_dir() {
        return Err(Failure::refused(format!("{}: there is no server's folder here", places.data.display())));
    }
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

pub async fn collect(places: &Places, dry_run: bool, now: Timestamp) -> Outcome {
    for beside in Beside::all(places).await? {
        beside.tell();
        knows_all(&beside.store, &beside.places.database).await?;
        let removed = gc::collect(&beside.store, &beside.parts, dry_run, now).await.map_err(Failure::refused)?;
        if removed > 0 && !dry_run {
            beside.note(format!("removed {removed} files that no batch needed"), now).await?;
        }
    }
    Ok(())
}

/// Writes the log into a folder, or goes on with one.
pub async fn export_log(places: &Places, out: &Path) -> Outcome {
    let store = database(places).await?;
    let terms = store.terms().await.map_err(Failure::refused)?;
    let (manifest, signatures) = terms.ok_or_else(|| no_server_yet(&places.database))?;
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
    let backups = backup::restorable(from, keys, now)?;
    own_folder(&places.data)?;
    let _lock = lock(&places.data)?;
    for backup in backups {
        let places = backup.epoch.map_or_else(|| places.clone(), |manifest| places.of_epoch(manifest));
        private_folder(&places.data)?;
        let parts = Parts::open(&places.parts, places.parts_config.as_deref())?;
        backup.restore(&places.database, &parts).await?;
        let beside = Beside::open(backup.epoch, places).await?;
        beside.note("put a backup back".to_owned(), now).await?;
    }
    Ok(())
}
