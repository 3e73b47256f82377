//! What is done to a server beside its routes stands in its log: what it serves with, new certificates, repairs.

use std::path::PathBuf;
use std::time::Duration;

use hedui_protocol::log::{Entry, Event};

use crate::audit::{export, findings, verify};
use crate::doctor::sqlite;
use crate::harness::{Project, Said, Server, hedui, on_both_stores, within};
use crate::journey::files;

on_both_stores! { a_server_says_what_it_serves_with_when_that_is_other_than_before }

/// What the log says that operators did beside the server.
pub fn acts(project: &Project) -> Vec<String> {
    let _ = std::fs::remove_dir_all(project.path("acts"));
    export(project, "acts").done();
    // what was done while no server ran is signed by the next one
    let said = verify(&project.text("acts"), &[]);
    assert!(said.code == Some(0) || findings(&said) == ["unsigned"], "{}", said.stdout);
    let entries = std::fs::read_to_string(project.path("acts/entries.jsonl")).unwrap();
    let entries = entries.lines().map(|line| Entry::parse(line.as_bytes()).unwrap().event);
    let act = |event| match event {
        Event::Administered { act } => Some(act),
        _ => None,
    };
    entries.filter_map(act).collect()
}

fn a_server_says_what_it_serves_with_when_that_is_other_than_before(project: Project) {
    let serve = |more: &[&str]| {
        let mut command = Server::command(&project, "server", "127.0.0.1:0");
        let mut server = Server::spawn(&project, {
            command.args(more);
            command
        });
        server.signal("TERM");
        acts(&project)
    };
    for (more, entries, says) in [
        (&[][..], 1, "rate 500"),
        (&[], 1, "no revocation list"),
        (&["--rate", "50"], 2, "rate 50"),
        (&["--rate", "50", "--memory", "2G"], 2, "rate 50"),
        // it answers no party
        (&["--rate", "70", "--role", "worker"], 2, "rate 50"),
        (&[], 3, "rate 500"),
    ] {
        let acts = serve(more);
        assert_eq!(acts.len(), entries, "{more:?}: {acts:?}");
        assert!(acts[entries - 1].contains(says), "{more:?}: {acts:?}");
    }
}

#[test]
fn a_server_whose_log_cannot_be_written_is_to_be_started_again() {
    let project = Project::new();
    drop(project.server());
    let refuse = "CREATE TRIGGER closed BEFORE INSERT ON log_entries WHEN NEW.what = 'administered'
                  BEGIN SELECT RAISE(ABORT, 'the log is closed'); END";
    sqlite(&project, refuse);
    let mut command = Server::command(&project, "server", "127.0.0.1:0");
    command.args(["--rate", "50"]);
    within(Duration::from_secs(20), command).refused(75, "the log is closed");
}

#[test]
fn a_repair_is_entered_and_a_look_is_not() {
    let project = Project::new();
    let (_, bank, _) = files(&project);
    let mut server = project.server();
    project.encode("bank", &bank, "bank").done();
    project.submit("bank", "bank", &server).done();
    server.signal("TERM");
    let doctor = |more: &[&str]| {
        let mut command = hedui();
        Said::of(&command.args(["server", "doctor", "--data", &project.text("server")]).args(more).output().unwrap())
    };
    let before = acts(&project);
    doctor(&["--repair"]).done();
    assert_eq!(acts(&project), before, "nothing was to be repaired");
    let index = std::fs::read_dir(project.path("server/index")).unwrap().next().unwrap().unwrap().path();
    let files: Vec<PathBuf> = std::fs::read_dir(&index).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.iter().for_each(|file| std::fs::write(file, "torn").unwrap());
    doctor(&[]).refused(1, "1 thing is wrong");
    assert_eq!(acts(&project), before);
    doctor(&["--repair"]).done();
    let after = acts(&project);
    assert_eq!(after.len(), before.len() + 1, "{after:?}");
    assert!(after[before.len()].starts_with("removed the damaged index of batch "), "{after:?}");
    doctor(&["--repair"]).done();
    assert_eq!(acts(&project), after);
}
