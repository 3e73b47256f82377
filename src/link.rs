//! `hedui link`: two files of one owner, encoded and matched here with the code that the service uses.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use hedui_protocol::encodings::Shape;
use hedui_protocol::ids::ManifestId;
use hedui_protocol::row_encoder::RowEncoder;
use hedui_protocol::schema::Schema;
use rayon::prelude::*;
use serde::Serialize;

use crate::failure::{Failure, Outcome};
use crate::matching::Matcher;
use crate::matching::index::Index;
use crate::options::{LinkageKeyFile, warn};
use crate::project::manifest::{ProfileName, load_schema};
use crate::sides::{Side, TwoFiles, true_pairs};
use crate::staging::{refuse_to_overwrite, replace_private};
use crate::terminal::{self, Interrupt};

const BLOCK: usize = 4096;

#[derive(Args, Debug)]
pub struct Link {
    #[command(flatten)]
    files: TwoFiles,
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

impl Link {
    pub fn run(self) -> Outcome {
        let started = Instant::now();
        let interrupt = Interrupt::listen();
        let inputs = [&self.files.a, &self.files.b, &self.key.key_file, Path::new(&self.schema)];
        let inputs: Vec<&Path> = inputs.into_iter().chain(self.truth.as_deref()).collect();
        refuse_to_overwrite(&inputs, [&self.out])?;
        let schema = load_schema(&self.schema, self.profile)?;
        warn(&self.schema, &schema);
        // both files are the caller's own: one local project, one local agency
        let encoder = RowEncoder::new(&self.key.load()?, ManifestId([0; 32]), &schema, "local");
        let encode = |cells: &[&str]| Ok(encoder.encode(cells)?.encodings);
        let files = &self.files;
        let a = Side::read(&files.a, &files.format, &schema, &interrupt, encode)?;
        let b = Side::read(&files.b, &files.format_of_b(), &schema, &interrupt, encode)?;
        let index = Index::of_encodings(b.rows.iter()).map_err(Failure::refused)?;
        let matcher = Matcher::new(&index, &schema, shape(&schema));
        let mut out = csv::Writer::from_writer(Vec::new());
        out.write_record(["id_a", "id_b", "band", "score"]).expect("memory takes it");
        let mut pairs = Vec::new();
        let one_file = files.is_one();
        let progress = terminal::bar(a.ids.len() as u64, "matching");
        for (start, probes) in (0..).step_by(BLOCK).zip(a.rows.chunks(BLOCK)) {
            interrupt.check()?;
            let found: Vec<_> = probes.par_iter().map(|probe| matcher.matches(probe)).collect();
            for (row, found) in (start..).zip(&found).flat_map(|(row, found)| found.iter().map(move |one| (row, one))) {
                // of one file's rows each pair once, and none with itself
                if one_file && found.row <= row {
                    continue;
                }
                let (id_a, id_b) = (&a.ids[row as usize], &b.ids[found.row as usize]);
                let band = serde_json::to_value(found.band).expect("a band is JSON");
                let band = band.as_str().expect("a band is a word");
                out.write_record([id_a, id_b, band, &format!("{:.2}", found.score)]).expect("memory takes it");
                pairs.push((row, found.row));
            }
            progress.inc(probes.len() as u64);
        }
        progress.finish_and_clear();
        replace_private(&self.out, &out.into_inner().expect("memory takes it"))?;
        let quality = self.truth.as_deref().map(|path| quality(path, &pairs, &a.ids, &b.ids, one_file)).transpose()?;
        self.tell(&Figures { pairs: pairs.len() as u64, seconds: started.elapsed().as_secs_f64(), quality });
        Ok(())
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

/// Precision, recall and F1 of pairs against all that are known.
fn quality(truth: &Path, pairs: &[(u32, u32)], ids_a: &[String], ids_b: &[String], one_file: bool) -> Outcome<Quality> {
    let mut known = true_pairs(truth, ids_a, ids_b)?;
    if one_file {
        known = known.into_iter().map(|(a, b)| (a.min(b), a.max(b))).collect();
    }
    let correct = pairs.iter().filter(|pair| known.contains(pair)).count() as f64;
    let share = |of: usize| if of == 0 { 0.0 } else { correct / of as f64 };
    let f1 = if pairs.len() + known.len() == 0 { 0.0 } else { 2.0 * correct / (pairs.len() + known.len()) as f64 };
    Ok(Quality { precision: share(pairs.len()), recall: share(known.len()), f1 })
}
