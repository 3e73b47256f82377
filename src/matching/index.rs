//! The match index of one agency's set: derived from its parts, replaced whole, rebuilt at any time.

use std::io;
use std::sync::OnceLock;

use hedui_protocol::encodings::{Encodings, Shape, Token};
use hedui_protocol::ids::RecordId;
use rayon::prelude::*;

use super::bytes::Bytes;
use super::postings::{Postings, Run, WrittenRun, key, merge};
use super::record::FilterMatrix;
use super::rows::{RowTable, RowView, RowWriter};

/// Memory for putting the tokens of files on one machine in order.
const ROOM: u64 = 256 << 20;

/// Rows, and the tokens that lead to them.
pub struct Index {
    /// By part; and the first row of each.
    parts: Vec<RowTable>,
    firsts: Vec<u32>,
    rows: u32,
    postings: Postings,
    /// For the profiles without tokens, made when first asked for.
    filters: OnceLock<FilterMatrix>,
}

/// A token that a probe shares with a row. In the order of probes, rows, passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hit {
    /// Position among the probes that were asked together.
    pub probe: u32,
    pub row: u32,
    pub pass: u8,
    /// Number among the row's tokens.
    pub token: u8,
}

impl Index {
    /// None where the bytes are no index.
    pub fn new(parts: Vec<RowTable>, postings: Bytes) -> Option<Self> {
        let mut rows = 0u32;
        let mut firsts = Vec::with_capacity(parts.len());
        for part in &parts {
            firsts.push(rows);
            rows = rows.checked_add(part.count())?;
        }
        Some(Self { parts, firsts, rows, postings: Postings::new(postings)?, filters: OnceLock::new() })
    }

    /// An index of encodings alone, in memory: for linking two files on one machine.
    pub fn of_encodings<'e>(all: impl Iterator<Item = &'e Encodings>) -> io::Result<Self> {
        let (mut rows, mut run) = (RowWriter::new(Vec::new(), u8::MAX), Run::default());
        for (encodings, row) in all.zip(0u32..) {
            rows.write(RecordId([0; 16]), encodings, &[], &[])?;
            run.add(row, encodings);
        }
        let rows = RowTable::new(Bytes::Memory(rows.finish()?)).expect("written just now");
        let (mut written, mut table) = (Vec::new(), Vec::new());
        run.write(&mut written)?;
        let run = WrittenRun::new(written).expect("written just now");
        merge(&[run], rows.count(), ROOM, &mut table)?;
        Ok(Self::new(vec![rows], Bytes::Memory(table)).expect("written just now"))
    }

    pub fn rows(&self) -> u32 {
        self.rows
    }

    pub fn row(&self, row: u32) -> RowView<'_> {
        let (part, row) = self.place(row);
        self.parts[part].row(row, part as u32)
    }

    /// Whether a row has tokens of a pass.
    pub fn has_pass(&self, row: u32) -> impl Fn(usize) -> bool {
        let (part, row) = self.place(row);
        let passes = self.parts[part].passes(row);
        move |pass| passes[pass / 8] >> (pass % 8) & 1 == 1
    }

    fn place(&self, row: u32) -> (usize, u32) {
        let part = self.firsts.partition_point(|first| *first <= row) - 1;
        (part, row - self.firsts[part])
    }

    /// All rows' filters, side by side.
    pub fn filters(&self, shape: &Shape) -> &FilterMatrix {
        self.filters.get_or_init(|| FilterMatrix::new(self, shape))
    }

    /// What these probes and the rows share, in order. The table is read from one end to the other, however many ask.
    pub fn hits<'p>(&self, probes: impl Iterator<Item = &'p Encodings>) -> Vec<Hit> {
        let asked = probes.zip(0u32..).flat_map(|(probe, number)| {
            probe.tokens.iter().map(move |(pass, token)| (key(*pass, token), number, *pass))
        });
        let mut asked: Vec<(Token, u32, u8)> = asked.collect();
        asked.par_sort_unstable();
        let find = |(key, probe, pass): (Token, u32, u8)| {
            self.postings.find(key).map(move |found| Hit { probe, row: found.row, pass, token: found.number })
        };
        let mut hits: Vec<Hit> = asked.into_par_iter().flat_map_iter(find).collect();
        hits.par_sort_unstable();
        hits
    }

    /// The rows that share a token with a probe, each once, ascending.
    pub fn candidates(&self, probe: &Encodings) -> Vec<u32> {
        let mut rows: Vec<u32> = self.hits(std::iter::once(probe)).iter().map(|hit| hit.row).collect();
        rows.dedup();
        rows
    }
}
