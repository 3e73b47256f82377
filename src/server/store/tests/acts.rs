//! Acts of two operators, and terms that end.

use hedui_protocol::acts::{ActState, Actor, DataClass, Deed, Ended, Proposal, Retention, RetentionStatus};
use hedui_protocol::ids::KeyHash;

use super::*;

contract! {
    one_operator_is_not_enough,
    erasing_an_agency_leaves_nothing_of_it,
    erasing_a_commission_leaves_its_id_alone,
    erasing_a_project_leaves_its_log,
    what_has_served_its_term_ends,
    what_is_matched_after_its_answers_ended_is_not_kept,
    an_epoch_ends_after_the_next_one_was_opened,
    of_what_ended_the_log_says_that_it_is_gone,
    one_server_a_day_compacts,
    what_goes_out_is_of_the_commission_as_it_is_then,
    what_a_later_set_has_replaced_is_not_needed_any_more,
    what_was_stored_before_there_were_keys_gets_them;
    of_this_version: nothing_of_what_ended_is_left_in_the_files,
}

const DAY: i64 = 86_400;

fn operator(name: &str, key: u8) -> Actor {
    Actor { organisation: "City".into(), name: name.into(), key: KeyHash([key; 32]) }
}

async fn propose(store: &Store, deed: Deed) -> u64 {
    let proposal = Proposal { deed, terms: None };
    store.propose(&proposal, &operator("li", 1), at(10)).await.unwrap()
}

/// By both.
async fn done(store: &Store, deed: Deed) -> u64 {
    let act = propose(store, deed).await;
    assert_eq!(store.approve(act, &operator("wang", 2), at(11)).await.unwrap(), Approval::Done);
    act
}

async fn project(database: &Database) -> Store {
    let store = store(database).await;
    store.belongs_to(ManifestId([1; 32])).await.unwrap();
    store
}

/// An indexed batch of the bank.
async fn indexed(store: &Store, byte: u8) -> BatchId {
    let (header, signed) = header("bank");
    let batch = BatchId([byte; 32]);
    store.create_batch(batch, &header, &signed, at(1)).await.unwrap();
    assert_eq!(commit(store, batch, &header, at(2)).await, Commit::Done);
    let job = store.claim(JobKind::Index, 9, 60, at(3)).await.unwrap().remove(0);
    assert!(store.batch_indexed(&job, batch, "bank", at(4)).await.unwrap());
    batch
}

/// A commission with a match at the bank.
async fn matched(store: &Store, number: u8, batch: BatchId) -> Ask {
    let ask = Ask::new(number, false);
    ask.file(store).await;
    let job = store.claim(JobKind::Commission, 9, 60, at(5)).await.unwrap().remove(0);
    let against = vec![("bank".to_owned(), Some(batch))];
    let outcome = CommissionOutcome { commission: ask.id(), against, matches: vec![found(Release::Deposit)] };
    store.store_outcomes(&[(job, outcome)], at(6)).await.unwrap();
    assert_eq!(store.matches(ask.id(), &[SubjectId([1; 16])]).await.unwrap().len(), 1);
    ask
}

