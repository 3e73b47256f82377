//! Interrupts and kills at any moment, on every side: whoever runs the same command again loses nothing.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::harness::{Project, Said, Server, hedui, on_both_stores, run, signal, with_patience};
use crate::leaks::plant_people;

on_both_stores! { a_server_that_is_asked_to_stop_at_work_stops_and_loses_nothing }

/// A city large enough that an interrupt falls into the middle of something.
pub fn city(project: &Project, people: &str) -> String {
    run(&["synth", "--out", &project.text("city"), "--people", people, "--seed", "5"]).done();
    plant_people(&project.path("city/bank.csv"));
    project.text("city")
}

/// What the parties run one after another, each with the server at `url`.
fn journey(project: &Project, city: &str, url: &str) -> Vec<(&'static str, Command)> {
    let file = |name: &str| format!("{city}/{name}.csv");
    let agency = |verb: &str, name: &str, data: &str| {
        let mut command = project.agency(verb, name, &[data]);
        command.args(project.reach(url, name));
        command
    };
    let office = |verb: &str, more: &[&str]| project.office_at(url, verb, more);
    vec![
        ("submit bank", agency("submit", "bank", &project.text("bank"))),
        ("submit vehicle", agency("submit", "vehicle", &project.text("vehicle"))),
        ("request", office("request", &[&file("office")])),
        ("fetch", office("fetch", &[])),
        ("answer vehicle", agency("answer", "vehicle", &file("vehicle"))),
        ("answer bank", agency("answer", "bank", &file("bank"))),
        ("fetch again", office("fetch", &[])),
        ("report", office("report", &[])),
    ]
}

fn encoded_city(project: &Project, people: &str) -> String {
    let city = city(project, people);
    for agency in ["bank", "vehicle"] {
        project.encode(agency, &format!("{city}/{agency}.csv"), agency).done();
    }
    city
}

/// Every household's report is there once, all that is due has come, and what came was opened.
pub fn all_is_reported(project: &Project) {
    let reports = std::fs::read_dir(project.path("reports")).unwrap().map(|entry| entry.unwrap().path());
    let json = reports.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    let texts: Vec<String> = json.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let count =
        |state: &str| texts.iter().map(|text| text.matches(&format!("\"state\": \"{state}\"")).count()).sum::<usize>();
    assert!(count("answered") > 50, "{} answered", count("answered"));
    assert_eq!((count("pending"), count("not-submitted")), (0, 0));
    assert!(!texts.iter().any(|text| text.contains("unopened")));
}

#[test]
fn an_interrupted_client_goes_on_where_it_stopped() {
    let project = Project::new();
    let city = encoded_city(&project, "6000");
    let server = project.server();
    for (name, mut command) in journey(&project, &city, &server.parties) {
        for (milliseconds, with) in [(15, "INT"), (60, "TERM"), (150, "INT")] {
            let child = command.stderr(Stdio::piped()).spawn().unwrap();
            ends_at_once(name, child, milliseconds, with);
        }
        Said::of(&command.output().unwrap()).done();
    }
    all_is_reported(&project);
    let households = std::fs::read_to_string(format!("{city}/office.csv")).unwrap();
    let households: std::collections::BTreeSet<&str> = households
        .lines()
        .skip(1)
        .filter(|row| row.ends_with(",valid"))
        .filter_map(|row| row.rsplit(',').nth(4))
        .collect();
    let mut status = project.office_at(&server.parties, "status", &[]);
    let said = Said::of(&status.output().unwrap()).done();
    let filed: usize = said.stdout.split(' ').next().unwrap().parse().unwrap();
    assert!(filed <= households.len() && filed > households.len() / 2, "{filed} of {}", households.len());
    let reports = std::fs::read_dir(project.path("reports")).unwrap().count();
    assert_eq!(reports, 2 * filed, "one commission a household, none twice");
}

/// Interrupts a child after some milliseconds; it ends soon: done, interrupted, or before it listened.
fn ends_at_once(name: &str, child: Child, milliseconds: u64, with: &str) -> Option<i32> {
    std::thread::sleep(Duration::from_millis(milliseconds));
    signal(&child, with);
    let since = std::time::Instant::now();
    let output = child.wait_with_output().unwrap();
    assert!(since.elapsed() < Duration::from_secs(5), "{name} goes on after SIG{with}");
    let Said { code, stderr, .. } = Said::of(&output);
    assert!(matches!(code, Some(0 | 130) | None), "{name}: {code:?} {stderr}");
    code
}

