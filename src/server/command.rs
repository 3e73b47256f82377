//! `hedui server …` on the command line.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use hedui_protocol::ids::ManifestId;

use super::{Addresses, CertificateFiles, Config, Database, PartsAt, Places, Role, backup, check, upkeep};
use crate::clock::Clock;
use crate::failure::{Failure, Outcome};
use crate::options::{Size, TlsFiles};

/// `hedui server …`
#[derive(Subcommand, Debug)]
pub enum Verb {
    /// Run the linkage server on a folder; nothing else needs to be installed
    Run(Box<Run>),
    /// Copy everything that must survive into a new folder, while servers run
    Backup(Backup),
    /// Put a backup into an empty place, of the same kind or another
    Restore(Restore),
    /// Look everything over and name what is wrong; exit 0 if nothing is
    Doctor(Doctor),
    /// Remove backups whose term is over but for the newest, and the keys of all others: what was erased since is then noise in them
    Prune(Prune),
    /// Remove files that no batch needs: of what has ended by its term, and what belongs to no part
    Gc(Gc),
}

impl Verb {
    pub fn log_format(&self) -> LogFormat {
        match self {
            Self::Run(run) => run.log_format,
            _ => LogFormat::Text,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    /// An object a line
    Json,
}

/// Where a server keeps things.
#[derive(Args, Debug)]
pub struct Stores {
    /// Where the server keeps everything that is not elsewhere (mode 0700; made if need be)
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// A PostgreSQL, as postgres://USER@HOST/NAME, which several servers may share; the password stands in ~/.pgpass or in
    /// the file that PGPASSFILE names. Without it: SQLite in the folder
    #[arg(long, value_name = "URL")]
    database: Option<Place<Database>>,
    /// A bucket for the parts, as s3://BUCKET/PREFIX; its credentials come from a file or from AWS_ACCESS_KEY_ID and
    /// AWS_SECRET_ACCESS_KEY. Without it: a folder in the folder
    #[arg(long, value_name = "URL")]
    parts: Option<Place<PartsAt>>,
    /// Settings of the bucket (TOML, mode 0600): access_key_id, secret_access_key, session_token, region, endpoint, ca
    #[arg(long, value_name = "FILE", requires = "parts")]
    parts_config: Option<PathBuf>,
}

/// Where something is kept. An argument that does not read is repeated by whoever reads arguments, and this one may hold a
/// password: it is refused later, without it.
#[derive(Clone, Debug)]
struct Place<T>(Result<T, String>);

impl<T: FromStr<Err = String>> FromStr for Place<T> {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.parse()))
    }
}

impl<T> Place<T> {
    fn settle(self, option: &str) -> Outcome<T> {
        self.0.map_err(|why| Failure::usage(format!("{option}: {why}")))
    }
}

impl Stores {
    fn settle(self) -> Outcome<Places> {
        let Self { data, database, parts, parts_config } = self;
        let database = database.map(|url| url.settle("--database")).transpose()?;
        let parts = parts.map(|url| url.settle("--parts")).transpose()?;
        Ok(Places {
            database: database.unwrap_or_else(|| Database::Sqlite(data.join("hedui.sqlite"))),
            parts: parts.unwrap_or_else(|| PartsAt::Folder(data.join("parts"))),
            parts_config,
            data,
        })
    }
}

