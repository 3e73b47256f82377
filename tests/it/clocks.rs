//! Clocks that are set, forward and back, while a server runs: nothing is released by a wrong one, and nothing lost.
//!
//! The server runs in this process, by a clock that the test sets; parties are processes, with the machine's.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hedui::clock::Clock;
use hedui::server::{CertificateFiles, Config, Database, Places, Role};
use hedui::transport::tls::Identity;
use tokio::sync::oneshot;
use url::Url;

use crate::audit::{export, verify};
use crate::harness::{Project, Said, on_both_stores, with_patience, within};
use crate::journey::files;
use crate::postgres::PASSWORD;

on_both_stores! {
    a_ticket_that_a_wrong_clock_takes_for_ended_releases_nothing_until_the_clock_is_right,
    a_job_that_a_wrong_clock_put_off_is_done_once_the_clock_is_right,
    what_a_standing_commission_needs_survives_a_clock_that_is_ahead,
}

const HOUR: i64 = 3600;
const TEN_DAYS: i64 = 240 * HOUR;

/// A server in this process; its end is a crash.
pub struct Inside<'p> {
    project: &'p Project,
    /// Its thread, and what ends it.
    running: Option<(JoinHandle<()>, oneshot::Sender<()>)>,
    url: String,
    ahead: Arc<AtomicI64>,
}

impl<'p> Inside<'p> {
    fn start(project: &'p Project, folder: &str, role: Role, ahead: i64) -> Self {
        Self::trusting(project, folder, role, ahead, Clock::System.settles())
    }

    /// By a clock that is trusted once it has run evenly for so long.
    pub fn trusting(project: &'p Project, folder: &str, role: Role, ahead: i64, settles: Duration) -> Self {
        let ahead = Arc::new(AtomicI64::new(ahead));
        let (config, clock) = (config(project, folder, role), Clock::Ahead(Arc::clone(&ahead), settles));
        let ((say, said), (end, ended)) = (mpsc::channel(), oneshot::channel());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async {
                // a child that another test is starting may hold the folder's lock until it has become another program
                let served = async {
                    loop {
                        let ready = |addresses: &hedui::server::Addresses| say.send(addresses.parties).unwrap();
                        match hedui::server::run(config.clone(), clock.clone(), ready).await {
                            Err(failure) if failure.message.contains("another server runs on this folder") => {
                                tokio::time::sleep(Duration::from_millis(50)).await;
                            }
                            ended => return ended,
                        }
                    }
                };
                tokio::select! {
                    served = served => panic!("the server ended: {served:?}"),
                    _ = ended => {}
                }
            });
            runtime.shutdown_timeout(Duration::from_secs(5));
        });
        let address = said.recv_timeout(Duration::from_secs(60)).unwrap();
        let url = address.map(|address| format!("https://{address}")).unwrap_or_default();
        Self { project, running: Some((thread, end)), url, ahead }
    }

    pub fn set(&self, ahead: i64) {
        self.ahead.store(ahead, Ordering::SeqCst);
    }

    fn office(&self, verb: &str, more: &[&str]) -> Said {
        Said::of(&self.project.office_at(&self.url, verb, more).output().unwrap())
    }

    fn agency(&self, verb: &str, agency: &str, file: &str, wait: u32) -> Said {
        let mut command = self.project.agency(verb, agency, &[file]);
        command.args(self.project.reach(&self.url, agency));
        within(Duration::from_secs(150), with_patience(&command, wait))
    }

    fn submit(&self, agency: &str, data: &str, folder: &str) {
        self.project.encode(agency, data, folder).done();
        self.agency("submit", agency, &self.project.text(folder), 20).done();
    }

    pub fn ends(&mut self) {
        if let Some((thread, end)) = self.running.take() {
            let _ = end.send(());
            let _ = thread.join();
        }
    }
}

impl AsRef<str> for Inside<'_> {
    fn as_ref(&self) -> &str {
        &self.url
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.ends();
    }
}

