//! The server's certificates, as their files are now: new ones are taken up without a restart, useless ones are not.

use std::ops::Range;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hedui_protocol::ids::ContentHash;
use jiff::Timestamp;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;
use x509_parser::prelude::parse_x509_certificate;

use super::revocations::{Revocations, Standing};
use crate::failure::{Failure, Outcome};
use crate::transport::tls::{Identity, Pem, ServerSide};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// Where certificate, key, authority and revocation list stand.
#[derive(Clone, Debug)]
pub struct CertificateFiles {
    pub identity: Identity,
    pub revocations: Option<PathBuf>,
}

/// What all of them say together.
#[derive(Clone, Debug)]
pub struct Certificates {
    pub side: ServerSide,
    pub revocations: Option<Revocations>,
    pub hashes: Hashes,
}

/// Which files these are, as the log says it: BLAKE3, as `b3sum FILE` tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hashes {
    /// What the server shows.
    pub certificate: ContentHash,
    authorities: ContentHash,
    revocations: Option<ContentHash>,
}

impl Hashes {
    fn of(certificate: &Pem, authorities: &Pem, revocations: Option<&Pem>) -> Self {
        let hash = |pem: &Pem| ContentHash::of(&pem.bytes);
        Self { certificate: hash(certificate), authorities: hash(authorities), revocations: revocations.map(hash) }
    }

    /// What decides whom the server lets in.
    pub fn of_others(&self) -> String {
        let list = self.revocations.map_or("no revocation list".to_owned(), |hash| format!("revocation list {hash}"));
        format!("authorities {}, {list}", self.authorities)
    }
}

/// What both ports go by: replaced as a whole.
pub type Current = watch::Receiver<Arc<Certificates>>;

/// Each set of files that was in force, however shortly.
pub type TakenUp = mpsc::UnboundedReceiver<Hashes>;

/// SIGHUP, from now on: until a server follows its files, it asks for nothing.
pub fn hangups() -> Signal {
    signal(SignalKind::hangup()).expect("SIGHUP can be handled")
}

impl CertificateFiles {
    pub fn load(&self) -> Outcome<Certificates> {
        let certificate = Pem::read(&self.identity.certificate)?;
        let authorities = Pem::read(&self.identity.ca)?;
        let list = self.revocations.as_deref().map(Pem::read).transpose()?;
        let hashes = Hashes::of(&certificate, &authorities, list.as_ref());
        let revocations = list.as_ref().map(Revocations::parse).transpose()?;
        if let Some(revocations) = &revocations {
            revocations.are_signed_by(&authorities.certificates()?)?;
        }
        let lists = revocations.as_ref().map(|revocations| revocations.lists.clone());
        let side = self.identity.server(&certificate, &authorities, lists)?;
        Ok(Certificates { side, revocations, hashes })
    }

    /// Loads the files now, and again whenever one of them has changed or SIGHUP has come, as long as the server runs.
    pub fn follow(self, asked: Signal) -> Outcome<(Current, TakenUp)> {
        let stamp = self.stamp();
        let first = Arc::new(self.load()?);
        let (log, taken_up) = mpsc::unbounded_channel();
        let _ = log.send(first.hashes.clone());
        let (sender, current) = watch::channel(first);
        let watcher = Watcher { files: self, taken: stamp, refused: None, told: Standing::Holds, sender, log };
        tokio::spawn(watcher.watch(asked));
        Ok((current, taken_up))
    }

    /// Which files these are, and in what state.
    fn stamp(&self) -> Stamp {
        let Identity { certificate, key, ca } = &self.identity;
        [Some(certificate), Some(key), Some(ca), self.revocations.as_ref()]
            .map(|path| path.and_then(|path| state(path)))
    }
}

/// From when until when all certificates of a file hold.
pub fn term(path: &Path) -> Outcome<Range<Timestamp>> {
    let unread = || Failure::refused(format!("{}: the certificate does not read", path.display()));
    let mut term = Timestamp::MIN..Timestamp::MAX;
    for certificate in Pem::read(path)?.certificates()? {
        let (_, certificate) = parse_x509_certificate(&certificate).map_err(|_| unread())?;
        let validity = certificate.validity();
        let [begins, ends] =
            [validity.not_before, validity.not_after].map(|time| Timestamp::from_second(time.timestamp()));
        term = term.start.max(begins.map_err(|_| unread())?)..term.end.min(ends.map_err(|_| unread())?);
    }
    Ok(term)
}

type Stamp = [Option<[i64; 7]>; 4];

/// None where nothing can be seen. The time of change sees a new mode as well.
fn state(path: &Path) -> Option<[i64; 7]> {
    let file = std::fs::metadata(path).ok()?;
    let numbers = [file.dev(), file.ino(), file.len()].map(u64::cast_signed);
    let times = [file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec()];
    Some(std::array::from_fn(|at| if at < 3 { numbers[at] } else { times[at - 3] }))
}

struct Watcher {
    files: CertificateFiles,
    /// The state of the files that are in use.
    taken: Stamp,
    /// Why the files as they are now are not: told once.
    refused: Option<String>,
    told: Standing,
    sender: watch::Sender<Arc<Certificates>>,
    /// For what the log is to say.
    log: mpsc::UnboundedSender<Hashes>,
}

impl Watcher {
    async fn watch(mut self, mut asked: Signal) {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.sender.is_closed() {
            self.tell_how_long();
            tokio::select! {
                _ = look.tick() => self.look(false),
                _ = asked.recv() => self.look(true),
            }
        }
    }

    fn look(&mut self, asked: bool) {
        // seen before the files are read: what changes meanwhile is seen at the next look
        let stamp = self.files.stamp();
        if stamp == self.taken && !asked {
            self.refused = None;
            return;
        }
        match self.files.load() {
            Ok(certificates) => {
                // nobody listens where the server answers no parties, and then it is dropped
                let _ = self.log.send(certificates.hashes.clone());
                self.sender.send_replace(Arc::new(certificates));
                (self.taken, self.refused, self.told) = (stamp, None, Standing::Holds);
                tracing::info!("The certificate files were taken up anew");
            }
            Err(why) if asked || self.refused.as_ref() != Some(&why.message) => {
                tracing::warn!("The certificate files are of no use, the former ones stay: {}", why.message);
                self.refused = Some(why.message);
            }
            Err(_) => {}
        }
    }

    fn tell_how_long(&mut self) {
        let Some((standing, ends)) = self.sender.borrow().standing() else { return };
        if standing == self.told {
            return;
        }
        self.told = standing;
        match standing {
            Standing::Holds => {}
            Standing::EndsSoon => {
                tracing::warn!("The revocation list ends soon, and then its authority's clients are refused: {ends}")
            }
            Standing::Ended => {
                tracing::error!("The revocation list has ended, its authority's clients are refused: {ends}")
            }
        }
    }
}

impl Certificates {
    fn standing(&self) -> Option<(Standing, Timestamp)> {
        // rustls goes by the machine's clock as well
        self.revocations.as_ref().map(|list| (list.standing(Timestamp::now()), list.ends))
    }
}
