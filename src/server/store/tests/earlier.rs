//! Databases as earlier versions left them, with something in every table that they had.

use hedui_protocol::acts::{ActState, DataClass, Deed, Retention};

use super::*;

const BATCH: BatchId = BatchId([1; 32]);
const DELTA: BatchId = BatchId([2; 32]);
const COMMISSION: CommissionId = CommissionId([9; 32]);
const MANIFEST: ManifestId = ManifestId([7; 32]);

/// What version `version` had by then, a migration after the other.
async fn write(old: &Store, version: i64) {
    let (pool, (_, signed)) = (&old.pool, header("bank"));
    let (batch, id, delta) = (BATCH.to_string(), COMMISSION.to_string(), DELTA.to_string());
    let bind = |statement: &'static str| sqlx::query(statement);
    let header = serde_json::to_vec(&signed).unwrap();
    bind("INSERT INTO batches (batch, agency, header, state, created_at, committed_at, place) VALUES ($1, 'bank', $2, 'committed', 1, 1, 1)")
        .bind(&batch).bind(&header).execute(pool).await.unwrap();
    let parts = "INSERT INTO parts (batch, number, stored_at) VALUES ($1, 0, 1), ($1, 1, 1)";
    bind(parts).bind(&batch).execute(pool).await.unwrap();
    bind("INSERT INTO commissions (commission, office, ticket, ticket_signature, encodings, state, filed_at) VALUES ($1, 'office', $2, $3, $4, 'matched', 1)")
        .bind(&id).bind(b"ticket".to_vec()).bind(String::from(signed.signature)).bind(b"[]".to_vec()).execute(pool).await.unwrap();
    let against = "INSERT INTO matched_against (commission, agency, batch) VALUES ($1, 'bank', $2)";
    bind(against).bind(&id).bind(&batch).execute(pool).await.unwrap();
    bind("INSERT INTO matches (commission, subject, agency, record, place, band, release, until, slot) VALUES ($1, $2, 'bank', $3, 0, 'probable', 'pending', 100, $4)")
        .bind(&id).bind(SubjectId([1; 16]).to_string()).bind(RecordId([2; 16]).to_string()).bind(vec![1u8, 2, 3]).execute(pool).await.unwrap();
    let job = "INSERT INTO jobs (kind, target, state, lease_until, attempts, place) VALUES ('index', $1, 'running', 60, 1, 1)";
    bind(job).bind(&batch).execute(pool).await.unwrap();
    if version >= 2 {
        bind("UPDATE jobs SET holder = 'another'").execute(pool).await.unwrap();
        bind("INSERT INTO project (manifest) VALUES ($1)").bind(MANIFEST.to_string()).execute(pool).await.unwrap();
    }
    if version >= 3 {
        bind("UPDATE project SET terms = $1, signatures = $1").bind(b"terms".to_vec()).execute(pool).await.unwrap();
        for act in ["one", "two"] {
            old.note(Event::Administered { act: act.into() }, at(1)).await.unwrap();
        }
    }
    if version >= 4 {
        let stands = "UPDATE commissions SET subjects = 3, standing = 1, expires_at = 500, version = 4";
        bind(stands).execute(pool).await.unwrap();
        bind("UPDATE matches SET asked_at = 5").execute(pool).await.unwrap();
        let part = "INSERT INTO encodings (commission, part, encodings) VALUES ($1, 0, $2)";
        bind(part).bind(&id).bind(b"[]".to_vec()).execute(pool).await.unwrap();
    }
    if version >= 5 {
        bind("INSERT INTO batches (batch, agency, header, state, created_at, place, base) VALUES ($1, 'bank', $2, 'open', 2, 2, $3)")
            .bind(&delta).bind(&header).bind(&batch).execute(pool).await.unwrap();
    }
    if version >= 6 {
        let deed = serde_json::to_string(&Deed::EraseAgency { agency: "tax".into() }).unwrap();
        let by = r#"{"organisation":"City","name":"li","key":"KEY"}"#.replace("KEY", &"0".repeat(64));
        bind("INSERT INTO acts (act, deed, state, proposed_by, proposed_at, approved_by, approved_at) VALUES (0, $1, 'approved', $2, 1, $2, 2)")
            .bind(deed).bind(by).execute(pool).await.unwrap();
        bind("INSERT INTO workers (holder, seen_at, tidied_at) VALUES ('another', 3, 3)").execute(pool).await.unwrap();
        bind("UPDATE batches SET shred_key = $1, sealed = 1").bind(vec![5u8; 32]).execute(pool).await.unwrap();
        let removal = "INSERT INTO removals (batch, parts) VALUES ($1, 3)";
        bind(removal).bind(BatchId([3; 32]).to_string()).execute(pool).await.unwrap();
        bind("UPDATE project SET backups_until = 77").execute(pool).await.unwrap();
        let retention = serde_json::to_string(&Retention { epoch: Some(1), ..Retention::default() }).unwrap();
        bind("UPDATE project SET retention = $1").bind(retention).execute(pool).await.unwrap();
        bind("INSERT INTO epochs (manifest, terms, signatures, opened_at) VALUES ($1, $2, $2, 1)")
            .bind(ManifestId([8; 32]).to_string())
            .bind(b"next".to_vec())
            .execute(pool)
            .await
            .unwrap();
    }
    if version >= 7 {
        bind("UPDATE acts SET approved = 0").execute(pool).await.unwrap();
        bind("UPDATE workers SET followed = 1").execute(pool).await.unwrap();
        bind("UPDATE project SET compacted_at = 3").execute(pool).await.unwrap();
    }
    if version >= 8 {
        bind("UPDATE epochs SET served_at = 9").execute(pool).await.unwrap();
        bind("UPDATE batches SET tag = 'batch'").execute(pool).await.unwrap();
        bind("UPDATE removals SET tag = 'removal'").execute(pool).await.unwrap();
    }
}

