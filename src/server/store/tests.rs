//! The contract of the store, on a real database.

use std::time::Duration;

use hedui_protocol::basis::Basis;
use hedui_protocol::decision::Band;
use hedui_protocol::ids::{BatchId, CommissionId, ContentHash, KeyCheck, ManifestId, RecordId, SubjectId};
use hedui_protocol::log::{Entry, Event, Hashes, Tree, leaf_hash};
use hedui_protocol::manifest::{Level, Manifest};
use hedui_protocol::messages::{BatchState, BatchStatus, Blob, CommissionRequest, CommissionState, SubjectEncodings};
use hedui_protocol::part::{BatchHeader, PartInfo};
use hedui_protocol::sign::{Purpose, Signed, SigningKey};
use hedui_protocol::ticket::{Asked, Capacity, Granted, Subject, Ticket, Window};
use jiff::Timestamp;

use sqlx::AssertSqlSafe;

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
        base: None,
        deletes: vec![],
        records: 2,
        parts: vec![part(0), part(1)],
    };
    let signed = Signed::new(&SigningKey::from_seed(&[4; 32]), Purpose::Batch, header.to_bytes());
    (header, signed)
}

/// A commission of one subject at the bank, in the project of the vectors.
struct Ask {
    ticket: Granted,
    request: CommissionRequest,
}

impl Ask {
    fn new(number: u8, standing: bool) -> Self {
        Self::of(number, standing, vec![subject(1)])
    }

    fn of(number: u8, standing: bool, subjects: Vec<Subject>) -> Self {
        let manifest = Manifest::parse(include_bytes!("../../../protocol/vectors/open/manifest.toml")).unwrap();
        let day = jiff::civil::date(2030, 1, 1);
        let encoding = |subject: &Subject| SubjectEncodings {
            subject: subject.subject,
            agency: "bank".into(),
            encodings: Blob(vec![number]),
        };
        let encodings = subjects.iter().map(encoding).collect();
        let ticket = Ticket {
            manifest: manifest.id(),
            office: "office".into(),
            commission_no: format!("WT-{number}"),
            programme: "dibao".into(),
            window: Window { from: day, to: day },
            issued_at: at(1),
            expires_at: at(100),
            standing,
            items: vec![Asked { agency: "bank".into(), item: "deposits".into(), level: Level::L3 }],
            subjects,
        };
        let ticket = Signed::new(&SigningKey::from_seed(&[1; 32]), Purpose::Ticket, ticket.to_bytes());
        let granted = Granted::check(&ticket, &manifest).unwrap();
        Self { ticket: granted, request: CommissionRequest { basis: basis(), ticket, encodings } }
    }

    fn id(&self) -> CommissionId {
        self.ticket.id()
    }

    async fn file(&self, store: &Store) -> FiledState {
        self.file_within(store, None).await
    }

    async fn file_within(&self, store: &Store, quota: Option<u32>) -> FiledState {
        let filing = Filing { ticket: &self.ticket, request: &self.request, quota };
        store.file_commission(&filing, at(1)).await.unwrap()
    }
}

fn subject(number: u8) -> Subject {
    Subject {
        subject: SubjectId([number; 16]),
        capacity: Capacity::Obligor,
        agencies: vec!["bank".into()],
        evidence: ContentHash([2; 32]),
        valid_until: jiff::civil::date(2030, 1, 1),
        encodings: ContentHash([3; 32]),
    }
}

#[path = "../../../tests/it/postgres.rs"]
mod postgres;

/// Runs each test on both databases, as this program makes them, and as a later one has brought them further.
macro_rules! contract {
    ($($test:ident),* $(,)?; of_this_version: $($own:ident),* $(,)?) => {
        mod on_sqlite {
            $(
                #[tokio::test]
                async fn $test() {
                    let folder = tempfile::tempdir().unwrap();
                    let database = super::Database::Sqlite(folder.path().join("核对 test.sqlite"));
                    super::$test(database).await;
                }
            )*
            contract!(@own $($own),*);
        }

        mod on_a_later_sqlite {
            $(
                #[tokio::test]
                async fn $test() {
                    let folder = tempfile::tempdir().unwrap();
                    let database = super::Database::Sqlite(folder.path().join("test.sqlite"));
                    super::later(&database, "adds the future").await;
                    super::$test(database).await;
                }
            )*
        }

        #[tokio::test]
        async fn on_postgres() {
            let server = postgres::Postgres::start();
            $(
                let url = server.database(stringify!($test));
                $test(url.parse().unwrap()).await;
            )*
            $(
                let url = server.database(stringify!($own));
                $own(url.parse().unwrap()).await;
            )*
        }

        #[tokio::test]
        async fn on_a_later_postgres() {
            let server = postgres::Postgres::start();
            $(
                let database = server.database(stringify!($test)).parse().unwrap();
                later(&database, "adds the future").await;
                $test(database).await;
            )*
        }
    };
    (@own $($test:ident),*) => {
        $(
            #[tokio::test]
            async fn $test() {
                let folder = tempfile::tempdir().unwrap();
                super::$test(super::Database::Sqlite(folder.path().join("test.sqlite"))).await;
            }
        )*
    };
}

