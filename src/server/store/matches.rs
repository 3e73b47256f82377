//! What was found for a commission, and what has been answered. Bands only: a score is never stored.

use std::collections::BTreeMap;

use hedui_protocol::decision::Band;
use hedui_protocol::ids::{BatchId, CommissionId, RecordId, SubjectId};
use hedui_protocol::log::Event;
use jiff::Timestamp;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AssertSqlSafe, Row as _};

use super::{Job, Store, Tx, places};
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

/// Rows of one INSERT: SQLite takes 32,766 bound values.
const ROWS: usize = 1000;
/// No encodings: what stays of them once they have served.
pub(super) const FORGOTTEN: &[u8] = b"[]";

impl Store {
    /// Stores what commissions came to, of those whose jobs are still this worker's; what was withdrawn keeps nothing.
    pub async fn store_outcomes(&self, outcomes: &[(Job, Outcome)], now: Timestamp) -> ServerResult<()> {
        let mut tx = self.write().await?;
        for (job, Outcome { commission, against, matches }) in outcomes {
            if !self.finish(&mut tx, job).await? {
                continue;
            }
            let id = commission.to_string();
            let matched =
                "UPDATE commissions SET state = 'matched', encodings = $2 WHERE commission = $1 AND state = 'queued'";
            let matched = sqlx::query(matched).bind(&id).bind(FORGOTTEN).execute(&mut *tx).await?.rows_affected();
            if matched == 1 {
                for (agency, batch) in against {
                    sqlx::query("INSERT INTO matched_against (commission, agency, batch) VALUES ($1, $2, $3)")
                        .bind(&id)
                        .bind(agency)
                        .bind(batch.map(|batch| batch.to_string()))
                        .execute(&mut *tx)
                        .await?;
                }
                for rows in matches.chunks(ROWS) {
                    insert(&mut tx, &id, rows).await?;
                }
                let against = against.iter().cloned().collect();
                Self::log(&mut tx, Event::CommissionMatched { commission: *commission, against }, now).await?;
            }
        }
        tx.commit().await?;
        Ok(())
    }

    /// The matches of some subjects of a commission, the surest first.
    pub async fn matches(&self, commission: CommissionId, subjects: &[SubjectId]) -> ServerResult<Vec<MatchRow>> {
        if subjects.is_empty() {
            return Ok(Vec::new());
        }
        let select = format!(
            "SELECT subject, agency, record, place, band, release, until, slot FROM matches
             WHERE commission = $1 AND subject IN ({}) ORDER BY subject, agency, place",
            places(2, subjects.len())
        );
        let mut query = sqlx::query(AssertSqlSafe(select)).bind(commission.to_string());
        for subject in subjects {
            query = query.bind(subject.to_string());
        }
        query.fetch_all(&self.pool).await?.iter().map(match_row).collect()
    }

    /// What each subject's matches at each agency have come to.
    pub async fn releases(&self, commission: CommissionId) -> ServerResult<Vec<(SubjectId, String, Release)>> {
        let rows = sqlx::query("SELECT subject, agency, release FROM matches WHERE commission = $1")
            .bind(commission.to_string())
            .fetch_all(&self.pool)
            .await?;
        let release =
            |row: &AnyRow| Ok((parsed(row.get("subject"))?, row.get("agency"), Release::of(row.get("release"))?));
        rows.iter().map(release).collect()
    }

    /// The agencies that a commission was matched against, and whether each had a set.
    pub async fn matched_against(&self, commission: CommissionId) -> ServerResult<Vec<(String, bool)>> {
        let rows = sqlx::query("SELECT agency, batch FROM matched_against WHERE commission = $1")
            .bind(commission.to_string())
            .fetch_all(&self.pool)
            .await?;
        Ok(rows.iter().map(|row| (row.get("agency"), row.get::<Option<String>, _>("batch").is_some())).collect())
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
        slot: row.get("slot"),
    })
}

/// Columns of `matches`.
const COLUMNS: usize = 9;

async fn insert(tx: &mut Tx, commission: &str, rows: &[MatchRow]) -> ServerResult<()> {
    let row = |number: usize| format!("({})", places(1 + COLUMNS * number, COLUMNS));
    let rows_of_places: Vec<String> = (0..rows.len()).map(row).collect();
    let insert = format!(
        "INSERT INTO matches (commission, subject, agency, record, place, band, release, until, slot) VALUES {}",
        rows_of_places.join(", ")
    );
    let mut query = sqlx::query(AssertSqlSafe(insert));
    for row in rows {
        query = query
            .bind(commission.to_owned())
            .bind(row.subject.to_string())
            .bind(row.agency.clone())
            .bind(row.record.to_string())
            .bind(i64::from(row.place))
            .bind(band_word(row.band))
            .bind(row.release.word())
            .bind(row.until.as_second())
            .bind(row.slot.clone());
    }
    query.execute(&mut **tx).await?;
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
