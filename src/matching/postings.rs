//! Key → the rows that have it, and which of their tokens it is. A key is a token of a pass.
//!
//! Each part of a set gives a [`Run`] of entries; [`merge`] puts those of all parts in order, a first byte at a time. Tokens are
//! uniformly random, so their first bits say where they lie: the table has its entries in buckets of four to eight, leaves
//! out the bytes that a bucket's keys have in common, and a lookup reads one start and one bucket.
//!
//! Layout: entries in order, each the key without its first bytes, the row (as few bytes as the rows need) and the token's number
//! among the row's; then for each bucket where it begins (u32), and the end; then how many entries there are (u64), bits that
//! number a bucket (u8), bytes of a row (u8).

#[cfg(feature = "server")]
use std::fs::File;
use std::io::{self, Write};
#[cfg(feature = "server")]
use std::os::unix::fs::FileExt as _;
#[cfg(feature = "server")]
use std::path::Path;

use hedui_protocol::encodings::{Encodings, Token};
use rayon::prelude::*;

use super::bytes::Bytes;

/// A key, its row (big-endian, so that bytes sort as numbers do) and its number among the row's tokens.
type Entry = [u8; ENTRY];
const ENTRY: usize = Token::BYTES + 4 + 1;
const FIRST_BYTES: usize = 256;
/// Entries of a bucket, at least: fewer would cost more in starts than they save in tokens.
const BUCKET: u64 = 4;
const TRAILER: usize = 8 + 1 + 1;

/// What is looked up: two passes never mean the same by a token, even where an agency sends the same bytes for both.
pub fn key(pass: u8, token: &Token) -> Token {
    let mut key = *token;
    key.0[Token::BYTES - 1] ^= pass;
    key
}

/// The tokens of one part's rows.
#[derive(Default)]
pub struct Run(Vec<Entry>);

impl Run {
    /// Adds a row's tokens.
    pub fn add(&mut self, row: u32, encodings: &Encodings) {
        let entries = encodings.tokens.iter().zip(0u8..).map(|((pass, token), number)| {
            let mut entry = [0; ENTRY];
            entry[..Token::BYTES].copy_from_slice(&key(*pass, token).0);
            entry[Token::BYTES..ENTRY - 1].copy_from_slice(&row.to_be_bytes());
            entry[ENTRY - 1] = number;
            entry
        });
        self.0.extend(entries);
    }

    /// Writes the entries by their first bytes, then where each first byte begins (u32), and the end.
    pub fn write(self, mut out: impl Write) -> io::Result<()> {
        let (entries, starts) = by_key(&self.0, FIRST_BYTES, |entry| usize::from(entry[0]));
        out.write_all(entries.as_flattened())?;
        starts.iter().try_for_each(|start| out.write_all(&start.to_le_bytes()))?;
        out.flush()
    }
}

/// Entries put in the order of a key, and where each key begins; then the end.
fn by_key(entries: &[Entry], keys: usize, key: impl Fn(&Entry) -> usize) -> (Vec<Entry>, Vec<u32>) {
    let mut starts = vec![0u32; keys + 1];
    entries.iter().for_each(|entry| starts[key(entry) + 1] += 1);
    (0..keys).for_each(|at| starts[at + 1] += starts[at]);
    let mut next = starts.clone();
    let mut sorted = vec![[0; ENTRY]; entries.len()];
    for entry in entries {
        let place = &mut next[key(entry)];
        sorted[*place as usize] = *entry;
        *place += 1;
    }
    (sorted, starts)
}

/// A run as it was written. One in a file is read a first byte at a time: merging takes no more memory for it.
pub struct WrittenRun {
    bytes: RunBytes,
    starts: Vec<u32>,
}

enum RunBytes {
    Memory(Vec<u8>),
    #[cfg(feature = "server")]
    File(File),
}

const STARTS: usize = 4 * (FIRST_BYTES + 1);

