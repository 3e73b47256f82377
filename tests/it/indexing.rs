//! Indexes in the making: killed at any moment, and made of what a hostile agency sends.

use std::fs::File;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use hedui::parts::{self, PartReader};
use hedui_protocol::encodings::{Encodings, Token};
use hedui_protocol::ids::ContentHash;
use hedui_protocol::manifest::Manifest;
use hedui_protocol::part::BatchHeader;
use hedui_protocol::sign::{Purpose, Signed};

use crate::harness::{Project, Server};
use crate::interrupts::city;

/// What lies in the server's folder of indexes, of which some are in the making.
fn indexes(project: &Project) -> Vec<(PathBuf, bool)> {
    let entries = std::fs::read_dir(project.path("server/index")).into_iter().flatten().flatten();
    entries.map(|entry| (entry.path(), entry.file_name().to_string_lossy().contains("partial"))).collect()
}

#[test]
fn a_server_killed_while_it_indexes_goes_on_and_answers() {
    let project = Project::new();
    let city = city(&project, "30000");
    project.encode("bank", &format!("{city}/bank.csv"), "bank").done();
    let mut server = project.server();
    let address = server.address().to_owned();
    let mut submit = project.agency("submit", "bank", &[&project.text("bank"), "--no-wait"]);
    let commit = submit.args(server.arguments(&project, "bank")).spawn().unwrap();
    let mut killed = 0;
    let deadline = Instant::now() + Duration::from_secs(120);
    while killed < 5 {
        let in_the_making = indexes(&project).iter().any(|(_, partial)| *partial);
        if in_the_making {
            // further into the work each time
            std::thread::sleep(Duration::from_millis(10 * killed));
            server.kill();
            killed += 1;
            assert!(indexes(&project).iter().all(|(_, partial)| *partial), "killed too late, after {killed} times");
            server = Server::start(&project, &address);
        }
        assert!(Instant::now() < deadline, "the index was begun only {killed} times");
        std::thread::sleep(Duration::from_millis(1));
    }
    // the agency hears that the server has gone, or that all is stored; whoever submits again loses nothing
    let _ = commit.wait_with_output().unwrap();
    project.submit("bank", "bank", &server).done();
    assert!(indexes(&project).iter().all(|(_, partial)| !partial), "{:?}", indexes(&project));
    project.office("request", &server, &[&format!("{city}/office.csv")]).done();
    project.office("fetch", &server, &[]).done();
    project.office("report", &server, &[]).done();
    let reports = std::fs::read_dir(project.path("reports")).unwrap().map(|entry| entry.unwrap().path());
    let answered = reports.filter_map(|path| std::fs::read_to_string(path).ok());
    let answered: usize = answered.map(|text| text.matches("\"state\": \"answered\"").count()).sum();
    assert!(answered > 50, "{answered} answered");
}

#[test]
fn a_cohort_over_the_cap_is_refused_with_the_reason() {
    let project = Project::new();
    let city = city(&project, "4000");
    project.encode("bank", &format!("{city}/bank.csv"), "bank").done();
    let manifest = Manifest::parse(&std::fs::read(project.path("manifest.toml")).unwrap()).unwrap();
    // an encoder of its own gives all rows one birth date
    let path = project.path("bank/part-00000.parquet");
    let mut reader = PartReader::open(File::open(&path).unwrap()).unwrap();
    let mut rows = Vec::new();
    while let Some(some) = reader.next_rows().unwrap() {
        rows.extend(some);
    }
    let date = manifest.schema.passes.iter().position(|pass| pass.name == "date+sex").unwrap() as u8;
    let mut alike = 0;
    for row in &mut rows {
        let mut encodings = Encodings::parse(&row.encodings, &manifest.shape()).unwrap();
        for (pass, token) in encodings.tokens.iter_mut().filter(|(pass, _)| *pass == date) {
            (*token, alike) = (Token([*pass; 16]), alike + 1);
        }
        row.encodings = encodings.to_bytes();
    }
    let bytes = parts::write(&reader.meta, &rows).unwrap();
    std::fs::write(&path, &bytes).unwrap();
    let header = std::fs::read(project.path("bank/batch.json")).unwrap();
    let signed: Signed = serde_json::from_slice(&header).unwrap();
    let mut header: BatchHeader = serde_json::from_slice(&signed.bytes).unwrap();
    (header.parts[0].bytes, header.parts[0].hash) = (bytes.len() as u64, ContentHash::of(&bytes));
    let key = project.signing_key("bank");
    let signed = Signed::new(&key, Purpose::Batch, header.to_bytes());
    std::fs::write(project.path("bank/batch.json"), serde_json::to_vec(&signed).unwrap()).unwrap();

    let server = project.server();
    let cap = manifest.limits.cohort;
    let reason =
        format!("the server refused the batch: {alike} of its rows share one token; the manifest allows {cap}");
    project.submit("bank", "bank", &server).refused(1, &reason);
    // it is refused for good, and others are served
    project.submit("bank", "bank", &server).refused(1, &reason);
    assert_eq!(indexes(&project), []);
    project.encode("vehicle", &format!("{city}/vehicle.csv"), "vehicle").done();
    project.submit("vehicle", "vehicle", &server).done();
}
