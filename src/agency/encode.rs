//! `hedui agency encode`: rows become encodings and sealed payloads, in parts, as a stream.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use clap::Args;
use hedui_protocol::basis::Basis;
use hedui_protocol::encodings::{Encodings, Token};
use hedui_protocol::ids::{ContentHash, RecordId};
use hedui_protocol::keys::RecordKey;
use hedui_protocol::manifest::{Agency, Manifest, Release};
use hedui_protocol::part::{BatchHeader, PartInfo, PartSeal, StoredRecord};
use hedui_protocol::row_encoder::RowEncoder;
use hedui_protocol::seal::PartSealer;
use hedui_protocol::sign::{Purpose, Signed, SigningKey};
use jiff::civil::Date;
use rayon::prelude::*;

use super::OwnFile;
use super::cohorts::{CoarseCounts, ExactCounts, leave_out};
use super::delta::{Delta, DeltaFiles, LEFT_OUT_FILE, left_out_bytes};
use super::rows::{AgencyTable, Layout};
use crate::clock::Clock;
use crate::failure::{Failure, Outcome};
use crate::matching::repeats::Repeats;
use crate::options::{LinkageKeyFile, SigningKeyFile};
use crate::parts::{self, PartMeta, PartReader};
use crate::staging::Staging;
use crate::table::Row;
use crate::table::columns::Columns;
use crate::terminal::{self, Interrupt};

/// The signed header, beside the parts.
pub const HEADER_FILE: &str = "batch.json";
/// Rows that are encoded at once, by all cores.
const BLOCK: usize = 4096;

pub fn part_file(number: u32) -> String {
    format!("part-{number:05}.parquet")
}

#[derive(Args, Debug)]
pub struct Encode {
    #[command(flatten)]
    own: OwnFile,
    #[command(flatten)]
    key: LinkageKeyFile,
    #[command(flatten)]
    signing_key: SigningKeyFile,
    /// The folder to write; it must not exist yet
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    delta: DeltaFiles,
    /// The day that the rows speak of; today where it is not given
    #[arg(long, value_name = "DATE")]
    as_of: Option<Date>,
}

impl Encode {
    pub fn run(self, clock: &Clock) -> Outcome {
        let interrupt = Interrupt::listen();
        let manifest = self.own.manifest.load()?;
        let agency = self.own.agency(&manifest)?;
        let linkage_key = self.key.load_for(&manifest)?;
        let (signing_key, seed) = self.signing_key.load_for(&agency.name, agency.signing_key)?;
        let as_of = self.as_of.unwrap_or_else(|| clock.today());
        let AgencyTable { mut table, identity, layout } =
            AgencyTable::open(&self.own.data, &manifest.schema, &agency.items, as_of)?;
        let encoder = RowEncoder::new(&linkage_key, manifest.id(), &manifest.schema, &agency.name);
        let record_key = RecordKey::from_signing_seed(&seed);
        let delta = self.delta.load(&manifest, agency, &record_key, &self.own.data.format)?;
        let may_be_empty = !delta.deletes.is_empty();
        let house = House { manifest: &manifest, agency, encoder, record_key, identity, layout };

        let mut batch = Batch::new(Staging::new(&self.out)?, &house, delta);
        let progress = terminal::counter("encoding rows");
        loop {
            interrupt.check()?;
            let rows = table.next_rows(batch.room().min(BLOCK))?;
            if rows.is_empty() {
                break;
            }
            batch.add(&rows)?;
            progress.set_position(table.read());
        }
        progress.finish_and_clear();
        if !may_be_empty {
            table.refuse_empty()?;
        }
        let summary = batch.finish(&signing_key, clock, &interrupt)?;
        terminal::note(format!("{}: {summary}", self.out.display()));
        Ok(())
    }
}

/// What encoding a row needs; shared by all threads.
struct House<'m> {
    manifest: &'m Manifest,
    agency: &'m Agency,
    encoder: RowEncoder,
    record_key: RecordKey,
    identity: Columns,
    layout: Layout,
}

