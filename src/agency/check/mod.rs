//! `hedui agency check`: what a file holds, in counts and row numbers; a value only where it is asked for.

mod characters;
mod dominant;
mod html;
mod report;
mod text;
mod trouble;
mod worst;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};
use hedui_protocol::manifest::Item;
use hedui_protocol::passes::Normaliser;
use hedui_protocol::schema::{Profile, Schema};
use jiff::civil::Date;
use rayon::prelude::*;

use self::report::{FieldReport, Reading, Report};
use self::trouble::Trouble;
use self::worst::WorstRows;
use super::rows::AgencyTable;
use crate::clock::Clock;
use crate::failure::{Failure, Outcome};
use crate::options::{DataFile, ManifestFile, read_schema};
use crate::staging::{refuse_to_overwrite, replace_private};
use crate::terminal::{self, Interrupt};

const BLOCK: usize = 4096;
/// One value of so many that ends in zeros as if a spreadsheet had rounded it says that one has; one in powers of ten says so alone.
const ROUNDED: u64 = 100;

#[derive(Args, Debug)]
pub struct Check {
    #[command(flatten)]
    data: DataFile,
    #[command(flatten)]
    terms: Terms,
    /// Print the report as one JSON object
    #[arg(long)]
    json: bool,
    /// Write the report with pictures, as one HTML file (mode 0600) without any value
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write the numbers of the worst rows, at most 1000, and what troubles them, as CSV (mode 0600)
    #[arg(long, value_name = "FILE")]
    worst: Option<PathBuf>,
    /// Show the troubled values too, on screen and in the file of the worst rows: personal data
    #[arg(long)]
    show_values: bool,
}

/// What a file is held against: the project's manifest, or a schema where there is no manifest yet.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("against").args(["manifest", "schema"]).required(true))]
struct Terms {
    /// The project's manifest (TOML)
    #[arg(long, value_name = "FILE", requires = "agency")]
    manifest: Option<PathBuf>,
    /// This agency's name in the manifest
    #[arg(long, value_name = "NAME", requires = "manifest", conflicts_with = "schema")]
    agency: Option<String>,
    /// A schema, or the name of a preset, where there is no manifest yet: payloads are not checked
    #[arg(long, value_name = "FILE|PRESET")]
    schema: Option<String>,
}

impl Terms {
    /// The schema, and the items whose payloads are checked.
    fn load(&self) -> Outcome<(Schema, Vec<Item>)> {
        match (&self.manifest, &self.agency, &self.schema) {
            (Some(manifest), Some(agency), None) => {
                let manifest = ManifestFile { manifest: manifest.clone() }.load()?;
                let items = super::own(&manifest, agency)?.items.clone();
                Ok((manifest.schema.clone(), items))
            }
            (None, None, Some(schema)) => Ok((read_schema(schema)?, Vec::new())),
            _ => unreachable!("clap asks for one way and refuses both"),
        }
    }
}

impl Check {
    pub fn run(self, clock: &Clock) -> Outcome {
        let terms = [self.terms.manifest.as_deref(), self.terms.schema.as_deref().map(Path::new)];
        let inputs: Vec<&Path> = terms.into_iter().flatten().chain([self.data.data.as_path()]).collect();
        refuse_to_overwrite(&inputs, [&self.html, &self.worst].into_iter().flatten())?;
        let (schema, items) = self.terms.load()?;
        if schema.profile == Profile::Clk {
            return Err(Failure::usage("cells of the profile `clk` are not read here")
                .hint("`hedui agency encode` names the first cell that the linkage schema refuses"));
        }
        let table = AgencyTable::open(&self.data, &schema, &items, Date::ZERO)?;
        let name = table.table.name.clone();
        let mut worst =
            self.worst.as_ref().map(|path| (path, WorstRows::new(&schema, &table.identity, self.show_values)));
        let report = self.read(table, &schema, &items, worst.as_mut().map(|(_, worst)| worst))?;
        if let Some((path, worst)) = worst {
            replace_private(path, &worst.into_csv())?;
        }
        if let Some(path) = &self.html {
            replace_private(path, html::page(&report, &name, &schema, clock.today()).as_bytes())?;
        }
        if self.json {
            println!("{}", serde_json::to_string(&report).expect("a report is JSON"));
        } else {
            text::print(&report);
        }
        verdict(&report, &name)
    }

