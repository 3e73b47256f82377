//! What a server serves with stands in the log of each epoch: at its start, where it is other than what was said last, and
//! whenever its certificate files say something else.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hedui_protocol::ids::ManifestId;
use hedui_protocol::log::Event;

use super::Linkage;
use super::certificates::{Current, Hashes};
use super::epochs::Epochs;
use super::error::ServerResult;
use super::telling::Telling;

const LOOK: Duration = Duration::from_secs(1);
/// How the entry begins that is compared.
const SERVES: &str = "a server serves with ";

pub struct Serving {
    epochs: Arc<Epochs>,
    rate: u32,
    certificates: Current,
    /// What the log of each epoch has of this server.
    said: HashMap<ManifestId, Hashes>,
}

impl Serving {
    pub fn new(epochs: Arc<Epochs>, rate: u32, certificates: Current) -> Self {
        Self { epochs, rate, certificates, said: HashMap::new() }
    }

    /// Goes on as long as the server runs; what could not be said is said later.
    pub async fn follow(mut self) {
        let mut telling = Telling::default();
        loop {
            tokio::time::sleep(LOOK).await;
            if let Err(error) = self.say().await
                && telling.is_due(&error.to_string(), Instant::now())
            {
                tracing::error!("What the server serves with could not be entered in the log: {error}");
            }
        }
    }

    /// Says it to each epoch that has not heard it.
    pub async fn say(&mut self) -> ServerResult<()> {
        let now = self.certificates.borrow().hashes.clone();
        for linkage in self.epochs.all() {
            let manifest = linkage.project.manifest.id();
            let before = self.said.get(&manifest);
            if linkage.is_erased() || before == Some(&now) {
                continue;
            }
            self.say_to(&linkage, before, &now).await?;
            self.said.insert(manifest, now.clone());
        }
        Ok(())
    }

    async fn say_to(&self, linkage: &Linkage, before: Option<&Hashes>, now: &Hashes) -> ServerResult<()> {
        let note = async |act: String| linkage.store.note(Event::Administered { act }, linkage.clock.now()).await;
        let serves = format!("{SERVES}rate {}, {}", self.rate, now.of_others());
        let is_new = match before {
            Some(before) => before.of_others() != now.of_others(),
            None => linkage.store.last_administered(SERVES).await?.as_ref() != Some(&serves),
        };
        if is_new {
            note(serves).await?;
        }
        if before.is_some_and(|before| before.certificate != now.certificate) {
            note(format!("a server took up another certificate of its own, {}", now.certificate)).await?;
        }
        Ok(())
    }
}
