//! Sealing against opening: what fits opens, and every byte of every context counts.
#![cfg(all(feature = "seal", feature = "open"))]

use hedui_protocol::ids::{ContentHash, ManifestId, RecordId, SubjectId};
use hedui_protocol::keys::{LinkageKey, PassSecret, WrapKey};
use hedui_protocol::manifest::{Level, Manifest};
use hedui_protocol::open::{Deposit, OpenError, Opener, OpeningKey};
use hedui_protocol::part::{PartSeal, StoredRecord, locked_range};
use hedui_protocol::seal::{AnswerSealer, PartSealer, SealError};
use hedui_protocol::sign::{Purpose, Signed, SigningKey};
use hedui_protocol::ticket::{Asked, Capacity, Granted, Subject, Ticket, Window};
use jiff::civil::date;

const SUBJECT: SubjectId = SubjectId([7; 16]);
const RECORD: RecordId = RecordId([8; 16]);

fn opening_key() -> OpeningKey {
    OpeningKey::new(&(50..82).collect::<Vec<u8>>()).unwrap()
}

fn signing_key() -> SigningKey {
    SigningKey::from_seed(&[1; 32])
}

fn manifest(epoch: &str) -> Manifest {
    let (signing, opening) = (signing_key().public(), opening_key().public());
    let text = format!(
        r#"
protocol = 1
project = "p"
purpose = "p"
epoch = "{epoch}"
linkage_key_check = "0000000000000000"
programmes = ["dibao"]
[[agency]]
name = "bank"
organisation = "bank"
signing_key = "{signing}"
release = "deposit"
[[agency.item]]
name = "deposits"
title = "d"
title_zh = "d"
levels = ["L1", "L3"]
columns = ["balance"]
measure = "balance"
limit = 1.0
bucket = 64
[[office]]
name = "office"
organisation = "office"
signing_key = "{signing}"
opening_key = "{opening}"
deposits = true
[schema]
{}
"#,
        hedui_protocol::schema::Schema::preset("resident-cn")
            .unwrap()
            .replace("[[", "[[schema.")
            .replace("[decision]", "[schema.decision]")
    );
    Manifest::parse(text.as_bytes()).unwrap()
}

fn ticket(manifest: &Manifest, level: Level) -> Granted {
    let ticket = Ticket {
        manifest: manifest.id(),
        office: "office".into(),
        commission_no: "1".into(),
        programme: "dibao".into(),
        window: Window { from: date(2026, 1, 1), to: date(2026, 6, 30) },
        issued_at: "2026-11-01T00:00:00Z".parse().unwrap(),
        expires_at: "2026-12-01T00:00:00Z".parse().unwrap(),
        standing: false,
        items: vec![Asked { agency: "bank".into(), item: "deposits".into(), level }],
        subjects: vec![Subject {
            subject: SUBJECT,
            capacity: Capacity::CoResident,
            agencies: vec!["bank".into()],
            evidence: ContentHash([0; 32]),
            valid_until: date(2026, 11, 30),
            encodings: ContentHash([0; 32]),
        }],
    };
    Granted::check(&Signed::new(&signing_key(), Purpose::Ticket, ticket.to_bytes()), manifest).unwrap()
}

fn secret(value: &[u8]) -> PassSecret {
    LinkageKey::new(&(0..32).collect::<Vec<u8>>()).unwrap().for_project(ManifestId([9; 32])).secret(value)
}

fn wrap_key(value: &[u8]) -> WrapKey {
    secret(value).wrap_key("bank")
}

struct Sealed {
    seal: PartSeal,
    wraps: Vec<u8>,
    locked: Vec<u8>,
}

fn sealed(manifest: &Manifest) -> Sealed {
    let sealer = PartSealer::new(manifest, manifest.agency("bank").unwrap()).unwrap();
    let payloads = [b"over".to_vec(), b"balance 70123.45".to_vec()];
    let (wraps, locked) = sealer.record(RECORD, &[(3, wrap_key(b"person"))], &payloads).unwrap();
    Sealed { seal: sealer.part_seal(), wraps, locked }
}

type Change<'c> = &'c dyn Fn(&mut Sealed, &mut RecordId);

fn open(
    manifest: &Manifest,
    level: Level,
    person: &[u8],
    now: &str,
    change: Change<'_>,
) -> Result<Vec<Vec<u8>>, OpenError> {
    let (mut sealed, mut record) = (sealed(manifest), RECORD);
    change(&mut sealed, &mut record);
    let agency = manifest.agency("bank").unwrap();
    let range = locked_range(agency, 0, "deposits", level).unwrap();
    let (ticket, key) = (ticket(manifest, level), opening_key());
    let deposit = Deposit {
        record,
        salt: &sealed.seal.salt,
        encapsulation: &sealed.seal.encapsulations[0],
        wrap: StoredRecord::wrap_of(&sealed.wraps, 3).unwrap(),
        locked: &[sealed.locked[range].to_vec()],
    };
    let opener = Opener { key: &key, manifest, ticket: &ticket, now: now.parse().unwrap() };
    opener.deposit(SUBJECT, agency, &deposit, &[wrap_key(b"someone else"), wrap_key(person)])
}

