//! Backups of small databases, and what is put back of them.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use bytes::Bytes;
use hedui_protocol::acts::{Deed, Retention};
use hedui_protocol::basis::Basis;
use hedui_protocol::ids::{KeyCheck, TreeHash};
use hedui_protocol::log::{Entry, Event};
use hedui_protocol::messages::Blob;
use hedui_protocol::sign::{Purpose, Signed, SigningKey};

use super::super::store::{Database, JobKind};
use super::super::{PartsAt, Places, upkeep};
use super::restore::backups;
use super::*;

/// Where one epoch keeps things: a folder of its own.
pub struct Place {
    folder: tempfile::TempDir,
    manifest: ManifestId,
    pub store: Store,
    pub parts: Parts,
}

impl Place {
    pub async fn new(manifest: u8) -> Self {
        let (folder, manifest) = (tempfile::tempdir().unwrap(), ManifestId([manifest; 32]));
        let Places { database, parts, .. } = places(folder.path());
        let store = Store::open(&database, "one").await.unwrap();
        store.belongs_to(manifest).await.unwrap();
        Self { folder, manifest, store, parts: Parts::open(&parts, None).unwrap() }
    }

    fn source(&self) -> Source<'_> {
        Source { manifest: self.manifest, store: &self.store, parts: &self.parts }
    }

    /// A batch of the bank with one part.
    pub async fn begun(&self, number: u8) -> (BatchId, BatchHeader) {
        let bytes = Bytes::from(vec![number; 64]);
        let header = BatchHeader {
            basis: Basis {
                manifest: self.manifest,
                schema: ContentHash([2; 32]),
                epoch: "e".into(),
                linkage_key_check: KeyCheck([3; 8]),
            },
            agency: "bank".into(),
            created_at: at(0),
            base: None,
            deletes: vec![],
            records: 1,
            parts: vec![PartInfo { number: 0, rows: 1, bytes: 64, hash: ContentHash::of(&bytes) }],
        };
        let signed = Signed::new(&SigningKey::from_seed(&[4; 32]), Purpose::Batch, header.to_bytes());
        let batch = BatchId([number; 32]);
        self.store.create_batch(batch, &header, &signed, at(1)).await.unwrap();
        let shelf = self.store.shelf(batch).await.unwrap();
        self.parts.put(&shelf, 0, bytes).await.unwrap();
        self.store.note_part(&shelf, 0, at(1)).await.unwrap();
        (batch, header)
    }

    /// The same, committed and indexed: it takes the place of the one before.
    pub async fn indexed(&self, number: u8) -> BatchId {
        let (batch, header) = self.begun(number).await;
        self.store.commit_batch(batch, &header, at(2)).await.unwrap();
        let job = self.store.claim(JobKind::Index, 9, 60, at(3)).await.unwrap().remove(0);
        assert!(self.store.batch_indexed(&job, batch, "bank", at(4)).await.unwrap());
        batch
    }

    pub fn part(&self, batch: BatchId) -> PathBuf {
        let folder = self.folder.path().join("parts").join(batch.to_string());
        let mut files = std::fs::read_dir(&folder).into_iter().flatten().map(|file| file.unwrap().path());
        files.next().unwrap_or(folder.join("none"))
    }

    /// The numbers of the parts that are noted of a batch.
    async fn noted(&self, batch: BatchId) -> Vec<u32> {
        self.store.held_batches().await.unwrap().into_iter().find(|held| held.batch == batch).unwrap().parts
    }
}

fn places(folder: &Path) -> Places {
    Places {
        data: folder.to_owned(),
        database: Database::Sqlite(folder.join("hedui.sqlite")),
        parts: PartsAt::Folder(folder.join("parts")),
        parts_config: None,
    }
}

