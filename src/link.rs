//! `hedui link`: two files of one owner, encoded and matched here with the code that the service uses.

use std::collections::{HashMap, HashSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use hedui_protocol::encoder::Encoder;
use hedui_protocol::encodings::{Encodings, Shape};
use hedui_protocol::ids::ManifestId;
use hedui_protocol::schema::Schema;
use rayon::prelude::*;
use serde::Serialize;

use crate::failure::{Failure, Outcome};
use crate::matching::Matcher;
use crate::matching::index::Index;
use crate::options::{LinkageKeyFile, TableFormat};
use crate::project::manifest::{ProfileName, load_schema};
use crate::staging::replace_private;
use crate::table::columns::{Columns, Mapping};
use crate::table::row_ids::RowIds;
use crate::terminal::{self, Interrupt};

const BLOCK: usize = 4096;

#[derive(Args, Debug)]
pub struct Link {
    /// The first file: CSV or Parquet; `-` is CSV on standard input
    #[arg(value_name = "A")]
    a: PathBuf,
    /// The second file
    #[arg(value_name = "B")]
    b: PathBuf,
    #[command(flatten)]
    format: TableFormat,
    /// The column with each row's own id in B, where it is another than in A
    #[arg(long, value_name = "COLUMN")]
    id_b: Option<String>,
    /// Which column of B holds a field, where it is another than in A; may be given several times
    #[arg(long, value_name = "FIELD=COLUMN")]
    map_b: Vec<Mapping>,
    /// A schema file, or the name of a preset: person, resident-cn
    #[arg(long, value_name = "FILE|PRESET")]
    schema: String,
    #[arg(long, value_enum, default_value_t = ProfileName::Cohort)]
    profile: ProfileName,
    #[command(flatten)]
    key: LinkageKeyFile,
    /// The pairs: id_a,id_b,band,score
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Known pairs (id_a,id_b): report precision, recall and F1
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
    /// Print the figures as one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Figures {
    pairs: u64,
    seconds: f64,
    #[serde(flatten)]
    quality: Option<Quality>,
}

#[derive(Serialize)]
struct Quality {
    precision: f64,
    recall: f64,
    f1: f64,
}

/// One file's ids and encodings.
struct Side {
    ids: Vec<String>,
    encodings: Vec<Encodings>,
}

impl Link {
    pub fn run(self) -> Outcome {
        let started = Instant::now();
        let interrupt = Interrupt::listen();
        let schema = load_schema(&self.schema, self.profile)?;
        // both files are the caller's own: one local project, one local agency
        let encoder = Encoder::new(&self.key.load()?, ManifestId([0; 32]), &schema, "local");
        let a = self.encode(&self.a, &self.format, &schema, &encoder, &interrupt)?;
        let b = self.encode(&self.b, &self.format_of_b(), &schema, &encoder, &interrupt)?;
        let index = Index::of_encodings(b.encodings.iter()).map_err(Failure::refused)?;
        let matcher = Matcher::new(&index, &schema, shape(&schema));
        let mut out = b"id_a,id_b,band,score\n".to_vec();
        let mut pairs = Vec::new();
        let progress = terminal::bar(a.ids.len() as u64, "matching");
        for (ids, probes) in a.ids.chunks(BLOCK).zip(a.encodings.chunks(BLOCK)) {
            interrupt.check()?;
            let found: Vec<_> = probes.par_iter().map(|probe| matcher.matches(probe)).collect();
            for (id_a, found) in ids.iter().zip(&found).flat_map(|(id, found)| found.iter().map(move |one| (id, one))) {
                let id_b = &b.ids[found.row as usize];
                let band = serde_json::to_value(found.band).expect("a band is JSON");
                let band = band.as_str().expect("a band is a word");
                writeln!(out, "{},{},{band},{:.2}", quoted(id_a), quoted(id_b), found.score).expect("memory takes it");
                pairs.push((id_a.as_str(), id_b.as_str()));
            }
            progress.inc(ids.len() as u64);
        }
        progress.finish_and_clear();
        replace_private(&self.out, &out)?;
        let quality = self.truth.as_deref().map(|path| quality(path, &pairs, &a.ids, &b.ids)).transpose()?;
        self.tell(&Figures { pairs: pairs.len() as u64, seconds: started.elapsed().as_secs_f64(), quality });
        Ok(())
    }

    /// What B says of a field comes before what is said of both.
    fn format_of_b(&self) -> TableFormat {
        let map = self.map_b.iter().chain(&self.format.map).cloned().collect();
        TableFormat { id: self.id_b.clone().unwrap_or_else(|| self.format.id.clone()), map, ..self.format.clone() }
    }

    fn encode(
        &self,
        path: &Path,
        format: &TableFormat,
        schema: &Schema,
        encoder: &Encoder,
        interrupt: &Interrupt,
    ) -> Outcome<Side> {
        let mut table = format.open(path)?;
        let columns = Columns::find(&table, schema, &format.map)?;
        let ids = RowIds::find(&table, &format.id)?;
        let mut seen: HashMap<String, u64> = HashMap::new();
        let mut side = Side { ids: Vec::new(), encodings: Vec::new() };
        let progress = terminal::counter("encoding rows");
        loop {
            interrupt.check()?;
            let rows = table.next_rows(BLOCK)?;
            if rows.is_empty() {
                progress.finish_and_clear();
                return table.refuse_empty().map(|()| side);
            }
            for row in &rows {
                let id = ids.of(row)?.to_owned();
                if let Some(earlier) = seen.insert(id.clone(), row.number) {
                    return Err(ids.repeated(row, earlier));
                }
                side.ids.push(id);
            }
            side.encodings.par_extend(
                rows.par_iter().map(|row| encoder.encode(&encoder.normalise(&columns.cells(row))).encodings),
            );
            progress.set_position(table.read());
        }
    }

    fn tell(&self, figures: &Figures) {
        if self.json {
            println!("{}", serde_json::to_string(figures).expect("figures are JSON"));
            return;
        }
        println!("{} pairs in {:.2} s: {}", figures.pairs, figures.seconds, self.out.display());
        if let Some(Quality { precision, recall, f1 }) = &figures.quality {
            println!("precision {precision:.4} · recall {recall:.4} · F1 {f1:.4}");
        }
    }
}

fn shape(schema: &Schema) -> Shape {
    Shape {
        passes: u8::try_from(schema.passes.len()).expect("validated: at most 200 passes"),
        filter_bytes: schema.filters.iter().map(|filter| usize::from(filter.bits) / 8).collect(),
    }
}

/// An id as a CSV cell.
fn quoted(id: &str) -> std::borrow::Cow<'_, str> {
    if id.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", id.replace('"', "\"\"")).into() } else { id.into() }
}

