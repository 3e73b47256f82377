//! Why a schema cannot be used, and where in its text.

/// Why a schema cannot be used: where, and which rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    #[error("{0}")]
    Syntax(String),
    #[error("the normalisation `{0}` is unknown; this program knows `norm-v1`, and `none` for the profile `clk`")]
    Normalisation(String),
    #[error("the table `clk` belongs to the profile `clk`, which needs one")]
    Clk,
    #[error("the linkage schema: {0}")]
    Linkage(String),
    #[error("there is no {0}")]
    Nothing(&'static str),
    #[error("line {line}: {error}")]
    At { line: usize, error: Box<SchemaError> },
    #[error("the {what} `{name}` {wrong}")]
    Entry { what: &'static str, name: String, wrong: String },
}

impl SchemaError {
    /// The error with the line of the schema that it speaks of, where that can be told.
    pub(super) fn placed(self, text: &str) -> Self {
        let line = match &self {
            Self::Normalisation(_) => line_of(text, "", |key, _| key == "normalisation"),
            Self::Clk => line_of(text, "", |key, _| key == "profile"),
            Self::Linkage(_) => line_of(text, "clk", |key, _| key == "schema"),
            Self::Entry { what: "profile", .. } => line_of(text, "", |key, _| key == "profile"),
            Self::Entry { what: "decision", .. } => line_of(text, "decision", |key, _| key == "possible"),
            // of two of one name the second is the one too many
            Self::Entry { what, name, .. } => line_of(text, what, |key, value| key == "name" && value == name),
            Self::Syntax(_) | Self::Nothing(_) | Self::At { .. } => None,
        };
        match line {
            Some(line) => Self::At { line, error: Box::new(self) },
            None => self,
        }
    }
}

/// The last line of a table (of the tables of an array) of TOML whose key and value, without quotes, are those.
fn line_of(text: &str, table: &str, is: impl Fn(&str, &str) -> bool) -> Option<usize> {
    let (mut within, mut found) = ("", None);
    for (line, number) in text.lines().zip(1..) {
        let line = line.trim();
        if line.starts_with('[') {
            within = line.trim_matches(['[', ']']);
        } else if let Some((key, value)) = line.split_once('=')
            && within == table
            && is(key.trim(), value.trim().trim_matches('"'))
        {
            found = Some(number);
        }
    }
    found
}

pub(crate) fn entry(what: &'static str, name: &str, wrong: impl Into<String>) -> SchemaError {
    SchemaError::Entry { what, name: name.to_owned(), wrong: wrong.into() }
}