/// Brings a database further than this program knows: each table has more columns, and there are more tables.
async fn later(database: &Database, description: &str) {
    let store = store(database).await;
    let apply = async |statement: String| sqlx::query(AssertSqlSafe(statement)).execute(&store.pool).await.unwrap();
    for table in dump::TABLES {
        apply(format!("ALTER TABLE {table} ADD COLUMN future_note TEXT")).await;
        apply(format!("ALTER TABLE {table} ADD COLUMN future_count BIGINT NOT NULL DEFAULT 7")).await;
        apply(format!("CREATE INDEX future_of_{table} ON {table} (future_count)")).await;
    }
    let refers = "REFERENCES batches (batch) ON DELETE CASCADE";
    apply(format!("CREATE TABLE futures (batch TEXT NOT NULL {refers}, what BYTEA NOT NULL)")).await;
    let (version, columns) = (newest() + 1, "version, description, installed_on, success, checksum, execution_time");
    apply(format!(
        "INSERT INTO _sqlx_migrations ({columns}) SELECT {version}, '{description}', installed_on, success, checksum, 0
         FROM _sqlx_migrations WHERE version = 1"
    ))
    .await;
    store.pool.close().await;
}

mod acts;
mod earlier;
mod plans;

use earlier::what_an_earlier_version_wrote_is_brought_up_to_date;
use plans::{a_row_of_a_small_table_is_found_by_its_index, jobs_that_are_done_are_not_looked_at};

contract! {
    a_batch_is_created_filled_committed_and_replaced,
    two_batches_of_one_second_are_indexed_in_the_order_of_their_commits,
    a_lease_that_ends_is_taken_over,
    who_lost_a_lease_writes_nothing,
    many_claim_at_once_and_each_job_is_ones,
    a_commission_is_matched_once_and_answered_once,
    a_withdrawn_commission_keeps_nothing,
    a_database_belongs_to_one_manifest,
    what_is_done_and_its_entry_are_one,
    many_write_the_log_at_once_and_it_is_one_tree,
    a_large_commission_is_queued_when_its_last_part_has_come,
    a_standing_commission_is_matched_again_and_keeps_what_was_answered,
    an_office_asks_about_so_many_people_a_day,
    a_lease_of_a_clock_that_was_wrong_is_shortened,
    an_index_that_is_late_is_told_until_it_is_there;
    of_this_version:
    a_database_that_is_brought_further_is_gone_on_with_if_it_says_so,
    every_table_is_dumped,
    a_backup_of_an_earlier_version_wants_an_empty_place_too,
    what_an_earlier_version_wrote_is_brought_up_to_date,
    a_turn_that_is_not_used_ends,
    jobs_that_are_done_are_not_looked_at,
    a_row_of_a_small_table_is_found_by_its_index,
    compacting_makes_nobody_wait_who_writes,
}

async fn store(database: &Database) -> Store {
    Store::open(database, "one").await.unwrap()
}

/// Commits a batch whose parts have come.
async fn commit(store: &Store, batch: BatchId, header: &BatchHeader, now: Timestamp) -> Commit {
    let shelf = store.shelf(batch).await.unwrap();
    for part in &header.parts {
        assert!(store.note_part(&shelf, part.number, now).await.unwrap());
    }
    store.commit_batch(batch, header, now).await.unwrap()
}

async fn state(store: &Store, batch: BatchId) -> BatchState {
    store.batch(batch).await.unwrap().unwrap().1.state
}

