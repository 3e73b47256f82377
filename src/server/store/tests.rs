//! The contract of the store, on a real database.

use hedui_protocol::basis::Basis;
use hedui_protocol::decision::Band;
use hedui_protocol::ids::{BatchId, CommissionId, ContentHash, KeyCheck, ManifestId, RecordId, SubjectId};
use hedui_protocol::messages::{BatchState, CommissionRequest, CommissionState};
use hedui_protocol::part::{BatchHeader, PartInfo};
use hedui_protocol::sign::{Purpose, Signed, SigningKey};
use jiff::Timestamp;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn basis() -> Basis {
    Basis {
        manifest: ManifestId([1; 32]),
        schema: ContentHash([2; 32]),
        epoch: "e".into(),
        linkage_key_check: KeyCheck([3; 8]),
    }
}

fn header(agency: &str) -> (BatchHeader, Signed) {
    let part = |number| PartInfo { number, rows: 1, bytes: 1, hash: ContentHash([number as u8; 32]) };
    let header = BatchHeader {
        basis: basis(),
        agency: agency.into(),
        created_at: at(0),
        records: 2,
        parts: vec![part(0), part(1)],
    };
    let signed = Signed::new(&SigningKey::from_seed(&[4; 32]), Purpose::Batch, header.to_bytes());
    (header, signed)
}

fn request() -> CommissionRequest {
    let ticket = Signed::new(&SigningKey::from_seed(&[5; 32]), Purpose::Ticket, b"ticket".to_vec());
    CommissionRequest { basis: basis(), ticket, encodings: vec![] }
}

async fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("test.sqlite")).await.unwrap();
    (folder, store)
}

async fn state(store: &Store, batch: BatchId) -> BatchState {
    store.batch(batch).await.unwrap().unwrap().1.state
}

#[tokio::test]
async fn a_batch_is_created_filled_committed_and_replaced() {
    let (_folder, store) = store().await;
    let (header, signed) = header("bank");
    let (first, second) = (BatchId([1; 32]), BatchId([2; 32]));
    for _sent_again in 0..2 {
        store.create_batch(first, &header, &signed, at(1)).await.unwrap();
        store.note_part(first, 1, at(1)).await.unwrap();
    }
    let (_, status) = store.batch(first).await.unwrap().unwrap();
    assert_eq!((status.state, status.missing), (BatchState::Open, vec![0]));
    for _sent_again in 0..2 {
        store.commit_batch(first, at(2)).await.unwrap();
    }
    assert!(store.is_indexing("bank").await.unwrap());
    assert_eq!(store.claim(JobKind::Index, 9, 60, at(3)).await.unwrap().len(), 1, "one job for two commits");
    assert!(store.batch_indexed(first, "bank").await.unwrap());
    assert!(!store.is_indexing("bank").await.unwrap());

    store.create_batch(second, &header, &signed, at(4)).await.unwrap();
    store.commit_batch(second, at(4)).await.unwrap();
    store.batch_indexed(second, "bank").await.unwrap();
    assert_eq!((state(&store, first).await, state(&store, second).await), (BatchState::Replaced, BatchState::Indexed));
    assert_eq!(store.indexed_batches().await.unwrap().len(), 1);
    store.commit_batch(first, at(5)).await.unwrap();
    assert_eq!(state(&store, first).await, BatchState::Replaced, "a commit that is sent again late changes nothing");
}

#[tokio::test]
async fn two_batches_of_one_second_are_indexed_in_the_order_of_their_commits() {
    let (_folder, store) = store().await;
    let (header, signed) = header("bank");
    let (earlier, later) = (BatchId([2; 32]), BatchId([1; 32]));
    for batch in [earlier, later] {
        store.create_batch(batch, &header, &signed, at(1)).await.unwrap();
        store.commit_batch(batch, at(1)).await.unwrap();
    }
    let jobs = store.claim(JobKind::Index, 9, 60, at(1)).await.unwrap();
    assert_eq!(jobs[0].target, earlier.to_string());
    // the earlier one failed at first, and is done after the later one
    assert!(store.batch_indexed(later, "bank").await.unwrap());
    assert!(!store.batch_indexed(earlier, "bank").await.unwrap(), "a later set stands");
    assert_eq!((state(&store, earlier).await, state(&store, later).await), (BatchState::Replaced, BatchState::Indexed));
}

