//! Accepts TLS connections. Handshakes run beside one another, and only so many: a slow client delays nobody.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use rustls::pki_types::CertificateDer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::caller::Caller;
use super::connection;
use super::crowd::{Crowd, Most, Stranger};
use super::tally::Told;
use crate::failure::{Failure, Outcome, io_words};
use crate::server::certificates::Current;

const HANDSHAKE: Duration = Duration::from_secs(10);

/// Who is at the other end: the certificates that the handshake verified, its own first.
#[derive(Clone, Debug, Default)]
pub struct Peer(pub Arc<[CertificateDer<'static>]>);

pub struct TlsListener {
    address: SocketAddr,
    listener: TcpListener,
    door: Door,
}

/// What every connection passes.
#[derive(Clone)]
struct Door {
    certificates: Current,
    crowd: Crowd,
    told: Arc<Told>,
}

pub fn cannot_listen(address: SocketAddr, why: &std::io::Error) -> Failure {
    Failure::refused(format!("cannot listen on {address}: {}", io_words(why)))
}

impl TlsListener {
    pub async fn bind(address: SocketAddr, certificates: Current, most: Most, told: Arc<Told>) -> Outcome<Self> {
        let listener = TcpListener::bind(address).await.map_err(|e| cannot_listen(address, &e))?;
        let address = listener.local_addr().map_err(|e| cannot_listen(address, &e))?;
        let door = Door { certificates, crowd: Crowd::new(most), told };
        Ok(Self { address, listener, door })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until it is told to stop, and what is under way then until its end.
    pub async fn serve(self, routes: Router, stop: watch::Receiver<bool>) {
        let (open, mut all_closed) = mpsc::channel::<()>(1);
        let mut stopped = stop.clone();
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                _ = stopped.wait_for(|stop| *stop) => break,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(e) => {
                    // too many open files, for one: wait until some are closed
                    tracing::warn!("A connection could not be accepted: {e}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let (stranger, crowded) = self.door.crowd.stranger();
            if crowded {
                self.door.told.crowded.count("");
            }
            let (door, routes, stop, open) = (self.door.clone(), routes.clone(), stop.clone(), open.clone());
            tokio::spawn(async move {
                door.pass(stream, stranger, routes, stop).await;
                drop(open);
            });
        }
        drop((open, self.listener));
        all_closed.recv().await;
    }
}

impl Door {
    async fn pass(self, stream: TcpStream, stranger: Stranger, routes: Router, mut stop: watch::Receiver<bool>) {
        let shaken = tokio::select! {
            shaken = self.handshake(stream, stranger) => shaken,
            _ = stop.wait_for(|stop| *stop) => None,
        };
        let Some(stream) = shaken else { return };
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let chain = chain.iter().map(|certificate| certificate.clone().into_owned()).collect();
        let caller = Caller::of_peer(Peer(chain));
        let Some(guest) = self.crowd.guest(&caller.organisation) else {
            self.told.too_many.count("");
            return;
        };
        connection::serve(stream, caller, routes, stop).await;
        drop(guest);
    }

    async fn handshake(&self, stream: TcpStream, mut stranger: Stranger) -> Option<TlsStream<TcpStream>> {
        let tls = TlsAcceptor::from(Arc::clone(&self.certificates.borrow().side.config));
        let _ = stream.set_nodelay(true);
        let shaken = tokio::select! {
            shaken = tokio::time::timeout(HANDSHAKE, tls.accept(stream)) => shaken,
            _ = &mut stranger.must_go => return None,
        };
        match shaken {
            Ok(Ok(stream)) => return Some(stream),
            Ok(Err(e)) => self.told.failed.count(e),
            Err(_) => self.told.slow.count(""),
        }
        None
    }
}