async fn a_batch_is_created_filled_committed_and_replaced(database: Database) {
    let store = store(&database).await;
    let (header, signed) = header("bank");
    let (first, second) = (BatchId([1; 32]), BatchId([2; 32]));
    for _sent_again in 0..2 {
        store.create_batch(first, &header, &signed, at(1)).await.unwrap();
        store.note_part(&store.shelf(first).await.unwrap(), 1, at(1)).await.unwrap();
    }
    let (_, status) = store.batch(first).await.unwrap().unwrap();
    assert_eq!((status.state, status.missing), (BatchState::Open, vec![0]));
    assert_eq!(store.commit_batch(first, &header, at(2)).await.unwrap(), Commit::PartsMissing);
    assert_eq!(state(&store, first).await, BatchState::Open);
    store.note_part(&store.shelf(first).await.unwrap(), 0, at(1)).await.unwrap();
    for _sent_again in 0..2 {
        assert_eq!(store.commit_batch(first, &header, at(2)).await.unwrap(), Commit::Done);
    }
    assert_eq!(store.set_of("bank").await.unwrap(), AgencySet::Indexing);
    assert_eq!(store.set_of("tax").await.unwrap(), AgencySet::None);
    let jobs = store.claim(JobKind::Index, 9, 60, at(3)).await.unwrap();
    assert_eq!(jobs.len(), 1, "one job for two commits");
    assert!(store.batch_indexed(&jobs[0], first, "bank", at(9)).await.unwrap());
    assert_eq!(store.set_of("bank").await.unwrap(), AgencySet::Indexed(first));

    store.create_batch(second, &header, &signed, at(4)).await.unwrap();
    assert_eq!(commit(&store, second, &header, at(4)).await, Commit::Done);
    let job = store.claim(JobKind::Index, 9, 60, at(4)).await.unwrap().remove(0);
    store.batch_indexed(&job, second, "bank", at(9)).await.unwrap();
    assert_eq!((state(&store, first).await, state(&store, second).await), (BatchState::Replaced, BatchState::Indexed));
    assert_eq!(store.indexed_batches().await.unwrap().len(), 1);
    assert_eq!(commit(&store, first, &header, at(5)).await, Commit::Done);
    assert_eq!(state(&store, first).await, BatchState::Replaced, "a commit that is sent again late changes nothing");
}

async fn two_batches_of_one_second_are_indexed_in_the_order_of_their_commits(database: Database) {
    let store = store(&database).await;
    let (header, signed) = header("bank");
    let (earlier, later) = (BatchId([2; 32]), BatchId([1; 32]));
    for batch in [earlier, later] {
        store.create_batch(batch, &header, &signed, at(1)).await.unwrap();
        assert_eq!(commit(&store, batch, &header, at(1)).await, Commit::Done);
    }
    let jobs = store.claim(JobKind::Index, 9, 60, at(1)).await.unwrap();
    assert_eq!(jobs[0].target, earlier.to_string());
    // the earlier one failed at first, and is done after the later one
    assert!(store.batch_indexed(&jobs[1], later, "bank", at(9)).await.unwrap());
    assert!(!store.batch_indexed(&jobs[0], earlier, "bank", at(9)).await.unwrap(), "a later set stands");
    assert_eq!((state(&store, earlier).await, state(&store, later).await), (BatchState::Replaced, BatchState::Indexed));
}

async fn a_lease_that_ends_is_taken_over(database: Database) {
    let store = store(&database).await;
    let (header, signed) = header("bank");
    store.create_batch(BatchId([1; 32]), &header, &signed, at(1)).await.unwrap();
    assert_eq!(commit(&store, BatchId([1; 32]), &header, at(1)).await, Commit::Done);
    let job = store.claim(JobKind::Index, 1, 60, at(100)).await.unwrap().remove(0);
    let other = Store::open(&database, "another").await.unwrap();
    assert!(other.claim(JobKind::Index, 1, 60, at(159)).await.unwrap().is_empty(), "it is another's");
    store.renew(&job, 60, at(150)).await.unwrap();
    assert!(other.claim(JobKind::Index, 1, 60, at(209)).await.unwrap().is_empty(), "it was renewed");
    let taken = other.claim(JobKind::Index, 1, 60, at(210)).await.unwrap().remove(0);
    assert_eq!(taken.attempts, 2);
    let again = other.claim(JobKind::Index, 1, 60, at(211)).await.unwrap().remove(0);
    assert_eq!(again.attempts, 3, "whoever starts again takes up what it had");
    other.give_back(&again, 5, at(212)).await.unwrap();
    assert!(other.claim(JobKind::Index, 1, 60, at(216)).await.unwrap().is_empty(), "it waits");
    assert_eq!(store.claim(JobKind::Index, 1, 60, at(217)).await.unwrap().len(), 1);
}

