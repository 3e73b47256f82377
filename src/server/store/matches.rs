//! What was found for a commission, and what has been answered. Bands only: a score is never stored.

use std::collections::{BTreeMap, HashMap};

use hedui_protocol::decision::Band;
use hedui_protocol::ids::{BatchId, CommissionId, RecordId, SubjectId};
use hedui_protocol::log::Event;
use jiff::Timestamp;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AssertSqlSafe, Row as _};

use super::{Job, JobKind, Store, Tx};
use crate::server::error::{ServerError, ServerResult};

/// One match, with the slot that the office will receive for it as things stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatchRow {
    pub subject: SubjectId,
    pub agency: String,
    pub record: RecordId,
    /// Place among the subject's matches at this agency, the surest first.
    pub place: u32,
    pub band: Band,
    pub release: Release,
    /// When the ticket covers the subject no more.
    pub until: Timestamp,
    /// Since when the agency is asked, if it is.
    pub asked_at: Timestamp,
    pub slot: Vec<u8>,
}

/// How a match reaches the office.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// Told, but nothing is released.
    Possible,
    /// The deposit is released.
    Deposit,
    /// The agency is asked.
    Pending,
    Answered,
    Declined,
}

const RELEASES: [(Release, &str); 5] = [
    (Release::Possible, "possible"),
    (Release::Deposit, "deposit"),
    (Release::Pending, "pending"),
    (Release::Answered, "answered"),
    (Release::Declined, "declined"),
];

impl Release {
    fn word(self) -> &'static str {
        RELEASES.iter().find(|(release, _)| *release == self).map(|(_, word)| *word).expect("every release has a word")
    }

    fn of(word: &str) -> ServerResult<Self> {
        let found = RELEASES.iter().find(|(_, known)| *known == word).map(|(release, _)| *release);
        found.ok_or_else(|| ServerError::Failed(format!("the database holds the unknown release `{word}`")))
    }
}

/// What matching a commission came to.
pub struct Outcome {
    pub commission: CommissionId,
    /// The set that each agency was matched by; none where it had submitted nothing.
    pub against: Vec<(String, Option<BatchId>)>,
    pub matches: Vec<MatchRow>,
}

/// What one match has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub subject: SubjectId,
    pub agency: String,
    pub release: Release,
    /// It waits for its agency, for too long.
    pub late: bool,
}

/// A match that waits for its agency.
pub struct Pending {
    pub commission: CommissionId,
    pub subject: SubjectId,
    pub record: RecordId,
    pub band: Band,
}

/// An agency's answer about one match.
#[derive(Clone, Debug)]
pub struct AnswerRow {
    pub commission: CommissionId,
    pub subject: SubjectId,
    pub record: RecordId,
    /// Answered or declined.
    pub release: Release,
    pub slot: Vec<u8>,
}

/// Rows of one INSERT.
const ROWS: usize = 4096;
/// No encodings: what stays of them once they have served.
pub(super) const FORGOTTEN: &[u8] = b"[]";

impl Store {
    /// Stores what commissions came to, of those whose jobs are still this worker's; what was withdrawn keeps nothing.
    pub async fn store_outcomes(&self, outcomes: &[(Job, Outcome)], now: Timestamp) -> ServerResult<()> {
        let mut tx = self.write().await?;
        for (job, outcome) in outcomes {
            if self.finish(&mut tx, job).await? {
                self.store_outcome(&mut tx, outcome, now).await?;
            }
        }
        tx.commit().await?;
        Ok(())
    }

