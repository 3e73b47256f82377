//! Backups whose term is over are removed; of the others, only the newest keeps its keys.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::{KEYS, SEAL, Seal};
use crate::failure::{Failure, Outcome};
use crate::terminal;

/// Goes over the backups in a folder.
pub fn prune(folder: &Path, dry_run: bool, now: Timestamp) -> Outcome {
    let mut backups = backups(folder)?;
    backups.sort_by_key(|(_, seal)| seal.taken_at);
    let is_over = |seal: &Seal| seal.ends_at.is_some_and(|ends_at| ends_at <= now);
    let (over, kept): (Vec<_>, Vec<_>) = backups.into_iter().partition(|(_, seal)| is_over(seal));
    let did = if dry_run { "would be removed" } else { "removed" };
    for (path, seal) in &over {
        if !dry_run {
            // the seal first: what is left of a removal that was cut short is no backup
            std::fs::remove_file(path.join(SEAL)).map_err(|e| Failure::file("remove", &path.join(SEAL), &e))?;
            std::fs::remove_dir_all(path).map_err(|e| Failure::file("remove", path, &e))?;
        }
        println!("{}: of {}, {did}", path.display(), seal.taken_at);
    }
    let newest = kept.last().map(|(path, _)| path.join(KEYS));
    for (path, seal) in kept.iter().rev().skip(1) {
        let keys = path.join(KEYS);
        if keys.exists() {
            if !dry_run {
                std::fs::remove_file(&keys).map_err(|e| Failure::file("remove", &keys, &e))?;
            }
            println!("{}: of {}, its keys {did}", path.display(), seal.taken_at);
        }
    }
    if let Some(newest) = newest {
        terminal::note(format!("{} backups are kept; their keys are in {}", kept.len(), newest.display()));
    }
    Ok(())
}

fn backups(folder: &Path) -> Outcome<Vec<(PathBuf, Seal)>> {
    let unreadable = |e: std::io::Error| Failure::file("read", folder, &e);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.join(SEAL).exists() {
            let seal = Seal::read(&path)?;
            found.push((path, seal));
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

    fn backup(folder: &Path, name: &str, taken_at: i64, ends_at: Option<i64>) {
        let path = folder.join(name);
        std::fs::create_dir(&path).unwrap();
        let seal = Seal {
            taken_at: at(taken_at),
            ends_at: ends_at.map(at),
            id: String::new(),
            version: 1,
            rows: 0,
            rows_hash: ContentHash([0; 32]),
            parts: 0,
        };
        std::fs::write(path.join(SEAL), serde_json::to_vec(&seal).unwrap()).unwrap();
        std::fs::write(path.join(KEYS), b"keys").unwrap();
    }

    #[test]
    fn backups_end_with_their_term_and_only_the_newest_keeps_its_keys() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        backup(path, "over", 10, Some(100));
        backup(path, "older", 20, Some(110));
        backup(path, "newest", 30, Some(120));
        // of before there were terms
        backup(path, "ancient", 5, None);
        std::fs::create_dir(path.join("something-else")).unwrap();
        let there = |name: &str| path.join(name).exists();
        prune(path, true, at(100)).unwrap();
        assert!(there("over") && there("older/keys.jsonl"), "a dry run removes nothing");
        prune(path, false, at(99)).unwrap();
        assert!(there("over/backup.json") && !there("over/keys.jsonl") && there("newest/keys.jsonl"));
        prune(path, false, at(100)).unwrap();
        assert!(!there("over") && there("older/backup.json") && !there("older/keys.jsonl"));
        assert!(there("newest/keys.jsonl") && there("ancient/backup.json") && there("something-else"));
    }
}
