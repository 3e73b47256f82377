//! Files of one owner, read whole, and pairs of their rows of which somebody knows something.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use clap::Args;
use hedui_protocol::clk::RowRefused;
use hedui_protocol::normalise::has_destroyed;
use hedui_protocol::schema::Schema;
use rayon::prelude::*;

use crate::failure::{Failure, Outcome};
use crate::options::TableFormat;
use crate::table::columns::{Columns, Mapping};
use crate::table::row_ids::RowIds;
use crate::table::{Row, Table};
use crate::terminal::{self, Interrupt};

const BLOCK: usize = 4096;

/// Two files whose rows are compared.
#[derive(Args, Clone, Debug)]
pub struct TwoFiles {
    /// The first file: CSV or Parquet; `-` is CSV on standard input
    #[arg(value_name = "A")]
    pub a: PathBuf,
    /// The second file; the same file again: its duplicates, each pair once
    #[arg(value_name = "B")]
    pub b: PathBuf,
    #[command(flatten)]
    pub format: TableFormat,
    /// The column with each row's own id in B, where it is another than in A
    #[arg(long, value_name = "COLUMN")]
    pub id_b: Option<String>,
    /// Which column of B holds a field, where it is another than in A; may be given several times
    #[arg(long, value_name = "FIELD=COLUMN")]
    pub map_b: Vec<Mapping>,
}

impl TwoFiles {
    /// Whether both are one file, whose duplicates are looked for.
    pub fn is_one(&self) -> bool {
        let real = |path: &Path| path.canonicalize().ok();
        real(&self.a).is_some_and(|a| real(&self.b) == Some(a))
    }

    /// What B says of a field comes before what is said of both.
    pub fn format_of_b(&self) -> TableFormat {
        let map = self.map_b.iter().chain(&self.format.map).cloned().collect();
        TableFormat { id: self.id_b.clone().unwrap_or_else(|| self.format.id.clone()), map, ..self.format.clone() }
    }
}

/// One file's ids, and what each of its rows comes to.
pub struct Side<T> {
    pub ids: Vec<String>,
    pub rows: Vec<T>,
}

impl<T: Send> Side<T> {
    /// Reads a file; `each` makes of a row's cells (one a field) what is kept of it, or refuses the row.
    pub fn read(
        path: &Path,
        format: &TableFormat,
        schema: &Schema,
        interrupt: &Interrupt,
        each: impl Fn(&[&str]) -> Result<T, RowRefused> + Sync,
    ) -> Outcome<Self> {
        let mut table = format.open(path)?;
        let columns = Columns::find(&table, schema, &format.map)?;
        let ids = RowIds::find(&table, &format.id)?;
        let mut seen: HashMap<String, u64> = HashMap::new();
        let mut side = Self { ids: Vec::new(), rows: Vec::new() };
        let mut destroyed = 0;
        let progress = terminal::counter("reading rows");
        loop {
            interrupt.check()?;
            let rows = table.next_rows(BLOCK)?;
            if rows.is_empty() {
                progress.finish_and_clear();
                warn_of_destroyed(&table.name, destroyed);
                return table.refuse_empty().map(|()| side);
            }
            for row in &rows {
                let id = ids.of(row)?.to_owned();
                if let Some(earlier) = seen.insert(id.clone(), row.number) {
                    return Err(ids.repeated(row.number, earlier));
                }
                side.ids.push(id);
            }
            let is_destroyed = |row: &&Row| has_destroyed(schema, &columns.cells(row));
            destroyed += rows.par_iter().filter(is_destroyed).count();
            let each = |row| each(&columns.cells(row)).map_err(|e| ids.error_at(row, &e.to_string()));
            side.rows.extend(rows.par_iter().map(each).collect::<Outcome<Vec<T>>>()?);
            progress.set_position(table.read());
        }
    }
}

fn warn_of_destroyed(name: &str, rows: usize) {
    if rows > 0 {
        terminal::note(format!(
            "warning: {name}: {rows} rows have a number that a spreadsheet has rounded (1.1E+17): nobody finds them by it. \
             Export the file again with these columns as text"
        ));
    }
}

/// A pair of rows, by position, and whether they are one person's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownPair {
    pub a: u32,
    pub b: u32,
    pub matches: bool,
}

/// Reads pairs that match (`id_a,id_b`); where there is a column `match`, those of which it says so.
pub fn true_pairs(path: &Path, ids_a: &[String], ids_b: &[String]) -> Outcome<HashSet<(u32, u32)>> {
    let known = pairs(path, ids_a, ids_b, |table| Ok(table.position("match")))?;
    Ok(known.into_iter().filter(|pair| pair.matches).map(|pair| (pair.a, pair.b)).collect())
}

/// Reads pairs that somebody looked at (`id_a,id_b,match`); one whose `match` is empty was not looked at yet.
pub fn reviewed_pairs(path: &Path, ids_a: &[String], ids_b: &[String]) -> Outcome<Vec<KnownPair>> {
    pairs(path, ids_a, ids_b, |table| table.require("match").map(Some))
}

/// A pair whose ids are not those of the files is refused: it would only look like a miss.
fn pairs(
    path: &Path,
    ids_a: &[String],
    ids_b: &[String],
    verdict: impl Fn(&Table) -> Outcome<Option<usize>>,
) -> Outcome<Vec<KnownPair>> {
    let mut table = TableFormat::default().open(path)?;
    let (a, b) = (table.require("id_a")?, table.require("id_b")?);
    let verdict = verdict(&table)?;
    let [in_a, in_b] =
        [ids_a, ids_b].map(|ids| ids.iter().map(String::as_str).zip(0u32..).collect::<HashMap<&str, u32>>());
    let (mut known, mut said) = (Vec::new(), HashMap::new());
    loop {
        let rows = table.next_rows(BLOCK)?;
        if rows.is_empty() {
            return Ok(known);
        }
        for row in &rows {
            let wrong = |what: &str| Failure::refused(format!("{}: row {}: {what}", path.display(), row.number));
            let place = |places: &HashMap<&str, u32>, at: usize, column: &str, file: &str| {
                places.get(&row.cells[at]).copied().ok_or_else(|| {
                    wrong(&format!("`{column}` is no id of the {file} file"))
                        .hint("are the files in the order of the columns?")
                })
            };
            let matches = match verdict.map(|at| row.cells[at].trim().to_lowercase()).as_deref() {
                None | Some("1" | "1.0" | "yes" | "true") => true,
                Some("0" | "0.0" | "no" | "false") => false,
                Some("") => continue,
                Some(_) => return Err(wrong("`match` is neither 1 nor 0 (nor yes or no, true or false)")),
            };
            let pair =
                KnownPair { a: place(&in_a, a, "id_a", "first")?, b: place(&in_b, b, "id_b", "second")?, matches };
            match said.insert((pair.a, pair.b), matches) {
                None => known.push(pair),
                Some(earlier) if earlier == matches => {}
                Some(_) => return Err(wrong("`match` says another thing of this pair than a row before")),
            }
        }
    }
}
