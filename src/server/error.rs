//! What went wrong inside the server, told apart from what the caller is told.

use hedui_protocol::problem::{Problem, ProblemKind};

use crate::failure::Failure;

#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// A refusal: the caller hears its sentence.
    #[error("{}", .0.detail)]
    Refused(Problem),
    /// A failure: the log hears the message, the caller that there was one.
    #[error("{0}")]
    Failed(String),
    #[error("the disk is full: {0}")]
    Full(String),
    /// The same failure, of a database that cannot be reached now.
    #[error("{0}")]
    Away(String),
}

pub type ServerResult<T> = Result<T, ServerError>;

impl ServerError {
    pub fn failed(message: impl std::fmt::Display) -> Self {
        Self::Failed(message.to_string())
    }

    /// What the caller is told. Logs what the caller is not.
    pub fn into_problem(self) -> Problem {
        match self {
            Self::Refused(problem) => problem,
            Self::Failed(message) | Self::Away(message) => {
                tracing::error!("A request failed: {message}");
                Problem::new(ProblemKind::Internal, "the server failed; the same request may be sent again")
            }
            Self::Full(message) => {
                tracing::error!("The disk is full: {message}");
                Problem::new(ProblemKind::StorageFull, "the server's disk is full; nothing was stored")
            }
        }
    }
}

impl From<Problem> for ServerError {
    fn from(problem: Problem) -> Self {
        Self::Refused(problem)
    }
}

impl From<std::io::Error> for ServerError {
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        match error.kind() {
            StorageFull | QuotaExceeded | FileTooLarge => Self::Full(error.to_string()),
            _ => Self::failed(error),
        }
    }
}

/// Codes for a full disk: SQLite's and PostgreSQL's.
const FULL: [&str; 2] = ["13", "53100"];

/// PostgreSQL's codes for a database that ends, starts, has too many connections, or has lost this one; they have five letters, SQLite's
/// fewer.
const AWAY: [&str; 5] = ["57P01", "57P02", "57P03", "53300", "08"];

impl From<sqlx::Error> for ServerError {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(|e| e.code()).unwrap_or_default().into_owned();
        match error {
            _ if FULL.contains(&code.as_str()) => Self::Full(error.to_string()),
            _ if AWAY.iter().any(|away| code.starts_with(away)) => Self::Away(format!("the database: {error}")),
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => {
                Self::Away(format!("the database: {error}"))
            }
            error => Self::Failed(format!("the database: {error}")),
        }
    }
}

/// What an operator's command says of it.
impl From<ServerError> for Failure {
    fn from(error: ServerError) -> Self {
        match error {
            ServerError::Full(_) => {
                Self::try_again(error).hint("free some space and run the same command again; nothing was lost")
            }
            ServerError::Away(_) => Self::try_again(error).hint("run the same command again when it answers"),
            error => Self::refused(error),
        }
    }
}

impl From<object_store::Error> for ServerError {
    fn from(error: object_store::Error) -> Self {
        let causes = || std::iter::successors(Some(&error as &dyn std::error::Error), |cause| cause.source());
        let (told, innermost) = (error.to_string(), causes().last().map(ToString::to_string).unwrap_or_default());
        // which request it was, and what became of it
        let told = if told.contains(&innermost) { told } else { format!("{told}: {innermost}") };
        match causes().find_map(|cause| cause.downcast_ref::<std::io::Error>()) {
            Some(io) => std::io::Error::new(io.kind(), told).into(),
            None => Self::Failed(told),
        }
    }
}

/// A refusal, as an error.
pub fn refuse<T>(kind: ProblemKind, detail: impl Into<String>) -> ServerResult<T> {
    Err(Problem::new(kind, detail).into())
}
