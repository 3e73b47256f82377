//! The log in the database: what is done and the entry that says so are one transaction.

use hedui_protocol::ids::TreeHash;
use hedui_protocol::log::{Checkpoint, Entry, Event, Hashes, HashesNeeded, Inclusion, Tree, leaf_hash};
use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row as _};

use super::{Store, Tx, places};
use crate::server::error::{ServerError, ServerResult};

/// What of the log a receipt shows, as it was at one moment.
pub struct Extract {
    pub tree: Checkpoint,
    pub consistency: Vec<TreeHash>,
    pub entry: Option<Inclusion>,
}

/// Which entry a receipt is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leaf {
    Number(u64),
    /// The last one that says this of this commission or batch.
    About {
        what: &'static str,
        about: String,
    },
}

impl Store {
    /// Appends an entry, in the transaction that does what it says; its number.
    pub(super) async fn log(tx: &mut Tx, event: Event, now: Timestamp) -> ServerResult<u64> {
        let size = size(tx).await?;
        let hashes = fetch(tx, HashesNeeded::of(size).root().next()).await?;
        let tree = Tree::new(size, &hashes);
        let (what, about) = (event.what(), event.about());
        let at = Timestamp::from_second(now.as_second()).map_err(ServerError::failed)?;
        let entry = Entry { number: size, at, tree: tree.root().map_err(ServerError::failed)?, event }.to_bytes();
        let stored = tree.next(leaf_hash(&entry)).map_err(ServerError::failed)?;
        sqlx::query("INSERT INTO log_entries (number, what, about, entry) VALUES ($1, $2, $3, $4)")
            .bind(stored_as(size)?)
            .bind(what)
            .bind(about)
            .bind(entry)
            .execute(&mut **tx)
            .await?;
        let rows: Vec<String> = (0..stored.len()).map(|row| format!("({})", places(1 + 2 * row, 2))).collect();
        let insert = format!("INSERT INTO log_hashes (place, hash) VALUES {}", rows.join(", "));
        let mut query = sqlx::query(AssertSqlSafe(insert));
        for (place, hash) in stored {
            query = query.bind(stored_as(place)?).bind(hash.0.to_vec());
        }
        query.execute(&mut **tx).await?;
        Ok(size)
    }

    /// Appends an entry of its own.
    pub async fn note(&self, event: Event, now: Timestamp) -> ServerResult<u64> {
        let mut tx = self.write().await?;
        let number = Self::log(&mut tx, event, now).await?;
        tx.commit().await?;
        Ok(number)
    }

    /// What was done beside servers, the newest that begins so: of the last thousand, and the next one says it anew.
    pub async fn last_administered(&self, begins: &str) -> ServerResult<Option<String>> {
        let select = "SELECT entry FROM log_entries WHERE about IS NULL AND what = 'administered' ORDER BY number DESC LIMIT 1000";
        let entries: Vec<Vec<u8>> = sqlx::query_scalar(select).fetch_all(&self.pool).await?;
        let acts = entries.iter().filter_map(|entry| match Entry::parse(entry)?.event {
            Event::Administered { act } => Some(act),
            _ => None,
        });
        Ok(acts.into_iter().find(|act| act.starts_with(begins)))
    }

