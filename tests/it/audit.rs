//! The log proves what the server did: it is read by an auditor without the server, and whatever is done to it is named.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hedui_protocol::acts::{Actor, Deed};
use hedui_protocol::ids::KeyHash;
use hedui_protocol::log::{Checkpoint, Entry, Event, Hashes, SignedCheckpoint, Tree, leaf_hash, origin};
use hedui_protocol::manifest::{Level, Manifest};
use hedui_protocol::problem::{Problem, ProblemKind};
use hedui_protocol::sign::SigningKey;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::harness::{OFFICE, OTHER_OFFICE, Project, Said, Server, hedui, on_both_stores, run, signal, tls, until};
use crate::journey::files;

on_both_stores! {
    what_was_done_is_in_the_log_and_was_allowed,
    a_database_that_is_put_back_to_an_older_state_is_noticed_by_everybody,
}

/// A journey of two households, one of which is taken back.
fn journey(project: &Project, server: &Server) {
    let (office, bank, vehicle) = files(project);
    project.submit_both(&bank, &vehicle, server);
    project.office("request", server, &[&office]).done();
    project.office("fetch", server, &[]).done();
    project.answer("vehicle", &vehicle, server).done();
    project.office("fetch", server, &[]).done();
    project.office("withdraw", server, &["H2"]).done();
}

pub fn export(project: &Project, out: &str) -> Said {
    let arguments = ["audit", "export", "--data", &project.text("server"), "--out", &project.text(out)];
    Said::of(&hedui().args(arguments).args(project.store_arguments()).output().unwrap())
}

pub fn verify(log: &str, more: &[&str]) -> Said {
    run(&[&["audit", "verify", log, "--json"], more].concat())
}

pub fn receipts(project: &Project, party: &str) -> String {
    project.text(&format!("pki/{party}.receipts.jsonl"))
}

#[track_caller]
pub fn holds(said: Said) -> serde_json::Value {
    serde_json::from_str(&said.done().stdout).unwrap()
}

/// The kinds of findings; the log must not hold.
#[track_caller]
pub fn findings(said: &Said) -> Vec<String> {
    assert_eq!(said.code, Some(1), "{}", said.stdout);
    let verdict: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(verdict["holds"], false);
    verdict["findings"].as_array().unwrap().iter().map(|finding| finding["kind"].as_str().unwrap().to_owned()).collect()
}

fn what_was_done_is_in_the_log_and_was_allowed(project: Project) {
    project.issue("auditor", "auditor");
    let mut server = project.server();
    journey(&project, &server);
    // an office that is not of this commission, and one without the right
    let strange = project.office_at(&server.parties, "fetch", &[]).args(["--tls-cert", "none"]).output().unwrap();
    assert!(!strange.status.success());

    // an auditor copies it from the running server, and goes on with the copy
    let fetch = || {
        let mut command = hedui();
        command.args(["audit", "fetch", "--out", &project.text("copy"), "--manifest", &project.text("manifest.toml")]);
        Said::of(&command.args(server.arguments(&project, "auditor")).output().unwrap())
    };
    fetch().done();
    project.office("status", &server, &[]).done();
    std::thread::sleep(Duration::from_millis(1200));
    fetch().done();
    holds(verify(&project.text("copy"), &["--manifest", &project.text("manifest.toml")]));

    server.signal("TERM");
    export(&project, "log").done();
    let (bank, office) = (receipts(&project, "bank"), receipts(&project, OFFICE));
    let verdict = holds(verify(&project.text("log"), &["--against", &bank, "--against", &office]));
    let count = |what: &str| verdict["events"][what].as_u64().unwrap_or(0);
    assert_eq!((count("opened"), count("batch-committed"), count("batch-indexed")), (1, 2, 2), "{verdict}");
    assert_eq!((count("commission-filed"), count("commission-matched"), count("withdrawn")), (2, 2, 1), "{verdict}");
    assert_eq!((count("released"), count("answered")), (3, 1), "{verdict}");
    assert!(verdict["compared"].as_u64().unwrap() > 8, "{verdict}");

    // in the auditor's words, and without a person
    let search = |more: &[&str]| run(&[&["audit", "search", &project.text("log")], more].concat()).done().stdout;
    let filed = search(&["--office", OFFICE, "--what", "commission-filed", "--level", "L3"]);
    assert_eq!(filed.lines().count(), 2, "{filed}");
    assert!(filed.contains("(dibao) on 1 people") && filed.contains("vehicle.vehicles L3"), "{filed}");
    assert_eq!(
        search(&["--agency", "bank", "--what", "released"]).lines().count(),
        1,
        "it is fetched where there is something new"
    );
    assert_eq!(search(&["--until", "2020-01-01T00:00:00Z"]), "");
    let id = filed.split_whitespace().last().unwrap();
    assert!(search(&["--commission", &id[..12]]).lines().count() >= 3);
    for (name, bytes) in logbook(&project.path("log")) {
        for planted in ["欧阳", "司徒", "长河路", "12000000001", "70123", "99010119800101"] {
            assert!(!String::from_utf8_lossy(&bytes).contains(planted), "{planted} is in {name}");
        }
    }
    run(&["audit", "verify", &project.text("server")]).refused(1, "this is no exported log");
}

