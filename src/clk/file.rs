//! Files of CLKs: clkhash's JSON, raw binary, and Parquet (`id`: text, `clk`: fixed-size binary; what is read may have ids of
//! any type that reads as text, or none, and CLKs of any binary type).

use std::fmt::{self, Display};
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::builder::FixedSizeBinaryBuilder;
use arrow_array::cast::AsArray as _;
use arrow_array::{Array as _, ArrayRef, RecordBatch, StringArray};
use arrow_cast::cast;
use arrow_schema::{DataType, Field, Schema};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use clap::ValueEnum;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::de::{DeserializeSeed, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::failure::{Failure, Outcome};
use crate::guard::guarded;
use crate::staging::NewFile;

/// How CLKs lie in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// `{"clks": [base64, …]}`, as clkhash writes it
    Json,
    /// One CLK after another, nothing else
    Bin,
    /// Columns `id` (text) and `clk` (fixed-size binary)
    Parquet,
}

impl Form {
    /// The form named, or the one that the file's name says.
    pub fn of(named: Option<Self>, path: &Path) -> Outcome<Self> {
        let by_name = || match path.extension()?.to_str()? {
            "json" => Some(Self::Json),
            "bin" => Some(Self::Bin),
            "parquet" => Some(Self::Parquet),
            _ => None,
        };
        named.or_else(by_name).ok_or_else(|| {
            Failure::usage(format!("{}: the name does not say which form the CLKs have", path.display()))
                .hint("end the name in .json, .bin or .parquet")
        })
    }
}

/// CLKs of one length, side by side.
#[derive(Debug)]
pub struct Clks {
    /// Bytes of each.
    pub length: usize,
    pub bytes: Vec<u8>,
    /// None: the ids are the row numbers, from 0.
    pub ids: Option<Vec<String>>,
}

impl Clks {
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.bytes.chunks_exact(self.length)
    }

    pub fn id(&self, row: usize) -> String {
        self.ids.as_ref().map_or_else(|| row.to_string(), |ids| ids[row].clone())
    }

    /// `bits` is needed where the form does not tell the length: raw binary.
    pub fn read(path: &Path, form: Form, bits: Option<usize>) -> Outcome<Self> {
        let clks = match form {
            Form::Json => read_json(path),
            Form::Bin => read_binary(path, bits),
            Form::Parquet => {
                guarded(|| read_parquet(path)).unwrap_or_else(|| Err(wrong(path, "the Parquet file is damaged")))
            }
        }?;
        match bits {
            Some(bits) if bits.div_ceil(8) != clks.length => {
                Err(wrong(path, format!("the CLKs have {} bits, not {bits}", 8 * clks.length)))
            }
            _ => Ok(clks),
        }
    }
}

fn wrong(path: &Path, why: impl Display) -> Failure {
    Failure::refused(format!("{}: {why}", path.display()))
}

#[derive(Deserialize)]
struct JsonClks {
    clks: Decoded,
}

/// CLKs that are decoded as they are read: their texts are never there together.
#[derive(Default)]
struct Decoded {
    length: usize,
    bytes: Vec<u8>,
    rows: usize,
    /// What is wrong with the first that is no CLK.
    wrong: Option<String>,
}

impl Decoded {
    fn take(&mut self, clk: &str) {
        if self.wrong.is_some() {
            return;
        }
        let (before, row) = (self.bytes.len(), self.rows);
        if BASE64.decode_vec(clk, &mut self.bytes).is_err() {
            self.wrong = Some(format!("CLK {row} is not base64"));
            return;
        }
        let length = self.bytes.len() - before;
        if row == 0 {
            self.length = length;
        }
        if length != self.length || length == 0 {
            self.wrong = Some(format!("CLK {row} has {length} bytes, the first has {}", self.length));
        }
        self.rows += 1;
    }
}

impl<'de> Deserialize<'de> for Decoded {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Self::default())
    }
}

impl<'de> Visitor<'de> for Decoded {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of texts")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut clks: A) -> Result<Self, A::Error> {
        while clks.next_element_seed(&mut self)?.is_some() {}
        Ok(self)
    }
}

impl<'de> DeserializeSeed<'de> for &mut Decoded {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(OneClk(self))
    }
}

struct OneClk<'d>(&'d mut Decoded);

impl Visitor<'_> for OneClk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E>(self, clk: &str) -> Result<(), E> {
        self.0.take(clk);
        Ok(())
    }
}

fn read_json(path: &Path) -> Outcome<Clks> {
    let text = std::fs::read(path).map_err(|e| Failure::file("read", path, &e))?;
    let JsonClks { clks } = serde_json::from_slice(&text).map_err(|e| {
        wrong(path, format!("line {}, column {}: not a JSON object with a list `clks`", e.line(), e.column()))
    })?;
    match clks.wrong {
        Some(why) => Err(wrong(path, why)),
        None if clks.rows == 0 => Err(wrong(path, "there are no CLKs")),
        None => Ok(Clks { length: clks.length, bytes: clks.bytes, ids: None }),
    }
}

