//! Rows of a CSV file. Errors name row, line and column; never a cell.

use std::io::Read;

use super::stdin::Interrupted;
use super::{Encoding, Source, decode};
use crate::failure::{Failure, Outcome};
use crate::terminal;

/// Lines of a cell beyond which it holds other rows.
const MOST_LINES: usize = 50;

pub(super) struct CsvRows {
    name: String,
    encoding: Encoding,
    header: Vec<String>,
    reader: csv::Reader<Box<dyn Read + Send>>,
    line_end: LineEnd,
    row: u64,
    /// Bytes of the row before: the next will hardly be longer, and is given the room at once.
    before: usize,
}

impl CsvRows {
    pub fn open(name: &str, input: Box<dyn Read + Send>, source: &Source) -> Outcome<Self> {
        let (sample, input) = decode::sample(input).map_err(|e| unreadable(name, &e))?;
        if sample.starts_with(b"PK\x03\x04") || sample.starts_with(&[0xd0, 0xcf, 0x11, 0xe0]) {
            return Err(Failure::refused(format!("{name}: this is a spreadsheet, not text"))
                .hint("save it as CSV, with the number columns formatted as text"));
        }
        if sample.starts_with(&[0x1f, 0x8b]) || sample.starts_with(b"\x28\xb5\x2f\xfd") {
            return Err(Failure::refused(format!("{name}: this is a compressed file, not text"))
                .hint("unpack it first; `-` reads what `gunzip -c` or `zstd -dc` writes"));
        }
        if decode::is_utf16(&sample) {
            return Err(Failure::refused(format!("{name}: this is UTF-16 text, a spreadsheet's \"Unicode text\""))
                .hint("save it as CSV in UTF-8"));
        }
        if sample.starts_with(b"PAR1") {
            return Err(Failure::refused(format!("{name}: this is Parquet, which is not read as a stream"))
                .hint("name the file instead of `-`"));
        }
        let encoding = source.encoding.unwrap_or_else(|| decode::detect(&sample));
        if source.encoding.is_none() && matches!(encoding, Encoding::Big5 | Encoding::Windows1252) {
            terminal::note(format!("{name}: read as {}; `--encoding` names another", encoding.label()));
        }
        let bom = if encoding == Encoding::Utf8 && sample.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        let input = encoding.decode(input);
        let separator = source.separator.unwrap_or_else(|| separator_of(&sample[bom..]));
        let mut reader = csv::ReaderBuilder::new().delimiter(separator).from_reader(skip(input, bom, name)?);
        let line_end = LineEnd::of(&sample);
        let header = reader.headers().map_err(|e| Place { name, encoding, header: &[], line_end }.refuse(&e))?;
        let header = header.iter().map(|column| column.trim().to_owned()).collect();
        Ok(Self { name: name.to_owned(), encoding, header, reader, line_end, row: 0, before: 0 })
    }

    pub fn header(&self) -> &[String] {
        &self.header
    }

    pub fn next_row(&mut self) -> Outcome<Option<csv::StringRecord>> {
        let mut cells = csv::StringRecord::with_capacity(self.before, self.header.len());
        let place = Place { name: &self.name, encoding: self.encoding, header: &self.header, line_end: self.line_end };
        let more = self.reader.read_record(&mut cells).map_err(|e| place.refuse(&e))?;
        self.before = cells.as_slice().len();
        self.row += u64::from(more);
        self.refuse_swallowed(&cells)?;
        if more && self.encoding != Encoding::Utf8 {
            self.refuse_damaged(&cells)?;
        }
        Ok(more.then_some(cells))
    }

    /// A quote that nothing closes takes the lines behind it into its cell, up to the next quote.
    fn refuse_swallowed(&self, cells: &csv::StringRecord) -> Outcome {
        let lines = |cell: &str| cell.bytes().filter(|byte| *byte == b'\n').take(MOST_LINES + 1).count();
        let Some(column) = cells.iter().position(|cell| cell.len() > MOST_LINES && lines(cell) > MOST_LINES) else {
            return Ok(());
        };
        let column = self.header.get(column).map_or("?", String::as_str);
        let (name, row) = (&self.name, self.row);
        Err(Failure::refused(format!("{name}: row {row}: `{column}` goes on for more than {MOST_LINES} lines")).hint(
            "a quote was opened that nothing closes: a quote inside a cell is written twice, and the cell in quotes",
        ))
    }

