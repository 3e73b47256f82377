//! What a command says when it fails: where, why, what to do, and which exit code.

use std::fmt::Display;
use std::process::ExitCode;

use hedui_protocol::problem::ProblemKind;

/// The whole exit contract; the README has it as a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The input, a key or another party refuses; sending the same again will not help.
    Refused,
    /// The command line is wrong.
    Usage,
    /// The other side is down, slow or full; the same command goes on where it stopped.
    TryAgain,
    /// Interrupted by the user; nothing half-written was left behind.
    Interrupted,
}

impl Exit {
    pub fn code(self) -> u8 {
        match self {
            Self::Refused => 1,
            Self::Usage => 2,
            Self::TryAgain => 75,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// An error that a person reads. Its texts name places and rules, never a personal value or a secret.
#[derive(Debug)]
pub struct Failure {
    pub exit: Exit,
    pub message: String,
    pub hint: Option<String>,
    /// What kind of refusal the server answered with, where it was the server's.
    pub problem: Option<ProblemKind>,
}

pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    pub fn refused(message: impl Display) -> Self {
        Self { exit: Exit::Refused, message: message.to_string(), hint: None, problem: None }
    }

    pub fn usage(message: impl Display) -> Self {
        Self { exit: Exit::Usage, ..Self::refused(message) }
    }

    pub fn try_again(message: impl Display) -> Self {
        Self { exit: Exit::TryAgain, ..Self::refused(message) }
    }

    pub fn interrupted() -> Self {
        Self { exit: Exit::Interrupted, ..Self::refused("interrupted; nothing half-written was left behind") }
    }

    pub fn hint(self, hint: impl Display) -> Self {
        Self { hint: Some(hint.to_string()), ..self }
    }

    /// A file that cannot be read or written: names it, and tells a full disk from other troubles.
    pub fn file(what: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        let message = format!("{}: cannot {what}: {}", path.display(), io_words(error));
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                Self::try_again(message).hint("free some space and run the same command again; nothing was lost")
            }
            _ => Self::refused(message),
        }
    }
}

/// The error in words, without Rust's `(os error 2)`.
pub fn io_words(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_lowercase(),
        None => text,
    }
}