impl WrittenRun {
    /// None where the bytes are no run.
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
        let entries = bytes.len().checked_sub(STARTS)?;
        let starts = starts_of(&bytes[entries..], entries as u64)?;
        Some(Self { bytes: RunBytes::Memory(bytes), starts })
    }

    /// None where the file is no run.
    #[cfg(feature = "server")]
    pub fn open(path: &Path) -> io::Result<Option<Self>> {
        let file = File::open(path)?;
        let Some(entries) = file.metadata()?.len().checked_sub(STARTS as u64) else { return Ok(None) };
        let mut starts = [0; STARTS];
        file.read_exact_at(&mut starts, entries)?;
        Ok(starts_of(&starts, entries).map(|starts| Self { bytes: RunBytes::File(file), starts }))
    }

    /// Appends the entries that begin with this byte.
    fn read(&self, byte: usize, into: &mut Vec<Entry>) -> io::Result<()> {
        let (from, to) = (self.starts[byte] as usize, self.starts[byte + 1] as usize);
        match &self.bytes {
            RunBytes::Memory(bytes) => into.extend(bytes[from * ENTRY..to * ENTRY].as_chunks::<ENTRY>().0),
            #[cfg(feature = "server")]
            RunBytes::File(file) => {
                let before = into.len();
                into.resize(before + to - from, [0; ENTRY]);
                file.read_exact_at(into[before..].as_flattened_mut(), (from * ENTRY) as u64)?;
            }
        }
        Ok(())
    }

    fn entries(&self) -> u64 {
        u64::from(self.starts[FIRST_BYTES])
    }
}

/// Where each first byte begins among so many bytes of entries, and the end.
fn starts_of(bytes: &[u8], entries: u64) -> Option<Vec<u32>> {
    let starts: Vec<u32> = bytes.as_chunks::<4>().0.iter().map(|start| u32::from_le_bytes(*start)).collect();
    let whole = starts.is_sorted() && starts[0] == 0 && u64::from(starts[FIRST_BYTES]) * ENTRY as u64 == entries;
    whole.then_some(starts)
}

/// What a merge has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    pub entries: u64,
    /// The most rows that share one token.
    pub largest_cohort: u64,
}

/// How a table's entries are laid out.
#[derive(Clone, Copy)]
struct Layout {
    /// First bits of a key, which number its bucket.
    bits: u32,
    /// Bytes of a row.
    row: usize,
}

impl Layout {
    fn of(entries: u64, rows: u32) -> Self {
        let row = (u32::BITS - rows.saturating_sub(1).leading_zeros()).div_ceil(8).max(1);
        Self { bits: (entries / BUCKET).max(1).ilog2().clamp(8, 24), row: row as usize }
    }

    fn bucket(self, key: &[u8]) -> usize {
        let head = u32::from_be_bytes(key[..4].try_into().expect("four bytes"));
        (head >> (u32::BITS - self.bits)) as usize
    }

    /// Bytes that the keys of a bucket have in common.
    fn common(self) -> usize {
        self.bits as usize / 8
    }

    fn width(self) -> usize {
        Token::BYTES - self.common() + self.row + 1
    }

    fn write(self, entry: &Entry, into: &mut Vec<u8>) {
        into.extend_from_slice(&entry[self.common()..Token::BYTES]);
        into.extend_from_slice(&entry[ENTRY - 1 - self.row..]);
    }
}

/// Writes the table of all runs; beside the starts it holds at most `room` bytes, or what one first byte takes.
pub fn merge(runs: &[WrittenRun], rows: u32, room: u64, mut out: impl Write) -> io::Result<Merged> {
    let entries: u64 = runs.iter().map(WrittenRun::entries).sum();
    if u32::try_from(entries).is_err() {
        return Err(io::Error::other("the rows of one agency have more than 2^32 tokens"));
    }
    let layout = Layout::of(entries, rows);
    let mut starts = vec![0u32];
    let mut merged = Merged { entries, largest_cohort: 0 };
    // uniform tokens: each first byte has about as many; twice while they are put in order, and once as they are written
    let together =
        (room / (entries / FIRST_BYTES as u64 * 3 * ENTRY as u64).max(1)).clamp(1, FIRST_BYTES as u64) as usize;
    let all: Vec<usize> = (0..FIRST_BYTES).collect();
    for some in all.chunks(together.min(4 * rayon::current_num_threads())) {
        let groups = some.par_iter().map(|byte| Group::of(runs, *byte, layout));
        for group in groups.collect::<io::Result<Vec<_>>>()? {
            out.write_all(&group.bytes)?;
            let before = *starts.last().expect("one at least");
            starts.extend(group.starts[1..].iter().map(|start| before + start));
            merged.largest_cohort = merged.largest_cohort.max(group.largest_cohort);
        }
    }
    starts.iter().try_for_each(|start| out.write_all(&start.to_le_bytes()))?;
    out.write_all(&entries.to_le_bytes())?;
    out.write_all(&[layout.bits as u8, layout.row as u8])?;
    out.flush()?;
    Ok(merged)
}