async fn one_operator_is_not_enough(database: Database) {
    let store = project(&database).await;
    let deed = Deed::SetRetention { retention: Retention { answers: 1, ..Retention::default() } };
    let act = propose(&store, deed.clone()).await;
    assert_eq!(propose(&store, deed.clone()).await, act, "sent again");
    for one in [operator("li", 1), operator("li", 2), operator("wang", 1)] {
        assert_eq!(store.approve(act, &one, at(11)).await.unwrap(), Approval::SamePerson);
    }
    assert_eq!(store.retention().await.unwrap(), Retention::default());
    for _sent_again in 0..2 {
        assert_eq!(store.approve(act, &operator("wang", 2), at(12)).await.unwrap(), Approval::Done);
    }
    assert_eq!(store.retention().await.unwrap().answers, 1);
    let status = store.act(act, at(12)).await.unwrap().unwrap();
    assert_eq!((status.state, status.approved_by), (ActState::Done, Some(operator("wang", 2))));
    let third = operator("zhao", 3);
    assert_eq!(store.approve(act, &third, at(13)).await.unwrap(), Approval::TooLate(ActState::Done));
    let late = propose(&store, deed).await;
    assert_ne!(late, act);
    let too_late = Approval::TooLate(ActState::Lapsed);
    assert_eq!(store.approve(late, &operator("wang", 2), at(11 + 7 * DAY)).await.unwrap(), too_late);
    let log: Vec<String> = store.entries(0, 9).await.unwrap();
    let what: Vec<String> =
        log.iter().map(|entry| Entry::parse(entry.as_bytes()).unwrap().event.what().to_owned()).collect();
    assert_eq!(what, ["proposed", "approved", "proposed"]);
}

async fn erasing_an_agency_leaves_nothing_of_it(database: Database) {
    let store = project(&database).await;
    let batch = indexed(&store, 1).await;
    let ask = matched(&store, 9, batch).await;
    // one that is being matched while the agency is erased
    let other = Ask::new(8, false);
    other.file(&store).await;
    let job = store.claim(JobKind::Commission, 9, 60, at(5)).await.unwrap().remove(0);
    let former = store.shelf(batch).await.unwrap();
    let act = done(&store, Deed::EraseAgency { agency: "bank".into() }).await;
    let against = vec![("bank".to_owned(), Some(batch))];
    let outcome = CommissionOutcome { commission: other.id(), against, matches: vec![found(Release::Deposit)] };
    store.store_outcomes(&[(job, outcome)], at(12)).await.unwrap();
    for ask in [&ask, &other] {
        assert!(store.matches(ask.id(), &[SubjectId([1; 16])]).await.unwrap().is_empty());
        assert_eq!(store.matched_against(ask.id()).await.unwrap(), [("bank".to_owned(), None)]);
    }
    assert!(store.batch(batch).await.unwrap().is_none());
    assert!(store.shelf(batch).await.is_err());
    assert_eq!(store.set_of("bank").await.unwrap(), AgencySet::None);

    let [removal] = &store.removals().await.unwrap()[..] else { panic!("of one batch") };
    assert_eq!((removal.shelf.batch, &removal.shelf.tag, removal.parts), (batch, &former.tag, 2));
    assert!(store.files_are_awaited().await.unwrap());
    let to_finish = async |now| store.acts_to_finish(at(now)).await.unwrap();
    assert!(to_finish(15).await.is_empty(), "its files are still there");
    // sent again, its header is a batch again only when they are gone
    let (header, signed) = header("bank");
    assert!(!store.create_batch(batch, &header, &signed, at(12)).await.unwrap());
    store.removed(&former).await.unwrap();
    // and until every worker has let go of its index
    let another = Store::open(&database, "another").await.unwrap();
    let so_far = store.erased_so_far().await.unwrap();
    store.followed(so_far, at(14)).await.unwrap();
    let log = store.entries(0, 99).await.unwrap();
    let approved = log.iter().position(|entry| entry.contains("\"approved\"")).unwrap() as u64;
    // it looked before the second operator's word, whatever the clocks say
    another.followed(approved, at(14)).await.unwrap();
    assert!(to_finish(15).await.is_empty(), "another worker has its index");
    assert_eq!(to_finish(135).await.len(), 1, "it is away");
    another.followed(so_far, at(14)).await.unwrap();
    let [erasure] = to_finish(15).await[..] else { panic!("it is gone everywhere") };
    assert_eq!((erasure.number, erasure.entry), (act, approved));
    store.compact().await.unwrap();
    // of two backups, the one that is kept longest counts
    for ends_at in [40, 30] {
        store.note_backup(at(ends_at * DAY)).await.unwrap();
    }
    for _twice in 0..2 {
        store.finish_act(erasure, at(20)).await.unwrap();
    }
    let last = Entry::parse(store.entries(0, 99).await.unwrap().last().unwrap().as_bytes()).unwrap();
    let Event::Erased { counts, backups_until, .. } = last.event else { panic!("{last:?}") };
    assert_eq!((counts.batches, counts.answers), (1, 1));
    assert_eq!(backups_until, at(40 * DAY));
    assert_eq!(store.acts(at(20)).await.unwrap()[0].state, ActState::Done);
    assert!(store.create_batch(batch, &header, &signed, at(21)).await.unwrap(), "it may begin anew");
    let anew = store.shelf(batch).await.unwrap();
    assert_ne!(anew.tag, former.tag);
    assert!(!store.note_part(&former, 0, at(22)).await.unwrap(), "that part came before it was erased");
    assert!(store.note_part(&anew, 0, at(22)).await.unwrap());
}