fn config(project: &Project, folder: &str, role: Role) -> Config {
    let (data, pki) = (project.path(folder), |name: &str| project.path("pki").join(name));
    let places = match &project.stores {
        None => Places {
            database: Database::Sqlite(data.join("hedui.sqlite")),
            parts: hedui::server::PartsAt::Folder(data.join("parts")),
            parts_config: None,
            data,
        },
        Some(stores) => {
            let mut url = Url::parse(&stores.database).unwrap();
            // a process reads it from a file that its environment names
            url.set_password(Some(PASSWORD)).unwrap();
            let bucket = stores.bucket.arguments(project);
            let (parts, config) = (bucket[1].parse().unwrap(), Some(bucket[3].clone().into()));
            Places { database: Database::Postgres(url), parts, parts_config: config, data }
        }
    };
    let identity = Identity { certificate: pki("server.crt"), key: pki("server.key"), ca: pki("ca.crt") };
    Config {
        places,
        role,
        listen: "127.0.0.1:0".parse().unwrap(),
        operator_listen: "127.0.0.1:0".parse().unwrap(),
        manifest: project.path("manifest.toml"),
        certificates: CertificateFiles { identity, revocations: None },
        log_key: project.path("log.key"),
        rate: 500,
        index_memory: 1 << 30,
    }
}

/// Entries of the log that say this.
fn entries(project: &Project, what: &str) -> usize {
    export(project, "log").done();
    let log = std::fs::read_to_string(project.path("log/entries.jsonl")).unwrap();
    log.lines().filter(|line| line.contains(&format!("\"{what}\""))).count()
}

fn a_ticket_that_a_wrong_clock_takes_for_ended_releases_nothing_until_the_clock_is_right(project: Project) {
    let (office, bank, vehicle) = files(&project);
    let server = Inside::start(&project, "server", Role::All, 0);
    server.submit("bank", &bank, "bank");
    server.submit("vehicle", &vehicle, "vehicle");
    server.office("request", &[&office, "--days", "5"]).done();
    let fetch = |refused: u32| {
        // what was fetched is not asked for again
        let _ = std::fs::remove_file(project.path("state/answers.jsonl"));
        let said = server.office("fetch", &[]).done().stderr;
        assert!(said.contains(&format!("2 commissions fetched, {refused} refused by the server")), "{said}");
    };
    fetch(0);
    server.set(HOUR);
    fetch(0);
    let released = entries(&project, "released");
    server.set(TEN_DAYS);
    fetch(2);
    // nor is the agency asked: what it would answer could not go out
    server.agency("answer", "vehicle", &vehicle, 20).done();
    assert_eq!((entries(&project, "released"), entries(&project, "answered")), (released, 0));
    // what is asked by a clock that is right is too early for one that is behind, and is asked again later
    server.set(-HOUR);
    server.office("request", &[&office, "--again"]).refused(1, "not valid before");

    server.set(0);
    server.office("request", &[&office, "--again"]).done();
    server.office("fetch", &[]).done();
    server.agency("answer", "vehicle", &vehicle, 20).done();
    let said = server.office("fetch", &[]).done().stderr;
    assert!(said.contains("4 commissions fetched, 0 refused by the server"), "{said}");
    server.office("report", &[]).done();
    let value = |household: &str, agency: usize, item: &str| {
        project.report(household)["members"][0]["agencies"][agency]["records"][0]["items"][0]["payload"]["values"][item]
            .clone()
    };
    assert_eq!(value("H1", 0, "balance"), "70123.45");
    assert_eq!(value("H2", 1, "vehicle_price"), "123456.78");

    // the log goes on through all this, and says that the clock was set back; nothing else was against the rules
    export(&project, "log").done();
    let said = verify(&project.text("log"), &[]);
    assert_eq!(said.code, Some(1), "{}", said.stdout);
    let verdict: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    let findings = verdict["findings"].as_array().unwrap();
    assert!(!findings.is_empty() && findings.iter().all(|finding| finding["kind"] == "clock"), "{}", said.stdout);
}

