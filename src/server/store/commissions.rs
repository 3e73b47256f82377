//! Commissions: filed once, matched once (standing ones again), withdrawn for good.

use hedui_protocol::ids::CommissionId;
use hedui_protocol::log::Event;
use hedui_protocol::messages::{CommissionProof, CommissionRequest, CommissionState, SubjectEncodings};
use hedui_protocol::sign::{Signature, Signed};
use hedui_protocol::ticket::Granted;
use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::erasing::TOGETHER;
use super::{JobKind, Store, Tx};
use crate::server::error::{ServerError, ServerResult};
use crate::server::shred::ShredKey;

/// A commission as it was filed.
pub struct Filed {
    pub office: String,
    pub state: CommissionState,
    /// Grows whenever there is something new to fetch.
    pub version: u64,
}

/// A commission to file.
pub struct Filing<'f> {
    pub ticket: &'f Granted,
    pub request: &'f CommissionRequest,
    /// Subjects that the office may ask about in 24 hours.
    pub quota: Option<u32>,
}

/// What filing came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FiledState {
    New,
    /// It was there already: a ticket that is sent again.
    Known,
    /// Nothing is kept of this epoch any more.
    Erased,
    /// The office has asked about so many people in 24 hours.
    OverQuota(u64),
}

const DAY: i64 = 86_400;

impl Store {
    /// Files a commission, and queues it if its encodings are there. Filing it again changes nothing.
    pub async fn file_commission(&self, filing: &Filing<'_>, now: Timestamp) -> ServerResult<FiledState> {
        let Filing { ticket: granted, request, quota } = filing;
        let (ticket, commission) = (granted.ticket(), granted.id().to_string());
        let subjects = ticket.subjects.len() as i64;
        let open = request.encodings.is_empty() && subjects > 0;
        let encodings = serde_json::to_vec(&request.encodings).expect("requests are JSON");
        let mut tx = self.write().await?;
        let erased = sqlx::query("SELECT manifest FROM project WHERE erased_at IS NOT NULL");
        if erased.fetch_optional(&mut *tx).await?.is_some() {
            return Ok(FiledState::Erased);
        }
        let filed = sqlx::query(
            "INSERT INTO commissions
                (commission, office, ticket, ticket_signature, encodings, state, filed_at, subjects, standing, expires_at, shred_key)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (commission) DO NOTHING",
        )
        .bind(&commission)
        .bind(&ticket.office)
        .bind(&request.ticket.bytes)
        .bind(String::from(request.ticket.signature))
        .bind(encodings)
        .bind(if open { "open" } else { "queued" })
        .bind(now.as_second())
        .bind(subjects)
        .bind(i64::from(ticket.standing))
        .bind(ticket.expires_at.as_second())
        .bind(ShredKey::fresh()?.bytes())
        .execute(&mut *tx)
        .await?
        .rows_affected();
        if filed == 0 {
            return Ok(FiledState::Known);
        }
        if let Some(quota) = quota {
            let asked = asked_since(&mut tx, &ticket.office, now.as_second() - DAY).await?;
            if asked > u64::from(*quota) {
                tx.rollback().await?;
                return Ok(FiledState::OverQuota(asked - subjects as u64));
            }
        }
        if !open {
            Self::queue(&mut tx, JobKind::Commission, &commission).await?;
        }
        Self::log(&mut tx, Event::filed(granted), now).await?;
        tx.commit().await?;
        Ok(FiledState::New)
    }

    /// Keeps a part of a large commission's encodings; the last one queues it. Sent again, it changes nothing.
    pub async fn put_encodings(
        &self,
        commission: CommissionId,
        part: u32,
        parts: u32,
        encodings: &[SubjectEncodings],
    ) -> ServerResult<()> {
        let id = commission.to_string();
        let mut tx = self.write().await?;
        let put = "INSERT INTO encodings (commission, part, encodings)
            SELECT commission, $2, $3 FROM commissions WHERE commission = $1 AND state = 'open'
            ON CONFLICT (commission, part) DO NOTHING";
        sqlx::query(put)
            .bind(&id)
            .bind(i64::from(part))
            .bind(serde_json::to_vec(encodings).expect("encodings are JSON"))
            .execute(&mut *tx)
            .await?;
        let here: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM encodings WHERE commission = $1")
            .bind(&id)
            .fetch_one(&mut *tx)
            .await?;
        if here == i64::from(parts) {
            let whole = "UPDATE commissions SET state = 'queued' WHERE commission = $1 AND state = 'open'";
            if sqlx::query(whole).bind(&id).execute(&mut *tx).await?.rows_affected() == 1 {
                Self::queue(&mut tx, JobKind::Sweep, &id).await?;
            }
        }
        tx.commit().await?;
        Ok(())
    }

