//! What an operator does beside a running server, or before one runs.

use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};

use super::doctor::Patient;
use super::log::{self, Log};
use super::parts::{Parts, PartsAt};
use super::project::Project;
use super::revocations::Standing;
use super::store::{Database, Store, newest};
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
    let (store, parts) = beside(places).await?;
    knows_all(&store, &places.database).await?;
    backup::backup(&store, &parts, out, now).await
}

pub async fn examine(
    places: &Places,
    certificates: &[PathBuf],
    crls: &[PathBuf],
    repair: bool,
    now: Timestamp,
) -> Outcome {
    let (store, parts) = beside(places).await?;
    let _lock = repair.then(|| lock(&places.data)).transpose()?;
    Patient { places, store: &store, parts: &parts, certificates, crls, repair }.examine(now).await
}

pub async fn collect(places: &Places, open: SignedDuration, dry_run: bool, now: Timestamp) -> Outcome {
    let (store, parts) = beside(places).await?;
    knows_all(&store, &places.database).await?;
    gc::collect(&store, &parts, open, dry_run, now).await.map_err(Failure::refused)
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

pub async fn restore(from: &Path, places: &Places) -> Outcome {
    private_folder(&places.data)?;
    let _lock = lock(&places.data)?;
    let parts = Parts::open(&places.parts, places.parts_config.as_deref())?;
    backup::restore(from, &places.database, &parts).await
}
