//! What operators do, two of them together: proposed by one, approved by another, and done.

use hedui_protocol::acts::{ActState, ActStatus, Actor, Counts, Deed, PATIENCE, Proposal, Retention};
use hedui_protocol::ids::ManifestId;
use hedui_protocol::log::Event;
use jiff::{SignedDuration, Timestamp};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Store, Tx};
use crate::server::error::{ServerError, ServerResult};

/// Seconds after which a worker that says nothing is away, as is one whose clock is so much ahead: what it has goes when it
/// starts.
pub(super) const AWAY: i64 = 120;

/// Seconds after which a worker that says nothing is no more.
const RETIRED: i64 = 30 * 86_400;

/// What approving came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Approval {
    Done,
    /// Who approves is who proposed.
    SamePerson,
    /// It cannot be approved any more.
    TooLate(ActState),
}

/// An epoch that came after: the files of its manifest and signatures.
pub struct NextEpoch {
    pub manifest: ManifestId,
    pub terms: Vec<u8>,
    pub signatures: Vec<u8>,
    /// Some server has answered parties for it.
    pub is_served: bool,
}

/// What was erased, in the order of the log, and is not yet told as gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Erasure {
    /// An act, or an entry `expired`.
    pub number: u64,
    /// The entry that says that its rows are gone.
    pub entry: u64,
    /// PostgreSQL's number of the transaction in which they went.
    pub tx: Option<i64>,
}

const COLUMNS: &str = "act, deed, state, proposed_by, proposed_at, approved_by, done_at";

impl Store {
    /// Keeps a proposal, and tells its number. Proposed again by the same operator while it waits, it is the same one.
    pub async fn propose(&self, proposal: &Proposal, by: &Actor, now: Timestamp) -> ServerResult<u64> {
        let deed = json(&proposal.deed);
        let mut tx = self.write().await?;
        let waiting = format!("SELECT {COLUMNS} FROM acts WHERE deed = $1 AND state = 'proposed' ORDER BY act DESC");
        for row in sqlx::query(sqlx::AssertSqlSafe(waiting)).bind(&deed).fetch_all(&mut *tx).await? {
            let known = status(&row, now)?;
            if known.state == ActState::Proposed && known.proposed_by == *by {
                return Ok(known.act);
            }
        }
        let event = Event::Proposed { by: by.clone(), deed: proposal.deed.clone() };
        let act = Self::log(&mut tx, event, now).await?;
        let insert = "INSERT INTO acts (act, deed, state, proposed_by, proposed_at, terms, signatures)
            VALUES ($1, $2, 'proposed', $3, $4, $5, $6)";
        let terms = proposal.terms.as_ref();
        sqlx::query(insert)
            .bind(number(act)?)
            .bind(deed)
            .bind(json(by))
            .bind(now.as_second())
            .bind(terms.map(|terms| terms.manifest.0.clone()))
            .bind(terms.map(|terms| terms.signatures.0.clone()))
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(act)
    }

    /// Every act, the newest first.
    pub async fn acts(&self, now: Timestamp) -> ServerResult<Vec<ActStatus>> {
        let acts = format!("SELECT {COLUMNS} FROM acts ORDER BY act DESC LIMIT 1000");
        let rows = sqlx::query(sqlx::AssertSqlSafe(acts)).fetch_all(&self.pool).await?;
        rows.iter().map(|row| status(row, now)).collect()
    }

    pub async fn act(&self, act: u64, now: Timestamp) -> ServerResult<Option<ActStatus>> {
        let one = format!("SELECT {COLUMNS} FROM acts WHERE act = $1");
        // a larger one is no act's
        let act = i64::try_from(act).unwrap_or(i64::MAX);
        let row = sqlx::query(sqlx::AssertSqlSafe(one)).bind(act).fetch_optional(&self.pool).await?;
        row.map(|row| status(&row, now)).transpose()
    }

