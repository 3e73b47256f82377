//! Epochs: the next one opens beside the one that is, and one that ends or cannot be read holds up no other.

use std::path::PathBuf;

use hedui::server::Role;

use crate::acts::{audited, both, by, city, files_of, holding, kept, operator, operators, parts, receipt};
use crate::clocks::Inside;
use crate::doctor::sqlite_at;
use crate::harness::{OFFICE, OTHER_OFFICE, Project, Said, Server, hedui, on_both_stores, run, tls, until};
use crate::journey::files;

on_both_stores! {
    the_next_epoch_opens_while_the_one_before_answers,
    an_epoch_that_ends_by_its_term_leaves_nothing_and_a_receipt,
    an_epoch_that_cannot_be_read_is_not_left_out,
}

/// A manifest of the next epoch, with a linkage key of its own, that all parties have signed.
fn next_manifest(project: &Project, server: &impl AsRef<str>) {
    let check = run(&["key", "new", "--kind", "linkage", &project.text("next.key")]).done().stdout;
    project.manifest("next.toml", "2026-12", check.trim()).done();
    project.write("next.toml.sig", "");
    let unsigned = operator(project, "li", server, &["propose", "open-epoch", &project.text("next.toml")]);
    unsigned.refused(1, "`bank` has not signed");
    for party in crate::harness::AGENCIES.into_iter().chain([OFFICE, OTHER_OFFICE]) {
        let (manifest, key) = (project.text("next.toml"), project.text(&format!("{party}.signing.key")));
        run(&["manifest", "sign", "--manifest", &manifest, "--party", party, "--signing-key", &key]).done();
    }
}

/// The project as its parties have it once they have gone over to the next epoch.
fn go_over(project: &Project) {
    for (now, then) in
        [("manifest.toml", "former.toml"), ("linkage.key", "former.key"), ("manifest.toml.sig", "former.toml.sig")]
    {
        std::fs::rename(project.path(now), project.path(then)).unwrap();
    }
    for (next, now) in
        [("next.toml", "manifest.toml"), ("next.key", "linkage.key"), ("next.toml.sig", "manifest.toml.sig")]
    {
        std::fs::copy(project.path(next), project.path(now)).unwrap();
    }
    std::fs::rename(project.path("state"), project.path("former-state")).unwrap();
}

pub fn balance(project: &Project, server: &Server) {
    for verb in ["fetch", "report"] {
        project.office(verb, server, &[]).done();
    }
    let told = &project.report("H1")["members"][0]["agencies"][0];
    assert_eq!(told["records"][0]["items"][0]["payload"]["values"]["balance"], "70123.45");
}

fn the_next_epoch_opens_while_the_one_before_answers(project: Project) {
    operators(&project);
    let (office, bank, vehicle) = files(&project);
    let mut server = project.server();
    project.submit_both(&bank, &vehicle, &server);
    project.office("request", &server, &[&office]).done();
    balance(&project, &server);
    next_manifest(&project, &server);
    // nobody is served under a manifest that two operators have not opened
    let early = by(&project, "li", &server, "next.toml", &["acts"]);
    early.refused(1, "does not run the manifest");
    let terms = project.write("terms.toml", "answers = 3\n");
    both(&project, &server, "manifest.toml", &["set-retention", &terms]);
    let next = project.text("next.toml");
    both(&project, &server, "manifest.toml", &["open-epoch", &next]);
    let opened = || by(&project, "li", &server, "next.toml", &["acts"]).code == Some(0);
    until(opened);

    // the agencies encode anew, at their own time; the office still asks in the epoch before
    let former = project.office("status", &server, &[]).done();
    assert!(former.stdout.contains("2 matched"), "{}", former.stdout);
    go_over(&project);
    for (agency, data) in [("bank", &bank), ("vehicle", &vehicle)] {
        let out = format!("next-{agency}");
        project.encode(agency, data, &out).done();
        project.submit(agency, &out, &server).done();
    }
    project.office("request", &server, &[&office]).done();
    balance(&project, &server);
    let mut still = hedui();
    still.args([
        "office",
        "fetch",
        "--state",
        &project.text("former-state"),
        "--manifest",
        &project.text("former.toml"),
    ]);
    Said::of(&still.args(project.reach(&server.parties, OFFICE)).output().unwrap()).done();

    // one backup holds both epochs, and the doctor looks at both
    let stored = |verb: &str, data: &str, more: &[&str]| {
        let mut command = hedui();
        command.args(["server", verb]).args(more).args(["--data", &project.text(data)]);
        if data == "server" {
            command.args(project.store_arguments());
        }
        Said::of(&command.output().unwrap())
    };
    stored("backup", "server", &["--out", &project.text("backup")]).done();
    let said = stored("doctor", "server", &[]).done().stdout;
    assert_eq!(said.matches("fine   parts").count(), 2, "{said}");
    stored("restore", "restored", &[&project.text("backup")]).done();
    let parts = |data: &str| {
        files_of(&project.path(data)).iter().filter(|path| path.to_string_lossy().contains("/00000-")).count()
    };
    assert_eq!((parts("restored/parts"), parts("restored/epochs")), (2, 2));
    stored("doctor", "restored", &[]).done();

    // the epoch before is erased while the next one goes on, with the terms of the one before
    let act = both(&project, &server, "former.toml", &["erase-project"]);
    receipt(&project, &server, "former.toml", &act);
    balance(&project, &server);
    let mut export = hedui();
    let id = run(&["manifest", "show", "--manifest", &project.text("manifest.toml")]).done().stdout;
    let id = id.split_whitespace().nth(1).unwrap();
    export.args(["audit", "export", "--data", &project.text("server"), "--out", &project.text("log"), "--epoch", id]);
    Said::of(&export.args(project.store_arguments()).output().unwrap()).done();
    run(&["audit", "verify", &project.text("log")]).done();
    let opened = run(&["audit", "search", &project.text("log"), "--what", "opened"]).done().stdout;
    assert!(opened.contains("with the terms of the epoch before: keep for days: open_batches 7"), "{opened}");
    assert!(opened.contains("answers 3"), "{opened}");
    server.signal("TERM");
    std::fs::copy(project.path("former.toml"), project.path("served.toml")).unwrap();
    std::fs::copy(project.path("former.toml.sig"), project.path("served.toml.sig")).unwrap();
    let start = || {
        let mut command = hedui();
        command.args(["server", "run", "--data", &project.text("server"), "--manifest", &project.text("served.toml")]);
        command.args(project.store_arguments()).args(["--log-key", &project.text("log.key")]);
        command.args(["--listen", "127.0.0.1:0", "--operator-listen", "127.0.0.1:0"]).args(tls(&project, "server"));
        Server::spawn(&project, command)
    };
    let mut server = start();
    let gone =
        || by(&project, "li", &server, "former.toml", &["propose", "erase-project"]).stderr.contains("was erased");
    until(gone);
    balance(&project, &server);
    audited(&project, "log-former").done();
    server.signal("TERM");
    let server = start();
    project.office("request", &server, &[&office, "--again"]).done();
    balance(&project, &server);
}

