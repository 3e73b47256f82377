//! Connects to the database, and says why it cannot: whether the same would be answered again, and what to do then.

use std::fs::{OpenOptions, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::any::AnyPoolOptions;
use sqlx::error::DatabaseError;
use sqlx::{AnyConnection, AnyPool, Connection as _, Executor as _};

use super::Database;
use crate::failure::{Failure, Outcome, io_words};

/// Connections to the database; in SQLite all but one of them read.
const CONNECTIONS: u32 = 8;
/// How long a database may be away before a start or a request fails.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(200);

/// How SQLite is used: what was acknowledged survives a power cut, what was deleted is overwritten, and nothing is written beside
/// its files.
pub const SQLITE: &str = "PRAGMA busy_timeout = 30000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -16384; \
    PRAGMA secure_delete = ON; PRAGMA temp_store = MEMORY;";
/// How PostgreSQL is used: a server that is paused, or cannot be reached, while it has its turn to write loses it, and the others go on.
/// Nothing is compiled for a statement: each takes milliseconds, and a compiler seconds to be loaded. A table is read whole where nothing
/// else leads to its rows: a plan that was made while it was small is kept while it grows.
const POSTGRES: &str = "SET idle_in_transaction_session_timeout = '10s'; SET tcp_user_timeout = '30s'; \
    SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 2; SET jit = off; \
    SET enable_seqscan = off;";
/// How SQLite is looked at; a file that is none is noticed where it is read.
pub const SQLITE_LOOK: &str = "PRAGMA busy_timeout = 30000; PRAGMA schema_version;";

/// Connections by a URL, each of which begins with these settings where it is SQLite's.
pub async fn pool(database: &Database, url: &str, settings: &'static str) -> Outcome<AnyPool> {
    sqlx::any::install_default_drivers();
    let settings = if database.is_sqlite() { settings } else { POSTGRES };
    // a pool would wait, and say no more than that it has
    let mut first = connected(url).await.map_err(|why| failure(database, &why))?;
    first.execute(settings).await.map_err(|why| failure(database, &why))?;
    let _ = first.close().await;
    let options = AnyPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(PATIENCE);
    let options = options
        .after_connect(move |connection, _| Box::pin(async move { connection.execute(settings).await.map(drop) }));
    options.connect(url).await.map_err(|why| failure(database, &why))
}

/// One that is just starting is waited for.
async fn connected(url: &str) -> sqlx::Result<AnyConnection> {
    let since = Instant::now();
    loop {
        let connecting = tokio::time::timeout(PATIENCE, AnyConnection::connect(url));
        let connected = connecting.await.unwrap_or_else(|_| Err(sqlx::Error::Io(ErrorKind::TimedOut.into())));
        match connected {
            Err(why) if may_be_starting(&why) && since.elapsed() < PATIENCE => tokio::time::sleep(PAUSE).await,
            settled => return settled,
        }
    }
}

fn may_be_starting(why: &sqlx::Error) -> bool {
    match why {
        sqlx::Error::Io(why) => why.kind() == ErrorKind::ConnectionRefused,
        sqlx::Error::Database(why) => why.is_transient_in_connect_phase(),
        _ => false,
    }
}

/// SQLite's codes for what may pass: busy, locked, an error of the disk, a full one.
const PASSING: [i32; 4] = [5, 6, 10, 13];
/// SQLite's code for a file that is damaged.
const DAMAGED: i32 = 11;

/// What PostgreSQL answers to each who asks the same again, by the class of its code, and what helps.
const POSTGRES_FOR_GOOD: [(&str, &str); 2] = [
    (
        "28",
        "the password stands in ~/.pgpass, or in the file that PGPASSFILE names (mode 0600), as HOST:PORT:NAME:USER:PASSWORD",
    ),
    ("3D", "make it first, owned by the user: CREATE DATABASE NAME OWNER USER"),
];

/// SQLite's code without what is added to it.
fn code(why: &dyn DatabaseError) -> Option<i32> {
    why.code()?.parse::<i32>().ok().map(|code| code & 0xff)
}

pub fn is_of_damage(why: &dyn DatabaseError) -> bool {
    code(why) == Some(DAMAGED)
}

fn failure(database: &Database, why: &sqlx::Error) -> Failure {
    let told = match why {
        sqlx::Error::Io(why) => io_words(why),
        sqlx::Error::Database(why) => why.message().to_owned(),
        why => why.to_string(),
    };
    let told = format!("{database}: {told}");
    let answer = why.as_database_error();
    let hint = match database {
        Database::Sqlite(_) => {
            let for_good = answer.and_then(code).is_some_and(|code| !PASSING.contains(&code));
            for_good.then_some("name another folder, or put a backup back into an empty one: `hedui server restore`")
        }
        Database::Postgres(_) => {
            let code = answer.and_then(|why| why.code()).unwrap_or_default();
            POSTGRES_FOR_GOOD.iter().find(|(class, _)| code.starts_with(class)).map(|(_, hint)| *hint)
        }
    };
    match hint {
        Some(hint) => Failure::refused(told).hint(hint),
        None => Failure::try_again(told),
    }
}

/// A file that is not there yet is made; it and its journals are this user's alone, whatever the folder is.
pub fn keep_private(path: &Path) -> Outcome {
    let made = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    made.map_err(|e| Failure::file("write", path, &e))?;
    for file in [path.to_owned(), super::database::beside(path, "-wal"), super::database::beside(path, "-shm")] {
        match std::fs::set_permissions(&file, Permissions::from_mode(0o600)) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(Failure::file("write", &file, &e)),
            _ => {}
        }
    }
    Ok(())
}
