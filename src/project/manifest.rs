//! `hedui manifest`: what all parties agree on, made from what each party says of itself.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use hedui_protocol::ids::KeyCheck;
use hedui_protocol::manifest::{Agency, Item, Limits, Manifest, Office, Terms};
use hedui_protocol::schema::{Profile, Schema};
use hedui_protocol::sign::PublicKey;
use serde::de::DeserializeOwned;

use crate::failure::{Failure, Outcome};
use crate::options::{ManifestFile, read_schema};
use crate::signatures;
use crate::staging::refuse_existing;

/// `hedui manifest …`
#[derive(Subcommand, Debug)]
pub enum Verb {
    /// Write a manifest from the parties' files
    New(Box<New>),
    /// Accept a manifest: sign its exact bytes; signatures are kept beside it
    #[cfg(any(feature = "agency", feature = "office"))]
    Sign(Sign),
    /// Say what a manifest says, and who has signed it
    Show(ManifestFile),
}

pub fn run(verb: Verb) -> Outcome {
    match verb {
        Verb::New(new) => new.run(),
        #[cfg(any(feature = "agency", feature = "office"))]
        Verb::Sign(sign) => sign.run(),
        Verb::Show(file) => show(&file),
    }
}

#[derive(Args, Debug)]
pub struct New {
    /// The project's name
    #[arg(long)]
    project: String,
    /// The statutory purpose, in words
    #[arg(long)]
    purpose: String,
    /// The linkage key's period, such as 2026-11
    #[arg(long)]
    epoch: String,
    /// The linkage key's check value, as `hedui key show --kind linkage` prints it
    #[arg(long, value_name = "HEX")]
    linkage_key_check: KeyCheck,
    /// The key that signs the server's log, as `hedui key show --kind log` prints it
    #[arg(long, value_name = "BASE64")]
    log_key: Option<PublicKey>,
    /// A programme that may be asked for; may be given several times
    #[arg(long = "programme", value_name = "NAME", required = true)]
    programmes: Vec<String>,
    /// A schema file, or the name of a preset
    #[arg(long, value_name = "FILE|PRESET")]
    schema: String,
    #[arg(long, value_enum, default_value_t = ProfileName::Cohort)]
    profile: ProfileName,
    /// The schema has the profile `clk`: plain CLKs, which attacks read (docs/THREATS.md)
    #[arg(long)]
    dangerously_plain: bool,
    /// A file with what one agency says of itself; may be given several times
    #[arg(long = "agency", value_name = "FILE", required = true)]
    agencies: Vec<PathBuf>,
    /// A file with what one office says of itself; may be given several times
    #[arg(long = "office", value_name = "FILE", required = true)]
    offices: Vec<PathBuf>,
    /// A file with limits (TOML, the names as `manifest show` has them) that differ from the usual ones
    #[arg(long, value_name = "FILE")]
    limits: Option<PathBuf>,
    /// The manifest to write; it must not exist yet
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// What the server sees of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ProfileName {
    /// Tokens, and filters inside cohorts
    Cohort,
    /// One diffused filter a record, compared with all
    Record,
}

impl New {
    fn run(self) -> Outcome {
        let terms = Terms {
            protocol: 1,
            project: self.project,
            purpose: self.purpose,
            epoch: self.epoch,
            linkage_key_check: self.linkage_key_check,
            programmes: self.programmes,
            dangerously_plain: self.dangerously_plain,
            log_key: self.log_key,
            limits: self.limits.as_deref().map_or_else(|| Ok(Limits::default()), toml_file)?,
            agencies: self.agencies.iter().map(|path| toml_file::<Agency>(path)).collect::<Outcome<_>>()?,
            offices: self.offices.iter().map(|path| toml_file::<Office>(path)).collect::<Outcome<_>>()?,
            schema: load_schema(&self.schema, self.profile)?,
        };
        let text = toml::to_string(&terms).map_err(Failure::refused)?;
        let manifest = Manifest::parse(text.as_bytes()).map_err(Failure::refused)?;
        refuse_existing(&self.out)?;
        std::fs::write(&self.out, text).map_err(|e| Failure::file("write", &self.out, &e))?;
        println!("{}", manifest.id());
        Ok(())
    }
}

/// One table of a manifest in a file of its own: what an agency or an office says of itself, or limits.
fn toml_file<P: DeserializeOwned>(path: &Path) -> Outcome<P> {
    let text = std::fs::read_to_string(path).map_err(|e| Failure::file("read", path, &e))?;
    toml::from_str(&text).map_err(|e| Failure::refused(format!("{}: {}", path.display(), e.message())))
}

/// A schema by its file or its preset's name, in the profile asked for.
pub fn load_schema(name: &str, profile: ProfileName) -> Outcome<Schema> {
    let schema = read_schema(name)?;
    Ok(match profile {
        ProfileName::Record if schema.profile == Profile::Cohort => schema.for_record_profile(),
        _ => schema,
    })
}

#[cfg(any(feature = "agency", feature = "office"))]
#[derive(Args, Debug)]
pub struct Sign {
    #[command(flatten)]
    manifest: ManifestFile,
    /// The signing party's name in the manifest
    #[arg(long, value_name = "NAME")]
    party: String,
    #[command(flatten)]
    signing_key: crate::options::SigningKeyFile,
}

