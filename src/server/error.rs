//! What went wrong inside the server, told apart from what the caller is told.

use hedui_protocol::problem::{Problem, ProblemKind};

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
            Self::Failed(message) => {
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

/// SQLite's code for a full disk.
const SQLITE_FULL: &str = "13";

impl From<sqlx::Error> for ServerError {
    fn from(error: sqlx::Error) -> Self {
        let full = error.as_database_error().and_then(|e| e.code()).is_some_and(|code| code == SQLITE_FULL);
        if full { Self::Full(error.to_string()) } else { Self::failed(error) }
    }
}

impl From<object_store::Error> for ServerError {
    fn from(error: object_store::Error) -> Self {
        let mut cause: &dyn std::error::Error = &error;
        loop {
            if let Some(io) = cause.downcast_ref::<std::io::Error>() {
                return std::io::Error::new(io.kind(), io.to_string()).into();
            }
            match cause.source() {
                Some(inner) => cause = inner,
                None => return Self::failed(error),
            }
        }
    }
}

/// A refusal, as an error.
pub fn refuse<T>(kind: ProblemKind, detail: impl Into<String>) -> ServerResult<T> {
    Err(Problem::new(kind, detail).into())
}