async fn erasing_a_commission_leaves_its_id_alone(database: Database) {
    let store = project(&database).await;
    let batch = indexed(&store, 1).await;
    let ask = matched(&store, 9, batch).await;
    let other = matched(&store, 8, batch).await;
    done(&store, Deed::EraseCommissions { commissions: vec![ask.id()] }).await;
    assert!(store.matches(ask.id(), &[SubjectId([1; 16])]).await.unwrap().is_empty());
    assert_eq!(store.commission(ask.id()).await.unwrap().unwrap().state, CommissionState::Erased);
    assert!(store.proof(ask.id()).await.unwrap().is_none());
    assert!(store.ticket(ask.id()).await.is_err());
    assert_eq!(ask.file(&store).await, FiledState::Known, "its ticket is not taken again");
    let withdrawal = Signed::new(&SigningKey::from_seed(&[1; 32]), Purpose::Withdrawal, vec![1]);
    store.withdraw(ask.id(), "office", &withdrawal, at(13)).await.unwrap();
    assert_eq!(store.commission(ask.id()).await.unwrap().unwrap().state, CommissionState::Erased);
    assert_eq!(store.matches(other.id(), &[SubjectId([1; 16])]).await.unwrap().len(), 1, "the other stays");
}

async fn erasing_a_project_leaves_its_log(database: Database) {
    let store = project(&database).await;
    let batch = indexed(&store, 1).await;
    let ask = matched(&store, 9, batch).await;
    let before = store.entries(0, 99).await.unwrap();
    assert!(!store.is_erased().await.unwrap());
    done(&store, Deed::EraseProject).await;
    assert!(store.is_erased().await.unwrap());
    let log = store.entries(0, 99).await.unwrap();
    assert_eq!(log[..before.len()], before);
    assert!(store.batch(batch).await.unwrap().is_none() && store.commission(ask.id()).await.unwrap().is_none());
    let mut left = std::collections::BTreeSet::new();
    let see = |row: DumpedRow| {
        left.insert(row.table);
        Ok(())
    };
    store.dump(see).await.unwrap();
    assert_eq!(left.into_iter().collect::<Vec<_>>(), ["acts", "log_entries", "log_hashes", "project", "removals"]);
    // what comes a moment too late is not kept either
    let (header, signed) = header("bank");
    assert!(!store.create_batch(BatchId([5; 32]), &header, &signed, at(30)).await.unwrap());
    assert!(store.batch(BatchId([5; 32])).await.unwrap().is_none());
    assert_eq!(ask.file(&store).await, FiledState::Erased);
}