async fn who_lost_a_lease_writes_nothing(database: Database) {
    let (store, other) = (store(&database).await, Store::open(&database, "other").await.unwrap());
    let (header, signed) = header("bank");
    let (batch, ask) = (BatchId([1; 32]), Ask::new(9, false));
    let id = ask.id();
    store.create_batch(batch, &header, &signed, at(1)).await.unwrap();
    assert_eq!(commit(&store, batch, &header, at(1)).await, Commit::Done);
    ask.file(&store).await;
    let claim = async |store: &Store, kind, now| store.claim(kind, 1, 60, at(now)).await.unwrap().remove(0);
    let (index, commission) = (claim(&store, JobKind::Index, 1).await, claim(&store, JobKind::Commission, 1).await);
    let taken = claim(&other, JobKind::Index, 61).await;
    claim(&other, JobKind::Commission, 61).await;
    assert!(!store.batch_indexed(&index, batch, "bank", at(9)).await.unwrap());
    store.batch_refused(&index, batch, "bank", "no", at(9)).await.unwrap();
    store.job_is_done(&index).await.unwrap();
    store.renew(&index, 600, at(62)).await.unwrap();
    assert_eq!(state(&store, batch).await, BatchState::Committed);
    let outcome = CommissionOutcome { commission: id, against: vec![], matches: vec![found(Release::Deposit)] };
    store.store_outcomes(&[(commission, outcome)], at(2)).await.unwrap();
    assert_eq!(store.commission(id).await.unwrap().unwrap().state, CommissionState::Queued);
    assert!(store.releases(id, at(0)).await.unwrap().is_empty());
    assert!(other.batch_indexed(&taken, batch, "bank", at(9)).await.unwrap());
}

async fn a_lease_of_a_clock_that_was_wrong_is_shortened(database: Database) {
    let (store, other) = (store(&database).await, Store::open(&database, "another").await.unwrap());
    let claim = async |store: &Store, now| store.claim(JobKind::Commission, 1, 20, at(now)).await.unwrap().pop();
    for number in [1, 2] {
        Ask::new(number, false).file(&store).await;
    }
    // ten days ahead: one is given back, one is running when its worker dies
    let ahead = 864_000;
    let given_back = claim(&store, ahead).await.unwrap();
    store.give_back(&given_back, LONGEST, at(ahead)).await.unwrap();
    let running = claim(&store, ahead).await.unwrap();
    assert_ne!(running.target, given_back.target);
    assert_eq!(claim(&other, 100).await, None);
    other.shorten_leases(20, at(100)).await.unwrap();
    assert_eq!(claim(&other, 119).await, None, "who runs it has time to renew it");
    store.renew(&running, 20, at(110)).await.unwrap();
    let taken = claim(&other, 120).await.unwrap();
    assert_eq!(taken.target, given_back.target);
    other.give_back(&taken, LONGEST, at(120)).await.unwrap();
    other.shorten_leases(20, at(120)).await.unwrap();
    assert_eq!(claim(&other, 129).await, None, "it was renewed");
    let taken = claim(&other, 130).await.unwrap();
    assert_eq!(taken.target, running.target);
    other.give_back(&taken, LONGEST, at(130)).await.unwrap();
    assert_eq!(claim(&other, 419).await, None, "what is kept within reason stays");
    assert_eq!(claim(&other, 420).await.unwrap().target, given_back.target);
}

async fn an_index_that_is_late_is_told_until_it_is_there(database: Database) {
    let store = store(&database).await;
    let (header, signed) = header("bank");
    let batch = BatchId([1; 32]);
    store.create_batch(batch, &header, &signed, at(1)).await.unwrap();
    let reason = async || store.batch(batch).await.unwrap().unwrap().1.reason;
    store.note_delay(batch, "later").await.unwrap();
    assert_eq!(reason().await, None, "it is not committed");
    assert_eq!(commit(&store, batch, &header, at(1)).await, Commit::Done);
    store.note_delay(batch, "later").await.unwrap();
    assert_eq!((state(&store, batch).await, reason().await.as_deref()), (BatchState::Committed, Some("later")));
    let job = store.claim(JobKind::Index, 1, 60, at(1)).await.unwrap().remove(0);
    assert!(store.batch_indexed(&job, batch, "bank", at(2)).await.unwrap());
    store.note_delay(batch, "later").await.unwrap();
    assert_eq!((state(&store, batch).await, reason().await), (BatchState::Indexed, None));
}

