//! What a server serves with stands in the log of each epoch: at its start, where it is other than what was said last, and
//! whatever its certificate files have said since, in order.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hedui_protocol::ids::ManifestId;
use hedui_protocol::log::Event;
use tokio::sync::watch;

use super::Linkage;
use super::certificates::{Hashes, TakenUp};
use super::epochs::Epochs;
use super::error::ServerResult;
use super::telling::Telling;

const LOOK: Duration = Duration::from_secs(1);
/// For so long the log is waited for at the end.
const LAST_WORD: Duration = Duration::from_secs(2);
/// How the entry begins that is compared.
const SERVES: &str = "a server serves with ";

pub struct Serving {
    epochs: Arc<Epochs>,
    rate: u32,
    taken_up: TakenUp,
    /// The files in force, as the last of `acts` say.
    now: Option<Hashes>,
    /// All that is to be said, since the start.
    acts: Vec<String>,
    /// How many of them the log of each epoch has.
    said: HashMap<ManifestId, usize>,
}

impl Serving {
    pub fn new(epochs: Arc<Epochs>, rate: u32, taken_up: TakenUp) -> Self {
        Self { epochs, rate, taken_up, now: None, acts: Vec::new(), said: HashMap::new() }
    }

    /// At the start, to the first epoch: where that cannot be, nobody is served. The others hear it when they can.
    pub async fn begin(&mut self) -> ServerResult<()> {
        self.take();
        match self.epochs.first() {
            Some(first) if !first.is_erased() => self.say_to(&first).await,
            _ => Ok(()),
        }
    }

    /// Goes on until the server stops; what could not be said is said later.
    pub async fn follow(mut self, mut stop: watch::Receiver<bool>) {
        let mut telling = Telling::default();
        while !*stop.borrow() {
            if let Err(error) = self.say().await
                && telling.is_due(&error.to_string(), Instant::now())
            {
                tracing::error!("What the server serves with could not be entered in the log: {error}");
            }
            let _ = tokio::time::timeout(LOOK, stop.wait_for(|stop| *stop)).await;
        }
        // what was taken up just before
        let _ = tokio::time::timeout(LAST_WORD, self.say()).await;
    }

    /// Says it to each epoch that has not heard it. One that cannot hear holds up none of the others.
    async fn say(&mut self) -> ServerResult<()> {
        self.take();
        let mut said = Ok(());
        for linkage in self.epochs.all() {
            if !linkage.is_erased() {
                said = said.and(self.say_to(&linkage).await);
            }
        }
        said
    }

    /// What is to be said of the files that were taken up since.
    fn take(&mut self) {
        while let Ok(hashes) = self.taken_up.try_recv() {
            let before = self.now.replace(hashes.clone());
            if before.as_ref().is_none_or(|before| before.of_others() != hashes.of_others()) {
                self.acts.push(format!("{SERVES}rate {}, {}", self.rate, hashes.of_others()));
            }
            if before.is_some_and(|before| before.certificate != hashes.certificate) {
                self.acts.push(format!("a server took up another certificate of its own, {}", hashes.certificate));
            }
        }
    }

    async fn say_to(&mut self, linkage: &Linkage) -> ServerResult<()> {
        let manifest = linkage.project.manifest.id();
        if !self.said.contains_key(&manifest) {
            // it hears what is in force, unless that is what its log has
            let serves = self.acts.iter().rposition(|act| act.starts_with(SERVES)).unwrap_or_default();
            let known = linkage.store.last_administered(SERVES).await?;
            let is_known = self.acts.get(serves) == known.as_ref();
            self.said.insert(manifest, if is_known { serves + 1 } else { serves });
        }
        let said = self.said.entry(manifest).or_default();
        for act in &self.acts[*said..] {
            linkage.store.note(Event::Administered { act: act.clone() }, linkage.clock.now()).await?;
            *said += 1;
        }
        Ok(())
    }
}