impl House<'_> {
    /// A record, its encodings, and whether a spreadsheet has rounded one of its numbers.
    fn record(&self, row: &Row, sealer: &PartSealer<'_>) -> Outcome<(StoredRecord, Encodings, bool)> {
        let record = self.record_key.record_id(self.manifest.id(), self.layout.ids.of(row)?);
        let encoded = self.encoder.encode(&self.identity.cells(row));
        let encoded = encoded.map_err(|e| self.layout.ids.error_at(row, &e.to_string()))?;
        let (wraps, locked) = match self.agency.release {
            Release::OnMatch => Default::default(),
            Release::Deposit => {
                let payloads = self.agency.offers().map(|(item, level)| self.layout.payload(row, item, level));
                let payloads: Vec<Vec<u8>> = payloads.collect::<Outcome<_>>()?;
                sealer
                    .record(record, &encoded.wrap_keys, &payloads)
                    .map_err(|e| self.layout.ids.error_at(row, &e.to_string()))?
            }
        };
        let record = StoredRecord { record, encodings: encoded.encodings.to_bytes(), wraps, locked };
        Ok((record, encoded.encodings, encoded.rounded))
    }
}

/// A batch in the making: the part that is being filled, and those on disk.
struct Batch<'h, 'm> {
    staging: Staging,
    house: &'h House<'m>,
    sealer: Option<PartSealer<'m>>,
    pending: Vec<StoredRecord>,
    parts: Vec<PartInfo>,
    counts: CoarseCounts,
    delta: Delta,
    /// The records' ids, as tokens are kept: in bounded memory, for a look at whether one stands there twice.
    ids: Repeats,
    tokens: u64,
    /// Rows with a number that a spreadsheet has rounded.
    rounded: u64,
}

impl<'h, 'm> Batch<'h, 'm> {
    fn new(staging: Staging, house: &'h House<'m>, delta: Delta) -> Self {
        let ids = Repeats::new(Some(staging.path("")));
        let (pending, parts) = Default::default();
        let (sealer, counts) = (None, CoarseCounts::new());
        Self { staging, house, sealer, pending, parts, counts, delta, ids, tokens: 0, rounded: 0 }
    }

    /// Rows until the part is full.
    fn room(&self) -> usize {
        self.house.manifest.limits.part_rows as usize - self.pending.len()
    }

    fn add(&mut self, rows: &[Row]) -> Outcome {
        let sealer = match self.sealer.take() {
            Some(sealer) => sealer,
            None => PartSealer::new(self.house.manifest, self.house.agency).map_err(Failure::refused)?,
        };
        let encoded: Vec<_> = rows.par_iter().map(|row| self.house.record(row, &sealer)).collect::<Outcome<_>>()?;
        self.sealer = Some(sealer);
        for (row, (record, encodings, rounded)) in rows.iter().zip(encoded) {
            self.rounded += u64::from(rounded);
            let number = u32::try_from(row.number).map_err(|_| Failure::refused("a batch has fewer than 2^32 rows"))?;
            self.ids.add(&Token(record.record.0), number).map_err(|e| self.cannot_spill(&e))?;
            if self.delta.deletes.contains(&record.record) {
                let wrong = "its id stands in the file of deleted rows too";
                return Err(self.house.layout.ids.error_at(row, wrong));
            }
            self.counts.count(&encodings);
            self.tokens += encodings.tokens.len() as u64;
            self.pending.push(record);
        }
        if self.room() == 0 { self.close_part() } else { Ok(()) }
    }

    fn close_part(&mut self) -> Outcome {
        let Some(sealer) = self.sealer.take() else { return Ok(()) };
        let mut seal = sealer.part_seal();
        if self.house.agency.release == Release::OnMatch {
            seal.encapsulations.clear();
        }
        let rows = std::mem::take(&mut self.pending);
        let number = u32::try_from(self.parts.len()).expect("fewer than 2^32 parts");
        let info = self.write_part(number, seal, &rows)?;
        self.parts.push(info);
        Ok(())
    }

    fn write_part(&self, number: u32, seal: PartSeal, rows: &[StoredRecord]) -> Outcome<PartInfo> {
        let (manifest, agency) = (self.house.manifest.id(), self.house.agency.name.clone());
        let bytes = parts::write(&PartMeta { manifest, agency, number, seal }, rows).map_err(Failure::refused)?;
        self.staging.write(&part_file(number), &bytes)?;
        let rows = u32::try_from(rows.len()).expect("a part's rows are capped far below 2^32");
        Ok(PartInfo { number, rows, bytes: bytes.len() as u64, hash: ContentHash::of(&bytes) })
    }