/// What is put back of a backup of one epoch.
async fn restored(backup: &Path, now: Timestamp) -> Place {
    let folder = tempfile::tempdir().unwrap();
    // a server's own
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
    upkeep::restore(backup, None, &places(folder.path()), now).await.unwrap();
    let Places { database, parts, .. } = places(folder.path());
    let store = Store::open(&database, "one").await.unwrap();
    let manifest = store.manifest().await.unwrap().unwrap();
    Place { folder, manifest, store, parts: Parts::open(&parts, None).unwrap() }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

fn row(table: &str, columns: &[(&str, Value)]) -> DumpedRow {
    let row = columns.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    DumpedRow { table: table.into(), row }
}

/// An approved act.
fn act(number: i64, deed: &Deed, approved_at: i64) -> DumpedRow {
    let deed = serde_json::to_string(deed).unwrap();
    let (number, approved_at) = (Value::Number(number), Value::Number(approved_at));
    row("acts", &[("act", number), ("deed", text(&deed)), ("approved_at", approved_at)])
}

/// A backup of these rows, as it lies in a folder.
fn write(folder: &Path, rows: &[DumpedRow], taken_at: Timestamp) {
    std::fs::create_dir(folder).unwrap();
    let (mut keys, mut lines) = (Keys::default(), Vec::new());
    for (number, row) in (0..).zip(rows) {
        let mut row = row.clone();
        keys.take(&mut row).unwrap();
        lines.extend(Line::of(row, &keys, "id", number).unwrap().to_bytes());
        lines.push(b'\n');
    }
    let seal = Seal {
        taken_at,
        ends_at: None,
        id: "id".into(),
        manifest: None,
        epochs: vec![],
        version: 1,
        rows: rows.len() as u64,
        rows_hash: ContentHash::of(&lines),
        parts: 0,
    };
    std::fs::write(folder.join(ROWS), lines).unwrap();
    std::fs::write(folder.join(KEYS), keys.to_bytes(taken_at)).unwrap();
    std::fs::write(folder.join(SEAL), seal.to_bytes()).unwrap();
}

#[test]
fn what_an_erased_agency_answered_before_stays_erased_whatever_the_clocks_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let answer = row("matches", &[("agency", text("bank")), ("commission", text("c"))]);
    let erased = act(7, &Deed::EraseAgency { agency: "bank".into() }, 100);
    let taken_at = at(100) + SignedDuration::from_millis(900);
    write(&path("before"), std::slice::from_ref(&answer), taken_at);
    // it has answered anew by then
    write(&path("after"), &[erased.clone(), answer.clone()], at(99));
    write(&path("newest"), &[erased], at(101));
    // of what was put back by those keys: the log says that the bank stays erased
    let put_back = Event::Restored { taken_at, erased: vec![], agencies: vec!["bank".into()] };
    let put_back = Entry { number: 9, at: at(102), tree: TreeHash([0; 32]), event: put_back }.to_bytes();
    let (number, entry) = (Value::Number(9), Value::Bytes { base64: Blob(put_back) });
    let put_back = row("log_entries", &[("number", number), ("what", text("restored")), ("entry", entry)]);
    write(&path("since"), &[put_back, answer.clone()], at(103));
    let answers = |name: &str, keys: &str| {
        let keys = path(keys).join(KEYS);
        let backup = backups(&path(name), Some(&keys), at(200)).unwrap().remove(0);
        backup.rows().unwrap().filter(|row| row.as_ref().unwrap().table == "matches").count()
    };
    assert_eq!(answers("before", "newest"), 0, "the act was approved in the second in which the backup was taken");
    assert_eq!(answers("after", "newest"), 1, "the backup's clock was behind that of the act");
    assert_eq!(answers("before", "since"), 0, "put back a second time");
    assert_eq!(answers("since", "since"), 1, "it has answered anew since");
}

#[tokio::test]
async fn a_part_that_nobody_needs_holds_up_no_backup() {
    let place = Place::new(1).await;
    let (replaced, newest) = (place.indexed(1).await, place.indexed(2).await);
    std::fs::remove_file(place.part(replaced)).unwrap();
    let out = tempfile::tempdir().unwrap();
    let path = |name: &str| out.path().join(name);
    backup(&[place.source()], &path("backup"), at(100)).await.unwrap();
    let back = restored(&path("backup"), at(101)).await;
    assert_eq!((back.noted(replaced).await, back.noted(newest).await), (vec![], vec![0]), "as when its term is over");
    assert!(!back.part(replaced).exists() && back.part(newest).exists());
    let ended = back.store.expire(at(99 * 86_400)).await.unwrap();
    assert_eq!(ended[0].batches, [replaced], "its term ends with an entry all the same");

    std::fs::remove_file(place.part(newest)).unwrap();
    let why = backup(&[place.source()], &path("again"), at(100)).await.unwrap_err();
    assert!(why.message.contains("is missing"), "{}", why.message);
    assert!(!path("again").exists());
}

