//! Arguments that several commands share, and what they load.

use std::path::{Path, PathBuf};
#[cfg(any(feature = "agency", feature = "auditor", feature = "office", feature = "operator"))]
use std::time::Duration;

use clap::Args;
use hedui_protocol::manifest::Manifest;
use hedui_protocol::schema::Schema;

use crate::failure::{Failure, Outcome};
use crate::terminal;
use crate::transport::tls::Identity;

/// The project's manifest.
#[derive(Args, Clone, Debug)]
pub struct ManifestFile {
    /// The project's manifest (TOML)
    #[arg(long, value_name = "FILE")]
    pub manifest: PathBuf,
}

impl ManifestFile {
    /// Whoever acts under a manifest hears what makes its encodings easy to attack.
    pub fn load(&self) -> Outcome<Manifest> {
        let bytes = std::fs::read(&self.manifest).map_err(|e| Failure::file("read", &self.manifest, &e))?;
        let manifest = Manifest::parse(&bytes);
        let manifest = manifest.map_err(|e| Failure::refused(format!("{}: {e}", self.manifest.display())))?;
        warn(&self.manifest.display().to_string(), &manifest.schema);
        Ok(manifest)
    }
}

/// What makes encodings under a schema easy to attack.
pub fn warn(file: &str, schema: &Schema) {
    schema.remarks().iter().for_each(|remark| terminal::note(format!("warning: {file}: {remark}")));
}

/// A schema by its file or its preset's name.
pub fn read_schema(name: &str) -> Outcome<Schema> {
    let text = match Schema::preset(name) {
        Some(preset) => preset.to_owned(),
        None => {
            let path = Path::new(name);
            std::fs::read_to_string(path).map_err(|e| {
                Failure::file("read", path, &e).hint(format!("the presets are: {}", Schema::PRESETS.join(", ")))
            })?
        }
    };
    Schema::parse(&text).map_err(|e| Failure::refused(format!("{name}: {e}")))
}

/// This party's certificate and key, and the authority it trusts.
#[derive(Args, Clone, Debug)]
pub struct TlsFiles {
    /// This party's certificate (PEM)
    #[arg(long, value_name = "FILE")]
    pub tls_cert: PathBuf,
    /// Its private key (PEM, mode 0600)
    #[arg(long, value_name = "FILE")]
    pub tls_key: PathBuf,
    /// The authority that signed the other side's certificate (PEM)
    #[arg(long, value_name = "FILE")]
    pub tls_ca: PathBuf,
}

impl TlsFiles {
    pub fn identity(&self) -> Identity {
        Identity { certificate: self.tls_cert.clone(), key: self.tls_key.clone(), ca: self.tls_ca.clone() }
    }
}

/// The linkage server and how to reach it.
#[derive(Args, Clone, Debug)]
#[cfg(any(feature = "agency", feature = "auditor", feature = "office", feature = "operator"))]
pub struct ServerAddress {
    /// The linkage server, for instance https://linkage.example:8443
    #[arg(long, value_name = "URL")]
    pub server: String,
    #[command(flatten)]
    pub tls: TlsFiles,
    /// Seconds to go on trying while the server does not answer
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub wait: u64,
    /// Where this party keeps the server's receipts, which prove what it did; beside the certificate where it is not given
    #[arg(long, value_name = "FILE")]
    pub receipts: Option<PathBuf>,
}

#[cfg(any(feature = "agency", feature = "auditor", feature = "office", feature = "operator"))]
impl ServerAddress {
    pub fn client(&self, manifest: &Manifest) -> Outcome<crate::transport::client::Client> {
        let beside = || self.tls.tls_cert.with_extension("receipts.jsonl");
        let receipts = self.receipts.clone().unwrap_or_else(beside);
        let witness = || crate::transport::witness::Witness::open(&receipts, manifest);
        let (identity, patience) = (self.tls.identity(), Duration::from_secs(self.wait));
        crate::transport::client::Client::new(&self.server, &identity, patience, witness)
    }
}

/// A file with rows of people.
#[derive(Args, Clone, Debug)]
#[cfg(any(feature = "agency", feature = "office"))]
pub struct DataFile {
    /// CSV or Parquet; `-` is CSV on standard input
    #[arg(value_name = "DATA")]
    pub data: PathBuf,
    #[command(flatten)]
    pub format: TableFormat,
}

