//! The house of the linkage server: it matches encodings, and never holds a name, a linkage key or an opening key.
//!
//! `http` decodes requests and answers; `store` keeps the control plane; `parts` the data plane; `log` signs what was
//! done; `indexer` derives indexes from committed parts; `run` matches commissions; `release` is the one rule of what may
//! go out; `worker` does queued jobs, beside other servers; `certificates` follows their files; `upkeep` is the operator's,
//! with `backup`, `doctor` and `gc`.

mod background;
mod backup;
mod certificates;
pub mod command;
mod descriptors;
mod doctor;
mod error;
mod gc;
mod http;
mod indexer;
mod indexes;
mod ingest;
mod layers;
mod log;
mod parts;
mod project;
mod release;
mod revocations;
mod room;
mod run;
mod store;
mod tickets;
mod upkeep;
mod worker;

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use rustix::fs::FlockOperation;

use crate::clock::Clock;
use crate::failure::{Failure, Outcome};
use crate::random;
use crate::staging::{private_folder, write_private};
use background::Background;
pub use certificates::CertificateFiles;
use error::ServerError;
use indexes::Indexes;
use log::Log;
use parts::Parts;
pub use parts::PartsAt;
use project::Project;
use room::Room;
pub use store::Database;
use store::Store;
use tickets::Tickets;
use worker::Wake;

/// What one server does of the work that several share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Answer parties
    Api,
    /// Index and match
    Worker,
    All,
}

impl Role {
    fn answers_parties(self) -> bool {
        self != Self::Worker
    }

    fn works(self) -> bool {
        self != Self::Api
    }
}

/// Where a server keeps things.
#[derive(Clone, Debug)]
pub struct Places {
    /// The index, and what else is this server's alone.
    pub data: PathBuf,
    pub database: Database,
    pub parts: PartsAt,
    /// How a bucket is reached.
    pub parts_config: Option<PathBuf>,
}

/// What the operator decides.
#[derive(Clone, Debug)]
pub struct Config {
    pub places: Places,
    pub role: Role,
    pub listen: SocketAddr,
    pub operator_listen: SocketAddr,
    pub manifest: PathBuf,
    pub certificates: CertificateFiles,
    /// Signs the log.
    pub log_key: PathBuf,
    /// Requests that one organisation may send a second.
    pub rate: u32,
    /// Bytes that building an index may take.
    pub index_memory: u64,
}

/// Where the server listens.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// None: this server only works.
    pub parties: Option<SocketAddr>,
    pub operator: SocketAddr,
}

/// What all of the server's tasks share.
pub struct Linkage {
    project: Project,
    store: Store,
    parts: Parts,
    room: Room,
    log: Log,
    indexes: Indexes,
    clock: Clock,
    tickets: Tickets,
    wake: Wake,
    rate: http::Rate,
    background: Background,
    /// Held from before an index is built until the books and this server agree on it: two that build one batch's index
    /// would spoil each other's files, and one that tidies up would take what another has just built.
    indexing: tokio::sync::Mutex<()>,
    index_memory: u64,
}

/// Serves until SIGINT or SIGTERM.
pub async fn run(config: Config, clock: Clock, ready: impl FnOnce(&Addresses)) -> Outcome {
    descriptors::raise_limit();
    let project = Project::load(&config.manifest)?;
    project.manifest.schema.remarks().iter().for_each(|remark| tracing::warn!("The project's schema: {remark}"));
    let Places { data, database, parts, parts_config } = &config.places;
    private_folder(data)?;
    let _lock = lock(data)?;
    remember_manifest(data, &project)?;
    let log = Log::load(&config.log_key, &project.manifest, data)?;
    let store = Store::open(database, &holder(data)?).await.map_err(|e| unreachable(database, &e))?;
    goes_on_with(&store, database).await?;
    belongs_to(&store, database, &project).await?;
    store.keep_terms(&project.terms, &project.signatures).await.map_err(Failure::refused)?;
    log.open(&store, &project.manifest, clock.now()).await?;
    let linkage = Arc::new(Linkage {
        store,
        log,
        parts: Parts::open(parts, parts_config.as_deref())?,
        room: Room::default(),
        indexes: Indexes::open_folder(data.join("index"))?,
        project,
        clock,
        tickets: Tickets::default(),
        wake: Wake::default(),
        rate: http::Rate::new(config.rate),
        background: Background::new()?,
        indexing: tokio::sync::Mutex::default(),
        index_memory: config.index_memory,
    });
    let mut tasks = vec![tokio::spawn(remember(Arc::clone(&linkage)))];
    if config.role.works() {
        worker::recover(&linkage).await.map_err(Failure::refused)?;
        tasks.extend(worker::start(&linkage));
    }
    let served = http::serve(&config, Arc::clone(&linkage), ready).await;
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
    served.and(linkage.log.remember(&linkage.store).await)
}

/// Writes down what was signed, once a second.
async fn remember(linkage: Arc<Linkage>) {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if let Err(failure) = linkage.log.remember(&linkage.store).await {
            tracing::error!("What was signed last could not be written down: {}", failure.message);
        }
    }
}

fn unreachable(database: &Database, why: &ServerError) -> Failure {
    Failure::try_again(format!("{database}: {why}"))
}

/// One server a folder.
fn lock(data: &Path) -> Outcome<File> {
    let path = data.join("lock");
    let file = File::create(&path).map_err(|e| Failure::file("write", &path, &e))?;
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| Failure::refused(format!("{}: another server runs on this folder", data.display())))?;
    Ok(file)
}

/// The name by which this server claims jobs: its data folder's, for good.
fn holder(data: &Path) -> Outcome<String> {
    let path = data.join("holder.id");
    match std::fs::read_to_string(&path) {
        Ok(known) => Ok(known),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let fresh = format!("{:032x}", u128::from_be_bytes(random::bytes()?));
            write_private(&path, fresh.as_bytes())?;
            Ok(fresh)
        }
        Err(e) => Err(Failure::file("read", &path, &e)),
    }
}

/// A later program may have brought the database further; whether this one may go on with it, the database says.
async fn goes_on_with(store: &Store, database: &Database) -> Outcome {
    let Some(version) = store.beyond().await.map_err(Failure::refused)? else { return Ok(()) };
    let known = store::newest();
    Err(Failure::refused(format!(
        "{database}: a later program has brought it to version {version}, this one knows {known}"
    ))
    .hint("run the later program; there is no way back but a backup"))
}

/// A database belongs to one manifest for good, whichever server asks.
async fn belongs_to(store: &Store, database: &Database, project: &Project) -> Outcome {
    let id = project.manifest.id();
    let known = store.belongs_to(id).await.map_err(Failure::refused)?;
    if known == id.to_string() {
        return Ok(());
    }
    Err(Failure::refused(format!("{database}: holds the data of manifest {known}, not of {id}"))
        .hint("another manifest needs another database"))
}

/// A data folder belongs to one manifest for good.
fn remember_manifest(data: &Path, project: &Project) -> Outcome {
    let path = data.join("manifest.id");
    let id = project.manifest.id().to_string();
    match std::fs::read_to_string(&path) {
        Ok(known) if known == id => Ok(()),
        Ok(known) => {
            Err(Failure::refused(format!("{}: holds the data of manifest {known}, not of {id}", data.display()))
                .hint("another manifest needs another folder"))
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => write_private(&path, id.as_bytes()),
        Err(e) => Err(Failure::file("read", &path, &e)),
    }
}