    /// Which parts of a large commission's encodings are here.
    pub async fn encoding_parts(&self, commission: CommissionId) -> ServerResult<Vec<u32>> {
        let parts: Vec<i64> = sqlx::query_scalar("SELECT part FROM encodings WHERE commission = $1 ORDER BY part")
            .bind(commission.to_string())
            .fetch_all(&self.pool)
            .await?;
        parts.into_iter().map(|part| u32::try_from(part).map_err(ServerError::failed)).collect()
    }

    /// One of them.
    pub async fn encodings_of_part(&self, commission: CommissionId, part: u32) -> ServerResult<Vec<SubjectEncodings>> {
        let bytes: Vec<u8> = sqlx::query_scalar("SELECT encodings FROM encodings WHERE commission = $1 AND part = $2")
            .bind(commission.to_string())
            .bind(i64::from(part))
            .fetch_one(&self.pool)
            .await?;
        from_json(bytes)
    }

    pub async fn commission(&self, commission: CommissionId) -> ServerResult<Option<Filed>> {
        let row = sqlx::query("SELECT office, state, version FROM commissions WHERE commission = $1")
            .bind(commission.to_string())
            .fetch_optional(&self.pool)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let state = serde_json::Value::from(row.get::<&str, _>("state"));
        let state = serde_json::from_value(state).map_err(ServerError::failed)?;
        let version = u64::try_from(row.get::<i64, _>("version")).map_err(ServerError::failed)?;
        Ok(Some(Filed { office: row.get("office"), state, version }))
    }

    /// Standing commissions that ask an agency and have not ended.
    pub(super) async fn standing_at(tx: &mut Tx, agency: &str, now: Timestamp) -> ServerResult<Vec<String>> {
        let standing = sqlx::query_scalar(
            "SELECT c.commission FROM commissions c JOIN matched_against m ON m.commission = c.commission
             WHERE m.agency = $1 AND c.standing = 1 AND c.state = 'matched' AND c.expires_at > $2 ORDER BY c.filed_at",
        );
        Ok(standing.bind(agency).bind(now.as_second()).fetch_all(&mut **tx).await?)
    }

    /// Forgets what commissions that have ended were matched by, or were to be; some at a time, each once.
    pub async fn forget_ended(&self, now: Timestamp) -> ServerResult<()> {
        let ended =
            "SELECT commission FROM commissions WHERE ended = 0 AND expires_at > 0 AND expires_at <= $1 LIMIT $2";
        loop {
            let ended = sqlx::query_scalar::<_, String>(ended).bind(now.as_second()).bind(TOGETHER);
            let ended = ended.fetch_all(&self.pool).await?;
            if ended.is_empty() {
                return Ok(());
            }
            let mut tx = self.write().await?;
            for commission in &ended {
                let parts = sqlx::query("DELETE FROM encodings WHERE commission = $1").bind(commission);
                parts.execute(&mut *tx).await?;
                let own = "UPDATE commissions SET encodings = $2, ended = 1 WHERE commission = $1 AND ended = 0";
                sqlx::query(own).bind(commission).bind(super::matches::FORGOTTEN).execute(&mut *tx).await?;
            }
            tx.commit().await?;
        }
    }

    /// The ticket that a commission was filed with.
    pub async fn ticket(&self, commission: CommissionId) -> ServerResult<Signed> {
        let select = "SELECT ticket, ticket_signature FROM commissions WHERE commission = $1 AND state <> 'erased'";
        let row = sqlx::query(select).bind(commission.to_string()).fetch_optional(&self.pool).await?;
        let row = row.ok_or_else(|| ServerError::Failed(format!("commission {commission} was erased")))?;
        ticket_of(&row)
    }

