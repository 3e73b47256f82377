//! What an office's own folder says, and what its commands make of it: nobody who has withdrawn is asked about.

use std::ffi::OsString;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::acts::{both, operators};
use crate::audit::{export, verify};
use crate::harness::{Project, Said, Server, hedui, until, with_patience, within};
use crate::journey::files;

/// The journal's events of one kind: the commissions that they are about.
pub fn journal(project: &Project, kind: &str) -> Vec<String> {
    let journal = std::fs::read_to_string(project.path("state/commissions.jsonl")).unwrap();
    let events = journal.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let about = |event: Value| {
        let about = event.get(kind)?.clone();
        about.as_str().or_else(|| about["commission"].as_str()).map(str::to_owned)
    };
    events.filter_map(about).collect()
}

/// Entries of the server's log, as an auditor reads them.
pub fn told(project: &Project, what: &str) -> Vec<String> {
    export(project, "log").done();
    verify(&project.text("log"), &[]).done();
    let search = hedui().args(["audit", "search", &project.text("log"), "--what", what]).output().unwrap();
    Said::of(&search).done().stdout.lines().map(str::to_owned).collect()
}

pub fn check(project: &Project, url: &str, list: &str, household: &str) -> Command {
    let request = project.office_at(url, "request", &[list, "--household-no", household]);
    let arguments: Vec<OsString> = request.get_args().skip(2).map(Into::into).collect();
    let mut command = hedui();
    command.args(["office", "check"]).args(arguments);
    command.args(["--opening-key", &project.text("office.opening.key")]);
    command
}

pub fn said_of(mut command: Command) -> Said {
    Said::of_the_office(&command.output().unwrap())
}

/// A project whose agencies have submitted, its server, and the tables of office, bank and vehicle register.
pub fn served() -> (Project, Server, [String; 3]) {
    let project = Project::new();
    let (office, bank, vehicle) = files(&project);
    let server = project.server();
    project.submit_both(&bank, &vehicle, &server);
    (project, server, [office, bank, vehicle])
}

/// Stops the server, and asks: what is prepared is not sent. The server's address.
fn asked_in_vain(project: &Project, server: &mut Server, office: &str) -> String {
    let address = server.address().to_owned();
    server.signal("TERM");
    let request = project.office_at(&server.parties, "request", &[office]);
    Said::of(&with_patience(&request, 1).output().unwrap()).refused(75, "");
    address
}

#[test]
fn who_has_withdrawn_since_is_not_asked_about_by_what_was_prepared_before() {
    let (project, mut server, [office, _, _]) = served();
    let address = asked_in_vain(&project, &mut server, &office);
    assert_eq!((journal(&project, "prepared").len(), journal(&project, "filed").len()), (2, 0));

    let server = Server::start(&project, &address);
    let text = std::fs::read_to_string(&office).unwrap();
    let list = project.write("office-later.csv", text.replace("SQ1,BV,valid", "SQ1,BV,withdrawn"));
    let said = project.office("request", &server, &[&list]).done();
    assert!(said.stderr.contains("1 commissions filed for 1 of 3 people"), "{}", said.stderr);
    assert!(said.stderr.contains("had not reached the server, and is not sent"), "{}", said.stderr);
    let filed = journal(&project, "filed");
    let (unsent, withdrawn) = (journal(&project, "unsent").len(), journal(&project, "withdrawn").len());
    assert_eq!((filed.len(), unsent, withdrawn), (1, 1, 0));
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
    let (project, mut server, [office, _, _]) = served();
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
    // again: what was withdrawn is, and what may have reached the server since is asked for once more
    let again = project.office("withdraw", &server, &["H1"]).done();
    assert_eq!(again.stderr.matches("Withdrew commission").count(), 0, "{}", again.stderr);
    assert_eq!(again.stderr.matches("had not reached the server").count(), 1, "{}", again.stderr);
    assert_eq!(told(&project, "withdrawn").len(), 3);
    let said = project.office("fetch", &server, &[]).done();
    assert!(said.stderr.contains("3 commissions fetched, 0 refused"), "H2's: {}", said.stderr);
}

fn forget(project: &Project, household: &str, more: &[&str]) -> Said {
    let state = project.text("state");
    let arguments = [&["office", "forget", household, "--state", &state], more].concat();
    Said::of(&hedui().args(arguments).output().unwrap())
}

