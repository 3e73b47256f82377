//! What two operators decide together: nothing is left of what they erase.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use sqlx::Connection as _;

use crate::epochs::balance;
use crate::harness::{OFFICE, Project, Said, Server, hedui, on_both_stores, run, tls, until};
use crate::journey::files;

on_both_stores! {
    nothing_is_left_of_what_two_operators_erase,
    what_was_erased_stays_so_when_an_older_backup_is_put_back,
    an_erasure_that_is_cut_short_goes_on,
}

/// Two people of one operator, and a certificate that the first one has renewed.
pub fn operators(project: &Project) {
    for name in ["li", "wang"] {
        let pki = project.text("pki");
        run(&["pki", "issue", &pki, name, "--organisation", "City operator", "--role", "operator"]).done();
    }
}

pub fn operator(project: &Project, who: &str, server: &impl AsRef<str>, arguments: &[&str]) -> Said {
    by(project, who, server, "manifest.toml", arguments)
}

/// An operator of the epoch of this manifest.
pub fn by(project: &Project, who: &str, server: &impl AsRef<str>, manifest: &str, arguments: &[&str]) -> Said {
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
pub fn receipt(project: &Project, server: &Server, manifest: &str, act: &str) -> String {
    let file = project.text(&format!("receipt-{act}.json"));
    by(project, "wang", server, manifest, &["receipt", act, "--out", &file]).done();
    run(&["audit", "receipt", &file, "--manifest", &project.text(manifest)]).done().stdout
}

/// Exports the log into a new folder and verifies it.
pub fn audited(project: &Project, out: &str) -> Said {
    let data = project.text("server");
    let mut export = hedui();
    export.args(["audit", "export", "--data", &data, "--out", &project.text(out)]).args(project.store_arguments());
    Said::of(&export.output().unwrap()).done();
    run(&["audit", "verify", &project.text(out)])
}

/// Every file that a server keeps: its folder, the bucket, and PostgreSQL's tables.
pub fn kept(project: &Project) -> Vec<PathBuf> {
    let mut folders = vec![project.path("server")];
    if let Some(stores) = &project.stores {
        stores.postgres.sql("hedui", "CHECKPOINT");
        folders.push(stores.postgres.tables());
        folders.push(stores.bucket.folder().to_owned());
    }
    folders.iter().flat_map(|folder| files_of(folder)).collect()
}

pub fn files_of(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files_of(&path)) } else { found.push(path) }
    }
    found
}

/// Files that hold a value: as it is, or in hexadecimal.
pub fn holding(files: &[PathBuf], value: &[u8]) -> Vec<PathBuf> {
    let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
    let has = |path: &PathBuf| {
        let bytes = std::fs::read(path).unwrap_or_default();
        let find = |value: &[u8]| bytes.windows(value.len()).any(|window| window == value);
        find(value) || find(hex.as_bytes())
    };
    files.iter().filter(|path| has(path)).cloned().collect()
}

/// What of a household and of the bank may be found at a server.
pub struct Planted {
    pub commission: String,
    /// Of the household's person.
    pub subject: Vec<u8>,
    /// Of the bank's record of that person.
    pub record: Vec<u8>,
    /// Bytes from the middle of the bank's part.
    pub part: Vec<u8>,
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect()
}

/// A server with answers of both agencies, and what to look for.
pub fn city(project: &Project) -> (Server, Planted) {
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

pub fn parts(project: &Project) -> usize {
    match &project.stores {
        Some(stores) => stores.bucket.parts().len(),
        None => files_of(&project.path("server/parts")).len(),
    }
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
fn who_is_no_colleague_approves_nothing() {
    let project = Project::new();
    operators(&project);
    let issue = |name: &str, organisation: &str| {
        let pki = project.text("pki");
        run(&["pki", "issue", &pki, name, "--organisation", organisation, "--role", "operator"]).done();
    };
    issue("other-wang", "City operator Ltd");
    issue("bank-wang", "Org bank");
    let server = project.server();
    let terms = project.write("terms.toml", "answers = 3\n");
    let act = proposed(&project, &server, "manifest.toml", &["set-retention", &terms]);
    let approve = |who: &str| operator(&project, who, &server, &["approve", &act, "--yes"]);
    approve("li").refused(1, "a colleague of who proposed it");
    approve("other-wang").refused(1, "a colleague of who proposed it");
    approve("bank-wang").refused(1, "`Org bank` is a party of the project: nobody of it is its operator");
    approve("wang").done();
    // a number that no act has is no failure of the server
    for none in ["99", "9223372036854775808", "18446744073709551615"] {
        operator(&project, "li", &server, &["approve", none, "--yes"]).refused(1, &format!("there is no act {none}"));
    }
    // why an agency is no party is told as it is
    project.issue("stranger", "agency");
    let client = crate::access::client(&project, "stranger");
    let ask =
        async { client.get(format!("{}/v1/project", server.parties)).send().await.unwrap().text().await.unwrap() };
    let told = tokio::runtime::Runtime::new().unwrap().block_on(ask);
    assert!(told.contains("unknown-party") && told.contains("is not an agency of the manifest"), "{told}");
}

#[test]
fn an_erased_epoch_is_closed_whatever_manifest_a_request_names() {
    let project = Project::new();
    operators(&project);
    let (_, bank, _) = files(&project);
    let server = project.server();
    project.encode("bank", &bank, "bank").done();
    both(&project, &server, "manifest.toml", &["erase-project"]);
    let client = crate::access::client(&project, "bank");
    let header = std::fs::read(project.path("bank/batch.json")).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let ask = |names: &[(&'static str, &str)]| {
        let request = client.post(format!("{}/v1/batches", server.parties)).header("content-type", "application/json");
        let request = names.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        runtime.block_on(async { request.body(header.clone()).send().await.unwrap().status().as_u16() })
    };
    until(|| ask(&[]) == 410);
    assert_eq!(ask(&[("hedui-manifest", "00")]), 410);
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