    async fn store_outcome(&self, tx: &mut Tx, outcome: &Outcome, now: Timestamp) -> ServerResult<()> {
        let Outcome { commission, against, matches } = outcome;
        let id = commission.to_string();
        let row = "SELECT state, standing FROM commissions WHERE commission = $1 AND ended < 2";
        let row = sqlx::query(row).bind(&id);
        // erased with its project, or its answers' term is over
        let Some(row) = row.fetch_optional(&mut **tx).await? else { return Ok(()) };
        let standing = row.get::<i64, _>("standing") == 1;
        let again = match row.get::<&str, _>("state") {
            "queued" => false,
            "matched" if standing => true,
            _ => return Ok(()),
        };
        let matched = "UPDATE commissions SET state = 'matched', version = version + 1 WHERE commission = $1";
        sqlx::query(matched).bind(&id).execute(&mut **tx).await?;
        if !standing {
            let forget = "UPDATE commissions SET encodings = $2 WHERE commission = $1";
            sqlx::query(forget).bind(&id).bind(FORGOTTEN).execute(&mut **tx).await?;
            sqlx::query("DELETE FROM encodings WHERE commission = $1").bind(&id).execute(&mut **tx).await?;
        }
        let erased = Self::erased_meanwhile(tx, against).await?;
        for (agency, batch) in against {
            sqlx::query(
                "INSERT INTO matched_against (commission, agency, batch) VALUES ($1, $2, $3)
                 ON CONFLICT (commission, agency) DO UPDATE SET batch = excluded.batch",
            )
            .bind(&id)
            .bind(agency)
            .bind(batch.filter(|_| !erased.contains(agency)).map(|batch| batch.to_string()))
            .execute(&mut **tx)
            .await?;
        }
        let mut rows: Vec<MatchRow> = matches.iter().filter(|row| !erased.contains(&row.agency)).cloned().collect();
        if again {
            for (agency, _) in against {
                keep_answers(tx, &id, agency, &mut rows).await?;
            }
        }
        // in the order of their key, so that many rows go where those before them went
        rows.sort_by(|one, other| {
            (one.subject, &one.agency, one.record).cmp(&(other.subject, &other.agency, other.record))
        });
        for rows in rows.chunks(ROWS) {
            self.insert(tx, &id, rows).await?;
        }
        let event = Event::CommissionMatched { commission: *commission, against: against.iter().cloned().collect() };
        Self::log(tx, event, now).await?;
        if standing && Self::is_behind(tx, &id).await? {
            Self::queue_again(tx, JobKind::Sweep, &id).await?;
        }
        Ok(())
    }

    /// Few large values: thousands of small ones cost many times what their rows do.
    async fn insert(&self, tx: &mut Tx, commission: &str, rows: &[MatchRow]) -> ServerResult<()> {
        let mut slots = Vec::new();
        let mut values = Vec::with_capacity(rows.len());
        for row in rows {
            values.push(serde_json::json!([
                row.subject.to_string(),
                row.agency,
                row.record.to_string(),
                row.place,
                band_word(row.band),
                row.release.word(),
                row.until.as_second(),
                row.asked_at.as_second(),
                slots.len() + 1,
                row.slot.len(),
            ]));
            slots.extend_from_slice(&row.slot);
        }
        let each = match self.database.is_sqlite() {
            true => "json_each($2)",
            false => "json_array_elements(CAST($2 AS json))",
        };
        let insert = format!(
            "INSERT INTO matches (commission, subject, agency, record, place, band, release, until, asked_at, slot)
             SELECT $1, value->>0, value->>1, value->>2, CAST(value->>3 AS BIGINT), value->>4, value->>5,
                 CAST(value->>6 AS BIGINT), CAST(value->>7 AS BIGINT),
                 SUBSTR($3, CAST(value->>8 AS INTEGER), CAST(value->>9 AS INTEGER))
             FROM {each}"
        );
        let values = serde_json::Value::from(values).to_string();
        sqlx::query(AssertSqlSafe(insert)).bind(commission).bind(values).bind(slots).execute(&mut **tx).await?;
        Ok(())
    }

    /// Agencies whose sets were erased while they were matched against.
    async fn erased_meanwhile(tx: &mut Tx, against: &[(String, Option<BatchId>)]) -> ServerResult<Vec<String>> {
        let mut erased = Vec::new();
        for (agency, batch) in against {
            let Some(batch) = batch else { continue };
            let here = sqlx::query("SELECT agency FROM batches WHERE batch = $1").bind(batch.to_string());
            if here.fetch_optional(&mut **tx).await?.is_none() {
                erased.push(agency.clone());
            }
        }
        Ok(erased)
    }

    /// Whether an agency's set was indexed while the commission was matched against its former one.
    async fn is_behind(tx: &mut Tx, commission: &str) -> ServerResult<bool> {
        let behind: Option<String> = sqlx::query_scalar(
            "SELECT b.batch FROM batches b JOIN matched_against m ON m.agency = b.agency
             WHERE m.commission = $1 AND b.state = 'indexed' AND (m.batch IS NULL OR m.batch <> b.batch) LIMIT 1",
        )
        .bind(commission)
        .fetch_optional(&mut **tx)
        .await?;
        Ok(behind.is_some())
    }

    /// The matches of some subjects of a commission, the surest first.
    pub async fn matches(&self, commission: CommissionId, subjects: &[SubjectId]) -> ServerResult<Vec<MatchRow>> {
        if subjects.is_empty() {
            return Ok(Vec::new());
        }
        // subject by subject: a planner that knows nothing of them (see `compaction`) would read all matches there are
        let theirs = match self.database.is_sqlite() {
            true => "json_each($2) AS asked CROSS JOIN matches AS m ON m.commission = $1 AND m.subject = asked.value",
            false => {
                "json_array_elements_text(CAST($2 AS json)) AS asked (value) CROSS JOIN LATERAL
                    (SELECT * FROM matches WHERE commission = $1 AND subject = asked.value OFFSET 0) AS m"
            }
        };
        let select = format!(
            "SELECT m.subject, m.agency, m.record, m.place, m.band, m.release, m.until, m.slot, m.asked_at FROM {theirs}
             ORDER BY m.subject, m.agency, m.place"
        );
        let subjects: Vec<String> = subjects.iter().map(SubjectId::to_string).collect();
        let subjects = serde_json::Value::from(subjects).to_string();
        let rows = sqlx::query(AssertSqlSafe(select)).bind(commission.to_string()).bind(subjects);
        rows.fetch_all(&self.pool).await?.iter().map(match_row).collect()
    }

