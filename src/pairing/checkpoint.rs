//! What is done of a comparison, in a folder: after a kill the same command goes on from there.
//!
//! The file `tiles` holds a fingerprint of the comparison (32 bytes), then pieces as they came: files (two u16), tile (u32),
//! number in the tile (u32), whether it is the tile's last (one byte), number of pairs (u32), pairs, and the first eight bytes
//! of the BLAKE3 hash of all that. One that a kill cut short is not there. A tile whose last piece is not there is done
//! again, from its piece 0 on, and what stands before that counts for nothing.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufReader, Read, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::sorter::Entry as _;
use super::tiles::{Piece, Plan};
use crate::failure::{Failure, Outcome};
use crate::matching::solve::Candidate;
use crate::staging::private_folder;

const FINGERPRINT: usize = 32;
const HEAD: usize = 17;
const CHECK: usize = 8;

pub struct Checkpoint {
    path: PathBuf,
    file: File,
    tiles: HashMap<([u16; 2], u32), Tile>,
}

/// A tile of which pieces are there.
struct Tile {
    /// Where the first piece is that counts.
    from: u64,
    done: bool,
}

impl Checkpoint {
    /// Begins, or goes on: hands over what earlier runs of the same comparison have found.
    pub fn resume(folder: &Path, plan: &Plan, mut found: impl FnMut(Vec<Candidate>) -> Outcome) -> Outcome<Self> {
        private_folder(folder)?;
        let path = path_in(folder);
        let failed = |what: &str, e: io::Error| Failure::file(what, &path, &e);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let mut file = file.map_err(|e| failed("open", e))?;
        file.try_lock().map_err(|e| match e {
            TryLockError::WouldBlock => Failure::refused(format!("{}: another run is using it", folder.display()))
                .hint("let it end, or name another folder"),
            TryLockError::Error(e) => failed("lock", e),
        })?;
        let ours = fingerprint(plan);
        let length = file.metadata().map_err(|e| failed("read", e))?.len();
        let mut theirs = [0; FINGERPRINT];
        let mut tiles = HashMap::new();
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
            while let Some(piece) = read_piece(&mut input, length - end).map_err(|e| failed("read", e))? {
                let tile = tiles.entry((piece.files, piece.tile)).or_insert(Tile { from: end, done: false });
                if piece.number == 0 {
                    tile.from = end;
                }
                tile.done = piece.last;
                end += written(&piece).len() as u64;
            }
            tiles.retain(|_, tile: &mut Tile| tile.done);
            let mut at = FINGERPRINT as u64;
            input.seek(SeekFrom::Start(at)).map_err(|e| failed("read", e))?;
            while let Some(piece) = read_piece(&mut input, end - at).map_err(|e| failed("read", e))? {
                let next = at + written(&piece).len() as u64;
                if tiles.get(&(piece.files, piece.tile)).is_some_and(|tile| tile.from <= at) {
                    found(piece.pairs)?;
                }
                at = next;
            }
        }
        let at_end = file.set_len(end.max(FINGERPRINT as u64)).and_then(|()| file.seek(SeekFrom::End(0)));
        at_end.map_err(|e| failed("write", e))?;
        Ok(Self { path, file, tiles })
    }

    pub fn has(&self, files: [u16; 2], tile: u32) -> bool {
        self.tiles.contains_key(&(files, tile))
    }

    pub fn add(&mut self, piece: &Piece) -> Outcome {
        self.file.write_all(&written(piece)).map_err(|e| Failure::file("write", &self.path, &e))
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
    let mut hasher = blake3::Hasher::new_derive_key("hedui v2 match checkpoint");
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

fn written(piece: &Piece) -> Vec<u8> {
    let count = u32::try_from(piece.pairs.len()).expect("a piece is some thousand pairs");
    let mut bytes = Vec::with_capacity(HEAD + Candidate::BYTES * piece.pairs.len() + CHECK);
    piece.files.iter().for_each(|file| bytes.extend(file.to_le_bytes()));
    bytes.extend(piece.tile.to_le_bytes());
    bytes.extend(piece.number.to_le_bytes());
    bytes.push(u8::from(piece.last));
    bytes.extend(count.to_le_bytes());
    piece.pairs.iter().for_each(|pair| pair.put(&mut bytes));
    let check = blake3::hash(&bytes);
    bytes.extend(&check.as_bytes()[..CHECK]);
    bytes
}

/// The next piece; none at the end, or where one is not whole. `left`: bytes of the file from here on, at most.
fn read_piece(input: &mut impl Read, left: u64) -> io::Result<Option<Piece>> {
    let mut head = [0; HEAD];
    if left < HEAD as u64 {
        return Ok(None);
    }
    input.read_exact(&mut head)?;
    let two = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
    let four = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().expect("four bytes"));
    let rest = Candidate::BYTES as u64 * u64::from(four(13)) + CHECK as u64;
    if left - (HEAD as u64) < rest {
        return Ok(None);
    }
    let mut body = vec![0; rest as usize];
    input.read_exact(&mut body)?;
    let pairs = body[..body.len() - CHECK].chunks_exact(Candidate::BYTES).map(Candidate::get).collect();
    let piece = Piece { files: [two(0), two(2)], tile: four(4), number: four(8), last: head[12] == 1, pairs };
    let whole = written(&piece);
    Ok((whole[whole.len() - CHECK..] == body[body.len() - CHECK..]).then_some(piece))
}
