//! Setting a project up: keys, certificates, the manifest.

#[cfg(any(feature = "agency", feature = "office"))]
pub mod key;
pub mod manifest;
pub mod pki;
