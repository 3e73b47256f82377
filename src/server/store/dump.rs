//! Everything that the database holds, row by row, in a form that either kind of database takes back.

use std::collections::BTreeMap;

use futures::TryStreamExt as _;
use hedui_protocol::messages::Blob;
use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Column as _, Executor as _, Row as _, TypeInfo as _, ValueRef as _};

use super::{Database, Store, Tx, newest};
use crate::failure::{Failure, Outcome};
use crate::server::error::{ServerError, ServerResult};

/// Every table, those that others refer to first.
pub(super) const TABLES: [&str; 14] = [
    "project",
    "workers",
    "acts",
    "epochs",
    "removals",
    "batches",
    "parts",
    "commissions",
    "encodings",
    "matched_against",
    "matches",
    "jobs",
    "log_entries",
    "log_hashes",
];

/// Stands for the manifest of a database that is being filled: no server goes on with it.
const RESTORING: &str = "restoring";

/// A row of a table; what is null is left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DumpedRow {
    pub table: String,
    pub row: BTreeMap<String, Value>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    Number(i64),
    Text(String),
    Bytes { base64: Blob },
}

/// What was erased after a backup was taken.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct StaysErased {
    /// What stays of commissions: so that their tickets are not taken again.
    #[serde(rename = "erased_commissions")]
    pub commissions: Vec<DumpedRow>,
    /// Since when nothing is kept of the epoch.
    pub erased_at: Option<i64>,
}

impl Store {
    /// Hands over every row as they all were at one moment, while others write.
    pub async fn dump(&self, mut each: impl FnMut(DumpedRow) -> ServerResult<()>) -> ServerResult<()> {
        let mut tx = match self.database {
            Database::Sqlite(_) => self.pool.begin().await?,
            Database::Postgres(_) => self.pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?,
        };
        for table in TABLES {
            let mut rows = sqlx::query(AssertSqlSafe(format!("SELECT * FROM {table}"))).fetch(&mut *tx);
            while let Some(row) = rows.try_next().await? {
                each(DumpedRow { table: table.to_owned(), row: values(&row)? })?;
            }
        }
        tx.rollback().await?;
        Ok(())
    }

    /// Opens a database with nothing in it, with the tables of the migrations up to `version`.
    pub async fn open_empty(database: &Database, version: i64) -> Outcome<Self> {
        if version > newest() {
            let known = newest();
            return Err(Failure::refused(format!("the backup is of version {version}, this program knows {known}")));
        }
        let store = Self::make(database, "restore").await?;
        store.prepare_empty(version).await.map_err(|why| {
            let why = Failure::from(why);
            Failure { message: format!("{database}: {}", why.message), ..why }
        })?;
        Ok(store)
    }

    async fn prepare_empty(&self, version: i64) -> ServerResult<()> {
        self.make_schema().await?;
        // what another version has made is no table of this one's migrations
        if !self.is_new().await? {
            self.holds_nothing().await?;
        }
        self.migrate(version).await
    }

    async fn holds_nothing(&self) -> ServerResult<()> {
        for table in TABLES {
            let row = sqlx::query(AssertSqlSafe(format!("SELECT * FROM {table} LIMIT 1")));
            match row.fetch_optional(&self.pool).await {
                Ok(None) => {}
                Ok(Some(_)) if self.is_restoring().await => {
                    return Err(ServerError::Failed(
                        "a restore was cut short here: begin again with an empty database and no parts".into(),
                    ));
                }
                Ok(Some(_)) => return Err(ServerError::Failed("the database is not empty".into())),
                // an earlier version had not all tables
                Err(sqlx::Error::Database(_)) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    /// Whether a restore has begun to fill it, and not ended.
    pub async fn is_restoring(&self) -> bool {
        let known = sqlx::query("SELECT manifest FROM project WHERE manifest = $1").bind(RESTORING);
        known.fetch_optional(&self.pool).await.is_ok_and(|row| row.is_some())
    }

    /// From now until it is filled, this empty database is nobody's.
    pub async fn begin_restoring(&self) -> ServerResult<()> {
        sqlx::query("INSERT INTO project (manifest) VALUES ($1)").bind(RESTORING).execute(&self.pool).await?;
        Ok(())
    }

    /// Fills an empty database and brings it up to date. Whose it is comes last: before that no server goes on with it.
    pub async fn fill(
        &self,
        rows: impl Iterator<Item = ServerResult<DumpedRow>>,
        erased: &StaysErased,
    ) -> ServerResult<()> {
        let (mut tx, mut project) = (self.write().await?, Vec::new());
        if !self.database.is_sqlite() {
            // nobody waits for it, and rows that stay away may take long to read
            tx.execute("SET LOCAL idle_in_transaction_session_timeout = 0").await?;
        }
        for row in rows {
            let row = row?;
            match row.table.as_str() {
                "project" => project.push(row),
                // none of them is here, so no receipt is to count it as away
                "workers" => {}
                _ => insert(&mut tx, row).await?,
            }
        }
        tx.commit().await?;
        // what was erased has the columns of now
        self.migrate(newest()).await?;
        let mut tx = self.write().await?;
        for row in &erased.commissions {
            // of before there were keys, it was put back as it was
            if let Some(Value::Text(id)) = row.row.get("commission") {
                Self::erase_commissions(&mut tx, &[id.parse().map_err(ServerError::failed)?]).await?;
            }
            insert(&mut tx, row.clone()).await?;
        }
        sqlx::query("DELETE FROM project").execute(&mut *tx).await?;
        for row in project {
            insert(&mut tx, row).await?;
        }
        if let Some(at) = erased.erased_at {
            let erased = "UPDATE project SET erased_at = $1 WHERE erased_at IS NULL";
            sqlx::query(erased).bind(at).execute(&mut *tx).await?;
        }
        // they were numbered by another cluster
        sqlx::query("UPDATE acts SET approved_tx = NULL").execute(&mut *tx).await?;
        sqlx::query("UPDATE project SET ended_tx = NULL").execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(())
    }
}

async fn insert(tx: &mut Tx, row: DumpedRow) -> ServerResult<()> {
    // names come from a file: only those of this program go into a statement
    let known = |name: &str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if !TABLES.contains(&row.table.as_str()) || !row.row.keys().all(|name| known(name)) {
        return Err(ServerError::Failed("a row of the backup is of no table of this program's".into()));
    }
    let names: Vec<&str> = row.row.keys().map(String::as_str).collect();
    let places = super::places(1, names.len());
    let insert = format!("INSERT INTO {} ({}) VALUES ({places}) ON CONFLICT DO NOTHING", row.table, names.join(", "));
    let mut query = sqlx::query(AssertSqlSafe(insert));
    for value in row.row.into_values() {
        query = match value {
            Value::Number(number) => query.bind(number),
            Value::Text(text) => query.bind(text),
            Value::Bytes { base64 } => query.bind(base64.0),
        };
    }
    query.execute(&mut **tx).await?;
    Ok(())
}

fn values(row: &AnyRow) -> ServerResult<BTreeMap<String, Value>> {
    let mut values = BTreeMap::new();
    for column in row.columns() {
        let at = column.ordinal();
        let raw = row.try_get_raw(at)?;
        if raw.is_null() {
            continue;
        }
        let value = match raw.type_info().name() {
            "BLOB" => Value::Bytes { base64: Blob(row.try_get(at)?) },
            "TEXT" => Value::Text(row.try_get(at)?),
            _ => Value::Number(row.try_get(at)?),
        };
        values.insert(column.name().to_owned(), value);
    }
    Ok(values)
}
