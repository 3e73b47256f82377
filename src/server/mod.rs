//! The house of the linkage server: it matches encodings, and never holds a name, a linkage key or an opening key.
//!
//! `http` decodes requests and answers; `store` keeps the control plane; `parts` the data plane; `log` signs what was
//! done; `indexer` derives indexes from committed parts; `run` matches commissions; `release` is the one rule of what may
//! go out; `worker` does queued jobs, beside other servers; `tidy` takes away what has served its time; `epochs` are
//! projects side by side; `certificates` follows their files, and `serving` says them to the log; `upkeep` is the operator's,
//! with `check`, `backup`, `doctor` and `gc`.

mod background;
mod backup;
mod certificates;
mod check;
pub mod command;
mod descriptors;
mod doctor;
mod epochs;
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
mod serving;
mod shred;
mod store;
mod telling;
mod tickets;
mod tidy;
mod upkeep;
mod worker;

use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::ValueEnum;
use hedui_protocol::acts::Retention;
use hedui_protocol::ids::ManifestId;
use rustix::fs::FlockOperation;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::failure::{Failure, Outcome};
use crate::random;
use crate::staging::{private_folder, write_private};
use background::Background;
pub use certificates::CertificateFiles;
use epochs::Epochs;
use indexes::Indexes;
use log::Log;
use parts::Parts;
pub use parts::PartsAt;
use project::Project;
use room::Room;
pub use store::Database;
use store::{EPOCHS, Store};
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

impl Places {
    /// Where the epoch of this manifest keeps its own, which came after the first one, whose places these are.
    pub fn of_epoch(&self, manifest: ManifestId) -> Self {
        Self {
            data: self.data.join(EPOCHS).join(manifest.to_string()),
            database: self.database.of_epoch(manifest),
            parts: self.parts.of_epoch(manifest),
            parts_config: self.parts_config.clone(),
        }
    }
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

/// What all of a server's epochs share.
pub struct Machine {
    room: Room,
    clock: Clock,
    rate: http::Rate,
    background: Background,
    index_memory: u64,
    /// Whether it is to end.
    stop: watch::Sender<bool>,
}

/// One epoch: what all of its tasks share.
pub struct Linkage {
    machine: Arc<Machine>,
    project: Project,
    store: Store,
    parts: Parts,
    log: Log,
    indexes: Indexes,
    tickets: Tickets,
    refusals: http::Refusals,
    wake: Wake,
    /// Nothing is left of it but its log.
    erased: AtomicBool,
    /// Held from before an index is built until the books and this server agree on it: two that build one batch's index
    /// would spoil each other's files, and one that tidies up would take what another has just built.
    indexing: tokio::sync::Mutex<()>,
}

impl std::ops::Deref for Linkage {
    type Target = Machine;

    fn deref(&self) -> &Machine {
        &self.machine
    }
}

impl Linkage {
    /// Opens an epoch, and begins its log if it has none.
    /// `terms`: those of the epoch that it was opened from.
    async fn open(
        machine: &Arc<Machine>,
        project: Project,
        places: &Places,
        log_key: &Path,
        terms: Option<Retention>,
    ) -> Outcome<Arc<Self>> {
        project.manifest.schema.remarks().iter().for_each(|remark| tracing::warn!("The project's schema: {remark}"));
        let Places { data, database, parts, parts_config } = places;
        own_folder(data)?;
        remember_manifest(data, &project)?;
        let log = Log::load(log_key, &project.manifest, data)?;
        let opened = Parts::open(parts, parts_config.as_deref())?;
        opened.look(parts).await?;
        let store = Store::open(database, &holder(data)?).await?;
        goes_on_with(&store, database).await?;
        belongs_to(&store, database, &project).await?;
        store.keep_terms(&project.terms, &project.signatures).await.map_err(Failure::try_again)?;
        let terms = match terms {
            Some(terms) => {
                store.inherit(&terms).await.map_err(Failure::try_again)?;
                // as they are kept: a start that was cut short may have inherited others
                Some(store.retention().await.map_err(Failure::try_again)?)
            }
            None => None,
        };
        log.open(&store, &project.manifest, terms, machine.clock.now()).await?;
        let erased = store.is_erased().await.map_err(Failure::try_again)?;
        Ok(Arc::new(Self {
            machine: Arc::clone(machine),
            store,
            log,
            parts: opened,
            indexes: Indexes::open_folder(data.join("index"))?,
            project,
            tickets: Tickets::default(),
            refusals: http::Refusals::default(),
            wake: Wake::default(),
            erased: AtomicBool::new(erased),
            indexing: tokio::sync::Mutex::default(),
        }))
    }

    /// Starts its tasks; one of which nothing is left has no work.
    async fn start(self: &Arc<Self>, role: Role) -> Outcome<Vec<JoinHandle<()>>> {
        let mut tasks = Vec::new();
        if role.works() {
            if !self.is_erased() {
                worker::recover(self).await.map_err(Failure::try_again)?;
                tasks = worker::start(self);
            }
            tasks.push(tokio::spawn(tidy::keep_tidy(Arc::clone(self))));
        } else {
            // a worker's once: nobody here would take them away with what is erased
            self.indexes.clear()?;
            self.store.works_no_more().await.map_err(Failure::try_again)?;
        }
        tasks.push(tokio::spawn(remember(Arc::clone(self))));
        Ok(tasks)
    }

