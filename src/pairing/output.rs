//! Pairs and groups as files: CSV or Parquet, whole or not at all.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray, UInt64Array};
use parquet::arrow::ArrowWriter;

use crate::failure::{Failure, Outcome};
use crate::matching::solve::{Candidate, Member};
use crate::staging::NewFile;

/// Lines that are written together.
const BLOCK: usize = 1 << 16;

/// The ids of the files' records, and their order: by number where all of a file are numbers, otherwise by text.
pub struct Ids(Vec<Option<OfFile>>);

/// The ids of one file.
pub struct OfFile {
    /// Ids in their order.
    sorted: Vec<String>,
    /// For each row the place of its id.
    ranks: Vec<u32>,
}

impl Ids {
    /// None: a file's ids are its row numbers, from 0.
    pub fn new(files: Vec<Option<OfFile>>) -> Self {
        Self(files)
    }

    /// A pair of rows as ranks; of one file's the lower first.
    pub fn ranks(&self, pair: &Candidate) -> [u32; 2] {
        let rank = |side: usize| {
            let (file, row) = (usize::from(pair.files[side]), pair.records[side]);
            self.0[file].as_ref().map_or(row, |ids| ids.ranks[row as usize])
        };
        let [a, b] = [rank(0), rank(1)];
        if pair.files[0] == pair.files[1] { [a.min(b), a.max(b)] } else { [a, b] }
    }

    /// Bytes that they take, as the allocator gives them: 16 at a time, 8 of them its own.
    pub fn memory(&self) -> u64 {
        let id = |id: &String| size_of::<String>() + (id.capacity() + 8).next_multiple_of(16);
        let file = |ids: &OfFile| ids.sorted.iter().map(id).sum::<usize>() + 4 * ids.ranks.len();
        self.0.iter().flatten().map(file).sum::<usize>() as u64
    }

    fn of(&self, file: u16, rank: u32) -> Cow<'_, str> {
        match &self.0[usize::from(file)] {
            Some(ids) => Cow::Borrowed(&ids.sorted[rank as usize]),
            None => Cow::Owned(rank.to_string()),
        }
    }
}

impl OfFile {
    /// Two rows of one id are an error: nobody could tell them apart.
    pub fn new(ids: Vec<String>) -> Result<Self, [u32; 2]> {
        let number = |id: &String| id.parse::<u64>().ok().filter(|number| number.to_string() == *id);
        let mut rows: Vec<u32> = (0..=u32::MAX).take(ids.len()).collect();
        match ids.iter().map(number).collect::<Option<Vec<u64>>>() {
            Some(numbers) => rows.sort_by_key(|row| numbers[*row as usize]),
            None => rows.sort_by(|one, other| ids[*one as usize].cmp(&ids[*other as usize])),
        }
        let same = |rows: &[u32]| ids[rows[0] as usize] == ids[rows[1] as usize];
        if let Some(twice) = rows.windows(2).find(|rows| same(rows)) {
            return Err([twice[0], twice[1]]);
        }
        let mut ranks = vec![0; ids.len()];
        (0..=u32::MAX).zip(&rows).for_each(|(rank, row)| ranks[*row as usize] = rank);
        let mut ids = ids;
        let sorted = rows.iter().map(|row| std::mem::take(&mut ids[*row as usize])).collect();
        Ok(Self { sorted, ranks })
    }
}

/// How a table lies in its file.
#[derive(Clone, Copy, Debug)]
pub enum TableForm {
    Csv,
    Parquet,
}

impl TableForm {
    /// By the file's name.
    pub fn of(path: &Path) -> Outcome<Self> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("csv") => Ok(Self::Csv),
            Some("parquet") => Ok(Self::Parquet),
            _ => Err(Failure::usage(format!("{}: the name does not say which form it has", path.display()))
                .hint("end the name in .csv or .parquet")),
        }
    }
}

/// A table in the making: columns of three names.
struct TableWriter {
    sink: Sink,
    path: PathBuf,
}

enum Sink {
    Csv(Box<arrow_csv::Writer<NewFile>>),
    Parquet(Box<ArrowWriter<NewFile>>),
}

