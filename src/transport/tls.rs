//! Mutual TLS 1.3 with rustls and ring: certificates and keys from PEM files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use x509_parser::prelude::parse_x509_certificate;

use crate::failure::{Failure, Outcome};

/// The three files that a party brings to a connection.
#[derive(Clone, Debug)]
pub struct Identity {
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// The authority that signed the other side's certificate.
    pub ca: PathBuf,
}

/// A file in PEM form, read once: what is used of it and what is said of it are the same bytes.
pub struct Pem {
    pub path: PathBuf,
    pub bytes: Vec<u8>,
}

impl Pem {
    pub fn read(path: &Path) -> Outcome<Self> {
        let bytes = std::fs::read(path).map_err(|e| Failure::file("read", path, &e))?;
        Ok(Self { path: path.to_owned(), bytes })
    }

    pub fn certificates(&self) -> Outcome<Vec<CertificateDer<'static>>> {
        let refuse = || Failure::refused(format!("{}: no certificate in PEM form", self.path.display()));
        let found: Vec<_> =
            CertificateDer::pem_slice_iter(&self.bytes).collect::<Result<_, _>>().map_err(|_| refuse())?;
        if found.is_empty() { Err(refuse()) } else { Ok(found) }
    }

    /// As authorities.
    fn roots(&self) -> Outcome<RootCertStore> {
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates()? {
            roots.add(certificate).map_err(|e| Failure::refused(format!("{}: {e}", self.path.display())))?;
        }
        Ok(roots)
    }
}

/// The server's side of its connections.
#[derive(Clone, Debug)]
pub struct ServerSide {
    /// What it presents, and demands of clients in a handshake.
    pub config: Arc<ServerConfig>,
    /// The same demand, for a connection that is open already.
    clients: Arc<dyn ClientCertVerifier>,
}

impl ServerSide {
    /// Whether a client with this chain would be let in now: signed by the authority, within its dates, not revoked.
    pub fn admits(&self, chain: &[CertificateDer<'static>]) -> Result<(), rustls::Error> {
        let (first, others) = chain.split_first().ok_or(rustls::Error::NoCertificatesPresented)?;
        self.clients.verify_client_cert(first, others, UnixTime::now()).map(drop)
    }
}

impl Identity {
    /// What the server presents, and demands of clients, by the files of certificate and authorities as they were read. With
    /// revocation lists, every certificate of a client's chain must be of an authority that has one, and no list may be past
    /// its end; without, nothing is known to be revoked.
    pub fn server(
        &self,
        certificate: &Pem,
        authorities: &Pem,
        lists: Option<Vec<CertificateRevocationListDer<'static>>>,
    ) -> Outcome<ServerSide> {
        let roots = Arc::new(authorities.roots()?);
        let demand = WebPkiClientVerifier::builder_with_provider(roots, Arc::new(default_provider()));
        let demand = match lists {
            Some(lists) => demand.with_crls(lists).enforce_revocation_expiration(),
            None => demand,
        };
        let clients = demand.build().map_err(|e| Failure::refused(format!("{}: {e}", self.ca.display())))?;
        let chain = certificate.certificates()?;
        let is_servers = chain.first().is_some_and(serves);
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("ring speaks TLS 1.3")
            .with_client_cert_verifier(Arc::clone(&clients))
            .with_single_cert(chain, self.private_key()?)
            .map_err(|e| self.unusable(&e))?;
        if !is_servers {
            let own = self.certificate.display();
            return Err(Failure::refused(format!(
                "{own}: this is no server's certificate, every client would refuse it"
            ))
            .hint("its extended key usage is to be serverAuth, as `hedui pki issue --role server` makes it"));
        }
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(ServerSide { config: Arc::new(config), clients })
    }

    /// What a client presents, and demands of the server.
    pub fn client(&self) -> Outcome<ClientConfig> {
        ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("ring speaks TLS 1.3")
            .with_root_certificates(Pem::read(&self.ca)?.roots()?)
            .with_client_auth_cert(Pem::read(&self.certificate)?.certificates()?, self.private_key()?)
            .map_err(|e| self.unusable(&e))
    }

    fn unusable(&self, error: &rustls::Error) -> Failure {
        let (certificate, key) = (self.certificate.display(), self.key.display());
        Failure::refused(format!("{certificate} and {key} cannot be used together: {error}"))
    }

    fn private_key(&self) -> Outcome<PrivateKeyDer<'static>> {
        crate::keyfile::refuse_if_readable_by_others(&self.key)?;
        PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|_| Failure::refused(format!("{}: no private key in PEM form", self.key.display())))
    }
}

/// Whether a certificate may be a server's: it says so, or does not say whose it may be.
fn serves(certificate: &CertificateDer<'_>) -> bool {
    let Ok((_, certificate)) = parse_x509_certificate(certificate) else { return false };
    let usage = certificate.extended_key_usage();
    usage.is_ok_and(|usage| usage.is_none_or(|usage| usage.value.server_auth || usage.value.any))
}
