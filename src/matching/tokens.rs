//! Token → rows: entries of a token (16) and a row (u32), sorted. Built by an external sort in bounded memory.

use std::fs::File;
use std::io::{self, BufWriter, Read as _, Write};
use std::path::PathBuf;

use hedui_protocol::encodings::Token;
use rayon::prelude::*;

use super::bytes::Bytes;

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

/// Collects entries, in memory or in spill files of a folder.
pub struct TokenSorter {
    buckets: Vec<Bucket>,
    folder: Option<PathBuf>,
}

#[derive(Default)]
struct Bucket {
    pending: Vec<Entry>,
    spilled: Option<File>,
}

impl TokenSorter {
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

    /// Writes all entries in order.
    ///
    /// Returns the longest run of one token, and how many entries there are.
    pub fn finish(self, mut out: impl Write) -> io::Result<Sorted> {
        let mut sorted = Sorted::default();
        let mut buckets = self.buckets.into_iter();
        loop {
            let some: Vec<Bucket> = buckets.by_ref().take(16).collect();
            if some.is_empty() {
                out.flush()?;
                return Ok(sorted);
            }
            let runs: Vec<Vec<Entry>> = some.into_par_iter().map(Bucket::sorted).collect::<io::Result<_>>()?;
            for run in runs {
                sorted.count(&run);
                out.write_all(run.as_flattened())?;
            }
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

/// What a sort has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sorted {
    pub entries: u64,
    /// The most rows that share one token.
    pub largest_cohort: u64,
}

impl Sorted {
    fn count(&mut self, run: &[Entry]) {
        self.entries += run.len() as u64;
        let cohorts = run.chunk_by(|one, next| one[..Token::BYTES] == next[..Token::BYTES]);
        self.largest_cohort = self.largest_cohort.max(cohorts.map(<[Entry]>::len).max().unwrap_or(0) as u64);
    }
}

/// The sorted table.
pub struct TokenTable(Bytes);

impl TokenTable {
    /// None where the bytes are no whole number of entries.
    pub fn new(bytes: Bytes) -> Option<Self> {
        bytes.len().is_multiple_of(ENTRY).then_some(Self(bytes))
    }

    /// The rows that have this token.
    pub fn rows(&self, token: &Token) -> impl Iterator<Item = u32> {
        let entries = self.0.as_chunks::<ENTRY>().0;
        let start = lower_bound(entries, token);
        let of_token = entries[start..].iter().take_while(|entry| entry[..Token::BYTES] == token.0);
        of_token.map(row_of)
    }

    /// Every token of the table, once for each of its rows.
    pub fn tokens(&self) -> impl Iterator<Item = Token> {
        let entries = self.0.as_chunks::<ENTRY>().0.iter();
        entries.map(|entry| Token(entry[..Token::BYTES].try_into().expect("sixteen bytes")))
    }
}

/// The first entry of at least `token`: uniform tokens lie close to where proportion says, so the search starts there.
fn lower_bound(entries: &[Entry], token: &Token) -> usize {
    let guess = proportion(token, entries.len());
    let below = |at: usize| entries[at][..Token::BYTES] < token.0[..];
    let (mut low, mut high, mut step) = (guess, guess, 64);
    while low > 0 && !below(low - 1) {
        high = low - 1;
        low = low.saturating_sub(step);
        step *= 2;
    }
    step = 64;
    while high < entries.len() && below(high) {
        low = high + 1;
        high = (high + step).min(entries.len());
        step *= 2;
    }
    low + entries[low..high].partition_point(|entry| entry[..Token::BYTES] < token.0[..])
}

fn proportion(token: &Token, of: usize) -> usize {
    let head = u64::from_be_bytes(token.0[..8].try_into().expect("eight bytes"));
    ((u128::from(head) * of as u128) >> 64) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_lookup_finds_what_was_added(firsts in proptest::collection::vec(any::<u8>(), 0..300), spill in any::<bool>()) {
            let folder = tempfile::tempdir().unwrap();
            let mut sorter = TokenSorter::new(spill.then(|| folder.path().to_owned()));
            let token = |first: u8| Token([first; 16]);
            for (row, first) in firsts.iter().enumerate() {
                sorter.add(&token(*first), row as u32).unwrap();
            }
            let mut bytes = Vec::new();
            let sorted = sorter.finish(&mut bytes).unwrap();
            let table = TokenTable::new(Bytes::Memory(bytes)).unwrap();
            prop_assert_eq!(sorted.entries as usize, firsts.len());
            for first in 0..=255 {
                let expect: Vec<u32> = (0..firsts.len()).filter(|row| firsts[*row] == first).map(|row| row as u32).collect();
                prop_assert!(expect.len() as u64 <= sorted.largest_cohort);
                prop_assert_eq!(table.rows(&token(first)).collect::<Vec<_>>(), expect);
            }
        }
    }

    #[test]
    fn the_first_repetition_is_found_wherever_it_spilled() {
        let folder = tempfile::tempdir().unwrap();
        let check = |rows: &[u64], expect: Option<(u32, u32)>| {
            let mut sorter = TokenSorter::new(Some(folder.path().to_owned()));
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

    #[test]
    fn many_entries_spill_and_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut sorter = TokenSorter::new(Some(folder.path().to_owned()));
        for row in 0..20_000u32 {
            sorter
                .add(&Token(blake3::hash(&(row % 5_000).to_le_bytes()).as_bytes()[..16].try_into().unwrap()), row)
                .unwrap();
            sorter.add(&Token([7; 16]), row).unwrap();
        }
        let mut bytes = Vec::new();
        let sorted = sorter.finish(&mut bytes).unwrap();
        assert_eq!(sorted, Sorted { entries: 40_000, largest_cohort: 20_000 });
        let table = TokenTable::new(Bytes::Memory(bytes)).unwrap();
        assert_eq!(table.rows(&Token([7; 16])).count(), 20_000);
        let token = Token(blake3::hash(&3u32.to_le_bytes()).as_bytes()[..16].try_into().unwrap());
        assert_eq!(table.rows(&token).collect::<Vec<_>>(), [3, 5_003, 10_003, 15_003]);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "no spill file stays");
    }
}
