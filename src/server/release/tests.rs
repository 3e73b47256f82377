//! The table of `release`, row by row.

use hedui_protocol::encodings::{Encodings, Token};
use hedui_protocol::ids::{BatchId, ContentHash, KeyCheck, RecordId};
use hedui_protocol::manifest::{Agency as AgencyTerms, Item, Level, Limits, Office, Terms};
use hedui_protocol::part::{PartSeal, WRAP_BYTES, locked_bytes};
use hedui_protocol::schema::Schema;
use hedui_protocol::sign::{Purpose, Signed, SigningKey};
use hedui_protocol::ticket::{Asked, Capacity, Subject, Ticket, Window};

use std::sync::Arc;

use super::super::layers::Layer;
use super::*;
use crate::matching::bytes::Bytes;
use crate::matching::index::Index;
use crate::matching::postings::merge;
use crate::matching::rows::{RowTable, RowWriter};
use crate::matching::{Match, Via};

const SUBJECT: SubjectId = SubjectId([1; 16]);
const RECORD: RecordId = RecordId([2; 16]);

fn key(office: &str) -> SigningKey {
    SigningKey::from_seed(&[office.len() as u8; 32])
}

/// Two offices, `centre` with deposits and `county` without; one agency.
fn manifest(release: Mode) -> Manifest {
    let office = |name: &str, deposits| Office {
        subjects_per_day: None,
        name: name.into(),
        organisation: format!("Org {name}"),
        signing_key: key(name).public(),
        opening_key: key(name).public(),
        deposits,
    };
    let item = Item {
        name: "deposits".into(),
        title: "Deposits".into(),
        title_zh: "存款".into(),
        levels: vec![Level::L0, Level::L3],
        columns: vec!["balance".into()],
        measure: None,
        limit: None,
        bands: vec![],
        bucket: 64,
    };
    let terms = Terms {
        log_key: None,
        protocol: 1,
        project: "test".into(),
        purpose: "test".into(),
        epoch: "e".into(),
        linkage_key_check: KeyCheck([0; 8]),
        programmes: vec!["dibao".into()],
        limits: Limits { answer_slots: 2, ..Limits::default() },
        agencies: vec![AgencyTerms {
            name: "bank".into(),
            organisation: "Org bank".into(),
            signing_key: key("bank").public(),
            release,
            items: vec![item],
        }],
        offices: vec![office("county", false), office("centre", true)],
        dangerously_plain: false,
        schema: Schema::parse(Schema::preset("person").unwrap()).unwrap(),
    };
    Manifest::parse(toml::to_string(&terms).unwrap().as_bytes()).unwrap()
}

fn ticket(manifest: &Manifest, office: &str) -> Granted {
    let today = jiff::civil::date(2026, 11, 24);
    let ticket = Ticket {
        standing: false,
        manifest: manifest.id(),
        office: office.into(),
        commission_no: "1".into(),
        programme: "dibao".into(),
        window: Window { from: today, to: today },
        issued_at: "2026-11-24T00:00:00Z".parse().unwrap(),
        expires_at: "2026-12-24T00:00:00Z".parse().unwrap(),
        items: vec![Asked { agency: "bank".into(), item: "deposits".into(), level: Level::L3 }],
        subjects: vec![Subject {
            subject: SUBJECT,
            capacity: Capacity::CoResident,
            agencies: vec!["bank".into()],
            evidence: ContentHash([0; 32]),
            valid_until: today,
            encodings: ContentHash([0; 32]),
        }],
    };
    Granted::check(&Signed::new(&key(office), Purpose::Ticket, ticket.to_bytes()), manifest).unwrap()
}

/// Records with a wrap for their first token each.
fn index(agency: &Agency) -> ReadyIndex {
    let encodings = Encodings { tokens: vec![(0, Token([3; 16])), (1, Token([4; 16]))], filters: vec![] };
    let wraps = [vec![0], vec![5; WRAP_BYTES]].concat();
    let locked: Vec<u8> = (0..locked_bytes(agency)).map(|at| at as u8).collect();
    let mut rows = RowWriter::new(Vec::new(), 2);
    for record in [RECORD, RecordId([9; 16]), RecordId([8; 16]), RecordId([1; 16])] {
        rows.write(record, &encodings, &wraps, &locked).unwrap();
    }
    let rows = RowTable::new(Bytes::Memory(rows.finish().unwrap())).unwrap();
    let mut postings = Vec::new();
    merge(&[], 0, 0, &mut postings).unwrap();
    let seals = vec![PartSeal { salt: [6; 16], encapsulations: vec![[7; 32]] }];
    let index = Index::new(vec![rows], Bytes::Memory(postings)).unwrap();
    ReadyIndex::new(vec![Arc::new(Layer::new(BatchId([0; 32]), index, seals, None))])
}