async fn what_has_served_its_term_ends(database: Database) {
    let store = project(&database).await;
    let (header, signed) = header("bank");
    store.create_batch(BatchId([7; 32]), &header, &signed, at(1)).await.unwrap();
    let first = indexed(&store, 1).await;
    let ask = matched(&store, 9, first).await;
    let second = indexed(&store, 2).await;
    let ends = async |now: i64| store.expire(at(now)).await.unwrap();
    let of = |class, batches: &[BatchId], commissions: &[CommissionId]| Ended {
        class,
        batches: batches.to_vec(),
        commissions: commissions.to_vec(),
    };
    assert_eq!(ends(7 * DAY).await, []);
    assert_eq!(ends(7 * DAY + 3).await, [of(DataClass::OpenBatches, &[BatchId([7; 32])], &[])]);
    assert_eq!(ends(7 * DAY + 4).await, [of(DataClass::ReplacedBatches, &[first], &[])]);
    assert!(store.batch(BatchId([7; 32])).await.unwrap().is_none());
    assert!(store.signed_header(first).await.unwrap().is_some(), "its header proves what was committed");
    let has_key = async |batch| store.shelf(batch).await.unwrap().key.is_some();
    assert!(!has_key(first).await && has_key(second).await);
    assert_eq!(store.removals().await.unwrap().len(), 2);
    // the ticket ends at 100
    assert_eq!(ends(7 * DAY + 99).await, []);
    assert_eq!(ends(7 * DAY + 100).await, [of(DataClass::Answers, &[], &[ask.id()])]);
    assert!(store.matches(ask.id(), &[SubjectId([1; 16])]).await.unwrap().is_empty());
    assert!(store.proof(ask.id()).await.unwrap().is_some());
    assert_eq!(ends(1096 * DAY + 99).await, []);
    assert_eq!(ends(1096 * DAY + 100).await, [of(DataClass::Tickets, &[], &[ask.id()])]);
    assert!(store.proof(ask.id()).await.unwrap().is_none());
    assert_eq!(ends(9999 * DAY).await, [], "the set that commissions are matched against has no term");
    assert_eq!(store.set_of("bank").await.unwrap(), AgencySet::Indexed(second));
}

async fn what_is_matched_after_its_answers_ended_is_not_kept(database: Database) {
    let store = project(&database).await;
    let batch = indexed(&store, 1).await;
    let ask = Ask::new(9, false);
    ask.file(&store).await;
    let job = store.claim(JobKind::Commission, 9, 60, at(5)).await.unwrap().remove(0);
    assert_eq!(store.expire(at(7 * DAY + 100)).await.unwrap(), [], "there are none");
    let against = vec![("bank".to_owned(), Some(batch))];
    let outcome = CommissionOutcome { commission: ask.id(), against, matches: vec![found(Release::Deposit)] };
    store.store_outcomes(&[(job, outcome)], at(7 * DAY + 101)).await.unwrap();
    assert!(store.matches(ask.id(), &[SubjectId([1; 16])]).await.unwrap().is_empty());
}

async fn an_epoch_ends_after_the_next_one_was_opened(database: Database) {
    let store = project(&database).await;
    indexed(&store, 1).await;
    done(&store, Deed::SetRetention { retention: Retention { epoch: Some(30), ..Retention::default() } }).await;
    assert_eq!(store.expire(at(999 * DAY)).await.unwrap(), [], "there is no next one");
    let terms = hedui_protocol::acts::Terms { manifest: Blob(vec![1]), signatures: Blob(vec![2]) };
    let deed = Deed::OpenEpoch { manifest: ManifestId([2; 32]), epoch: "next".into() };
    let proposal = Proposal { deed, terms: Some(terms) };
    let act = store.propose(&proposal, &operator("li", 1), at(10)).await.unwrap();
    assert_eq!(store.approve(act, &operator("wang", 2), at(11)).await.unwrap(), Approval::Done);
    let next = store.next_epochs().await.unwrap();
    assert_eq!((next.len(), next[0].manifest, next[0].terms.clone()), (1, ManifestId([2; 32]), vec![1]));
    assert_eq!(store.expire(at(99 * DAY)).await.unwrap(), [], "no server has opened it");
    assert!(!next[0].is_served);
    for seen in [20, 25] {
        store.serves_next(ManifestId([2; 32]), at(seen)).await.unwrap();
    }
    assert!(store.next_epochs().await.unwrap()[0].is_served);
    assert_eq!(store.expire(at(30 * DAY + 19)).await.unwrap(), []);
    let ended = store.expire(at(30 * DAY + 20)).await.unwrap();
    assert_eq!(ended, [Ended { class: DataClass::Epoch, batches: vec![], commissions: vec![] }]);
    assert!(store.is_erased().await.unwrap());
    assert_eq!(store.expire(at(31 * DAY)).await.unwrap(), [], "once");
}

