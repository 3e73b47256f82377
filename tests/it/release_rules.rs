//! The server keeps the release rules against clients that do not: raw requests over the real connection.

use std::time::Duration;

use hedui::transport::block_on;
use hedui::transport::client::Client;
use hedui::transport::tls::Identity;
use hedui::transport::witness::Witness;
use hedui_protocol::basis::Basis;
use hedui_protocol::encoder::Encoder;
use hedui_protocol::encodings::subject_hash;
use hedui_protocol::ids::{ContentHash, SubjectId};
use hedui_protocol::keys::LinkageKey;
use hedui_protocol::manifest::{Level, Manifest};
use hedui_protocol::messages::{
    Answer, AnswerPage, Answers, Blob, CommissionRequest, CommissionState, CommissionStatus, Notices, Stored,
    SubjectAnswer, SubjectEncodings,
};
use hedui_protocol::seal::AnswerSealer;
use hedui_protocol::sign::{Purpose, Signed, SigningKey};
use hedui_protocol::ticket::{Asked, Capacity, Granted, Subject, Ticket, Window, Withdrawal};
use jiff::{SignedDuration, Timestamp};

use crate::harness::{AGENCIES, OFFICE, OTHER_OFFICE, Project, Server};
use crate::journey::files;

/// An office that can send anything.
pub struct Rogue {
    pub project: Project,
    pub server: Server,
    manifest: Manifest,
    linkage: LinkageKey,
    pub key: SigningKey,
    client: Client,
}

impl Rogue {
    pub fn new() -> Self {
        let project = Project::new();
        let (_, bank, _) = files(&project);
        let server = project.server();
        project.encode("bank", &bank, "bank").done();
        project.submit("bank", "bank", &server).done();
        let manifest = Manifest::parse(&std::fs::read(project.path("manifest.toml")).unwrap()).unwrap();
        let linkage = LinkageKey::new(&std::fs::read(project.path("linkage.key")).unwrap()).unwrap();
        let client = client(&project, &server, OFFICE);
        Self { key: project.signing_key(OFFICE), project, server, manifest, linkage, client }
    }

    fn encode(&self, agency: &str, cells: &[&str]) -> Vec<u8> {
        let encoder = Encoder::new(&self.linkage, self.manifest.id(), &self.manifest.schema, agency);
        encoder.encode(&encoder.normalise(cells)).encodings.to_bytes()
    }

    fn encodings(&self, agency: &str, id_no: &str) -> Vec<u8> {
        let cells = ["欧阳若曦", id_no, "1980-01-01", "男", "12000000001", "云岸市甲区长河路1号101室", "", ""];
        self.encode(agency, &cells)
    }

    /// A ticket that is in order, and its encodings.
    pub fn ticket(&self) -> (Ticket, Vec<SubjectEncodings>) {
        let id_no = crate::journey::with_check_digits("990101198001011230");
        let (subject, bytes) = (SubjectId([1; 16]), self.encodings("bank", &id_no));
        let now = Timestamp::now();
        let today = jiff::tz::TimeZone::UTC.to_datetime(now).date();
        let ticket = Ticket {
            manifest: self.manifest.id(),
            office: OFFICE.into(),
            commission_no: "WT-1".into(),
            programme: "dibao".into(),
            window: Window { from: today, to: today },
            issued_at: now,
            expires_at: now + SignedDuration::from_hours(24),
            standing: false,
            items: vec![Asked { agency: "bank".into(), item: "deposits".into(), level: Level::L3 }],
            subjects: vec![Subject {
                subject,
                capacity: Capacity::CoResident,
                agencies: vec!["bank".into()],
                evidence: ContentHash([2; 32]),
                valid_until: today,
                encodings: subject_hash([("bank", bytes.as_slice())].into_iter()),
            }],
        };
        (ticket, vec![SubjectEncodings { subject, agency: "bank".into(), encodings: Blob(bytes) }])
    }

    fn send(&self, ticket: &Ticket, encodings: Vec<SubjectEncodings>) -> Result<CommissionStatus, String> {
        self.send_signed(Signed::new(&self.key, Purpose::Ticket, ticket.to_bytes()), encodings)
    }

    /// What files a ticket, its encodings with it.
    pub fn request(&self, ticket: Signed, encodings: Vec<SubjectEncodings>) -> CommissionRequest {
        CommissionRequest { basis: Basis::of(&self.manifest), ticket, encodings }
    }