    fn refuse_damaged(&self, cells: &csv::StringRecord) -> Outcome {
        if let Some(column) = cells.iter().position(|cell| decode::was_utf8(cell, self.encoding)) {
            let column = self.header.get(column).map_or("?", String::as_str);
            let (name, row, encoding) = (&self.name, self.row, self.encoding.label());
            return Err(Failure::refused(format!(
                "{name}: row {row}: `{column}` is UTF-8 text in a file of {encoding}"
            ))
            .hint("the file was put together of two encodings: bring its parts to one"));
        }
        match cells.iter().position(|cell| cell.contains('\u{fffd}')) {
            None => Ok(()),
            Some(column) => {
                let column = self.header.get(column).map_or("?", String::as_str);
                Err(not_text(&self.name, self.row, column, self.encoding))
            }
        }
    }
}

fn skip(mut input: Box<dyn Read + Send>, bytes: usize, name: &str) -> Outcome<Box<dyn Read + Send>> {
    let mut skipped = [0; 3];
    input.read_exact(&mut skipped[..bytes]).map_err(|e| Failure::refused(format!("{name}: {e}")))?;
    Ok(input)
}

/// The likely separator that stands most often in the first line, outside quotes.
fn separator_of(sample: &[u8]) -> u8 {
    let mut quoted = false;
    let mut counts = [(b',', 0), (b'\t', 0), (b';', 0), (b'|', 0)];
    for byte in sample {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' | b'\r' if !quoted => break,
            _ if quoted => {}
            _ => counts.iter_mut().filter(|(separator, _)| separator == byte).for_each(|(_, count)| *count += 1),
        }
    }
    // of equal counts the first wins, so a file of one column is read as comma-separated
    counts.iter().rev().max_by_key(|(_, count)| *count).map_or(b',', |(separator, _)| *separator)
}

fn not_text(name: &str, row: u64, column: &str, encoding: Encoding) -> Failure {
    Failure::refused(format!("{name}: row {row}: `{column}` is not {} text", encoding.label()))
        .hint("is the whole file in another encoding? `--encoding` takes utf-8, gb18030, big5 and windows-1252")
}

/// How the first line of a file ends.
#[derive(Clone, Copy, PartialEq, Debug)]
enum LineEnd {
    Lf,
    CrLf,
    Cr,
}

impl LineEnd {
    fn of(sample: &[u8]) -> Self {
        match sample.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
            Some(at) if sample[at..].starts_with(b"\r\n") => Self::CrLf,
            Some(at) if sample[at] == b'\r' => Self::Cr,
            _ => Self::Lf,
        }
    }

    /// The line that a row starts on. The reader stands before the `\n` of the row before, and counts nothing else as a line.
    fn line(self, start: &csv::Position) -> String {
        match self {
            Self::Lf => format!(" (line {})", start.line()),
            Self::CrLf => format!(" (line {})", start.line() + 1),
            Self::Cr => String::new(),
        }
    }
}

/// What an error is told by.
struct Place<'a> {
    name: &'a str,
    encoding: Encoding,
    header: &'a [String],
    line_end: LineEnd,
}

impl Place<'_> {
    /// A CSV error as row, line and rule.
    fn refuse(&self, error: &csv::Error) -> Failure {
        let name = self.name;
        match error.kind() {
            csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
                let row = pos.as_ref().map_or(0, csv::Position::record);
                let line = pos.as_ref().map_or_else(String::new, |pos| self.line_end.line(pos));
                Failure::refused(format!("{name}: row {row}{line} has {len} cells, the header has {expected_len}"))
                    .hint(
                        "a separator inside a cell needs quotes around the cell, a quote inside one is written twice; `--separator` names \
                     another separator",
                    )
            }
            csv::ErrorKind::Utf8 { pos, err } => {
                let row = pos.as_ref().map_or(0, csv::Position::record);
                let column =
                    self.header.get(err.field()).cloned().unwrap_or_else(|| format!("column {}", err.field() + 1));
                not_text(name, row, &column, self.encoding)
            }
            csv::ErrorKind::Io(e) => unreadable(name, e),
            _ => Failure::refused(format!("{name}: the file does not read as CSV")),
        }
    }
}