    /// The second operator's word: the deed is done, but for files that are still to be removed. Repeating it changes nothing.
    pub async fn approve(&self, act: u64, by: &Actor, now: Timestamp) -> ServerResult<Approval> {
        let mut tx = self.write().await?;
        let one = format!("SELECT {COLUMNS} FROM acts WHERE act = $1");
        let row = sqlx::query(sqlx::AssertSqlSafe(one)).bind(number(act)?).fetch_one(&mut *tx).await?;
        let known = status(&row, now)?;
        if known.approved_by.as_ref() == Some(by) {
            return Ok(Approval::Done);
        }
        if known.state != ActState::Proposed {
            return Ok(Approval::TooLate(known.state));
        }
        if !by.is_a_colleague_of(&known.proposed_by) {
            return Ok(Approval::SamePerson);
        }
        let approved = Event::Approved { act, by: by.clone(), deed: known.deed.clone() };
        let approved = Self::log(&mut tx, approved, now).await?;
        let counts = match &known.deed {
            Deed::EraseCommissions { commissions } => Some(Self::erase_commissions(&mut tx, commissions).await?),
            Deed::EraseAgency { agency } => Some(Self::erase_agency(&mut tx, agency, act).await?),
            Deed::EraseProject => Some(Self::erase_project(&mut tx, Some(act), now).await?),
            Deed::OpenEpoch { manifest, .. } => {
                let open = "INSERT INTO epochs (manifest, terms, signatures, opened_at)
                    SELECT $1, terms, signatures, $2 FROM acts WHERE act = $3 ON CONFLICT DO NOTHING";
                let open = sqlx::query(open).bind(manifest.to_string()).bind(now.as_second()).bind(number(act)?);
                open.execute(&mut *tx).await?;
                None
            }
            Deed::SetRetention { retention } => {
                sqlx::query("UPDATE project SET retention = $1").bind(json(retention)).execute(&mut *tx).await?;
                None
            }
        };
        let erased = counts.unwrap_or_default();
        let (state, done) = if counts.is_some() { ("approved", None) } else { ("done", Some(now.as_second())) };
        let update =
            "UPDATE acts SET state = $2, approved_by = $3, done_at = $4, batches = $5, commissions = $6, answers = $7,
            approved_at = $8, approved = $9, approved_tx = $10 WHERE act = $1";
        sqlx::query(update)
            .bind(number(act)?)
            .bind(state)
            .bind(json(by))
            .bind(done)
            .bind(number(erased.batches)?)
            .bind(number(erased.commissions)?)
            .bind(number(erased.answers)?)
            .bind(now.as_second())
            .bind(number(approved)?)
            .bind(self.number_of(&mut tx).await?)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(Approval::Done)
    }

    /// PostgreSQL's number of a transaction.
    pub(super) async fn number_of(&self, tx: &mut Tx) -> ServerResult<Option<i64>> {
        if self.database.is_sqlite() {
            return Ok(None);
        }
        let own = "SELECT CAST(CAST(pg_current_xact_id() AS TEXT) AS BIGINT)";
        Ok(Some(sqlx::query_scalar(own).fetch_one(&mut **tx).await?))
    }

    /// Whether an act is approved and not done, or what has ended by its term is not gone yet.
    pub async fn files_are_awaited(&self) -> ServerResult<bool> {
        let awaited = "SELECT act FROM acts WHERE state = 'approved'
            UNION ALL SELECT ended FROM project WHERE ended IS NOT NULL AND (gone IS NULL OR gone < ended) LIMIT 1";
        Ok(sqlx::query(awaited).fetch_optional(&self.pool).await?.is_some())
    }

    /// Entries of the log so far: whatever they erased is no row any more for who asks after this.
    pub async fn erased_so_far(&self) -> ServerResult<u64> {
        // approved by an earlier program, which did not say by which entry
        let old = "SELECT act FROM acts WHERE state = 'approved' AND approved IS NULL LIMIT 1";
        if sqlx::query(old).fetch_optional(&self.pool).await?.is_some() {
            let mut tx = self.write().await?;
            let number = self.number_of(&mut tx).await?;
            let mend = "UPDATE acts SET approved = (SELECT MAX(number) FROM log_entries), approved_tx = $1
                WHERE state = 'approved' AND approved IS NULL";
            sqlx::query(mend).bind(number).execute(&mut *tx).await?;
            tx.commit().await?;
        }
        let so_far = "SELECT CAST(COALESCE(MAX(number) + 1, 0) AS BIGINT) FROM log_entries";
        let so_far: i64 = sqlx::query_scalar(so_far).fetch_one(&self.pool).await?;
        u64::try_from(so_far).map_err(ServerError::failed)
    }