fn an_epoch_that_ends_by_its_term_leaves_nothing_and_a_receipt(project: Project) {
    let (mut server, planted) = city(&project);
    server.signal("TERM");
    assert!(!holding(&kept(&project), &planted.subject).is_empty() && parts(&project) == 2);
    let settles = std::time::Duration::from_secs(1);
    let mut server = Inside::trusting(&project, "server", Role::All, 0, settles);
    next_manifest(&project, &server);
    let terms = project.write("terms.toml", "epoch = 30\n");
    both(&project, &server, "manifest.toml", &["set-retention", &terms]);
    both(&project, &server, "manifest.toml", &["open-epoch", &project.text("next.toml")]);
    until(|| by(&project, "li", &server, "next.toml", &["acts"]).code == Some(0));
    let file = project.text("gone.json");
    let told = operator(&project, "li", &server, &["retention"]).done().stdout;
    assert!(told.contains("the epoch 30 after the next one opens\nnothing has ended by its term"), "{told}");
    let early = operator(&project, "li", &server, &["retention", "--receipt", &file]);
    early.refused(1, "there is nothing to be proved yet");

    server.set(31 * 24 * 3600);
    until(|| !operator(&project, "li", &server, &["retention"]).done().stdout.contains("nothing has ended"));
    operator(&project, "li", &server, &["retention", "--receipt", &file]).done();
    let proof = run(&["audit", "receipt", &file, "--manifest", &project.text("manifest.toml")]).done().stdout;
    assert!(proof.contains("nothing is left of what had ended by its term"), "{proof}");
    assert!(by(&project, "li", &server, "next.toml", &["acts"]).code == Some(0), "the next one goes on");
    let verified = audited(&project, "log-ended").done();
    // who reads SQLite's files in the process that has them open takes its locks away
    server.ends();
    let files = kept(&project);
    for value in [&planted.subject, &planted.record] {
        assert_eq!(holding(&files, value), Vec::<PathBuf>::new());
    }
    assert_eq!((parts(&project), std::fs::read_dir(project.path("server/index")).unwrap().count()), (0, 0));
    assert!(verified.stdout.contains("tickets and batch headers"), "{}", verified.stdout);
    run(&["audit", "verify", &project.text("log-ended"), "--against", &file]).done();
}

/// Opens the next epoch beside the first, and ends the server. The id of its manifest.
fn next_epoch(project: &Project) -> String {
    operators(project);
    let mut server = project.server();
    next_manifest(project, &server);
    both(project, &server, "manifest.toml", &["open-epoch", &project.text("next.toml")]);
    until(|| by(project, "li", &server, "next.toml", &["acts"]).code == Some(0));
    server.signal("TERM");
    let shown = run(&["manifest", "show", "--manifest", &project.text("next.toml")]).done().stdout;
    shown.split_whitespace().nth(1).unwrap().to_owned()
}

