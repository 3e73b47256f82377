//! The match index of one agency's set: derived from its parts, replaced whole, rebuilt at any time.

use std::io;
use std::sync::OnceLock;

use hedui_protocol::encodings::{Encodings, Shape, Token};

use super::bytes::Bytes;
use super::record::FilterMatrix;
use super::rows::{RowTable, RowView, RowWriter};
use super::tokens::{TokenSorter, TokenTable};

/// Rows, and the tokens that lead to them.
pub struct Index {
    rows: RowTable,
    tokens: TokenTable,
    /// Answers "not here" for most tokens without touching the table.
    may_hold: Box<dyn Fn(&Token) -> bool + Send + Sync>,
    /// For the profiles without tokens, made when first asked for.
    filters: OnceLock<FilterMatrix>,
}

impl Index {
    /// None where the bytes are no index.
    pub fn new(rows: Bytes, tokens: Bytes, may_hold: impl Fn(&Token) -> bool + Send + Sync + 'static) -> Option<Self> {
        let (rows, tokens) = (RowTable::new(rows)?, TokenTable::new(tokens)?);
        Some(Self { rows, tokens, may_hold: Box::new(may_hold), filters: OnceLock::new() })
    }

    /// An index of encodings alone, in memory: for linking two files on one machine.
    pub fn of_encodings<'e>(all: impl Iterator<Item = &'e Encodings>) -> io::Result<Self> {
        let mut rows = RowWriter::new(Vec::new());
        let mut tokens = TokenSorter::new(None);
        for encodings in all {
            let bytes = encodings.to_bytes();
            let record = hedui_protocol::ids::RecordId([0; 16]);
            let row = rows.write(&RowView { record, part: 0, encodings: &bytes, wraps: &[], locked: &[] })?;
            encodings.tokens.iter().try_for_each(|(_, token)| tokens.add(token, row))?;
        }
        let mut table = Vec::new();
        tokens.finish(&mut table)?;
        let rows = Bytes::Memory(rows.finish()?);
        Ok(Self::new(rows, Bytes::Memory(table), |_| true).expect("written just now"))
    }

    pub fn rows(&self) -> u32 {
        self.rows.count()
    }

    pub fn row(&self, row: u32) -> RowView<'_> {
        self.rows.row(row)
    }

    /// All rows' filters, side by side.
    pub fn filters(&self, shape: &Shape) -> &FilterMatrix {
        self.filters.get_or_init(|| FilterMatrix::new(self, shape))
    }

    /// The rows of any of these tokens, each once, ascending.
    pub fn candidates(&self, probe: &Encodings) -> Vec<u32> {
        let here = probe.tokens.iter().filter(|(_, token)| (self.may_hold)(token));
        let mut rows: Vec<u32> = here.flat_map(|(_, token)| self.tokens.rows(token)).collect();
        rows.sort_unstable();
        rows.dedup();
        rows
    }
}
