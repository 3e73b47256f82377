//! Hedui: a household's means verified without a register of who was checked.
//!
//! `docs/ARCHITECTURE.md` is the map. Imports go down only: the door ([`cli`]) opens the houses
//! (`agency`, `server`, `office`, `operator`, `audit`), the houses use the street ([`transport`]) and the workshop
//! (`matching`), and everything stands on `hedui_protocol`.

#[cfg(feature = "agency")]
pub mod agency;
#[cfg(feature = "auditor")]
pub mod audit;
pub mod cli;
#[cfg(feature = "agency")]
pub mod clk;
pub mod clock;
#[cfg(all(feature = "agency", feature = "server", feature = "office"))]
mod demo;
pub mod failure;
#[cfg(any(feature = "agency", feature = "office", feature = "server"))]
mod guard;
pub mod keyfile;
#[cfg(feature = "agency")]
pub mod learning;
pub mod lines;
#[cfg(feature = "agency")]
pub mod link;
#[cfg(any(feature = "auditor", feature = "server"))]
pub mod logbook;
#[cfg(any(feature = "agency", feature = "server"))]
pub mod matching;
#[cfg(feature = "office")]
pub mod office;
#[cfg(feature = "operator")]
pub mod operator;
pub mod options;
#[cfg(any(feature = "agency", feature = "office"))]
pub mod page;
#[cfg(feature = "agency")]
mod pairing;
#[cfg(any(feature = "agency", feature = "server"))]
pub mod parts;
pub mod project;
pub mod random;
#[cfg(feature = "agency")]
pub mod schema;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "agency")]
pub mod sides;
pub mod signatures;
pub mod staging;
pub mod synth;
#[cfg(any(feature = "agency", feature = "office"))]
pub mod table;
pub mod terminal;
pub mod transport;
#[cfg(feature = "agency")]
pub mod tune;
