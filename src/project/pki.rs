//! `hedui pki`: a test authority. Production brings its own certificates, with the same O and OU.

use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::failure::{Failure, Outcome};
use crate::keyfile;
use crate::staging::private_folder;

const CA_CERTIFICATE: &str = "ca.crt";
const CA_KEY: &str = "ca.key";
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
        /// Names the files
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
    },
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
        Verb::Issue { folder, name, organisation, role, host } => issue(&folder, &name, &organisation, role, &host),
    }
}

fn init(folder: &Path) -> Outcome {
    private_folder(folder)?;
    let key = KeyPair::generate().map_err(Failure::refused)?;
    let mut params = named("Hedui test authority", "authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key).map_err(Failure::refused)?;
    keyfile::create(&folder.join(CA_KEY), key.serialize_pem().as_bytes())?;
    keyfile::create(&folder.join(CA_CERTIFICATE), certificate.pem().as_bytes())
}

fn issue(folder: &Path, name: &str, organisation: &str, role: Role, hosts: &[String]) -> Outcome {
    let ca_path = folder.join(CA_CERTIFICATE);
    let ca = std::fs::read_to_string(&ca_path)
        .map_err(|e| Failure::file("read", &ca_path, &e).hint("`hedui pki init` makes a test authority"))?;
    let ca_key = keyfile::read(&folder.join(CA_KEY))?;
    let ca_key = std::str::from_utf8(&ca_key).ok().and_then(|pem| KeyPair::from_pem(pem).ok());
    let ca_key =
        ca_key.ok_or_else(|| Failure::refused(format!("{}: no private key", folder.join(CA_KEY).display())))?;
    let issuer =
        Issuer::from_ca_cert_pem(&ca, ca_key).map_err(|e| Failure::refused(format!("{}: {e}", ca_path.display())))?;

    let key = KeyPair::generate().map_err(Failure::refused)?;
    let mut params = named(organisation, role.word());
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![match role {
        Role::Server => ExtendedKeyUsagePurpose::ServerAuth,
        _ => ExtendedKeyUsagePurpose::ClientAuth,
    }];
    if role == Role::Server {
        let names = CertificateParams::new(hosts.to_vec()).map_err(Failure::refused)?;
        params.subject_alt_names = names.subject_alt_names;
    }
    let certificate = params.signed_by(&key, &issuer).map_err(Failure::refused)?;
    keyfile::create(&folder.join(format!("{name}.key")), key.serialize_pem().as_bytes())?;
    keyfile::create(&folder.join(format!("{name}.crt")), certificate.pem().as_bytes())
}

fn named(organisation: &str, role: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, organisation);
    name.push(DnType::OrganizationalUnitName, role);
    name.push(DnType::CommonName, organisation);
    params.distinguished_name = name;
    let now = std::time::SystemTime::now();
    let day = std::time::Duration::from_secs(86_400);
    params.not_before = (now - day).into();
    params.not_after = (now + day * u32::try_from(DAYS).expect("a year of days")).into();
    params
}