/// The entries of one first byte, as they are written.
struct Group {
    bytes: Vec<u8>,
    /// Of the buckets of this first byte, from its own beginning.
    starts: Vec<u32>,
    largest_cohort: u64,
}

impl Group {
    fn of(runs: &[WrittenRun], byte: usize, layout: Layout) -> io::Result<Self> {
        let mut entries = Vec::new();
        runs.iter().try_for_each(|run| run.read(byte, &mut entries))?;
        let buckets = 1usize << (layout.bits - 8);
        let (mut sorted, starts) = by_key(&entries, buckets, |entry| layout.bucket(entry) & (buckets - 1));
        drop(entries);
        let (mut bytes, mut largest_cohort) = (Vec::with_capacity(sorted.len() * layout.width()), 0);
        for bucket in starts.windows(2) {
            let entries = &mut sorted[bucket[0] as usize..bucket[1] as usize];
            entries.sort_unstable();
            let cohorts = entries.chunk_by(|one, next| one[..Token::BYTES] == next[..Token::BYTES]);
            largest_cohort = cohorts.map(<[Entry]>::len).max().unwrap_or(0).max(largest_cohort);
            entries.iter().for_each(|entry| layout.write(entry, &mut bytes));
        }
        Ok(Self { bytes, starts, largest_cohort: largest_cohort as u64 })
    }
}

/// The table.
pub struct Postings {
    bytes: Bytes,
    layout: Layout,
    entries: usize,
}

/// A row that has a key, and its number among the row's tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Posting {
    pub row: u32,
    pub number: u8,
}

impl Postings {
    /// None where the bytes are no table.
    pub fn new(bytes: Bytes) -> Option<Self> {
        let trailer = &bytes[bytes.len().checked_sub(TRAILER)?..];
        let entries = usize::try_from(u64::from_le_bytes(trailer[..8].try_into().expect("eight bytes"))).ok()?;
        let layout = Layout { bits: u32::from(trailer[8]), row: usize::from(trailer[9]) };
        if !(8..=24).contains(&layout.bits) || !(1..=4).contains(&layout.row) {
            return None;
        }
        let whole = entries.checked_mul(layout.width())?.checked_add(4 * ((1 << layout.bits) + 1) + TRAILER)?;
        let table = Self { bytes, layout, entries };
        let right = table.bytes.len() == whole && table.starts().is_sorted() && table.starts().last()? == entries;
        right.then_some(table)
    }

    fn start(&self, bucket: usize) -> usize {
        let at = self.entries * self.layout.width() + 4 * bucket;
        u32::from_le_bytes(self.bytes[at..at + 4].try_into().expect("four bytes")) as usize
    }

    fn starts(&self) -> impl Iterator<Item = usize> {
        (0..=1 << self.layout.bits).map(|bucket| self.start(bucket))
    }

    fn entry(&self, at: usize) -> &[u8] {
        &self.bytes[at * self.layout.width()..][..self.layout.width()]
    }

    /// The rows that have this key, ascending.
    pub fn find(&self, key: Token) -> impl Iterator<Item = Posting> {
        let common = self.layout.common();
        let order = move |entry: &[u8]| entry[..Token::BYTES - common].cmp(&key.0[common..]);
        let bucket = self.layout.bucket(&key.0);
        let (mut from, end) = (self.start(bucket), self.start(bucket + 1));
        let mut to = end;
        while from < to {
            let middle = from.midpoint(to);
            if order(self.entry(middle)).is_lt() { from = middle + 1 } else { to = middle }
        }
        (from..end).map(|at| self.entry(at)).take_while(move |entry| order(entry).is_eq()).map(|entry| {
            let (head, number) = entry.split_at(entry.len() - 1);
            let row = head[head.len() - self.layout.row..].iter().fold(0, |row, byte| row << 8 | u32::from(*byte));
            Posting { row, number: number[0] }
        })
    }

    /// Every key of the table, once for each of its rows.
    pub fn keys(&self) -> impl Iterator<Item = Token> {
        let buckets = 0..1usize << self.layout.bits;
        buckets.flat_map(move |bucket| {
            let head = (bucket as u32) << (u32::BITS - self.layout.bits);
            (self.start(bucket)..self.start(bucket + 1)).map(move |at| {
                let mut key = [0; Token::BYTES];
                key[..4].copy_from_slice(&head.to_be_bytes());
                let common = self.layout.common();
                key[common..].copy_from_slice(&self.entry(at)[..Token::BYTES - common]);
                Token(key)
            })
        })
    }

