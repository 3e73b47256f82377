//! The street between the houses: mutual TLS, and the typed client that the agency and the office use.

#[cfg(any(feature = "agency", feature = "office"))]
pub mod client;
pub mod tls;
