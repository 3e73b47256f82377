//! What two parties of Hedui must agree on to the bit.
//!
//! `SPEC.md` beside this package numbers the rules; the code cites them. This package opens no
//! file and no socket, reads no clock and runs nothing asynchronous. The features draw the trust
//! boundary: `encode` derives tokens and filters (and includes `clk`, which makes CLKs), `seal` seals
//! payloads, `open` opens them; the linkage server is built with none of them.

pub mod acts;
pub mod basis;
mod bytes;
pub mod decision;
#[cfg(feature = "describe")]
pub mod describe;
pub mod encodings;
pub mod ids;
pub mod log;
pub mod manifest;
pub mod messages;
pub mod part;
pub mod payload;
pub mod problem;
pub mod schema;
pub mod secret;
pub mod sign;
pub mod slot;
pub mod ticket;

#[cfg(feature = "clk")]
mod calendar;
#[cfg(feature = "clk")]
pub mod clk;
#[cfg(feature = "encode")]
pub mod encoder;
#[cfg(feature = "encode")]
pub mod filter;
#[cfg(feature = "encode")]
pub mod keys;
#[cfg(feature = "encode")]
pub mod normalise;
#[cfg(feature = "encode")]
pub mod passes;
#[cfg(feature = "encode")]
pub mod row_encoder;

#[cfg(any(feature = "seal", feature = "open"))]
mod envelope;
#[cfg(feature = "open")]
pub mod open;
#[cfg(feature = "seal")]
pub mod seal;