#[test]
fn what_is_not_signed_yet_proves_nothing() {
    let project = Project::new();
    let mut server = project.server();
    journey(&project, &server);
    // a server that runs signs it while it is exported
    export(&project, "log").done();
    let verdict = holds(verify(&project.text("log"), &[]));
    assert_eq!(verdict["signed"], verdict["entries"]);
    server.signal("TERM");
    run(&["server", "backup", "--data", &project.text("server"), "--out", &project.text("backup")]).done();
    let said = export(&project, "log").done();
    assert!(said.stderr.contains("not signed yet"), "{}", said.stderr);
    assert_eq!(findings(&verify(&project.text("log"), &[])), ["unsigned"]);
    let _server = project.server();
    export(&project, "log").done();
    holds(verify(&project.text("log"), &[]));
}

fn logbook(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.display().to_string(), std::fs::read(&path).unwrap())).collect()
}

fn a_database_that_is_put_back_to_an_older_state_is_noticed_by_everybody(project: Project) {
    let (office, bank, _) = files(&project);
    let mut server = project.server();
    project.encode("bank", &bank, "bank").done();
    project.submit("bank", "bank", &server).done();
    let mut backup = hedui();
    backup.args(["server", "backup", "--data", &project.text("server"), "--out", &project.text("backup")]);
    Said::of(&backup.args(project.store_arguments()).output().unwrap()).done();
    project.office("request", &server, &[&office]).done();
    project.office("fetch", &server, &[]).done();
    let address = server.address().to_owned();
    server.signal("TERM");
    export(&project, "log").done();

    // the older database under the same server
    let older = match &project.stores {
        None => Vec::new(),
        Some(stores) => {
            let database = stores.postgres.database("older");
            [vec!["--database".to_owned(), database], stores.bucket.arguments(&project)].concat()
        }
    };
    if project.stores.is_none() {
        for name in ["hedui.sqlite", "hedui.sqlite-wal", "hedui.sqlite-shm"] {
            let _ = std::fs::remove_file(project.path("server").join(name));
        }
    }
    let with = |verb: &[&str]| {
        let mut command = hedui();
        command.args(verb).args(["--data", &project.text("server")]).args(&older);
        command
    };
    Said::of(&with(&["server", "restore", &project.text("backup")]).output().unwrap()).done();
    let start = || {
        let mut command = with(&["server", "run", "--listen", &address, "--operator-listen", "127.0.0.1:0"]);
        command.args(["--manifest", &project.text("manifest.toml"), "--log-key", &project.text("log.key")]);
        command.args(tls(&project, "server"));
        command
    };
    Said::of(&start().output().unwrap()).refused(1, "it was rolled back");

    // whoever removes the server's memory does not remove the parties'
    std::fs::remove_file(project.path("server/checkpoint")).unwrap();
    let mut server = Server::spawn(&project, start());
    project.office("fetch", &server, &[]).refused(1, "it was rolled back");
    let said =
        project.office("request", &server, &[&office, "--again"]).refused(1, "the server's log cannot be trusted");
    assert!(said.stderr.contains("receipts.jsonl as evidence"), "{}", said.stderr);
    server.signal("TERM");
    let said = Said::of(&with(&["audit", "export", "--out", &project.text("log")]).output().unwrap());
    said.refused(1, "rolled back");
    Said::of(&with(&["audit", "export", "--out", &project.text("now")]).output().unwrap()).done();
    let said = verify(&project.text("now"), &["--against", &receipts(&project, OFFICE)]);
    assert!(findings(&said).contains(&"rolled-back".to_owned()), "{}", said.stdout);
    let said = verify(&project.text("now"), &["--against", &project.text("log/checkpoint")]);
    assert_eq!(findings(&said), ["rolled-back"], "{}", said.stdout);
}

