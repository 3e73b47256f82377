//! `hedui agency check`: what a file holds, in counts and row numbers; never a value.

use std::collections::HashMap;

use clap::Args;
use hedui_protocol::passes::{FieldState, NormalisedRow, Normaliser};
use hedui_protocol::schema::Schema;
use jiff::civil::Date;
use rayon::prelude::*;
use serde::Serialize;

use super::OwnFile;
use super::rows::AgencyTable;
use crate::failure::{Failure, Outcome};
use crate::table::Row;
use crate::terminal::{self, Interrupt};

const BLOCK: usize = 4096;
/// Row numbers shown of each kind of trouble.
const SHOWN: usize = 5;

#[derive(Args, Debug)]
pub struct Check {
    #[command(flatten)]
    own: OwnFile,
    /// Print the report as one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Default, Serialize)]
struct Report {
    rows: u64,
    fields: Vec<FieldReport>,
    passes: Vec<PassReport>,
    /// Rows whose id stands at an earlier row already.
    duplicate_ids: Trouble,
    /// Rows without an id.
    empty_ids: Trouble,
    /// Rows with a payload figure that is no number.
    bad_payloads: Trouble,
    /// Rows that no pass can find.
    unfindable: Trouble,
}

#[derive(Serialize)]
struct FieldReport {
    field: String,
    missing: u64,
    valid: u64,
    fifteen_digits: u64,
    /// Dates on the first of January: only their year is used.
    heaped: u64,
    repairable: Trouble,
    uncertain: Trouble,
    malformed: Trouble,
    /// Numbers that a spreadsheet has rounded: their last digits are gone.
    destroyed: Trouble,
}

#[derive(Serialize)]
struct PassReport {
    pass: String,
    /// Rows that have a value for this pass.
    rows: u64,
}

/// How many rows, and the first of them.
#[derive(Default, Serialize)]
struct Trouble {
    rows: u64,
    first: Vec<u64>,
}

impl Trouble {
    fn at(&mut self, row: u64) {
        self.rows += 1;
        if self.first.len() < SHOWN {
            self.first.push(row);
        }
    }

    fn words(&self) -> String {
        let first: Vec<String> = self.first.iter().map(u64::to_string).collect();
        let more = if self.rows > self.first.len() as u64 { " …" } else { "" };
        format!("{} (rows {}{more})", self.rows, first.join(", "))
    }
}

impl Check {
    pub fn run(self) -> Outcome {
        let interrupt = Interrupt::listen();
        let manifest = self.own.manifest.load()?;
        let agency = self.own.agency(&manifest)?;
        let AgencyTable { mut table, identity, layout } =
            AgencyTable::open(&self.own.data, &manifest, agency, Date::ZERO)?;
        let normaliser = Normaliser::new(&manifest.schema);
        let mut report = Report::new(&manifest.schema);
        let mut ids: HashMap<String, u64> = HashMap::new();
        let progress = terminal::counter("checking rows");
        loop {
            interrupt.check()?;
            let rows = table.next_rows(BLOCK)?;
            if rows.is_empty() {
                break;
            }
            let read: Vec<NormalisedRow> = rows.par_iter().map(|row| normaliser.row(&identity.cells(row))).collect();
            for (row, normalised) in rows.iter().zip(&read) {
                report.count(row.number, normalised);
                let payload_reads =
                    |row: &Row| agency.offers().all(|(item, level)| layout.payload(row, item, level).is_ok());
                if !payload_reads(row) {
                    report.bad_payloads.at(row.number);
                }
                match layout.ids.of(row) {
                    Err(_) => report.empty_ids.at(row.number),
                    Ok(id) if ids.insert(id.to_owned(), row.number).is_some() => report.duplicate_ids.at(row.number),
                    Ok(_) => {}
                }
            }
            progress.set_position(table.read());
        }
        progress.finish_and_clear();
        table.refuse_empty()?;
        if self.json {
            println!("{}", serde_json::to_string(&report).expect("a report is JSON"));
        } else {
            report.print();
        }
        report.verdict(&table.name)
    }
}

impl Report {
    fn new(schema: &Schema) -> Self {
        let field = |field: &hedui_protocol::schema::Field| FieldReport {
            field: field.name.clone(),
            missing: 0,
            valid: 0,
            fifteen_digits: 0,
            heaped: 0,
            repairable: Trouble::default(),
            uncertain: Trouble::default(),
            malformed: Trouble::default(),
            destroyed: Trouble::default(),
        };
        let pass = |pass: &hedui_protocol::schema::Pass| PassReport { pass: pass.name.clone(), rows: 0 };
        Self {
            fields: schema.fields.iter().map(field).collect(),
            passes: schema.passes.iter().map(pass).collect(),
            ..Self::default()
        }
    }