async fn a_database_that_is_brought_further_is_gone_on_with_if_it_says_so(database: Database) {
    assert_eq!(store(&database).await.beyond().await.unwrap(), None);
    later(&database, "adds the future").await;
    let known = newest();
    let store = store(&database).await;
    assert_eq!((store.version().await.unwrap(), store.beyond().await.unwrap()), (known + 1, None));
    let rename = "UPDATE _sqlx_migrations SET description = $2 WHERE version = $1";
    sqlx::query(rename).bind(known + 1).bind("takes the past away").execute(&store.pool).await.unwrap();
    assert_eq!(store.beyond().await.unwrap(), Some(known + 1));
}

async fn many_claim_at_once_and_each_job_is_ones(database: Database) {
    let store = store(&database).await;
    for number in 0..40 {
        Ask::new(number, false).file(&store).await;
    }
    let mut claims = tokio::task::JoinSet::new();
    for worker in 0..8 {
        let store = Store::open(&database, &format!("worker {worker}")).await.unwrap();
        claims.spawn(async move { store.claim(JobKind::Commission, 5, 60, at(2)).await.unwrap() });
    }
    let mut all: Vec<String> = claims.join_all().await.into_iter().flatten().map(|job| job.target).collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 40);
    let again = store.claim(JobKind::Commission, 99, 60, at(62)).await.unwrap();
    assert_eq!(again.iter().map(|job| job.attempts).collect::<Vec<_>>(), [2; 40], "each was claimed once before");
}

async fn what_is_done_and_its_entry_are_one(database: Database) {
    let store = store(&database).await;
    let (header, signed) = header("bank");
    let (batch, ask) = (BatchId([1; 32]), Ask::new(9, false));
    let id = ask.id();
    for _restarted in 0..2 {
        store.open_log(Event::Opened { manifest: ManifestId([1; 32]), retention: None }, at(1)).await.unwrap();
    }
    store.create_batch(batch, &header, &signed, at(1)).await.unwrap();
    for _sent_again in 0..2 {
        assert_eq!(commit(&store, batch, &header, at(2)).await, Commit::Done);
        ask.file(&store).await;
    }
    let job = store.claim(JobKind::Index, 1, 60, at(3)).await.unwrap().remove(0);
    store.batch_refused(&job, batch, "bank", "no", at(3)).await.unwrap();
    store.batch_refused(&job, batch, "bank", "no", at(3)).await.unwrap();
    for _sent_again in 0..2 {
        store.withdraw(id, "office", &ask.request.ticket, at(4)).await.unwrap();
    }
    let entries: Vec<Entry> =
        store.entries(0, 99).await.unwrap().iter().map(|entry| Entry::parse(entry.as_bytes()).unwrap()).collect();
    let whats: Vec<&str> = entries.iter().map(|entry| entry.event.what()).collect();
    assert_eq!(whats, ["opened", "batch-committed", "commission-filed", "batch-refused", "withdrawn"]);
    let leaf = Leaf::About { what: "commission-filed", about: id.to_string() };
    let extract = store.extract(3, Some(&leaf)).await.unwrap();
    assert_eq!((extract.tree.size, extract.consistency.is_empty()), (5, false));
    assert!(extract.entry.unwrap().entry.contains("\"number\":2"));
    assert_eq!(store.root_at(2).await.unwrap(), Some(entries[2].tree), "each entry names the tree that it continues");
    assert_eq!(store.root_at(6).await.unwrap(), None);
    let elsewhere = store.extract(9, Some(&Leaf::About { what: "withdrawn", about: "other".into() })).await.unwrap();
    assert!(elsewhere.entry.is_none() && elsewhere.consistency.is_empty());
}

async fn many_write_the_log_at_once_and_it_is_one_tree(database: Database) {
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..6 {
        let store = Store::open(&database, &format!("writer {writer}")).await.unwrap();
        writers.spawn(async move {
            for _ in 0..10 {
                store.note(Event::Administered { act: writer.to_string() }, at(writer)).await.unwrap();
            }
        });
    }
    writers.join_all().await;
    let store = store(&database).await;
    let mut hashes = Hashes::new();
    for (number, entry) in (0..).zip(store.entries(0, 99).await.unwrap()) {
        let (tree, parsed) = (Tree::new(number, &hashes), Entry::parse(entry.as_bytes()).unwrap());
        assert_eq!((parsed.number, parsed.tree), (number, tree.root().unwrap()));
        let stored = tree.next(leaf_hash(entry.as_bytes())).unwrap();
        hashes.extend(stored);
    }
    assert_eq!(store.extract(0, None).await.unwrap().tree.root, Tree::new(60, &hashes).root().unwrap());
}