#[test]
fn who_is_forgotten_has_no_id_that_the_server_never_had() {
    let project = Project::new();
    let (office, ..) = files(&project);
    let mut server = project.server();
    project.office("request", &server, &[&office]).done();
    let address = server.address().to_owned();
    server.signal("TERM");
    let lost = project.office_at(&server.parties, "request", &[&office, "--again"]);
    Said::of(&with_patience(&lost, 1).output().unwrap()).refused(75, "");
    // what is not confirmed may be at the server, for all that is known here
    let dry = forget(&project, "H1", &["--dry-run"]).done();
    assert!(dry.stderr.contains("2 of them were not withdrawn"), "{}", dry.stderr);
    let server = Server::start(&project, &address);
    project.office("withdraw", &server, &["H1"]).done();
    let forgotten = forget(&project, "H1", &[]).done();
    // the operators' act is refused as a whole where it names an id that their server does not know
    let entries = told(&project, "withdrawn");
    let named: Vec<&str> = forgotten.stdout.lines().collect();
    assert!(named.len() == 1 && entries.len() == 1 && entries[0].contains(named[0]), "{named:?} {entries:?}");
    assert!(!forgotten.stderr.contains("were not withdrawn"), "{}", forgotten.stderr);
}

const ADVICE: &str = "no longer lets be asked about; `hedui office withdraw`";

/// The list with one of its cells changed.
fn changed(project: &Project, list: &str, from: &str, to: &str) -> String {
    let text = std::fs::read_to_string(list).unwrap();
    assert_eq!(text.matches(from).count(), 1);
    project.write("office-later.csv", text.replace(from, to))
}

#[test]
fn an_agency_that_an_authorisation_covers_no_more_is_not_asked_by_what_was_prepared_before() {
    let (project, mut server, [office, _, _]) = served();
    let address = asked_in_vain(&project, &mut server, &office);
    let server = Server::start(&project, &address);
    let list = changed(&project, &office, "SQ1,BV,", "SQ1,B,");
    let said = project.office("request", &server, &[&list]).done();
    assert!(said.stderr.contains("had not reached the server, and is not sent"), "{}", said.stderr);
    assert!(said.stderr.contains("2 commissions filed"), "{}", said.stderr);
    project.office("fetch", &server, &[]).done();
    project.office("report", &server, &[]).done();
    let agencies = project.report("H1")["members"][0]["agencies"].clone();
    assert_eq!((&agencies[0]["state"], &agencies[1]["state"]), (&"answered".into(), &"not-covered".into()));
}

#[test]
fn what_was_filed_is_not_the_same_once_an_authorisation_or_a_person_reads_otherwise() {
    let (project, server, [office, _, _]) = served();
    project.office("request", &server, &[&office]).done();
    let later = |from: &str, to: &str| {
        let said = project.office("request", &server, &[&changed(&project, &office, from, to)]).done().stderr;
        (said.contains("1 commissions filed for 1 of 3 people; 1 households"), said.contains(ADVICE))
    };
    let said = [later("12000000001", "12000000009"), later("SQ1,", "SQ9,"), later("SQ1,BV,", "SQ1,B,")];
    assert_eq!(said, [(true, false), (true, false), (true, true)]);
}

#[test]
fn who_asks_one_agency_hears_nothing_of_what_was_asked_of_another() {
    let project = Project::new();
    let (office, ..) = files(&project);
    let server = project.server();
    project.office("request", &server, &[&office]).done();
    let mut arguments: Vec<OsString> =
        project.office_at(&server.parties, "request", &[&office]).get_args().map(Into::into).collect();
    let at = arguments.iter().position(|argument| argument == "vehicle.vehicles=L3").unwrap();
    arguments.drain(at - 1..=at);
    let said = Said::of(&hedui().args(&arguments).output().unwrap()).done();
    assert!(said.stderr.contains("1 commissions filed") && !said.stderr.contains(ADVICE), "{}", said.stderr);
}

