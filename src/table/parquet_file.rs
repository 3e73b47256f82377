//! Rows of a Parquet file, every value as text.

use std::fs::File;
use std::path::Path;

use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::{Field, reader::RowIter};

use crate::failure::{Failure, Outcome};
use crate::guard::guarded;

pub(super) struct ParquetRows {
    name: String,
    header: Vec<String>,
    rows: RowIter<'static>,
    row: u64,
}

impl ParquetRows {
    pub fn open(path: &Path) -> Outcome<Self> {
        let name = path.display().to_string();
        let file = File::open(path).map_err(|e| Failure::file("read", path, &e))?;
        let reader = guarded(|| SerializedFileReader::new(file)).ok_or_else(|| damaged(&name))?;
        let reader = reader.map_err(|e| not_parquet(&name, &e))?;
        let columns = reader.metadata().file_metadata().schema().get_fields();
        let header = columns.iter().map(|column| column.name().to_owned()).collect();
        Ok(Self { name, header, rows: reader.into_iter(), row: 0 })
    }

    pub fn header(&self) -> Vec<String> {
        self.header.clone()
    }

    pub fn next_row(&mut self) -> Outcome<Option<csv::StringRecord>> {
        let row = guarded(|| self.rows.next()).ok_or_else(|| damaged(&self.name))?;
        let Some(row) = row else { return Ok(None) };
        let row = row.map_err(|e| not_parquet(&self.name, &e))?;
        self.row += 1;
        let mut cells = csv::StringRecord::with_capacity(256, self.header.len());
        for (column, value) in row.get_column_iter() {
            match value {
                Field::Null => cells.push_field(""),
                Field::Str(text) => cells.push_field(text),
                Field::Group(_) | Field::ListInternal(_) | Field::MapInternal(_) | Field::Bytes(_) => {
                    return Err(Failure::refused(format!(
                        "{}: row {}: `{column}` is not text, a number or a date",
                        self.name, self.row
                    )));
                }
                other => cells.push_field(&other.to_string()),
            }
        }
        Ok(Some(cells))
    }
}

fn damaged(name: &str) -> Failure {
    Failure::refused(format!("{name}: the Parquet file is damaged"))
}

fn not_parquet(name: &str, error: &parquet::errors::ParquetError) -> Failure {
    Failure::refused(format!("{name}: does not read as Parquet: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn any_bytes_are_a_parquet_file_or_refused(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("x.parquet");
            std::fs::write(&path, [b"PAR1", bytes.as_slice(), b"PAR1"].concat()).unwrap();
            if let Ok(mut rows) = ParquetRows::open(&path) {
                while let Ok(Some(_)) = rows.next_row() {}
            }
        }
    }
}
