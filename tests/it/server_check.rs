//! `hedui server run --check`: what could not run is refused before it does; looking makes and changes nothing.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rcgen::ExtendedKeyUsagePurpose::ServerAuth;

use crate::certificates::issued;
use crate::doctor::{damaged, sqlite};
use crate::harness::{Project, Said, Server, hedui, run, within};
use crate::journey::files;

/// `--check` with what is said otherwise: an option, and its value.
fn check(project: &Project, folder: &str, otherwise: &[(&str, &str)]) -> Said {
    let command = Server::command(project, folder, "127.0.0.1:0");
    let mut arguments: Vec<String> = command.get_args().map(|argument| argument.to_str().unwrap().into()).collect();
    for (option, value) in otherwise {
        let at = arguments.iter().position(|argument| argument == option).unwrap();
        arguments[at + 1] = (*value).into();
    }
    let mut command = hedui();
    command.args(arguments).arg("--check");
    within(Duration::from_secs(20), command)
}

/// Every file below a folder, but what processes share as memory: when it was written, and what it holds.
fn all(folder: &Path) -> BTreeMap<String, (SystemTime, Vec<u8>)> {
    let mut found = BTreeMap::new();
    for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            found.extend(all(&path));
        } else if !path.ends_with("hedui.sqlite-shm") {
            let written = std::fs::metadata(&path).unwrap().modified().unwrap();
            found.insert(path.to_str().unwrap().into(), (written, std::fs::read(&path).unwrap()));
        }
    }
    found
}

#[test]
fn what_belongs_to_another_manifest_is_refused() {
    let project = Project::new();
    drop(project.server());
    let key = run(&["key", "show", "--kind", "linkage", &project.text("linkage.key")]).done().stdout;
    project.manifest("second.toml", "2026-12", key.trim()).done();
    let second = project.text("second.toml");
    check(&project, "server", &[]).done();
    let refused = check(&project, "server", &[("--manifest", &second)]);
    refused.refused(1, "server: holds the data of manifest");
    std::fs::remove_file(project.path("server/manifest.id")).unwrap();
    let refused = check(&project, "server", &[("--manifest", &second)]);
    refused.refused(1, "hedui.sqlite: holds the data of manifest");
}

#[test]
fn a_database_of_a_later_program_and_one_that_was_rolled_back_are_refused() {
    let project = Project::new();
    drop(project.server());
    let newest = "SELECT MAX(version) FROM _sqlx_migrations";
    let later = format!(
        "INSERT INTO _sqlx_migrations (version, description, installed_on, success, checksum, execution_time)
         SELECT ({newest}) + 1, 'takes the past away', CURRENT_TIMESTAMP, true, x'00', 0"
    );
    sqlite(&project, &later);
    check(&project, "server", &[]).refused(1, "a later program has brought it to version");
    sqlite(&project, &format!("DELETE FROM _sqlx_migrations WHERE version = ({newest})"));
    check(&project, "server", &[]).done();
    let checkpoint = project.path("server/checkpoint");
    assert!(checkpoint.exists());
    for name in ["hedui.sqlite", "hedui.sqlite-wal", "hedui.sqlite-shm"] {
        let _ = std::fs::remove_file(project.path("server").join(name));
    }
    let other = Project::new();
    drop(other.server());
    std::fs::copy(checkpoint, other.path("server/checkpoint")).unwrap();
    check(&other, "server", &[]).refused(1, "checkpoint");
}

#[test]
fn a_folder_where_nothing_can_be_kept_is_refused() {
    let project = Project::new();
    check(&project, "/proc/nope", &[]).refused(1, "/proc/nope: nothing can be kept here");
    check(&project, "/etc", &[]).refused(1, "/etc: others may enter this folder");
    let file = project.write("file", "");
    check(&project, "file", &[]).refused(1, &format!("{file}: this is no folder"));
    check(&project, "file/below", &[]).refused(1, "file/below: nothing can be kept here");
    check(&project, "not/there/yet", &[]).done();
    drop(project.server());
    for name in ["parts", "index"] {
        let folder = project.path("server").join(name);
        std::fs::remove_dir(&folder).unwrap();
        std::fs::write(&folder, "").unwrap();
        check(&project, "server", &[]).refused(1, &format!("server/{name}: nothing can be kept here"));
        std::fs::remove_file(&folder).unwrap();
        check(&project, "server", &[]).done();
    }
    assert!(!project.path("not").exists());
}

#[test]
fn an_address_that_cannot_be_listened_on_is_refused() {
    let project = Project::new();
    check(&project, "new", &[("--listen", "203.0.113.9:8443")]).refused(1, "cannot listen on 203.0.113.9:8443");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
    let taken = free.unwrap().to_string();
    for option in ["--listen", "--operator-listen"] {
        let listening = std::net::TcpListener::bind(&taken).unwrap();
        check(&project, "new", &[(option, &taken)]).refused(1, &format!("cannot listen on {taken}"));
        drop(listening);
        check(&project, "new", &[(option, &taken)]).done();
    }
    for both in [["127.0.0.1", "127.0.0.1"], ["0.0.0.0", "127.0.0.1"]] {
        let [parties, operator] = both.map(|host| format!("{host}:{}", taken.rsplit(':').next().unwrap()));
        let said = check(&project, "new", &[("--listen", &parties), ("--operator-listen", &operator)]);
        said.refused(1, "both ports are one");
    }
    // where the machine has IPv6
    let Ok(free) = std::net::TcpListener::bind("[::1]:0").and_then(|listener| listener.local_addr()) else { return };
    let port = free.port();
    let both = |listen: &str, operator: &str| {
        let [parties, operator] = [listen, operator].map(|host| format!("{host}:{port}"));
        check(&project, "new", &[("--listen", &parties), ("--operator-listen", &operator)])
    };
    both("0.0.0.0", "[::1]").done();
    both("127.0.0.1", "[::]").refused(1, "both ports are one");
}

