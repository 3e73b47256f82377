//! Accepts TLS connections. Handshakes run beside one another: a slow client delays nobody.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::failure::{Failure, Outcome};
use crate::server::certificates::Current;

const HANDSHAKE: Duration = Duration::from_secs(10);
/// Handshakes under way at once.
const HANDSHAKES: usize = 256;

/// Who is at the other end: the certificates that the handshake verified, its own first.
#[derive(Clone, Debug, Default)]
pub struct Peer(pub Arc<[CertificateDer<'static>]>);

pub struct TlsListener {
    address: SocketAddr,
    accepted: mpsc::Receiver<(TlsStream<TcpStream>, Peer)>,
}

impl TlsListener {
    pub async fn bind(address: SocketAddr, certificates: Current) -> Outcome<Self> {
        let refuse = |e: std::io::Error| Failure::refused(format!("cannot listen on {address}: {e}"));
        let listener = TcpListener::bind(address).await.map_err(refuse)?;
        let address = listener.local_addr().map_err(refuse)?;
        let (ready, accepted) = mpsc::channel(64);
        tokio::spawn(accept(listener, certificates, ready));
        Ok(Self { address, accepted })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn accept(listener: TcpListener, certificates: Current, ready: mpsc::Sender<(TlsStream<TcpStream>, Peer)>) {
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(e) => {
                // too many open files, for one: wait until some are closed
                tracing::warn!("A connection could not be accepted: {e}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&handshakes).acquire_owned().await else { return };
        let tls = TlsAcceptor::from(Arc::clone(&certificates.borrow().side.config));
        let ready = ready.clone();
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
                Ok(Ok(stream)) => {
                    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
                    let peer = Peer(chain.iter().map(|certificate| certificate.clone().into_owned()).collect());
                    drop(permit);
                    let _ = ready.send((stream, peer)).await;
                }
                Ok(Err(e)) => tracing::info!("A TLS handshake failed: {e}"),
                Err(_) => tracing::info!("A TLS handshake took too long"),
            }
        });
    }
}

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = Peer;

    async fn accept(&mut self) -> (Self::Io, Peer) {
        match self.accepted.recv().await {
            Some(accepted) => accepted,
            // the accepting task ends with the runtime
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<Peer> {
        Ok(Peer::default())
    }
}
