//! Which column of a table holds which field of a schema.

use std::str::FromStr;

use hedui_protocol::schema::Schema;

use super::{Row, Table};
use crate::failure::{Failure, Outcome};

/// `field=column` from the command line; an empty column says that the file has no such field.
#[derive(Clone, Debug)]
pub struct Mapping {
    field: String,
    column: String,
}

impl FromStr for Mapping {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (field, column) = text.split_once('=').ok_or("expected FIELD=COLUMN, for instance name=姓名")?;
        Ok(Self { field: field.trim().to_owned(), column: column.trim().to_owned() })
    }
}

/// Positions of a schema's fields among a table's columns; none where the file lacks the field.
pub struct Columns(Vec<Option<usize>>);

impl Columns {
    /// A field is found by `--map`, by its own name, or by one of the names that the schema lists for it, in whatever case.
    pub fn find(table: &Table, schema: &Schema, mappings: &[Mapping]) -> Outcome<Self> {
        if let Some(stray) = mappings.iter().find(|m| !schema.fields.iter().any(|field| field.name == m.field)) {
            let names: Vec<&str> = schema.fields.iter().map(|field| field.name.as_str()).collect();
            return Err(Failure::usage(format!("`--map {}=…`: the schema has no such field", stray.field))
                .hint(format!("its fields are: {}", names.join(", "))));
        }
        let position = |field: &hedui_protocol::schema::Field| {
            if let Some(mapping) = mappings.iter().find(|mapping| mapping.field == field.name) {
                return match mapping.column.as_str() {
                    "" => Ok(None),
                    column => table.require(column).map(Some),
                };
            }
            let names = std::iter::once(&field.name).chain(&field.columns);
            match names.into_iter().find_map(|name| table.position_like(name)) {
                None if !field.optional => Err(Failure::refused(format!(
                    "{}: there is no column for the field `{}`",
                    table.name, field.name
                ))
                .hint(format!(
                    "name it with `--map {0}=COLUMN`, or leave the field out with `--map {0}=`; the first line must name \
                     the columns",
                    field.name
                ))),
                position => Ok(position),
            }
        };
        schema.fields.iter().map(position).collect::<Outcome<_>>().map(Self)
    }

    /// Whether the file has a column for the field at this position of the schema.
    pub fn has(&self, field: usize) -> bool {
        self.0[field].is_some()
    }

    /// One cell a field, in the schema's order; empty where the file lacks the field.
    pub fn cells<'r>(&self, row: &'r Row) -> Vec<&'r str> {
        let cell = |position: &Option<usize>| position.and_then(|at| row.cells.get(at)).unwrap_or("");
        self.0.iter().map(cell).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn any_text_is_a_mapping_or_refused(text in ".*") {
            proptest::prop_assert_eq!(text.parse::<Mapping>().is_ok(), text.contains('='));
        }
    }
}
