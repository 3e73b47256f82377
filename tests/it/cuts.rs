//! A line that breaks every so many bytes: each command goes on trying, and in the end everything is as on a good line.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::harness::{Project, Said, Server, on_both_stores};
use crate::journey::files;
use crate::kills::{Dice, number};

/// A handshake takes about 4,000 bytes; what is cut before its end brings nobody further.
const LEAST: u64 = 1_000;
const MOST: u64 = 20_000;
const PATIENCE: Duration = Duration::from_secs(120);

on_both_stores! { a_line_that_breaks_again_and_again_loses_and_doubles_nothing }

/// Passes bytes on between parties and a server, and cuts each connection after a number of them, in both directions together.
struct BadLine {
    url: String,
    cuts: Arc<AtomicU32>,
}

impl BadLine {
    fn start(server: &Server, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let (to, cuts, mut dice) = (server.address().to_owned(), Arc::new(AtomicU32::new(0)), Dice(seed));
        let counted = Arc::clone(&cuts);
        std::thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                let Ok(server) = TcpStream::connect(&to) else { continue };
                let left = Arc::new(AtomicI64::new((LEAST + dice.below(MOST - LEAST)).cast_signed()));
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let ends = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let (left, cuts) = (Arc::clone(&left), Arc::clone(&counted));
                    std::thread::spawn(move || pass_on(ends, &left, &cuts));
                }
            }
        });
        Self { url, cuts }
    }
}

fn pass_on((mut from, mut to): (TcpStream, TcpStream), left: &AtomicI64, cuts: &AtomicU32) {
    let mut some = [0; 512];
    while let Ok(length @ 1..) = from.read(&mut some) {
        if left.fetch_sub(length as i64, Ordering::SeqCst) < length as i64 {
            cuts.fetch_add(1, Ordering::SeqCst);
            break;
        }
        if to.write_all(&some[..length]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

fn a_line_that_breaks_again_and_again_loses_and_doubles_nothing(project: Project) {
    let seed = number("HEDUI_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("HEDUI_SEED={seed}");
    let (office, bank, vehicle) = files(&project);
    let server = project.server();
    let line = BadLine::start(&server, seed);
    project.encode("bank", &bank, "bank").done();
    project.encode("vehicle", &vehicle, "vehicle").done();
    let agency = |verb: &str, name: &str, data: &str| {
        let mut command = project.agency(verb, name, &[data]);
        command.args(project.reach(&line.url, name));
        command
    };
    let steps = [
        ("submit", agency("submit", "bank", &project.text("bank"))),
        ("submit", agency("submit", "vehicle", &project.text("vehicle"))),
        ("request", project.office_at(&line.url, "request", &[&office])),
        ("fetch", project.office_at(&line.url, "fetch", &[])),
        ("answer", agency("answer", "vehicle", &vehicle)),
        ("fetch again", project.office_at(&line.url, "fetch", &[])),
        ("report", project.office_at(&line.url, "report", &[])),
    ];
    for (name, mut command) in steps {
        let since = Instant::now();
        loop {
            let said = Said::of(&command.output().unwrap());
            if said.code == Some(0) {
                break;
            }
            let again = said.code == Some(75) && since.elapsed() < PATIENCE;
            assert!(again, "{name}, HEDUI_SEED={seed}: {:?} {}", said.code, said.stderr);
        }
    }
    let cuts = line.cuts.load(Ordering::SeqCst);
    println!("{cuts} cuts");
    assert!(cuts > 0, "the line was good, HEDUI_SEED={seed}");
    let answer = |household: &str, agency: usize| project.report(household)["members"][0]["agencies"][agency].clone();
    assert_eq!(answer("H1", 0)["records"][0]["items"][0]["payload"]["values"]["balance"], "70123.45");
    assert_eq!(answer("H2", 1)["records"][0]["items"][0]["payload"]["values"]["vehicle_price"], "123456.78");
    assert_eq!(answer("H1", 0)["records"].as_array().unwrap().len(), 1);
    let status = Said::of(&project.office_at(&server.parties, "status", &[]).output().unwrap()).done();
    assert!(status.stdout.starts_with("2 "), "filed twice: {}", status.stdout);
    assert!(status.stdout.contains("0 pending"), "{}", status.stdout);
}