/// Answers whoever comes as a server would that refuses, and has no log.
fn turning_away(project: &Project, kind: ProblemKind) -> String {
    let file = |name: &str| project.path("pki").join(name);
    let chain = CertificateDer::pem_file_iter(file("server.crt")).unwrap().map(|one| one.unwrap()).collect();
    let key = PrivateKeyDer::from_pem_file(file("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let body = serde_json::to_string(&Problem::new(kind, "come back tomorrow")).unwrap();
    let answer = format!(
        "HTTP/1.1 {} No\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        kind.status(),
        body.len()
    );
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut tls = rustls::StreamOwned::new(connection, stream.unwrap());
            let (mut came, mut some) = (Vec::new(), [0; 4096]);
            // a request's body ends as JSON does; the connection stays open for the answer
            while !came.ends_with(b"}") && !came.ends_with(b"\r\n\r\n") {
                match tls.read(&mut some) {
                    Ok(count) if count > 0 => came.extend_from_slice(&some[..count]),
                    _ => break,
                }
            }
            let _ = tls.write_all(answer.as_bytes()).and_then(|()| tls.flush());
            tls.conn.send_close_notify();
            let _ = tls.flush();
        }
    });
    url
}

#[test]
fn a_refusal_that_the_log_does_not_have_is_called_so() {
    let project = Project::new();
    let (office, ..) = files(&project);
    for (kind, words) in [
        (ProblemKind::QuotaExceeded, "come back tomorrow; and the server did not prove that it refuses this"),
        (ProblemKind::Forbidden, "the server did not prove that it refuses this"),
        (ProblemKind::NotFound, "the server did not prove that it refuses this"),
        // of another manifest's log nobody can say anything
        (ProblemKind::ManifestMismatch, "come back tomorrow\n"),
    ] {
        let url = turning_away(&project, kind);
        let said = Said::of(&project.office_at(&url, "request", &[&office]).output().unwrap());
        said.refused(1, words);
    }
    // and nothing is done because of it
    let server = project.server();
    project.office("request", &server, &[&office]).done();
    for kind in [ProblemKind::Erased, ProblemKind::NotFound, ProblemKind::TicketRefused] {
        let url = turning_away(&project, kind);
        for (verb, more) in [("withdraw", vec!["H2"]), ("fetch", vec![])] {
            let said = Said::of(&project.office_at(&url, verb, &more).output().unwrap());
            said.refused(1, "the server did not prove that it refuses this");
        }
    }
    assert!(project.office("withdraw", &server, &["H2"]).done().stderr.contains("Withdrew"));
}

/// What a log says, and when.
type Told = Vec<(jiff::Timestamp, Event)>;

/// A log that can be tampered with.
struct Tampered {
    project: Project,
    lines: Vec<String>,
}

impl Tampered {
    fn new() -> Self {
        let project = Project::new();
        let mut server = project.server();
        journey(&project, &server);
        server.signal("TERM");
        export(&project, "log").done();
        let text = std::fs::read_to_string(project.path("log/entries.jsonl")).unwrap();
        Self { project, lines: text.lines().map(str::to_owned).collect() }
    }

    /// The findings in a log of these entries, against what the parties have seen.
    fn findings(&self, lines: &[String], more: &[&str]) -> Vec<String> {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        std::fs::write(self.project.path("log/entries.jsonl"), text).unwrap();
        findings(&verify(&self.project.text("log"), more))
    }