#[tokio::test]
async fn a_set_that_goes_while_a_backup_is_taken_is_left_out() {
    let place = Place::new(1).await;
    let gone = place.indexed(1).await;
    let out = tempfile::tempdir().unwrap();
    let rows = Rows::write(&place.store, &out.path().join(ROWS)).await.unwrap();
    let newest = place.indexed(2).await;
    let shelf = place.store.shelf(gone).await.unwrap();
    place.store.expire(at(99 * 86_400)).await.unwrap();
    place.parts.remove_batch(&shelf, 1).await.unwrap();
    let parts = out.path().join("parts");
    private_folder(&parts).unwrap();
    assert!(!copy_parts(&place.source(), &rows, &parts).await.unwrap());
    let rows = copy(&place.source(), out.path()).await.unwrap();
    assert_eq!(rows.noted.parts, [(newest, 0)]);
    assert_eq!(std::fs::read_dir(parts).unwrap().count(), 1);
}

#[tokio::test]
async fn a_restore_that_fails_halfway_leaves_nothing_that_a_server_would_go_on_with() {
    let (first, later) = (Place::new(1).await, Place::new(2).await);
    let (old, new) = (first.indexed(1).await, later.indexed(2).await);
    let out = tempfile::tempdir().unwrap();
    let path = |name: &str| out.path().join(name);
    backup(&[first.source(), later.source()], &path("backup"), at(100)).await.unwrap();
    let restore = async |to: &str| {
        let back = upkeep::restore(&path("backup"), None, &places(&path(to)), at(101)).await;
        back.map_err(|failure| failure.message)
    };
    let of_later = |to: &str| places(&path(to)).of_epoch(later.manifest);
    let is_whole = async |to: &str| {
        let store = Store::open(&places(&path(to)).database, "one").await.unwrap();
        !store.is_restoring().await
    };
    restore("whole").await.unwrap();
    assert!(is_whole("whole").await);

    // the disk takes no part of the later epoch, or of the first one
    let of_first = places(&path("first")).data.join("parts");
    for (to, parts, batch) in [("first", of_first, old), ("later", of_later("later").data.join("parts"), new)] {
        private_folder(&parts).unwrap();
        std::fs::write(parts.join(batch.to_string()), "in the way").unwrap();
        restore(to).await.unwrap_err();
        assert!(!is_whole(to).await, "{to}");
        let again = restore(to).await.unwrap_err();
        assert!(again.contains("a restore was cut short here"), "{again}");
    }

    // what cannot be put back is known before anything is written
    let inner = path("backup").join(EPOCHS).join(later.manifest.to_string());
    std::fs::write(part_path(&inner.join("parts"), new, 0), "x").unwrap();
    let why = restore("none").await.unwrap_err();
    assert!(why.contains("the part is damaged"), "{why}");
    assert!(!places(&path("none")).data.join("hedui.sqlite").exists());
}

#[tokio::test]
async fn a_backup_is_kept_as_long_as_the_shortest_term_of_its_epochs_says() {
    let (first, later) = (Place::new(1).await, Place::new(2).await);
    later.store.inherit(&Retention { backups: 3, ..Retention::default() }).await.unwrap();
    let out = tempfile::tempdir().unwrap();
    let path = out.path().join("backup");
    backup(&[first.source(), later.source()], &path, at(100)).await.unwrap();
    let ends_at = at(100 + 3 * 86_400);
    assert_eq!(Seal::read(&path).unwrap().ends_at, Some(ends_at));
    assert_eq!(Seal::read(&path.join(EPOCHS).join(later.manifest.to_string())).unwrap().ends_at, Some(ends_at));
}

#[tokio::test]
async fn workers_of_before_are_not_put_back() {
    let place = Place::new(1).await;
    place.store.followed(1, at(5)).await.unwrap();
    let out = tempfile::tempdir().unwrap();
    let path = out.path().join("backup");
    backup(&[place.source()], &path, at(100)).await.unwrap();
    let (back, mut tables) = (restored(&path, at(101)).await, Vec::new());
    let dumped = back.store.dump(|row| {
        tables.push(row.table);
        Ok(())
    });
    dumped.await.unwrap();
    assert!(tables.contains(&"project".to_owned()) && !tables.contains(&"workers".to_owned()), "{tables:?}");
}
