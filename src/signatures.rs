//! Signatures stand beside a manifest: `manifest.toml.sig`.

use std::path::{Path, PathBuf};

use hedui_protocol::manifest::Signatures;

use crate::failure::{Failure, Outcome};

pub fn path_of(manifest: &Path) -> PathBuf {
    let mut name = manifest.as_os_str().to_owned();
    name.push(".sig");
    name.into()
}

/// The signatures beside a manifest; none where there is no such file.
pub fn load(manifest: &Path) -> Outcome<Signatures> {
    let path = path_of(manifest);
    match std::fs::read_to_string(&path) {
        Ok(text) => parse(&text, &path.display().to_string()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Signatures::default()),
        Err(e) => Err(Failure::file("read", &path, &e)),
    }
}

/// What a file of signatures says; `name` stands in errors.
pub fn parse(text: &str, name: &str) -> Outcome<Signatures> {
    toml::from_str(text).map_err(|e| Failure::refused(format!("{name}: {}", e.message())))
}
