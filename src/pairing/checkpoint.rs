//! What is done of a comparison, in a folder: after a kill the same command goes on from there.
//!
//! The file `tiles` holds a fingerprint of the comparison (32 bytes), then entries: files (two u16), tile (u32), number of
//! pairs (u32), pairs, and the first eight bytes of the BLAKE3 hash of all that. An entry is written at once; one that a
//! kill cut short is not there.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::sorter::{BYTES, from_bytes, to_bytes};
use super::tiles::{Done, Plan};
use crate::failure::{Failure, Outcome};
use crate::matching::solve::Candidate;
use crate::staging::private_folder;

const FINGERPRINT: usize = 32;
const HEAD: usize = 12;
const CHECK: usize = 8;

pub struct Checkpoint {
    path: PathBuf,
    file: File,
    done: HashSet<([u16; 2], u32)>,
}

impl Checkpoint {
    /// Begins, or goes on: hands over what earlier runs of the same comparison have found.
    pub fn resume(folder: &Path, plan: &Plan, mut found: impl FnMut(Vec<Candidate>) -> Outcome) -> Outcome<Self> {
        private_folder(folder)?;
        let path = path_in(folder);
        let failed = |what: &str, e: io::Error| Failure::file(what, &path, &e);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let mut file = file.map_err(|e| failed("open", e))?;
        let ours = fingerprint(plan);
        let length = file.metadata().map_err(|e| failed("read", e))?.len();
        let mut theirs = [0; FINGERPRINT];
        let mut done = HashSet::new();
        let mut end = FINGERPRINT as u64;
        let refused = || {
            Failure::refused(format!("{}: this is another comparison's checkpoint", folder.display())).hint(
                "the files, the threshold, the measure or `--self` differ; name another folder, or remove this one",
            )
        };
        if length < FINGERPRINT as u64 {
            // a kill may have cut the fingerprint short; anything else is somebody's file
            let begun = &mut theirs[..length as usize];
            file.read_exact(begun).map_err(|e| failed("read", e))?;
            if !ours.starts_with(begun) {
                return Err(refused());
            }
            file.rewind().and_then(|()| file.write_all(&ours)).map_err(|e| failed("write", e))?;
        } else {
            let mut input = BufReader::new(&file);
            input.read_exact(&mut theirs).map_err(|e| failed("read", e))?;
            if theirs != ours {
                return Err(refused());
            }
            while let Some(tile) = read_entry(&mut input, length - end).map_err(|e| failed("read", e))? {
                end += entry(&tile).len() as u64;
                done.insert((tile.files, tile.tile));
                found(tile.pairs)?;
            }
        }
        let at_end = file.set_len(end.max(FINGERPRINT as u64)).and_then(|()| file.seek(SeekFrom::End(0)));
        at_end.map_err(|e| failed("write", e))?;
        Ok(Self { path, file, done })
    }

    pub fn has(&self, files: [u16; 2], tile: u32) -> bool {
        self.done.contains(&(files, tile))
    }

    pub fn add(&mut self, done: &Done) -> Outcome {
        self.file.write_all(&entry(done)).map_err(|e| Failure::file("write", &self.path, &e))
    }
}

/// When the result is there, nothing needs to be resumed.
pub fn remove(folder: &Path) -> Outcome {
    let path = path_in(folder);
    std::fs::remove_file(&path).map_err(|e| Failure::file("remove", &path, &e))?;
    // a folder that holds something of another is left to it
    let _ = std::fs::remove_dir(folder);
    Ok(())
}

fn path_in(folder: &Path) -> PathBuf {
    folder.join("tiles")
}

fn fingerprint(plan: &Plan) -> [u8; FINGERPRINT] {
    let mut hasher = blake3::Hasher::new_derive_key("hedui v1 match checkpoint");
    let said = format!("{:?} {} {}", plan.limit, plan.within, plan.filters.len());
    hasher.update(said.as_bytes());
    for filters in &plan.filters {
        hasher.update(&(filters.len() as u64).to_le_bytes());
        filters.iter().flatten().for_each(|word| {
            hasher.update(&word.to_le_bytes());
        });
    }
    *hasher.finalize().as_bytes()
}

fn entry(done: &Done) -> Vec<u8> {
    let count =
        u32::try_from(done.pairs.len()).expect("a tile is 256 records against at most 2^32: its pairs are fewer");
    let mut bytes = Vec::with_capacity(HEAD + BYTES * done.pairs.len() + CHECK);
    done.files.iter().for_each(|file| bytes.extend(file.to_le_bytes()));
    bytes.extend(done.tile.to_le_bytes());
    bytes.extend(count.to_le_bytes());
    done.pairs.iter().for_each(|pair| bytes.extend(to_bytes(pair)));
    let check = blake3::hash(&bytes);
    bytes.extend(&check.as_bytes()[..CHECK]);
    bytes
}

/// The next entry; none at the end, or where an entry is not whole. `left`: bytes of the file from here on, at most.
fn read_entry(input: &mut impl Read, left: u64) -> io::Result<Option<Done>> {
    let mut head = [0; HEAD];
    if left < HEAD as u64 {
        return Ok(None);
    }
    input.read_exact(&mut head)?;
    let count = u32::from_le_bytes(head[8..].try_into().expect("four bytes"));
    let rest = BYTES as u64 * u64::from(count) + CHECK as u64;
    if left - (HEAD as u64) < rest {
        return Ok(None);
    }
    let mut body = vec![0; rest as usize];
    input.read_exact(&mut body)?;
    let two = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
    let pairs = body[..body.len() - CHECK].as_chunks::<BYTES>().0.iter().map(from_bytes).collect();
    let done =
        Done { files: [two(0), two(2)], tile: u32::from_le_bytes(head[4..8].try_into().expect("four bytes")), pairs };
    let whole = entry(&done);
    Ok((whole[whole.len() - CHECK..] == body[body.len() - CHECK..]).then_some(done))
}