#[cfg(any(feature = "agency", feature = "office"))]
impl Sign {
    fn run(self) -> Outcome {
        use hedui_protocol::manifest::PartySignature;
        use hedui_protocol::sign::Purpose;

        let path = &self.manifest.manifest;
        let manifest = self.manifest.load()?;
        let bytes = std::fs::read(path).map_err(|e| Failure::file("read", path, &e))?;
        let public = manifest
            .agency(&self.party)
            .map(|agency| agency.signing_key)
            .or_else(|| manifest.office(&self.party).map(|office| office.signing_key))
            .ok_or_else(|| Failure::refused(format!("`{}` is no party of the manifest", self.party)))?;
        let (key, _) = self.signing_key.load_for(&self.party, public)?;
        let mut all = signatures::load(path)?;
        all.signatures.retain(|signature| signature.party != self.party);
        let signature = key.sign(Purpose::Manifest, &bytes);
        all.signatures.push(PartySignature { party: self.party, signature });
        let text = toml::to_string(&all).expect("signatures are TOML");
        crate::staging::replace_private(&signatures::path_of(path), text.as_bytes())
    }
}

fn show(file: &ManifestFile) -> Outcome {
    let manifest = file.load()?;
    let bytes = std::fs::read(&file.manifest).map_err(|e| Failure::file("read", &file.manifest, &e))?;
    let all = signatures::load(&file.manifest)?.signatures;
    let signed = |party: &str| match all.iter().find(|signature| signature.party == party) {
        None => "not signed",
        Some(signature) if manifest.verify(&bytes, signature).is_ok() => "signed",
        Some(_) => "SIGNATURE DOES NOT VERIFY",
    };
    println!("manifest  {}", manifest.id());
    println!("project   {} · {}", manifest.project, manifest.purpose);
    println!("epoch     {} · linkage key {}", manifest.epoch, manifest.linkage_key_check);
    println!("programme {}", manifest.programmes.join(", "));
    let log =
        manifest.log_key.map_or_else(|| "without a key: no server runs it".to_owned(), |key| format!("key {key}"));
    println!("log       {log}");
    let schema = &manifest.schema;
    println!("schema    {} · {} · {} profile", schema.name, schema.normalisation, word(&schema.profile));
    schema.remarks().iter().for_each(|remark| println!("DANGER    {remark}"));
    let filters = |pass: &str| schema.filters.iter().filter(|filter| filter.cohort.as_deref() == Some(pass)).count();
    for pass in &schema.passes {
        let (identifies, filters) =
            (pass.identifies.map(|how| format!(" · identifies, {}", word(&how))), filters(&pass.name));
        let filters = if filters > 0 { format!(" · {filters} filters") } else { String::new() };
        println!("          {} of {}{}{filters}", pass.name, pass.of.join(", "), identifies.unwrap_or_default());
    }
    let Limits { cohort, part_rows, answer_slots, subjects, ticket_days, answer_hours } = &manifest.limits;
    println!("limits    cohort = {cohort} · part_rows = {part_rows} · answer_slots = {answer_slots}");
    println!("          subjects = {subjects} · ticket_days = {ticket_days} · answer_hours = {answer_hours}");
    for agency in &manifest.agencies {
        let release = word(&agency.release);
        println!("agency    {} ({}) · {release} · {}", agency.name, agency.organisation, signed(&agency.name));
        for item in &agency.items {
            let levels: Vec<String> = item.levels.iter().map(ToString::to_string).collect();
            let (name, title) = (format!("{}.{}", agency.name, item.name), format!("{} {}", item.title_zh, item.title));
            println!("          {name} at {} · {title}", levels.join(", "));
            println!("            columns {}{}", item.columns.join(", "), measured(item));
        }
    }
    for office in &manifest.offices {
        let deposits = if office.deposits { "opens deposits · " } else { "" };
        let quota = office.subjects_per_day.map(|most| format!("{most} subjects a day · ")).unwrap_or_default();
        println!("office    {} ({}) · {deposits}{quota}{}", office.name, office.organisation, signed(&office.name));
    }
    Ok(())
}

/// What L1 and L2 of an item speak of.
fn measured(item: &Item) -> String {
    let Some(measure) = &item.measure else { return String::new() };
    let limit = item.limit.map(|limit| format!(", limit {limit}")).unwrap_or_default();
    let bands: Vec<String> = item.bands.iter().map(ToString::to_string).collect();
    let bands = if bands.is_empty() { String::new() } else { format!(", bands up to {}", bands.join(", ")) };
    format!(" · measure {measure}{limit}{bands}")
}

/// A choice of the manifest, as the manifest writes it.
fn word(choice: &impl serde::Serialize) -> String {
    let value = serde_json::to_value(choice).expect("a choice is JSON");
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn any_text_is_a_partys_file_or_refused(text in ".*") {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("manifest.toml");
            std::fs::write(&path, &text).unwrap();
            std::fs::write(signatures::path_of(&path), &text).unwrap();
            let _ = (toml_file::<Agency>(&path), toml_file::<Office>(&path), signatures::load(&path));
        }
    }
}