    fn finish(mut self, key: &SigningKey, clock: &Clock, interrupt: &Interrupt) -> Outcome<String> {
        self.close_part()?;
        self.refuse_repeated_ids()?;
        let left_out = self.cap_cohorts(interrupt)?;
        let header = BatchHeader {
            basis: Basis::of(self.house.manifest),
            agency: self.house.agency.name.clone(),
            created_at: clock.now(),
            base: self.delta.base,
            deletes: sorted(&self.delta.deletes),
            records: self.parts.iter().map(|part| u64::from(part.rows)).sum(),
            parts: self.parts,
        };
        self.staging.write(LEFT_OUT_FILE, &left_out_bytes(&self.delta.left_out))?;
        let signed = Signed::new(key, Purpose::Batch, header.to_bytes());
        self.staging.write(HEADER_FILE, &serde_json::to_vec_pretty(&signed).expect("a header is JSON"))?;
        let deleted = match header.deletes.len() {
            0 => String::new(),
            count => format!(", {count} deleted"),
        };
        let summary = format!(
            "{} records in {} parts{deleted}, {} tokens, {left_out} left out because too many rows share them",
            header.records,
            header.parts.len(),
            self.tokens - left_out,
        );
        self.staging.finish()?;
        if self.rounded > 0 {
            terminal::note(format!(
                "warning: {} rows have numbers that a spreadsheet has rounded (1.1E+17): nobody finds them by number. \
                 Export the column as text, and encode again",
                self.rounded
            ));
        }
        Ok(summary)
    }

    fn refuse_repeated_ids(&mut self) -> Outcome {
        let ids = std::mem::replace(&mut self.ids, Repeats::new(None));
        match ids.first_repeated().map_err(|e| self.cannot_spill(&e))? {
            Some((row, earlier)) => Err(self.house.layout.ids.repeated(row.into(), earlier.into())),
            None => Ok(()),
        }
    }

    fn cannot_spill(&self, error: &std::io::Error) -> Failure {
        Failure::file("write", &self.staging.path(""), error)
    }

    /// Takes tokens over the cap out of the parts on disk; almost always there are none, and nothing is read.
    fn cap_cohorts(&mut self, interrupt: &Interrupt) -> Outcome<u64> {
        let cap = self.house.manifest.limits.cohort;
        let mut oversize = std::mem::take(&mut self.delta.left_out);
        if self.counts.any_over(cap) {
            let mut exact = ExactCounts::new(&self.counts, cap);
            for number in 0..self.parts.len() as u32 {
                interrupt.check()?;
                self.read_part(number)?.1.iter().try_for_each(|row| self.encodings(row).map(|e| exact.count(&e)))?;
            }
            oversize.extend(exact.oversize());
        }
        if oversize.is_empty() {
            return Ok(0);
        }
        let mut left_out = 0;
        for number in 0..self.parts.len() as u32 {
            interrupt.check()?;
            let (seal, mut rows) = self.read_part(number)?;
            let before = left_out;
            for row in &mut rows {
                let encodings = self.encodings(row)?;
                left_out += leave_out(row, encodings, &oversize, &self.house.manifest.schema);
            }
            if left_out > before {
                self.parts[number as usize] = self.write_part(number, seal, &rows)?;
            }
        }
        self.delta.left_out = oversize;
        Ok(left_out)
    }

    fn encodings(&self, row: &StoredRecord) -> Outcome<Encodings> {
        Encodings::parse(&row.encodings, &self.house.manifest.shape()).map_err(Failure::refused)
    }

    fn read_part(&self, number: u32) -> Outcome<(PartSeal, Vec<StoredRecord>)> {
        read_part(&self.staging.path(&part_file(number)))
    }
}

fn sorted(ids: &HashSet<RecordId>) -> Vec<RecordId> {
    let mut ids: Vec<RecordId> = ids.iter().copied().collect();
    ids.sort_unstable();
    ids
}

fn read_part(path: &Path) -> Outcome<(PartSeal, Vec<StoredRecord>)> {
    let unreadable = |e: parts::PartError| Failure::refused(format!("{}: {e}", path.display()));
    let file = std::fs::File::open(path).map_err(|e| Failure::file("read", path, &e))?;
    let mut reader = PartReader::open(file).map_err(unreadable)?;
    let mut rows = Vec::new();
    while let Some(more) = reader.next_rows().map_err(unreadable)? {
        rows.extend(more);
    }
    Ok((reader.meta.seal, rows))
}
