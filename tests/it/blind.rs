//! The server is blind: planted values are searched for in everything of it, and must be found where they belong.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hedui::options::TlsFiles;
use hedui::transport::block_on;
use hedui::transport::client::operators_page;
use hedui_protocol::encoder::Encoder;
use hedui_protocol::keys::LinkageKey;
use hedui_protocol::manifest::Manifest;

use crate::harness::Project;
use crate::journey::files;
use crate::leaks::{PLANTED, Search, forms, planted};

/// The linkage key, the opening key, and the wrap keys of the bank's people.
fn secrets(project: &Project) -> Vec<(String, Vec<u8>)> {
    let linkage = std::fs::read(project.path("linkage.key")).unwrap();
    let manifest = Manifest::parse(&std::fs::read(project.path("manifest.toml")).unwrap()).unwrap();
    let encoder = Encoder::new(&LinkageKey::new(&linkage).unwrap(), manifest.id(), &manifest.schema, "bank");
    let number = crate::journey::with_check_digits("990101198001011230");
    let cells = ["欧阳若曦", &number, "1980-01-01", "男", "12000000001", "甲区长河路1号101", "", ""];
    let encoded = encoder.encode(&encoder.normalise(&cells));
    let wraps: Vec<Vec<u8>> = encoded.wrap_keys.iter().map(|(_, key)| key.dangerously_reveal().to_vec()).collect();
    assert!(!wraps.is_empty());
    let opening = std::fs::read(project.path("office.opening.key")).unwrap();
    let all = [("linkage key", linkage), ("opening key", opening)]
        .into_iter()
        .chain(wraps.into_iter().map(|key| ("wrap key", key)));
    all.flat_map(|(name, key)| forms(&key, None).into_iter().map(move |form| (name.to_owned(), form))).collect()
}

#[test]
fn nothing_planted_is_anywhere_at_the_server() {
    let project = Project::new();
    let server = project.server();
    project.journey(&files(&project), &server);
    assert_eq!(
        project.report("H2")["members"][0]["agencies"][1]["state"],
        "answered",
        "the journey was run to its end"
    );

    let search = Search::new([planted(), secrets(&project)].concat());
    let file = |name: &str| project.path("pki").join(name);
    let tls = TlsFiles { tls_cert: file("operator.crt"), tls_key: file("operator.key"), tls_ca: file("ca.crt") };
    let metrics = block_on(operators_page(&server.operator, &tls.identity(), "/metrics")).unwrap();
    assert!(metrics.contains("hedui_commissions{state=\"matched\"} 2"), "{metrics}");

    let nothing: Vec<String> = Vec::new();
    assert_eq!(search.folder(&project.path("server")), nothing, "its files");
    assert_eq!(search.bytes(&std::fs::read(&server.log).unwrap()), nothing, "its log");
    assert_eq!(search.memory(server.child.id()), nothing, "its memory");
    assert_eq!(search.bytes(metrics.as_bytes()), nothing, "its metrics");
    assert_eq!(search.bytes(&std::fs::read(project.path("state/answers.jsonl")).unwrap()), nothing, "its answers");
    assert_eq!(search.folder(&project.path("bank")), nothing, "what the agency sends");

    assert!(search.folder(&project.path("reports")).len() > 3, "the office's own reports hold them");
}

#[test]
fn the_same_search_finds_them_in_the_agencys_memory() {
    let project = Project::new();
    let (_, bank, _) = files(&project);
    let csv = std::fs::read(&bank).unwrap();
    let mut child =
        project.agency("encode", "bank", &["-", "--out", &project.text("out")]).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&csv).unwrap();
    stdin.flush().unwrap();
    let search = Search::new([planted(), secrets(&project)].concat());
    let started = Instant::now();
    // the file has not ended: the agency holds its rows, and the linkage key, and waits
    let found = loop {
        let found = search.memory(child.id());
        let all = PLANTED.iter().filter(|value| bank_holds(value)).all(|value| found.iter().any(|name| name == value));
        if all && found.iter().any(|name| name == "linkage key") {
            break found;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "only {found:?}");
        std::thread::sleep(Duration::from_millis(100));
    };
    assert!(found.len() > 5);
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

fn bank_holds(value: &str) -> bool {
    value != "123456.78"
}

#[test]
fn no_secret_is_in_arguments_or_environment() {
    let project = Project::new();
    let server = project.server();
    let read = |name: &str| std::fs::read(format!("/proc/{}/{name}", server.child.id())).unwrap();
    let search = Search::new(secrets(&project));
    assert!(search.bytes(&read("cmdline")).is_empty() && search.bytes(&read("environ")).is_empty());
    let limits = String::from_utf8(read("limits")).unwrap();
    let cores = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(cores.split_whitespace().nth(4), Some("0"), "no core dumps: {cores}");
}

#[test]
fn what_an_agency_writes_is_its_owners_alone() {
    let project = Project::new();
    let (_, bank, _) = files(&project);
    project.encode("bank", &bank, "bank").done();
    let listing = Command::new("find").args([&project.text("bank"), "-perm", "/077"]).output().unwrap();
    assert!(listing.stdout.is_empty(), "{}", String::from_utf8_lossy(&listing.stdout));
}
