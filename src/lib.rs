//! Hedui: a household's means verified without a register of who was checked.
//!
//! `docs/ARCHITECTURE.md` is the map. Imports go down only: the door ([`cli`]) opens the houses
//! (`agency`, `server`, `office`), the houses use the street ([`transport`]) and the workshop
//! (`matching`), and everything stands on `hedui_protocol`.

pub mod clock;
pub mod failure;
pub mod keyfile;
#[cfg(any(feature = "agency", feature = "server"))]
pub mod parts;
#[cfg(any(feature = "agency", feature = "office"))]
pub mod table;
pub mod terminal;
pub mod transport;
