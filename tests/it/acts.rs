//! What two operators decide together: nothing is left of what they erase, and the next epoch opens beside the one that is.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use hedui::server::Role;
use sqlx::Connection as _;

use crate::clocks::Inside;
use crate::doctor::sqlite_at;
use crate::harness::{OFFICE, OTHER_OFFICE, Project, Said, Server, hedui, on_both_stores, run, tls, until};
use crate::journey::files;

on_both_stores! {
    nothing_is_left_of_what_two_operators_erase,
    the_next_epoch_opens_while_the_one_before_answers,
    what_was_erased_stays_so_when_an_older_backup_is_put_back,
    an_erasure_that_is_cut_short_goes_on,
    an_epoch_that_ends_by_its_term_leaves_nothing_and_a_receipt,
    an_epoch_that_cannot_be_read_is_not_left_out,
}

/// Two people of one operator, and a certificate that the first one has renewed.
pub fn operators(project: &Project) {
    for name in ["li", "wang"] {
        let pki = project.text("pki");
        run(&["pki", "issue", &pki, name, "--organisation", "City operator", "--role", "operator"]).done();
    }
}

fn operator(project: &Project, who: &str, server: &impl AsRef<str>, arguments: &[&str]) -> Said {
    by(project, who, server, "manifest.toml", arguments)
}

/// An operator of the epoch of this manifest.
fn by(project: &Project, who: &str, server: &impl AsRef<str>, manifest: &str, arguments: &[&str]) -> Said {
    Said::of(&asking(project, who, server, manifest, arguments).output().unwrap())
}

fn asking(project: &Project, who: &str, server: &impl AsRef<str>, manifest: &str, arguments: &[&str]) -> Command {
    let mut command = hedui();
    command.arg("operator").args(arguments).args(["--manifest", &project.text(manifest)]);
    command.args(project.reach(server.as_ref(), who));
    command
}

/// The act's number.
fn proposed(project: &Project, server: &impl AsRef<str>, manifest: &str, deed: &[&str]) -> String {
    let said = by(project, "li", server, manifest, &[&["propose"], deed].concat()).done();
    said.stdout.split_once("act ").unwrap().1.split(':').next().unwrap().to_owned()
}

/// Proposed by one and approved by the other; the act's number.
pub fn both(project: &Project, server: &impl AsRef<str>, manifest: &str, deed: &[&str]) -> String {
    let act = proposed(project, server, manifest, deed);
    by(project, "wang", server, manifest, &["approve", &act, "--yes"]).done();
    act
}

/// The receipt of an act, and what it proves.
fn receipt(project: &Project, server: &Server, manifest: &str, act: &str) -> String {
    let file = project.text(&format!("receipt-{act}.json"));
    by(project, "wang", server, manifest, &["receipt", act, "--out", &file]).done();
    run(&["audit", "receipt", &file, "--manifest", &project.text(manifest)]).done().stdout
}

/// Exports the log into a new folder and verifies it.
fn audited(project: &Project, out: &str) -> Said {
    let data = project.text("server");
    let mut export = hedui();
    export.args(["audit", "export", "--data", &data, "--out", &project.text(out)]).args(project.store_arguments());
    Said::of(&export.output().unwrap()).done();
    run(&["audit", "verify", &project.text(out)])
}

/// Every file that a server keeps: its folder, the bucket, and PostgreSQL's tables.
fn kept(project: &Project) -> Vec<PathBuf> {
    let mut folders = vec![project.path("server")];
    if let Some(stores) = &project.stores {
        stores.postgres.sql("hedui", "CHECKPOINT");
        folders.push(stores.postgres.tables());
        folders.push(stores.bucket.folder().to_owned());
    }
    folders.iter().flat_map(|folder| files_of(folder)).collect()
}

fn files_of(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files_of(&path)) } else { found.push(path) }
    }
    found
}

/// Files that hold a value: as it is, or in hexadecimal.
fn holding(files: &[PathBuf], value: &[u8]) -> Vec<PathBuf> {
    let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
    let has = |path: &PathBuf| {
        let bytes = std::fs::read(path).unwrap_or_default();
        let find = |value: &[u8]| bytes.windows(value.len()).any(|window| window == value);
        find(value) || find(hex.as_bytes())
    };
    files.iter().filter(|path| has(path)).cloned().collect()
}

/// What of a household and of the bank may be found at a server.
struct Planted {
    commission: String,
    /// Of the household's person.
    subject: Vec<u8>,
    /// Of the bank's record of that person.
    record: Vec<u8>,
    /// Bytes from the middle of the bank's part.
    part: Vec<u8>,
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect()
}