#[test]
fn the_order_of_items_is_no_difference() {
    let project = Project::new();
    let (office, ..) = files(&project);
    let server = project.server();
    project.office("request", &server, &[&office]).done();
    let command = project.office_at(&server.parties, "request", &[&office]);
    let swapped = |argument: &std::ffi::OsStr| match argument.to_str().unwrap() {
        "bank.deposits=L3" => "vehicle.vehicles=L3".into(),
        "vehicle.vehicles=L3" => "bank.deposits=L3".into(),
        other => OsString::from(other),
    };
    let arguments: Vec<OsString> = command.get_args().map(swapped).collect();
    let said = Said::of(&hedui().args(&arguments).output().unwrap()).done();
    assert!(said.stderr.contains("0 commissions filed"), "{}", said.stderr);
}

#[test]
fn what_the_server_has_erased_counts_as_taken_back() {
    let project = Project::new();
    operators(&project);
    let (office, ..) = files(&project);
    let server = project.server();
    project.office("request", &server, &[&office]).done();
    let erased = forget(&project, "H1", &["--dry-run"]).done().stdout;
    both(&project, &server, "manifest.toml", &["erase-commissions", erased.trim()]);
    project.office("withdraw", &server, &["H1", "H2"]).done();
    assert_eq!((journal(&project, "withdrawn").len(), told(&project, "withdrawn").len()), (2, 1));
}

#[test]
fn a_number_that_nobody_has_does_not_keep_the_others_from_being_withdrawn() {
    let project = Project::new();
    let (office, ..) = files(&project);
    let server = project.server();
    project.office("request", &server, &[&office]).done();
    let said = project.office("withdraw", &server, &["H9", "H2"]);
    said.refused(1, "no commission or household has the number `H9`");
    assert_eq!(told(&project, "withdrawn").len(), 1);
}

#[test]
fn a_withdrawal_that_was_interrupted_goes_on() {
    let project = Project::new();
    let (office, ..) = files(&project);
    let server = project.server();
    project.office("request", &server, &[&office]).done();
    project.office("withdraw", &server, &["H1"]).done();
    let said = project.office("withdraw", &server, &["H1", "H2"]).done();
    assert!(said.stderr.contains("All of `H1` was withdrawn before"), "{}", said.stderr);
    assert_eq!(told(&project, "withdrawn").len(), 2);
}

#[test]
fn a_mistyped_folder_is_told_and_not_made() {
    let project = Project::new();
    let (office, ..) = files(&project);
    let server = project.server();
    project.office("request", &server, &[&office]).done();
    std::fs::rename(project.path("state"), project.path("elsewhere")).unwrap();
    let said = [("fetch", &[][..]), ("status", &[]), ("report", &[]), ("withdraw", &["H1"])]
        .map(|(verb, more)| project.office(verb, &server, more));
    let refused = |said: &Said| said.code == Some(1) && said.stderr.contains("no commission was ever prepared here");
    assert_eq!(said.each_ref().map(refused), [true; 4]);
    forget(&project, "H1", &[]).refused(1, "state: no commission was ever prepared here");
    assert!(!project.path("state").exists());
}

/// A server at which nobody matches, with two commissions that are queued beside the two that were fetched.
fn idle(project: &Project, office: &str, bank: &str, vehicle: &str) -> Server {
    let mut server = project.server();
    project.submit_both(bank, vehicle, &server);
    project.office("request", &server, &[office]).done();
    project.office("fetch", &server, &[]).done();
    let mut command = Server::command(project, "server", server.address());
    server.signal("TERM");
    command.args(["--role", "api"]);
    let idle = Server::spawn(project, command);
    project.office("request", &idle, &[office, "--again"]).done();
    idle
}

fn soon(command: &Command) -> Said {
    within(Duration::from_secs(20), with_patience(command, 2))
}

#[test]
fn what_is_not_matched_yet_keeps_nobody_from_the_other_answers() {
    let project = Project::new();
    let (office, bank, vehicle) = files(&project);
    let mut idle = idle(&project, &office, &bank, &vehicle);
    let said = soon(&project.office_at(&idle.parties, "fetch", &[])).refused(75, "2 commissions are not matched yet");
    assert!(
        said.stderr.contains("2 commissions fetched, 0 refused by the server; 2 have nothing new"),
        "{}",
        said.stderr
    );
    let kept = || std::fs::read_to_string(project.path("state/answers.jsonl")).unwrap().lines().count();
    assert_eq!(kept(), 2);
    idle.signal("TERM");
    let server = Server::start(&project, idle.address());
    let said = project.office("fetch", &server, &[]).done();
    assert!(said.stderr.contains("4 commissions fetched"), "{}", said.stderr);
    assert_eq!(kept(), 4);
}

