//! `hedui key`: secrets are made by the machine, kept in files, and shown only by their public half.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use hedui_protocol::keys::{LinkageKey, checked};
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Shared by agencies and offices; the linkage server never has it
    Linkage,
    /// An office's opening key (X25519)
    Office,
    /// A party's signing key (Ed25519)
    Signing,
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
    let weak = |e| Failure::refused(format!("{}: {e}", file.display())).hint("make another with `hedui key new`");
    println!(
        "{}",
        match kind {
            Kind::Linkage => LinkageKey::new(&bytes).map_err(weak)?.check().to_string(),
            Kind::Signing => SigningKey::from_seed(&*checked(&bytes).map_err(weak)?).public().to_string(),
            Kind::Office => opening_key(&bytes).map_err(weak)?,
        }
    );
    Ok(())
}

#[cfg(feature = "office")]
fn opening_key(bytes: &[u8]) -> Result<String, hedui_protocol::keys::WeakKey> {
    hedui_protocol::open::OpeningKey::new(bytes).map(|key| key.public().to_string())
}

/// Only an office has an opening key, and only an office's program can tell its public half.
#[cfg(not(feature = "office"))]
fn opening_key(bytes: &[u8]) -> Result<String, hedui_protocol::keys::WeakKey> {
    checked(bytes).map(|_| "made; `hedui key show` of an office's program prints its public half".to_owned())
}