/// Precision, recall and F1. A known pair whose ids are not those of the files is refused: it would only look like a miss.
fn quality(truth: &Path, pairs: &[(&str, &str)], ids_a: &[String], ids_b: &[String]) -> Outcome<Quality> {
    let mut table = TableFormat::default().open(truth)?;
    let (a, b) = (table.require("id_a")?, table.require("id_b")?);
    let [in_a, in_b] = [ids_a, ids_b].map(|ids| ids.iter().map(String::as_str).collect::<HashSet<&str>>());
    let mut known = HashSet::new();
    loop {
        let rows = table.next_rows(BLOCK)?;
        if rows.is_empty() {
            break;
        }
        for row in &rows {
            let (id_a, id_b) = (&row.cells[a], &row.cells[b]);
            for (ids, id, column, file) in [(&in_a, id_a, "id_a", "first"), (&in_b, id_b, "id_b", "second")] {
                if !ids.contains(id) {
                    let (truth, row) = (truth.display(), row.number);
                    return Err(Failure::refused(format!(
                        "{truth}: row {row}: `{column}` is no id of the {file} file"
                    ))
                    .hint("are the files in the order of the truth's columns?"));
                }
            }
            known.insert((id_a.to_owned(), id_b.to_owned()));
        }
    }
    let correct = pairs.iter().filter(|(a, b)| known.contains(&((*a).to_owned(), (*b).to_owned()))).count() as f64;
    let share = |of: usize| if of == 0 { 0.0 } else { correct / of as f64 };
    let f1 = if pairs.len() + known.len() == 0 { 0.0 } else { 2.0 * correct / (pairs.len() + known.len()) as f64 };
    Ok(Quality { precision: share(pairs.len()), recall: share(known.len()), f1 })
}
