//! The version of a database: how a program brings it to its own, and when an earlier program may go on with a later one.

use sqlx::migrate::Migrator;
use sqlx::{Executor as _, Row as _};

use super::Store;
use crate::server::error::ServerResult;

static MIGRATIONS: Migrator = sqlx::migrate!("src/server/store/migrations");

/// So begins the name of a migration that only adds, `0007_adds_….sql`: the statements of earlier programs go on working, and
/// the database says so by that name. Any other is for programs that know it.
const ADDS: &str = "adds ";

/// The last migration that this program knows.
pub fn newest() -> i64 {
    MIGRATIONS.migrations.last().map_or(0, |migration| migration.version)
}

impl Store {
    /// Whether no program has made its tables yet.
    pub async fn is_new(&self) -> ServerResult<bool> {
        let catalog = match self.database.is_sqlite() {
            true => "SELECT COUNT(*) FROM sqlite_master WHERE name = '_sqlx_migrations'",
            false => "SELECT COUNT(to_regclass('_sqlx_migrations'))",
        };
        let tables: i64 = sqlx::query_scalar(catalog).fetch_one(&self.pool).await?;
        Ok(tables == 0)
    }

    /// The last migration that the database has had.
    pub async fn version(&self) -> ServerResult<i64> {
        Ok(sqlx::query_scalar("SELECT MAX(version) FROM _sqlx_migrations").fetch_one(&self.pool).await?)
    }

    /// Runs the migrations that the database has not had. It may have had later ones, of a later program.
    pub(super) async fn bring_up_to_date(&self) -> ServerResult<()> {
        self.run(Migrator { migrations: MIGRATIONS.migrations.clone(), ignore_missing: true, ..Migrator::DEFAULT })
            .await
    }

    /// Runs the migrations up to `version` that the database has not had.
    pub(super) async fn migrate(&self, version: i64) -> ServerResult<()> {
        let wanted = MIGRATIONS.migrations.iter().filter(|migration| migration.version <= version).cloned();
        self.run(Migrator { migrations: wanted.collect::<Vec<_>>().into(), ..Migrator::DEFAULT }).await
    }

    async fn run(&self, migrator: Migrator) -> ServerResult<()> {
        let mut connection = self.pool.acquire().await?;
        if self.database.is_sqlite() {
            return Ok(migrator.run_direct(None, &mut *connection, false).await.map_err(sqlx::Error::from)?);
        }
        // servers of the version before go on writing: none of them is in the midst of it, holding what is to be changed
        connection.execute(super::WRITE_TURN_OF_A_SESSION).await?;
        let done = migrator.run_direct(None, &mut *connection, false).await;
        connection.execute(super::END_OF_A_SESSIONS_TURN).await?;
        Ok(done.map_err(sqlx::Error::from)?)
    }

    /// The first migration of a later program with which this one cannot go on, if the database has had one.
    pub async fn beyond(&self) -> ServerResult<Option<i64>> {
        let later = "SELECT version, description FROM _sqlx_migrations WHERE version > $1 ORDER BY version";
        let later = sqlx::query(later).bind(newest()).fetch_all(&self.pool).await?;
        let unknown = later.iter().find(|row| !row.get::<&str, _>("description").starts_with(ADDS));
        Ok(unknown.map(|row| row.get("version")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What of a statement would disturb a program that does not know it.
    fn disturbs(statement: &str) -> Option<&'static str> {
        let words = format!(" {} ", statement.split_whitespace().collect::<Vec<_>>().join(" ").to_uppercase());
        let has = |what: &str| words.contains(what);
        let begins = |what: &str| words[1..].starts_with(what);
        if has(" REFERENCES ") && !has(" REFERENCES COMMISSIONS ") && !has(" ON DELETE CASCADE") {
            return Some("it refers to rows that an earlier program deletes: add ON DELETE CASCADE");
        }
        if begins("CREATE TABLE ") || begins("CREATE INDEX ") {
            return None;
        }
        if !begins("ALTER TABLE ") || !has(" ADD COLUMN ") {
            return Some("it does more than CREATE TABLE, CREATE INDEX and ADD COLUMN");
        }
        let filled = !has(" NOT NULL ") || has(" DEFAULT ");
        if !filled || has(" UNIQUE ") || has(" CHECK ") || has(" CHECK(") {
            return Some("an earlier program fills the column with nothing: let it be null, or give it a default");
        }
        None
    }

    fn statements(sql: &str) -> Vec<String> {
        let lines = sql.lines().map(|line| line.split("--").next().unwrap());
        let text = lines.collect::<Vec<_>>().join("\n");
        text.split(';').map(str::trim).filter(|statement| !statement.is_empty()).map(str::to_owned).collect()
    }

    /// From here on programs one version apart share a database: `docs/OPERATING.md`, "Upgrades".
    const ADDING: i64 = 4;
    /// From here on a migration says so by its name.
    const SAYING_SO: i64 = 6;

    #[test]
    fn a_migration_only_adds_and_says_so() {
        let mut looked_at = 0;
        for migration in MIGRATIONS.migrations.iter().filter(|migration| migration.version >= ADDING) {
            for statement in statements(migration.sql.as_str()) {
                let number = migration.version;
                assert_eq!(disturbs(&statement), None, "migration {number}: {statement}");
                looked_at += 1;
            }
            let says_so = migration.version < SAYING_SO || migration.description.starts_with(ADDS);
            assert!(
                says_so,
                "migration {} only adds: name its file `{:04}_adds_….sql`",
                migration.version, migration.version
            );
        }
        assert!(looked_at >= 8, "{looked_at} statements were looked at");
    }

    #[test]
    fn what_would_disturb_an_earlier_program_is_named() {
        for fine in [
            "CREATE TABLE notes (id TEXT PRIMARY KEY, text TEXT NOT NULL)",
            "CREATE TABLE notes (batch TEXT NOT NULL REFERENCES batches (batch) ON DELETE CASCADE)",
            "CREATE INDEX notes_of ON notes (id)",
            "ALTER TABLE jobs ADD COLUMN note TEXT",
            "ALTER TABLE jobs ADD COLUMN notes BIGINT\n NOT NULL DEFAULT 0",
        ] {
            assert_eq!(disturbs(fine), None, "{fine}");
        }
        for wrong in [
            "DROP TABLE jobs",
            "ALTER TABLE jobs DROP COLUMN holder",
            "ALTER TABLE jobs RENAME COLUMN holder TO owner",
            "ALTER TABLE jobs RENAME TO work",
            "ALTER TABLE jobs ALTER COLUMN place TYPE TEXT",
            "ALTER TABLE jobs ADD COLUMN notes BIGINT NOT NULL",
            "ALTER TABLE jobs ADD COLUMN note TEXT UNIQUE",
            "ALTER TABLE jobs ADD CONSTRAINT short CHECK (attempts < 9)",
            "CREATE UNIQUE INDEX one ON jobs (target)",
            "CREATE TABLE notes (batch TEXT NOT NULL REFERENCES batches (batch))",
            "UPDATE jobs SET state = 'queued' WHERE state = 'waiting'",
            "DELETE FROM jobs",
        ] {
            assert!(disturbs(wrong).is_some(), "{wrong}");
        }
        assert_eq!(statements("-- a; comment\nCREATE TABLE a (b TEXT); -- more\n\nDROP TABLE a;\n").len(), 2);
    }
}