/// Who names its own organisation as a party could approve nothing in that epoch.
#[test]
fn an_epoch_keeps_its_operators() {
    let project = Project::new();
    operators(&project);
    let server = project.server();
    let bank = std::fs::read_to_string(project.path("bank.toml")).unwrap();
    project.write("bank.toml", bank.replace("Org bank", "City operator"));
    let check = run(&["key", "show", "--kind", "linkage", &project.text("linkage.key")]).done().stdout;
    project.manifest("next.toml", "2026-12", check.trim()).done();
    project.write("next.toml.sig", "");
    let said = operator(&project, "li", &server, &["propose", "open-epoch", &project.text("next.toml")]);
    said.refused(1, "the next manifest makes `City operator` a party: it would have no operator");
}

/// Its databases may be copied or put back as files then.
#[test]
fn a_server_that_ends_leaves_no_journal_beside_its_databases() {
    let project = Project::new();
    next_epoch(&project);
    let journals = || {
        let files = files_of(&project.path("server"));
        files.into_iter().filter(|path| path.to_string_lossy().ends_with(".sqlite-wal")).collect::<Vec<_>>()
    };
    for _ in 0..10 {
        let mut server = project.server();
        assert_eq!(journals().len(), 2, "both are in use");
        server.signal("TERM");
        assert_eq!(journals(), Vec::<PathBuf>::new());
    }
}

#[test]
fn an_epoch_whose_log_cannot_be_written_keeps_nobody_else_from_being_served() {
    let project = Project::new();
    let id = next_epoch(&project);
    let database = project.text(&format!("server/epochs/{id}/hedui.sqlite"));
    let refuse = "CREATE TRIGGER closed BEFORE INSERT ON log_entries WHEN NEW.what = 'administered'
                  BEGIN SELECT RAISE(ABORT, 'the log is closed'); END";
    sqlite_at(&database, refuse);
    let mut command = Server::command(&project, "server", "127.0.0.1:0");
    command.args(["--rate", "50"]);
    let server = Server::spawn(&project, command);
    assert!(crate::administered::acts(&project).last().unwrap().contains("rate 50"));
    let count = "SELECT COUNT(*) FROM log_entries WHERE what = 'administered'";
    let before = sqlite_at(&database, count)[0];
    let told = "What the server serves with could not be entered in the log";
    until(|| std::fs::read_to_string(&server.log).unwrap().contains(told));
    sqlite_at(&database, "DROP TRIGGER closed");
    until(|| sqlite_at(&database, count)[0] == before + 1);
}

fn an_epoch_that_cannot_be_read_is_not_left_out(project: Project) {
    let id = next_epoch(&project);
    let (schema, folder) = (format!("epoch_{id:.16}"), project.path("server/epochs").join(&id));
    let file = folder.join("hedui.sqlite");
    let sql = |statement: &str| project.stores.as_ref().map(|stores| stores.postgres.sql("hedui", statement));
    let verb = |verb: &[&str]| {
        let mut command = hedui();
        command.arg("server").args(verb).args(["--data", &project.text("server")]).args(project.store_arguments());
        Said::of(&command.output().unwrap())
    };
    let whole = std::fs::read(&file).unwrap_or_default();
    if sql(&format!("ALTER TABLE {schema}.project RENAME TO elsewhere")).is_none() {
        std::fs::write(&file, "x".repeat(whole.len())).unwrap();
    }
    let backup = ["backup", "--out", &project.text("backup")];
    for told in [verb(&backup), verb(&["gc"])] {
        assert_ne!(told.code, Some(0));
        assert!(told.stderr.contains(&format!("the epoch of manifest {id}")), "{}", told.stderr);
    }
    assert!(!project.path("backup").exists());
    let told = verb(&["doctor"]);
    assert!(told.stdout.contains(&format!("WRONG  epoch        of manifest {id}")), "{}", told.stdout);
    told.refused(1, "is not open");

    // the others are served, and an operator sees that one is not
    let mut server = project.server();
    let page = |path: &str| {
        let client = crate::access::client(&project, "operator");
        let url = format!("{}{path}", server.operator);
        let asked = async { client.get(url).send().await.unwrap().text().await.unwrap() };
        tokio::runtime::Runtime::new().unwrap().block_on(asked)
    };
    assert_eq!(page("/readyz"), "ready\n");
    assert!(page("/metrics").contains("\nhedui_epochs_not_open 1\n"), "{}", page("/metrics"));
    if sql(&format!("ALTER TABLE {schema}.elsewhere RENAME TO project")).is_none() {
        std::fs::write(&file, &whole).unwrap();
    }
    until(|| page("/metrics").contains("\nhedui_epochs_not_open 0\n"));
    server.signal("TERM");

    // one that no server has opened yet has nothing to be kept
    if sql(&format!("DROP SCHEMA {schema} CASCADE")).is_none() {
        std::fs::remove_dir_all(&folder).unwrap();
    }
    let told = verb(&backup).done();
    assert!(told.stderr.contains("has no database yet"), "{}", told.stderr);
    assert!(verb(&["doctor"]).stdout.contains("no server has opened it"));
}
