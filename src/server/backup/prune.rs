//! Backups whose term is over are removed, but for the newest; of the others, only the newest keeps its keys. So is what killed
//! ones have left.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use hedui_protocol::ids::ManifestId;
use jiff::{SignedDuration, Timestamp};

use super::keys::Keys;
use super::{EPOCHS, KEYS, ROWS, SEAL, Seal};
use crate::failure::{Failure, Outcome};
use crate::staging::is_partial;
use crate::terminal;

/// Seconds that this machine's clock may be behind the one by which a backup was taken.
const SKEW: i64 = 300;
/// A backup in the making to which nothing was added for so long has been given up.
const GIVEN_UP: SignedDuration = SignedDuration::from_hours(24);

/// Goes over the backups in a folder, project by project.
pub fn prune(folder: &Path, dry_run: bool, now: Timestamp) -> Outcome {
    let mut projects: BTreeMap<Option<ManifestId>, Vec<Backup>> = BTreeMap::new();
    for entry in entries(folder)? {
        if entry.join(SEAL).exists() {
            let backup = Backup::read(entry)?;
            projects.entry(backup.seal.manifest).or_default().push(backup);
        } else if was_given_up(&entry, now)? {
            if !dry_run {
                std::fs::remove_dir_all(&entry).map_err(|e| Failure::file("remove", &entry, &e))?;
            }
            println!("{}: never finished, {}", entry.display(), did(dry_run));
        }
    }
    projects.into_values().try_for_each(|backups| prune_one(backups, dry_run, now))
}

fn did(dry_run: bool) -> &'static str {
    if dry_run { "would be removed" } else { "removed" }
}

struct Backup {
    path: PathBuf,
    /// The first epoch's.
    seal: Seal,
    /// When the first of its epochs ends: it is kept or removed as one.
    ends_at: Option<Timestamp>,
}

impl Backup {
    fn read(path: PathBuf) -> Outcome<Self> {
        let seal = Seal::read(&path)?;
        let mut backup = Self { path, seal, ends_at: None };
        for (_, folder) in backup.epochs() {
            let ends_at = Seal::read(&folder)?.ends_at;
            backup.ends_at = [backup.ends_at, ends_at].into_iter().flatten().min();
        }
        Ok(backup)
    }

    /// Its epochs, the first one first, and where each is.
    fn epochs(&self) -> Vec<(Option<ManifestId>, PathBuf)> {
        let later = self.seal.epochs.iter();
        let later = later.map(|manifest| (Some(*manifest), self.path.join(EPOCHS).join(manifest.to_string())));
        std::iter::once((None, self.path.clone())).chain(later).collect()
    }