#[test]
fn a_check_ends_where_nobody_matches() {
    let project = Project::new();
    let (office, bank, vehicle) = files(&project);
    let idle = idle(&project, &office, &bank, &vehicle);
    soon(&check(&project, &idle.parties, &office, "H1")).refused(75, "is not matched yet");
}

/// Writes what is new, which must be so many reports; what was said.
fn news(project: &Project, server: &Server, reports: u32) -> String {
    let said = project.office("report", server, &["--changes"]).done().stderr;
    assert!(said.contains(&format!("{reports} reports written")), "{said}");
    said
}

#[test]
fn a_new_commission_is_news_and_the_one_before_keeps_its_report() {
    let (project, server, [office, _, _]) = served();
    project.office("request", &server, &[&office]).done();
    project.office("fetch", &server, &[]).done();
    news(&project, &server, 2);
    news(&project, &server, 0);
    let before = project.report("H1");
    project.office("request", &server, &[&office, "--again"]).done();
    project.office("fetch", &server, &[]).done();
    news(&project, &server, 2);
    assert_ne!(project.report("H1")["commission"], before["commission"]);
    assert_eq!(project.report(&format!("H1-{}", before["commission_no"].as_str().unwrap())), before);
    news(&project, &server, 0);
}

#[test]
fn what_an_agency_says_besides_records_is_news() {
    let project = Project::new();
    let (office, bank, vehicle) = files(&project);
    let server = project.server();
    project.encode("bank", &bank, "bank").done();
    project.submit("bank", "bank", &server).done();
    project.office("request", &server, &[&office, "--standing"]).done();
    project.office("fetch", &server, &[]).done();
    news(&project, &server, 2);
    // the vehicle register had submitted nothing
    project.encode("vehicle", &vehicle, "vehicle").done();
    project.submit("vehicle", "vehicle", &server).done();
    until(|| {
        project.office("fetch", &server, &[]).done();
        let answers = std::fs::read_to_string(project.path("state/answers.jsonl")).unwrap();
        answers.lines().all(|line| serde_json::from_str::<Value>(line).unwrap()["version"] == 2)
    });
    let said = news(&project, &server, 2);
    assert!(said.contains("2 of them say something that the ones before did not"), "{said}");
    let change = serde_json::json!([{ "row_id": "O1", "agency": "vehicle", "what": "answer" }]);
    assert_eq!(project.report("H1")["changes"], change);
    assert!(std::fs::read_to_string(project.path("reports/report-H1.html")).unwrap().contains("反馈有变"));
    news(&project, &server, 0);
}

#[test]
fn a_report_that_a_crash_has_torn_is_written_again() {
    let (project, server, [office, _, _]) = served();
    project.office("request", &server, &[&office]).done();
    project.office("fetch", &server, &[]).done();
    news(&project, &server, 2);
    let (path, whole) = (project.path("reports/report-H1.json"), project.report("H1"));
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, &text[..text.len() / 2]).unwrap();
    news(&project, &server, 1);
    assert_eq!(project.report("H1")["members"], whole["members"]);
}

#[test]
fn a_check_tells_what_is_asked_now_or_that_nobody_may_be_asked_about() {
    let (project, server, [office, _, _]) = served();
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
    assert_eq!(window(within(&office, &["--json"])), usual, "a period that somebody named is not the usual one");
    assert_eq!(journal(&project, "filed").len(), 2);
    let (from, to) = (usual["from"].as_str().unwrap(), usual["to"].as_str().unwrap());
    let said = within(&office, &[]).done().stdout;
    assert!(said.contains(&format!("· dibao · {from} to {to}")), "{said}");
    within(&office, &["--from", "2020-02-01", "--to", "2020-01-01"]).refused(2, "`--from` is after `--to`");
    let text = std::fs::read_to_string(&office).unwrap();
    let list = project.write("office-later.csv", text.replace("SQ1,BV,valid", "SQ1,BV,withdrawn"));
    within(&list, &[]).refused(1, "nobody of this household may be asked about");
}
