//! The authority's revocation list: read, added to, signed anew. What was revoked stays revoked.

use std::path::Path;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateRevocationListParams, KeyIdMethod, RevokedCertParams, SerialNumber};
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::parse_x509_crl;

use super::authority::Authority;
use crate::failure::{Failure, Outcome};
use crate::staging::replace_private;

const LIST: &str = "ca.crl";

/// What a list holds.
struct List {
    number: SerialNumber,
    revoked: Vec<RevokedCertParams>,
}

pub fn revoke(authority: &Authority, name: &str, days: u16) -> Outcome {
    let serial = SerialNumber::from(authority.serial_of(name)?);
    let mut list = read(authority)?;
    if !list.revoked.iter().any(|known| known.serial_number == serial) {
        list.revoked.push(RevokedCertParams {
            serial_number: serial,
            revocation_time: SystemTime::now().into(),
            reason_code: None,
            invalidity_date: None,
        });
    }
    write(authority, list, days)
}

pub fn rewrite(authority: &Authority, days: u16) -> Outcome {
    write(authority, read(authority)?, days)
}

/// The list as it stands; the first one is empty.
fn read(authority: &Authority) -> Outcome<List> {
    let path = authority.file(LIST);
    let pem = match std::fs::read(&path) {
        Ok(pem) => pem,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Ok(List { number: SerialNumber::from(1), revoked: Vec::new() });
        }
        Err(e) => return Err(Failure::file("read", &path, &e)),
    };
    let (_, pem) = parse_x509_pem(&pem).map_err(|_| damaged(&path))?;
    let (_, list) = parse_x509_crl(&pem.contents).map_err(|_| damaged(&path))?;
    let own = authority.own()?;
    list.verify_signature(own.public_key()).map_err(|_| damaged(&path))?;
    let number = list.crl_number().ok_or_else(|| damaged(&path))?;
    let revoked = list.iter_revoked_certificates().map(|known| RevokedCertParams {
        serial_number: SerialNumber::from(known.user_certificate.to_bytes_be()),
        revocation_time: known.revocation_date.to_datetime(),
        reason_code: None,
        invalidity_date: None,
    });
    Ok(List { number: SerialNumber::from((number + 1_u32).to_bytes_be()), revoked: revoked.collect() })
}

/// Written over, the list would forget what it revokes.
fn damaged(path: &Path) -> Failure {
    Failure::refused(format!("{}: not a revocation list of this authority", path.display()))
        .hint("put the last good list back; a new one would forget what was revoked")
}

fn write(authority: &Authority, list: List, days: u16) -> Outcome {
    let now = SystemTime::now();
    let params = CertificateRevocationListParams {
        this_update: now.into(),
        next_update: (now + Duration::from_secs(86_400) * u32::from(days)).into(),
        crl_number: list.number,
        issuing_distribution_point: None,
        revoked_certs: list.revoked,
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let signed = params.signed_by(&authority.issuer).and_then(|list| list.pem()).map_err(Failure::refused)?;
    replace_private(&authority.file(LIST), signed.as_bytes())
}
