//! Several servers on one PostgreSQL and one bucket, and what happens when these fail.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use crate::acts::{both, operators};
use crate::bucket::{Bucket, SECRET};
use crate::harness::{Project, Said, Server, Stores, hedui, run, signal, tls, until, within};
use crate::journey::files;

fn stores(project: &Project) -> &Stores {
    project.stores.as_ref().unwrap()
}

fn answered(project: &Project, server: &Server) {
    project.office("fetch", server, &[]).done();
    project.office("report", server, &[]).done();
    let told = &project.report("H1")["members"][0]["agencies"][0];
    assert_eq!(told["records"][0]["items"][0]["payload"]["values"]["balance"], "70123.45");
}

#[test]
fn servers_share_the_work_and_one_that_is_killed_is_not_missed() {
    let project = Project::new().on_shared_stores();
    let (office, bank, vehicle) = files(&project);
    let start = |folder: &str, role: &str| {
        let mut command = Server::command(&project, folder, "127.0.0.1:0");
        command.args(["--role", role]);
        Server::spawn(&project, command)
    };
    let (one, two) = (start("one", "api"), start("two", "api"));
    let (mut worker, _other) = (start("worker", "worker"), start("other", "worker"));
    assert_eq!(worker.parties, "https://", "a worker answers no party");
    project.encode("bank", &bank, "bank").done();
    project.submit("bank", "bank", &one).done();
    project.encode("vehicle", &vehicle, "vehicle").done();
    project.submit("vehicle", "vehicle", &two).done();
    assert_eq!(stores(&project).bucket.parts().len(), 2);
    project.office("request", &one, &[&office]).done();
    answered(&project, &two);
    worker.kill();
    project.office("request", &two, &[&office, "--again"]).done();
    answered(&project, &two);
    project.answer("vehicle", &vehicle, &one).done();
    answered(&project, &one);
    let report = project.report("H2");
    assert_eq!(report["members"][0]["agencies"][1]["records"][0]["band"], "probable", "{report}");
    // a worker with an empty folder derives all from the database and the bucket
    drop(start("third", "worker"));
    let log = std::fs::read_to_string(&one.log).unwrap();
    assert!(!log.contains(SECRET) && !log.contains("欧阳若曦"));
}

#[test]
fn a_database_that_restarts_and_a_bucket_that_fails_lose_nothing() {
    let mut project = Project::new().on_shared_stores();
    let (office, bank, _) = files(&project);
    let server = project.server();
    project.encode("bank", &bank, "bank").done();
    stores(&project).bucket.fail(3);
    project.submit("bank", "bank", &server).done();
    assert_eq!(stores(&project).bucket.failures_left(), 0, "it was tried again");
    project.stores.as_mut().unwrap().postgres.restart();
    project.office("request", &server, &[&office]).done();
    project.stores.as_mut().unwrap().postgres.restart();
    answered(&project, &server);
}

#[test]
fn a_bucket_over_tls_is_trusted_by_its_authority_alone() {
    let mut project = Project::new().on_shared_stores();
    let bucket = Bucket::start_with_tls(&project);
    project.stores.as_mut().unwrap().bucket = bucket;
    let (office, bank, _) = files(&project);
    project.encode("bank", &bank, "bank").done();
    // neither what the environment says of proxies counts, nor what the machine trusts
    let looks = |project: &Project| {
        let mut command = Server::command(project, "server", "127.0.0.1:0");
        command.arg("--check").env("SSL_CERT_FILE", "/dev/null").env("SSL_CERT_DIR", "/nowhere");
        command.envs(["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"].map(|name| (name, "http://127.0.0.1:1")));
        within(Duration::from_secs(100), command)
    };
    looks(&project).done();
    let ca = project.stores.as_mut().unwrap().bucket.ca.take();
    looks(&project).refused(1, "hint: where this machine has no authorities of its own, `ca`");
    project.stores.as_mut().unwrap().bucket.ca = ca;
    let server = project.server();
    project.submit("bank", "bank", &server).done();
    assert_eq!(stores(&project).bucket.parts().len(), 1);
    project.office("request", &server, &[&office]).done();
    answered(&project, &server);
    drop(server);
    // the part is to be read anew, and nobody vouches for who the bucket is
    std::fs::remove_dir_all(project.path("server/index")).unwrap();
    project.stores.as_mut().unwrap().bucket.ca = None;
    let server = Server::spawn(&project, Server::command(&project, "server", "127.0.0.1:0"));
    logs(&server, "certificate");
}