/// How a table is written, and which column is what.
#[derive(Args, Clone, Debug, Default)]
#[cfg(any(feature = "agency", feature = "office"))]
pub struct TableFormat {
    /// Encoding of a CSV file; detected where it is not given
    #[arg(long)]
    pub encoding: Option<crate::table::Encoding>,
    /// Separator of a CSV file; detected where it is not given
    #[arg(long, value_name = "CHAR")]
    pub separator: Option<char>,
    /// The column with each row's own id
    #[arg(long, value_name = "COLUMN", default_value = "id")]
    pub id: String,
    /// Which column holds a field of the schema; may be given several times
    #[arg(long, value_name = "FIELD=COLUMN")]
    pub map: Vec<crate::table::columns::Mapping>,
}

#[cfg(any(feature = "agency", feature = "office"))]
impl TableFormat {
    pub fn open(&self, path: &Path) -> Outcome<crate::table::Table> {
        let separator = self.separator.map(|c| u8::try_from(c).ok().filter(u8::is_ascii));
        if separator == Some(None) {
            return Err(Failure::usage("`--separator` takes one ASCII character"));
        }
        let source =
            crate::table::Source { path: path.to_owned(), encoding: self.encoding, separator: separator.flatten() };
        crate::table::Table::open(&source)
    }
}

/// The linkage key of the project.
#[derive(Args, Clone, Debug)]
#[cfg(any(feature = "agency", feature = "office"))]
pub struct LinkageKeyFile {
    /// The linkage key that agencies and offices share (32 bytes, mode 0600)
    #[arg(long, value_name = "FILE")]
    pub key_file: PathBuf,
}

#[cfg(any(feature = "agency", feature = "office"))]
impl LinkageKeyFile {
    pub fn load(&self) -> Outcome<hedui_protocol::keys::LinkageKey> {
        let bytes = crate::keyfile::read(&self.key_file)?;
        hedui_protocol::keys::LinkageKey::new(&bytes)
            .map_err(|e| Failure::refused(format!("{}: {e}", self.key_file.display())).hint(NEW_KEY))
    }

    /// The key, if it is the one that the manifest names.
    pub fn load_for(&self, manifest: &Manifest) -> Outcome<hedui_protocol::keys::LinkageKey> {
        let key = self.load()?;
        if key.check() == manifest.linkage_key_check {
            return Ok(key);
        }
        let (got, expected) = (key.check(), manifest.linkage_key_check);
        Err(Failure::refused(format!(
            "{}: the linkage key differs: this is key {got}, the manifest names key {expected}",
            self.key_file.display()
        ))
        .hint(format!("ask the project's key custodian for the key of epoch `{}`", manifest.epoch)))
    }
}

#[cfg(any(feature = "agency", feature = "office"))]
const NEW_KEY: &str = "make a key with `hedui key new`; a key is never typed";

/// A party's signing key.
#[derive(Args, Clone, Debug)]
#[cfg(any(feature = "agency", feature = "office"))]
pub struct SigningKeyFile {
    /// This party's signing key (32 bytes, mode 0600)
    #[arg(long, value_name = "FILE")]
    pub signing_key: PathBuf,
}

#[cfg(any(feature = "agency", feature = "office"))]
impl SigningKeyFile {
    /// The seed, if its public half is the one that the manifest names for `party`.
    pub fn load_for(
        &self,
        party: &str,
        public: hedui_protocol::sign::PublicKey,
    ) -> Outcome<(hedui_protocol::sign::SigningKey, zeroize::Zeroizing<[u8; 32]>)> {
        let bytes = crate::keyfile::read(&self.signing_key)?;
        let file = self.signing_key.display();
        let seed = hedui_protocol::secret::checked(&bytes)
            .map_err(|e| Failure::refused(format!("{file}: {e}")).hint(NEW_KEY))?;
        let key = hedui_protocol::sign::SigningKey::from_seed(&seed);
        if key.public() != public {
            return Err(Failure::refused(format!(
                "{file}: this is not the signing key that the manifest names for `{party}`"
            )));
        }
        Ok((key, seed))
    }
}

/// An amount of memory: bytes, or with K, M or G that many kibi-, mebi- or gibibytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(u64);

impl Size {
    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl std::str::FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (digits, unit) = match text.strip_suffix(['K', 'M', 'G']) {
            Some(digits) => (digits, 10 * (1 + "KMG".find(&text[digits.len()..]).expect("one of them"))),
            None => (text, 0),
        };
        let number = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << unit));
        number
            .filter(|number| *number > 0)
            .map(Self)
            .ok_or_else(|| format!("`{text}` is no amount of memory: as 500M or 2G"))
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let units = [("G", 30), ("M", 20), ("K", 10)];
        match units.into_iter().find(|(_, shift)| self.0 > 0 && self.0.is_multiple_of(1 << shift)) {
            Some((unit, shift)) => write!(f, "{}{unit}", self.0 >> shift),
            None => write!(f, "{}", self.0),
        }
    }
}
