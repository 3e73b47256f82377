//! What an office's own folder says, and what its commands make of it: nobody who has withdrawn is asked about, and nothing is
//! lost between two clerks.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::process::Command;

use serde_json::Value;

use crate::audit::{export, verify};
use crate::harness::{Project, Said, Server, hedui, with_patience};
use crate::journey::files;

/// The journal's events of one kind: the commissions that they are about.
fn journal(project: &Project, kind: &str) -> Vec<String> {
    let journal = std::fs::read_to_string(project.path("state/commissions.jsonl")).unwrap();
    let events = journal.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let about = |event: Value| {
        let about = event.get(kind)?.clone();
        about.as_str().or_else(|| about["commission"].as_str()).map(str::to_owned)
    };
    events.filter_map(about).collect()
}

/// Entries of the server's log, as an auditor reads them.
fn told(project: &Project, what: &str) -> Vec<String> {
    export(project, "log").done();
    verify(&project.text("log"), &[]).done();
    let search = hedui().args(["audit", "search", &project.text("log"), "--what", what]).output().unwrap();
    Said::of(&search).done().stdout.lines().map(str::to_owned).collect()
}

fn check(project: &Project, url: &str, list: &str, household: &str) -> Command {
    let request = project.office_at(url, "request", &[list, "--household-no", household]);
    let arguments: Vec<OsString> = request.get_args().skip(2).map(Into::into).collect();
    let mut command = hedui();
    command.args(["office", "check"]).args(arguments);
    command.args(["--opening-key", &project.text("office.opening.key")]);
    command
}

fn said_of(mut command: Command) -> Said {
    Said::of_the_office(&command.output().unwrap())
}

#[test]
fn who_has_withdrawn_since_is_not_asked_about_by_what_was_prepared_before() {
    let project = Project::new();
    let (office, bank, vehicle) = files(&project);
    let mut server = project.server();
    project.submit_both(&bank, &vehicle, &server);
    let address = server.address().to_owned();
    server.signal("TERM");
    let request = project.office_at(&server.parties, "request", &[&office]);
    Said::of(&with_patience(&request, 1).output().unwrap()).refused(75, "");
    assert_eq!((journal(&project, "prepared").len(), journal(&project, "filed").len()), (2, 0));

    let server = Server::start(&project, &address);
    let text = std::fs::read_to_string(&office).unwrap();
    let list = project.write("office-later.csv", text.replace("SQ1,BV,valid", "SQ1,BV,withdrawn"));
    let said = project.office("request", &server, &[&list]).done();
    assert!(said.stderr.contains("1 commissions filed for 1 of 3 people"), "{}", said.stderr);
    assert!(said.stderr.contains("had not reached the server, and is not sent"), "{}", said.stderr);
    let filed = journal(&project, "filed");
    assert_eq!((filed.len(), journal(&project, "withdrawn").len()), (1, 1));
    let entries = told(&project, "commission-filed");
    assert!(entries.len() == 1 && entries[0].contains(&filed[0]), "H1 is never asked about: {entries:?}");

    // what asks something else waits for the run that prepared it
    let again = project.office("request", &server, &[&office]).done();
    assert!(again.stderr.contains("1 commissions filed for 1 of 3 people; 1 households"), "{}", again.stderr);
    let later = project.office("request", &server, &[&list]).done();
    assert!(later.stderr.contains("no longer lets be asked about; `hedui office withdraw`"), "{}", later.stderr);
}

