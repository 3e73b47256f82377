//! `hedui clk schema`: a clkhash linkage schema becomes a schema of the profile `clk`.

use std::path::PathBuf;

use clap::Args;

use crate::failure::{Failure, Outcome};
use crate::options::warn;
use crate::staging::{refuse_to_overwrite, replace_private};

#[derive(Args, Debug)]
pub struct Schema {
    /// A clkhash linkage schema (JSON, version 1, 2 or 3)
    #[arg(value_name = "SCHEMA")]
    linkage_schema: PathBuf,
    /// The schema's name; the file's where it is not given
    #[arg(long)]
    name: Option<String>,
    /// The least Dice coefficient of a probable match: see what strangers reach with `hedui match`
    #[arg(long, value_name = "DICE", default_value_t = 0.85)]
    probable: f64,
    /// The least Dice coefficient of a possible match
    #[arg(long, value_name = "DICE", default_value_t = 0.80)]
    possible: f64,
    /// The schema to write (TOML)
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl Schema {
    pub fn run(self) -> Outcome {
        let path = &self.linkage_schema;
        refuse_to_overwrite(&[path], [&self.out])?;
        let json = std::fs::read_to_string(path).map_err(|e| Failure::file("read", path, &e))?;
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let name = self.name.as_deref().unwrap_or(&stem);
        let schema = hedui_protocol::schema::Schema::around_linkage_schema(name, &json, self.probable, self.possible);
        let schema = schema.map_err(|e| Failure::refused(format!("{}: {e}", path.display())))?;
        warn(&path.display().to_string(), &schema);
        let text = toml::to_string_pretty(&schema).map_err(Failure::refused)?;
        replace_private(&self.out, text.as_bytes())
    }
}
