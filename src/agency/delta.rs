//! What a delta continues: the folder of the set before it, and the records that the set has no more.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use clap::Args;
use hedui_protocol::basis::Basis;
use hedui_protocol::encodings::Token;
use hedui_protocol::ids::{BatchId, RecordId};
use hedui_protocol::keys::RecordKey;
use hedui_protocol::manifest::{Agency, Manifest};
use hedui_protocol::part::batch_id;

use super::submit::read_header;
use crate::failure::{Failure, Outcome};
use crate::options::TableFormat;
use crate::table::row_ids::RowIds;

/// Tokens that too many rows of the set share, and that its rows go without: 16 bytes each.
pub const LEFT_OUT_FILE: &str = "left-out.tokens";

#[derive(Args, Debug)]
pub struct DeltaFiles {
    /// The folder of the set (or of the delta) that this file continues: only new and changed rows are in the file
    #[arg(long, value_name = "DIR")]
    base: Option<PathBuf>,
    /// A file with the ids of rows that are gone, in a column of the same name
    #[arg(long, value_name = "FILE", requires = "base")]
    delete: Option<PathBuf>,
}

/// What a batch continues; nothing of a whole set.
#[derive(Default)]
pub struct Delta {
    pub base: Option<BatchId>,
    pub deletes: HashSet<RecordId>,
    /// Tokens that the rows before go without.
    pub left_out: HashSet<Token>,
}

impl DeltaFiles {
    pub fn load(&self, manifest: &Manifest, agency: &Agency, key: &RecordKey, format: &TableFormat) -> Outcome<Delta> {
        let Some(base) = &self.base else { return Ok(Delta::default()) };
        let (signed, header) = read_header(base)?;
        header
            .basis
            .agrees_with(&Basis::of(manifest))
            .map_err(|e| Failure::refused(format!("{}: {e}", base.display())))?;
        if header.agency != agency.name {
            return Err(Failure::refused(format!("{}: this is a set of `{}`", base.display(), header.agency)));
        }
        let mut deletes = HashSet::new();
        if let Some(path) = &self.delete {
            let mut table = format.open(path)?;
            let ids = RowIds::find(&table, &format.id)?;
            loop {
                let rows = table.next_rows(4096)?;
                if rows.is_empty() {
                    break;
                }
                for row in rows {
                    deletes.insert(key.record_id(manifest.id(), ids.of(&row)?));
                }
            }
        }
        Ok(Delta { base: Some(batch_id(&signed)), deletes, left_out: left_out(&base.join(LEFT_OUT_FILE))? })
    }
}

fn left_out(path: &Path) -> Outcome<HashSet<Token>> {
    let bytes = std::fs::read(path).map_err(|e| Failure::file("read", path, &e))?;
    let (tokens, rest) = bytes.as_chunks::<{ Token::BYTES }>();
    if !rest.is_empty() {
        return Err(Failure::refused(format!("{}: the file is cut off", path.display())));
    }
    Ok(tokens.iter().map(|token| Token(*token)).collect())
}

/// The file's bytes, in order.
pub fn left_out_bytes(tokens: &HashSet<Token>) -> Vec<u8> {
    let mut sorted: Vec<[u8; Token::BYTES]> = tokens.iter().map(|token| token.0).collect();
    sorted.sort_unstable();
    sorted.concat()
}