async fn of_what_ended_the_log_says_that_it_is_gone(database: Database) {
    let store = project(&database).await;
    assert_eq!(store.retention_status().await.unwrap(), RetentionStatus::default());
    let (first, _) = (indexed(&store, 1).await, indexed(&store, 2).await);
    assert!(store.keeps(first).await.unwrap());
    let days = 7 * DAY + 4;
    assert_eq!(store.expire(at(days)).await.unwrap().len(), 1);
    let entry = store.retention_status().await.unwrap().ended.unwrap();
    assert!(!store.keeps(first).await.unwrap() && store.files_are_awaited().await.unwrap());
    let to_finish = async |now| store.ended_to_finish(at(now)).await.unwrap();
    assert_eq!(to_finish(days + 1).await, None, "its files are still there");
    store.removed(&store.shelf(first).await.unwrap()).await.unwrap();
    let another = Store::open(&database, "another").await.unwrap();
    another.followed(entry, at(days)).await.unwrap();
    assert_eq!(to_finish(days + 1).await, None, "another worker has its index");
    // one whose clock was wrong is not waited for until that time comes
    let ahead = Store::open(&database, "ahead").await.unwrap();
    ahead.followed(0, at(days + 366 * DAY)).await.unwrap();
    let ended = to_finish(days + 121).await.expect("it is away");
    assert_eq!((ended.number, ended.entry), (entry, entry));
    for _twice in 0..2 {
        store.finish_ended(ended, at(days + 121)).await.unwrap();
    }
    assert_eq!(to_finish(days + 121).await, None);
    let status = store.retention_status().await.unwrap();
    assert_eq!((status.ended, status.gone), (Some(entry), Some(entry)));
    let log = store.entries(0, 99).await.unwrap();
    let last = Entry::parse(log.last().unwrap().as_bytes()).unwrap();
    assert!(matches!(last.event, Event::Gone { through, away: 2, .. } if through == entry), "{last:?}");
    assert_eq!(last.number, entry + 1, "once");
    // more ends
    let ask = matched(&store, 9, BatchId([2; 32])).await;
    assert_eq!(store.expire(at(9999 * DAY)).await.unwrap().len(), 2, "{ask:?}", ask = ask.id());
    let last = store.entries(0, 99).await.unwrap().len() as u64 - 1;
    assert_eq!(to_finish(9999 * DAY + 121).await.map(|ended| ended.entry), Some(last));
}

async fn one_server_a_day_compacts(database: Database) {
    let store = project(&database).await;
    let another = Store::open(&database, "another").await.unwrap();
    assert!(store.takes_the_days_turn(at(DAY)).await.unwrap());
    for now in [DAY, 2 * DAY - 1] {
        assert!(!another.takes_the_days_turn(at(now)).await.unwrap());
    }
    store.gives_the_turn_back().await.unwrap();
    assert!(another.takes_the_days_turn(at(DAY + 1)).await.unwrap());
    assert!(store.takes_the_days_turn(at(2 * DAY + 1)).await.unwrap());
    assert!(another.takes_the_days_turn(at(2 * DAY)).await.unwrap(), "that clock was ahead");
}