    fn place(&self, what: &str) -> usize {
        let what = format!("\"what\":\"{what}\"");
        self.lines.iter().position(|line| line.contains(&what)).unwrap()
    }

    /// A whole other log, signed with the server's own key: only what others have seen tells it from the true one.
    fn rewritten(&self, events: Told) -> Vec<String> {
        let key = SigningKey::try_from(std::fs::read(self.project.path("log.key")).unwrap().as_slice()).unwrap();
        let manifest = Manifest::parse(&std::fs::read(self.project.path("manifest.toml")).unwrap()).unwrap();
        let (mut hashes, mut lines) = (Hashes::new(), Vec::new());
        for (number, (at, event)) in (0..).zip(events) {
            let tree = Tree::new(number, &hashes);
            let entry = Entry { number, at, tree: tree.root().unwrap(), event }.to_bytes();
            let stored = tree.next(leaf_hash(&entry)).unwrap();
            hashes.extend(stored);
            lines.push(String::from_utf8(entry).unwrap());
        }
        let root = Tree::new(lines.len() as u64, &hashes).root().unwrap();
        let checkpoint = Checkpoint { size: lines.len() as u64, root };
        let note = SignedCheckpoint::sign(&key, &origin(manifest.id()), checkpoint);
        std::fs::write(self.project.path("log/checkpoint"), note.as_str()).unwrap();
        lines
    }

    fn events(&self) -> Told {
        let entry = |line: &String| Entry::parse(line.as_bytes()).map(|entry| (entry.at, entry.event)).unwrap();
        self.lines.iter().map(entry).collect()
    }
}

#[test]
fn what_is_done_to_a_log_afterwards_is_named() {
    let log = Tampered::new();
    let lines = &log.lines;
    holds(verify(&log.project.text("log"), &[]));
    let receipts = receipts(&log.project, OFFICE);

    let released = log.place("released");
    let mut changed = lines.clone();
    changed[released] = changed[released].replace("\"from\":0", "\"from\":1");
    assert_ne!(changed, *lines);
    assert_eq!(log.findings(&changed, &[])[0], "changed");
    let said = verify(&log.project.text("log"), &[]);
    assert!(said.stdout.contains(&format!("entry {released} was changed")), "{}", said.stdout);

    let mut dropped = lines.clone();
    dropped.remove(released);
    assert_eq!(log.findings(&dropped, &[])[0], "dropped");
    let mut reordered = lines.clone();
    reordered.swap(released, released + 1);
    assert_eq!(log.findings(&reordered, &[])[0], "reordered");
    assert!(log.findings(&lines[..lines.len() - 1], &[]).contains(&"rolled-back".to_owned()));
    let mut garbled = lines.clone();
    garbled[1] = "{}".into();
    assert_eq!(log.findings(&garbled, &[])[0], "unreadable");
    let mut last = lines.clone();
    let end = last.len() - 1;
    last[end] = last[end].replace("withdrawn", "withdrawN");
    assert_eq!(log.findings(&last, &[])[0], "unreadable");
    // what is not read is not said to be absent
    let said = run(&["audit", "search", &log.project.text("log"), "--what", "withdrawn"]);
    assert_eq!(said.stdout, "");
    said.refused(1, "1 entries do not read");
    // a bit that fell over in a copy is no second history
    last[end] = lines[end].replacen("\"at\":\"20", "\"at\":\"21", 1);
    assert_ne!(last, *lines);
    assert_eq!(log.findings(&last, &[])[0], "changed");
    let told = verify(&log.project.text("log"), &["--against", &receipts]);
    assert!(findings(&told).contains(&"differs".to_owned()), "{}", told.stdout);

    // what says nothing of this log proves nothing
    log.findings(&last, &[]);
    std::fs::write(
        log.project.path("log/entries.jsonl"),
        lines.iter().map(|line| format!("{line}\n")).collect::<String>(),
    )
    .unwrap();
    holds(verify(&log.project.text("log"), &["--against", &receipts]));
    let other = Tampered::new();
    let of_another = crate::audit::receipts(&other.project, OFFICE);
    let torn = log.project.write("torn.jsonl", std::fs::read_to_string(&receipts).unwrap().lines().next().unwrap());
    for nothing in [of_another, torn, log.project.write("empty.jsonl", "")] {
        let said = verify(&log.project.text("log"), &["--against", &nothing]);
        assert_eq!(findings(&said), ["nothing-compared"]);
    }

    // the operator's own key signs another history: everything in it is in order, and it is not the one that was told
    let without = log.events().into_iter().filter(|(_, event)| event.what() != "released").collect();
    let forged = log.rewritten(without);
    log.findings(&forged, &["--against", &receipts]);
    holds(verify(&log.project.text("log"), &[]));
    let found = log.findings(&forged, &["--against", &receipts]);
    assert!(found.iter().any(|kind| kind == "rolled-back") && found.iter().any(|kind| kind == "forked"), "{found:?}");
    let stranger = SigningKey::from_seed(&[9; 32]);
    let note = SignedCheckpoint::sign(&stranger, "hedui.log/other", Checkpoint { size: 0, root: leaf_hash(b"") });
    std::fs::write(log.project.path("log/checkpoint"), note.as_str()).unwrap();
    assert_eq!(log.findings(&forged, &[]), ["unsound-checkpoint"]);
    std::fs::remove_file(log.project.path("log/checkpoint")).unwrap();
    assert_eq!(log.findings(&forged, &[]), ["unsigned"]);
}

