//! The column with each row's own id, and errors that name a row.

use super::{Row, Table};
use crate::failure::{Failure, Outcome};

pub struct RowIds {
    file: String,
    column: String,
    at: usize,
}

impl RowIds {
    pub fn find(table: &Table, column: &str) -> Outcome<Self> {
        Ok(Self { file: table.name.clone(), column: column.to_owned(), at: table.require(column)? })
    }

    /// The row's own id; an empty one is refused.
    pub fn of<'r>(&self, row: &'r Row) -> Outcome<&'r str> {
        match row.cells.get(self.at).map(str::trim) {
            Some(id) if !id.is_empty() => Ok(id),
            _ => {
                Err(self.error_at(row, &format!("`{}` is empty", self.column)).hint("every row needs an id of its own"))
            }
        }
    }

    /// An error at a row: file, number and rule.
    pub fn error_at(&self, row: &Row, wrong: &str) -> Failure {
        self.error(row.number, wrong)
    }

    /// The refusal of an id that an earlier row has.
    pub fn repeated(&self, row: u64, earlier: u64) -> Failure {
        self.error(row, &format!("its id stands at row {earlier} already"))
            .hint("ids name records; a person with two records needs two ids")
    }

    fn error(&self, row: u64, wrong: &str) -> Failure {
        Failure::refused(format!("{}: row {row}: {wrong}", self.file))
    }
}