    /// The first byte of each slot of a commission, which says whether it carries a payload.
    pub async fn slot_heads(&self, commission: CommissionId) -> ServerResult<Vec<(SubjectId, String, Vec<u8>)>> {
        let heads = "SELECT subject, agency, SUBSTR(slot, 1, 1) AS head FROM matches WHERE commission = $1";
        let rows = sqlx::query(heads).bind(commission.to_string()).fetch_all(&self.pool).await?;
        let head = |row: &AnyRow| Ok((parsed(row.get("subject"))?, row.get("agency"), row.get("head")));
        rows.iter().map(head).collect()
    }

    /// What each subject's matches at each agency have come to, and whether the agency was asked before `asked_before`.
    pub async fn releases(&self, commission: CommissionId, asked_before: Timestamp) -> ServerResult<Vec<Told>> {
        let rows = sqlx::query("SELECT subject, agency, release, asked_at FROM matches WHERE commission = $1")
            .bind(commission.to_string())
            .fetch_all(&self.pool)
            .await?;
        let told = |row: &AnyRow| {
            let release = Release::of(row.get("release"))?;
            let late = release == Release::Pending && row.get::<i64, _>("asked_at") <= asked_before.as_second();
            Ok(Told { subject: parsed(row.get("subject"))?, agency: row.get("agency"), release, late })
        };
        rows.iter().map(told).collect()
    }

    /// The agencies that a commission was matched against, and each one's set, if it had one.
    pub async fn matched_against(&self, commission: CommissionId) -> ServerResult<Vec<(String, Option<BatchId>)>> {
        let rows = sqlx::query("SELECT agency, batch FROM matched_against WHERE commission = $1")
            .bind(commission.to_string())
            .fetch_all(&self.pool)
            .await?;
        let set = |row: &AnyRow| {
            let batch = row.get::<Option<String>, _>("batch");
            Ok((row.get("agency"), batch.map(|batch| parsed(&batch)).transpose()?))
        };
        rows.iter().map(set).collect()
    }

    /// Matches that wait for this agency and are still covered at `now`, commission by commission.
    pub async fn pending(&self, agency: &str, skip: u32, most: u32, now: Timestamp) -> ServerResult<Vec<Pending>> {
        let rows = sqlx::query(
            "SELECT m.commission, m.subject, m.record, m.band
             FROM matches m JOIN commissions c ON c.commission = m.commission
             WHERE m.agency = $1 AND m.release = 'pending' AND m.until > $3 AND c.state = 'matched'
             ORDER BY c.filed_at, m.commission, m.subject, m.place LIMIT $2 OFFSET $4",
        )
        .bind(agency)
        .bind(i64::from(most))
        .bind(now.as_second())
        .bind(i64::from(skip))
        .fetch_all(&self.pool)
        .await?;
        let pending = |row: &AnyRow| {
            Ok(Pending {
                commission: parsed(row.get("commission"))?,
                subject: parsed(row.get("subject"))?,
                record: parsed(row.get("record"))?,
                band: band_of(row.get("band"))?,
            })
        };
        rows.iter().map(pending).collect()
    }

