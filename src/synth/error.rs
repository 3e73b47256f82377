//! Why a city was not written.

use std::{io, path::PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum SynthError {
    #[error("interrupted")]
    Stopped,
    #[error("a city of {people} people is too large")]
    TooManyPeople { people: u64 },
    #[error("{} is already there", path.display())]
    AlreadyThere { path: PathBuf },
    #[error("cannot write {}", path.display())]
    Unwritable { path: PathBuf, source: io::Error },
}

impl SynthError {
    pub(super) fn unwritable(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        |source| Self::Unwritable { path, source }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Stopped => None,
            Self::TooManyPeople { .. } => Some(format!("`--people` goes up to {}", super::City::MOST_PEOPLE)),
            Self::AlreadyThere { .. } => {
                Some("nothing was written; choose another `--out`, or remove the old files first".into())
            }
            Self::Unwritable { .. } => Some(
                "check the free space and who may write to `--out`; remove what was written before trying again".into(),
            ),
        }
    }
}
