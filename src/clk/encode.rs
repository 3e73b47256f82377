//! `hedui clk encode`: a CSV file and a linkage schema become CLKs.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use clap::Args;
use hedui_protocol::clk::{Cache, ClkEncoder, ClkSchema, ClkSchemaError};
use rayon::prelude::*;

use super::file::{ClkWriter, Form};
use crate::failure::{Failure, Outcome};
use crate::keyfile;
use crate::staging::refuse_to_overwrite;
use crate::table::{Encoding, Row, Source, Table};
use crate::terminal::{self, Interrupt};

/// Rows that all cores encode at once.
const BLOCK: usize = 8192;
/// Secrets shorter than this can be guessed.
const SHORT: usize = 16;

#[derive(Args, Debug)]
pub struct Encode {
    /// CSV or Parquet with the schema's columns, in its order; `-` is CSV on standard input
    #[arg(value_name = "DATA")]
    data: PathBuf,
    /// A clkhash linkage schema (JSON, version 1, 2 or 3)
    #[arg(value_name = "SCHEMA")]
    schema: PathBuf,
    /// The secret, as it stands in the file (mode 0600)
    #[arg(long, value_name = "FILE")]
    secret_file: PathBuf,
    /// The CLKs: .json as clkhash writes them, .bin or .parquet
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The form of the output, where its name does not say it
    #[arg(long, value_name = "FORM")]
    form: Option<Form>,
    /// Encoding of a CSV file; detected where it is not given
    #[arg(long)]
    encoding: Option<Encoding>,
}

impl Encode {
    pub fn run(self) -> Outcome {
        let interrupt = Interrupt::listen();
        refuse_to_overwrite(&[&self.data, &self.schema, &self.secret_file], [&self.out])?;
        let (schema, encoder) = self.encoder()?;
        let form = Form::of(self.form, &self.out)?;
        // clkhash reads commas and nothing else
        let source = Source { path: self.data.clone(), encoding: self.encoding, separator: Some(b',') };
        let mut table = Table::open(&source)?;
        same_columns(&table, &schema)?;

        let length = schema.bits.div_ceil(8);
        let mut writer = ClkWriter::create(&self.out, form, length)?;
        // what a thread has seen stays with it from block to block
        let caches: Vec<Mutex<Cache>> =
            (0..rayon::current_num_threads()).map(|_| Mutex::new(encoder.cache())).collect();
        let progress = terminal::counter("encoding rows");
        loop {
            interrupt.check()?;
            let rows = table.next_rows(BLOCK)?;
            if rows.is_empty() {
                break;
            }
            let clks = rows
                .par_chunks(256)
                .map(|rows| encode(&encoder, &caches, &table.name, rows))
                .collect::<Outcome<Vec<_>>>()?
                .concat();
            writer.write(rows.iter().map(|row| row.number - 1).zip(clks.chunks_exact(length)))?;
            progress.set_position(table.read());
        }
        progress.finish_and_clear();
        writer.finish()?;
        terminal::note(format!("{}: {} CLKs of {} bits", self.out.display(), table.read(), schema.bits));
        Ok(())
    }

    fn encoder(&self) -> Outcome<(ClkSchema, ClkEncoder)> {
        let refused = |e: ClkSchemaError| Failure::refused(format!("{}: {e}", self.schema.display()));
        let json = std::fs::read(&self.schema).map_err(|e| Failure::file("read", &self.schema, &e))?;
        let schema = ClkSchema::parse(&json).map_err(refused)?;
        let secret = keyfile::read(&self.secret_file)?;
        if secret.is_empty() {
            return Err(Failure::refused(format!("{}: the secret is empty", self.secret_file.display()))
                .hint("`head -c 32 /dev/urandom` makes one"));
        }
        let encoder = ClkEncoder::new(&schema, &secret).map_err(refused)?;
        for remark in schema.remarks() {
            terminal::note(format!("warning: {}: {remark}", self.schema.display()));
        }
        if secret.len() < SHORT {
            let (file, length) = (self.secret_file.display(), secret.len());
            terminal::note(format!(
                "warning: {file}: a secret of {length} bytes can be guessed; 32 random bytes cannot"
            ));
        }
        Ok((schema, encoder))
    }
}

/// The rows' CLKs, side by side.
fn encode(encoder: &ClkEncoder, caches: &[Mutex<Cache>], name: &str, rows: &[Row]) -> Outcome<Vec<u8>> {
    let thread = rayon::current_thread_index().unwrap_or_default();
    let mut cache = caches[thread].lock().unwrap_or_else(PoisonError::into_inner);
    let (mut cells, mut clks) = (Vec::new(), Vec::new());
    for row in rows {
        cells.clear();
        cells.extend(row.cells.iter());
        let encoded = encoder.encode(&cells, &mut cache, &mut clks);
        encoded.map_err(|e| Failure::refused(format!("{name}: row {}: {e}", row.number)))?;
    }
    Ok(clks)
}

/// clkhash encodes by position, and checks the names: so do we.
fn same_columns(table: &Table, schema: &ClkSchema) -> Outcome {
    if table.header.len() != schema.columns.len() {
        let (got, expected) = (table.header.len(), schema.columns.len());
        return Err(Failure::refused(format!("{}: the header has {got} columns, the schema {expected}", table.name))
            .hint("every column needs a feature of the schema, be it one with `\"ignored\": true`"));
    }
    let mut pairs = table.header.iter().zip(&schema.columns).zip(1..);
    match pairs.find(|((column, expected), _)| column.as_str() != expected.trim()) {
        None => Ok(()),
        Some(((_, expected), at)) => Err(Failure::refused(format!(
            "{}: column {at} is not `{expected}`, which the schema has there",
            table.name
        ))),
    }
}