    /// What the office signed of a commission; none where it is not held.
    pub async fn proof(&self, commission: CommissionId) -> ServerResult<Option<CommissionProof>> {
        let select =
            "SELECT ticket, ticket_signature, withdrawal FROM commissions WHERE commission = $1 AND state <> 'erased'";
        let row = sqlx::query(select).bind(commission.to_string()).fetch_optional(&self.pool).await?;
        let Some(row) = row else { return Ok(None) };
        let withdrawal = row.get::<Option<Vec<u8>>, _>("withdrawal").map(from_json).transpose()?;
        Ok(Some(CommissionProof { ticket: ticket_of(&row)?, withdrawal }))
    }

    /// What was sent to be matched.
    pub async fn commission_encodings(&self, commission: CommissionId) -> ServerResult<Vec<SubjectEncodings>> {
        let bytes: Vec<u8> = sqlx::query_scalar("SELECT encodings FROM commissions WHERE commission = $1")
            .bind(commission.to_string())
            .fetch_one(&self.pool)
            .await?;
        from_json(bytes)
    }

    /// Says in the log what goes out of a commission; none where it is not what it was at this version any more: taken back, erased,
    /// or with other answers.
    pub async fn release(&self, version: u64, event: Event, now: Timestamp) -> ServerResult<Option<u64>> {
        let commission = event.commission().expect("a release is of a commission").to_string();
        let mut tx = self.write().await?;
        let same = "SELECT version FROM commissions WHERE commission = $1 AND state = 'matched' AND version = $2";
        let same = sqlx::query(same).bind(commission).bind(i64::try_from(version).map_err(ServerError::failed)?);
        if same.fetch_optional(&mut *tx).await?.is_none() {
            return Ok(None);
        }
        let number = Self::log(&mut tx, event, now).await?;
        tx.commit().await?;
        Ok(Some(number))
    }

    /// Takes a commission back: what was found for it is forgotten, and nothing more goes out.
    pub async fn withdraw(
        &self,
        commission: CommissionId,
        office: &str,
        withdrawal: &Signed,
        now: Timestamp,
    ) -> ServerResult<()> {
        let id = commission.to_string();
        let mut tx = self.write().await?;
        let taken = "UPDATE commissions SET state = 'withdrawn', withdrawal = $2, encodings = $3, version = version + 1
            WHERE commission = $1 AND state NOT IN ('withdrawn', 'erased')";
        let taken = sqlx::query(taken)
            .bind(&id)
            .bind(serde_json::to_vec(withdrawal).expect("a withdrawal is JSON"))
            .bind(super::matches::FORGOTTEN)
            .execute(&mut *tx)
            .await?;
        if taken.rows_affected() == 1 {
            Self::log(&mut tx, Event::Withdrawn { office: office.to_owned(), commission }, now).await?;
        }
        for forget in [
            "DELETE FROM matches WHERE commission = $1",
            "DELETE FROM matched_against WHERE commission = $1",
            "DELETE FROM encodings WHERE commission = $1",
        ] {
            sqlx::query(forget).bind(&id).execute(&mut *tx).await?;
        }
        Self::cancel(&mut tx, JobKind::Commission, &id).await?;
        Self::cancel(&mut tx, JobKind::Sweep, &id).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Commissions by state, for the metrics.
    pub async fn commission_counts(&self) -> ServerResult<Vec<(String, i64)>> {
        let rows = sqlx::query("SELECT state, COUNT(*) AS n FROM commissions GROUP BY state ORDER BY state")
            .fetch_all(&self.pool)
            .await?;
        Ok(rows.iter().map(|row| (row.get("state"), row.get("n"))).collect())
    }
}

/// People whom an office has asked about since.
async fn asked_since(tx: &mut Tx, office: &str, since: i64) -> ServerResult<u64> {
    let asked =
        "SELECT CAST(COALESCE(SUM(subjects), 0) AS BIGINT) FROM commissions WHERE office = $1 AND filed_at > $2";
    let asked: i64 = sqlx::query_scalar(asked).bind(office).bind(since).fetch_one(&mut **tx).await?;
    u64::try_from(asked).map_err(ServerError::failed)
}

fn ticket_of(row: &AnyRow) -> ServerResult<Signed> {
    let signature = Signature::try_from(row.get::<String, _>("ticket_signature")).map_err(ServerError::failed)?;
    Ok(Signed { bytes: row.get("ticket"), signature })
}

fn from_json<T: serde::de::DeserializeOwned>(bytes: Vec<u8>) -> ServerResult<T> {
    serde_json::from_slice(&bytes).map_err(ServerError::failed)
}