pub(super) async fn what_an_earlier_version_wrote_is_brought_up_to_date(database: Database) {
    for version in 1..newest() {
        let database = database.of_epoch(ManifestId([u8::try_from(version).unwrap(); 32]));
        if let Database::Sqlite(path) = &database {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        }
        let old = Store::make(&database, "one").await.unwrap();
        old.make_schema().await.unwrap();
        old.migrate(version).await.unwrap();
        write(&old, version).await;
        assert_eq!(old.version().await.unwrap(), version);
        old.pool.close().await;
        reads(&store(&database).await, version).await;
    }
}

/// What was written is there, and is gone on with.
async fn reads(store: &Store, version: i64) {
    let (header, status) = store.batch(BATCH).await.unwrap().unwrap();
    assert_eq!(header, super::header("bank").0, "{version}");
    assert_eq!(status, BatchStatus { batch: BATCH, state: BatchState::Committed, missing: vec![], reason: None });
    assert_eq!(store.ticket(COMMISSION).await.unwrap().bytes, b"ticket");
    assert_eq!(store.matched_against(COMMISSION).await.unwrap(), [("bank".to_owned(), Some(BATCH))]);
    let asked_at = if version >= 4 { at(5) } else { at(0) };
    let matched = store.matches(COMMISSION, &[SubjectId([1; 16])]).await.unwrap();
    assert_eq!(matched, [MatchRow { asked_at, ..found(Release::Pending) }], "{version}");
    if version >= 2 {
        assert_eq!(store.manifest().await.unwrap(), Some(MANIFEST));
    }
    store.belongs_to(MANIFEST).await.unwrap();
    if version >= 3 {
        assert_eq!(store.terms().await.unwrap().unwrap().0, b"terms");
        let before = store.root_at(2).await.unwrap().unwrap();
        assert_eq!(store.note(Event::Administered { act: "three".into() }, at(2)).await.unwrap(), 2);
        assert_eq!(store.root_at(2).await.unwrap(), Some(before), "the log goes on");
        assert_eq!(store.entries(0, 9).await.unwrap().len(), 3);
    }
    if version >= 4 {
        assert_eq!(store.commission(COMMISSION).await.unwrap().unwrap().version, 4);
        assert_eq!(store.encoding_parts(COMMISSION).await.unwrap(), [0]);
    }
    let jobs = store.claim(JobKind::Index, 1, 60, at(60)).await.unwrap();
    assert!(store.batch_indexed(&jobs[0], BATCH, "bank", at(9)).await.unwrap());
    if version >= 4 {
        let again = store.claim(JobKind::Sweep, 1, 60, at(61)).await.unwrap();
        assert_eq!(again[0].target, COMMISSION.to_string(), "what stands is matched again");
    }
    if version >= 5 {
        assert_eq!(store.batch(DELTA).await.unwrap().unwrap().1.state, BatchState::Open);
    }
    if version >= 6 {
        assert_eq!(store.act(0, at(9)).await.unwrap().unwrap().state, ActState::Approved);
        let so_far = store.erased_so_far().await.unwrap();
        store.followed(so_far, at(9)).await.unwrap();
        let [erasure] = store.acts_to_finish(at(999)).await.unwrap()[..] else { panic!("it goes on") };
        store.finish_act(erasure, at(999)).await.unwrap();
        assert_eq!(store.act(0, at(999)).await.unwrap().unwrap().state, ActState::Done);
        let (shelf, removals) = (store.shelf(BATCH).await.unwrap(), store.removals().await.unwrap());
        assert!(shelf.key.is_some());
        assert_eq!(removals.iter().map(|removal| removal.shelf.batch).collect::<Vec<_>>(), [BatchId([3; 32])]);
        let tags = (shelf.tag.as_deref(), removals[0].shelf.tag.as_deref());
        assert_eq!(tags, if version >= 8 { (Some("batch"), Some("removal")) } else { (None, None) });
        assert_eq!(store.next_epochs().await.unwrap()[0].terms, b"next");
        let a_year = at(366 * 86_400);
        let ends_the_epoch = async || {
            let ended = store.expire(a_year).await.unwrap();
            ended.iter().any(|ended| ended.class == DataClass::Epoch)
        };
        if version < 8 {
            assert!(!ends_the_epoch().await, "nobody knows yet whether the next one is served");
            store.serves_next(ManifestId([8; 32]), at(9)).await.unwrap();
        }
        assert!(ends_the_epoch().await);
    } else {
        assert!(store.give_keys().await.unwrap());
        assert_eq!(store.unsealed(None).await.unwrap().unwrap().0, BATCH);
    }
}
