//! The street between the houses: mutual TLS, and the typed client that the agency and the office use.

pub mod tls;