async fn a_large_commission_is_queued_when_its_last_part_has_come(database: Database) {
    let store = store(&database).await;
    let mut ask = Ask::of(9, false, vec![subject(1), subject(2)]);
    let encodings = std::mem::take(&mut ask.request.encodings);
    assert_eq!(ask.file(&store).await, FiledState::New);
    assert_eq!(store.commission(ask.id()).await.unwrap().unwrap().state, CommissionState::Open);
    for part in [1, 1] {
        store.put_encodings(ask.id(), part, 2, &encodings[1..]).await.unwrap();
        assert_eq!(store.encoding_parts(ask.id()).await.unwrap(), [1]);
        assert!(store.claim(JobKind::Sweep, 9, 60, at(2)).await.unwrap().is_empty());
    }
    store.put_encodings(ask.id(), 0, 2, &encodings[..1]).await.unwrap();
    assert_eq!(store.commission(ask.id()).await.unwrap().unwrap().state, CommissionState::Queued);
    assert_eq!(store.encodings_of_part(ask.id(), 0).await.unwrap()[0].subject, SubjectId([1; 16]));
    let job = store.claim(JobKind::Sweep, 9, 60, at(2)).await.unwrap().remove(0);
    let outcome = CommissionOutcome { commission: ask.id(), against: vec![], matches: vec![] };
    store.store_outcomes(&[(job, outcome)], at(2)).await.unwrap();
    assert!(store.encoding_parts(ask.id()).await.unwrap().is_empty(), "forgotten");
    store.put_encodings(ask.id(), 0, 2, &encodings[..1]).await.unwrap();
    assert!(store.encoding_parts(ask.id()).await.unwrap().is_empty(), "what comes late is not kept");
}

async fn a_standing_commission_is_matched_again_and_keeps_what_was_answered(database: Database) {
    let store = store(&database).await;
    let (header, signed) = header("bank");
    let ask = Ask::new(9, true);
    let (id, subject) = (ask.id(), SubjectId([1; 16]));
    let indexed = async |number: u8, now: i64| {
        let batch = BatchId([number; 32]);
        store.create_batch(batch, &header, &signed, at(1)).await.unwrap();
        assert_eq!(commit(&store, batch, &header, at(1)).await, Commit::Done);
        let job = store.claim(JobKind::Index, 1, 60, at(now)).await.unwrap().remove(0);
        assert!(store.batch_indexed(&job, batch, "bank", at(now)).await.unwrap());
        batch
    };
    let matched = async |kind, batch, record: u8, now: i64| {
        let job = store.claim(kind, 9, 60, at(now)).await.unwrap().remove(0);
        let row = MatchRow { record: RecordId([record; 16]), asked_at: at(now), ..found(Release::Pending) };
        let against = vec![("bank".into(), Some(batch))];
        let outcome = CommissionOutcome { commission: id, against, matches: vec![row] };
        store.store_outcomes(&[(job, outcome)], at(now)).await.unwrap();
    };
    let first = indexed(1, 2).await;
    ask.file(&store).await;
    matched(JobKind::Commission, first, 2, 3).await;
    assert!(!store.commission_encodings(id).await.unwrap().is_empty(), "they are needed again");
    assert!(store.claim(JobKind::Sweep, 9, 60, at(9)).await.unwrap().is_empty());
    let answer =
        AnswerRow { commission: id, subject, record: RecordId([2; 16]), release: Release::Answered, slot: vec![7] };
    store.store_answers("bank", &[answer], at(4)).await.unwrap().unwrap();

    let second = indexed(2, 2).await;
    matched(JobKind::Sweep, second, 2, 10).await;
    let rows = store.matches(id, &[subject]).await.unwrap();
    assert_eq!((rows.len(), rows[0].release, rows[0].slot.as_slice()), (1, Release::Pending, &[7][..]));
    assert_eq!(store.releases(id, at(9)).await.unwrap(), [told(subject, Release::Pending, false)]);
    let third = indexed(3, 2).await;
    matched(JobKind::Sweep, third, 2, 20).await;
    assert_eq!(
        store.releases(id, at(10)).await.unwrap(),
        [told(subject, Release::Pending, true)],
        "asked since the second"
    );
    assert_eq!(store.commission(id).await.unwrap().unwrap().version, 4);

    // a set that is indexed while the commission is matched against the former one
    let fourth = indexed(4, 2).await;
    let job = store.claim(JobKind::Sweep, 9, 60, at(21)).await.unwrap().remove(0);
    let fifth = indexed(5, 2).await;
    let against = vec![("bank".into(), Some(fourth))];
    let outcome = CommissionOutcome { commission: id, against, matches: vec![] };
    store.store_outcomes(&[(job, outcome)], at(22)).await.unwrap();
    assert!(store.matches(id, &[subject]).await.unwrap().is_empty(), "the record is gone");
    // it goes on with the newest
    matched(JobKind::Sweep, fifth, 2, 22).await;
    let last = indexed(6, 99).await;
    matched(JobKind::Sweep, last, 2, 99).await;
    indexed(7, 100).await;
    assert!(store.claim(JobKind::Sweep, 9, 60, at(100)).await.unwrap().is_empty(), "the ticket has ended");

    store.forget_ended(at(99)).await.unwrap();
    assert!(!store.commission_encodings(id).await.unwrap().is_empty());
    store.forget_ended(at(100)).await.unwrap();
    assert!(store.commission_encodings(id).await.unwrap().is_empty(), "the ticket has ended");
}