/// A server with answers of both agencies, and what to look for.
fn city(project: &Project) -> (Server, Planted) {
    operators(project);
    let server = project.server();
    project.journey(&files(project), &server);
    let report = project.report("H1");
    let journal = std::fs::read_to_string(project.path("state/commissions.jsonl")).unwrap();
    let line = journal.lines().find(|line| line.contains("\"H1\"")).unwrap();
    let subject = line.split("\"subject\":\"").nth(1).unwrap()[..32].to_owned();
    let record = report["members"][0]["agencies"][0]["records"][0]["record"].as_str().unwrap().to_owned();
    let part = std::fs::read(project.path("bank/part-00000.parquet")).unwrap();
    let planted = Planted {
        commission: report["commission"].as_str().unwrap().to_owned(),
        subject: unhex(&subject),
        record: unhex(&record),
        part: part[part.len() / 3..][..24].to_vec(),
    };
    (server, planted)
}

fn nothing_is_left_of_what_two_operators_erase(project: Project) {
    let (mut server, planted) = city(&project);
    let before = kept(&project);
    assert!(!holding(&before, &planted.subject).is_empty(), "the search finds what is there");
    assert!(!holding(&before, &planted.record).is_empty());
    assert!(holding(&before, &planted.part).is_empty(), "parts lie under their keys");
    assert!(!holding(&files_of(&project.path("bank")), &planted.part).is_empty());
    audited(&project, "log-before").done();

    // one person is not enough, by whatever certificate
    let erase = ["propose", "erase-commissions", &planted.commission];
    let said = operator(&project, "li", &server, &erase).done();
    let act = said.stdout.split_once("act ").unwrap().1.split(':').next().unwrap().to_owned();
    operator(&project, "li", &server, &["approve", "99", "--yes"])
        .refused(1, "there is no act 99\nhint: `hedui operator acts` lists them");
    let alone = operator(&project, "li", &server, &["approve", &act, "--yes"]);
    alone.refused(1, "needs two operators");
    let pki = project.text("pki");
    run(&["pki", "issue", &pki, "li", "--organisation", "City operator", "--role", "operator", "--renew"]).done();
    operator(&project, "li", &server, &["approve", &act, "--yes"]).refused(1, "needs two operators");
    operator(&project, "wang", &server, &["approve", &act]).refused(2, "`--yes` approves");
    project.office("fetch", &server, &[]).done();
    operator(&project, "wang", &server, &["approve", &act, "--yes"]).done();
    let proof = receipt(&project, &server, "manifest.toml", &act);
    assert!(proof.contains(&format!("act {act} is done (erase 1 commissions): 0 batches, 1 commissions")), "{proof}");
    assert_eq!(holding(&kept(&project), &planted.subject), Vec::<PathBuf>::new());
    let said = project.office("fetch", &server, &[]).done();
    assert!(said.stderr.contains("1 refused by the server"), "{}", said.stderr);
    assert!(
        std::fs::read_to_string(project.path("state/answers.jsonl")).unwrap().contains("the commission was erased")
    );
    assert!(
        !holding(&kept(&project), &planted.record).is_empty(),
        "the bank's records are not the household's requests"
    );
    audited(&project, "log-before").done();
    let later = audited(&project, "log-after").done();
    assert!(later.stdout.contains("1 tickets and batch headers, before this export"), "{}", later.stdout);

    let act = both(&project, &server, "manifest.toml", &["erase-agency", "bank"]);
    let proof = receipt(&project, &server, "manifest.toml", &act);
    assert!(proof.contains("1 batches, 0 commissions"), "{proof}");
    assert_eq!(holding(&kept(&project), &planted.record), Vec::<PathBuf>::new());
    assert_eq!(parts(&project), 1, "the vehicle register's");
    let status = project.office("status", &server, &["--each"]).done().stdout;
    assert!(!status.contains("bank ") || status.contains("has not submitted"), "{status}");
    // it may begin anew
    project.submit("bank", "bank", &server).done();
    assert!(!holding(&kept(&project), &planted.record).is_empty());

    let act = both(&project, &server, "manifest.toml", &["erase-project"]);
    let proof = receipt(&project, &server, "manifest.toml", &act);
    assert!(proof.contains("erase this epoch"), "{proof}");
    assert_eq!(parts(&project), 0);
    assert_eq!(holding(&kept(&project), &planted.record), Vec::<PathBuf>::new());
    let said = project.office("fetch", &server, &[]).done();
    assert!(said.stderr.contains("2 refused by the server"), "{}", said.stderr);
    project.submit("bank", "bank", &server).refused(1, "was erased");
    audited(&project, "log-before").done();
    audited(&project, "log-after").done();
    server.signal("TERM");
    let server = project.server();
    project.submit("bank", "bank", &server).refused(1, "was erased");
    let acts = operator(&project, "li", &server, &["acts"]).done().stdout;
    assert_eq!(acts.matches("(done;").count(), 3, "{acts}");
}