    /// Whether its keys are there and read, of all its epochs.
    fn has_keys(&self) -> Outcome<bool> {
        for (_, folder) in self.epochs() {
            if !Keys::read(&folder.join(KEYS), &Seal::read(&folder)?)?.are_here() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn remove(&self) -> Outcome {
        // the seal first: what is left of a removal that was cut short is no backup
        let seal = self.path.join(SEAL);
        std::fs::remove_file(&seal).map_err(|e| Failure::file("remove", &seal, &e))?;
        std::fs::remove_dir_all(&self.path).map_err(|e| Failure::file("remove", &self.path, &e))
    }
}

/// The backups of one project.
fn prune_one(mut backups: Vec<Backup>, dry_run: bool, now: Timestamp) -> Outcome {
    backups.sort_by_key(|backup| backup.seal.taken_at);
    let Some(newest) = backups.pop() else { return Ok(()) };
    must_be_good(&newest, now)?;
    let is_over = |backup: &Backup| backup.ends_at.is_some_and(|ends_at| ends_at <= now);
    let (over, older): (Vec<Backup>, Vec<Backup>) = backups.into_iter().partition(is_over);
    for backup in &over {
        if !dry_run {
            backup.remove()?;
        }
        println!("{}: of {}, {}", backup.path.display(), backup.seal.taken_at, did(dry_run));
    }
    let held: Vec<_> = newest.epochs().into_iter().map(|(epoch, _)| epoch).collect();
    for (epoch, folder) in older.iter().flat_map(Backup::epochs) {
        let keys = folder.join(KEYS);
        if !keys.exists() {
            continue;
        }
        if !held.contains(&epoch) {
            terminal::note(format!("{}: kept, the newest backup does not hold this epoch", keys.display()));
            continue;
        }
        if !dry_run {
            std::fs::remove_file(&keys).map_err(|e| Failure::file("remove", &keys, &e))?;
        }
        println!("{}: {}", keys.display(), did(dry_run));
    }
    let path = newest.path.display();
    if is_over(&newest) {
        terminal::note(format!(
            "{path}: its term is over, and it is the newest: remove it yourself if the clock is right"
        ));
    }
    let keys = newest.path.join(KEYS);
    terminal::note(format!("{} backups are kept; their keys are in {}", older.len() + 1, keys.display()));
    Ok(())
}

/// By the newest backup the others lose their keys.
fn must_be_good(newest: &Backup, now: Timestamp) -> Outcome {
    let (path, seal) = (newest.path.display(), &newest.seal);
    if seal.id.is_empty() {
        return Ok(());
    }
    if seal.taken_at.as_second() > now.as_second() + SKEW {
        let taken_at = seal.taken_at;
        return Err(Failure::refused(format!("{path}: it was taken at {taken_at}, which is still to come"))
            .hint("nothing was removed: set the clock right, or move that backup away"));
    }
    if !newest.has_keys()? {
        return Err(Failure::refused(format!("{path}: the newest backup has no keys: it opens nothing"))
            .hint("nothing was removed: take another backup, or put its keys.jsonl back"));
    }
    Ok(())
}

/// Whether this is a backup that was killed while it was taken.
fn was_given_up(folder: &Path, now: Timestamp) -> Outcome<bool> {
    let begun = || [ROWS, EPOCHS].iter().any(|name| folder.join(name).exists());
    if !is_partial(folder) || !begun() {
        return Ok(false);
    }
    let written = Timestamp::try_from(last_written(folder)?).map_err(Failure::refused)?;
    Ok(written <= now - GIVEN_UP)
}

/// When something in it was written last.
fn last_written(path: &Path) -> Outcome<SystemTime> {
    let written = std::fs::metadata(path).and_then(|file| file.modified());
    let mut last = written.map_err(|e| Failure::file("read", path, &e))?;
    if path.is_dir() {
        for entry in entries(path)? {
            last = last.max(last_written(&entry)?);
        }
    }
    Ok(last)
}

fn entries(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let found = std::fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    found.map_err(|e| Failure::file("read", folder, &e))
}

#[cfg(test)]
mod tests {
    use hedui_protocol::ids::ContentHash;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// With one later epoch.
    fn backup(folder: &Path, project: u8, name: &str, taken_at: i64, ends_at: i64) {
        backup_with(folder, project, name, taken_at, [ends_at; 2]);
    }

    /// The same, with a term of its own for each epoch, as an earlier version took it.
    fn backup_with(folder: &Path, project: u8, name: &str, taken_at: i64, ends_at: [i64; 2]) {
        let seal = |manifest: u8, epochs: Vec<ManifestId>| Seal {
            taken_at: at(taken_at),
            ends_at: Some(at(ends_at[usize::from(manifest - project)])),
            id: name.into(),
            manifest: Some(ManifestId([manifest; 32])),
            epochs,
            version: 1,
            rows: 0,
            rows_hash: ContentHash([0; 32]),
            parts: 0,
        };
        let (path, later) = (folder.join(name), ManifestId([project + 1; 32]));
        let inner = path.join(EPOCHS).join(later.to_string());
        std::fs::create_dir_all(&inner).unwrap();
        for (path, seal) in [(&path, seal(project, vec![later])), (&inner, seal(project + 1, vec![]))] {
            std::fs::write(path.join(SEAL), seal.to_bytes()).unwrap();
            std::fs::write(path.join(KEYS), Keys::default().to_bytes(at(taken_at))).unwrap();
        }
    }

    #[test]
    fn backups_end_with_their_term_and_only_the_newest_keeps_its_keys() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        backup(path, 1, "over", 10, 100);
        backup(path, 1, "older", 20, 110);
        backup(path, 1, "newest", 30, 120);
        // of another project
        backup(path, 5, "others", 15, 115);
        std::fs::create_dir(path.join("something-else")).unwrap();
        let there = |name: &str| path.join(name).exists();
        let epochs_keys = |name: &str, project: u8| {
            path.join(name).join(EPOCHS).join(ManifestId([project + 1; 32]).to_string()).join(KEYS).exists()
        };
        prune(path, true, at(100)).unwrap();
        assert!(there("over") && there("older/keys.jsonl"), "a dry run removes nothing");
        prune(path, false, at(99)).unwrap();
        assert!(there("over/backup.json") && !there("over/keys.jsonl") && !epochs_keys("over", 1));
        assert!(there("newest/keys.jsonl") && epochs_keys("newest", 1));
        assert!(there("others/keys.jsonl") && epochs_keys("others", 5));
        prune(path, false, at(100)).unwrap();
        assert!(!there("over") && there("older/backup.json") && !there("older/keys.jsonl"));
        assert!(there("newest/keys.jsonl") && there("something-else"));
    }

    #[test]
    fn the_last_keys_are_not_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        backup(path, 1, "older", 20, 110);
        backup(path, 1, "newest", 30, 120);
        let refused = |now: i64, words: &str| {
            let why = prune(path, false, at(now)).unwrap_err().message;
            assert!(why.contains(words), "{why}");
            assert!(path.join("older/keys.jsonl").exists());
        };
        std::fs::rename(path.join("newest/keys.jsonl"), path.join("elsewhere")).unwrap();
        refused(40, "has no keys");
        std::fs::write(path.join("newest/keys.jsonl"), "torn").unwrap();
        refused(40, "does not read");
        std::fs::rename(path.join("elsewhere"), path.join("newest/keys.jsonl")).unwrap();
        backup(path, 1, "of-tomorrow", 86_400, 99 * 86_400);
        refused(40, "still to come");
    }