    fn read(
        &self,
        table: AgencyTable,
        schema: &Schema,
        items: &[Item],
        mut worst: Option<&mut WorstRows>,
    ) -> Outcome<Report> {
        let AgencyTable { mut table, identity, layout } = table;
        let interrupt = Interrupt::listen();
        let normaliser = Normaliser::new(schema);
        let mut report = Report::new(schema, &identity, self.show_values);
        report.bad_payloads = (!items.is_empty()).then(Trouble::default);
        let mut ids: HashMap<String, u64> = HashMap::new();
        let progress = terminal::counter("checking rows");
        loop {
            interrupt.check()?;
            let rows = table.next_rows(BLOCK)?;
            if rows.is_empty() {
                break;
            }
            let reading = rows.par_iter().map(|row| {
                let cells = identity.cells(row);
                let normalised = normaliser.row(&cells);
                Reading { number: row.number, lacking: normaliser.lacking(&normalised), normalised, cells }
            });
            for (row, reading) in rows.iter().zip(reading.collect::<Vec<_>>()) {
                report.count(&reading);
                if let Some(worst) = &mut worst {
                    worst.add(&reading);
                }
                if let Some(figure) = layout.bad_figure(row, items) {
                    report.bad_payload(row.number, figure);
                }
                match layout.ids.of(row) {
                    Err(_) => report.empty_id(row.number),
                    Ok(id) if ids.insert(id.to_owned(), row.number).is_some() => report.duplicate_id(row.number, id),
                    Ok(_) => {}
                }
            }
            progress.set_position(table.read());
        }
        progress.finish_and_clear();
        report.finish();
        table.refuse_empty().map(|()| report)
    }
}

/// What `encode` would refuse is refused here, and a column that a spreadsheet has rounded: of that, `encode` only warns.
fn verdict(report: &Report, name: &str) -> Outcome {
    for field in report.fields.iter().filter(|field| field.destroyed.rows > 0) {
        let (what, rows) = (&field.field, field.destroyed.places());
        // one wrong number in a thousand happens to look like a rounded one
        if field.in_powers == 0 && ROUNDED * field.destroyed.rows < report.rows - field.missing {
            terminal::note(format!(
                "{name}: values of `{what}` look as if a spreadsheet had rounded them, their last digits are zeros: {rows}"
            ));
            continue;
        }
        return Err(Failure::refused(format!("{name}: `{what}` was rounded by a spreadsheet, its last digits are gone: {rows}"))
            .hint("export it again from the register, with the column formatted as text; a spreadsheet keeps 15 digits of a number"));
    }
    let ids =
        [("have no id", &report.empty_ids), ("repeat the id of an earlier row", &report.duplicate_ids)].into_iter();
    let payloads = report.bad_payloads.iter().map(|trouble| ("have a payload figure that is no number", trouble));
    if let Some((what, trouble)) = ids.chain(payloads).find(|(_, trouble)| trouble.rows > 0) {
        return Err(Failure::refused(format!("{name}: rows that {what}: {}", trouble.places()))
            .hint("`encode` refuses such a file; correct the rows and check again"));
    }
    let mostly = |field: &&FieldReport| {
        let filled = report.rows - field.missing;
        2 * field.malformed.rows.max(field.misdecoded.rows) > filled
    };
    for field in report.fields.iter().filter(|field| field.column).filter(mostly) {
        terminal::note(format!(
            "{name}: most values of `{}` cannot be read as the kind that the schema says: is it the right column, and are \
             its format and the file's encoding as declared?",
            field.field
        ));
    }
    if report.unfindable.rows > 0 {
        terminal::note(format!(
            "{name}: rows that nobody can find, for want of identity: {}",
            report.unfindable.places()
        ));
    }
    Ok(())
}