#[test]
fn what_was_not_allowed_is_found_in_a_log_that_is_whole() {
    let log = Tampered::new();
    let change = |change: &dyn Fn(&mut Told)| {
        let mut events = log.events();
        change(&mut events);
        let lines = log.rewritten(events);
        log.findings(&lines, &[])
    };
    let at = |what: &str| log.place(what);
    let (filed, released) = (at("commission-filed"), at("released"));
    let without_ticket = change(&|events| drop(events.remove(filed)));
    assert!(without_ticket.contains(&"release-without-ticket".to_owned()), "{without_ticket:?}");
    let last = log.lines.len();
    let after = change(&|events| {
        let again = events.iter().find(|(_, event)| {
            matches!(event, Event::Released { commission, .. } if matches!(&events[last - 1].1, Event::Withdrawn { commission: back, .. } if back == commission))
        });
        let again = again.unwrap().clone();
        events.push(again);
    });
    assert_eq!(after, ["after-withdrawal"]);
    let erased = change(&|events| {
        // of the household that took nothing back
        let is_banks =
            |event: &Event| matches!(event, Event::Released { agencies, .. } if agencies.contains_key("bank"));
        let (at, again) = events.iter().find(|(_, event)| is_banks(event)).unwrap().clone();
        let commission = again.commission().unwrap();
        let deed = Deed::EraseCommissions { commissions: vec![commission] };
        let by = |name: &str, key: u8| Actor {
            organisation: "City operator".into(),
            name: name.into(),
            key: KeyHash([key; 32]),
        };
        let act = events.len() as u64;
        let at = events.last().unwrap().0.max(at);
        events.push((at, Event::Proposed { by: by("li", 1), deed: deed.clone() }));
        events.push((at, Event::Approved { act, by: by("wang", 2), deed }));
        events.push((at, again));
    });
    assert_eq!(erased, ["after-erasure"]);
    let late = change(&|events| {
        let mut again = events[released].clone();
        again.0 += jiff::SignedDuration::from_hours(24 * 40);
        let end = events.len() - 1;
        events.insert(end, again);
    });
    // the entry after it is, by its clock, of weeks before
    assert_eq!(late, ["after-expiry", "clock"]);
    let more = change(&|events| {
        for (_, event) in events.iter_mut() {
            if let Event::Released { agencies, .. } = event {
                agencies.entry("bank".into()).or_default().deposits += 5;
            }
        }
    });
    assert!(more.iter().all(|kind| kind == "beyond-scope") && more.len() == 3, "{more:?}");
    let beyond = change(&|events| {
        if let Event::Released { to, .. } = &mut events[released].1 {
            *to += 7;
        }
    });
    assert_eq!(beyond, ["beyond-scope"]);
    // each time a payload went out, it did so at the level that was asked
    for level in [Level::L1, Level::L2] {
        let other_level = change(&|events| {
            for (_, event) in events.iter_mut() {
                if let Event::Released { items, .. } = event {
                    items.iter_mut().filter(|item| item.agency == "bank").for_each(|item| item.level = level);
                }
            }
        });
        assert_eq!(other_level, ["beyond-scope"], "{level}");
    }
    let other = change(&|events| {
        if let Event::Released { office, .. } = &mut events[released].1 {
            *office = OTHER_OFFICE.into();
        }
    });
    assert_eq!(other, ["wrong-office"]);
    let less = change(&|events| {
        if let Event::CommissionFiled { subjects, .. } = &mut events[filed].1 {
            *subjects = 0;
        }
    });
    assert_eq!(less, ["unfit-ticket"]);
    let unknown = change(&|events| events.retain(|(_, event)| event.what() != "batch-committed"));
    assert!(unknown.len() >= 3 && unknown.iter().all(|kind| kind == "unknown-batch"), "{unknown:?}");

    std::fs::write(log.project.path("log/commissions.jsonl"), "").unwrap();
    let unproved = change(&|_| {});
    assert_eq!(unproved, ["missing-ticket", "missing-ticket", "unproved-withdrawal"]);
}

