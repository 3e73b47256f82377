//! Setting a project up: keys, certificates, the manifest.

pub mod key;
pub mod manifest;
pub mod pki;