#[test]
fn a_household_that_withdraws_takes_back_all_that_was_asked_about_it() {
    let project = Project::new();
    let (office, bank, vehicle) = files(&project);
    let mut server = project.server();
    project.submit_both(&bank, &vehicle, &server);
    for more in [&["--standing"][..], &[], &["--again"]] {
        project.office("request", &server, &[&[office.as_str()], more].concat()).done();
    }
    let address = server.address().to_owned();
    server.signal("TERM");
    let lost = project.office_at(&server.parties, "request", &[&office, "--again"]);
    Said::of(&with_patience(&lost, 1).output().unwrap()).refused(75, "");
    let server = Server::start(&project, &address);
    let said = project.office("withdraw", &server, &["H1"]).done();
    assert_eq!(said.stderr.matches("Withdrew commission").count(), 3, "{}", said.stderr);
    assert_eq!(said.stderr.matches("had not reached the server").count(), 1, "{}", said.stderr);
    project.office("withdraw", &server, &["H1"]).refused(1, "no commission or household has the number `H1`");
    assert_eq!(told(&project, "withdrawn").len(), 3);
    let said = project.office("fetch", &server, &[]).done();
    assert!(said.stderr.contains("3 commissions fetched, 0 refused"), "H2's: {}", said.stderr);
}

#[test]
fn what_has_nothing_new_is_not_released_again() {
    let project = Project::new();
    let (office, bank, vehicle) = files(&project);
    let server = project.server();
    project.submit_both(&bank, &vehicle, &server);
    project.office("request", &server, &[&office]).done();
    project.office("fetch", &server, &[]).done();
    let released = || told(&project, "released").len();
    assert_eq!(released(), 2);
    let said = project.office("fetch", &server, &[]).done();
    assert!(said.stderr.contains("2 have nothing new"), "{}", said.stderr);
    project.office("report", &server, &[]).done();
    assert_eq!(project.report("H1")["members"][0]["agencies"][0]["state"], "answered", "it is kept");
    assert_eq!(released(), 2);
    // what is answered since is new
    project.answer("vehicle", &vehicle, &server).done();
    project.office("fetch", &server, &[]).done();
    project.office("report", &server, &[]).done();
    assert_eq!(project.report("H2")["members"][0]["agencies"][1]["state"], "answered");
    assert_eq!(released(), 3);
}

#[test]
fn two_clerks_at_one_folder_lose_nothing() {
    let project = Project::new();
    let (office, bank, vehicle) = files(&project);
    let server = project.server();
    project.submit_both(&bank, &vehicle, &server);
    std::thread::scope(|scope| {
        let clerks: Vec<_> = (0..8)
            .map(|clerk| {
                let household = if clerk % 2 == 0 { "H1" } else { "H2" };
                let command = check(&project, &server.parties, &office, household);
                scope.spawn(move || said_of(command).done())
            })
            .collect();
        for clerk in clerks {
            clerk.join().unwrap();
        }
    });
    // one may have sent again what another was sending: it is the same commission
    let of = |kind: &str| journal(&project, kind).into_iter().collect::<BTreeSet<String>>();
    let (prepared, filed) = (of("prepared"), of("filed"));
    assert_eq!(prepared, filed);
    assert_eq!(told(&project, "commission-filed").len(), filed.len());
}

#[test]
fn a_check_tells_what_is_asked_now_or_that_nobody_may_be_asked_about() {
    let project = Project::new();
    let (office, bank, vehicle) = files(&project);
    let server = project.server();
    project.submit_both(&bank, &vehicle, &server);
    let within = |list: &str, more: &[&str]| {
        let mut command = check(&project, &server.parties, list, "H1");
        command.args(more);
        said_of(command)
    };
    let window = |said: Said| serde_json::from_str::<Value>(&said.done().stdout).unwrap()["window"].clone();
    let usual = window(within(&office, &["--json"]));
    let other = window(within(&office, &["--json", "--from", "2020-01-01", "--to", "2020-02-01"]));
    assert_eq!(other, serde_json::json!({ "from": "2020-01-01", "to": "2020-02-01" }));
    assert_ne!(usual, other);
    within(&office, &["--from", "2020-02-01", "--to", "2020-01-01"]).refused(2, "`--from` is after `--to`");
    let text = std::fs::read_to_string(&office).unwrap();
    let list = project.write("office-later.csv", text.replace("SQ1,BV,valid", "SQ1,BV,withdrawn"));
    within(&list, &[]).refused(1, "nobody of this household may be asked about");
}