    fn send_signed(&self, ticket: Signed, encodings: Vec<SubjectEncodings>) -> Result<CommissionStatus, String> {
        let request = self.request(ticket, encodings);
        block_on(self.client.post("/v1/commissions", &request)).map_err(|failure| failure.message)
    }

    #[track_caller]
    fn refused(&self, change: impl Fn(&mut Ticket), words: &str) {
        let (mut ticket, encodings) = self.ticket();
        change(&mut ticket);
        let said = self.send(&ticket, encodings).expect_err("the ticket must be refused");
        assert!(said.contains(words), "`{words}` is not in: {said}");
    }
}

fn client(project: &Project, server: &Server, party: &str) -> Client {
    let file = |name: String| project.path("pki").join(name);
    let identity = Identity {
        certificate: file(format!("{party}.crt")),
        key: file(format!("{party}.key")),
        ca: file("ca.crt".into()),
    };
    let manifest = Manifest::parse(&std::fs::read(project.path("manifest.toml")).unwrap()).unwrap();
    let witness = Witness::open(&project.path(&format!("{party}.receipts.jsonl")), &manifest).unwrap();
    Client::new(&server.parties, &identity, Duration::from_secs(10), || Ok(witness)).unwrap()
}

#[test]
fn a_ticket_beyond_its_right_is_refused_by_name() {
    let office = Rogue::new();
    let hours = SignedDuration::from_hours;
    office.refused(|t| t.expires_at = t.issued_at - hours(1), "the ticket expired at");
    office.refused(|t| t.issued_at += hours(2), "not valid before");
    office.refused(|t| t.expires_at = t.issued_at + hours(24 * 400), "would hold longer than the 90 days");
    office.refused(|t| t.window.from = t.window.to.tomorrow().unwrap(), "period ends before it begins");
    office.refused(|t| t.programme = "lottery".into(), "`lottery` is no programme");
    office.refused(|t| t.items[0].level = Level::L2, "does not offer");
    office.refused(|t| t.items[0].agency = "casino".into(), "does not offer");
    office.refused(|t| t.items.push(t.items[0].clone()), "`deposits` at L3 twice");
    office.refused(|t| t.commission_no = "9".repeat(129), "longer than 128 bytes");
    office.refused(|t| t.subjects[0].agencies.push("vehicle".into()), "which its items do not ask");
    office.refused(|t| t.subjects[0].agencies.push("bank".into()), "names agency `bank` twice");
    office.refused(|t| t.subjects.push(t.subjects[0].clone()), "twice");
    office.refused(|t| t.subjects[0].valid_until = jiff::civil::date(2020, 1, 1), "authorisation of subject");
    office.refused(|t| t.manifest = hedui_protocol::ids::ManifestId([9; 32]), "the ticket is for manifest");
    office.refused(|t| t.office = "nowhere".into(), "`nowhere` is no office");
    office.refused(|t| t.office = OTHER_OFFICE.into(), "the ticket's signature is not the one of office");
    office.refused(|t| t.subjects[0].encodings = ContentHash([3; 32]), "not those of the ticket");
}

#[test]
fn a_ticket_signed_by_someone_else_or_for_other_encodings_is_refused() {
    let office = Rogue::new();
    let (ticket, encodings) = office.ticket();
    let forged = Signed::new(&SigningKey::from_seed(&[8; 32]), Purpose::Ticket, ticket.to_bytes());
    assert!(office.send_signed(forged, encodings.clone()).unwrap_err().contains("signature is not the one of office"));
    let other_purpose = Signed::new(&office.key, Purpose::Answer, ticket.to_bytes());
    assert!(office.send_signed(other_purpose, encodings.clone()).unwrap_err().contains("signature"));
    let mut swapped = encodings.clone();
    swapped[0].encodings = Blob(office.encodings("bank", &crate::journey::with_check_digits("990102197505067890")));
    assert!(office.send(&ticket, swapped).unwrap_err().contains("not those of the ticket"));
    let extra = SubjectEncodings { subject: SubjectId([9; 16]), ..encodings[0].clone() };
    assert!(office.send(&ticket, [encodings.clone(), vec![extra]].concat()).unwrap_err().contains("does not name"));
    let other = SubjectEncodings { subject: SubjectId([9; 16]), ..encodings[0].clone() };
    assert!(office.send(&ticket, vec![other.clone()]).unwrap_err().contains("is missing"));

    // what follows in parts is bound as well
    let open = office.send(&ticket, vec![]).unwrap();
    assert_eq!((open.state, open.missing), (CommissionState::Open, vec![0]));
    let put = |part: u32, encodings: Vec<SubjectEncodings>| {
        let path = format!("/v1/commissions/{}/encodings/{part}", open.commission);
        block_on(office.client.put_json::<CommissionStatus>(&path, &encodings)).map_err(|failure| failure.message)
    };
    assert!(put(0, vec![other]).unwrap_err().contains("is missing"));
    assert!(put(0, vec![]).unwrap_err().contains("is missing"));
    assert!(put(1, encodings.clone()).unwrap_err().contains("no such thing"));
    assert_ne!(put(0, encodings).unwrap().state, CommissionState::Open);
}

