//! `hedui pki`: a test authority. Production brings its own certificates, with the same O and OU.

mod authority;
mod revoke;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SerialNumber,
};

use self::authority::{Authority, CA_CERTIFICATE, CA_KEY};
use crate::failure::{Failure, Outcome};
use crate::staging::{private_folder, replace_private};
use crate::{keyfile, random};

const DAYS: i64 = 397;

/// `hedui pki …`
#[derive(Subcommand, Debug)]
pub enum Verb {
    /// Make a test authority: ca.crt and ca.key in a folder
    Init {
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
    /// Issue a certificate: NAME.crt and NAME.key in the authority's folder
    Issue {
        #[arg(value_name = "DIR")]
        folder: PathBuf,
        /// Names the files, and who holds them (CN): two operators have two names
        #[arg(value_name = "NAME")]
        name: String,
        /// Who it is for: the organisation (O) that the manifest names
        #[arg(long)]
        organisation: String,
        /// What it may do (OU)
        #[arg(long)]
        role: Role,
        /// For a server: the host names and addresses it is reached by
        #[arg(long, value_name = "HOST", default_values = ["localhost", "127.0.0.1"])]
        host: Vec<String>,
        /// Replace the certificate and the key of a name that has them; the former certificate holds on until it ends or is
        /// revoked
        #[arg(long)]
        renew: bool,
    },
    /// Revoke NAME.crt: the authority's list, ca.crl, names it from now on
    Revoke {
        #[arg(value_name = "DIR")]
        folder: PathBuf,
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        life: Life,
    },
    /// Write the authority's revocation list, ca.crl, anew, with a later end
    Crl {
        #[arg(value_name = "DIR")]
        folder: PathBuf,
        #[command(flatten)]
        life: Life,
    },
}

/// How long a revocation list holds.
#[derive(Args, Clone, Copy, Debug)]
pub struct Life {
    /// Days until the list ends; a server that goes by it then refuses its clients
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..))]
    days: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Role {
    Server,
    Agency,
    Office,
    Operator,
    Auditor,
}

impl Role {
    fn word(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Agency => "agency",
            Self::Office => "office",
            Self::Operator => "operator",
            Self::Auditor => "auditor",
        }
    }
}

pub fn run(verb: Verb) -> Outcome {
    match verb {
        Verb::Init { folder } => init(&folder),
        Verb::Issue { folder, name, organisation, role, host, renew } => {
            issue(&Authority::open(&folder)?, &name, &organisation, role, &host, renew)
        }
        Verb::Revoke { folder, name, life } => revoke::revoke(&Authority::open(&folder)?, &name, life.days),
        Verb::Crl { folder, life } => revoke::rewrite(&Authority::open(&folder)?, life.days),
    }
}

fn init(folder: &Path) -> Outcome {
    private_folder(folder)?;
    let key = KeyPair::generate().map_err(Failure::refused)?;
    let mut params = named("Hedui test authority", "authority", "Hedui test authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.serial_number = Some(serial()?);
    let certificate = params.self_signed(&key).map_err(Failure::refused)?;
    keyfile::create(&folder.join(CA_KEY), key.serialize_pem().as_bytes())?;
    keyfile::create(&folder.join(CA_CERTIFICATE), certificate.pem().as_bytes())
}

fn issue(authority: &Authority, name: &str, organisation: &str, role: Role, hosts: &[String], renew: bool) -> Outcome {
    if renew {
        // what this authority has not issued is not its to replace: neither a stranger's certificate nor its own
        authority.serial_of(name)?;
    }
    let key = KeyPair::generate().map_err(Failure::refused)?;
    let mut params = named(organisation, role.word(), name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![match role {
        Role::Server => ExtendedKeyUsagePurpose::ServerAuth,
        _ => ExtendedKeyUsagePurpose::ClientAuth,
    }];
    if role == Role::Server {
        let names = CertificateParams::new(hosts.to_vec()).map_err(Failure::refused)?;
        params.subject_alt_names = names.subject_alt_names;
    }
    params.serial_number = Some(serial()?);
    let certificate = params.signed_by(&key, &authority.issuer).map_err(Failure::refused)?;
    // between the two, a server that looks sees that they do not belong together, and keeps what it has
    let write = if renew { replace_private } else { keyfile::create };
    write(&authority.file(&format!("{name}.key")), key.serialize_pem().as_bytes())?;
    write(&authority.file(&format!("{name}.crt")), certificate.pem().as_bytes())
}

/// A number that no other certificate has: 126 random bits, positive and of full length.
fn serial() -> Outcome<SerialNumber> {
    let mut bytes: [u8; 16] = random::bytes()?;
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

fn named(organisation: &str, role: &str, person: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, organisation);
    name.push(DnType::OrganizationalUnitName, role);
    name.push(DnType::CommonName, person);
    params.distinguished_name = name;
    let now = std::time::SystemTime::now();
    let day = std::time::Duration::from_secs(86_400);
    params.not_before = (now - day).into();
    params.not_after = (now + day * u32::try_from(DAYS).expect("a year of days")).into();
    params
}
