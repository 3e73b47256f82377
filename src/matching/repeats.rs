//! Which of many tokens stands there twice: an external sort of tokens and their rows, in bounded memory.

use std::fs::File;
use std::io::{self, BufWriter, Read as _, Write};
use std::path::PathBuf;

use hedui_protocol::encodings::Token;
use rayon::prelude::*;

const ENTRY: usize = Token::BYTES + 4;
/// Tokens are uniformly random: a bucket for each first byte holds 1/256 of them.
const BUCKETS: usize = 256;
const SPILL: usize = 1 << 16;

type Entry = [u8; ENTRY];

fn entry(token: &Token, row: u32) -> Entry {
    let mut entry = [0; ENTRY];
    entry[..Token::BYTES].copy_from_slice(&token.0);
    // big-endian, so that bytes sort as numbers do
    entry[Token::BYTES..].copy_from_slice(&row.to_be_bytes());
    entry
}

fn row_of(entry: &Entry) -> u32 {
    u32::from_be_bytes(entry[Token::BYTES..].try_into().expect("four bytes"))
}

/// Tokens and their rows, in memory or in spill files of a folder.
pub struct Repeats {
    buckets: Vec<Bucket>,
    folder: Option<PathBuf>,
}

#[derive(Default)]
struct Bucket {
    pending: Vec<Entry>,
    spilled: Option<File>,
}

impl Repeats {
    /// With a folder, no more than a few MiB are held in memory.
    pub fn new(folder: Option<PathBuf>) -> Self {
        Self { buckets: (0..BUCKETS).map(|_| Bucket::default()).collect(), folder }
    }

    pub fn add(&mut self, token: &Token, row: u32) -> io::Result<()> {
        let bucket = usize::from(token.0[0]);
        self.buckets[bucket].pending.push(entry(token, row));
        match &self.folder {
            Some(folder) if self.buckets[bucket].pending.len() >= SPILL / ENTRY => {
                let path = folder.join(format!("spill-{bucket:03}"));
                self.buckets[bucket].spill(path)
            }
            _ => Ok(()),
        }
    }

    /// The first row whose token stands at an earlier row already, with that earlier row.
    pub fn first_repeated(self) -> io::Result<Option<(u32, u32)>> {
        let repeated = |bucket: Bucket| {
            let entries = bucket.sorted()?;
            let pairs = entries.windows(2).filter(|pair| pair[0][..Token::BYTES] == pair[1][..Token::BYTES]);
            Ok(pairs.map(|pair| (row_of(&pair[1]), row_of(&pair[0]))).min())
        };
        let found: Vec<Option<(u32, u32)>> = self.buckets.into_par_iter().map(repeated).collect::<io::Result<_>>()?;
        Ok(found.into_iter().flatten().min())
    }
}

impl Bucket {
    fn spill(&mut self, path: PathBuf) -> io::Result<()> {
        if self.spilled.is_none() {
            let file = File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
            // the open file is all that is needed; it is gone when it is closed, however this process ends
            std::fs::remove_file(&path)?;
            self.spilled = Some(file);
        }
        let mut out = BufWriter::new(self.spilled.as_mut().expect("opened above"));
        out.write_all(self.pending.as_flattened())?;
        out.flush()?;
        drop(out);
        self.pending.clear();
        Ok(())
    }

    fn sorted(mut self) -> io::Result<Vec<Entry>> {
        if let Some(file) = &mut self.spilled {
            io::Seek::rewind(file)?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            self.pending.extend_from_slice(bytes.as_chunks::<ENTRY>().0);
        }
        self.pending.sort_unstable();
        Ok(self.pending)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_repetition_is_found_wherever_it_spilled() {
        let folder = tempfile::tempdir().unwrap();
        let check = |rows: &[u64], expect: Option<(u32, u32)>| {
            let mut sorter = Repeats::new(Some(folder.path().to_owned()));
            for (row, value) in (0u32..).zip(rows) {
                let hash = blake3::hash(&value.to_le_bytes());
                sorter.add(&Token(hash.as_bytes()[..16].try_into().unwrap()), row).unwrap();
            }
            assert_eq!(sorter.first_repeated().unwrap(), expect);
        };
        let mut rows: Vec<u64> = (0..900_000).collect();
        check(&rows, None);
        (rows[800_000], rows[850_000]) = (7, 9);
        check(&rows, Some((800_000, 7)));
        check(&[4, 5, 4, 4], Some((2, 0)));
    }
}