async fn an_office_asks_about_so_many_people_a_day(database: Database) {
    let store = store(&database).await;
    let three = |number| Ask::of(number, false, vec![subject(1), subject(2), subject(3)]);
    assert_eq!(three(1).file_within(&store, Some(5)).await, FiledState::New);
    assert_eq!(three(2).file_within(&store, Some(5)).await, FiledState::OverQuota(3));
    assert_eq!(three(1).file_within(&store, Some(5)).await, FiledState::Known, "what is sent again costs nothing");
    assert_eq!(Ask::of(3, false, vec![subject(1), subject(2)]).file_within(&store, Some(5)).await, FiledState::New);
    assert_eq!(Ask::new(4, false).file_within(&store, Some(5)).await, FiledState::OverQuota(5));
    assert_eq!(Ask::new(4, false).file_within(&store, None).await, FiledState::New);
}

async fn a_database_belongs_to_one_manifest(database: Database) {
    let (store, other) = (store(&database).await, Store::open(&database, "other").await.unwrap());
    let (ours, another) = (ManifestId([1; 32]), ManifestId([2; 32]));
    assert_eq!(store.belongs_to(ours).await.unwrap(), ours);
    assert_eq!(other.belongs_to(another).await.unwrap(), ours);
}

async fn a_backup_of_an_earlier_version_wants_an_empty_place_too(database: Database) {
    store(&database).await.belongs_to(ManifestId([1; 32])).await.unwrap();
    for version in [1, newest()] {
        let why = Store::open_empty(&database, version).await.map(drop).unwrap_err();
        assert!(why.message.ends_with("the database is not empty"), "{version}: {}", why.message);
    }
}

async fn every_table_is_dumped(database: Database) {
    let store = store(&database).await;
    let catalog = match database {
        Database::Sqlite(_) => "SELECT name FROM sqlite_master WHERE type = 'table'",
        Database::Postgres(_) => "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public'",
    };
    let all: Vec<String> = sqlx::query_scalar(catalog).fetch_all(&store.pool).await.unwrap();
    let mut ours: Vec<&str> = all.iter().map(String::as_str).filter(|name| !name.starts_with("_sqlx")).collect();
    ours.sort_unstable();
    let mut dumped = dump::TABLES;
    dumped.sort_unstable();
    assert_eq!(ours, dumped);
}

fn administered() -> Event {
    Event::Administered { act: "nothing".into() }
}

/// As of a server that is paused while it has its turn to write. SQLite has one server alone.
async fn a_turn_that_is_not_used_ends(database: Database) {
    let (paused, other) = (store(&database).await, Store::open(&database, "other").await.unwrap());
    if database.is_sqlite() {
        return;
    }
    let mut turn = paused.write().await.unwrap();
    sqlx::query("SELECT 1 AS one").fetch_one(&mut *turn).await.unwrap();
    let noted = tokio::time::timeout(Duration::from_secs(60), other.note(administered(), at(1))).await;
    noted.expect("it waits for ever").unwrap();
    assert!(turn.commit().await.is_err(), "who comes back has lost it");
    paused.note(administered(), at(2)).await.unwrap();
}

