//! The rows of an index: each record's id, part, encodings, wraps and locked payloads, by row number.
//!
//! Layout: the rows, then for each row its start (u64), then the number of rows (u64). A row is the record id (16),
//! its part (u32), the lengths of encodings and wraps (u32 each), encodings, wraps, locked.

use std::io::{self, Write};

use hedui_protocol::ids::RecordId;

use super::bytes::Bytes;

const HEAD: usize = 16 + 4 + 4 + 4;

/// One row, borrowed from the index.
#[derive(Clone, Copy)]
pub struct RowView<'r> {
    pub record: RecordId,
    pub part: u32,
    pub encodings: &'r [u8],
    pub wraps: &'r [u8],
    pub locked: &'r [u8],
}

/// Writes rows as a stream; it remembers eight bytes a row.
pub struct RowWriter<W> {
    out: W,
    starts: Vec<u64>,
    at: u64,
}

impl<W: Write> RowWriter<W> {
    pub fn new(out: W) -> Self {
        Self { out, starts: Vec::new(), at: 0 }
    }

    /// Returns the row's number.
    pub fn write(&mut self, row: &RowView<'_>) -> io::Result<u32> {
        let number = u32::try_from(self.starts.len()).map_err(|_| io::Error::other("more than 2^32 rows"))?;
        self.starts.push(self.at);
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).expect("a row is far below 4 GiB").to_le_bytes();
        let head = [&row.record.0[..], &row.part.to_le_bytes(), &length(row.encodings), &length(row.wraps)].concat();
        for bytes in [&head, row.encodings, row.wraps, row.locked] {
            self.out.write_all(bytes)?;
            self.at += bytes.len() as u64;
        }
        Ok(number)
    }

    pub fn finish(mut self) -> io::Result<W> {
        for start in &self.starts {
            self.out.write_all(&start.to_le_bytes())?;
        }
        self.out.write_all(&(self.starts.len() as u64).to_le_bytes())?;
        self.out.flush()?;
        Ok(self.out)
    }
}

/// Rows by number. The bytes have been checked against their checksum, or were written by this process.
pub struct RowTable {
    bytes: Bytes,
    count: usize,
    starts: usize,
}

impl RowTable {
    /// None where the bytes are too short for the rows that they announce.
    pub fn new(bytes: Bytes) -> Option<Self> {
        let end = bytes.len().checked_sub(8)?;
        let count = usize::try_from(number(&bytes, end)).ok()?;
        let starts = end.checked_sub(count.checked_mul(8)?)?;
        Some(Self { bytes, count, starts })
    }

    pub fn count(&self) -> u32 {
        self.count as u32
    }

    pub fn row(&self, row: u32) -> RowView<'_> {
        let row = row as usize;
        assert!(row < self.count, "rows come from the same index");
        let start = number(&self.bytes, self.starts + 8 * row) as usize;
        let next =
            if row + 1 < self.count { number(&self.bytes, self.starts + 8 * (row + 1)) as usize } else { self.starts };
        let bytes = &self.bytes[start..next];
        let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let encodings = HEAD + u32_at(20) as usize;
        let wraps = encodings + u32_at(24) as usize;
        RowView {
            record: RecordId(bytes[..16].try_into().expect("sixteen bytes")),
            part: u32_at(16),
            encodings: &bytes[HEAD..encodings],
            wraps: &bytes[encodings..wraps],
            locked: &bytes[wraps..],
        }
    }
}

fn number(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}