    /// Begins the log of a database that has none.
    pub async fn open_log(&self, event: Event, now: Timestamp) -> ServerResult<()> {
        let mut tx = self.write().await?;
        if size(&mut tx).await? == 0 {
            Self::log(&mut tx, event, now).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// The tree as it is, how it continues the one of `before` entries, and that an entry is in it.
    ///
    /// `before` of more entries than there are is nothing that this log continues: the caller sees that for itself.
    pub async fn extract(&self, before: u64, leaf: Option<&Leaf>) -> ServerResult<Extract> {
        // what is read never changes once it is there: a snapshot is not needed
        let mut tx = self.pool.begin().await?;
        let size = size(&mut tx).await?;
        let leaf = match leaf {
            None => None,
            Some(Leaf::Number(number)) => Some(*number),
            Some(Leaf::About { what, about }) => last_about(&mut tx, what, about).await?,
        };
        let continues = 0 < before && before < size;
        let mut needed = HashesNeeded::of(size).root();
        if continues {
            needed = needed.consistency(before);
        }
        if let Some(leaf) = leaf {
            needed = needed.inclusion(leaf);
        }
        let hashes = fetch(&mut tx, needed).await?;
        let tree = Tree::new(size, &hashes);
        let consistency = if continues { tree.consistency(before).map_err(ServerError::failed)? } else { Vec::new() };
        let entry = match leaf {
            None => None,
            Some(leaf) => {
                let proof = tree.inclusion(leaf).map_err(ServerError::failed)?;
                Some(Inclusion { entry: text(entry(&mut tx, leaf).await?)?, proof })
            }
        };
        let root = tree.root().map_err(ServerError::failed)?;
        tx.rollback().await?;
        Ok(Extract { tree: Checkpoint { size, root }, consistency, entry })
    }

    /// The root of the first `size` entries; none where there are not so many.
    pub async fn root_at(&self, size: u64) -> ServerResult<Option<TreeHash>> {
        let mut tx = self.pool.begin().await?;
        if size > self::size(&mut tx).await? {
            return Ok(None);
        }
        let hashes = fetch(&mut tx, HashesNeeded::of(size).root()).await?;
        tx.rollback().await?;
        Tree::new(size, &hashes).root().map(Some).map_err(ServerError::failed)
    }

    /// Keeps a signed checkpoint, if it is the newest.
    pub async fn keep_checkpoint(&self, size: u64, note: &str) -> ServerResult<()> {
        sqlx::query("UPDATE project SET checkpoint = $1, checkpoint_size = $2 WHERE checkpoint_size < $2")
            .bind(note)
            .bind(stored_as(size)?)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// The newest signed checkpoint, and of how many entries it is.
    pub async fn checkpoint(&self) -> ServerResult<Option<(u64, String)>> {
        let select = "SELECT checkpoint_size, checkpoint FROM project WHERE checkpoint IS NOT NULL";
        let row = sqlx::query(select).fetch_optional(&self.pool).await?;
        let kept = |row: AnyRow| {
            let size = u64::try_from(row.get::<i64, _>("checkpoint_size")).map_err(ServerError::failed)?;
            Ok((size, row.get("checkpoint")))
        };
        row.map(kept).transpose()
    }

    /// How many entries there are.
    pub async fn entry_count(&self) -> ServerResult<u64> {
        let mut tx = self.pool.begin().await?;
        size(&mut tx).await
    }

    /// Entries from `from` on, no more than `most`.
    pub async fn entries(&self, from: u64, most: u32) -> ServerResult<Vec<String>> {
        let rows = sqlx::query("SELECT entry FROM log_entries WHERE number >= $1 ORDER BY number LIMIT $2")
            .bind(i64::try_from(from).unwrap_or(i64::MAX))
            .bind(i64::from(most))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(|row| text(row.get("entry"))).collect()
    }
}

async fn size(tx: &mut Tx) -> ServerResult<u64> {
    let size: i64 =
        sqlx::query_scalar("SELECT COALESCE(MAX(number) + 1, 0) FROM log_entries").fetch_one(&mut **tx).await?;
    u64::try_from(size).map_err(ServerError::failed)
}

async fn last_about(tx: &mut Tx, what: &str, about: &str) -> ServerResult<Option<u64>> {
    let number: Option<i64> = sqlx::query_scalar("SELECT MAX(number) FROM log_entries WHERE about = $1 AND what = $2")
        .bind(about)
        .bind(what)
        .fetch_one(&mut **tx)
        .await?;
    number.map(|number| u64::try_from(number).map_err(ServerError::failed)).transpose()
}

async fn entry(tx: &mut Tx, number: u64) -> ServerResult<Vec<u8>> {
    let entry = sqlx::query_scalar("SELECT entry FROM log_entries WHERE number = $1").bind(stored_as(number)?);
    Ok(entry.fetch_one(&mut **tx).await?)
}

async fn fetch(tx: &mut Tx, needed: HashesNeeded) -> ServerResult<Hashes> {
    let wanted = needed.places();
    if wanted.is_empty() {
        return Ok(Hashes::new());
    }
    let select = format!("SELECT place, hash FROM log_hashes WHERE place IN ({})", places(1, wanted.len()));
    let mut query = sqlx::query(AssertSqlSafe(select));
    for place in wanted {
        query = query.bind(stored_as(place)?);
    }
    let rows = query.fetch_all(&mut **tx).await?;
    let hash = |row: &AnyRow| {
        let place = u64::try_from(row.get::<i64, _>("place")).map_err(ServerError::failed)?;
        Ok((place, TreeHash::try_from(row.get::<&[u8], _>("hash")).map_err(ServerError::failed)?))
    };
    rows.iter().map(hash).collect()
}

fn stored_as(number: u64) -> ServerResult<i64> {
    i64::try_from(number).map_err(ServerError::failed)
}

fn text(entry: Vec<u8>) -> ServerResult<String> {
    String::from_utf8(entry).map_err(|_| ServerError::Failed("an entry of the log is no text".into()))
}