/// While somebody reads what is there, deleted rows cannot go.
async fn compacting_makes_nobody_wait_who_writes(database: Database) {
    let (store, reading) = (store(&database).await, Store::open(&database, "reading").await.unwrap());
    let mut reader = reading.pool.begin().await.unwrap();
    sqlx::query("SELECT commission FROM matches").fetch_all(&mut *reader).await.unwrap();
    store.note(administered(), at(1)).await.unwrap();
    let write = tokio::time::timeout(Duration::from_secs(10), async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        store.note(administered(), at(1)).await
    });
    let (compacted, noted) = tokio::join!(store.compact(), write);
    assert!(compacted.is_err());
    noted.expect("it waits for the reader").unwrap();
    reader.rollback().await.unwrap();
    store.compact().await.unwrap();
}

fn found(release: Release) -> MatchRow {
    let (subject, record) = (SubjectId([1; 16]), RecordId([2; 16]));
    let (agency, band, slot) = ("bank".into(), Band::Probable, vec![1, 2, 3]);
    MatchRow { subject, agency, record, place: 0, band, release, until: at(100), asked_at: at(0), slot }
}

fn told(subject: SubjectId, release: Release, late: bool) -> Told {
    Told { subject, agency: "bank".into(), release, late }
}

async fn a_commission_is_matched_once_and_answered_once(database: Database) {
    let store = store(&database).await;
    let ask = Ask::new(9, false);
    let id = ask.id();
    assert_eq!(ask.file(&store).await, FiledState::New);
    assert_eq!(ask.file(&store).await, FiledState::Known);
    let outcome = || CommissionOutcome {
        commission: id,
        against: vec![("bank".into(), None)],
        matches: vec![found(Release::Pending)],
    };
    let job = store.claim(JobKind::Commission, 1, 60, at(1)).await.unwrap().remove(0);
    for _taken_over in 0..2 {
        store.store_outcomes(&[(job.clone(), outcome())], at(2)).await.unwrap();
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
    assert_eq!(
        store.store_answers("tax", &[answer(2, 7)], at(3)).await.unwrap().map(drop),
        Err(0),
        "not this agency's"
    );
    assert_eq!(
        store.store_answers("bank", &[answer(2, 7), answer(3, 7)], at(3)).await.unwrap().map(drop),
        Err(1),
        "all or none"
    );
    assert_eq!(store.pending("bank", 0, 9, at(99)).await.unwrap().len(), 1);
    for _sent_again in 0..2 {
        assert_eq!(store.store_answers("bank", &[answer(2, 7)], at(3)).await.unwrap().map(drop), Ok(()));
    }
    assert_eq!(store.store_answers("bank", &[answer(2, 8)], at(3)).await.unwrap().map(drop), Err(0), "another answer");
    assert_eq!(store.matches(id, &subjects).await.unwrap()[0].slot, [7]);
    assert_eq!(store.releases(id, at(0)).await.unwrap(), [told(subjects[0], Release::Answered, false)]);
}

async fn a_withdrawn_commission_keeps_nothing(database: Database) {
    let store = store(&database).await;
    let ask = Ask::new(9, false);
    let id = ask.id();
    ask.file(&store).await;
    let outcome = || CommissionOutcome { commission: id, against: vec![], matches: vec![found(Release::Deposit)] };
    let job = store.claim(JobKind::Commission, 1, 60, at(1)).await.unwrap().remove(0);
    store.store_outcomes(&[(job.clone(), outcome())], at(2)).await.unwrap();
    assert_eq!(store.releases(id, at(0)).await.unwrap().len(), 1);
    store.withdraw(id, "office", &ask.request.ticket, at(3)).await.unwrap();
    assert!(store.releases(id, at(0)).await.unwrap().is_empty());
    // a worker that was at it when the withdrawal came
    store.store_outcomes(&[(job, outcome())], at(2)).await.unwrap();
    assert!(store.releases(id, at(0)).await.unwrap().is_empty());
    assert_eq!(store.ticket(id).await.unwrap(), ask.request.ticket);
    assert_eq!(store.commission(id).await.unwrap().unwrap().state, CommissionState::Withdrawn);
    assert!(store.claim(JobKind::Commission, 9, 60, at(9)).await.unwrap().is_empty());
}
