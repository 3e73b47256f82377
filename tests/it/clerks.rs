//! Several clerks at one state folder: nothing is lost between them, and nothing that one takes back is sent by another.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use crate::desk::{check, journal, said_of, served, told};
use crate::harness::{Project, Said, Server, hedui, until, with_patience};
use crate::journey::files;

/// A line to a server on which nothing passes until it is opened.
struct HeldLine {
    url: String,
    open: Arc<AtomicBool>,
    calls: Arc<AtomicU32>,
}

impl HeldLine {
    fn start(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let (to, open, calls) =
            (server.address().to_owned(), Arc::<AtomicBool>::default(), Arc::<AtomicU32>::default());
        let (opened, counted) = (Arc::clone(&open), Arc::clone(&calls));
        std::thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                counted.fetch_add(1, Ordering::SeqCst);
                let Ok(server) = TcpStream::connect(&to) else { continue };
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (from, to, open) = (from.try_clone().unwrap(), to.try_clone().unwrap(), Arc::clone(&opened));
                    std::thread::spawn(move || pass_on(from, to, &open));
                }
            }
        });
        Self { url, open, calls }
    }

    /// Somebody is waiting for an answer.
    fn is_called(&self) -> bool {
        self.calls.load(Ordering::SeqCst) > 0
    }

    fn open(&self) {
        self.open.store(true, Ordering::SeqCst);
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, open: &AtomicBool) {
    let mut some = [0; 4096];
    while let Ok(length @ 1..) = from.read(&mut some) {
        while !open.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
        if to.write_all(&some[..length]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

fn begun(mut command: Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn ended(child: Child) -> Said {
    Said::of(&child.wait_with_output().unwrap())
}

#[test]
fn two_clerks_at_one_folder_lose_nothing() {
    let (project, server, [office, _, _]) = served();
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
fn what_is_taken_back_while_another_sends_it_is_taken_back_at_the_server_too() {
    let (project, server, [office, _, _]) = served();
    let line = HeldLine::start(&server);
    let sending = begun(project.office_at(&line.url, "request", &[&office]));
    until(|| line.is_called());
    let said = project.office("withdraw", &server, &["H1"]).done();
    assert!(said.stderr.contains("had not reached the server, and is not sent"), "{}", said.stderr);
    line.open();
    let said = ended(sending).done();
    assert!(said.stderr.contains("1 commissions filed for 1 of 3 people"), "{}", said.stderr);
    let withdrawn = told(&project, "withdrawn");
    assert_eq!(withdrawn.len(), 1, "{}", said.stderr);
    assert_eq!(
        (journal(&project, "unsent"), journal(&project, "withdrawn").len()),
        (journal(&project, "withdrawn"), 1)
    );
    let said = project.office("fetch", &server, &[]).done();
    assert!(said.stderr.contains("1 commissions fetched"), "H2's: {}", said.stderr);
}

/// One clerk's fetch that waits while others do something.
fn while_one_fetches(project: &Project, office: &str, others: impl FnOnce(&Server)) -> String {
    let (_, bank, vehicle) = files(project);
    let server = project.server();
    project.submit_both(&bank, &vehicle, &server);
    project.office("request", &server, &[office]).done();
    project.office("fetch", &server, &[]).done();
    let line = HeldLine::start(&server);
    let slow = begun(project.office_at(&line.url, "fetch", &[]));
    until(|| line.is_called());
    others(&server);
    line.open();
    ended(slow).done();
    std::fs::read_to_string(project.path("state/answers.jsonl")).unwrap()
}

#[test]
fn what_another_fetches_meanwhile_stays() {
    let project = Project::new();
    let (office, ..) = files(&project);
    let answers = while_one_fetches(&project, &office, |server| {
        project.office("request", server, &[&office, "--again"]).done();
        project.office("fetch", server, &[]).done();
    });
    assert_eq!(answers.lines().count(), 4);
}

#[test]
fn what_is_forgotten_meanwhile_is_not_written_back() {
    let project = Project::new();
    let (office, ..) = files(&project);
    let vehicle = project.text("vehicle.csv");
    let answers = while_one_fetches(&project, &office, |server| {
        project.answer("vehicle", &vehicle, server).done();
        let forget = hedui().args(["office", "forget", "H2", "--state", &project.text("state")]).output().unwrap();
        Said::of(&forget).done();
    });
    assert_eq!(answers.lines().count(), 1, "H1's");
}

#[test]
fn what_a_killed_fetch_left_is_removed_by_the_next() {
    let project = Project::new();
    let (office, ..) = files(&project);
    while_one_fetches(&project, &office, |_| drop(project.write("state/.answers.killed", "{}")));
    assert!(!project.path("state/.answers.killed").exists());
}

#[test]
fn lists_that_are_filed_together_leave_each_other_alone() {
    let project = Project::new();
    let (office, ..) = files(&project);
    let text = std::fs::read_to_string(&office).unwrap();
    let without = |household: &str| {
        let lines = text.lines().filter(|line| !line.contains(&format!(",{household},")));
        lines.map(|line| format!("{line}\n")).collect::<String>()
    };
    let lists = ["H2", "H1"].map(|household| project.write(&format!("without-{household}.csv"), without(household)));
    let mut server = project.server();
    let address = server.address().to_owned();
    server.signal("TERM");
    let lost = project.office_at(&server.parties, "request", &[&lists[0], "--together"]);
    Said::of(&with_patience(&lost, 1).output().unwrap()).refused(75, "");
    let server = Server::start(&project, &address);
    for list in [&lists[1], &lists[0], &lists[1]] {
        let said = project.office("request", &server, &[list, "--together"]).done();
        for words in ["is not sent", "ask something else", "no longer lets be asked about"] {
            assert!(!said.stderr.contains(words), "{}", said.stderr);
        }
    }
    assert_eq!((journal(&project, "prepared").len(), journal(&project, "filed").len()), (2, 2));
}
