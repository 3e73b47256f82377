//! Terms: what has served its own ends, with an entry of the log, and once nothing is left of it the log says that too.

use hedui_protocol::acts::{DataClass, Ended, Retention, RetentionStatus};
use hedui_protocol::log::Event;
use hedui_protocol::ticket::Ticket;
use jiff::Timestamp;
use sqlx::Row as _;

use super::Store;
use super::acts::{AWAY, Erasure, days, erasure, number};
use super::erasing::TOGETHER;
use crate::server::error::{ServerError, ServerResult};

impl Store {
    /// Ends what has served its term, some of each class at a time; what ended.
    pub async fn expire(&self, now: Timestamp) -> ServerResult<Vec<Ended>> {
        let mut all = Vec::new();
        for class in [
            DataClass::OpenBatches,
            DataClass::ReplacedBatches,
            DataClass::Answers,
            DataClass::Tickets,
            DataClass::Epoch,
        ] {
            all.extend(self.expire_class(class, now).await?);
        }
        Ok(all)
    }

    async fn expire_class(&self, class: DataClass, now: Timestamp) -> ServerResult<Option<Ended>> {
        let select = over(class);
        let until = |retention: &Retention| Some((now - days(term(retention, class)?)).as_second());
        let Some(ends) = until(&self.retention().await?) else { return Ok(None) };
        // most of the time there is nothing, and nobody has to wait for a turn to write
        if sqlx::query(select).bind(ends).bind(1i64).fetch_optional(&self.pool).await?.is_none() {
            return Ok(None);
        }
        let mut tx = self.write().await?;
        // as it is by now: operators may have made the term longer
        let Some(ends) = until(&Self::retention_now(&mut tx).await?) else { return Ok(None) };
        let rows = sqlx::query(select).bind(ends).bind(TOGETHER).fetch_all(&mut *tx).await?;
        if rows.is_empty() {
            return Ok(None);
        }
        let mut ended = Ended { class, batches: Vec::new(), commissions: Vec::new() };
        for row in &rows {
            match class {
                DataClass::OpenBatches | DataClass::ReplacedBatches => {
                    ended.batches.push(row.get::<&str, _>("batch").parse().map_err(ServerError::failed)?);
                    match class {
                        DataClass::OpenBatches => Self::remove_batch(&mut tx, row, None).await?,
                        // its header proves what was committed
                        _ => Self::remove_files(&mut tx, row, None).await?,
                    }
                }
                DataClass::Answers => {
                    let id: &str = row.get("commission");
                    // of one that was taken back there are none
                    if Self::forget_answers(&mut tx, id).await?.is_some() {
                        ended.commissions.push(id.parse().map_err(ServerError::failed)?);
                    }
                    let over = sqlx::query("UPDATE commissions SET ended = 2 WHERE commission = $1 AND ended < 2");
                    over.bind(id).execute(&mut *tx).await?;
                }
                DataClass::Tickets => {
                    ended.commissions.push(row.get::<&str, _>("commission").parse().map_err(ServerError::failed)?);
                }
                DataClass::Epoch => {}
            }
        }
        match class {
            DataClass::Tickets => drop(Self::erase_commissions(&mut tx, &ended.commissions).await?),
            DataClass::Epoch => drop(Self::erase_project(&mut tx, None, now).await?),
            _ => {}
        }
        if class == DataClass::Answers && ended.commissions.is_empty() {
            tx.commit().await?;
            return Ok(None);
        }
        let backups_until = Self::backups_until(&mut tx, now).await?;
        let entry = Self::log(&mut tx, Event::Expired { ended: ended.clone(), backups_until }, now).await?;
        let tx_number = self.number_of(&mut tx).await?;
        let ended_by = sqlx::query("UPDATE project SET ended = $1, ended_tx = $2").bind(number(entry)?).bind(tx_number);
        ended_by.execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(Some(ended))
    }

    /// When commissions end that were filed before their ends stood in a column of their own; and from when on sets are counted
    /// as replaced of which that was not noted.
    pub async fn know_the_ends(&self, now: Timestamp) -> ServerResult<()> {
        let old = "SELECT commission, ticket FROM commissions WHERE expires_at = 0 AND state <> 'erased' LIMIT $1";
        for row in sqlx::query(old).bind(TOGETHER).fetch_all(&self.pool).await? {
            // one that does not read ends with its epoch
            let ticket = serde_json::from_slice::<Ticket>(&row.get::<Vec<u8>, _>("ticket"));
            let end = ticket.map_or(-1, |ticket| ticket.expires_at.as_second());
            sqlx::query("UPDATE commissions SET expires_at = $2 WHERE commission = $1")
                .bind(row.get::<String, _>("commission"))
                .bind(end)
                .execute(&self.pool)
                .await?;
        }
        let replaced = "UPDATE batches SET ended_at = $1 WHERE state IN ('replaced', 'refused') AND ended_at IS NULL";
        sqlx::query(replaced).bind(now.as_second()).execute(&self.pool).await?;
        Ok(())
    }

