//! `hedui key`: secrets are made by the machine, kept in files, and shown only by their public half.

use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};
#[cfg(any(feature = "agency", feature = "office"))]
use hedui_protocol::keys::LinkageKey;
use hedui_protocol::sign::SigningKey;

use crate::failure::{Failure, Outcome};
use crate::{keyfile, random};

/// `hedui key …`
#[derive(Subcommand, Debug)]
pub enum Verb {
    /// Make a key of 32 random bytes; the file is readable by its owner only
    New {
        #[arg(long)]
        kind: Kind,
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Print what may be told of a key: its public half, or a linkage key's check value
    Show {
        #[arg(long)]
        kind: Kind,
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

/// Which kinds there are depends on the house: the linkage server's program knows its own alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Shared by agencies and offices; the linkage server never has it
    #[cfg(any(feature = "agency", feature = "office"))]
    Linkage,
    /// An office's opening key (X25519)
    #[cfg(any(feature = "agency", feature = "office"))]
    Office,
    /// A party's signing key (Ed25519)
    #[cfg(any(feature = "agency", feature = "office"))]
    Signing,
    /// The linkage server's key, which signs its log (Ed25519)
    Log,
}

pub fn run(verb: Verb) -> Outcome {
    let (kind, file) = match verb {
        Verb::New { kind, file } => {
            let bytes = zeroize::Zeroizing::new(random::bytes::<32>()?);
            keyfile::create(&file, bytes.as_slice())?;
            (kind, file)
        }
        Verb::Show { kind, file } => (kind, file),
    };
    let bytes = keyfile::read(&file)?;
    let told = match kind {
        #[cfg(any(feature = "agency", feature = "office"))]
        Kind::Linkage => LinkageKey::new(&bytes).map_err(|e| weak(&file, e))?.check().to_string(),
        #[cfg(any(feature = "agency", feature = "office"))]
        Kind::Office => opening_key(&bytes).map_err(|e| weak(&file, e))?,
        #[cfg(any(feature = "agency", feature = "office"))]
        Kind::Signing => signing_key(&file, &bytes)?,
        Kind::Log => signing_key(&file, &bytes)?,
    };
    println!("{told}");
    Ok(())
}

fn weak(file: &Path, why: impl std::fmt::Display) -> Failure {
    Failure::refused(format!("{}: {why}", file.display())).hint("make another with `hedui key new`")
}

fn signing_key(file: &Path, bytes: &[u8]) -> Outcome<String> {
    let key = SigningKey::try_from(bytes).map_err(|e| weak(file, e))?;
    Ok(key.public().to_string())
}

#[cfg(feature = "office")]
fn opening_key(bytes: &[u8]) -> Result<String, hedui_protocol::secret::WeakKey> {
    hedui_protocol::open::OpeningKey::new(bytes).map(|key| key.public().to_string())
}

/// Only an office has an opening key, and only an office's program can tell its public half.
#[cfg(all(feature = "agency", not(feature = "office")))]
fn opening_key(bytes: &[u8]) -> Result<String, hedui_protocol::secret::WeakKey> {
    hedui_protocol::secret::checked(bytes)
        .map(|_| "made; `hedui key show` of an office's program prints its public half".to_owned())
}