const NOW: &str = "2026-11-15T00:00:00Z";

#[test]
fn a_deposit_opens_for_who_can_name_the_person() {
    let manifest = manifest("e");
    let as_is: Change<'_> = &|_, _| {};
    assert_eq!(open(&manifest, Level::L3, b"person", NOW, as_is).unwrap(), [b"balance 70123.45"]);
    assert_eq!(open(&manifest, Level::L1, b"person", NOW, as_is).unwrap(), [b"over"]);
    assert_eq!(open(&manifest, Level::L3, b"stranger", NOW, as_is), Err(OpenError::Locked));
    assert!(matches!(open(&manifest, Level::L3, b"person", "2026-12-01T00:00:00Z", as_is), Err(OpenError::Refused(_))));
}

#[test]
fn whatever_is_changed_it_does_not_open() {
    let manifest = manifest("e");
    let changes: [(&str, Change<'_>); 5] = [
        ("record", &|_, record| record.0[0] ^= 1),
        ("salt", &|sealed, _| sealed.seal.salt[0] ^= 1),
        ("encapsulation", &|sealed, _| sealed.seal.encapsulations[0][0] ^= 1),
        ("wrap", &|sealed, _| sealed.wraps[9] ^= 1),
        ("locked payload", &|sealed, _| sealed.locked.iter_mut().for_each(|byte| *byte ^= 1)),
    ];
    for (what, change) in changes {
        assert!(open(&manifest, Level::L3, b"person", NOW, change).is_err(), "{what}");
    }
    let other_level: Change<'_> = &|sealed, _| {
        let (head, tail) = sealed.locked.split_at_mut(96);
        head.swap_with_slice(tail);
    };
    assert!(open(&manifest, Level::L3, b"person", NOW, other_level).is_err(), "the payload of another level");
    // sealed under one manifest, opened under another
    let sealed_there = sealed(&self::manifest("another epoch"));
    let swap: Change<'_> = &|sealed, _| {
        sealed.locked.copy_from_slice(&sealed_there.locked);
        sealed.wraps.copy_from_slice(&sealed_there.wraps);
        sealed.seal = sealed_there.seal.clone();
    };
    assert!(open(&manifest, Level::L3, b"person", NOW, swap).is_err(), "another manifest");
}

#[test]
fn a_payload_that_does_not_fit_its_bucket_is_refused() {
    let manifest = manifest("e");
    let sealer = PartSealer::new(&manifest, manifest.agency("bank").unwrap()).unwrap();
    let fits = [vec![b'x'; 62], vec![]];
    assert!(sealer.record(RECORD, &[], &fits).is_ok());
    let error = sealer.record(RECORD, &[], &[vec![b'x'; 63], vec![]]).unwrap_err();
    assert_eq!(error, SealError::TooLong { item: "deposits".into(), got: 63, room: 62 });
}

#[test]
fn an_answer_opens_for_its_commission_and_is_signed() {
    let manifest = manifest("e");
    let (agency, office) = (manifest.agency("bank").unwrap(), manifest.office("office").unwrap());
    let (ticket, key) = (ticket(&manifest, Level::L3), opening_key());
    let sealer = AnswerSealer::new(&manifest, agency, office, ticket.id()).unwrap();
    let asked = &ticket.ticket().items[0];
    let answer = sealer.answer(&signing_key(), SUBJECT, RECORD, &[(asked, b"balance 1".to_vec())]).unwrap();
    let opener = Opener { key: &key, manifest: &manifest, ticket: &ticket, now: NOW.parse().unwrap() };
    assert_eq!(opener.answer(SUBJECT, agency, &answer).unwrap(), [b"balance 1"]);
    assert!(opener.answer(SubjectId([1; 16]), agency, &answer).is_err(), "another subject");
    let mut changed = answer.clone();
    changed.items[0].0[0] ^= 1;
    assert_eq!(opener.answer(SUBJECT, agency, &changed), Err(OpenError::BadSignature("bank".into())));
    let forged =
        sealer.answer(&SigningKey::from_seed(&[3; 32]), SUBJECT, RECORD, &[(asked, b"balance 1".to_vec())]).unwrap();
    assert_eq!(opener.answer(SUBJECT, agency, &forged), Err(OpenError::BadSignature("bank".into())));
}
