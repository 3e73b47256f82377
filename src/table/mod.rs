//! Files with rows of people: CSV in UTF-8, GB18030, Big5 or Windows-1252, and Parquet, read as a stream.

pub mod columns;
mod csv_file;
mod decode;
mod parquet_file;
pub mod row_ids;
mod stdin;

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Outcome};

/// A table with more columns is no register's.
const MOST_COLUMNS: usize = 10_000;

/// Where a table is read from, and what the user said about it.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// `-` is standard input.
    pub path: PathBuf,
    pub encoding: Option<Encoding>,
    pub separator: Option<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Encoding {
    /// UTF-8, with or without a byte-order mark.
    #[value(name = "utf-8")]
    Utf8,
    /// GB18030, and with it GBK and GB2312.
    #[value(name = "gb18030")]
    Gb18030,
    /// Big5, as Hong Kong and Taiwan write it.
    #[value(name = "big5")]
    Big5,
    /// Windows-1252, and with it Latin-1: western Europe.
    #[value(name = "windows-1252")]
    Windows1252,
}

/// One row's cells, in the header's order. Personal data: it does not print itself.
pub struct Row {
    /// Counted from 1, the header not counted.
    pub number: u64,
    pub cells: csv::StringRecord,
}

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Row({}, ..)", self.number)
    }
}

/// An open table: its header, and the rows to come.
pub struct Table {
    pub name: String,
    pub header: Vec<String>,
    rows: Rows,
    read: u64,
}

enum Rows {
    Csv(Box<csv_file::CsvRows>),
    Parquet(Box<parquet_file::ParquetRows>),
}

impl Table {
    pub fn open(source: &Source) -> Outcome<Self> {
        let name = display_name(&source.path);
        let (header, rows) = if is_parquet(&source.path) {
            let rows = parquet_file::ParquetRows::open(&source.path)?;
            (rows.header(), Rows::Parquet(Box::new(rows)))
        } else {
            let rows = csv_file::CsvRows::open(&name, input(&source.path)?, source)?;
            (rows.header().to_vec(), Rows::Csv(Box::new(rows)))
        };
        refuse_doubtful_header(&name, &header)?;
        Ok(Self { name, header, rows, read: 0 })
    }

    /// Up to `most` further rows; an empty list after the last.
    pub fn next_rows(&mut self, most: usize) -> Outcome<Vec<Row>> {
        let mut rows = Vec::with_capacity(most.min(8192));
        while rows.len() < most {
            let cells = match &mut self.rows {
                Rows::Csv(csv) => csv.next_row()?,
                Rows::Parquet(parquet) => parquet.next_row()?,
            };
            let Some(cells) = cells else { break };
            self.read += 1;
            rows.push(Row { number: self.read, cells });
        }
        Ok(rows)
    }

    /// Refuses a table that has turned out to hold a header alone: the wrong file, or one cut short.
    pub fn refuse_empty(&self) -> Outcome {
        if self.read > 0 {
            return Ok(());
        }
        Err(Failure::refused(format!("{}: there are no rows under the header", self.name))
            .hint("nothing was done with it; was the right file named?"))
    }

    /// Rows read so far.
    pub fn read(&self) -> u64 {
        self.read
    }

    /// The position of a column, by its exact name.
    pub fn position(&self, column: &str) -> Option<usize> {
        self.header.iter().position(|name| name == column)
    }

    /// The position of a column by a name that may be written in other case, or with other marks between its words.
    pub fn position_like(&self, column: &str) -> Option<usize> {
        let sought = plain_name(column);
        self.position(column).or_else(|| self.header.iter().position(|name| plain_name(name) == sought))
    }

    /// As [`Self::position`], or an error. It does not list the columns: without a header they are somebody's data.
    pub fn require(&self, column: &str) -> Outcome<usize> {
        self.position(column).ok_or_else(|| {
            Failure::refused(format!("{}: there is no column `{column}`", self.name)).hint(format!(
                "the first line must name the columns; it has {} cells, none of which is `{column}`",
                self.header.len()
            ))
        })
    }
}

/// A column's name without what people write differently in it.
pub fn plain_name(name: &str) -> String {
    name.to_lowercase().replace([' ', '_', '-'], "")
}

fn display_name(path: &Path) -> String {
    if path == Path::new("-") { "standard input".into() } else { path.display().to_string() }
}

/// A Parquet file, by its name or its first bytes.
fn is_parquet(path: &Path) -> bool {
    let mut magic = [0; 4];
    let mut begins = || File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok() && magic == *b"PAR1";
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("parquet")) || (path.is_file() && begins())
}

fn input(path: &Path) -> Outcome<Box<dyn Read + Send>> {
    if path == Path::new("-") {
        return Ok(Box::new(BufReader::with_capacity(1 << 18, stdin::Stdin::new())));
    }
    let file = File::open(path).map_err(|e| Failure::file("read", path, &e))?;
    Ok(Box::new(BufReader::with_capacity(1 << 18, file)))
}

fn refuse_doubtful_header(name: &str, header: &[String]) -> Outcome {
    if header.iter().all(|column| column.trim().is_empty()) {
        return Err(Failure::refused(format!("{name}: the file is empty"))
            .hint("expected a header line with column names, then one line a record"));
    }
    if header.len() > MOST_COLUMNS {
        return Err(Failure::refused(format!(
            "{name}: the header has {} columns, more than {MOST_COLUMNS}",
            header.len()
        ))
        .hint("is the separator right? `--separator` names another; are the line ends in order?"));
    }
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for (at, column) in header.iter().enumerate() {
        if let Some(first) = seen.insert(column, at) {
            return Err(Failure::refused(format!("{name}: columns {} and {} have the same name", first + 1, at + 1))
                .hint("give each column a name of its own; is the header line missing?"));
        }
    }
    Ok(())
}