fn read_binary(path: &Path, bits: Option<usize>) -> Outcome<Clks> {
    let bits = bits.filter(|bits| *bits > 0).ok_or_else(|| {
        Failure::usage(format!("{}: raw CLKs do not tell their length", path.display())).hint("name it with `--bits`")
    })?;
    if !bits.is_multiple_of(8) {
        return Err(Failure::usage(format!("{}: raw CLKs are whole bytes, and {bits} bits are not", path.display())));
    }
    let bytes = std::fs::read(path).map_err(|e| Failure::file("read", path, &e))?;
    let length = bits / 8;
    if bytes.is_empty() || !bytes.len().is_multiple_of(length) {
        return Err(wrong(path, format!("{} bytes are no whole number of CLKs of {bits} bits", bytes.len())));
    }
    Ok(Clks { length, bytes, ids: None })
}

fn read_parquet(path: &Path) -> Outcome<Clks> {
    let unreadable = |e: &dyn Display| wrong(path, format!("does not read as Parquet: {e}"));
    let file = File::open(path).map_err(|e| Failure::file("read", path, &e))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| unreadable(&e))?;
    let (mut bytes, mut ids, mut length) = (Vec::new(), Vec::new(), None);
    let has_ids = builder.schema().column_with_name("id").is_some();
    for batch in builder.build().map_err(|e| unreadable(&e))? {
        let batch = batch.map_err(|e| unreadable(&e))?;
        let column = |name: &str, like: &DataType| {
            let column =
                batch.column_by_name(name).ok_or_else(|| wrong(path, format!("there is no column `{name}`")))?;
            let other = || {
                wrong(path, format!("column `{name}` is of type {}, which does not read as {like}", column.data_type()))
            };
            // Arrow would make bytes of a number as well
            let binary = matches!(
                column.data_type(),
                DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_)
            );
            if *like == DataType::LargeBinary && !binary {
                return Err(other());
            }
            let column = cast(column, like).map_err(|_| other())?;
            if column.null_count() > 0 {
                Err(wrong(path, format!("a value of `{name}` is missing")))
            } else {
                Ok(column)
            }
        };
        for clk in column("clk", &DataType::LargeBinary)?.as_binary::<i64>().iter().flatten() {
            let first = *length.get_or_insert(clk.len());
            if clk.len() != first {
                let row = bytes.len() / first.max(1);
                return Err(wrong(path, format!("CLK {row} has {} bytes, the first has {first}", clk.len())));
            }
            bytes.extend_from_slice(clk);
        }
        if has_ids {
            ids.extend(column("id", &DataType::LargeUtf8)?.as_string::<i64>().iter().flatten().map(str::to_owned));
        }
    }
    let length = length.filter(|length| *length > 0).ok_or_else(|| wrong(path, "there are no CLKs"))?;
    Ok(Clks { length, bytes, ids: has_ids.then_some(ids) })
}

/// Writes CLKs one after another; the file appears whole, readable by its owner.
pub struct ClkWriter {
    sink: Sink,
    path: PathBuf,
    length: usize,
    rows: u64,
}

enum Sink {
    Json(NewFile),
    Bin(NewFile),
    Parquet(Box<ArrowWriter<NewFile>>),
}

impl ClkWriter {
    pub fn create(path: &Path, form: Form, length: usize) -> Outcome<Self> {
        let file = NewFile::create(path)?;
        let sink = match form {
            Form::Json => Sink::Json(file),
            Form::Bin => Sink::Bin(file),
            Form::Parquet => Sink::Parquet(Box::new(
                ArrowWriter::try_new(file, Arc::new(parquet_schema(length)), None).map_err(|e| wrong(path, e))?,
            )),
        };
        Ok(Self { sink, path: path.to_owned(), length, rows: 0 })
    }

    /// Appends CLKs, each with its id; only Parquet keeps ids.
    pub fn write<'c>(&mut self, clks: impl ExactSizeIterator<Item = (impl Display, &'c [u8])>) -> Outcome {
        let count = clks.len() as u64;
        let first = self.rows == 0;
        let written = match &mut self.sink {
            Sink::Json(out) => {
                let mut text = String::new();
                for (row, (_, clk)) in clks.enumerate() {
                    text.push_str(if first && row == 0 { "{\"clks\": [\"" } else { ", \"" });
                    BASE64.encode_string(clk, &mut text);
                    text.push('"');
                }
                out.write_all(text.as_bytes())
            }
            Sink::Bin(out) => clks.into_iter().try_for_each(|(_, clk)| out.write_all(clk)),
            Sink::Parquet(out) => {
                let batch = batch(self.length, clks);
                out.write(&batch).map_err(std::io::Error::other)
            }
        };
        self.rows += count;
        written.map_err(|e| Failure::file("write", &self.path, &e))
    }

    pub fn finish(self) -> Outcome {
        let path = self.path;
        let failed = |e: std::io::Error| Failure::file("write", &path, &e);
        let file = match self.sink {
            Sink::Json(mut out) => {
                let end: &[u8] = if self.rows == 0 { b"{\"clks\": []}" } else { b"]}" };
                out.write_all(end).map_err(failed)?;
                out
            }
            Sink::Bin(out) => out,
            Sink::Parquet(out) => out.into_inner().map_err(|e| failed(std::io::Error::other(e)))?,
        };
        file.finish()
    }
}

