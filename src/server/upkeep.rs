//! What an operator does beside a running server, or before one runs.

use std::path::{Path, PathBuf};

use hedui_protocol::ids::ManifestId;
use hedui_protocol::log::Event;
use jiff::Timestamp;

use super::doctor::Patient;
use super::log::{self, Log};
use super::parts::{Parts, PartsAt};
use super::project::Project;
use super::revocations::Standing;
use super::store::{Database, NextEpoch, Store, newest};
use super::{Config, Places, backup, gc, half_restored, lock, unreachable};
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
    if store.is_restoring().await {
        return Err(half_restored(&places.database));
    }
    Ok((store, parts))
}

/// An epoch's stores, and whose they are; none for the first one.
struct Beside {
    epoch: Option<ManifestId>,
    places: Places,
    store: Store,
    parts: Parts,
}

/// An epoch that was opened by operators and could not be looked into.
struct Closed {
    manifest: ManifestId,
    /// None: it has no database yet.
    why: Option<Failure>,
}

impl Beside {
    async fn open(epoch: Option<ManifestId>, places: Places) -> Outcome<Self> {
        let (store, parts) = beside(&places).await?;
        Ok(Self { epoch, places, store, parts })
    }

    /// The first epoch and those that came after it. One that no server has opened yet is told of; any other that cannot be
    /// read is an error: it would be left out unnoticed.
    async fn all(places: &Places) -> Outcome<Vec<Self>> {
        let (all, closed) = Self::known(places).await?;
        for Closed { manifest, why } in closed {
            match why {
                None => terminal::note(format!("the epoch of manifest {manifest} has no database yet")),
                Some(why) => return Err(why),
            }
        }
        Ok(all)
    }

    /// The first epoch and those that came after it, and apart from them what could not be looked into.
    async fn known(places: &Places) -> Outcome<(Vec<Self>, Vec<Closed>)> {
        let (mut all, mut closed) = (vec![Self::open(None, places.clone()).await?], Vec::new());
        let mut number = 0;
        while number < all.len() {
            for NextEpoch { manifest, .. } in all[number].store.next_epochs().await.map_err(Failure::refused)? {
                let is_known = all.iter().any(|known| known.epoch == Some(manifest))
                    || closed.iter().any(|closed: &Closed| closed.manifest == manifest);
                if is_known {
                    continue;
                }
                match Self::open_next(manifest, places.of_epoch(manifest)).await {
                    Ok(Some(epoch)) => all.push(epoch),
                    Ok(None) => closed.push(Closed { manifest, why: None }),
                    Err(why) => closed.push(Closed { manifest, why: Some(why) }),
                }
            }
            number += 1;
        }
        Ok((all, closed))
    }

    /// None where it has no database yet.
    async fn open_next(manifest: ManifestId, places: Places) -> Outcome<Option<Self>> {
        let of_it = |why: &dyn std::fmt::Display| format!("the epoch of manifest {manifest}: {why}");
        let there = Store::is_there(&places.database).await;
        if !there.map_err(|e| Failure::try_again(of_it(&e)))? {
            return Ok(None);
        }
        let epoch = Self::open(Some(manifest), places).await;
        let epoch = epoch.map_err(|failure| Failure { message: of_it(&failure.message), ..failure })?;
        // that it answers is not enough: it has to be this one
        let holds = epoch.store.manifest().await.map_err(|e| Failure::refused(of_it(&e)))?;
        match holds == manifest {
            true => Ok(Some(epoch)),
            false => Err(Failure::refused(of_it(&format!("its database holds the data of manifest {holds}")))),
        }
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

pub async fn back_up(places: &Places, out: &Path, now: Timestamp) -> Outcome {
    let all = Beside::all(places).await?;
    let mut sources = Vec::new();
    for Beside { places, store, parts, .. } in &all {
        knows_all(store, &places.database).await?;
        let manifest = store.manifest().await.map_err(Failure::refused)?;
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
    let _lock = repair.then(|| lock(&places.data)).transpose()?;
    let (all, closed) = Beside::known(places).await?;
    let mut wrong = Ok(());
    for (number, beside) in all.iter().enumerate() {
        beside.tell();
        let Beside { places, store, parts, .. } = beside;
        // files are looked at once
        let (certificates, crls) = if number == 0 { (certificates, crls) } else { (&[][..], &[][..]) };
        wrong = wrong.and(Patient { places, store, parts, certificates, crls, repair }.examine(now).await);
    }
    for Closed { manifest, why } in &closed {
        let why = why.as_ref().map_or("no server has opened it", |failure| failure.message.as_str());
        println!("WRONG  epoch        of manifest {manifest}: {why}");
    }
    match closed.is_empty() {
        true => wrong,
        false => wrong.and(Err(Failure::refused("an epoch that operators have opened is not open"))),
    }
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
    backup::restore(from, keys, places, now).await
}
