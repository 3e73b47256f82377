//! Bytes from outside, on stable: every file of the fuzzers' corpus and thousands of its mutations go to the same parsers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hedui_protocol::acts::{Deed, Proposal, Terms};
use hedui_protocol::ids::CommissionId;
use hedui_protocol::messages::{
    Answer, Answers, Blob, CommissionRequest, Notice, NoticedMatch, Notices, Stored, SubjectEncodings,
};
use hedui_protocol::part::BatchHeader;
use hedui_protocol::sign::Signed;

use crate::harness::{AGENCIES, Project, Said, hedui, run};
use crate::journey::files;
use crate::kills::{Dice, number};

#[path = "../../fuzz/src/lib.rs"]
mod parsers;

/// Mutations of each parser's files, where `HEDUI_MUTATIONS` says nothing else.
const MUTATIONS: u64 = 2000;
/// What no parser takes for one input, which has some kilobytes.
const PATIENCE: Duration = Duration::from_secs(5);
/// The thread whose panics are not told.
const QUIET: &str = "parsers";

fn corpus(parser: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(parser)
}

/// The files of a folder in an order that does not depend on the machine.
fn seeds(parser: &str) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(corpus(parser)).unwrap().map(|entry| entry.unwrap());
    let named = |entry: std::fs::DirEntry| entry.file_name().into_string().unwrap();
    entries
        .map(|entry| (std::fs::read(entry.path()).unwrap(), named(entry)))
        .map(|(bytes, name)| (name, bytes))
        .collect()
}

/// Changes bits, cuts, repeats, and puts in pieces of another file.
fn mutate(dice: &mut Dice, seeds: &[Vec<u8>]) -> Vec<u8> {
    let any = |dice: &mut Dice, length: usize| dice.below(length.max(1) as u64) as usize;
    let mut bytes = seeds[any(dice, seeds.len())].clone();
    for _ in 0..1 + dice.below(4) {
        let at = any(dice, bytes.len());
        match dice.below(6) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << dice.below(8),
            1 if !bytes.is_empty() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff, b'"', b'[', b'9'][dice.below(8) as usize],
            2 => bytes.truncate(at),
            3 => drop(bytes.splice(at..at, vec![dice.below(256) as u8; any(dice, 40)])),
            4 => drop(bytes.drain(at..(at + any(dice, 20)).min(bytes.len()))),
            _ => {
                let other = &seeds[any(dice, seeds.len())];
                let from = any(dice, other.len());
                let piece = &other[from..(from + any(dice, 200)).min(other.len())];
                let until = (at + any(dice, 200)).min(bytes.len());
                bytes.splice(at..until, piece.iter().copied());
            }
        }
    }
    bytes
}

#[test]
fn every_parser_comes_to_an_end_with_whatever_it_is_given() {
    let seed = number("HEDUI_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let mutations = number("HEDUI_MUTATIONS").unwrap_or(MUTATIONS);
    println!("HEDUI_SEED={seed}");
    // a panic that a parser catches is not one to read about; those of other tests are
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().name() != Some(QUIET) {
            tell(panic);
        }
    }));
    let quiet = std::thread::Builder::new().name(QUIET.into()).spawn(move || failures(seed, mutations)).unwrap();
    let failed = quiet.join().expect("every parser has a corpus");
    assert!(failed.is_empty(), "HEDUI_SEED={seed}: {failed:#?}");
}

#[test]
fn mutations_reach_every_message() {
    let seeds: Vec<Vec<u8>> = seeds("messages").into_values().collect();
    for (name, reads) in parsers::MESSAGES {
        let mut dice = Dice(1);
        let reached = (0..10 * MUTATIONS).any(|_| reads(&mutate(&mut dice, &seeds)));
        assert!(reached, "no mutation of the corpus is a {name}");
    }
}

/// Of each parser the first input that it panics at, or takes too long for: where it lies, and where it belongs.
fn failures(seed: u64, mutations: u64) -> Vec<String> {
    let mut failed = Vec::new();
    for (name, parse) in parsers::PARSERS {
        let seeds: Vec<Vec<u8>> = seeds(name).into_values().collect();
        let mut dice = Dice(seed);
        let mutated = (0..mutations).map(|_| mutate(&mut dice, &seeds));
        let mut inputs = seeds.iter().cloned().chain(mutated);
        let bad = inputs.find_map(|bytes| {
            let since = Instant::now();
            let ended = std::panic::catch_unwind(|| parse(&bytes)).is_ok();
            (!ended || since.elapsed() > PATIENCE).then(|| (bytes, since.elapsed()))
        });
        if let Some((bytes, after)) = bad {
            let kept = std::env::temp_dir().join(format!("hedui-outside-{name}-{seed}"));
            std::fs::write(&kept, &bytes).unwrap();
            failed.push(format!("{} after {after:?}; add it to {}", kept.display(), corpus(name).display()));
        }
    }
    failed
}