#[test]
fn a_part_that_was_changed_in_the_bucket_is_noticed() {
    let project = Project::new().on_shared_stores();
    let (_, bank, _) = files(&project);
    project.encode("bank", &bank, "bank").done();
    let server = project.server();
    project.submit("bank", "bank", &server).done();
    drop(server);
    let part = &stores(&project).bucket.parts()[0];
    let mut bytes = std::fs::read(part).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(part, bytes).unwrap();
    let server = Server::spawn(&project, Server::command(&project, "fresh", "127.0.0.1:0"));
    logs(&server, "is damaged: it does not open");
}

/// A server that cannot build an index serves the others, and says why.
fn logs(server: &Server, words: &str) {
    until(|| {
        std::fs::read_to_string(&server.log)
            .unwrap()
            .lines()
            .any(|line| line.contains("could not be built here") && line.contains(words))
    });
}

#[test]
fn what_cannot_be_reached_is_told_and_another_manifest_is_refused() {
    let project = Project::new().on_shared_stores();
    drop(project.server());
    let check = run(&["key", "show", "--kind", "linkage", &project.text("linkage.key")]).done().stdout;
    project.manifest("second.toml", "2026-12", check.trim()).done();
    let command = Server::command(&project, "another", "127.0.0.1:0");
    let arguments: Vec<_> =
        command.get_args().map(|a| a.to_str().unwrap().replace("manifest.toml", "second.toml")).collect();
    Said::of(&hedui().args(arguments).output().unwrap()).refused(1, "holds the data of manifest");
    // the same is told beforehand, and nothing is made
    let mut check = Server::command(&project, "checked", "127.0.0.1:0");
    let fine = Said::of(&check.arg("--check").output().unwrap()).done().stdout;
    assert!(fine.contains("signed by 4 parties; PostgreSQL at localhost; parts in s3://parts/city"), "{fine}");
    assert!(!project.path("checked").exists());
    for check in [true, false] {
        let mut server = Server::command(&project, "third", "127.0.0.1:0");
        server.args(["--role", "worker"]).args(check.then_some("--check"));
        let config = project.text("bucket.toml");
        let wrong = std::fs::read_to_string(&config).unwrap().replace(SECRET, "hunter2");
        std::fs::write(&config, wrong).unwrap();
        let said = within(Duration::from_secs(20), server).refused(1, "s3://parts/city: the bucket lets nobody in");
        assert!(said.stderr.contains("hint: ") && !said.stderr.contains("hunter2"), "{}", said.stderr);
    }
    let nobody = "postgres://hedui@127.0.0.1:1/hedui";
    let since = Instant::now();
    let mut command = hedui();
    let manifest = project.text("manifest.toml");
    command.args(["server", "run", "--data", &project.text("none"), "--manifest", &manifest, "--database", nobody]);
    command.args([
        "--listen",
        "127.0.0.1:0",
        "--operator-listen",
        "127.0.0.1:0",
        "--log-key",
        &project.text("log.key"),
    ]);
    command.args(tls(&project, "server"));
    Said::of(&command.output().unwrap()).refused(75, "PostgreSQL at 127.0.0.1: connection refused");
    assert!(since.elapsed() < Duration::from_secs(40));
}

#[test]
fn what_operators_run_beside_a_server_says_where_the_database_is() {
    let mut project = Project::new().on_shared_stores();
    let nothing = stores(&project).postgres.database("nothing");
    let beside = |project: &Project, verb: &[&str], database: &str| {
        let mut command = hedui();
        command.args(verb).args(["--data", &project.text("server"), "--database", database]);
        command.args(stores(project).bucket.arguments(project));
        within(Duration::from_secs(40), command)
    };
    let (out, own) = (project.text("out"), stores(&project).database.clone());
    let verbs: [&[&str]; 4] = [
        &["server", "backup", "--out", &out],
        &["server", "doctor"],
        &["server", "gc"],
        &["audit", "export", "--out", &out],
    ];
    let server = project.server();
    for verb in verbs {
        beside(&project, verb, &nothing).refused(1, "PostgreSQL at localhost: no server has run on this database yet");
    }
    let another = ["audit", "export", "--out", &out, "--epoch", &"0".repeat(64)];
    beside(&project, &another, &own).refused(1, "no server has run on this database yet");
    drop(server);
    project.stores.as_mut().unwrap().postgres.stop();
    for verb in verbs {
        let said = beside(&project, verb, &own);
        assert_eq!(said.code, Some(75), "{verb:?}: {}", said.stderr);
        assert!(said.stderr.contains("PostgreSQL at localhost"), "{}", said.stderr);
    }
}