    fn is_erased(&self) -> bool {
        self.erased.load(Ordering::Relaxed)
    }
}

/// Serves until SIGINT or SIGTERM.
pub async fn run(config: Config, clock: Clock, ready: impl FnOnce(&Addresses)) -> Outcome {
    let hangups = certificates::hangups();
    descriptors::raise_limit();
    let project = Project::load(&config.manifest)?;
    own_folder(&config.places.data)?;
    let _lock = lock(&config.places.data)?;
    let machine = Machine {
        room: Room::default(),
        clock,
        rate: http::Rate::of_requests(config.rate),
        background: Background::new()?,
        index_memory: config.index_memory,
        stop: watch::Sender::new(false),
    };
    let machine = Arc::new(machine);
    let epochs = Epochs::open(Arc::clone(&machine), project, &config).await?;
    let following = tokio::spawn(Arc::clone(&epochs).follow());
    let served = http::serve(&config, Arc::clone(&epochs), hangups, &machine.stop, ready).await;
    following.abort();
    served.and(epochs.close().await)
}

/// Writes down what was signed, and looks whether the epoch was erased, once a second.
async fn remember(linkage: Arc<Linkage>) {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if let Ok(erased) = linkage.store.is_erased().await {
            linkage.erased.store(erased, Ordering::Relaxed);
        }
        if let Err(failure) = linkage.log.remember(&linkage.store).await {
            tracing::error!("What was signed last could not be written down: {}", failure.message);
        }
    }
}

/// The server's folder, made if need be: this user's alone.
fn own_folder(data: &Path) -> Outcome {
    private_folder(data)?;
    must_be_private(data)
}

fn must_be_private(data: &Path) -> Outcome {
    let folder = std::fs::metadata(data).map_err(|e| Failure::file("read", data, &e))?;
    let name = data.display();
    if !folder.is_dir() {
        return Err(Failure::refused(format!("{name}: this is no folder")));
    }
    if folder.mode() & 0o077 != 0 {
        return Err(Failure::refused(format!("{name}: others may enter this folder"))
            .hint(format!("name a folder of the server's own; if it is: chmod 700 {name}")));
    }
    Ok(())
}

const LOCK: &str = "lock";

/// One server a folder.
fn lock(data: &Path) -> Outcome<File> {
    let path = data.join(LOCK);
    let file = File::create(&path).map_err(|e| Failure::file("write", &path, &e))?;
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| Failure::refused(format!("{}: another server runs on this folder", data.display())))?;
    Ok(file)
}

/// Whether a server runs on the folder. The question takes a moment, in which none can start.
fn is_locked(data: &Path) -> bool {
    let file = File::open(data.join(LOCK)).ok();
    file.is_some_and(|file| rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared).is_err())
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
    if store.is_restoring().await {
        return Err(half_restored(database));
    }
    let Some(version) = store.beyond().await.map_err(Failure::try_again)? else { return Ok(()) };
    let known = store::newest();
    Err(Failure::refused(format!(
        "{database}: a later program has brought it to version {version}, this one knows {known}"
    ))
    .hint("run the later program; there is no way back but a backup"))
}

fn half_restored(database: &Database) -> Failure {
    Failure::refused(format!("{database}: a restore was cut short here"))
        .hint("empty the database and the place of the parts, and begin again: `hedui server restore`")
}

/// A database belongs to one manifest for good, whichever server asks.
async fn belongs_to(store: &Store, database: &Database, project: &Project) -> Outcome {
    let known = store.belongs_to(project.manifest.id()).await.map_err(Failure::try_again)?;
    refuse_another(database, known, project)
}

fn refuse_another(database: &Database, known: ManifestId, project: &Project) -> Outcome {
    let id = project.manifest.id();
    if known == id {
        return Ok(());
    }
    Err(Failure::refused(format!("{database}: holds the data of manifest {known}, not of {id}"))
        .hint("another manifest needs another database"))
}

const OF_MANIFEST: &str = "manifest.id";

/// A data folder belongs to one manifest for good.
fn remember_manifest(data: &Path, project: &Project) -> Outcome {
    if is_of(data, project)? {
        return Ok(());
    }
    write_private(&data.join(OF_MANIFEST), project.manifest.id().to_string().as_bytes())
}

/// Whether the folder says that it belongs to this manifest; an error where it belongs to another.
fn is_of(data: &Path, project: &Project) -> Outcome<bool> {
    let (path, id) = (data.join(OF_MANIFEST), project.manifest.id().to_string());
    match std::fs::read_to_string(&path) {
        Ok(known) if known == id => Ok(true),
        Ok(known) => {
            Err(Failure::refused(format!("{}: holds the data of manifest {known}, not of {id}", data.display()))
                .hint("another manifest needs another folder, or becomes the next epoch of this one: `hedui operator propose open-epoch`"))
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(Failure::file("read", &path, &e)),
    }
}