async fn what_was_stored_before_there_were_keys_gets_them(database: Database) {
    let store = project(&database).await;
    let batch = indexed(&store, 1).await;
    let ask = matched(&store, 9, batch).await;
    for forget in [
        "UPDATE batches SET shred_key = NULL, sealed = 0, ended_at = NULL",
        "UPDATE commissions SET shred_key = NULL, expires_at = 0",
    ] {
        sqlx::query(forget).execute(&store.pool).await.unwrap();
    }
    store.know_the_ends(at(50)).await.unwrap();
    assert_eq!(store.expire(at(7 * DAY + 99)).await.unwrap(), []);
    assert!(store.shelf(batch).await.unwrap().key.is_none());
    assert!(store.give_keys().await.unwrap());
    assert!(!store.give_keys().await.unwrap(), "once");
    assert!(store.shelf(batch).await.unwrap().key.is_some());
    let other = indexed(&store, 2).await;
    sqlx::query("UPDATE batches SET sealed = 0").execute(&store.pool).await.unwrap();
    assert_eq!(store.unsealed(None).await.unwrap().unwrap().0, batch);
    assert_eq!(
        store.unsealed(Some(batch)).await.unwrap().unwrap().0,
        other,
        "one that cannot be sealed holds up no other"
    );
    for batch in [batch, other] {
        assert!(store.sealed(batch).await.unwrap());
    }
    assert!(store.unsealed(None).await.unwrap().is_none());
    assert!(!store.sealed(BatchId([3; 32])).await.unwrap(), "it was erased");
    let ended = store.expire(at(7 * DAY + 100)).await.unwrap();
    assert!(ended.iter().any(|ended| ended.commissions == [ask.id()]), "its end is its ticket's: {ended:?}");
}

async fn what_goes_out_is_of_the_commission_as_it_is_then(database: Database) {
    let store = project(&database).await;
    let batch = indexed(&store, 1).await;
    let (one, other) = (matched(&store, 9, batch).await, matched(&store, 8, batch).await);
    let version = async |ask: &Ask| store.commission(ask.id()).await.unwrap().unwrap().version;
    let event = |ask: &Ask| Event::Released {
        office: "office".into(),
        commission: ask.id(),
        from: 0,
        to: 1,
        agencies: Default::default(),
        items: vec![],
    };
    let (before, untouched) = (version(&one).await, version(&other).await);
    assert!(store.release(before, event(&one), at(7)).await.unwrap().is_some());
    let withdrawal = Signed::new(&SigningKey::from_seed(&[1; 32]), Purpose::Withdrawal, vec![1]);
    store.withdraw(one.id(), "office", &withdrawal, at(8)).await.unwrap();
    assert_eq!(store.release(before, event(&one), at(7)).await.unwrap(), None, "it was taken back");
    done(&store, Deed::EraseAgency { agency: "bank".into() }).await;
    assert_eq!(store.release(untouched, event(&other), at(9)).await.unwrap(), None, "its answers are others now");
    assert!(store.release(version(&other).await, event(&other), at(9)).await.unwrap().is_some());
}

async fn what_a_later_set_has_replaced_is_not_needed_any_more(database: Database) {
    let store = project(&database).await;
    let (header, signed) = header("bank");
    let (first, second) = (BatchId([1; 32]), BatchId([2; 32]));
    for batch in [first, second] {
        store.create_batch(batch, &header, &signed, at(1)).await.unwrap();
        assert_eq!(commit(&store, batch, &header, at(2)).await, Commit::Done);
    }
    let jobs = store.claim(JobKind::Index, 9, 60, at(3)).await.unwrap();
    let job = |batch: BatchId| jobs.iter().find(|job| job.target == batch.to_string()).unwrap();
    assert!(!store.is_superseded(first, "bank").await.unwrap());
    assert!(store.batch_indexed(job(second), second, "bank", at(4)).await.unwrap());
    assert!(store.is_superseded(first, "bank").await.unwrap());
    assert!(!store.is_superseded(second, "bank").await.unwrap());
    assert!(!store.batch_indexed(job(first), first, "bank", at(5)).await.unwrap());
    assert_eq!(store.batch(first).await.unwrap().unwrap().1.state, BatchState::Replaced);
    assert_eq!(store.set_of("bank").await.unwrap(), AgencySet::Indexed(second));
}