#[test]
fn who_follows_the_log_waits_and_asks_in_no_loop() {
    let project = Project::new();
    project.issue("auditor", "auditor");
    let server = project.server();
    let (office, ..) = files(&project);
    let mut fetch = hedui();
    fetch.args(["audit", "fetch", "--follow", "--out", &project.text("copy")]);
    fetch.args(["--manifest", &project.text("manifest.toml")]).args(server.arguments(&project, "auditor"));
    let mut following = fetch.stderr(Stdio::null()).spawn().unwrap();
    let copied = || std::fs::read_to_string(project.path("copy/entries.jsonl")).unwrap_or_default();
    until(|| copied().contains("\"opened\""));
    // nobody else writes there meanwhile
    export(&project, "copy").refused(75, "another command is writing this log");
    project.office("request", &server, &[&office]).done();
    until(|| copied().contains("\"commission-filed\""));
    signal(&following, "INT");
    let ended = following.wait().unwrap().code();
    export(&project, "copy").done();
    holds(verify(&project.text("copy"), &[]));
    assert_eq!(ended, Some(130));

    let client = crate::access::client(&project, "auditor");
    let since = Instant::now();
    let page = client.get(format!("{}/v1/log?from=99&wait=2", server.parties)).send();
    let page = tokio::runtime::Runtime::new().unwrap().block_on(async { page.await.unwrap().text().await.unwrap() });
    assert!(page.contains("\"entries\":[]") && since.elapsed() >= Duration::from_secs(2), "{page}");
}