fn parts(project: &Project) -> usize {
    match &project.stores {
        Some(stores) => stores.bucket.parts().len(),
        None => files_of(&project.path("server/parts")).len(),
    }
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

fn balance(project: &Project, server: &Server) {
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

fn what_was_erased_stays_so_when_an_older_backup_is_put_back(project: Project) {
    let (mut server, planted) = city(&project);
    let backup = |name: &str| {
        let (data, out) = (project.text("server"), project.text(&format!("backups/{name}")));
        let mut command = hedui();
        command.args(["server", "backup", "--data", &data, "--out", &out]).args(project.store_arguments());
        Said::of(&command.output().unwrap()).done();
    };
    std::fs::create_dir(project.path("backups")).unwrap();
    backup("older");
    let older = files_of(&project.path("backups/older"));
    for value in [&planted.subject, &planted.record, &planted.part] {
        assert_eq!(holding(&older, value), Vec::<PathBuf>::new(), "a backup is sealed");
    }
    both(&project, &server, "manifest.toml", &["erase-commissions", &planted.commission]);
    let act = both(&project, &server, "manifest.toml", &["erase-agency", "bank"]);
    receipt(&project, &server, "manifest.toml", &act);
    backup("newer");
    server.signal("TERM");
    let restore = |to: &str, more: &[&str]| {
        let mut command = hedui();
        command.args(["server", "restore", &project.text("backups/older"), "--data", &project.text(to)]);
        Said::of(&command.args(more).output().unwrap())
    };
    restore("as-it-was", &[]).done();
    assert!(!holding(&files_of(&project.path("as-it-was")), &planted.subject).is_empty(), "its own keys open it");
    run(&["server", "prune", &project.text("backups")]).done();
    restore("without", &[]).refused(1, "`--keys` names that of the newest backup");
    let said = restore("restored", &["--keys", &project.text("backups/newer/keys.jsonl")]).done();
    assert!(said.stderr.contains("rows were erased since"), "{}", said.stderr);
    let files = files_of(&project.path("restored"));
    for value in [&planted.subject, &planted.record] {
        assert_eq!(holding(&files, value), Vec::<PathBuf>::new());
    }
    // and what was not erased answers
    let mut command = hedui();
    let (data, manifest) = (project.text("restored"), project.text("manifest.toml"));
    command.args(["server", "run", "--data", &data, "--manifest", &manifest, "--log-key", &project.text("log.key")]);
    command.args(["--listen", "127.0.0.1:0", "--operator-listen", "127.0.0.1:0"]).args(tls(&project, "server"));
    let server = Server::spawn(&project, command);
    let answers = project.text("answers-of-the-restored.jsonl");
    let mut fetch = hedui();
    fetch.args(["office", "fetch", "--state", &project.text("state"), "--manifest", &manifest]);
    fetch.args(["--receipts", &answers]);
    Said::of(&fetch.args(project.reach(&server.parties, OFFICE)).output().unwrap()).done();
    let answers = std::fs::read_to_string(project.path("state/answers.jsonl")).unwrap();
    assert!(answers.contains("the commission was erased"), "its ticket is not taken again either");
    project.office("report", &server, &[]).done();
    let vehicle = &project.report("H2")["members"][0]["agencies"][1];
    assert_eq!(vehicle["records"][0]["items"][0]["payload"]["values"]["vehicle_price"], "123456.78", "{vehicle}");

    // the log that was put back knows no erasure, and says why proofs are missing
    let mut server = server;
    server.signal("TERM");
    run(&["audit", "export", "--data", &data, "--out", &project.text("log-restored")]).done();
    let verdict = run(&["audit", "verify", &project.text("log-restored"), "--json"]).done().stdout;
    let verdict: serde_json::Value = serde_json::from_str(&verdict).unwrap();
    assert_eq!(verdict["events"]["restored"], 1, "{verdict}");
    assert_eq!(verdict["events"]["erased"], serde_json::Value::Null, "{verdict}");
    assert!(verdict["erased"].as_u64() > Some(1), "{verdict}");
    let search = |id: &str| run(&["audit", "search", &project.text("log-restored"), "--commission", id]);
    let found = search(&planted.commission).done().stdout;
    assert!(found.contains("was put back"), "{found}");
    search("no-such").refused(2, "the log knows no commission");
}

/// Approved at a server that removes nothing, killed, and gone on with by another; then the same set is submitted again.
fn an_erasure_that_is_cut_short_goes_on(project: Project) {
    let (mut server, planted) = city(&project);
    server.signal("TERM");
    let start = |role: &str| {
        let mut command = Server::command(&project, "server", "127.0.0.1:0");
        command.args(["--role", role]);
        Server::spawn(&project, command)
    };
    let mut api = start("api");
    // the household's office withdraws, forgets, and hands the ids over
    project.office("withdraw", &api, &["H1"]).done();
    let forgotten = run(&["office", "forget", "H1", "--state", &project.text("state")]).done();
    assert_eq!(forgotten.stdout.trim(), planted.commission);
    assert!(!std::fs::read_to_string(project.path("state/commissions.jsonl")).unwrap().contains("\"H1\""));
    both(&project, &api, "manifest.toml", &["erase-commissions", &planted.commission]);
    let agency = both(&project, &api, "manifest.toml", &["erase-agency", "bank"]);
    let under_way = operator(&project, "li", &api, &["acts"]).done().stdout;
    assert_eq!(under_way.matches("files are being removed").count(), 2, "{under_way}");
    audited(&project, "log-under-way").done();
    let again = project.submit("bank", "bank", &api);
    assert_eq!(again.code, Some(75), "the same header is a batch again when its files are gone: {}", again.stderr);
    api.kill();
    let mut server = start("all");
    receipt(&project, &server, "manifest.toml", &agency);
    audited(&project, "log-done").done();
    project.submit("bank", "bank", &server).done();
    server.signal("TERM");
    assert_eq!(parts(&project), 2, "what was submitted anew stays");

    let mut api = start("api");
    let act = both(&project, &api, "manifest.toml", &["erase-project"]);
    until(|| project.submit("bank", "bank", &api).stderr.contains("was erased"));
    api.kill();
    let server = start("all");
    receipt(&project, &server, "manifest.toml", &act);
    assert_eq!(parts(&project), 0);
    let indexes = std::fs::read_dir(project.path("server/index")).unwrap().count();
    assert_eq!(indexes, 0, "no index is left");
    if project.stores.is_none() {
        let batches = std::fs::read_dir(project.path("server/parts")).unwrap().count();
        assert_eq!(batches, 0, "nor the name of a batch");
    }
    assert_eq!(holding(&kept(&project), &planted.record), Vec::<PathBuf>::new());
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

#[test]
fn every_worker_lets_go_of_what_was_erased() {
    let project = Project::new().on_shared_stores();
    let (server, _) = city(&project);
    let worker = || {
        let mut command = Server::command(&project, "worker", "127.0.0.1:0");
        command.args(["--role", "worker"]);
        Server::spawn(&project, command)
    };
    let indexes = || std::fs::read_dir(project.path("worker/index")).unwrap().count();
    let mut other = worker();
    until(|| indexes() == 2);
    let act = both(&project, &server, "manifest.toml", &["erase-agency", "bank"]);
    receipt(&project, &server, "manifest.toml", &act);
    assert_eq!(indexes(), 1, "the receipt waited for it");
    other.signal("TERM");
    both(&project, &server, "manifest.toml", &["erase-project"]);
    until(|| parts(&project) == 0);
    assert_eq!(indexes(), 1, "it is away");
    let _other = worker();
    until(|| indexes() == 0);
}

#[test]
fn a_manifest_that_nobody_runs_is_a_refusal_as_any_other() {
    let project = Project::new();
    project.issue("stranger", "agency");
    let mut command = Server::command(&project, "server", "127.0.0.1:0");
    command.args(["--rate", "2"]);
    let server = Server::spawn(&project, command);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let ask = |caller: &str, path: &str| {
        let client = crate::access::client(&project, caller);
        runtime.block_on(async {
            let request = client.get(format!("{}{path}", server.parties)).header("hedui-manifest", "00");
            let answer = request.send().await.unwrap();
            let receipt = answer.headers().contains_key("hedui-receipt");
            (answer.status().as_u16(), receipt, answer.text().await.unwrap())
        })
    };
    let (status, receipt, told) = ask("bank", "/v1/notices");
    assert_eq!((status, receipt), (409, true), "{told}");
    assert!(told.contains("epoch `2026-11`"), "a party hears what is run: {told}");
    let (status, _, told) = ask("stranger", "/v1/notices");
    assert!(status == 409 && !told.contains("2026-11"), "a stranger does not: {told}");
    let (status, receipt, _) = ask("vehicle", "/v1/nothing");
    assert_eq!((status, receipt), (409, true));
    let statuses: Vec<u16> = (0..20).map(|_| ask("bank", "/v1/notices").0).collect();
    assert!(statuses.contains(&429), "{statuses:?}");
    assert!(audited(&project, "log").done().stdout.contains("manifest-mismatch"));
    // at the operator's port only who is none is paced: whoever watches a server may look as often as it likes
    let look = |caller: &str| {
        let client = crate::access::client(&project, caller);
        let answer = client.get(format!("{}/healthz", server.operator)).send();
        runtime.block_on(answer).unwrap().status().as_u16()
    };
    let (watching, trying): (Vec<u16>, Vec<u16>) = (0..20).map(|_| (look("operator"), look("vehicle"))).unzip();
    assert!(watching.iter().all(|status| *status == 200), "{watching:?}");
    assert!(trying[0] == 403 && trying.contains(&429), "{trying:?}");
}

/// As the version before there were keys left it: a part in clear, and rows without a key.
#[test]
fn what_was_stored_before_there_were_keys_is_sealed() {
    let project = Project::new().on_shared_stores();
    let (mut server, planted) = city(&project);
    server.signal("TERM");
    let stores = project.stores.as_ref().unwrap();
    let keyless = "SELECT COUNT(*) FROM batches WHERE shred_key IS NULL OR sealed = 0";
    let bank = stores.postgres.sql("hedui", "SELECT batch FROM batches WHERE agency = 'bank'");
    let parts = stores.bucket.parts();
    let part = parts.iter().find(|path| path.to_str().unwrap().contains(bank.trim())).unwrap();
    stores.postgres.sql("hedui", "UPDATE batches SET shred_key = NULL, sealed = 0 WHERE agency = 'bank'");
    std::fs::copy(project.path("bank/part-00000.parquet"), part).unwrap();
    std::fs::remove_dir_all(project.path("server/index")).unwrap();
    assert_eq!(holding(&kept(&project), &planted.part), std::slice::from_ref(part));

    let mut server = project.server();
    until(|| stores.postgres.sql("hedui", keyless).trim() == "0");
    assert_eq!(holding(&kept(&project), &planted.part), Vec::<PathBuf>::new());
    server.signal("TERM");
    // what is sealed now is read as it was
    std::fs::remove_dir_all(project.path("server/index")).unwrap();
    let server = project.server();
    project.office("request", &server, &[&project.text("office.csv"), "--again"]).done();
    balance(&project, &server);
}

#[test]
fn what_cannot_be_removed_holds_up_no_other_removal() {
    let project = Project::new();
    operators(&project);
    let (_, bank, vehicle) = files(&project);
    let server = project.server();
    project.submit_both(&bank, &vehicle, &server);
    let mut batches: Vec<_> =
        std::fs::read_dir(project.path("server/parts")).unwrap().map(|entry| entry.unwrap().path()).collect();
    batches.sort();
    let [stuck, other] = &batches[..] else { panic!("{batches:?}") };
    // a folder where its part was
    let part = std::fs::read_dir(stuck).unwrap().next().unwrap().unwrap().path();
    std::fs::rename(&part, project.path("part")).unwrap();
    std::fs::create_dir_all(part.join("in-the-way")).unwrap();
    let act = both(&project, &server, "manifest.toml", &["erase-project"]);
    until(|| !other.exists());
    until(|| std::fs::read_to_string(&server.log).unwrap().contains("What is to be gone is not all gone yet"));
    std::fs::remove_dir_all(&part).unwrap();
    receipt(&project, &server, "manifest.toml", &act);
    assert!(!stuck.exists());
}

#[test]
fn an_approval_that_nobody_waits_for_is_done() {
    let project = Project::new();
    operators(&project);
    let server = project.server();
    let act = proposed(&project, &server, "manifest.toml", &["erase-agency", "bank"]);
    // the database is another's for a while, as beside an erasure of very much
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut database = runtime.block_on(sqlx::SqliteConnection::connect(&project.text("server/hedui.sqlite"))).unwrap();
    let mut run = |statement| runtime.block_on(sqlx::query(statement).execute(&mut database)).unwrap();
    run("BEGIN IMMEDIATE");
    let mut approving =
        asking(&project, "wang", &server, "manifest.toml", &["approve", &act, "--yes"]).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(2));
    approving.kill().unwrap();
    approving.wait().unwrap();
    std::thread::sleep(Duration::from_secs(1));
    run("ROLLBACK");
    until(|| operator(&project, "li", &server, &["acts"]).done().stdout.contains("(done;"));
}
