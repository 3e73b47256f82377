//! The epochs that a server serves side by side: the one that it was started with, and those that operators opened from it.
//! Each has a database, parts, indexes and a log of its own: one may be erased whole while the next one answers.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

use hedui_protocol::acts::Retention;
use hedui_protocol::ids::ManifestId;
use tokio::task::JoinHandle;

use super::error::ServerResult;
use super::project::Project;
use super::store::NextEpoch;
use super::telling::Telling;
use super::{Config, Linkage, Machine, Places};
use crate::failure::Outcome;

/// Another server of the database may have opened one.
const LOOK: Duration = Duration::from_secs(1);
/// For so long a server that stops waits for what is still being written: another server may be writing.
const SETTLED: Duration = Duration::from_secs(2);
/// One that could not be opened is tried again after so long.
const AGAIN: Duration = Duration::from_secs(10);

pub struct Epochs {
    machine: Arc<Machine>,
    config: Config,
    /// The first is the one that the server was started with.
    open: RwLock<Vec<Epoch>>,
    /// When each that could not be opened is tried again.
    failing: Mutex<HashMap<ManifestId, Instant>>,
}

struct Epoch {
    linkage: Arc<Linkage>,
    tasks: Vec<JoinHandle<()>>,
}

impl Epochs {
    /// Opens the first epoch, and those that have come after it.
    pub async fn open(machine: Arc<Machine>, first: Project, config: &Config) -> Outcome<Arc<Self>> {
        let epochs =
            Arc::new(Self { machine, config: config.clone(), open: RwLock::default(), failing: Mutex::default() });
        epochs.add(first, &config.places, None).await?;
        epochs.look(&mut Telling::default()).await;
        Ok(epochs)
    }

    /// None once the server stops.
    pub fn first(&self) -> Option<Arc<Linkage>> {
        self.open.read().expect("no holder of the lock panics").first().map(|epoch| Arc::clone(&epoch.linkage))
    }

    pub fn of(&self, manifest: ManifestId) -> Option<Arc<Linkage>> {
        let open = self.open.read().expect("no holder of the lock panics");
        let found = open.iter().find(|epoch| epoch.linkage.project.manifest.id() == manifest);
        found.map(|epoch| Arc::clone(&epoch.linkage))
    }

    pub fn all(&self) -> Vec<Arc<Linkage>> {
        let open = self.open.read().expect("no holder of the lock panics");
        open.iter().map(|epoch| Arc::clone(&epoch.linkage)).collect()
    }

    /// How many epochs operators have opened that this server does not serve.
    pub async fn not_open(&self) -> ServerResult<usize> {
        let mut waiting = HashSet::new();
        for linkage in self.all() {
            let next = linkage.store.next_epochs().await?;
            waiting.extend(next.iter().map(|next| next.manifest).filter(|manifest| self.of(*manifest).is_none()));
        }
        Ok(waiting.len())
    }

    /// Opens what operators open, as they do.
    pub async fn follow(self: Arc<Self>) {
        let mut telling = Telling::default();
        loop {
            tokio::time::sleep(LOOK).await;
            self.look(&mut telling).await;
        }
    }

    /// Each epoch knows those that were opened from it. One that cannot be opened holds up none of the others.
    async fn look(&self, telling: &mut Telling) {
        for number in 0.. {
            let Some(linkage) = self.all().into_iter().nth(number) else { return };
            let next = match linkage.store.next_epochs().await {
                Ok(next) => next,
                Err(why) => {
                    if telling.is_due(&why.to_string(), Instant::now()) {
                        tracing::error!("Whether there are more epochs could not be seen: {why}");
                    }
                    continue;
                }
            };
            for next in next {
                let manifest = next.manifest;
                if self.is_too_early_for(manifest) {
                    continue;
                }
                if let Err(failure) = self.take_up(&linkage, next).await {
                    tracing::error!("An epoch could not be opened: {}", failure.message);
                    self.failing.lock().expect("no holder of the lock panics").insert(manifest, Instant::now() + AGAIN);
                }
            }
        }
    }

    fn is_too_early_for(&self, manifest: ManifestId) -> bool {
        let failing = self.failing.lock().expect("no holder of the lock panics");
        failing.get(&manifest).is_some_and(|again| Instant::now() < *again)
    }

    /// Opens it where it is not open, and notes that it is there for its parties: from then on the term of the one before runs.
    async fn take_up(&self, before: &Linkage, next: NextEpoch) -> Outcome {
        let NextEpoch { manifest, terms, signatures, is_served } = next;
        if self.of(manifest).is_none() {
            let project = Project::read(terms, signatures, "the manifest of the next epoch")?;
            tracing::info!("Opening epoch `{}`, of manifest {manifest}", project.manifest.epoch);
            let retention = before.store.retention().await?;
            self.add(project, &self.config.places.of_epoch(manifest), Some(retention)).await?;
        }
        if !is_served && self.config.role.answers_parties() {
            before.store.serves_next(manifest, before.clock.now()).await?;
        }
        Ok(())
    }

    async fn add(&self, project: Project, places: &Places, terms: Option<Retention>) -> Outcome {
        let linkage = Linkage::open(&self.machine, project, places, &self.config.log_key, terms).await?;
        let tasks = linkage.start(self.config.role).await?;
        self.open.write().expect("no holder of the lock panics").push(Epoch { linkage, tasks });
        Ok(())
    }

    /// Ends all tasks, and writes down what was signed last.
    pub async fn close(&self) -> Outcome {
        let epochs = std::mem::take(&mut *self.open.write().expect("no holder of the lock panics"));
        epochs.iter().flat_map(|epoch| &epoch.tasks).for_each(JoinHandle::abort);
        let close = async |Epoch { linkage, tasks }: Epoch| {
            // what they had sent to the database comes to its end there, and is signed with the rest
            let settled = async {
                futures::future::join_all(tasks).await;
                linkage.store.has_written().await
            };
            let _ = tokio::time::timeout(SETTLED, settled).await;
            let remembered = linkage.log.remember(&linkage.store).await;
            let _ = tokio::time::timeout(SETTLED, linkage.store.close()).await;
            remembered
        };
        futures::future::join_all(epochs.into_iter().map(close)).await.into_iter().collect()
    }
}
