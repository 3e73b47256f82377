//! The architecture, read from the sources and from the binaries.

use std::path::{Path, PathBuf};

/// In these folders these words must not stand.
const FORBIDDEN: &[(&str, &[&str])] = &[
    (
        "src/server",
        &[
            "crate::agency",
            "crate::office",
            "LinkageKey",
            "encoder",
            "normalise",
            "OpeningKey",
            "Opener",
            "protocol::keys",
            "protocol::clk",
            "protocol::seal",
            "protocol::open",
        ],
    ),
    ("src/agency", &["crate::server", "crate::office", "OpeningKey", "protocol::open", "axum"]),
    ("src/office", &["crate::server", "crate::agency", "protocol::seal", "axum"]),
    (
        "src/audit",
        &["crate::agency", "crate::server", "crate::office", "LinkageKey", "OpeningKey", "SigningKey", "axum"],
    ),
    ("src/matching", &["crate::agency", "crate::server", "crate::office", "crate::transport", "tokio", "reqwest"]),
    ("src/transport", &["crate::agency", "crate::server", "crate::office"]),
    ("src/table", &["crate::agency", "crate::server", "crate::office"]),
    ("protocol/src", &["tokio", "axum", "std::fs", "std::net", "SystemTime", "Timestamp::now", "async fn"]),
];

/// What stands above the houses: nothing below may use it.
const DOOR: &[&str] = &[
    "crate::cli",
    "crate::clk",
    "crate::demo",
    "crate::link",
    "crate::pairing",
    "crate::project",
    "crate::schema",
    "crate::sides",
    "crate::synth",
    "crate::tune",
];
const BELOW_THE_DOOR: &[&str] = &[
    "src/server",
    "src/agency",
    "src/office",
    "src/audit",
    "src/matching",
    "src/learning",
    "src/transport",
    "src/table",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every source file below a folder, without its test modules' comments stripped: what is written counts.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push((path.clone(), std::fs::read_to_string(&path).unwrap()));
        }
    }
    found
}

/// Lines that are code: comments and doc comments may speak of what the code may not use.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim_start).filter(|line| !line.starts_with("//"))
}

#[test]
fn imports_go_down_only() {
    let door = BELOW_THE_DOOR.iter().map(|folder| (folder, DOOR));
    for (folder, words) in FORBIDDEN.iter().map(|(folder, words)| (folder, *words)).chain(door) {
        let files = sources(&root().join(folder));
        assert!(!files.is_empty(), "{folder} has no sources");
        for (path, text) in files {
            for word in words {
                let line = code(&text).find(|line| line.contains(word));
                assert!(line.is_none(), "{}: `{word}` in: {}", path.display(), line.unwrap());
            }
        }
    }
}

#[test]
fn the_check_itself_finds_what_is_there() {
    let office = sources(&root().join("src/office"));
    assert!(office.iter().any(|(_, text)| code(text).any(|line| line.contains("OpeningKey"))));
}

#[test]
fn unsafe_stands_in_the_workshop_alone() {
    for (path, text) in sources(&root().join("src")).into_iter().chain(sources(&root().join("protocol/src"))) {
        let has = code(&text)
            .any(|line| line.contains("unsafe {") || line.contains("unsafe fn") || line.contains("unsafe impl"));
        assert!(!has || path.starts_with(root().join("src/matching")), "{}", path.display());
    }
}

/// Context strings of key derivation: they are in a binary that derives, and in no other.
const DERIVES: &[&str] = &[
    "hedui v1 linkage key check",
    "hedui v1 project",
    "hedui v1 diffusion map",
    "hedui v1 clk secret",
    "hedui v1 record key",
    "hedui v1 lock",
];

fn binary(house: &str) -> Vec<u8> {
    let path = root().join("target/single-house").join(format!("hedui-{house}"));
    std::fs::read(&path).unwrap_or_else(|_| panic!("{} is not there: `tests/run` builds it", path.display()))
}

fn holds(binary: &[u8], text: &str) -> bool {
    binary.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn the_servers_binary_derives_nothing() {
    let server = binary("server");
    for context in DERIVES {
        assert!(!holds(&server, context), "{context}");
    }
    let agency = binary("agency");
    assert!(DERIVES.iter().any(|context| holds(&agency, context)), "the search finds nothing where something is");
}

#[test]
fn the_agencys_binary_serves_nothing() {
    // axum and the listener name themselves in panic locations and log targets
    let served = "hedui::server";
    assert!(!holds(&binary("agency"), served));
    assert!(holds(&binary("server"), served), "the search finds nothing where something is");
}
