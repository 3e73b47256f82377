//! The rows of one part, by number: record id, passes, filters, wraps and locked payloads.
//!
//! What tells whether a candidate is worth a look lies apart from the rest, a few bytes a row. Layout: the rows; then for each row
//! where it begins (five bytes) and which passes it has (a bit each); then how many rows there are (u32), bytes of passes (u8). A
//! row is the record id (16), the lengths of its filters (u32) and wraps (u16), filters (u8 number, bits), wraps, locked.

use std::io::{self, Write};

use hedui_protocol::encodings::Encodings;
use hedui_protocol::ids::RecordId;

use super::bytes::Bytes;

const HEAD: usize = 16 + 4 + 2;
const START: usize = 5;
const TRAILER: usize = 4 + 1;

/// One row, borrowed from the index.
#[derive(Clone, Copy)]
pub struct RowView<'r> {
    pub record: RecordId,
    /// The part that holds it, as they are numbered.
    pub part: u32,
    filters: &'r [u8],
    pub wraps: &'r [u8],
    pub locked: &'r [u8],
}

impl<'r> RowView<'r> {
    /// The bits of a filter, where the row has it; `lengths` in bytes, by filter.
    pub fn filter(&self, number: usize, lengths: &[usize]) -> Option<&'r [u8]> {
        let mut rest = self.filters;
        while let Some((own, after)) = rest.split_first() {
            let (bits, next) = after.split_at_checked(*lengths.get(usize::from(*own))?)?;
            if usize::from(*own) == number {
                return Some(bits);
            }
            rest = next;
        }
        None
    }
}

/// Writes rows as a stream; it remembers a few bytes a row.
pub struct RowWriter<W> {
    out: W,
    /// Where rows begin, and their passes.
    places: Vec<u8>,
    passes: usize,
    rows: u32,
    at: u64,
}

impl<W: Write> RowWriter<W> {
    /// `passes`: how many the schema has.
    pub fn new(out: W, passes: u8) -> Self {
        Self { out, places: Vec::new(), passes: usize::from(passes).div_ceil(8), rows: 0, at: 0 }
    }

    pub fn write(&mut self, record: RecordId, encodings: &Encodings, wraps: &[u8], locked: &[u8]) -> io::Result<()> {
        self.places.extend_from_slice(&self.at.to_le_bytes()[..START]);
        let passes = self.places.len();
        self.places.resize(passes + self.passes, 0);
        for (pass, _) in &encodings.tokens {
            self.places[passes + usize::from(pass / 8)] |= 1 << (pass % 8);
        }
        let filters: usize = encodings.filters.iter().map(|(_, bits)| 1 + bits.len()).sum();
        let filter_bytes = u32::try_from(filters).expect("at most 255 filters of 2 KiB");
        let wrap_bytes =
            u16::try_from(wraps.len()).map_err(|_| io::Error::other("a row has more wraps than tokens"))?;
        self.out.write_all(&record.0)?;
        self.out.write_all(&filter_bytes.to_le_bytes())?;
        self.out.write_all(&wrap_bytes.to_le_bytes())?;
        for (number, bits) in &encodings.filters {
            self.out.write_all(&[*number])?;
            self.out.write_all(bits)?;
        }
        self.out.write_all(wraps)?;
        self.out.write_all(locked)?;
        self.at += (HEAD + filters + wraps.len() + locked.len()) as u64;
        self.rows = self.rows.checked_add(1).ok_or_else(|| io::Error::other("a part has more than 2^32 rows"))?;
        Ok(())
    }

    pub fn finish(mut self) -> io::Result<W> {
        self.out.write_all(&self.places)?;
        self.out.write_all(&self.rows.to_le_bytes())?;
        self.out.write_all(&[self.passes as u8])?;
        self.out.flush()?;
        Ok(self.out)
    }
}

/// The rows of a part. The bytes have been checked against their checksum, or were written by this process.
pub struct RowTable {
    bytes: Bytes,
    count: usize,
    passes: usize,
    places: usize,
}

impl RowTable {
    /// None where the bytes are too short for the rows that they announce.
    pub fn new(bytes: Bytes) -> Option<Self> {
        let end = bytes.len().checked_sub(TRAILER)?;
        let count = u32::from_le_bytes(bytes[end..end + 4].try_into().expect("four bytes")) as usize;
        let passes = usize::from(bytes[end + 4]);
        let places = end.checked_sub(count.checked_mul(START + passes)?)?;
        Some(Self { bytes, count, passes, places })
    }

    pub fn count(&self) -> u32 {
        self.count as u32
    }

    fn place(&self, row: usize) -> &[u8] {
        assert!(row < self.count, "rows come from the same index");
        &self.bytes[self.places + row * (START + self.passes)..][..START + self.passes]
    }

    fn start(&self, row: usize) -> usize {
        let mut bytes = [0; 8];
        bytes[..START].copy_from_slice(&self.place(row)[..START]);
        u64::from_le_bytes(bytes) as usize
    }

    /// Which passes the row has tokens of, a bit each.
    pub fn passes(&self, row: u32) -> &[u8] {
        &self.place(row as usize)[START..]
    }

    pub fn row(&self, row: u32, part: u32) -> RowView<'_> {
        let row = row as usize;
        let next = if row + 1 < self.count { self.start(row + 1) } else { self.places };
        let bytes = &self.bytes[self.start(row)..next];
        let filters = HEAD + u32::from_le_bytes(bytes[16..20].try_into().expect("four bytes")) as usize;
        let wraps = filters + usize::from(u16::from_le_bytes(bytes[20..22].try_into().expect("two bytes")));
        RowView {
            record: RecordId(bytes[..16].try_into().expect("sixteen bytes")),
            part,
            filters: &bytes[HEAD..filters],
            wraps: &bytes[filters..wraps],
            locked: &bytes[wraps..],
        }
    }
}
