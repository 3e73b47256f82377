//! Faults survived: a server that is down, silent, or out of disk; a second server; damaged files.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use crate::harness::{Project, Said, Server, run, signal};
use crate::interrupts::city;
use crate::journey::files;

#[test]
fn a_server_that_is_down_is_told_as_such() {
    let project = Project::new();
    let (_, bank, _) = files(&project);
    let mut server = project.server();
    project.encode("bank", &bank, "bank").done();
    server.kill();
    let mut submit = project.agency("submit", "bank", &[&project.text("bank")]);
    let mut arguments = server.arguments(&project, "bank");
    arguments[3] = "1".into();
    let said = Said::of(&submit.args(arguments).output().unwrap());
    said.refused(75, "run the same command again");
}

#[test]
fn a_server_that_never_answers_is_given_up_in_time() {
    let project = Project::new();
    let (_, bank, _) = files(&project);
    project.encode("bank", &bank, "bank").done();
    // it takes connections, and says nothing
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", silent.local_addr().unwrap());
    let mut submit = project.agency("submit", "bank", &[&project.text("bank"), "--server", &url, "--wait", "2"]);
    let said = Said::of(&submit.args(crate::harness::tls(&project, "bank")).output().unwrap());
    said.refused(75, "run the same command again");
}

#[test]
fn what_a_killed_encoder_left_is_cleared_by_the_next() {
    let project = Project::new();
    let (_, bank, _) = files(&project);
    std::fs::create_dir(project.path(".out.partial")).unwrap();
    std::fs::write(project.path(".out.partial/part-00000.parquet"), b"torn").unwrap();
    project.encode("bank", &bank, "out").done();
    project.encode("bank", &bank, "out").refused(1, "exists already");
}

/// Runs a script with a file system of a few hundred KiB at `small`, in a mount namespace of its own.
fn with_little_room(project: &Project, kib: u32, script: &str) -> Said {
    let small = project.path("small");
    std::fs::create_dir_all(&small).unwrap();
    let mount = format!("mount -t tmpfs -o size={kib}k none {} && {script}", small.display());
    Said::of(
        &Command::new("unshare").args(["-rm", "sh", "-c", &mount]).output().expect("unshare (util-linux) is there"),
    )
}

#[test]
fn a_full_disk_at_the_agency_is_told_and_leaves_nothing() {
    let project = Project::new();
    let city = city(&project, "4000");
    let encode = format!(
        "{} agency encode {city}/bank.csv --manifest {} --agency bank --key-file {} --signing-key {} --out {}; code=$?; ls -A {}; exit $code",
        env!("CARGO_BIN_EXE_hedui"),
        project.text("manifest.toml"),
        project.text("linkage.key"),
        project.text("bank.signing.key"),
        project.text("small/out"),
        project.text("small"),
    );
    let said = with_little_room(&project, 300, &encode).refused(75, "no space left");
    assert_eq!(said.stdout, "", "nothing is left behind");
}

#[test]
fn a_log_that_nobody_takes_ends_no_server() {
    let project = Project::new();
    let (_, bank, _) = files(&project);
    project.encode("bank", &bank, "bank").done();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Server::command(&project, "server", "127.0.0.1:0");
    let mut server = command.stdout(Stdio::piped()).stderr(writer).spawn().unwrap();
    let mut ready = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut ready).unwrap();
    let ready: serde_json::Value = serde_json::from_str(&ready).unwrap();
    let url = format!("https://{}", ready["parties"].as_str().unwrap());
    let mut submit = project.agency("submit", "bank", &[&project.text("bank")]);
    Said::of(&submit.args(project.reach(&url, "bank")).output().unwrap()).done();
    signal(&server, "TERM");
    assert_eq!(server.wait().unwrap().code(), Some(0));
}

#[test]
fn a_full_disk_under_a_backup_is_told_by_its_file() {
    let project = Project::new();
    let (_, bank, vehicle) = files(&project);
    let mut server = project.server();
    project.submit_both(&bank, &vehicle, &server);
    server.signal("TERM");
    let hedui = env!("CARGO_BIN_EXE_hedui");
    let (data, out) = (project.text("server"), project.text("small/backup"));
    let script = format!(
        "{hedui} server backup --data {data} --out {out}; code=$?; ls -A {}; exit $code",
        project.text("small")
    );
    let said = with_little_room(&project, 8, &script).refused(75, "database.jsonl: cannot write: no space left");
    assert!(said.stderr.contains("hint: free some space") && said.stdout.is_empty(), "{} {}", said.stdout, said.stderr);
}

#[test]
fn a_full_disk_at_the_server_is_told_and_the_same_batch_goes_through_later() {
    let project = Project::new();
    let city = city(&project, "4000");
    project.encode("bank", &format!("{city}/bank.csv"), "bank").done();
    let data = project.text("small/server");
    let (tls, client) =
        (crate::harness::tls(&project, "server").join(" "), crate::harness::tls(&project, "bank").join(" "));
    let hedui = env!("CARGO_BIN_EXE_hedui");
    let (manifest, folder, ready) = (project.text("manifest.toml"), project.text("bank"), project.text("ready.json"));
    let (small, log_key) = (project.text("small"), project.text("log.key"));
    let script = format!(
        "{hedui} server run --data {data} --manifest {manifest} --log-key {log_key} --listen 127.0.0.1:0 --operator-listen 127.0.0.1:0 {tls} > {ready} 2>/dev/null & \
         server=$!; while ! [ -s {ready} ]; do kill -0 $server || exit 9; sleep 0.05; done; \
         url=https://$(sed 's/.*\"parties\":\"\\([^\"]*\\)\".*/\\1/' {ready}); \
         {hedui} agency submit {folder} --manifest {manifest} --server $url --wait 2 {client}; first=$?; \
         mount -o remount,size=200m {small}; \
         {hedui} agency submit {folder} --manifest {manifest} --server $url --wait 20 {client}; second=$?; \
         kill $server; echo \"first $first second $second\""
    );
    let said = with_little_room(&project, 1200, &script).done();
    assert!(said.stderr.contains("the server's disk is full; nothing was stored"), "{}", said.stderr);
    assert!(said.stdout.contains("first 75 second 0"), "{} {}", said.stdout, said.stderr);
}

