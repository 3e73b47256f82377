//! Backups whose term is over are removed; of the others, only the newest keeps its keys.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hedui_protocol::ids::ManifestId;
use jiff::Timestamp;

use super::keys::Keys;
use super::{EPOCHS, KEYS, SEAL, Seal};
use crate::failure::{Failure, Outcome};
use crate::terminal;

/// Seconds that this machine's clock may be behind the one by which a backup was taken.
const SKEW: i64 = 300;

/// Goes over the backups in a folder, project by project.
pub fn prune(folder: &Path, dry_run: bool, now: Timestamp) -> Outcome {
    let mut projects: BTreeMap<Option<ManifestId>, Vec<Backup>> = BTreeMap::new();
    for backup in backups(folder)? {
        projects.entry(backup.seal.manifest).or_default().push(backup);
    }
    projects.into_values().try_for_each(|backups| prune_one(backups, dry_run, now))
}

struct Backup {
    path: PathBuf,
    seal: Seal,
}

impl Backup {
    /// Its folder, and those of the later epochs in it.
    fn folders(&self) -> impl Iterator<Item = PathBuf> {
        let later = self.seal.epochs.iter().map(|manifest| self.path.join(EPOCHS).join(manifest.to_string()));
        std::iter::once(self.path.clone()).chain(later)
    }

    /// Whether its keys are there and read, of all its epochs.
    fn has_keys(&self) -> Outcome<bool> {
        for folder in self.folders() {
            if !Keys::read(&folder.join(KEYS), &Seal::read(&folder)?)?.are_here() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The backups of one project.
fn prune_one(mut backups: Vec<Backup>, dry_run: bool, now: Timestamp) -> Outcome {
    backups.sort_by_key(|backup| backup.seal.taken_at);
    let is_over = |backup: &Backup| backup.seal.ends_at.is_some_and(|ends_at| ends_at <= now);
    let (over, kept): (Vec<Backup>, Vec<Backup>) = backups.into_iter().partition(is_over);
    let did = if dry_run { "would be removed" } else { "removed" };
    if let Some(newest) = kept.last().filter(|newest| !newest.seal.id.is_empty()) {
        let path = newest.path.display();
        if newest.seal.taken_at.as_second() > now.as_second() + SKEW {
            let taken_at = newest.seal.taken_at;
            return Err(Failure::refused(format!("{path}: it was taken at {taken_at}, which is still to come"))
                .hint("nothing was removed: set the clock right, or move that backup away"));
        }
        if !newest.has_keys()? {
            return Err(Failure::refused(format!("{path}: the newest backup has no keys: it opens nothing"))
                .hint("nothing was removed: take another backup, or put its keys.jsonl back"));
        }
    }
    for Backup { path, seal } in &over {
        if !dry_run {
            // the seal first: what is left of a removal that was cut short is no backup
            std::fs::remove_file(path.join(SEAL)).map_err(|e| Failure::file("remove", &path.join(SEAL), &e))?;
            std::fs::remove_dir_all(path).map_err(|e| Failure::file("remove", path, &e))?;
        }
        println!("{}: of {}, {did}", path.display(), seal.taken_at);
    }
    let Some((newest, older)) = kept.split_last() else { return Ok(()) };
    for keys in older.iter().flat_map(Backup::folders).map(|folder| folder.join(KEYS)).filter(|keys| keys.exists()) {
        if !dry_run {
            std::fs::remove_file(&keys).map_err(|e| Failure::file("remove", &keys, &e))?;
        }
        println!("{}: {did}", keys.display());
    }
    let keys = newest.path.join(KEYS);
    terminal::note(format!("{} backups are kept; their keys are in {}", kept.len(), keys.display()));
    Ok(())
}

fn backups(folder: &Path) -> Outcome<Vec<Backup>> {
    let unreadable = |e: std::io::Error| Failure::file("read", folder, &e);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.join(SEAL).exists() {
            let seal = Seal::read(&path)?;
            found.push(Backup { path, seal });
        }
    }
    Ok(found)
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
        let seal = |manifest: u8, epochs: Vec<ManifestId>| Seal {
            taken_at: at(taken_at),
            ends_at: Some(at(ends_at)),
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
}
