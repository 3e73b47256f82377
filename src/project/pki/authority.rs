//! The test authority in its folder, held by one command at a time.

use std::fs::File;
use std::path::{Path, PathBuf};

use rcgen::{Issuer, KeyPair};
use rustix::fs::FlockOperation;
use x509_parser::certificate::X509Certificate;
use x509_parser::pem::{Pem, parse_x509_pem};

use crate::failure::{Failure, Outcome};
use crate::keyfile;

pub const CA_CERTIFICATE: &str = "ca.crt";
pub const CA_KEY: &str = "ca.key";

pub struct Authority {
    folder: PathBuf,
    pub issuer: Issuer<'static, KeyPair>,
    /// The authority's own certificate.
    own: Pem,
    /// Two commands at once would each write a list without what the other revokes.
    _held: File,
}

impl Authority {
    pub fn open(folder: &Path) -> Outcome<Self> {
        let path = folder.join(CA_CERTIFICATE);
        let unreadable =
            |e: &std::io::Error| Failure::file("read", &path, e).hint("`hedui pki init` makes a test authority");
        let pem = std::fs::read_to_string(&path).map_err(|e| unreadable(&e))?;
        let held = File::open(&path).map_err(|e| unreadable(&e))?;
        rustix::fs::flock(&held, FlockOperation::LockExclusive).map_err(|e| unreadable(&e.into()))?;
        let key = keyfile::read(&folder.join(CA_KEY))?;
        let key = std::str::from_utf8(&key).ok().and_then(|pem| KeyPair::from_pem(pem).ok());
        let key = key.ok_or_else(|| Failure::refused(format!("{}: no private key", folder.join(CA_KEY).display())))?;
        let issuer =
            Issuer::from_ca_cert_pem(&pem, key).map_err(|e| Failure::refused(format!("{}: {e}", path.display())))?;
        Ok(Self { folder: folder.to_owned(), issuer, own: certificate(&path)?, _held: held })
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The authority's own certificate, to check what it has signed.
    pub fn own(&self) -> Outcome<X509Certificate<'_>> {
        self.own.parse_x509().map_err(|_| unread(&self.file(CA_CERTIFICATE)))
    }

    /// The serial number of NAME's certificate, if this authority has issued it.
    pub fn serial_of(&self, name: &str) -> Outcome<Vec<u8>> {
        let path = self.file(&format!("{name}.crt"));
        let pem = certificate(&path)?;
        let certificate = pem.parse_x509().map_err(|_| unread(&path))?;
        let own = self.own()?;
        let issued = certificate.issuer().as_raw() == own.subject().as_raw()
            && certificate.verify_signature(Some(own.public_key())).is_ok();
        if !issued || certificate.is_ca() {
            let (path, folder) = (path.display(), self.folder.display());
            return Err(Failure::refused(format!("{path}: no certificate that the authority in {folder} has issued")));
        }
        Ok(certificate.serial.to_bytes_be())
    }
}

fn certificate(path: &Path) -> Outcome<Pem> {
    let bytes = std::fs::read(path).map_err(|e| Failure::file("read", path, &e))?;
    parse_x509_pem(&bytes).map(|(_, pem)| pem).map_err(|_| unread(path))
}

fn unread(path: &Path) -> Failure {
    Failure::refused(format!("{}: no certificate in PEM form", path.display()))
}