#[test]
fn a_watch_tells_what_comes_and_stops_when_what_it_told_is_changed() {
    let project = Project::new();
    let server = project.server();
    let (office, bank, _) = files(&project);
    export(&project, "log").done();
    let mut watch = hedui();
    let out = std::fs::File::create(project.path("told")).unwrap();
    let mut watching =
        watch.args(["audit", "watch", &project.text("log")]).stdout(out).stderr(Stdio::piped()).spawn().unwrap();
    project.encode("bank", &bank, "bank").done();
    project.submit("bank", "bank", &server).done();
    project.office("request", &server, &[&office]).done();
    std::thread::sleep(Duration::from_millis(1200));
    export(&project, "log").done();
    let since = Instant::now();
    let told = || std::fs::read_to_string(project.path("told")).unwrap();
    while told().matches("filed commission").count() < 2 {
        assert!(since.elapsed() < Duration::from_secs(20), "{}", told());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(!told().contains("FINDING"), "{}", told());
    let path = project.path("log/entries.jsonl");
    std::fs::write(&path, std::fs::read_to_string(&path).unwrap().replace("\"records\":4", "\"records\":5")).unwrap();
    assert_eq!(watching.wait().unwrap().code(), Some(1));
}

#[test]
fn a_refusal_is_shown_to_the_auditor_with_how_many_it_was_about() {
    let project = Project::new();
    let mut server = project.server();
    let (office, bank, _) = files(&project);
    project.encode("bank", &bank, "bank").done();
    project.submit("bank", "bank", &server).done();
    // the other office sends what it has signed under the first one's name
    let request = project.office_at(&server.parties, "request", &[&office]);
    let as_other = |argument: &std::ffi::OsStr| {
        let mut text = argument.to_string_lossy().into_owned();
        for kind in ["pki/NAME.crt", "pki/NAME.key"] {
            text = text.replace(&kind.replace("NAME", OFFICE), &kind.replace("NAME", OTHER_OFFICE));
        }
        text
    };
    let arguments: Vec<String> = request.get_args().map(as_other).collect();
    Said::of(&hedui().args(arguments).output().unwrap()).refused(1, "the ticket is `civil-affairs`'s");
    server.signal("TERM");
    export(&project, "log").done();
    let verdict = run(&["audit", "verify", &project.text("log")]).done().stdout;
    assert!(verdict.contains("requests of Org elsewhere, about"), "{verdict}");
    let refused = run(&["audit", "search", &project.text("log"), "--what", "refused"]).done().stdout;
    assert!(refused.contains("REFUSED Org elsewhere (office) POST /v1/commissions of commission"), "{refused}");
    assert!(refused.contains("about 1 people: urn:hedui:problem:forbidden"), "{refused}");
    // it was an office of the manifest who asked, by its certificate
    let by_office =
        |office: &str| run(&["audit", "search", &project.text("log"), "--what", "refused", "--office", office]);
    assert_eq!((by_office(OTHER_OFFICE).done().stdout, by_office(OFFICE).done().stdout), (refused, String::new()));
}

#[test]
fn a_search_knows_the_level_by_the_commission_and_refuses_a_name_that_nobody_has() {
    let log = Tampered::new();
    let search = |more: &[&str]| run(&[&["audit", "search", &log.project.text("log")], more].concat());
    let count = |more: &[&str]| search(more).done().stdout.lines().count();
    let released = search(&["--what", "released", "--level", "L3"]).done().stdout;
    assert_eq!(released.lines().count(), 3, "{released}");
    assert!(released.lines().all(|line| line.contains(" L3")), "{released}");
    assert!(released.contains("bank: 1 deposits and 0 answers (bank.deposits L3)"), "{released}");
    for (what, entries) in [("commission-filed", 2), ("commission-matched", 2), ("answered", 1), ("withdrawn", 1)] {
        assert_eq!(count(&["--level", "L3", "--what", what]), entries, "{what}");
        assert_eq!(count(&["--level", "L3", "--agency", "vehicle", "--what", what]), entries, "{what}");
        assert_eq!(count(&["--level", "L1", "--what", what]), 0, "{what}");
    }
    assert_eq!(count(&["--level", "L3", "--what", "batch-committed"]), 0, "of no level");
    search(&["--what", "rubbish"]).refused(2, "[possible values: opened, batch-committed");
    assert_eq!(count(&["--what", "gone"]), 0, "there is such an event");
    search(&["--office", "nobody"]).refused(2, "its offices are civil-affairs, elsewhere");
    search(&["--agency", "nobody"]).refused(2, "its agencies are bank, vehicle");

    // a log of before says the level by its commissions alone
    let mut events = log.events();
    for (_, event) in &mut events {
        if let Event::Released { items, .. } = event {
            items.clear();
        }
    }
    let text: String = log.rewritten(events).iter().map(|line| format!("{line}\n")).collect();
    std::fs::write(log.project.path("log/entries.jsonl"), text).unwrap();
    holds(verify(&log.project.text("log"), &[]));
    let released = search(&["--what", "released", "--level", "L3"]).done().stdout;
    assert_eq!(released.matches(", which asks bank.deposits L3, vehicle.vehicles L3,").count(), 3, "{released}");
}