    pub fn entries(&self) -> u64 {
        self.entries as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table(parts: &[Vec<(u32, Token)>], rows: u32) -> (Postings, Merged) {
        let runs: Vec<WrittenRun> = parts
            .iter()
            .map(|tokens| {
                let mut run = Run::default();
                for (row, token) in tokens {
                    run.add(*row, &Encodings { tokens: vec![(0, *token)], filters: vec![] });
                }
                let mut bytes = Vec::new();
                run.write(&mut bytes).unwrap();
                WrittenRun::new(bytes).unwrap()
            })
            .collect();
        let mut bytes = Vec::new();
        let merged = merge(&runs, rows, 0, &mut bytes).unwrap();
        (Postings::new(Bytes::Memory(bytes)).unwrap(), merged)
    }

    fn random(value: u64) -> Token {
        Token(blake3::hash(&value.to_le_bytes()).as_bytes()[..16].try_into().unwrap())
    }

    #[track_caller]
    fn check(all: &[(u32, Token)], parts: usize, strangers: impl Iterator<Item = Token>) {
        let rows = all.iter().map(|(row, _)| row + 1).max().unwrap_or(0);
        let parts: Vec<Vec<(u32, Token)>> = all.chunks(all.len().div_ceil(parts).max(1)).map(<[_]>::to_vec).collect();
        let (table, merged) = table(&parts, rows);
        let mut expect: std::collections::BTreeMap<Token, Vec<u32>> = Default::default();
        all.iter().for_each(|(row, token)| expect.entry(*token).or_default().push(*row));
        expect.values_mut().for_each(|rows| rows.sort_unstable());
        let most = expect.values().map(Vec::len).max().unwrap_or(0) as u64;
        assert_eq!(merged, Merged { entries: all.len() as u64, largest_cohort: most });
        for (token, rows) in &expect {
            assert_eq!(table.find(*token).map(|found| found.row).collect::<Vec<_>>(), *rows);
        }
        for token in strangers.filter(|token| !expect.contains_key(token)) {
            assert_eq!(table.find(token).count(), 0);
        }
        let told: Vec<Token> = table.keys().collect();
        assert_eq!(told, expect.iter().flat_map(|(token, rows)| rows.iter().map(|_| *token)).collect::<Vec<_>>());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_lookup_finds_what_was_added(
            alike in proptest::collection::vec((0u32..1 << 20, any::<u8>()), 0..300), count in 0u64..3000, parts in 1usize..5,
        ) {
            // tokens of one byte repeated meet in buckets and differ late; random ones spread
            let last = |byte: u8| { let mut token = [7; 16]; token[15] = byte; Token(token) };
            let alike = alike.iter().flat_map(|(row, byte)| [(*row, Token([*byte; 16])), (*row, last(*byte))]);
            let mut all: Vec<(u32, Token)> = alike.chain((0..count).map(|row| (row as u32, random(row % 700)))).collect();
            all.sort_by_key(|(row, _)| *row);
            all.dedup();
            check(&all, parts, (0..=255).map(|byte| Token([byte; 16])).chain((650..800).map(random)));
        }
    }

    #[test]
    fn enough_tokens_for_three_bytes_in_common() {
        let all: Vec<(u32, Token)> = (0..70_000u64).map(|row| (row as u32, random(row))).collect();
        check(&all, 3, (70_000..71_000).map(random));
        assert_eq!(Layout::of(70_000, 70_000).common(), 1);
        assert_eq!(Layout::of(190_000_000, 10_000_000).width(), 13 + 3 + 1);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_table_or_none(mut bytes in proptest::collection::vec(any::<u8>(), 0..64), bits in 0u8..40, row in 0u8..8) {
            prop_assert!(Postings::new(Bytes::Memory(bytes.clone())).is_none());
            bytes.extend([0u8; 4 * 257].iter().chain(&0u64.to_le_bytes()).chain(&[bits, row]));
            let table = Postings::new(Bytes::Memory(bytes));
            prop_assert!(table.is_none_or(|table| table.find(Token([0; 16])).count() == 0));
        }
    }

    #[test]
    fn a_cut_run_is_none() {
        let mut run = Run::default();
        run.add(3, &Encodings { tokens: vec![(0, random(1)), (1, random(2))], filters: vec![] });
        let mut bytes = Vec::new();
        run.write(&mut bytes).unwrap();
        for length in [0, 1, bytes.len() - 4, bytes.len() - 1] {
            assert!(WrittenRun::new(bytes[..length].to_vec()).is_none(), "{length}");
        }
    }
}