fn unreadable(name: &str, error: &std::io::Error) -> Failure {
    match error.get_ref().is_some_and(|inner| inner.is::<Interrupted>()) {
        true => Failure::interrupted(),
        false => Failure::refused(format!("{name}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn read(bytes: &[u8]) -> Outcome<(Vec<String>, Vec<Vec<String>>)> {
        let mut rows = CsvRows::open("people.csv", Box::new(Cursor::new(bytes.to_vec())), &Source::default())?;
        let mut all = Vec::new();
        while let Some(cells) = rows.next_row()? {
            all.push(cells.iter().map(str::to_owned).collect());
        }
        Ok((rows.header().to_vec(), all))
    }

    #[track_caller]
    fn reads(bytes: &[u8]) {
        let (header, rows) = read(bytes).unwrap_or_else(|e| panic!("{}", e.message));
        assert_eq!(header, ["编号", "姓名"]);
        assert_eq!(rows, [["1", "李,雷"]]);
    }

    #[test]
    fn encodings_marks_and_separators_are_told_apart() {
        reads("编号,姓名\n1,\"李,雷\"\n".as_bytes());
        reads("\u{feff}编号,姓名\r\n1,\"李,雷\"\r\n".as_bytes());
        reads("编号;姓名\n1;李,雷\n".as_bytes());
        reads("编号\t姓名\n1\t李,雷\n".as_bytes());
        reads(&encoding_rs::GB18030.encode("编号|姓名\n1|李,雷\n").0);
    }

    #[track_caller]
    fn refuses(bytes: &[u8], message: &str) {
        let failure = read(bytes).unwrap_err();
        assert_eq!(failure.message, message);
        assert!(failure.hint.is_some());
    }

    #[test]
    fn a_bad_row_is_named_and_not_shown() {
        refuses(b"id,name\n1,Ann\n2\n", "people.csv: row 2 (line 3) has 1 cells, the header has 2");
        refuses(b"id,name\r\n1,Ann\r\n2\r\n", "people.csv: row 2 (line 3) has 1 cells, the header has 2");
        refuses(b"id,name\r\n1,\"A\r\nnn\"\r\n2\r\n", "people.csv: row 2 (line 4) has 1 cells, the header has 2");
        refuses(b"id,name\r1,Ann\r2\r", "people.csv: row 2 has 1 cells, the header has 2");
        refuses(b"PK\x03\x04....", "people.csv: this is a spreadsheet, not text");
        refuses(b"\x1f\x8b\x08....", "people.csv: this is a compressed file, not text");
        refuses(b"\x28\xb5\x2f\xfd..", "people.csv: this is a compressed file, not text");
        let mut late = b"id,name\n".to_vec();
        late.extend(b"1,Ann\n".repeat(20_000));
        late.extend(b"x,\xff\xfe\n");
        refuses(&late, "people.csv: row 20001: `name` is not UTF-8 text");
        refuses(b"id,name\n1,\xd5\xc5\n2,\xff\xff\n", "people.csv: row 2: `name` is not GB18030 text");
    }

    #[test]
    fn a_quote_that_swallows_rows_is_refused() {
        let mut rows = b"id,name\n1,\"Ann\n".to_vec();
        rows.extend(b"2,Bob\n".repeat(60));
        rows.extend(b"3,Eve\"\n");
        refuses(&rows, "people.csv: row 1: `name` goes on for more than 50 lines");
        assert!(read(b"id,note\n1,\"two\nlines\"\n").is_ok());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_read_or_are_refused(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            let _ = read(&bytes);
        }
    }
}
