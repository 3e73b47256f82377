//! What was found for a commission, and what has been answered. Bands only: a score is never stored.

use hedui_protocol::decision::Band;
use hedui_protocol::ids::{BatchId, CommissionId, RecordId, SubjectId};
use hedui_protocol::sign::Signed;
use sqlx::{QueryBuilder, Row as _, Sqlite};

use super::{JobKind, Store};
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
    pub ticket: Signed,
    pub subject: SubjectId,
    pub record: RecordId,
    pub band: Band,
}

/// What storing an answer came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    Now,
    /// The same answer was there.
    Before,
    /// No match of this agency waits for it, or another answer was given.
    Refused,
}

/// Rows of one INSERT: SQLite takes 32,766 bound values.
const ROWS: usize = 1000;

impl Store {
    /// Stores what commissions came to; one that was withdrawn meanwhile keeps nothing.
    pub async fn store_outcomes(&self, outcomes: &[Outcome]) -> ServerResult<()> {
        let mut tx = self.write().await?;
        for Outcome { commission, against, matches } in outcomes {
            let id = commission.to_string();
            let matched =
                sqlx::query("UPDATE commissions SET state = 'matched' WHERE commission = $1 AND state = 'queued'")
                    .bind(&id)
                    .execute(&mut *tx)
                    .await?
                    .rows_affected();
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
                    insert(&id, rows).build().execute(&mut *tx).await?;
                }
            }
            Self::done(&mut tx, JobKind::Commission, &id).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// All matches of a commission, by subject and agency, the surest first.
    pub async fn matches(&self, commission: CommissionId) -> ServerResult<Vec<MatchRow>> {
        let rows = sqlx::query(
            "SELECT subject, agency, record, place, band, release, slot FROM matches
             WHERE commission = $1 ORDER BY subject, agency, place",
        )
        .bind(commission.to_string())
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(MatchRow {
                    subject: parsed(row.get("subject"))?,
                    agency: row.get("agency"),
                    record: parsed(row.get("record"))?,
                    place: u32::try_from(row.get::<i64, _>("place")).map_err(ServerError::failed)?,
                    band: band_of(row.get("band"))?,
                    release: Release::of(row.get("release"))?,
                    slot: row.get("slot"),
                })
            })
            .collect()
    }

    /// The agencies that a commission was matched against, and whether each had a set.
    pub async fn matched_against(&self, commission: CommissionId) -> ServerResult<Vec<(String, bool)>> {
        let rows = sqlx::query("SELECT agency, batch FROM matched_against WHERE commission = $1")
            .bind(commission.to_string())
            .fetch_all(&self.pool)
            .await?;
        Ok(rows.iter().map(|row| (row.get("agency"), row.get::<Option<String>, _>("batch").is_some())).collect())
    }

    /// Matches that wait for this agency, commission by commission.
    pub async fn pending(&self, agency: &str, most: i64) -> ServerResult<Vec<Pending>> {
        let rows = sqlx::query(
            "SELECT m.commission, m.subject, m.record, m.band, c.ticket
             FROM matches m JOIN commissions c ON c.commission = m.commission
             WHERE m.agency = $1 AND m.release = 'pending' AND c.state = 'matched'
             ORDER BY c.filed_at, m.commission, m.subject, m.place LIMIT $2",
        )
        .bind(agency)
        .bind(most)
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(Pending {
                    commission: parsed(row.get("commission"))?,
                    ticket: serde_json::from_slice(row.get::<&[u8], _>("ticket")).map_err(ServerError::failed)?,
                    subject: parsed(row.get("subject"))?,
                    record: parsed(row.get("record"))?,
                    band: band_of(row.get("band"))?,
                })
            })
            .collect()
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

    /// Stores answers of one agency in one transaction: all, or (after a failure) none.
    ///
    /// `answers`: commission, subject, record, release, slot.
    pub async fn store_answers(
        &self,
        agency: &str,
        answers: &[(CommissionId, SubjectId, RecordId, Release, Vec<u8>)],
    ) -> ServerResult<Vec<Stored>> {
        let mut tx = self.write().await?;
        let mut stored = Vec::with_capacity(answers.len());
        for (commission, subject, record, release, slot) in answers {
            let key = [commission.to_string(), subject.to_string(), agency.to_owned(), record.to_string()];
            let [commission, subject, agency, record] = &key;
            let updated = sqlx::query(
                "UPDATE matches SET release = $5, slot = $6
                 WHERE commission = $1 AND subject = $2 AND agency = $3 AND record = $4 AND release = 'pending'",
            )
            .bind(commission)
            .bind(subject)
            .bind(agency)
            .bind(record)
            .bind(release.word())
            .bind(slot)
            .execute(&mut *tx)
            .await?
            .rows_affected();
            if updated == 1 {
                stored.push(Stored::Now);
                continue;
            }
            let before: Option<Vec<u8>> = sqlx::query_scalar(
                "SELECT slot FROM matches WHERE commission = $1 AND subject = $2 AND agency = $3 AND record = $4",
            )
            .bind(commission)
            .bind(subject)
            .bind(agency)
            .bind(record)
            .fetch_optional(&mut *tx)
            .await?;
            stored.push(if before.as_ref() == Some(slot) { Stored::Before } else { Stored::Refused });
        }
        tx.commit().await?;
        Ok(stored)
    }
}

fn insert<'r>(commission: &'r str, rows: &'r [MatchRow]) -> QueryBuilder<Sqlite> {
    let mut query =
        QueryBuilder::new("INSERT INTO matches (commission, subject, agency, record, place, band, release, slot) ");
    query.push_values(rows, |mut values, row| {
        values
            .push_bind(commission.to_owned())
            .push_bind(row.subject.to_string())
            .push_bind(row.agency.clone())
            .push_bind(row.record.to_string())
            .push_bind(i64::from(row.place))
            .push_bind(band_word(row.band))
            .push_bind(row.release.word())
            .push_bind(row.slot.clone());
    });
    query
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