fn a_job_that_a_wrong_clock_put_off_is_done_once_the_clock_is_right(project: Project) {
    let (office, bank, _) = files(&project);
    // a part that cannot be read makes a job that is put off
    project.encode("bank", &bank, "bank").done();
    let mut server = Inside::start(&project, "server", Role::Api, 0);
    let folder = project.text("bank");
    let mut submit = project.agency("submit", "bank", &[&folder, "--no-wait"]);
    Said::of(&submit.args(project.reach(&server.url, "bank")).output().unwrap()).done();
    server.ends();
    let part = match &project.stores {
        Some(stores) => stores.bucket.parts().remove(0),
        None => {
            let batch = std::fs::read_dir(project.path("server/parts")).unwrap().next().unwrap().unwrap().path();
            std::fs::read_dir(batch).unwrap().next().unwrap().unwrap().path()
        }
    };
    let aside = project.path("aside.parquet");
    std::fs::rename(&part, &aside).unwrap();
    let server = Inside::start(&project, "server", Role::All, TEN_DAYS);
    server.agency("submit", "bank", &folder, 1).refused(75, "could not build the index yet");

    std::fs::rename(&aside, &part).unwrap();
    server.set(0);
    let since = Instant::now();
    server.agency("submit", "bank", &folder, 110).done();
    assert!(since.elapsed() < Duration::from_secs(110), "{:?}", since.elapsed());
    server.office("request", &[&office]).done();
    server.office("fetch", &[]).done();
    server.office("report", &[]).done();
    assert_eq!(project.report("H1")["members"][0]["agencies"][0]["state"], "answered");
}

fn what_a_standing_commission_needs_survives_a_clock_that_is_ahead(project: Project) {
    let (office, bank, vehicle) = files(&project);
    let server = Inside::start(&project, "server", Role::All, 0);
    let since = Instant::now();
    server.submit("bank", &bank, "bank");
    server.submit("vehicle", &vehicle, "vehicle");
    server.office("request", &[&office, "--days", "5", "--standing"]).done();
    server.office("fetch", &[]).done();
    server.set(TEN_DAYS);
    // the server looks for what has ended every 15 seconds
    std::thread::sleep(Duration::from_secs(20).saturating_sub(since.elapsed()).max(Duration::from_secs(1)));
    server.set(0);
    let text = std::fs::read_to_string(&bank).unwrap().replace("70123.45", "80000.00");
    server.submit("bank", &project.write("bank2.csv", text), "bank2");
    let since = Instant::now();
    loop {
        server.office("fetch", &[]).done();
        server.office("report", &[]).done();
        let told = &project.report("H1")["members"][0]["agencies"][0];
        if told["records"][0]["items"][0]["payload"]["values"]["balance"] == "80000.00" {
            break;
        }
        assert!(since.elapsed() < Duration::from_secs(100), "{told}");
        std::thread::sleep(Duration::from_secs(1));
    }
}

#[test]
fn a_lease_that_ends_because_a_clock_is_ahead_makes_nothing_visible_twice() {
    let project = Project::new().on_shared_stores();
    let city = crate::interrupts::city(&project, "30000");
    let api = Inside::start(&project, "server", Role::Api, 0);
    project.encode("bank", &format!("{city}/bank.csv"), "bank").done();
    let _right = Inside::start(&project, "right", Role::Worker, 0);
    let mut submit = project.agency("submit", "bank", &[&project.text("bank"), "--no-wait"]);
    Said::of(&submit.args(project.reach(&api.url, "bank")).output().unwrap()).done();
    let sql = |statement: &str| project.stores.as_ref().unwrap().postgres.sql("hedui", statement);
    let (since, long) = (Instant::now(), Duration::from_secs(60));
    while sql("SELECT state FROM jobs") != "running\n" {
        assert!(since.elapsed() < long, "the index was not begun");
    }
    // the other worker's clock says that the lease has ended
    let _ahead = Inside::start(&project, "ahead", Role::Worker, HOUR);
    api.agency("submit", "bank", &project.text("bank"), 60).done();
    assert_eq!(sql("SELECT state, attempts FROM jobs"), "done|2\n", "it was taken over while it ran");
    // both have done the work by now
    let since = Instant::now();
    let built = |folder: &str| {
        let entries = std::fs::read_dir(project.path(folder).join("index")).into_iter().flatten().flatten();
        let names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.len() == 1 && !names[0].contains("partial")
    };
    while !built("right") || !built("ahead") {
        assert!(since.elapsed() < long, "an index is not there");
        std::thread::sleep(Duration::from_millis(50));
    }
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(entries(&project, "batch-indexed"), 1, "one of them has");
    assert_eq!(sql("SELECT state FROM batches"), "indexed\n");
}
