//! The manifest that the server runs, and which parties have accepted it.

use std::collections::BTreeSet;
use std::path::Path;

use hedui_protocol::basis::Basis;
use hedui_protocol::manifest::{Agency, Manifest, Office};
use hedui_protocol::problem::{Problem, ProblemKind};

use crate::failure::{Failure, Outcome};
use crate::signatures;

pub struct Project {
    pub manifest: Manifest,
    /// What encodings must have been made under.
    pub basis: Basis,
    /// The manifest's file, and the one with its signatures.
    pub terms: Vec<u8>,
    pub signatures: Vec<u8>,
    signed: BTreeSet<String>,
}

impl Project {
    /// A signature that does not verify is refused at the start, not when its party calls.
    pub fn load(path: &Path) -> Outcome<Self> {
        let bytes = std::fs::read(path).map_err(|e| Failure::file("read", path, &e))?;
        let signatures = std::fs::read(signatures::path_of(path)).unwrap_or_default();
        Self::read(bytes, signatures, &path.display().to_string())
    }

    /// A manifest and its signatures as the files are; `name` stands in errors.
    pub fn read(terms: Vec<u8>, signatures: Vec<u8>, name: &str) -> Outcome<Self> {
        let manifest = Manifest::parse(&terms).map_err(|e| Failure::refused(format!("{name}: {e}")))?;
        let text = std::str::from_utf8(&signatures).map_err(|_| Failure::refused(format!("{name}.sig: not a text")))?;
        let mut signed = BTreeSet::new();
        for signature in signatures::parse(text, &format!("{name}.sig"))?.signatures {
            let party = &signature.party;
            manifest.verify(&terms, &signature).map_err(|_| {
                Failure::refused(format!("{name}: the signature of `{party}` does not verify"))
                    .hint("the manifest was changed after it was signed; every party signs again")
            })?;
            signed.insert(signature.party);
        }
        Ok(Self { basis: Basis::of(&manifest), manifest, terms, signatures, signed })
    }

    pub fn signed_by(&self) -> Vec<String> {
        self.signed.iter().cloned().collect()
    }

    /// Parties that have not signed.
    pub fn unsigned(&self) -> impl Iterator<Item = &str> {
        let agencies = self.manifest.agencies.iter().map(|agency| agency.name.as_str());
        let parties = agencies.chain(self.manifest.offices.iter().map(|office| office.name.as_str()));
        parties.filter(|party| !self.signed.contains(*party))
    }

    /// The agency of this organisation, if it has signed.
    pub fn agency_of(&self, organisation: &str) -> Result<&Agency, Problem> {
        let agency = self.manifest.agencies.iter().find(|agency| agency.organisation == organisation);
        let agency = agency.ok_or_else(|| stranger(organisation, "an agency"))?;
        self.must_have_signed(&agency.name).map(|()| agency)
    }

    /// The office of this organisation, if it has signed.
    pub fn office_of(&self, organisation: &str) -> Result<&Office, Problem> {
        let office = self.manifest.offices.iter().find(|office| office.organisation == organisation);
        let office = office.ok_or_else(|| stranger(organisation, "an office"))?;
        self.must_have_signed(&office.name).map(|()| office)
    }

    fn must_have_signed(&self, party: &str) -> Result<(), Problem> {
        if self.signed.contains(party) {
            return Ok(());
        }
        let detail = format!("`{party}` has not signed manifest {}", self.manifest.id());
        Err(Problem::new(ProblemKind::ManifestNotSigned, detail))
    }
}

fn stranger(organisation: &str, what: &str) -> Problem {
    Problem::new(ProblemKind::UnknownParty, format!("the organisation `{organisation}` is not {what} of the manifest"))
}