    /// One match of an agency.
    pub async fn match_of(
        &self,
        commission: CommissionId,
        subject: SubjectId,
        agency: &str,
        record: RecordId,
    ) -> ServerResult<Option<(Band, Release)>> {
        let row = sqlx::query(
            "SELECT band, release FROM matches WHERE commission = $1 AND subject = $2 AND agency = $3 AND record = $4",
        )
        .bind(commission.to_string())
        .bind(subject.to_string())
        .bind(agency)
        .bind(record.to_string())
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| Ok((band_of(row.get("band"))?, Release::of(row.get("release"))?))).transpose()
    }

    /// Matches by release, for the metrics.
    pub async fn match_counts(&self) -> ServerResult<Vec<(String, i64)>> {
        let counts = "SELECT release, COUNT(*) AS n FROM matches GROUP BY release ORDER BY release";
        let rows = sqlx::query(counts).fetch_all(&self.pool).await?;
        Ok(rows.iter().map(|row| (row.get("release"), row.get("n"))).collect())
    }

    /// Stores answers of one agency, all or none: the number of the last entry that the log has of them, or the position
    /// of the first answer that is refused.
    pub async fn store_answers(
        &self,
        agency: &str,
        answers: &[AnswerRow],
        now: Timestamp,
    ) -> ServerResult<Result<Option<u64>, usize>> {
        let mut tx = self.write().await?;
        let mut new: BTreeMap<CommissionId, (u64, u64)> = BTreeMap::new();
        for (position, answer) in answers.iter().enumerate() {
            let key = answer.key(agency);
            let updated = "UPDATE matches SET release = $5, slot = $6
                WHERE commission = $1 AND subject = $2 AND agency = $3 AND record = $4 AND release = 'pending'";
            let updated = bind_all(sqlx::query(updated), &key).bind(answer.release.word()).bind(&answer.slot);
            if updated.execute(&mut *tx).await?.rows_affected() == 1 {
                let (answered, declined) = new.entry(answer.commission).or_default();
                *if answer.release == Release::Answered { answered } else { declined } += 1;
                continue;
            }
            let before =
                "SELECT slot FROM matches WHERE commission = $1 AND subject = $2 AND agency = $3 AND record = $4";
            let before = bind_all(sqlx::query(before), &key).fetch_optional(&mut *tx).await?;
            if before.is_none_or(|row| row.get::<Vec<u8>, _>("slot") != answer.slot) {
                tx.rollback().await?;
                return Ok(Err(position));
            }
        }
        let mut last = None;
        for (commission, (answered, declined)) in new {
            let event = Event::Answered { agency: agency.to_owned(), commission, answered, declined };
            last = Some(Self::log(&mut tx, event, now).await?);
            sqlx::query("UPDATE commissions SET version = version + 1 WHERE commission = $1")
                .bind(commission.to_string())
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(Ok(last))
    }
}

impl AnswerRow {
    fn key(&self, agency: &str) -> [String; 4] {
        [self.commission.to_string(), self.subject.to_string(), agency.to_owned(), self.record.to_string()]
    }
}

fn bind_all<'q>(query: Query<'q, Any, AnyArguments>, key: &[String; 4]) -> Query<'q, Any, AnyArguments> {
    key.iter().fold(query, |query, part| query.bind(part.clone()))
}

fn match_row(row: &AnyRow) -> ServerResult<MatchRow> {
    Ok(MatchRow {
        subject: parsed(row.get("subject"))?,
        agency: row.get("agency"),
        record: parsed(row.get("record"))?,
        place: u32::try_from(row.get::<i64, _>("place")).map_err(ServerError::failed)?,
        band: band_of(row.get("band"))?,
        release: Release::of(row.get("release"))?,
        until: Timestamp::from_second(row.get("until")).map_err(ServerError::failed)?,
        asked_at: Timestamp::from_second(row.get("asked_at")).map_err(ServerError::failed)?,
        slot: row.get("slot"),
    })
}

/// Takes an agency's earlier matches away. What it answered about a record that is matched again stays to be seen until it
/// answers anew.
async fn keep_answers(tx: &mut Tx, commission: &str, agency: &str, rows: &mut [MatchRow]) -> ServerResult<()> {
    let select = "SELECT subject, agency, record, place, band, release, until, slot, asked_at FROM matches
        WHERE commission = $1 AND agency = $2 AND release IN ('answered', 'pending')";
    let before = sqlx::query(select).bind(commission).bind(agency).fetch_all(&mut **tx).await?;
    let before: Vec<MatchRow> = before.iter().map(match_row).collect::<ServerResult<_>>()?;
    let before: HashMap<(SubjectId, RecordId), MatchRow> =
        before.into_iter().map(|row| ((row.subject, row.record), row)).collect();
    for row in rows.iter_mut().filter(|row| row.agency == agency && row.release == Release::Pending) {
        let Some(known) = before.get(&(row.subject, row.record)) else { continue };
        row.slot.clone_from(&known.slot);
        if known.release == Release::Pending {
            row.asked_at = known.asked_at;
        }
    }
    let forget = "DELETE FROM matches WHERE commission = $1 AND agency = $2";
    sqlx::query(forget).bind(commission).bind(agency).execute(&mut **tx).await?;
    Ok(())
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> ServerResult<T> {
    text.parse().map_err(ServerError::failed)
}

fn band_word(band: Band) -> String {
    let word = serde_json::to_value(band).expect("a band is JSON");
    word.as_str().expect("a band is a word").to_owned()
}

fn band_of(word: &str) -> ServerResult<Band> {
    serde_json::from_value(serde_json::Value::from(word)).map_err(ServerError::failed)
}