#[derive(Args, Debug)]
pub struct Run {
    #[command(flatten)]
    stores: Stores,
    /// What this server does of the work that servers on one database share
    #[arg(long, value_enum, default_value_t = Role::All)]
    role: Role,
    /// Address for agencies and offices; port 0 picks a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    /// Address for the operator: health and metrics
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8444")]
    operator_listen: SocketAddr,
    /// The project's manifest; the parties' signatures stand beside it, in FILE.sig
    #[arg(long, value_name = "FILE")]
    manifest: PathBuf,
    /// The key that signs the log (32 bytes, mode 0600); the manifest names its public half
    #[arg(long, value_name = "FILE")]
    log_key: PathBuf,
    /// Memory for building an index, as 500M or 2G; what is mapped is not counted
    #[arg(long, value_name = "SIZE", default_value = "1G")]
    memory: Size,
    /// Requests that one organisation may send a second, on average
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// How the log on standard error is written
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// Do not run: look whether the server could, and say what is missing
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    tls: TlsFiles,
    /// Revocation lists, one for each authority of --tls-ca (PEM): a client is refused whom its authority's list names, whose
    /// authority has none, or whose authority's has ended. Without it, nothing is known to be revoked
    #[arg(long, value_name = "FILE")]
    tls_crl: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub struct Backup {
    #[command(flatten)]
    stores: Stores,
    /// The folder to make; it must not exist yet
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

#[derive(Args, Debug)]
pub struct Restore {
    /// The backup
    #[arg(value_name = "DIR")]
    from: PathBuf,
    /// The keys of a later backup (its keys.jsonl): what was erased meanwhile stays erased
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    #[command(flatten)]
    stores: Stores,
}

#[derive(Args, Debug)]
pub struct Prune {
    /// The folder with the backups
    #[arg(value_name = "DIR")]
    backups: PathBuf,
    /// Say what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Args, Debug)]
pub struct Doctor {
    #[command(flatten)]
    stores: Stores,
    /// A certificate whose end is looked at; may be given several times
    #[arg(long, value_name = "FILE")]
    certificate: Vec<PathBuf>,
    /// A revocation list whose end is looked at; may be given several times
    #[arg(long, value_name = "FILE")]
    crl: Vec<PathBuf>,
    /// Remove damaged indexes of the folder, whose server must not be running: they are built anew
    #[arg(long)]
    repair: bool,
}

/// `hedui audit export`
#[derive(Args, Debug)]
pub struct ExportLog {
    #[command(flatten)]
    stores: Stores,
    /// The folder to write, or to go on with
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The log of the epoch of this manifest, which was opened later; without it, of the one that the server was started with
    #[arg(long, value_name = "MANIFEST-ID")]
    epoch: Option<ManifestId>,
}

#[derive(Args, Debug)]
pub struct Gc {
    #[command(flatten)]
    stores: Stores,
    /// Say what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,
}

/// Writes the log where an auditor reads it.
pub fn export(ExportLog { stores, out, epoch }: ExportLog) -> Outcome {
    let first = stores.settle()?;
    let places = epoch.map_or_else(|| first.clone(), |manifest| first.of_epoch(manifest));
    runtime()?.block_on(upkeep::export_log(&places, &out))
}

fn runtime() -> Outcome<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|e| Failure::refused(format!("cannot start threads: {e}")))
}

pub fn run(verb: Verb, clock: Clock) -> Outcome {
    let runtime = runtime()?;
    let ended = runtime.block_on(perform(verb, clock));
    // matching or indexing under way is taken up again at the next start
    runtime.shutdown_timeout(Duration::from_secs(1));
    ended
}

async fn perform(verb: Verb, clock: Clock) -> Outcome {
    match verb {
        Verb::Run(run) => run.run(clock).await,
        Verb::Backup(Backup { stores, out }) => upkeep::back_up(&stores.settle()?, &out, &clock).await,
        Verb::Restore(Restore { from, keys, stores }) => {
            upkeep::restore(&from, keys.as_deref(), &stores.settle()?, clock.now()).await
        }
        Verb::Prune(Prune { backups, dry_run }) => backup::prune(&backups, dry_run, clock.now()),
        Verb::Doctor(Doctor { stores, certificate, crl, repair }) => {
            upkeep::examine(&stores.settle()?, &certificate, &crl, repair, &clock).await
        }
        Verb::Gc(Gc { stores, dry_run }) => upkeep::collect(&stores.settle()?, dry_run, &clock).await,
    }
}

impl Run {
    async fn run(self, clock: Clock) -> Outcome {
        let config = Config {
            places: self.stores.settle()?,
            role: self.role,
            listen: self.listen,
            operator_listen: self.operator_listen,
            manifest: self.manifest,
            certificates: CertificateFiles { identity: self.tls.identity(), revocations: self.tls_crl },
            log_key: self.log_key,
            rate: self.rate,
            index_memory: self.memory.bytes(),
        };
        if self.check { check::check(&config).await } else { super::run(config, clock, announce).await }
    }
}

/// One line of JSON on standard output says where the server listens, once it does.
fn announce(addresses: &Addresses) {
    println!("{}", serde_json::json!({ "parties": addresses.parties, "operator": addresses.operator }));
}