#[tokio::test]
async fn a_lease_that_ends_is_taken_over() {
    let (_folder, store) = store().await;
    let (header, signed) = header("bank");
    store.create_batch(BatchId([1; 32]), &header, &signed, at(1)).await.unwrap();
    store.commit_batch(BatchId([1; 32]), at(1)).await.unwrap();
    let job = store.claim(JobKind::Index, 1, 60, at(100)).await.unwrap().remove(0);
    assert!(store.claim(JobKind::Index, 1, 60, at(159)).await.unwrap().is_empty(), "it is another's");
    store.renew(&job, 60, at(150)).await.unwrap();
    assert!(store.claim(JobKind::Index, 1, 60, at(209)).await.unwrap().is_empty(), "it was renewed");
    assert_eq!(store.claim(JobKind::Index, 1, 60, at(210)).await.unwrap()[0].attempts, 2);
    store.end_leases().await.unwrap();
    assert_eq!(store.claim(JobKind::Index, 1, 60, at(211)).await.unwrap().len(), 1, "a restarted server holds none");
}

fn found(release: Release) -> MatchRow {
    let (subject, record) = (SubjectId([1; 16]), RecordId([2; 16]));
    let (agency, band, slot) = ("bank".into(), Band::Probable, vec![1, 2, 3]);
    MatchRow { subject, agency, record, place: 0, band, release, until: at(100), slot }
}

#[tokio::test]
async fn a_commission_is_matched_once_and_answered_once() {
    let (_folder, store) = store().await;
    let id = CommissionId([9; 32]);
    assert_eq!(store.file_commission(id, "office", &request(), at(1)).await.unwrap(), FiledState::New);
    assert_eq!(store.file_commission(id, "office", &request(), at(1)).await.unwrap(), FiledState::Known);
    let outcome = || CommissionOutcome {
        commission: id,
        against: vec![("bank".into(), None)],
        matches: vec![found(Release::Pending)],
    };
    for _taken_over in 0..2 {
        store.store_outcomes(&[outcome()]).await.unwrap();
    }
    let subjects = [SubjectId([1; 16]), SubjectId([2; 16])];
    assert_eq!(store.matches(id, &subjects).await.unwrap(), [found(Release::Pending)]);
    assert!(store.matches(id, &subjects[1..]).await.unwrap().is_empty());
    assert!(store.commission_encodings(id).await.unwrap().is_empty(), "forgotten");
    assert_eq!(store.pending("bank", 0, 9, at(99)).await.unwrap().len(), 1);
    assert!(store.pending("bank", 0, 9, at(100)).await.unwrap().is_empty(), "the ticket covers it no more");
    assert!(store.pending("tax", 0, 9, at(99)).await.unwrap().is_empty());

    let answer = |record: u8, slot: u8| {
        let (subject, record, release) = (SubjectId([1; 16]), RecordId([record; 16]), Release::Answered);
        AnswerRow { commission: id, subject, record, release, slot: vec![slot] }
    };
    assert_eq!(store.store_answers("tax", &[answer(2, 7)]).await.unwrap(), Err(0), "not this agency's");
    assert_eq!(store.store_answers("bank", &[answer(2, 7), answer(3, 7)]).await.unwrap(), Err(1), "all or none");
    assert_eq!(store.pending("bank", 0, 9, at(99)).await.unwrap().len(), 1);
    for _sent_again in 0..2 {
        assert_eq!(store.store_answers("bank", &[answer(2, 7)]).await.unwrap(), Ok(()));
    }
    assert_eq!(store.store_answers("bank", &[answer(2, 8)]).await.unwrap(), Err(0), "another answer");
    assert_eq!(store.matches(id, &subjects).await.unwrap()[0].slot, [7]);
    assert_eq!(store.releases(id).await.unwrap(), [(subjects[0], "bank".into(), Release::Answered)]);
}

#[tokio::test]
async fn a_withdrawn_commission_keeps_nothing() {
    let (_folder, store) = store().await;
    let id = CommissionId([9; 32]);
    store.file_commission(id, "office", &request(), at(1)).await.unwrap();
    let matches = || vec![found(Release::Deposit)];
    store.store_outcomes(&[CommissionOutcome { commission: id, against: vec![], matches: matches() }]).await.unwrap();
    store.withdraw(id, &request().ticket).await.unwrap();
    assert!(store.releases(id).await.unwrap().is_empty());
    // a worker that was at it when the withdrawal came
    store.store_outcomes(&[CommissionOutcome { commission: id, against: vec![], matches: matches() }]).await.unwrap();
    assert!(store.releases(id).await.unwrap().is_empty());
    assert_eq!(store.ticket(id).await.unwrap(), request().ticket);
    assert_eq!(store.commission(id).await.unwrap().unwrap().state, CommissionState::Withdrawn);
    assert!(store.claim(JobKind::Commission, 9, 60, at(9)).await.unwrap().is_empty());
}