/// Every file of a database.
async fn files(store: &Store) -> Vec<std::path::PathBuf> {
    let mut folders = match &store.database {
        Database::Sqlite(path) => vec![path.parent().unwrap().to_owned()],
        Database::Postgres(_) => {
            sqlx::query("CHECKPOINT").execute(&store.pool).await.unwrap();
            let data: String = sqlx::query_scalar("SHOW data_directory").fetch_one(&store.pool).await.unwrap();
            let own = "SELECT CAST(oid AS TEXT) FROM pg_database WHERE datname = current_database()";
            let own: String = sqlx::query_scalar(own).fetch_one(&store.pool).await.unwrap();
            vec![std::path::Path::new(&data).join("base").join(own)]
        }
    };
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() { folders.push(entry) } else { files.push(entry) }
        }
    }
    files
}

async fn nothing_of_what_ended_is_left_in_the_files(database: Database) {
    let store = project(&database).await;
    let batch = indexed(&store, 1).await;
    let key = store.shelf(batch).await.unwrap().key.unwrap().bytes().to_vec();
    let ask = matched(&store, 9, batch).await;
    // what only a ticket says
    let ticket = b"\"subjects\":[{";
    if !store.database.is_sqlite() {
        sqlx::query("ANALYZE").execute(&store.pool).await.unwrap();
    }
    let found = async |value: &[u8]| {
        let has = |path: &std::path::PathBuf| {
            std::fs::read(path).unwrap_or_default().windows(value.len()).any(|window| window == value)
        };
        files(&store).await.iter().filter(|path| has(path)).count()
    };
    assert!(found(&key).await > 0 && found(ticket).await > 0, "the search finds what is there");
    indexed(&store, 2).await;
    let ended = store.expire(at(9999 * DAY)).await.unwrap();
    assert!(ended.iter().any(|ended| ended.commissions == [ask.id()]), "{ended:?}");
    store.compact().await.unwrap();
    assert_eq!((found(&key).await, found(ticket).await), (0, 0));
    if !store.database.is_sqlite() {
        // samples that an earlier program let it take are gone once this one opens
        indexed(&store, 3).await;
        let sampled = async || {
            sqlx::query("ANALYZE").execute(&store.pool).await.unwrap();
            let of = "SELECT COUNT(*) FROM pg_stats WHERE schemaname = current_schema() AND attname = 'shred_key'";
            sqlx::query_scalar::<_, i64>(of).fetch_one(&store.pool).await.unwrap()
        };
        sqlx::query("ALTER TABLE batches ALTER COLUMN shred_key SET STATISTICS -1").execute(&store.pool).await.unwrap();
        assert_eq!(sampled().await, 1);
        Store::open(&database, "upgraded").await.unwrap();
        assert_eq!(sampled().await, 0);
        // a transaction of before, as a backup's, still reads what is deleted; one of after does not
        let reading = async || {
            let mut reading = store.pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await.unwrap();
            sqlx::query("SELECT 1 AS one FROM matches").fetch_all(&mut *reading).await.unwrap();
            reading
        };
        let before = reading().await;
        // one that has written reads nothing between its statements, and may read what was there when it goes on
        let mut writing = store.pool.begin().await.unwrap();
        store.number_of(&mut writing).await.unwrap();
        done(&store, Deed::EraseProject).await;
        for removal in store.removals().await.unwrap() {
            store.removed(&removal.shelf).await.unwrap();
        }
        let erased = store.acts_to_finish(at(99)).await.unwrap();
        assert_eq!(erased.len(), 1);
        let is_read = async || store.is_read_from_before(erased.iter().copied()).await.unwrap();
        assert!(is_read().await);
        before.rollback().await.unwrap();
        assert!(is_read().await, "by the one that has written");
        writing.rollback().await.unwrap();
        let later = reading().await;
        assert!(!is_read().await);
        later.rollback().await.unwrap();
    }
}