fn parquet_schema(length: usize) -> Schema {
    let length = i32::try_from(length).expect("a CLK has at most half a megabyte");
    Schema::new(vec![
        Field::new("id", DataType::Utf8, false),
        Field::new("clk", DataType::FixedSizeBinary(length), false),
    ])
}

fn batch<'c>(length: usize, clks: impl ExactSizeIterator<Item = (impl Display, &'c [u8])>) -> RecordBatch {
    let schema = Arc::new(parquet_schema(length));
    let length = i32::try_from(length).expect("a CLK has at most half a megabyte");
    let mut column = FixedSizeBinaryBuilder::with_capacity(clks.len(), length);
    let ids: StringArray = clks
        .map(|(id, clk)| {
            column.append_value(clk).expect("CLKs of one file have one length");
            Some(id.to_string())
        })
        .collect();
    let columns: Vec<ArrayRef> = vec![Arc::new(ids), Arc::new(column.finish())];
    RecordBatch::try_new(schema, columns).expect("two columns of equal length")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_reads_back_in_every_form(clks in proptest::collection::vec(any::<[u8; 16]>(), 1..20)) {
            let folder = tempfile::tempdir().unwrap();
            for (form, name) in [(Form::Json, "x.json"), (Form::Bin, "x.bin"), (Form::Parquet, "x.parquet")] {
                let path = folder.path().join(name);
                let mut writer = ClkWriter::create(&path, Form::of(None, &path).unwrap(), 16).unwrap();
                for (row, clk) in clks.iter().enumerate() {
                    writer.write([(format!("id {row}"), clk.as_slice())].into_iter()).unwrap();
                }
                writer.finish().unwrap();
                let back = Clks::read(&path, form, Some(128)).unwrap();
                prop_assert_eq!(&back.bytes, &clks.concat());
                prop_assert_eq!(back.id(0), if form == Form::Parquet { "id 0" } else { "0" });
            }
        }

        #[test]
        fn any_bytes_are_clks_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300), form in 0usize..3) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("x");
            std::fs::write(&path, bytes).unwrap();
            let _ = Clks::read(&path, [Form::Json, Form::Bin, Form::Parquet][form], Some(64));
        }
    }

    #[test]
    fn parquet_as_other_tools_write_it_is_read() {
        use arrow_array::{BinaryArray, DictionaryArray, Int64Array, LargeStringArray, types::Int32Type};
        use parquet::basic::{Compression, GzipLevel, ZstdLevel};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.parquet");
        let clks = [[7u8; 16], [8; 16]];
        let clk: ArrayRef = Arc::new(BinaryArray::from_iter_values(clks));
        let dictionary: DictionaryArray<Int32Type> = ["5", "6"].into_iter().collect();
        let ids: [Option<ArrayRef>; 4] = [
            Some(Arc::new(Int64Array::from(vec![5, 6]))),
            Some(Arc::new(LargeStringArray::from(vec!["5", "6"]))),
            Some(Arc::new(dictionary)),
            None,
        ];
        let codecs = [
            Compression::SNAPPY,
            Compression::ZSTD(ZstdLevel::default()),
            Compression::GZIP(GzipLevel::default()),
            Compression::LZ4_RAW,
        ];
        let write = |columns: Vec<(&str, ArrayRef)>, codec| {
            let properties = parquet::file::properties::WriterProperties::builder().set_compression(codec).build();
            let lines = RecordBatch::try_from_iter(columns).unwrap();
            let mut out = ArrowWriter::try_new(File::create(&path).unwrap(), lines.schema(), Some(properties)).unwrap();
            out.write(&lines).unwrap();
            out.close().unwrap();
            Clks::read(&path, Form::Parquet, None)
        };
        for (id, codec) in ids.into_iter().zip(codecs) {
            let expect = if id.is_some() { ["5", "6"] } else { ["0", "1"] };
            let read =
                write(id.map(|id| ("id", id)).into_iter().chain([("clk", clk.clone())]).collect(), codec).unwrap();
            assert_eq!((&read.bytes, [read.id(0), read.id(1)]), (&clks.concat(), expect.map(str::to_owned)));
        }
        let refused = |name: &str, column: ArrayRef, words: &str| {
            let said = write(vec![(name, column)], Compression::UNCOMPRESSED).unwrap_err();
            let said = format!("{said:?}");
            assert!(said.contains(words), "{said}");
        };
        refused("filter", clk, "there is no column `clk`");
        refused("clk", Arc::new(Int64Array::from(vec![5, 6])), "column `clk` is of type Int64");
        refused(
            "clk",
            Arc::new(BinaryArray::from_opt_vec(vec![Some(b"12345678"), None])),
            "a value of `clk` is missing",
        );
        refused("clk", Arc::new(BinaryArray::from_vec(vec![b"12345678", b"1"])), "CLK 1 has 1 bytes, the first has 8");
    }
}