    /// This worker has none of the indexes any more that were erased by the first `entries` of the log.
    pub async fn followed(&self, entries: u64, now: Timestamp) -> ServerResult<()> {
        let beat = "INSERT INTO workers (holder, seen_at, tidied_at, followed) VALUES ($1, $2, $2, $3)
            ON CONFLICT (holder) DO UPDATE SET seen_at = excluded.seen_at, followed = excluded.followed";
        let beat = sqlx::query(beat).bind(&self.holder).bind(now.as_second()).bind(number(entries)?);
        beat.execute(&self.pool).await?;
        Ok(())
    }

    /// Counts workers no more that have said nothing for long. Not by a clock that has just been set.
    pub async fn retire_workers(&self, now: Timestamp) -> ServerResult<()> {
        let retired = sqlx::query("DELETE FROM workers WHERE seen_at < $1").bind(now.as_second() - RETIRED);
        retired.execute(&self.pool).await?;
        Ok(())
    }

    /// This server was a worker once, and has no index any more.
    pub async fn works_no_more(&self) -> ServerResult<()> {
        sqlx::query("DELETE FROM workers WHERE holder = $1").bind(&self.holder).execute(&self.pool).await?;
        Ok(())
    }

    /// Acts that have erased something of which no file is left, where the parts are and at every worker that is there.
    pub async fn acts_to_finish(&self, now: Timestamp) -> ServerResult<Vec<Erasure>> {
        let acts = "SELECT act AS number, approved AS entry, approved_tx AS tx FROM acts WHERE state = 'approved'
            AND NOT EXISTS (SELECT 1 FROM removals r WHERE r.act = acts.act)
            AND NOT EXISTS (SELECT 1 FROM workers w WHERE w.seen_at > $1 AND w.seen_at <= $2 AND w.followed <= acts.approved)
            ORDER BY act";
        let rows =
            sqlx::query(acts).bind(now.as_second() - AWAY).bind(now.as_second() + AWAY).fetch_all(&self.pool).await?;
        rows.iter().map(erasure).collect()
    }