#[test]
fn one_server_a_folder_and_one_manifest_a_folder() {
    let project = Project::new();
    let server = project.server();
    let start = |manifest: &str| {
        let mut arguments: Vec<String> =
            ["server", "run", "--listen", "127.0.0.1:0", "--operator-listen", "127.0.0.1:0"]
                .map(str::to_owned)
                .to_vec();
        arguments.extend(["--data".into(), project.text("server"), "--manifest".into(), project.text(manifest)]);
        arguments.extend(["--log-key".into(), project.text("log.key")]);
        arguments.extend(crate::harness::tls(&project, "server"));
        run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    start("manifest.toml").refused(1, "another server runs on this folder");
    drop(server);
    let check = run(&["key", "show", "--kind", "linkage", &project.text("linkage.key")]).done().stdout;
    project.manifest("second.toml", "2026-12", check.trim()).done();
    start("second.toml").refused(1, "holds the data of manifest");
}

/// A file of an index, what is done to its bytes, and how the log says so.
type Damage<'d> = (&'d str, &'d dyn Fn(&mut Vec<u8>), &'d str);

#[test]
fn a_damaged_index_is_noticed_and_built_anew() {
    let project = Project::new();
    let (office, bank, _) = files(&project);
    let mut server = project.server();
    project.encode("bank", &bank, "bank").done();
    project.submit("bank", "bank", &server).done();
    server.kill();
    let index = std::fs::read_dir(project.path("server/index")).unwrap().next().unwrap().unwrap().path();
    let flipped = |bytes: &mut Vec<u8>| bytes[40] ^= 1;
    let cut = |bytes: &mut Vec<u8>| bytes.truncate(bytes.len() / 2);
    let older = |bytes: &mut Vec<u8>| {
        let text = String::from_utf8(std::mem::take(bytes)).unwrap();
        *bytes = text.replace("\"version\":3", "\"version\":1").into_bytes();
    };
    let damages: [Damage; 6] = [
        ("postings", &flipped, "`postings` has another checksum"),
        ("postings", &cut, "`postings` has another checksum"),
        ("rows-00000", &flipped, "`rows-00000` has another checksum"),
        ("rows-00000", &cut, "`rows-00000` has another checksum"),
        ("index.json", &cut, "has a damaged seal"),
        ("index.json", &older, "has layout 1, this program knows 3"),
    ];
    for (file, damage, words) in damages {
        let mut bytes = std::fs::read(index.join(file)).unwrap();
        damage(&mut bytes);
        std::fs::write(index.join(file), bytes).unwrap();
        let mut again = project.server();
        let log = std::fs::read_to_string(&again.log).unwrap();
        assert!(log.contains(words), "{file}: {log}");
        again.kill();
    }
    let server = project.server();
    project.office("request", &server, &[&office]).done();
    project.office("fetch", &server, &[]).done();
    project.office("report", &server, &[]).done();
    assert_eq!(project.report("H1")["members"][0]["agencies"][0]["state"], "answered");
}

#[test]
fn the_log_is_an_object_a_line_where_that_is_asked_for() {
    let project = Project::new();
    let mut command = Server::command(&project, "server", "127.0.0.1:0");
    command.args(["--log-format", "json"]);
    let mut server = Server::spawn(&project, command);
    assert_eq!(server.signal("TERM"), Some(0));
    let log = std::fs::read_to_string(&server.log).unwrap();
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(
        lines.iter().any(|line| line["level"] == "INFO" && line["message"].as_str().unwrap().starts_with("Stopping"))
    );
    assert!(lines.iter().all(|line| line["timestamp"].is_string()), "{log}");
}

#[test]
fn a_server_that_does_not_start_says_so_as_its_log_is_written() {
    let project = Project::new();
    let mut command = Server::command(&project, "server", "127.0.0.1:0");
    std::fs::remove_file(project.path("manifest.toml")).unwrap();
    Said::of(&command.output().unwrap()).refused(1, "error: ");
    let said = Said::of(&command.args(["--log-format", "json"]).output().unwrap()).refused(1, "manifest.toml");
    let lines: Vec<serde_json::Value> = said.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(
        lines.iter().any(|line| line["level"] == "ERROR" && line["message"].as_str().unwrap().contains("cannot read"))
    );
}

#[test]
fn a_log_that_goes_into_a_file_has_no_colours() {
    let project = Project::new();
    let mut server = project.server();
    server.signal("TERM");
    let log = std::fs::read_to_string(&server.log).unwrap();
    assert!(log.contains("Stopping") && !log.contains('\u{1b}'), "{log:?}");
}
