//! `hedui operator propose`: the first of two.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use hedui_protocol::acts::{ActStatus, Deed, Proposal, Retention, Terms};
use hedui_protocol::ids::CommissionId;
use hedui_protocol::log::Event;
use hedui_protocol::manifest::Manifest;
use hedui_protocol::messages::Blob;

use super::{Reach, line};
use crate::failure::{Failure, Outcome};
use crate::signatures;
use crate::terminal;

#[derive(Subcommand, Debug)]
pub enum Propose {
    /// Erase everything of some commissions: a household's requests, as `hedui office forget` names them
    EraseCommissions(EraseCommissions),
    /// Erase everything that an agency has submitted and answered
    EraseAgency(EraseAgency),
    /// Erase everything of the manifest's epoch; its log stays
    EraseProject(EraseProject),
    /// Open the next epoch, under another manifest and linkage key, beside this one
    OpenEpoch(OpenEpoch),
    /// Keep data for other terms
    SetRetention(SetRetention),
}

#[derive(Args, Debug)]
pub struct EraseCommissions {
    /// Their ids
    #[arg(value_name = "COMMISSION", required = true)]
    commissions: Vec<CommissionId>,
    #[command(flatten)]
    reach: Reach,
}

#[derive(Args, Debug)]
pub struct EraseAgency {
    /// Its name in the manifest
    #[arg(value_name = "NAME")]
    agency: String,
    #[command(flatten)]
    reach: Reach,
}

#[derive(Args, Debug)]
pub struct EraseProject {
    #[command(flatten)]
    reach: Reach,
}

#[derive(Args, Debug)]
pub struct OpenEpoch {
    /// The next manifest; the parties' signatures stand beside it, in FILE.sig
    #[arg(value_name = "FILE")]
    next: PathBuf,
    #[command(flatten)]
    reach: Reach,
}

#[derive(Args, Debug)]
pub struct SetRetention {
    /// Days for each class of data (TOML): open_batches, replaced_batches, answers, tickets, epoch, backups; what is not
    /// named has the usual term
    #[arg(value_name = "FILE")]
    terms: PathBuf,
    #[command(flatten)]
    reach: Reach,
}

impl Propose {
    pub async fn run(self) -> Outcome {
        let plain = |deed| Proposal { deed, terms: None };
        let (proposal, reach) = match self {
            Self::EraseCommissions(EraseCommissions { commissions, reach }) => {
                (plain(Deed::EraseCommissions { commissions }), reach)
            }
            Self::EraseAgency(EraseAgency { agency, reach }) => (plain(Deed::EraseAgency { agency }), reach),
            Self::EraseProject(EraseProject { reach }) => (plain(Deed::EraseProject), reach),
            Self::OpenEpoch(OpenEpoch { next, reach }) => (open_epoch(&next)?, reach),
            Self::SetRetention(SetRetention { terms, reach }) => {
                (plain(Deed::SetRetention { retention: retention(&terms)? }), reach)
            }
        };
        let says = |event: &Event| matches!(event, Event::Proposed { deed, .. } if *deed == proposal.deed);
        let status: ActStatus = reach.client()?.post_logged("/v1/acts", &proposal, says).await?;
        println!("{}", line(&status));
        terminal::note(format!("another operator approves it: `hedui operator approve {}`", status.act));
        Ok(())
    }
}

fn open_epoch(path: &Path) -> Outcome<Proposal> {
    let bytes = std::fs::read(path).map_err(|e| Failure::file("read", path, &e))?;
    let manifest = Manifest::parse(&bytes).map_err(|e| Failure::refused(format!("{}: {e}", path.display())))?;
    let beside = signatures::path_of(path);
    let signatures = std::fs::read(&beside).map_err(|e| {
        Failure::file("read", &beside, &e).hint("every party signs the next manifest first: `hedui manifest sign`")
    })?;
    let terms = Terms { manifest: Blob(bytes), signatures: Blob(signatures) };
    let deed = Deed::OpenEpoch { manifest: manifest.id(), epoch: manifest.epoch.clone() };
    Ok(Proposal { deed, terms: Some(terms) })
}

fn retention(path: &Path) -> Outcome<Retention> {
    let text = std::fs::read_to_string(path).map_err(|e| Failure::file("read", path, &e))?;
    toml::from_str(&text).map_err(|e| Failure::refused(format!("{}: {}", path.display(), e.message())))
}