fn found(row: u32, band: Band, via: Option<Via>) -> Found {
    Found { layer: 0, found: Match { row, score: 9.0 - f64::from(row), band, via } }
}

fn released(mode: Mode, office: &str, band: Band, via: Option<Via>, now: &str, matches: u32) -> Vec<MatchRow> {
    let manifest = manifest(mode);
    let (ticket, agency) = (ticket(&manifest, office), manifest.agency("bank").unwrap());
    let found: Vec<Found> = (0..matches).map(|row| found(row, band, via)).collect();
    Desk::new(&manifest, &ticket, agency).release(&index(agency), SUBJECT, &found, now.parse().unwrap())
}

const NOW: &str = "2026-11-24T12:00:00Z";
const WRAPPED: Option<Via> = Some(Via { pass: 0, token: 0 });
const UNWRAPPED: Option<Via> = Some(Via { pass: 1, token: 1 });

#[track_caller]
fn check(mode: Mode, office: &str, band: Band, via: Option<Via>, expect: Release) {
    let rows = released(mode, office, band, via, NOW, 1);
    assert_eq!(rows.iter().map(|row| row.release).collect::<Vec<_>>(), [expect]);
}

#[test]
fn what_goes_out_is_what_the_table_says() {
    check(Mode::Deposit, "centre", Band::Exact, WRAPPED, Release::Deposit);
    check(Mode::Deposit, "centre", Band::Repaired, WRAPPED, Release::Deposit);
    check(Mode::Deposit, "centre", Band::Possible, WRAPPED, Release::Possible);
    check(Mode::Deposit, "centre", Band::Probable, None, Release::Pending);
    check(Mode::Deposit, "centre", Band::Exact, UNWRAPPED, Release::Pending);
    check(Mode::Deposit, "county", Band::Exact, WRAPPED, Release::Pending);
    check(Mode::OnMatch, "centre", Band::Exact, WRAPPED, Release::Pending);
    check(Mode::OnMatch, "centre", Band::Possible, None, Release::Possible);
}

#[test]
fn a_deposit_is_the_asked_payload_and_what_opens_it() {
    let manifest = manifest(Mode::Deposit);
    let (ticket, agency) = (ticket(&manifest, "centre"), manifest.agency("bank").unwrap());
    let row = &released(Mode::Deposit, "centre", Band::Exact, WRAPPED, NOW, 1)[0];
    let slot = SlotShape::of(&ticket, agency).read(&row.slot).unwrap();
    let Slot::Deposit { record, salt, encapsulation, wrap, locked, .. } = slot else { panic!("{slot:?}") };
    assert_eq!((record, salt, encapsulation, wrap), (RECORD, [6; 16], [7; 32], [5; WRAP_BYTES]));
    let l3: Vec<u8> = (96..192).collect();
    assert_eq!(locked, [l3], "L0 lies before it and was not asked");
}

#[test]
fn nothing_goes_out_when_the_authorisation_has_ended_and_no_more_than_there_is_room_for() {
    let many = |now| released(Mode::Deposit, "centre", Band::Exact, WRAPPED, now, 4);
    assert_eq!(many(NOW).len(), 2);
    assert_eq!(many(NOW)[0].until, "2026-11-25T12:00:00Z".parse().unwrap(), "its last day ends last in UTC-12");
    assert!(many("2026-11-26T00:00:00Z").is_empty());
}

#[test]
fn more_matches_than_slots_are_told_and_the_order_tells_nothing() {
    let manifest = manifest(Mode::OnMatch);
    let shape = SlotShape::of(&ticket(&manifest, "county"), manifest.agency("bank").unwrap());
    let told = |matches| {
        let rows = released(Mode::OnMatch, "county", Band::Exact, None, NOW, matches);
        rows.iter().map(|row| (row.place, row.record, shape.read(&row.slot).unwrap())).collect::<Vec<_>>()
    };
    let pending = || Slot::Pending { band: Band::Exact };
    let second = RecordId([9; 16]);
    assert_eq!(told(2), [(0, RECORD, pending()), (1, second, pending())]);
    assert_eq!(told(3), [(0, RECORD, pending()), (1, second, Slot::More)]);

    // the surer of these two has the higher record id, and stands second
    let agency = manifest.agency("bank").unwrap();
    let surest_first = [1, 2].map(|row| found(row, Band::Exact, None));
    let desk_ticket = ticket(&manifest, "county");
    let rows = Desk::new(&manifest, &desk_ticket, agency).release(
        &index(agency),
        SUBJECT,
        &surest_first,
        NOW.parse().unwrap(),
    );
    assert_eq!(rows.iter().map(|row| row.record.0[0]).collect::<Vec<_>>(), [8, 9]);
}