    /// How long data is kept, and how far what has ended is gone.
    pub async fn retention_status(&self) -> ServerResult<RetentionStatus> {
        let row = sqlx::query("SELECT ended, gone FROM project").fetch_optional(&self.pool).await?;
        let entry = |name: &str| {
            let entry = row.as_ref().and_then(|row| row.get::<Option<i64>, _>(name));
            entry.map(|entry| u64::try_from(entry).map_err(ServerError::failed)).transpose()
        };
        Ok(RetentionStatus { ended: entry("ended")?, gone: entry("gone")?, retention: self.retention().await? })
    }

    /// The newest entry about what ended, if of all that ended so far no file is left, where the parts are and at every worker that
    /// is there.
    pub async fn ended_to_finish(&self, now: Timestamp) -> ServerResult<Option<Erasure>> {
        let ended = "SELECT ended AS number, ended AS entry, ended_tx AS tx FROM project
            WHERE ended IS NOT NULL AND (gone IS NULL OR gone < ended)
            AND NOT EXISTS (SELECT 1 FROM removals WHERE act IS NULL)
            AND NOT EXISTS (SELECT 1 FROM workers w WHERE w.seen_at > $1 AND w.seen_at <= $2 AND w.followed <= ended)";
        let row = sqlx::query(ended)
            .bind(now.as_second() - AWAY)
            .bind(now.as_second() + AWAY)
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(erasure).transpose()
    }

    /// Says in the log that nothing is left of what had ended by this entry, once.
    pub async fn finish_ended(&self, ended: Erasure, now: Timestamp) -> ServerResult<()> {
        let through = ended.entry;
        let mut tx = self.write().await?;
        let gone = sqlx::query("UPDATE project SET gone = $1 WHERE gone IS NULL OR gone < $1").bind(number(through)?);
        if gone.execute(&mut *tx).await?.rows_affected() == 1 {
            let away = Self::away(&mut tx, through, now).await?;
            let backups_until = Self::backups_until(&mut tx, now).await?;
            Self::log(&mut tx, Event::Gone { through, away, backups_until }, now).await?;
        }
        tx.commit().await?;
        Ok(())
    }
}

/// Days that what is of this class is kept; none where it has no term.
fn term(retention: &Retention, class: DataClass) -> Option<u16> {
    match class {
        DataClass::OpenBatches => Some(retention.open_batches),
        DataClass::ReplacedBatches => Some(retention.replaced_batches),
        DataClass::Answers => Some(retention.answers),
        DataClass::Tickets => Some(retention.tickets),
        DataClass::Epoch => retention.epoch,
    }
}

/// What of a class has ended before `$1`, no more than `$2` of it.
fn over(class: DataClass) -> &'static str {
    match class {
        DataClass::OpenBatches => {
            "SELECT batch, header, tag FROM batches WHERE state = 'open' AND created_at <= $1 ORDER BY batch LIMIT $2"
        }
        DataClass::ReplacedBatches => {
            "SELECT batch, header, tag FROM batches b WHERE state IN ('replaced', 'refused') AND ended_at <= $1
             AND (shred_key IS NOT NULL OR EXISTS (SELECT 1 FROM parts p WHERE p.batch = b.batch)) ORDER BY batch LIMIT $2"
        }
        DataClass::Answers => {
            "SELECT commission FROM commissions WHERE ended IN (0, 1) AND expires_at > 0 AND expires_at <= $1
             ORDER BY commission LIMIT $2"
        }
        DataClass::Tickets => {
            "SELECT commission FROM commissions WHERE ended IN (0, 1, 2) AND state <> 'erased'
             AND expires_at > 0 AND expires_at <= $1 ORDER BY commission LIMIT $2"
        }
        DataClass::Epoch => {
            "SELECT manifest FROM epochs WHERE served_at <= $1
             AND (SELECT erased_at FROM project) IS NULL ORDER BY manifest LIMIT $2"
        }
    }
}
