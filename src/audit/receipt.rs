//! `hedui audit receipt`: what one receipt proves, by the manifest's key alone.

use std::path::PathBuf;

use clap::Args;
use hedui_protocol::log::{Entry, origin};

use super::line;
use super::verify::Kept;
use crate::failure::{Failure, Outcome};
use crate::options::ManifestFile;

#[derive(Args, Debug)]
pub struct CheckReceipt {
    /// A receipt, as `hedui operator receipt` writes it, or a party's file of them
    #[arg(value_name = "FILE")]
    receipt: PathBuf,
    #[command(flatten)]
    manifest: ManifestFile,
}

impl CheckReceipt {
    pub fn run(self) -> Outcome {
        let manifest = self.manifest.load()?;
        let key = manifest.log_key.ok_or_else(|| Failure::refused("the manifest names no `log_key`"))?;
        let path = &self.receipt;
        let text = std::fs::read_to_string(path).map_err(|e| Failure::file("read", path, &e))?;
        let refused =
            |number: usize, why: String| Failure::refused(format!("{}: line {number}: {why}", path.display()));
        for (number, line) in (1..).zip(text.lines()) {
            let kept: Kept = serde_json::from_str(line).map_err(|_| refused(number, "this is no receipt".into()))?;
            let checked = kept.receipt.check(&key, &origin(manifest.id()), None);
            let (tree, _) = checked.map_err(|why| refused(number, why.to_string()))?;
            let entry = kept.receipt.entry.and_then(|inclusion| Entry::parse(inclusion.entry.as_bytes()));
            let proved = entry.map_or_else(|| "no entry".to_owned(), |entry| line::of(&entry, &[]));
            println!("in the log of {} entries: {proved}", tree.size);
        }
        Ok(())
    }
}