#[test]
fn a_folder_that_is_another_users_is_refused_by_its_name() {
    let project = Project::new();
    drop(project.server());
    for name in ["parts", "index"] {
        let folder = project.path("server").join(name);
        let owned = |user, mode| {
            std::fs::set_permissions(&folder, Permissions::from_mode(mode)).unwrap();
            if rustix::process::geteuid().is_root() {
                std::os::unix::fs::chown(&folder, Some(user), None).unwrap();
            }
        };
        let run = |check: bool| {
            // root of a namespace may not enter what is nobody's there
            let mut command = std::process::Command::new("unshare");
            let run = Server::command(&project, "server", "127.0.0.1:0");
            command.arg(if rustix::process::geteuid().is_root() { "-r" } else { "--" }).arg(run.get_program());
            command.args(run.get_args()).args(check.then_some("--check"));
            command
        };
        owned(65_534, 0o000);
        let path = format!("server/{name}: ");
        within(Duration::from_secs(20), run(true)).refused(1, &path);
        if name == "index" {
            within(Duration::from_secs(20), run(false)).refused(75, &path);
        }
        owned(0, 0o700);
        within(Duration::from_secs(20), run(true)).done();
    }
}

#[test]
fn no_memory_at_all_is_refused() {
    let project = Project::new();
    let mut command = Server::command(&project, "new", "127.0.0.1:0");
    command.args(["--memory", "0", "--check"]);
    within(Duration::from_secs(20), command).refused(2, "`0` is no amount of memory");
}

#[test]
fn a_certificate_that_no_client_would_trust_is_refused() {
    let project = Project::new();
    let day = 86_400;
    issued(&project, "ended", ServerAuth, -2 * day..-day);
    issued(&project, "early", ServerAuth, day..2 * day);
    let with = |name: &str| {
        let file = |kind: &str| project.text(&format!("pki/{name}.{kind}"));
        check(&project, "new", &[("--tls-cert", &file("crt")), ("--tls-key", &file("key"))])
    };
    with("server").done();
    with("ended").refused(1, "ended.crt: the certificate ended at");
    with("early").refused(1, "early.crt: the certificate holds from");
    with("bank").refused(1, "bank.crt: this is no server's certificate");
}

#[test]
fn who_has_not_signed_is_told() {
    let project = Project::unsigned();
    let said = check(&project, "new", &[]).done();
    let words = "not signed yet by bank, vehicle, civil-affairs, elsewhere";
    assert!(said.stderr.contains(words), "{}", said.stderr);
    project.sign("bank").done();
    let said = check(&project, "new", &[]).done();
    assert!(said.stderr.contains("not signed yet by vehicle, civil-affairs"), "{}", said.stderr);
    let said = check(&Project::new(), "new", &[]).done();
    assert_eq!(said.stderr, "");
}

#[test]
fn a_damaged_database_is_refused() {
    let project = Project::new();
    let (_, bank, vehicle) = files(&project);
    let mut server = project.server();
    project.submit_both(&bank, &vehicle, &server);
    server.signal("TERM");
    check(&project, "server", &[]).done();
    damaged(&project);
    check(&project, "server", &[]).refused(1, "hedui.sqlite: the database is damaged");
    std::fs::write(project.path("server/hedui.sqlite"), "no database at all, however long it is read").unwrap();
    check(&project, "server", &[]).refused(1, "hedui.sqlite: file is not a database");
}

#[test]
fn beside_a_running_server_it_says_so_and_changes_nothing() {
    let project = Project::new();
    let (_, bank, vehicle) = files(&project);
    let mut server = project.server();
    project.submit_both(&bank, &vehicle, &server);
    let ports = [server.address().to_owned(), server.operator.trim_start_matches("https://").to_owned()];
    let check = || check(&project, "server", &[("--listen", &ports[0]), ("--operator-listen", &ports[1])]);
    let said = check().done();
    assert!(said.stderr.contains("a server runs on this folder"), "{}", said.stderr);
    for port in &ports {
        assert!(said.stderr.contains(&format!("{port} is in use")), "{}", said.stderr);
    }
    server.kill();
    for has_journal in [true, false] {
        if !has_journal {
            // whoever closes it last takes the journal in
            sqlite(&project, "SELECT 1");
        }
        let before = all(&project.path("server"));
        assert_eq!(before.keys().any(|name| name.ends_with("-wal")), has_journal);
        assert_eq!(check().done().stderr, "");
        assert!(all(&project.path("server")) == before, "it was changed; with a journal: {has_journal}");
    }
}

#[test]
fn a_place_with_a_password_in_it_is_refused_without_it() {
    let backup = |option: &str, place: &str, words: &str| {
        let said = run(&["server", "backup", "--data", "none", "--out", "none", option, place]).refused(2, words);
        assert!(!said.stderr.contains("hunter2"), "{}", said.stderr);
    };
    backup("--database", "postgres://hedui:hunter2@localhost/hedui", "a password does not belong on a command line");
    backup("--database", "postgres://hedui@localhost/hedui?password=hunter2", "a password does not belong");
    backup("--parts", "s3://key:hunter2@parts", "not a bucket");
}