#[test]
fn a_replayed_ticket_runs_once_and_a_withdrawn_one_never_again() {
    let office = Rogue::new();
    let (ticket, encodings) = office.ticket();
    let first = office.send(&ticket, encodings.clone()).unwrap();
    let second = office.send(&ticket, encodings.clone()).unwrap();
    assert_eq!(first.commission, second.commission);
    let path = format!("/v1/commissions/{}", first.commission);
    let answers =
        || block_on(office.client.get::<AnswerPage>(&format!("{path}/answers"))).map_err(|failure| failure.message);
    let page = loop {
        match answers() {
            Ok(page) => break page,
            Err(said) => assert!(said.contains("not matched yet"), "{said}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(page.answers[0].slots.0[0], 4, "released from deposit");

    let withdrawal = |office_name: &str| Withdrawal {
        commission: first.commission,
        office: office_name.into(),
        withdrawn_at: Timestamp::now(),
    };
    let sign =
        |key: &SigningKey, said: &Withdrawal| Signed::new(key, Purpose::Withdrawal, serde_json::to_vec(said).unwrap());
    let post =
        |signed: &Signed| block_on(office.client.post::<CommissionStatus>(&format!("{path}/withdrawal"), signed));
    assert!(
        post(&sign(&SigningKey::from_seed(&[8; 32]), &withdrawal(OFFICE))).unwrap_err().message.contains("not signed")
    );
    assert!(
        post(&sign(&office.key, &withdrawal("elsewhere")))
            .unwrap_err()
            .message
            .contains("another commission or office")
    );
    post(&sign(&office.key, &withdrawal(OFFICE))).unwrap();
    assert!(answers().unwrap_err().contains("withdrawn"));
    assert!(office.send(&ticket, encodings).unwrap_err().contains("withdrawn"), "the same ticket again");
}

#[test]
fn a_hit_and_a_miss_have_the_same_size() {
    let office = Rogue::new();
    let (mut ticket, mut encodings) = office.ticket();
    let strange = office.encodings("bank", "");
    let cells = ["百里无痕", "", "1951-02-03", "女", "", "", "", ""];
    let miss = office.encode("bank", &cells);
    assert_ne!(strange, miss);
    let hash = subject_hash([("bank", miss.as_slice())].into_iter());
    let subject = SubjectId([7; 16]);
    ticket.subjects.push(Subject { subject, encodings: hash, ..ticket.subjects[0].clone() });
    encodings.push(SubjectEncodings { subject, agency: "bank".into(), encodings: Blob(miss) });
    let filed = office.send(&ticket, encodings).unwrap();
    let path = format!("/v1/commissions/{}/answers", filed.commission);
    for _attempt in 0..200 {
        let Ok(page) = block_on(office.client.get::<AnswerPage>(&path)) else {
            std::thread::sleep(Duration::from_millis(50));
            continue;
        };
        let slots: Vec<&Vec<u8>> = page.answers.iter().map(|answer| &answer.slots.0).collect();
        assert_eq!(slots[0].len(), slots[1].len());
        if slots[0][0] == 4 {
            assert!(slots[1].iter().all(|byte| *byte == 0), "the other is a miss");
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("the commission was never matched");
}

#[test]
fn another_office_or_an_agency_sees_nothing_of_a_commission() {
    let office = Rogue::new();
    let (ticket, encodings) = office.ticket();
    let filed = office.send(&ticket, encodings.clone()).unwrap();
    let bank = client(&office.project, &office.server, "bank");
    for path in
        [format!("/v1/commissions/{}", filed.commission), format!("/v1/commissions/{}/answers", filed.commission)]
    {
        let said = block_on(bank.get::<serde_json::Value>(&path)).unwrap_err().message;
        assert!(said.contains("role (OU) `office`"), "{said}");
    }
    let other = client(&office.project, &office.server, OTHER_OFFICE);
    for path in ["", "/answers"].map(|end| format!("/v1/commissions/{}{end}", filed.commission)) {
        let said = block_on(other.get::<serde_json::Value>(&path)).unwrap_err().message;
        assert!(said.contains("no such thing"), "{said}");
    }
    let said = block_on(office.client.get::<serde_json::Value>("/v1/notices")).unwrap_err().message;
    assert!(said.contains("role (OU) `agency`"), "{said}");
    let unknown = format!("/v1/commissions/{}", "00".repeat(32));
    assert!(block_on(office.client.get::<serde_json::Value>(&unknown)).unwrap_err().message.contains("no such thing"));
}

/// The vehicle register has the same person, and is asked.
#[test]
fn an_agency_answers_its_own_matches_alone_and_signs_what_it_says() {
    let office = Rogue::new();
    let Rogue { project, server, manifest, .. } = &office;
    let id_no = crate::journey::with_check_digits("990101198001011230");
    let row = format!("V1,欧阳若曦,{id_no},1980/01/01,男,12000000001,甲区长河路1号101,1,5.00\n");
    let vehicle =
        project.write("cars.csv", format!("id,name,id_no,dob,sex,phone,address,vehicles,vehicle_price\n{row}"));
    project.encode("vehicle", &vehicle, "vehicle").done();
    project.submit("vehicle", "vehicle", server).done();

    let (mut ticket, mut encodings) = office.ticket();
    let (subject, bytes) = (encodings[0].subject, office.encodings("vehicle", &id_no));
    ticket.items.push(Asked { agency: "vehicle".into(), item: "vehicles".into(), level: Level::L3 });
    ticket.subjects[0].agencies.push("vehicle".into());
    let both = [("bank", encodings[0].encodings.0.as_slice()), ("vehicle", bytes.as_slice())];
    ticket.subjects[0].encodings = subject_hash(both.into_iter());
    encodings.push(SubjectEncodings { subject, agency: "vehicle".into(), encodings: Blob(bytes) });
    let commission = office.send(&ticket, encodings).unwrap().commission;

    let [bank, vehicle] = AGENCIES.map(|agency| client(project, server, agency));
    let noticed: Notices = block_on(vehicle.get("/v1/notices?wait=20")).unwrap();
    let record = noticed.notices[0].matches[0].record;
    let sealed = |agency: &str, signer: &str| {
        let (own, asks) = (manifest.agency(agency).unwrap(), ticket.items.iter().find(|item| item.agency == agency));
        let sealer = AnswerSealer::new(manifest, own, manifest.office(OFFICE).unwrap(), commission).unwrap();
        let payload = (asks.unwrap(), b"{}".to_vec());
        Some(sealer.answer(&project.signing_key(signer), subject, record, &[payload]).unwrap())
    };
    let answer = |client: &Client, sealed| {
        let answers = Answers { answers: vec![Answer { commission, subject, record, sealed }] };
        block_on(client.post::<Stored>("/v1/answers", &answers)).map_err(|failure| failure.message)
    };
    for others in [sealed("bank", "bank"), None] {
        assert!(answer(&bank, others).unwrap_err().contains("no such thing"));
    }
    assert!(answer(&vehicle, sealed("vehicle", "bank")).unwrap_err().contains("not signed by `vehicle`"));
    assert_eq!(answer(&vehicle, sealed("vehicle", "vehicle")), Ok(Stored { stored: 1 }));
}

#[test]
fn a_stream_of_answers_is_cut_off_where_its_commission_is_taken_back() {
    let office = Rogue::new();
    let (mut ticket, encodings) = office.ticket();
    // three pages, each more than the connection holds
    let people = 12_001u32;
    let ids: Vec<SubjectId> =
        (0..people).map(|id| SubjectId([id.to_be_bytes(); 4].concat().try_into().unwrap())).collect();
    ticket.subjects = ids.iter().map(|id| Subject { subject: *id, ..ticket.subjects[0].clone() }).collect();
    let encodings = ids.iter().map(|id| SubjectEncodings { subject: *id, ..encodings[0].clone() }).collect();
    let commission = office.send(&ticket, encodings).unwrap().commission;
    let path = format!("/v1/commissions/{commission}");
    let status: CommissionStatus = block_on(office.client.get(&format!("{path}?wait=20"))).unwrap();
    assert_eq!(status.state, CommissionState::Matched);

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let url = format!("{}{path}/answers", office.server.parties);
    let client = crate::access::client(&office.project, OFFICE);
    let mut answer = runtime.block_on(client.get(url).header("accept", "application/jsonl").send()).unwrap();
    let mut lines = runtime.block_on(answer.chunk()).unwrap().unwrap().to_vec();
    let said = Withdrawal { commission, office: OFFICE.into(), withdrawn_at: Timestamp::now() };
    let signed = Signed::new(&office.key, Purpose::Withdrawal, serde_json::to_vec(&said).unwrap());
    block_on(office.client.post::<CommissionStatus>(&format!("{path}/withdrawal"), &signed)).unwrap();
    let end = runtime.block_on(async {
        while let Some(more) = answer.chunk().await? {
            lines.extend(more);
        }
        Ok::<_, reqwest::Error>(())
    });
    assert!(end.is_err(), "it ended as if it were whole, after {} bytes", lines.len());
    let lines = lines.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
    let came: Vec<SubjectAnswer> = lines.map(|line| serde_json::from_slice(line).unwrap()).collect();
    assert!(came.len() < ids.len() && came.iter().all(|answer| answer.slots.0[0] == 4), "{} came", came.len());
}

/// A project whose parts hold two rows.
fn project_of_small_parts() -> Project {
    let project = Project::unsigned();
    let path = project.path("manifest.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("part_rows = 65536", "part_rows = 2")).unwrap();
    for party in AGENCIES {
        project.sign(party).done();
    }
    project
}

#[test]
fn parts_may_come_twice_and_in_any_order_but_not_wrong_or_too_few() {
    let project = project_of_small_parts();
    let (_, data, _) = files(&project);
    let server = project.server();
    let bank = client(&project, &server, "bank");
    project.encode("bank", &data, "bank").done();
    let read = |name: &str| std::fs::read(project.path("bank").join(name)).unwrap();
    let header: Signed = serde_json::from_slice(&read("batch.json")).unwrap();
    let status: hedui_protocol::messages::BatchStatus = block_on(bank.post("/v1/batches", &header)).unwrap();
    let path = format!("/v1/batches/{}", status.batch);
    let commit = || block_on(bank.post::<serde_json::Value>(&format!("{path}/commit"), &()));
    assert!(commit().unwrap_err().message.contains("2 of 2 parts are missing: 0, 1"));

    let put = |number: u32, bytes: Vec<u8>| {
        block_on(bank.put::<serde_json::Value>(&format!("{path}/parts/{number}"), bytes.into()))
    };
    let (first, second) = (read("part-00000.parquet"), read("part-00001.parquet"));
    assert!(put(0, first[..first.len() - 9].to_vec()).is_err(), "cut");
    let mut wrong = first.clone();
    wrong[100] ^= 1;
    assert!(put(0, wrong).unwrap_err().message.contains("length or hash differs"));
    assert!(put(0, second.clone()).is_err(), "another part in its place");
    assert!(put(2, first.clone()).unwrap_err().message.contains("no such thing"));
    put(1, second.clone()).unwrap();
    assert!(commit().unwrap_err().message.contains("1 of 2 parts are missing: 0"));
    put(0, first.clone()).unwrap();
    put(1, second).unwrap();
    commit().unwrap();
    put(0, first).unwrap();
    commit().unwrap();
    let vehicle = client(&project, &server, "vehicle");
    assert!(
        block_on(vehicle.get::<serde_json::Value>(&path)).unwrap_err().message.contains("no such thing"),
        "another's"
    );
}

#[test]
fn whoever_opens_checks_the_ticket_again() {
    let office = Rogue::new();
    let (ticket, _) = office.ticket();
    let signed = Signed::new(&office.key, Purpose::Ticket, ticket.to_bytes());
    let granted = Granted::check(&signed, &office.manifest).unwrap();
    let later = ticket.expires_at + SignedDuration::from_secs(1);
    assert!(granted.permits(SubjectId([1; 16]), "bank", "deposits", Level::L3, ticket.issued_at).is_ok());
    assert!(granted.permits(SubjectId([1; 16]), "bank", "deposits", Level::L3, later).is_err());
    assert!(granted.permits(SubjectId([1; 16]), "bank", "deposits", Level::L1, ticket.issued_at).is_err());
    assert!(granted.permits(SubjectId([2; 16]), "bank", "deposits", Level::L3, ticket.issued_at).is_err());
}
