//! kill -9 of the server, a worker, an agency or the office at random moments of the journey; then the same command again, and the
//! answers are those of a journey that nobody disturbed, and nothing went to anybody else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::audit::{export, holds, receipts, verify};
use crate::harness::{AGENCIES, OFFICE, OTHER_OFFICE, Project, Said, Server, hedui, on_both_stores};
use crate::journey::files;

/// Kills of what is under way on each kind of store, where `HEDUI_KILLS` says nothing else.
const KILLS: u32 = 200;
/// Milliseconds; most commands take less, so that some moments come when they are over.
const LATEST: u64 = 45;

/// What the commands say.
const SAID: &str = "said.log";

/// A command that takes longer waits for something that does not come.
const PATIENCE: Duration = Duration::from_secs(40);

on_both_stores! { killed_at_any_moment_all_goes_on_and_nothing_is_lost }

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

struct Journey<'j> {
    project: &'j Project,
    server: Server,
    /// On shared stores another process does the work.
    worker: Option<Server>,
    dice: Dice,
    kills: u32,
    moments: Vec<String>,
}

impl Journey<'_> {
    /// Runs a command until it succeeds; the first time somebody is killed while it runs.
    fn step(&mut self, name: &str, command: impl Fn(&Server) -> Command) {
        let mut child = self.quiet(command(&self.server));
        let moment = Duration::from_millis(self.dice.below(LATEST));
        std::thread::sleep(moment);
        let others = 2 + u64::from(self.worker.is_some());
        let whom = ["server", "client", "worker"][self.dice.below(others) as usize];
        let was_over = child.try_wait().unwrap().is_some();
        match (whom, &mut self.worker) {
            ("server", _) => {
                let address = self.server.address().to_owned();
                self.server.kill();
                self.server = serving(self.project, &address);
            }
            ("worker", Some(worker)) => {
                worker.kill();
                *worker = working(self.project);
            }
            _ => child.kill().unwrap(),
        }
        self.kills += u32::from(!was_over);
        self.moments.push(format!("{name} {whom} {moment:?}{}", if was_over { " (over)" } else { "" }));
        let mut code = self.end_of(name, child);
        let since = Instant::now();
        while code != Some(0) {
            // killed by us; or the other side is away: the same command again
            let again = code.is_none() || code == Some(75) && since.elapsed() < PATIENCE;
            assert!(again, "{name} ended with {code:?}; {SAID} ends with {}\n{:?}", self.last_words(), self.moments);
            code = self.end_of(name, self.quiet(command(&self.server)));
        }
    }

    /// The end of what the commands have said.
    fn last_words(&self) -> String {
        let said = std::fs::read_to_string(self.project.path(SAID)).unwrap_or_default();
        said.lines().rev().take(3).collect::<Vec<_>>().join(" / ")
    }

    /// What it says goes into a file, which is searched at the end.
    fn quiet(&self, mut command: Command) -> Child {
        let said = File::options().create(true).append(true).open(self.project.path(SAID)).unwrap();
        command.stdout(said.try_clone().unwrap()).stderr(said).spawn().unwrap()
    }

    /// The exit code; a command that waits for what has been lost would wait for ever.
    fn end_of(&self, name: &str, mut child: Child) -> Option<i32> {
        let since = Instant::now();
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status.code();
            }
            if since.elapsed() > PATIENCE {
                child.kill().unwrap();
                panic!("{name} goes on for more than {PATIENCE:?}: something was lost\n{:?}", self.moments);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// A number that the environment sets.
pub fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// The server that parties reach; on shared stores it leaves the work to another.
fn serving(project: &Project, listen: &str) -> Server {
    let mut command = Server::command(project, "server", listen);
    if project.stores.is_some() {
        command.args(["--role", "api"]);
    }
    Server::spawn(project, command)
}

fn working(project: &Project) -> Server {
    let mut command = Server::command(project, "worker", "127.0.0.1:0");
    command.args(["--role", "worker"]);
    Server::spawn(project, command)
}

fn killed_at_any_moment_all_goes_on_and_nothing_is_lost(project: Project) {
    let seed = number("HEDUI_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let wanted = number("HEDUI_KILLS").map_or(KILLS, |kills| u32::try_from(kills).unwrap());
    println!("HEDUI_SEED={seed}");
    let (office, bank, vehicle) = files(&project);
    let server = serving(&project, "127.0.0.1:0");
    let worker = project.stores.is_some().then(|| working(&project));
    let mut journey = Journey { project: &project, server, worker, dice: Dice(seed), kills: 0, moments: Vec::new() };
    let data = [("bank", &bank), ("vehicle", &vehicle)];
    // a delta of one who is deleted, and nobody else
    let header = std::fs::read_to_string(&bank).unwrap().lines().next().unwrap().to_owned() + "\n";
    let (nobody, gone) = (project.write("nobody.csv", header), project.write("gone.csv", "id\nB4\n"));
    let mut round = 0;
    while journey.kills < wanted {
        for (agency, data) in data {
            let out = project.text(&format!("{agency}-{round}"));
            journey.step("encode", |_| {
                // what a killed encoder had finished stays
                let _ = std::fs::remove_dir_all(&out);
                project.agency("encode", agency, &[data, "--out", &out])
            });
            journey.step("submit", |server| with(project.agency("submit", agency, &[&out]), server, &project, agency));
        }
        let (whole, delta) = (project.text(&format!("bank-{round}")), project.text(&format!("delta-{round}")));
        journey.step("encode a delta", |_| {
            let _ = std::fs::remove_dir_all(&delta);
            project.agency("encode", "bank", &[&nobody, "--out", &delta, "--base", &whole, "--delete", &gone])
        });
        journey.step("submit a delta", |server| {
            with(project.agency("submit", "bank", &[&delta]), server, &project, "bank")
        });
        journey.step("request", |server| project.office_at(&server.parties, "request", &[&office, "--again"]));
        // matched again whenever a set comes, in this round and each later one
        let standing = [&office, "--again", "--together", "--standing"];
        journey.step("request standing", |server| of_other(&project.office_at(&server.parties, "request", &standing)));
        journey.step("fetch", |server| project.office_at(&server.parties, "fetch", &[]));
        let answer =
            |server: &Server| with(project.agency("answer", "vehicle", &[&vehicle]), server, &project, "vehicle");
        journey.step("answer", answer);
        journey.step("fetch", |server| project.office_at(&server.parties, "fetch", &[]));
        journey.step("fetch standing", |server| of_other(&project.office_at(&server.parties, "fetch", &[])));
        journey.step("report", |server| project.office_at(&server.parties, "report", &[]));
        round += 1;
    }
    let (kills, moments) = (journey.kills, &journey.moments);
    println!("{kills} kills of what was under way, at {} moments in {round} rounds: {moments:?}", moments.len());

    // nobody disturbs any more: what was acknowledged is there, and each commission has the answers that it must have
    let server = &journey.server;
    project.answer("vehicle", &vehicle, server).done();
    for verb in ["fetch", "report"] {
        Said::of(&project.office_at(&server.parties, verb, &[]).output().unwrap()).done();
    }
    Said::of(&of_other(&project.office_at(&server.parties, "fetch", &[])).output().unwrap()).done();
    let mut seen = 0;
    for entry in std::fs::read_dir(project.path("reports")).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.extension().is_none_or(|kind| kind != "json") {
            continue;
        }
        let report: serde_json::Value = serde_json::from_slice(&std::fs::read(&entry).unwrap()).unwrap();
        let agencies = &report["members"][0]["agencies"];
        let values = |agency: usize| {
            let records = agencies[agency]["records"].as_array().unwrap();
            records.iter().map(|record| record["items"][0]["payload"]["values"].clone()).collect::<Vec<_>>()
        };
        if report["household"] == "H1" {
            assert_eq!(values(0), [serde_json::json!({ "accounts": "2", "balance": "70123.45" })], "{report}");
            assert_eq!((agencies[1]["state"].as_str(), values(1).len()), (Some("no-record"), 0), "{report}");
            assert_eq!(report["members"][1]["excluded"], "withdrawn");
        } else {
            assert_eq!(agencies[0]["state"], "not-covered", "{report}");
            assert_eq!(values(1), [serde_json::json!({ "vehicle_price": "123456.78", "vehicles": "1" })], "{report}");
        }
        seen += 1;
    }
    assert!(seen >= 2 * round, "{seen} reports of {round} rounds");
    crate::leaks::nothing_in("what the commands said", &std::fs::read(project.path(SAID)).unwrap());
    let data = project.text(if journey.worker.is_some() { "worker" } else { "server" });
    let doctor = hedui().args(["server", "doctor", "--data", &data]).args(project.store_arguments()).output();
    Said::of(&doctor.unwrap()).done();
    each_was_told_what_is_its_own(&project);
}

/// By the log, which holds against what every party has seen, and by what the offices have.
fn each_was_told_what_is_its_own(project: &Project) {
    export(project, "log").done();
    let parties = AGENCIES.into_iter().chain([OFFICE, OTHER_OFFICE]);
    let against: Vec<String> = parties.flat_map(|party| ["--against".into(), receipts(project, party)]).collect();
    let against: Vec<&str> = against.iter().map(String::as_str).collect();
    let verdict = holds(verify(&project.text("log"), &against));
    assert_eq!(verdict["findings"].as_array().map(Vec::len), Some(0), "{verdict}");

    let lines = |file: &str| -> Vec<Value> {
        let text = std::fs::read_to_string(project.path(file)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let all = |file: &str, name: &str| -> BTreeSet<String> {
        lines(file).iter().filter_map(|line| line[name].as_str().map(str::to_owned)).collect()
    };
    let mut filed: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (office, state) in [(OFFICE, "state"), (OTHER_OFFICE, "other-state")] {
        let own = all(&format!("{state}/commissions.jsonl"), "filed");
        let came = all(&format!("{state}/answers.jsonl"), "commission");
        assert!(!came.is_empty() && came.is_subset(&own), "{office} has what is another's: {came:?}, {own:?}");
        filed.insert(office, own);
    }
    let released = lines("log/entries.jsonl").into_iter().filter(|entry| entry["what"] == "released");
    let mut told = BTreeSet::new();
    for entry in released {
        let (office, commission) = (entry["office"].as_str().unwrap(), entry["commission"].as_str().unwrap());
        assert!(filed[office].contains(commission), "{entry}");
        told.insert(office.to_owned());
    }
    assert_eq!(told, BTreeSet::from([OFFICE.to_owned(), OTHER_OFFICE.to_owned()]));
}

/// The same command of the other office.
fn of_other(command: &Command) -> Command {
    let mut other = hedui();
    let own = |argument: &str| argument.replace(OFFICE, OTHER_OFFICE).replace("/state", "/other-state");
    other.args(command.get_args().map(|argument| own(argument.to_str().unwrap())));
    other
}

fn with(mut command: Command, server: &Server, project: &Project, party: &str) -> Command {
    command.args(server.arguments(project, party));
    command
}