impl TableWriter {
    /// `empty` has the table's columns, and no line.
    fn create(path: &Path, empty: &RecordBatch) -> Outcome<Self> {
        let sink = match TableForm::of(path)? {
            TableForm::Csv => Sink::Csv(Box::new(arrow_csv::Writer::new(NewFile::create(path)?))),
            TableForm::Parquet => {
                let out = ArrowWriter::try_new(NewFile::create(path)?, empty.schema(), None);
                Sink::Parquet(Box::new(out.map_err(|e| failed(path, e))?))
            }
        };
        let mut table = Self { sink, path: path.to_owned() };
        // the header is written with the first lines, be there any or not
        table.write(empty)?;
        Ok(table)
    }

    fn write(&mut self, lines: &RecordBatch) -> Outcome {
        match &mut self.sink {
            Sink::Csv(out) => out.write(lines).map_err(|e| failed(&self.path, e)),
            Sink::Parquet(out) => out.write(lines).map_err(|e| failed(&self.path, e)),
        }
    }

    fn finish(self) -> Outcome {
        let file = match self.sink {
            Sink::Csv(out) => out.into_inner(),
            Sink::Parquet(out) => out.into_inner().map_err(|e| failed(&self.path, e))?,
        };
        file.finish()
    }
}

fn failed(path: &Path, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failure {
    Failure::file("write", path, &std::io::Error::other(error))
}

fn batch(columns: [(&str, ArrayRef); 3]) -> RecordBatch {
    RecordBatch::try_from_iter(columns).expect("columns of equal length")
}

/// Writes pairs: `id_a,id_b,score`.
pub struct PairWriter<'i> {
    table: TableWriter,
    ids: &'i Ids,
    block: Vec<Candidate>,
    written: u64,
}

impl<'i> PairWriter<'i> {
    pub fn create(path: &Path, ids: &'i Ids) -> Outcome<Self> {
        Ok(Self { table: TableWriter::create(path, &pairs(&[], ids))?, ids, block: Vec::new(), written: 0 })
    }

    pub fn write(&mut self, pair: &Candidate) -> Outcome {
        self.block.push(*pair);
        self.written += 1;
        if self.block.len() == BLOCK { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Outcome {
        self.table.write(&pairs(&self.block, self.ids))?;
        self.block.clear();
        Ok(())
    }

    /// How many pairs were written.
    pub fn finish(mut self) -> Outcome<u64> {
        self.flush()?;
        self.table.finish()?;
        Ok(self.written)
    }
}

fn pairs(pairs: &[Candidate], ids: &Ids) -> RecordBatch {
    let id = |side: usize| -> ArrayRef {
        let ids = pairs.iter().map(|pair| Some(ids.of(pair.files[side], pair.records[side])));
        Arc::new(ids.collect::<StringArray>())
    };
    let scores = Float64Array::from_iter_values(pairs.iter().map(|pair| pair.score));
    batch([("id_a", id(0)), ("id_b", id(1)), ("score", Arc::new(scores))])
}

/// Writes groups: `group,file,id`, a line a member. Groups are numbered from 0; the file is its name as it was given.
pub fn write_groups(path: &Path, groups: &[Vec<Member>], files: &[PathBuf], ids: &Ids) -> Outcome<u64> {
    let members = |groups: &[Vec<Member>], first: u64| {
        let all = || (first..).zip(groups).flat_map(|(number, group)| group.iter().map(move |member| (number, member)));
        let numbers = UInt64Array::from_iter_values(all().map(|(number, _)| number));
        let name = |member: &Member| files[usize::from(member.file)].to_string_lossy();
        let names: StringArray = all().map(|(_, member)| Some(name(member))).collect();
        let ids: StringArray = all().map(|(_, member)| Some(ids.of(member.file, member.record))).collect();
        batch([("group", Arc::new(numbers)), ("file", Arc::new(names)), ("id", Arc::new(ids))])
    };
    let mut table = TableWriter::create(path, &members(&[], 0))?;
    for (first, some) in (0..).step_by(BLOCK).zip(groups.chunks(BLOCK)) {
        table.write(&members(some, first))?;
    }
    table.finish()?;
    Ok(groups.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_rows_of_one_id_are_named() {
        let ids = |ids: &[&str]| OfFile::new(ids.iter().map(|id| (*id).to_owned()).collect()).map(|ids| ids.ranks);
        assert_eq!(ids(&["10", "9", "2"]), Ok(vec![2, 1, 0]), "numbers, by number");
        assert_eq!(ids(&["b10", "b9", "a"]), Ok(vec![1, 2, 0]));
        assert_eq!(ids(&["7", "x", "7"]), Err([0, 2]));
    }
}