/// Writes the corpus anew from a small project of made-up people; files that a fuzzer has found stay.
#[test]
#[ignore = "writes into the repository"]
fn the_corpus_is_written() {
    let keep = |parser: &str, name: &str, bytes: &[u8]| {
        std::fs::create_dir_all(corpus(parser)).unwrap();
        std::fs::write(corpus(parser).join(name), bytes).unwrap();
    };
    let keep_file = |parser: &str, name: &str, path: &Path| keep(parser, name, &std::fs::read(path).unwrap());
    let project = Project::new();
    let (office, bank, vehicle) = files(&project);
    let server = project.server();
    project.submit_both(&bank, &vehicle, &server);
    project.office("request", &server, &[&office]).done();
    project.office("fetch", &server, &[]).done();
    keep_file("manifest", "project.toml", &project.path("manifest.toml"));
    for name in ["person", "resident-cn"] {
        keep(
            "schema",
            &format!("{name}.toml"),
            crate::harness::repository(&format!("protocol/presets/{name}.toml")).as_bytes(),
        );
    }
    for (agency, data) in AGENCIES.into_iter().zip([&bank, &vehicle]) {
        let part = project.path(agency).join("part-00000.parquet");
        keep_file("part", &format!("{agency}.parquet"), &part);
        keep_file("table", &format!("{agency}.csv"), Path::new(data));
        let signed = std::fs::read(project.path(agency).join("batch.json")).unwrap();
        keep("messages", &format!("signed-{agency}.json"), &signed);
        let signed: Signed = serde_json::from_slice(&signed).unwrap();
        keep("batch_header", &format!("{agency}.json"), &signed.bytes);
        let rows =
            hedui::parts::PartReader::open(std::fs::File::open(part).unwrap()).unwrap().next_rows().unwrap().unwrap();
        keep("encodings", agency, &rows[0].encodings);
    }
    keep_file("table", "office.csv", Path::new(&office));
    let encoding = encoding_rs::GB18030.encode(&std::fs::read_to_string(&bank).unwrap()).0.into_owned();
    keep("table", "gb18030.csv", &encoding);
    let parquet = project.path("bank.parquet");
    crate::bad_input::parquet(&parquet);
    keep_file("table", "bank.parquet", &parquet);
    clks(&project, &keep_file);
    messages(&project, &server, &keep);
}

/// CLKs in every form.
fn clks(project: &Project, keep_file: &dyn Fn(&str, &str, &Path)) {
    let text = project.write("x.bin", (0..64u8).collect::<Vec<_>>());
    keep_file("clk_file", "x.bin", Path::new(&text));
    for form in ["json", "parquet"] {
        let out = project.text(&format!("x.{form}"));
        run(&["clk", "convert", &text, &out, "--bits", "64"]).done();
        keep_file("clk_file", &format!("x.{form}"), Path::new(&out));
    }
}