/// Runs every step while the server is ended in its midst and started again; the client knows nothing of it.
fn server_ends_at_every_step(project: &Project, end: impl Fn(&mut Server, usize)) {
    let city = encoded_city(project, "4000");
    let mut server = project.server();
    let address = server.address().to_owned();
    for (number, (name, mut command)) in journey(project, &city, &server.parties).into_iter().enumerate() {
        let moment = Duration::from_millis(20 + 37 * number as u64 % 160);
        let child = command.stderr(Stdio::piped()).spawn().unwrap();
        std::thread::sleep(moment);
        end(&mut server, number);
        server = Server::start(project, &address);
        let output = child.wait_with_output().unwrap();
        let Said { code, stderr, .. } = Said::of(&output);
        assert_eq!(code, Some(0), "{name}, ended after {moment:?}: {stderr}");
    }
    all_is_reported(project);
}

#[test]
fn a_server_killed_at_any_moment_loses_nothing_that_it_acknowledged() {
    server_ends_at_every_step(&Project::new(), |server, _| server.kill());
}

fn a_server_that_is_asked_to_stop_at_work_stops_and_loses_nothing(project: Project) {
    server_ends_at_every_step(&project, |server, step| {
        let code = server.signal(["INT", "TERM"][step % 2]);
        assert_eq!(code, Some(0), "{}", std::fs::read_to_string(&server.log).unwrap());
    });
}

/// The database goes away while a command runs, and comes back: the command ends well, or the same one does.
#[test]
fn a_database_that_restarts_at_any_moment_loses_nothing() {
    let mut project = Project::new().on_shared_stores();
    let city = encoded_city(&project, "4000");
    let server = project.server();
    let mut under_way = 0;
    for (number, (name, command)) in journey(&project, &city, &server.parties).into_iter().enumerate() {
        let run = || with_patience(&command, 60).stderr(Stdio::piped()).spawn().unwrap();
        let mut child = run();
        std::thread::sleep(Duration::from_millis(20 + 37 * number as u64 % 160));
        under_way += usize::from(child.try_wait().unwrap().is_none());
        project.stores.as_mut().unwrap().postgres.restart();
        let first = Said::of(&child.wait_with_output().unwrap());
        assert!(matches!(first.code, Some(0 | 75)), "{name}: {:?} {}", first.code, first.stderr);
        if first.code == Some(75) {
            Said::of(&run().wait_with_output().unwrap()).done();
        }
    }
    assert!(under_way >= 6, "{under_way} of 8 commands were under way");
    all_is_reported(&project);
}

#[test]
fn who_waits_for_a_server_or_for_input_can_be_interrupted() {
    let project = Project::new();
    let (office, bank, _) = crate::journey::files(&project);
    let mut server = project.server();
    project.encode("bank", &bank, "bank").done();
    project.submit("bank", "bank", &server).done();
    project.office("request", &server, &[&office]).done();
    server.kill();
    for verb in ["fetch", "status"] {
        let child = project.office_at(&server.parties, verb, &[]).stderr(Stdio::piped()).spawn().unwrap();
        assert_eq!(ends_at_once(verb, child, 600, "INT"), Some(130));
    }
    let mut encode = project.agency("encode", "bank", &["-", "--out", &project.text("out")]);
    let child = encode.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    assert_eq!(ends_at_once("encode -", child, 300, "INT"), Some(130));
    assert!(!project.path("out").exists() && !project.path(".out.partial").exists());
}

/// Interrupts a command that writes `out` in one step: all of it is there, or nothing.
fn whole_or_not_at_all(folder: &Path, out: &Path, mut command: impl FnMut() -> Command) {
    for (milliseconds, with) in [(30u64, "INT"), (250, "INT"), (450, "TERM"), (350, "HUP")] {
        let child = command().stderr(Stdio::piped()).spawn().unwrap();
        let code = ends_at_once("the command", child, milliseconds, with);
        let left = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let left: Vec<String> = left.filter(|name| name.contains("partial")).collect();
        // before the handler is there, the signal ends the process itself, which has written nothing yet
        assert!(left.is_empty(), "{left:?}");
        assert_eq!(out.exists(), code == Some(0), "exit {code:?}");
        if out.is_dir() {
            std::fs::remove_dir_all(out).unwrap();
        } else if out.exists() {
            std::fs::remove_file(out).unwrap();
        }
    }
}

#[test]
fn an_interrupt_leaves_nothing_half_written() {
    let project = Project::new();
    let city = city(&project, "60000");
    let folder = project.folder.path();
    let (bank, key) = (format!("{city}/bank.csv"), project.text("linkage.key"));
    let out = |name: &str| project.text(name);
    whole_or_not_at_all(folder, &project.path("out"), || {
        project.agency("encode", "bank", &[&bank, "--out", &out("out")])
    });
    whole_or_not_at_all(folder, &project.path("pairs.csv"), || {
        let mut command = hedui();
        command.args(["link", &bank, &bank, "--schema", "resident-cn", "--key-file", &key, "--out", &out("pairs.csv")]);
        command
    });
    whole_or_not_at_all(folder, &project.path("other"), || {
        let mut command = hedui();
        command.args(["synth", "--out", &out("other"), "--people", "200000"]);
        command
    });
}