    /// Says in the log that nothing of it is left, once.
    pub async fn finish_act(&self, act: Erasure, now: Timestamp) -> ServerResult<()> {
        let mut tx = self.write().await?;
        let backups_until = Self::backups_until(&mut tx, now).await?;
        let done = "UPDATE acts SET state = 'done', done_at = $2 WHERE act = $1 AND state = 'approved'
            RETURNING deed, batches, commissions, answers";
        let row = sqlx::query(done).bind(number(act.number)?).bind(now.as_second()).fetch_optional(&mut *tx).await?;
        if let Some(row) = row {
            let count = |name: &str| u64::try_from(row.get::<i64, _>(name)).map_err(ServerError::failed);
            let counts =
                Counts { batches: count("batches")?, commissions: count("commissions")?, answers: count("answers")? };
            let deed = from_json(row.get("deed"))?;
            let away = Self::away(&mut tx, act.entry, now).await?;
            Self::log(&mut tx, Event::Erased { act: act.number, deed, counts, away, backups_until }, now).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Workers that were not there, and may still have indexes of what this entry erased.
    pub(super) async fn away(tx: &mut Tx, entry: u64, now: Timestamp) -> ServerResult<u64> {
        let away = sqlx::query(
            "SELECT COUNT(*) AS away FROM workers WHERE (seen_at <= $2 OR seen_at > $3) AND followed <= $1",
        );
        let away = away
            .bind(number(entry)?)
            .bind(now.as_second() - AWAY)
            .bind(now.as_second() + AWAY)
            .fetch_one(&mut **tx)
            .await?;
        u64::try_from(away.get::<i64, _>("away")).map_err(ServerError::failed)
    }

    /// Acts by state, for the metrics.
    pub async fn act_counts(&self, now: Timestamp) -> ServerResult<Vec<(String, i64)>> {
        let word = |state: ActState| json(&state).trim_matches('"').to_owned();
        Ok(self.acts(now).await?.into_iter().map(|act| (word(act.state), 1)).collect())
    }

    /// A backup is about to be taken, which ends then.
    pub async fn note_backup(&self, ends_at: Timestamp) -> ServerResult<()> {
        sqlx::query("UPDATE project SET backups_until = $1 WHERE backups_until < $1")
            .bind(ends_at.as_second())
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// When the last of the backups ends that were taken so far.
    pub(super) async fn backups_until(tx: &mut Tx, now: Timestamp) -> ServerResult<Timestamp> {
        let until = sqlx::query("SELECT backups_until FROM project").fetch_optional(&mut **tx).await?;
        let until = until.map_or(0, |row| row.get::<i64, _>("backups_until"));
        Timestamp::from_second(until.max(now.as_second())).map_err(ServerError::failed)
    }

    /// The terms of the epoch before, for one that has none of its own.
    pub async fn inherit(&self, retention: &Retention) -> ServerResult<()> {
        sqlx::query("UPDATE project SET retention = $1 WHERE retention IS NULL")
            .bind(json(retention))
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// How long data is kept.
    pub async fn retention(&self) -> ServerResult<Retention> {
        retention_of(sqlx::query(RETENTION).fetch_optional(&self.pool).await?)
    }

    /// The same, as long as the transaction goes on.
    pub(super) async fn retention_now(tx: &mut Tx) -> ServerResult<Retention> {
        retention_of(sqlx::query(RETENTION).fetch_optional(&mut **tx).await?)
    }

    /// The epochs that were opened from this one.
    pub async fn next_epochs(&self) -> ServerResult<Vec<NextEpoch>> {
        let rows =
            sqlx::query("SELECT manifest, terms, signatures, served_at FROM epochs ORDER BY opened_at, manifest");
        let epoch = |row: &AnyRow| {
            Ok(NextEpoch {
                manifest: row.get::<&str, _>("manifest").parse().map_err(ServerError::failed)?,
                terms: row.get("terms"),
                signatures: row.get("signatures"),
                is_served: row.get::<Option<i64>, _>("served_at").is_some(),
            })
        };
        rows.fetch_all(&self.pool).await?.iter().map(epoch).collect()
    }

    /// Notes that one of them is there for its parties, once.
    pub async fn serves_next(&self, manifest: ManifestId, now: Timestamp) -> ServerResult<()> {
        let first = "UPDATE epochs SET served_at = $2 WHERE manifest = $1 AND served_at IS NULL";
        sqlx::query(first).bind(manifest.to_string()).bind(now.as_second()).execute(&self.pool).await?;
        Ok(())
    }
}

const RETENTION: &str = "SELECT retention FROM project";

fn retention_of(row: Option<AnyRow>) -> ServerResult<Retention> {
    let text = row.and_then(|row| row.get::<Option<String>, _>("retention"));
    text.map_or_else(|| Ok(Retention::default()), |text| from_json(&text))
}

pub(super) fn days(count: u16) -> SignedDuration {
    SignedDuration::from_hours(24 * i64::from(count))
}

fn status(row: &AnyRow, now: Timestamp) -> ServerResult<ActStatus> {
    let time = |second: i64| Timestamp::from_second(second).map_err(ServerError::failed);
    let proposed_at = time(row.get("proposed_at"))?;
    let state = match row.get::<&str, _>("state") {
        "proposed" if now > proposed_at + PATIENCE => ActState::Lapsed,
        word => from_json(&format!("\"{word}\""))?,
    };
    Ok(ActStatus {
        act: u64::try_from(row.get::<i64, _>("act")).map_err(ServerError::failed)?,
        deed: from_json(row.get("deed"))?,
        state,
        proposed_by: from_json(row.get("proposed_by"))?,
        proposed_at,
        approved_by: row.get::<Option<String>, _>("approved_by").map(|text| from_json(&text)).transpose()?,
        done_at: row.get::<Option<i64>, _>("done_at").map(time).transpose()?,
    })
}

/// One of a row with its columns.
pub(super) fn erasure(row: &AnyRow) -> ServerResult<Erasure> {
    let number = |name: &str| u64::try_from(row.get::<i64, _>(name)).map_err(ServerError::failed);
    Ok(Erasure { number: number("number")?, entry: number("entry")?, tx: row.get("tx") })
}

pub(super) fn number(count: u64) -> ServerResult<i64> {
    i64::try_from(count).map_err(ServerError::failed)
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("it has only string keys")
}

fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> ServerResult<T> {
    serde_json::from_str(text).map_err(ServerError::failed)
}
