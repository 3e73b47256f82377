//! What an operator does beside a running server.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hedui_protocol::ids::ManifestId;
use hedui_protocol::log::Event;
use jiff::Timestamp;

use super::doctor::Patient;
use super::error::ServerResult;
use super::log::{self, Told};
use super::parts::Parts;
use super::store::{Database, NextEpoch, Store, newest};
use super::{Places, backup, gc, half_restored, lock, own_folder};
use crate::clock::Clock;
use crate::failure::{Failure, Outcome};
use crate::logbook::Logbook;
use crate::terminal;

/// A server signs each second what there is.
const SIGNED_WITHIN: Duration = Duration::from_secs(3);

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
    let store = Store::connect(&places.database, "").await?;
    if store.is_new().await? {
        return Err(no_server_yet(&places.database));
    }
    if store.is_restoring().await {
        return Err(half_restored(&places.database));
    }
    Ok(store)
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
            for NextEpoch { manifest, .. } in all[number].store.next_epochs().await? {
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
        let failed = |failure: Failure| Failure { message: of_it(&failure.message), ..failure };
        if !Store::is_there(&places.database).await.map_err(failed)? {
            return Ok(None);
        }
        let epoch = Self::open(Some(manifest), places).await.map_err(failed)?;
        // that it answers is not enough: it has to be this one
        let holds = epoch.store.manifest().await.map_err(|e| Failure::refused(of_it(&e)))?;
        match holds {
            Some(holds) if holds == manifest => Ok(Some(epoch)),
            Some(holds) => Err(Failure::refused(of_it(&format!("its database holds the data of manifest {holds}")))),
            None => Err(Failure::refused(of_it(&"its database is nobody's yet"))),
        }
    }

    /// Says which epoch it is about, where there are several.
    fn tell(&self) {
        if let Some(manifest) = self.epoch {
            println!("The epoch of manifest {manifest}:");
        }
    }

    /// What an operator does beside a server stands in the log.
    async fn note(&self, act: String, clock: &Clock) -> Outcome {
        self.store.note(Event::Administered { act }, clock.now()).await.map(drop).map_err(Failure::from)
    }
}

/// What a later program keeps is not known to this one: it would be left out of a backup, and taken for garbage.
async fn knows_all(store: &Store, database: &Database) -> Outcome {
    let (version, known) = (store.version().await?, newest());
    if version <= known {
        return Ok(());
    }
    Err(Failure::refused(format!("{database}: it is of version {version}, this program knows {known}"))
        .hint("use the later program"))
}

fn no_server_yet(database: &Database) -> Failure {
    Failure::refused(format!("{database}: no server has run on this database yet"))
}

pub async fn back_up(places: &Places, out: &Path, clock: &Clock) -> Outcome {
    let all = Beside::all(places).await?;
    let mut sources = Vec::new();
    for Beside { places, store, parts, .. } in &all {
        knows_all(store, &places.database).await?;
        let manifest = store.manifest().await?;
        let manifest = manifest.ok_or_else(|| no_server_yet(&places.database))?;
        sources.push(backup::Source { manifest, store, parts });
    }
    // first: no copy is to be had that the log does not know of
    for beside in &all {
        beside.note("takes a backup".to_owned(), clock).await?;
    }
    backup::backup(&sources, out, clock.now()).await
}

pub async fn examine(
    places: &Places,
    certificates: &[PathBuf],
    crls: &[PathBuf],
    repair: bool,
    clock: &Clock,
) -> Outcome {
    if !places.data.is_dir() {
        return Err(Failure::refused(format!("{}: there is no server's folder here", places.data.display())));
    }
    let _lock = repair.then(|| lock(&places.data)).transpose()?;
    let (all, closed) = Beside::known(places).await?;
    let mut wrong = Ok(());
    for (number, beside) in all.iter().enumerate() {
        beside.tell();
        let Beside { places, store, parts, .. } = beside;
        // files are looked at once
        let (certificates, crls) = if number == 0 { (certificates, crls) } else { (&[][..], &[][..]) };
        wrong = wrong.and(Patient { places, store, parts, certificates, crls, repair, clock }.examine().await);
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

pub async fn collect(places: &Places, dry_run: bool, clock: &Clock) -> Outcome {
    for beside in Beside::all(places).await? {
        beside.tell();
        knows_all(&beside.store, &beside.places.database).await?;
        let removed = gc::collect(&beside.store, &beside.parts, dry_run, clock.now()).await?;
        if removed > 0 && !dry_run {
            beside.note(format!("removed {removed} files that no batch needed"), clock).await?;
        }
    }
    Ok(())
}

/// Writes the log into a folder, or goes on with one.
pub async fn export_log(places: &Places, out: &Path) -> Outcome {
    let store = database(places).await?;
    let terms = store.terms().await?;
    let (manifest, signatures) = terms.ok_or_else(|| no_server_yet(&places.database))?;
    let book = Logbook::begin(out, &manifest, &signatures)?;
    let known = book.entries()?;
    let mut have = known.len() as u64;
    if let Some(last) = known.last() {
        book.must_continue(&log::page(&store, have - 1, Told::All).await?, last)?;
    }
    let told = match all_is_signed(&store).await? {
        true => Told::Signed,
        false => Told::All,
    };
    let progress = terminal::counter("exporting entries");
    loop {
        let page = log::page(&store, have, told).await?;
        book.append(&page, have)?;
        have += page.entries.len() as u64;
        progress.inc(page.entries.len() as u64);
        if page.entries.is_empty() {
            break;
        }
    }
    progress.finish_and_clear();
    terminal::note(format!("{}: {have} entries", out.display()));
    if told == Told::All {
        terminal::note("the last ones are not signed yet, so nothing proves them: a server signs them once it runs");
    }
    Ok(())
}

/// Waits until all entries that there are now are signed, as a server that runs does within a second or two; whether they are.
async fn all_is_signed(store: &Store) -> ServerResult<bool> {
    let (count, began) = (store.entry_count().await?, Instant::now());
    loop {
        if store.checkpoint().await?.is_some_and(|(signed, _)| signed >= count) {
            return Ok(true);
        }
        if began.elapsed() > SIGNED_WITHIN {
            return Ok(false);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

pub async fn restore(from: &Path, keys: Option<&Path>, places: &Places, now: Timestamp) -> Outcome {
    let backups = backup::backups(from, keys, now)?;
    own_folder(&places.data)?;
    let _lock = lock(&places.data)?;
    backup::restore(backups, places, now).await
}
