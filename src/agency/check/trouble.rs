//! What is wrong with some rows: how many, and which come first.

use serde::Serialize;

/// Row numbers shown of each kind of trouble.
const SHOWN: usize = 5;

/// How many rows, and the first of them.
#[derive(Default, Serialize)]
pub struct Trouble {
    pub rows: u64,
    pub first: Vec<u64>,
    /// What stands there, where it was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

impl Trouble {
    pub fn at(&mut self, row: u64, value: Option<&str>) {
        self.rows += 1;
        if self.first.len() < SHOWN {
            self.first.push(row);
            self.values.extend(value.map(str::to_owned));
        }
    }

    /// Count and row numbers, never a value.
    pub fn places(&self) -> String {
        let first: Vec<String> = self.first.iter().map(u64::to_string).collect();
        format!("{} (rows {}{})", self.rows, first.join(", "), self.more())
    }

    /// What follows the first rows, where there are others.
    pub fn more(&self) -> &'static str {
        if self.rows > self.first.len() as u64 { " …" } else { "" }
    }
}
