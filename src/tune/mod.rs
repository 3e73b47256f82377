//! `hedui tune`: what thresholds would give for two files, estimated without knowing the truth.

mod agreement;
mod estimate;
mod meetings;
mod page;
mod report;

use std::path::{Path, PathBuf};

use clap::Args;
use hedui_protocol::encoder::Encoder;
use hedui_protocol::ids::ManifestId;
use hedui_protocol::schema::Profile;

use crate::failure::{Failure, Outcome};
use crate::options::LinkageKeyFile;
use crate::project::manifest::{ProfileName, load_schema};
use crate::sides::{Side, TwoFiles, reviewed_pairs};
use crate::staging::{refuse_existing, refuse_to_overwrite, replace_private};
use crate::terminal::Interrupt;
use agreement::Comparer;
use meetings::{Meeting, Meetings, Row};
use report::Report;

#[derive(Args, Debug)]
pub struct Tune {
    /// Two files, or one twice: then its own duplicates are looked for
    #[command(flatten)]
    files: TwoFiles,
    /// A schema file, or the name of a preset: person, resident-cn
    #[arg(long, value_name = "FILE|PRESET")]
    schema: String,
    #[command(flatten)]
    key: LinkageKeyFile,
    /// Pairs that somebody looked at (id_a,id_b,match: 1 or 0): the intervals narrow
    #[arg(long, value_name = "FILE")]
    reviewed: Option<PathBuf>,
    /// Write a sample of pairs to look at, for `--reviewed`; ids only. The file must not exist yet
    #[arg(long, value_name = "FILE")]
    sample: Option<PathBuf>,
    /// Write a page with the histogram and the curve
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Print everything as one JSON object
    #[arg(long)]
    json: bool,
}

impl Tune {
    pub fn run(self) -> Outcome {
        let interrupt = Interrupt::listen();
        let inputs = [&self.files.a, &self.files.b, &self.key.key_file, Path::new(&self.schema)];
        let inputs: Vec<&Path> = inputs.into_iter().chain(self.reviewed.as_deref()).collect();
        refuse_to_overwrite(&inputs, self.html.as_ref())?;
        self.sample.as_deref().map_or(Ok(()), refuse_existing)?;
        let schema = load_schema(&self.schema, ProfileName::Cohort)?;
        if schema.profile != Profile::Cohort {
            return Err(Failure::usage("thresholds are estimated for the `cohort` profile"));
        }
        // nothing of these encodings is kept or sent
        let encoder = Encoder::new(&self.key.load()?, ManifestId([0; 32]), &schema, "local");
        let comparer = Comparer::new(&schema);
        let (files, read) = (&self.files, |cells: &[&str]| Ok(Row::read(&encoder, &comparer, cells)));
        let a = Side::read(&files.a, &files.format, &schema, &interrupt, read)?;
        let b = Side::read(&files.b, &files.format_of_b(), &schema, &interrupt, read)?;
        let reviewed = self.reviewed.as_deref().map(|path| reviewed_pairs(path, &a.ids, &b.ids)).transpose()?;
        let meetings = Meetings::of(&schema, &comparer, &a, &b, files.a == files.b, &interrupt)?;
        let report =
            Report::of(&schema, &comparer, &meetings, &reviewed.unwrap_or_default(), [a.rows.len(), b.rows.len()])?;
        if let Some(path) = &self.sample {
            let mut pairs = csv::Writer::from_writer(Vec::new());
            let ids = |pair: &Meeting| [a.ids[pair.a as usize].clone(), b.ids[pair.b as usize].clone(), String::new()];
            let sample = report::sample(&meetings).into_iter().map(ids);
            let header = ["id_a", "id_b", "match"].map(str::to_owned);
            std::iter::once(header).chain(sample).try_for_each(|row| pairs.write_record(row)).expect("memory takes it");
            replace_private(path, &pairs.into_inner().expect("memory takes it"))?;
        }
        if let Some(path) = &self.html {
            replace_private(path, page::page(&report).as_bytes())?;
        }
        if self.json {
            println!("{}", serde_json::to_string(&report).expect("a report is JSON"));
        } else {
            print!("{}", report.text());
        }
        Ok(())
    }
}
