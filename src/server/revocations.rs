//! The revocation list: read, held against its authority, and when it ends.

use std::path::PathBuf;

use jiff::Timestamp;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use x509_parser::prelude::{parse_x509_certificate, parse_x509_crl};

use crate::failure::{Failure, Outcome};
use crate::transport::tls::Pem;

/// Days before its end at which a list is told of.
pub const DAYS_LEFT: i64 = 7;

/// The lists of one file: one for each authority.
#[derive(Clone, Debug)]
pub struct Revocations {
    pub path: PathBuf,
    pub lists: Vec<CertificateRevocationListDer<'static>>,
    /// When the first of them ends.
    pub ends: Timestamp,
}

impl Revocations {
    /// A file without a list is refused: it would look as if nothing was revoked.
    pub fn parse(pem: &Pem) -> Outcome<Self> {
        let refuse = |why: &str| {
            Failure::refused(format!("{}: {why}", pem.path.display()))
                .hint("have the authority write its list anew, in PEM form")
        };
        let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&pem.bytes).collect();
        let lists = lists.map_err(|_| refuse("no revocation list in PEM form"))?;
        let mut ends = Vec::new();
        for list in &lists {
            let (_, list) = parse_x509_crl(list).map_err(|_| refuse("the revocation list does not read"))?;
            let end = list.next_update().and_then(|end| Timestamp::from_second(end.timestamp()).ok());
            ends.push(end.ok_or_else(|| refuse("the revocation list does not say when it ends"))?);
        }
        let ends = ends.into_iter().min().ok_or_else(|| refuse("no revocation list in PEM form"))?;
        Ok(Self { path: pem.path.clone(), lists, ends })
    }

    /// Every list that names one of these authorities is signed by it. A handshake would see that too late: it would refuse
    /// everybody.
    pub fn are_signed_by(&self, authorities: &[CertificateDer<'static>]) -> Outcome {
        for authority in authorities {
            let Ok((_, authority)) = parse_x509_certificate(authority) else { continue };
            for list in &self.lists {
                let Ok((_, list)) = parse_x509_crl(list) else { continue };
                let theirs = list.issuer().as_raw() == authority.subject().as_raw();
                if theirs && list.verify_signature(authority.public_key()).is_err() {
                    return Err(Failure::refused(format!(
                        "{}: the authority of this name has not signed the revocation list",
                        self.path.display()
                    ))
                    .hint("take the list of the authority that `--tls-ca` names"));
                }
            }
        }
        Ok(())
    }

    /// How long it still holds.
    pub fn standing(&self, now: Timestamp) -> Standing {
        match self.ends.as_second() - now.as_second() {
            ..=0 => Standing::Ended,
            left if left < DAYS_LEFT * 86_400 => Standing::EndsSoon,
            _ => Standing::Holds,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Holds,
    EndsSoon,
    /// Every client is refused.
    Ended,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_file_is_a_list_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let framed = framed(&bytes);
            for bytes in [bytes, framed] {
                let file = Pem { path: "ca.crl".into(), bytes };
                prop_assert!(Revocations::parse(&file).is_err());
            }
        }
    }

    fn framed(bytes: &[u8]) -> Vec<u8> {
        use base64::Engine as _;
        let text = base64::engine::general_purpose::STANDARD.encode(bytes);
        format!("-----BEGIN X509 CRL-----\n{text}\n-----END X509 CRL-----\n").into_bytes()
    }
}
