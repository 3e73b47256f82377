//! Commissions: filed once, matched once, withdrawn for good.

use hedui_protocol::ids::CommissionId;
use hedui_protocol::log::Event;
use hedui_protocol::messages::{CommissionProof, CommissionRequest, CommissionState, SubjectEncodings};
use hedui_protocol::sign::{Signature, Signed};
use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{JobKind, Store};
use crate::server::error::{ServerError, ServerResult};

/// A commission as it was filed.
pub struct Filed {
    pub commission: CommissionId,
    pub office: String,
    pub state: CommissionState,
}

/// What filing came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FiledState {
    New,
    /// It was there already: a ticket that is sent again.
    Known,
}

impl Store {
    /// Files a commission and queues it; `event` tells the log. Filing it again changes nothing.
    pub async fn file_commission(
        &self,
        commission: CommissionId,
        office: &str,
        request: &CommissionRequest,
        event: Event,
        now: Timestamp,
    ) -> ServerResult<FiledState> {
        let encodings = serde_json::to_vec(&request.encodings).expect("requests are JSON");
        let mut tx = self.write().await?;
        let filed = sqlx::query(
            "INSERT INTO commissions (commission, office, ticket, ticket_signature, encodings, state, filed_at)
             VALUES ($1, $2, $3, $4, $5, 'queued', $6) ON CONFLICT (commission) DO NOTHING",
        )
        .bind(commission.to_string())
        .bind(office)
        .bind(&request.ticket.bytes)
        .bind(String::from(request.ticket.signature))
        .bind(encodings)
        .bind(now.as_second())
        .execute(&mut *tx)
        .await?
        .rows_affected();
        if filed == 1 {
            Self::queue(&mut tx, JobKind::Commission, &commission.to_string()).await?;
            Self::log(&mut tx, event, now).await?;
        }
        tx.commit().await?;
        Ok(if filed == 1 { FiledState::New } else { FiledState::Known })
    }

    pub async fn commission(&self, commission: CommissionId) -> ServerResult<Option<Filed>> {
        let row = sqlx::query("SELECT office, state FROM commissions WHERE commission = $1")
            .bind(commission.to_string())
            .fetch_optional(&self.pool)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let state = serde_json::Value::from(row.get::<&str, _>("state"));
        let state = serde_json::from_value(state).map_err(ServerError::failed)?;
        Ok(Some(Filed { commission, office: row.get("office"), state }))
    }

    /// The ticket that a commission was filed with.
    pub async fn ticket(&self, commission: CommissionId) -> ServerResult<Signed> {
        let row = sqlx::query("SELECT ticket, ticket_signature FROM commissions WHERE commission = $1")
            .bind(commission.to_string())
            .fetch_one(&self.pool)
            .await?;
        ticket_of(&row)
    }

    /// What the office signed of a commission; none where it is not held.
    pub async fn proof(&self, commission: CommissionId) -> ServerResult<Option<CommissionProof>> {
        let row = sqlx::query("SELECT ticket, ticket_signature, withdrawal FROM commissions WHERE commission = $1")
            .bind(commission.to_string())
            .fetch_optional(&self.pool)
            .await?;
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
        let taken = "UPDATE commissions SET state = 'withdrawn', withdrawal = $2, encodings = $3
            WHERE commission = $1 AND state <> 'withdrawn'";
        let taken = sqlx::query(taken)
            .bind(&id)
            .bind(serde_json::to_vec(withdrawal).expect("a withdrawal is JSON"))
            .bind(super::matches::FORGOTTEN)
            .execute(&mut *tx)
            .await?;
        if taken.rows_affected() == 1 {
            Self::log(&mut tx, Event::Withdrawn { office: office.to_owned(), commission }, now).await?;
        }
        for forget in ["DELETE FROM matches WHERE commission = $1", "DELETE FROM matched_against WHERE commission = $1"]
        {
            sqlx::query(forget).bind(&id).execute(&mut *tx).await?;
        }
        Self::cancel(&mut tx, JobKind::Commission, &id).await?;
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

fn ticket_of(row: &AnyRow) -> ServerResult<Signed> {
    let signature = Signature::try_from(row.get::<String, _>("ticket_signature")).map_err(ServerError::failed)?;
    Ok(Signed { bytes: row.get("ticket"), signature })
}

fn from_json<T: serde::de::DeserializeOwned>(bytes: Vec<u8>) -> ServerResult<T> {
    serde_json::from_slice(&bytes).map_err(ServerError::failed)
}
