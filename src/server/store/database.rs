//! Which database: a file, or a PostgreSQL by its URL.

use std::fmt;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use hedui_protocol::ids::ManifestId;
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use url::Url;

/// The folder of the epochs that came after, beside the first one's files.
pub const EPOCHS: &str = "epochs";
/// How sqlx is told of a schema.
const SCHEMA: &str = "options[search_path]";

/// Where the control plane is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Database {
    Sqlite(PathBuf),
    Postgres(Url),
}

impl Database {
    pub fn is_sqlite(&self) -> bool {
        matches!(self, Self::Sqlite(_))
    }

    /// Where the epoch of this manifest is, which came after the one that is here: a file in a folder of its own, or tables in
    /// a schema of their own.
    pub fn of_epoch(&self, manifest: ManifestId) -> Self {
        match self {
            Self::Sqlite(path) => {
                let name = path.file_name().expect("a database's path ends in its name");
                Self::Sqlite(path.with_file_name(EPOCHS).join(manifest.to_string()).join(name))
            }
            Self::Postgres(url) => {
                let mut url = url.clone();
                let schema = format!("epoch_{:.16}", manifest.to_string());
                url.query_pairs_mut().append_pair(SCHEMA, &schema);
                Self::Postgres(url)
            }
        }
    }

    /// The schema that the tables are in, where it is not everybody's.
    pub(super) fn schema(&self) -> Option<String> {
        let Self::Postgres(url) = self else { return None };
        url.query_pairs().filter(|(key, _)| key == SCHEMA).last().map(|(_, schema)| schema.into_owned())
    }

    /// As sqlx wants it.
    pub(super) fn url(&self) -> String {
        self.opened("rw")
    }

    /// As sqlx wants it for one who only looks. Where there is no journal, none is made.
    pub(super) fn url_to_look(&self) -> String {
        match self {
            Self::Sqlite(path) if !beside(path, "-wal").exists() => self.opened("ro&immutable=1"),
            _ => self.opened("ro"),
        }
    }

    fn opened(&self, mode: &str) -> String {
        match self {
            Self::Sqlite(path) => {
                format!("sqlite://{}?mode={mode}", percent_encode(path.as_os_str().as_bytes(), NON_ALPHANUMERIC))
            }
            Self::Postgres(url) => url.to_string(),
        }
    }
}

/// What SQLite keeps beside a database, by its ending.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// A PostgreSQL. Its URL stands on a command line: a password in it would be everybody's.
impl FromStr for Database {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = "not a database: `postgres://USER@HOST/NAME`, and without one a file in the server's folder";
        let url = Url::parse(text).map_err(|_| wrong.to_owned())?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err(wrong.to_owned());
        }
        let parameter =
            |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        if url.password().is_some() || parameter("password").is_some() {
            return Err(
                "a password does not belong on a command line: put it into ~/.pgpass, or PGPASSFILE names the file"
                    .into(),
            );
        }
        let host =
            parameter("host").or_else(|| url.host_str().map(|host| host.replace("%2F", "/"))).unwrap_or_default();
        let loopback = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        let local = host.is_empty() || host == "localhost" || host.starts_with('/') || loopback;
        let mode = parameter("sslmode");
        if !local && !matches!(mode.as_deref(), Some("verify-full" | "verify-ca")) {
            return Err("over a network the database is spoken to by TLS alone: add `?sslmode=verify-full` (and `&sslrootcert=FILE` \
                        for an authority of your own)".into());
        }
        Ok(Self::Postgres(url))
    }
}

/// Without a user's name.
impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "SQLite in {}", path.display()),
            Self::Postgres(url) => write!(f, "PostgreSQL at {}", url.host_str().unwrap_or("this machine")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_on_the_command_line_and_plain_text_over_a_network_are_refused() {
        let refused = |text: &str, words: &str| {
            let why = text.parse::<Database>().unwrap_err();
            assert!(why.contains(words), "{text}: {why}");
        };
        refused("hedui.sqlite", "not a database");
        refused("mysql://localhost/hedui", "not a database");
        refused("postgres://hedui:hunter2@localhost/hedui", "a password");
        refused("postgres://hedui@localhost/hedui?password=hunter2", "a password");
        refused("postgres://hedui@db.example/hedui", "TLS alone");
        refused("postgres://hedui@localhost/hedui?host=10.0.0.7", "TLS alone");
        refused("postgres://hedui@10.0.0.7/hedui?sslmode=require", "TLS alone");
        for fine in [
            "postgres://hedui@localhost/hedui",
            "postgresql://hedui@127.0.0.1:5433/hedui",
            "postgres://hedui@[::1]/hedui",
            "postgres:///hedui?host=/run/postgresql",
            "postgres://hedui@%2Frun%2Fpostgresql/hedui",
            "postgres://hedui@db.example/hedui?sslmode=verify-full&sslrootcert=ca.pem",
        ] {
            let parsed = fine.parse::<Database>().unwrap();
            assert!(!parsed.to_string().contains("hedui@"), "{parsed}");
        }
    }

    #[test]
    fn a_path_of_any_letters_is_one_file() {
        let url = Database::Sqlite(PathBuf::from("/var/核对 ?#%/x.sqlite")).url();
        assert!(url.starts_with("sqlite://%2Fvar%2F") && url.ends_with("%2Fx%2Esqlite?mode=rw"), "{url}");
    }
}
