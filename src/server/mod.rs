//! The house of the linkage server: it matches encodings, and never holds a name, a linkage key or an opening key.
//!
//! `http` decodes requests and answers; `store` keeps the control plane; `parts` the data plane; `indexer` derives
//! indexes from committed parts; `run` matches commissions; `release` is the one rule of what may go out.

pub mod command;
mod error;
mod http;
mod indexer;
mod indexes;
mod ingest;
mod project;
mod release;
mod run;
mod store;
mod tickets;
mod worker;

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::FlockOperation;

use crate::clock::Clock;
use crate::failure::{Failure, Outcome};
use crate::staging::{private_folder, write_private};
use crate::transport::tls::Identity;
use indexes::Indexes;
use ingest::Parts;
use project::Project;
use store::Store;
use tickets::Tickets;
use worker::Wake;

/// What the operator decides.
#[derive(Clone, Debug)]
pub struct Config {
    pub data: PathBuf,
    pub listen: SocketAddr,
    pub operator_listen: SocketAddr,
    pub manifest: PathBuf,
    pub identity: Identity,
    /// Bytes that building an index may take.
    pub index_memory: u64,
}

/// Where the server listens.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    pub parties: SocketAddr,
    pub operator: SocketAddr,
}

/// What all of the server's tasks share.
pub struct Linkage {
    project: Project,
    store: Store,
    parts: Parts,
    indexes: Indexes,
    clock: Clock,
    tickets: Tickets,
    wake: Wake,
    index_memory: u64,
}

/// Serves until SIGINT or SIGTERM.
pub async fn run(config: Config, clock: Clock, ready: impl FnOnce(&Addresses)) -> Outcome {
    let project = Project::load(&config.manifest)?;
    project.manifest.schema.remarks().iter().for_each(|remark| tracing::warn!("The project's schema: {remark}"));
    private_folder(&config.data)?;
    let _lock = lock(&config.data)?;
    remember_manifest(&config.data, &project)?;
    let linkage = Arc::new(Linkage {
        store: Store::open(&config.data.join("hedui.sqlite")).await.map_err(Failure::refused)?,
        parts: Parts::open(&config.data.join("parts"))?,
        indexes: Indexes::open_folder(config.data.join("index"))?,
        project,
        clock,
        tickets: Tickets::default(),
        wake: Wake::default(),
        index_memory: config.index_memory,
    });
    worker::recover(&linkage).await.map_err(Failure::refused)?;
    let workers = worker::start(&linkage);
    let served = http::serve(&config, Arc::clone(&linkage), ready).await;
    workers.iter().for_each(tokio::task::JoinHandle::abort);
    served
}

/// One server a folder.
fn lock(data: &Path) -> Outcome<File> {
    let path = data.join("lock");
    let file = File::create(&path).map_err(|e| Failure::file("write", &path, &e))?;
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| Failure::refused(format!("{}: another server runs on this folder", data.display())))?;
    Ok(file)
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