/// What parties and server said to each other.
fn messages(project: &Project, server: &crate::harness::Server, keep: &dyn Fn(&str, &str, &[u8])) {
    let ask = |party: &str, path: &str| {
        let file = |name: String| project.path("pki").join(name);
        let (certificate, key, ca) =
            (file(format!("{party}.crt")), file(format!("{party}.key")), file("ca.crt".into()));
        let tls = hedui::transport::tls::Identity { certificate, key, ca }.client().unwrap();
        let client = reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build().unwrap();
        let url = format!("{}{path}", server.parties);
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let answer = client.get(url).send().await.unwrap();
            let receipt = answer.headers().get("hedui-receipt").map(|value| value.as_bytes().to_vec());
            (answer.bytes().await.unwrap().to_vec(), receipt)
        })
    };
    let (body, receipt) = ask("bank", "/v1/project");
    keep("messages", "project.json", &body);
    let receipt = receipt.unwrap();
    keep("log_texts", "receipt.txt", &receipt);
    let receipt = hedui_protocol::log::Receipt::from_header(std::str::from_utf8(&receipt).unwrap()).unwrap();
    keep("log_texts", "receipt.json", &serde_json::to_vec(&receipt).unwrap());
    keep("log_texts", "checkpoint.txt", receipt.checkpoint.as_bytes());
    keep("messages", "problem.json", &ask("bank", "/v1/batches/x").0);
    let notices = ask("vehicle", "/v1/notices").0;
    keep("messages", "notices.json", &notices);
    let notices: Notices = serde_json::from_slice(&notices).unwrap();
    keep("ticket", "ticket.json", &notices.notices[0].ticket.bytes);
    let ticket: hedui_protocol::ticket::Ticket = serde_json::from_slice(&notices.notices[0].ticket.bytes).unwrap();
    let id = CommissionId(*blake3::hash(&notices.notices[0].ticket.bytes).as_bytes());
    let withdrawal =
        hedui_protocol::ticket::Withdrawal { commission: id, office: ticket.office, withdrawn_at: ticket.issued_at };
    keep("ticket", "withdrawal.json", &serde_json::to_vec(&withdrawal).unwrap());
    keep("messages", "commission.json", &ask(crate::harness::OFFICE, &format!("/v1/commissions/{id}")).0);
    keep("messages", "answers.json", &ask(crate::harness::OFFICE, &format!("/v1/commissions/{id}/answers")).0);
    let signed = std::fs::read(project.path("bank/batch.json")).unwrap();
    let signed: Signed = serde_json::from_slice(&signed).unwrap();
    let batch = hedui_protocol::part::batch_id(&signed);
    keep("messages", "batch.json", &ask("bank", &format!("/v1/batches/{batch}")).0);
    let act = crate::access::proposed(project, server).to_string();
    let approve = ["operator", "approve", &act, "--yes", "--manifest", &project.text("manifest.toml")];
    let approved = hedui().args(approve).args(project.reach(&server.parties, "operator")).output().unwrap();
    Said::of(&approved).done();
    keep("messages", "act.json", &ask("operator", &format!("/v1/acts/{act}")).0);
    keep("messages", "retention.json", &ask("operator", "/v1/retention").0);
    sent(project, &notices.notices[0], &BatchHeader::parse(&signed.bytes).unwrap(), keep);
    project.issue("auditor", "auditor");
    let page = ask("auditor", "/v1/log").0;
    keep("messages", "log.json", &page);
    let mut page: hedui_protocol::messages::LogPage = serde_json::from_slice(&page).unwrap();
    // of each event the longest entry
    page.entries.sort_by_key(String::len);
    for entry in &page.entries {
        let what = hedui_protocol::log::Entry::parse(entry.as_bytes()).unwrap().event.what();
        keep("log_texts", &format!("{what}.json"), entry.as_bytes());
    }
}

/// What parties and operators send.
fn sent(project: &Project, notice: &Notice, header: &BatchHeader, keep: &dyn Fn(&str, &str, &[u8])) {
    let commission = CommissionId(*blake3::hash(&notice.ticket.bytes).as_bytes());
    let NoticedMatch { subject, record, .. } = notice.matches[0];
    let encodings = Blob(seeds("encodings").remove("vehicle").unwrap());
    let encodings = vec![SubjectEncodings { subject, agency: "vehicle".into(), encodings }];
    let request = CommissionRequest { basis: header.basis.clone(), ticket: notice.ticket.clone(), encodings };
    let declined = Answer { commission, subject, record, sealed: None };
    let file = |name: &str| Blob(std::fs::read(project.path(name)).unwrap());
    let terms = Terms { manifest: file("manifest.toml"), signatures: file("manifest.toml.sig") };
    let next = Deed::OpenEpoch { manifest: header.basis.manifest, epoch: "next".into() };
    let erase = Deed::EraseCommissions { commissions: vec![commission] };
    for (name, message) in [
        ("request", serde_json::to_vec(&request)),
        ("agency-answers", serde_json::to_vec(&Answers { answers: vec![declined] })),
        ("stored", serde_json::to_vec(&Stored { stored: 3 })),
        ("proposal", serde_json::to_vec(&Proposal { deed: erase, terms: None })),
        ("proposal-epoch", serde_json::to_vec(&Proposal { deed: next, terms: Some(terms) })),
    ] {
        keep("messages", &format!("{name}.json"), &message.unwrap());
    }
}