    fn count(&mut self, row: u64, normalised: &NormalisedRow) {
        self.rows += 1;
        for (field, state) in self.fields.iter_mut().zip(&normalised.states) {
            match state {
                FieldState::Missing => field.missing += 1,
                FieldState::Valid => field.valid += 1,
                FieldState::FifteenDigits => field.fifteen_digits += 1,
                FieldState::Heaped => field.heaped += 1,
                FieldState::Repairable => field.repairable.at(row),
                FieldState::Uncertain => field.uncertain.at(row),
                FieldState::Malformed => field.malformed.at(row),
                FieldState::Destroyed => field.destroyed.at(row),
            }
        }
        for (pass, values) in self.passes.iter_mut().zip(&normalised.passes) {
            pass.rows += u64::from(!values.is_empty());
        }
        if normalised.passes.iter().all(Vec::is_empty) && normalised.grams.iter().all(Vec::is_empty) {
            self.unfindable.at(row);
        }
    }

    fn print(&self) {
        println!("{} rows", self.rows);
        let share = |count: u64| 100.0 * count as f64 / self.rows as f64;
        for field in &self.fields {
            let filled = self.rows - field.missing;
            println!("  {:16} {:5.1} % filled", field.field, share(filled));
            let troubles = [
                ("failed check digit", &field.repairable),
                ("uncertain character", &field.uncertain),
                ("malformed", &field.malformed),
                ("rounded by a spreadsheet", &field.destroyed),
            ];
            for (what, trouble) in troubles.into_iter().filter(|(_, trouble)| trouble.rows > 0) {
                println!("    {what:24} {}", trouble.words());
            }
            for (what, count) in [("fifteen digits", field.fifteen_digits), ("first of January", field.heaped)] {
                if count > 0 {
                    println!("    {what:24} {count}");
                }
            }
        }
        let mut least: Vec<&PassReport> = self.passes.iter().collect();
        least.sort_by_key(|pass| pass.rows);
        let least: Vec<String> =
            least.iter().take(3).map(|pass| format!("{} {:.1} %", pass.pass, share(pass.rows))).collect();
        println!("  passes with the fewest rows: {}", least.join(", "));
    }

    /// What `encode` would refuse is refused here.
    fn verdict(&self, name: &str) -> Outcome {
        if let Some(field) = self.fields.iter().find(|field| field.destroyed.rows > 0) {
            let (field, rows) = (&field.field, field.destroyed.words());
            return Err(Failure::refused(format!("{name}: `{field}` was rounded by a spreadsheet, its last digits are gone: {rows}"))
                .hint("export it again from the register, with the column formatted as text; a spreadsheet keeps 15 digits of a number"));
        }
        let troubles = [
            ("have no id", &self.empty_ids),
            ("repeat the id of an earlier row", &self.duplicate_ids),
            ("have a payload figure that is no number", &self.bad_payloads),
        ];
        if let Some((what, trouble)) = troubles.into_iter().find(|(_, trouble)| trouble.rows > 0) {
            return Err(Failure::refused(format!("{name}: rows that {what}: {}", trouble.words()))
                .hint("`encode` refuses such a file; correct the rows and check again"));
        }
        if self.unfindable.rows > 0 {
            terminal::note(format!(
                "{name}: rows that nobody can find, for want of identity: {}",
                self.unfindable.words()
            ));
        }
        Ok(())
    }
}