    #[test]
    fn the_newest_backup_stays_though_its_term_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        backup(path, 1, "older", 20, 110);
        backup(path, 1, "newest", 30, 120);
        prune(path, false, at(9_999)).unwrap();
        assert!(!path.join("older").exists());
        assert!(path.join("newest/backup.json").exists() && path.join("newest/keys.jsonl").exists());
    }

    #[test]
    fn a_backup_ends_when_the_first_of_its_epochs_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        backup_with(path, 1, "older", 20, [110, 50]);
        backup(path, 1, "newest", 30, 120);
        prune(path, false, at(49)).unwrap();
        assert!(path.join("older").exists());
        prune(path, false, at(50)).unwrap();
        assert!(!path.join("older").exists());
    }

    #[test]
    fn keys_of_an_epoch_that_the_newest_backup_lacks_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        backup(path, 1, "older", 20, 110);
        backup(path, 1, "newest", 30, 120);
        let seal = Seal::read(&path.join("newest")).unwrap();
        std::fs::write(path.join("newest/backup.json"), Seal { epochs: vec![], ..seal }.to_bytes()).unwrap();
        std::fs::remove_dir_all(path.join("newest").join(EPOCHS)).unwrap();
        prune(path, false, at(40)).unwrap();
        let later = path.join("older").join(EPOCHS).join(ManifestId([2; 32]).to_string());
        assert!(!path.join("older/keys.jsonl").exists() && later.join(KEYS).exists());
    }

    #[test]
    fn what_a_killed_backup_left_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        for name in [".killed.partial", ".being-written.partial", ".something-else.partial"] {
            std::fs::create_dir(path.join(name)).unwrap();
        }
        for file in
            [".killed.partial/database.jsonl", ".killed.partial/keys.jsonl", ".being-written.partial/database.jsonl"]
        {
            std::fs::write(path.join(file), "x").unwrap();
        }
        let now = Timestamp::now();
        prune(path, false, now).unwrap();
        assert!(path.join(".killed.partial").exists(), "it may still be written");
        let later = now + SignedDuration::from_hours(25);
        let young = std::time::SystemTime::now() + std::time::Duration::from_secs(24 * 3600);
        let written = std::fs::File::options().write(true).open(path.join(".being-written.partial/database.jsonl"));
        written.unwrap().set_modified(young).unwrap();
        prune(path, true, later).unwrap();
        assert!(path.join(".killed.partial").exists(), "a dry run removes nothing");
        prune(path, false, later).unwrap();
        assert!(!path.join(".killed.partial").exists() && path.join(".being-written.partial").exists());
        assert!(path.join(".something-else.partial").exists());
    }
}