#[test]
fn a_database_that_lets_nobody_in_is_not_asked_again() {
    let project = Project::new().on_shared_stores();
    let stated = &stores(&project).database;
    let start = |database: &str| {
        let command = Server::command(&project, "server", "127.0.0.1:0");
        let mut server = hedui();
        server.args(command.get_args().map(|argument| argument.to_str().unwrap().replace(stated, database)));
        server
    };
    let passwords = project.write("passwords", "*:*:*:hedui:another\n");
    std::fs::set_permissions(&passwords, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let mut server = start(stated);
    server.env("PGPASSFILE", passwords);
    let said = within(Duration::from_secs(8), server).refused(1, "password authentication failed");
    assert!(said.stderr.contains("hint: the password stands in"), "{}", said.stderr);
    let server = start(&stated.replace("localhost/hedui?", "localhost/nodb?"));
    let said = within(Duration::from_secs(8), server).refused(1, "database \"nodb\" does not exist");
    assert!(said.stderr.contains("hint: make it first"), "{}", said.stderr);
}

#[test]
fn a_bucket_without_credentials_is_told_at_once() {
    let project = Project::new();
    for check in [true, false] {
        let mut server = Server::command(&project, "server", "127.0.0.1:0");
        server.args(["--parts", "s3://x/y"]);
        // a key alone is no pair; of the variables that others read, this program reads none
        server.env("AWS_ACCESS_KEY_ID", "hedui").env("AWS_SKIP_SIGNATURE", "true");
        server.args(check.then_some("--check"));
        let said = within(Duration::from_secs(8), server).refused(1, "s3://x/y: there is no key to the bucket");
        assert!(said.stderr.contains("hint: ") && said.stderr.contains("AWS_SECRET_ACCESS_KEY"), "{}", said.stderr);
    }
    let mut demo = hedui();
    demo.args(["demo", "--people", "200", "--out", &project.text("demo"), "--parts", "s3://x/y"]);
    within(Duration::from_secs(60), demo).refused(1, "there is no key to the bucket");
}

#[test]
fn a_worker_whose_part_is_missing_says_so_once_in_a_while() {
    let project = Project::new();
    let (_, bank, _) = files(&project);
    let mut server = project.server();
    project.encode("bank", &bank, "bank").done();
    project.submit("bank", "bank", &server).done();
    server.signal("TERM");
    let below = |folder: &str| std::fs::read_dir(project.path(folder)).unwrap().next().unwrap().unwrap().path();
    std::fs::remove_dir_all(below("server/parts")).unwrap();
    std::fs::write(below("server/index").join("postings"), "x").unwrap();
    let server = project.server();
    std::thread::sleep(Duration::from_secs(4));
    let log = std::fs::read_to_string(&server.log).unwrap();
    for words in ["could not be built here", "Building an index anew"] {
        let told = log.lines().filter(|line| line.contains(words)).count();
        assert!((1..=2).contains(&told), "{words}, {told} times: {log}");
    }
}

#[test]
fn what_the_server_keeps_is_its_own_users_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let project = Project::new();
    let mode = |name: &str| std::fs::metadata(project.path(name)).unwrap().permissions().mode() & 0o777;
    let set = |name: &str, mode| {
        std::fs::set_permissions(project.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    std::fs::create_dir(project.path("server")).unwrap();
    for open in [0o755, 0o710, 0o701] {
        set("server", open);
        let refused = within(Duration::from_secs(8), Server::command(&project, "server", "127.0.0.1:0"));
        let said = refused.refused(1, "server: others may enter this folder");
        assert!(said.stderr.contains(&format!("chmod 700 {}", project.text("server"))), "{}", said.stderr);
    }
    set("server", 0o700);
    let database = ["server/hedui.sqlite", "server/hedui.sqlite-wal", "server/hedui.sqlite-shm"];
    let mut server = project.server();
    assert_eq!(database.map(mode), [0o600; 3]);
    // what an earlier version has left open
    server.kill();
    database.iter().for_each(|name| set(name, 0o644));
    let _server = project.server();
    assert_eq!(database.map(mode), [0o600; 3]);
}

#[test]
fn a_worker_that_was_paused_beyond_its_lease_is_followed_by_another_and_writes_nothing() {
    let project = Project::new().on_shared_stores();
    let city = crate::interrupts::city(&project, "30000");
    project.encode("bank", &format!("{city}/bank.csv"), "bank").done();
    let start = |folder: &str, role: &str| {
        let mut command = Server::command(&project, folder, "127.0.0.1:0");
        command.args(["--role", role]);
        Server::spawn(&project, command)
    };
    let (api, paused) = (start("api", "api"), start("paused", "worker"));
    let mut submit = project.agency("submit", "bank", &[&project.text("bank"), "--wait", "120"]);
    let submit =
        submit.args(api.arguments(&project, "bank")[..2].to_vec()).args(tls(&project, "bank")).spawn().unwrap();
    let in_the_making = || {
        let entries = std::fs::read_dir(project.path("paused/index")).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name()).any(|name| name.to_string_lossy().contains("partial"))
    };
    let since = Instant::now();
    while !in_the_making() {
        assert!(since.elapsed() < Duration::from_secs(60), "the index was not begun");
        std::thread::sleep(Duration::from_millis(1));
    }
    signal(&paused.child, "STOP");
    assert!(in_the_making(), "paused too late");
    let other = start("other", "worker");
    assert!(submit.wait_with_output().unwrap().status.success(), "the other worker did the job");
    signal(&paused.child, "CONT");
    let (log, since) = (|| std::fs::read_to_string(&other.log).unwrap(), Instant::now());
    while !log().contains("another's by now") {
        assert!(since.elapsed() < Duration::from_secs(60), "{}", log());
        std::thread::sleep(Duration::from_millis(50));
    }
    let stores = stores(&project);
    assert_eq!(stores.postgres.sql("hedui", "SELECT state FROM batches"), "indexed\n");
    assert_eq!(stores.postgres.sql("hedui", "SELECT state, attempts FROM jobs"), "done|2\n");
}

/// Everything that says where a project's servers keep things.
fn places(project: &Project, folder: &str, shared: bool) -> Vec<String> {
    let more = if shared { project.store_arguments() } else { Vec::new() };
    [vec!["--data".to_owned(), project.text(folder)], more].concat()
}

#[test]
fn a_backup_of_a_running_server_answers_the_same_in_another_place() {
    let mut project = Project::new();
    let (office, bank, vehicle) = files(&project);
    let server = project.server();
    project.submit_both(&bank, &vehicle, &server);
    project.office("request", &server, &[&office]).done();
    project.office("fetch", &server, &[]).done();
    let server_verb = |verb: &[&str], places: Vec<String>| {
        Said::of(&hedui().args(["server"]).args(verb).args(places).output().unwrap())
    };
    let first = project.text("first");
    server_verb(&["backup", "--out", &first], places(&project, "server", false)).done();
    server_verb(&["backup", "--out", &first], places(&project, "server", false)).refused(1, "exists already");
    drop(server);

    // from SQLite and a folder to PostgreSQL and a bucket
    project = project.on_shared_stores();
    let moved = places(&project, "moved", true);
    server_verb(&["restore", &first], moved.clone()).done();
    assert_eq!(stores(&project).bucket.parts().len(), 2);
    server_verb(&["restore", &first], moved.clone()).refused(1, "the database is not empty");
    let server = Server::spawn(&project, Server::command(&project, "moved", "127.0.0.1:0"));
    answered(&project, &server);
    project.answer("vehicle", &vehicle, &server).done();
    let second = project.text("second");
    server_verb(&["backup", "--out", &second], moved).done();
    drop(server);

    // and back, with what has come meanwhile
    server_verb(&["restore", &second], places(&project, "back", false)).done();
    project.stores = None;
    let server = Server::spawn(&project, Server::command(&project, "back", "127.0.0.1:0"));
    answered(&project, &server);
    let report = project.report("H2");
    assert_eq!(report["members"][0]["agencies"][1]["records"][0]["band"], "probable", "{report}");

    // half of it is nothing to go on with
    let batch = std::fs::read_dir(project.path("second/parts")).unwrap().next().unwrap().unwrap().file_name();
    std::fs::create_dir_all(project.path("cut/parts")).unwrap();
    std::fs::write(project.path("cut/parts").join(batch), "in the way").unwrap();
    std::fs::set_permissions(project.path("cut"), Permissions::from_mode(0o700)).unwrap();
    server_verb(&["restore", &second], places(&project, "cut", false)).refused(1, "part 0 of batch");
    let start = Server::command(&project, "cut", "127.0.0.1:0").output().unwrap();
    Said::of(&start).refused(1, "a restore was cut short here");
    server_verb(&["doctor"], places(&project, "cut", false)).refused(1, "a restore was cut short here");

    // what is damaged is not put back
    let part =
        std::fs::read_dir(project.path("second/parts")).unwrap().next().unwrap().unwrap().path().join("00000.parquet");
    for (file, words) in
        [(part, "the part is damaged"), (project.path("second/database.jsonl"), "the rows are damaged")]
    {
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[20] ^= 1;
        std::fs::write(&file, bytes).unwrap();
        server_verb(&["restore", &second], places(&project, "damaged", false)).refused(1, words);
    }
    server_verb(&["restore", &project.text("state")], places(&project, "damaged", false)).refused(1, "backup.json");
    server_verb(&["backup", "--out", &project.text("none")], places(&project, "nowhere", false))
        .refused(1, "there is no server's database here");
}

#[test]
fn doctor_names_what_is_wrong_and_gc_removes_only_what_nobody_needs() {
    for project in [Project::new(), Project::new().on_shared_stores()] {
        let (office, bank, _) = files(&project);
        let verb = |verb: &[&str]| {
            let places = places(&project, "server", project.stores.is_some());
            Said::of(&hedui().args(["server"]).args(verb).args(places).output().unwrap())
        };
        let server = project.server();
        let part_files = || match &project.stores {
            Some(stores) => stores.bucket.parts(),
            None => {
                let batches = std::fs::read_dir(project.path("server/parts")).unwrap();
                let files = batches.flat_map(|batch| std::fs::read_dir(batch.unwrap().path()).unwrap());
                files.map(|file| file.unwrap().path()).collect()
            }
        };
        // the second set takes the place of the first
        let mut parts = Vec::new();
        for set in ["first", "second"] {
            project.encode("bank", &bank, set).done();
            project.submit("bank", set, &server).done();
            parts.extend(part_files().into_iter().find(|part| !parts.contains(part)));
        }
        assert_eq!(part_files().len(), 2);
        let certificate = project.text("pki/server.crt");
        let fine = verb(&["doctor", "--certificate", &certificate]).done().stdout;
        assert!(fine.contains("1 in ") && fine.contains("days left") && !fine.contains("WRONG"), "{fine}");
        verb(&["doctor", "--repair"]).refused(1, "another server runs on this folder");
        let early = verb(&["gc"]).done();
        assert!(early.stderr.contains("removed 0 files"), "it has a term: {}", early.stderr);
        let terms = project.write("terms.toml", "replaced_batches = 0\n");
        operators(&project);
        both(&project, &server, "manifest.toml", &["set-retention", &terms]);
        let early = verb(&["gc"]).done();
        assert!(
            early.stderr.contains("removed 0 files"),
            "workers end a term, by a clock that is trusted: {}",
            early.stderr
        );
        assert_eq!(part_files().len(), 2);
        verb(&["doctor"]).done();
        project.office("request", &server, &[&office]).done();
        answered(&project, &server);
        drop(server);

        // a file that belongs to nothing, long ago; an index and a part that are damaged
        let part = parts.remove(1);
        let stray = part.with_file_name("00009.parquet");
        std::fs::write(&stray, "x").unwrap();
        verb(&["doctor"]).done();
        let long_ago = std::time::SystemTime::now() - Duration::from_secs(3 * 86_400);
        std::fs::File::options().write(true).open(&stray).unwrap().set_modified(long_ago).unwrap();
        let index = std::fs::read_dir(project.path("server/index")).unwrap().next().unwrap().unwrap().path();
        std::fs::write(index.join("postings"), "x").unwrap();
        let said = verb(&["doctor"]);
        assert!(said.stdout.contains("1 files belong to no part"), "{}", said.stdout);
        assert!(said.stdout.contains("of `bank`: the index of batch"), "{}", said.stdout);
        said.refused(1, "2 things are wrong");
        verb(&["gc"]).done();
        verb(&["doctor", "--repair"]).done();
        assert!(!index.exists() && !stray.exists() && part.exists());
        std::fs::remove_file(&part).unwrap();
        let said = verb(&["doctor"]);
        assert!(
            said.stdout.contains("of `bank`: part 0 of batch") && said.stdout.contains("is missing"),
            "{}",
            said.stdout
        );
        said.refused(1, "1 thing is wrong");
        std::fs::write(&part, "x").unwrap();
        assert!(verb(&["doctor"]).stdout.contains("is damaged: it does not open"));
    }
}
