//! Parts as Parquet files: the agency writes them, the server reads them (SPEC 10.2).

use std::sync::Arc;

use crate::guard::guarded;
use arrow_array::builder::{BinaryBuilder, FixedSizeBinaryBuilder};
use arrow_array::{Array as _, ArrayRef, BinaryArray, FixedSizeBinaryArray, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hedui_protocol::ids::{ManifestId, RecordId};
use hedui_protocol::part::{PartSeal, StoredRecord};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::{Compression, Encoding};
use parquet::column::page::Page;
use parquet::file::metadata::{KeyValue, ParquetMetaData};
use parquet::file::properties::WriterProperties;
use parquet::file::reader::ChunkReader;
use parquet::file::serialized_reader::SerializedPageReader;

/// What a part says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartMeta {
    pub manifest: ManifestId,
    pub agency: String,
    pub number: u32,
    pub seal: PartSeal,
}

#[derive(Debug, thiserror::Error)]
pub enum PartError {
    #[error("the part is no Parquet file: {0}")]
    Parquet(#[from] parquet::errors::ParquetError),
    #[error("the part is a damaged Parquet file")]
    Damaged,
    #[error("the part's columns are not record, encodings, wraps, locked")]
    Columns,
    /// What is packed may be anything once it is unpacked.
    #[error("the part is compressed, has a dictionary or another encoding than PLAIN, or a footer of more than {} KiB", FOOTER_BYTES >> 10)]
    Packed,
    #[error("the part's metadata lacks `{0}`, or it does not read")]
    Metadata(&'static str),
    #[error("row {row} of the part: {wrong}")]
    Row { row: u64, wrong: &'static str },
}

/// Writes one part into memory: it has at most `part_rows` rows.
pub fn write(meta: &PartMeta, rows: &[StoredRecord]) -> Result<Vec<u8>, PartError> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::UNCOMPRESSED) // ciphertext does not compress
        .set_dictionary_enabled(false)
        .set_statistics_enabled(parquet::file::properties::EnabledStatistics::None)
        .set_key_value_metadata(Some(key_values(meta)))
        .build();
    let bytes: usize = rows.iter().map(|row| row.encodings.len() + row.wraps.len() + row.locked.len() + 64).sum();
    let mut writer = ArrowWriter::try_new(Vec::with_capacity(bytes), columns(), Some(properties))?;
    for chunk in rows.chunks(8192) {
        writer.write(&batch(chunk))?;
    }
    Ok(writer.into_inner()?)
}

fn batch(rows: &[StoredRecord]) -> RecordBatch {
    let mut records = FixedSizeBinaryBuilder::with_capacity(rows.len(), 16);
    for row in rows {
        records.append_value(row.record.0).expect("record ids have 16 bytes");
    }
    let binary = |bytes: fn(&StoredRecord) -> &[u8]| -> ArrayRef {
        let mut builder = BinaryBuilder::with_capacity(rows.len(), rows.iter().map(|row| bytes(row).len()).sum());
        rows.iter().for_each(|row| builder.append_value(bytes(row)));
        Arc::new(builder.finish())
    };
    let arrays = vec![
        Arc::new(records.finish()) as ArrayRef,
        binary(|row| &row.encodings),
        binary(|row| &row.wraps),
        binary(|row| &row.locked),
    ];
    RecordBatch::try_new(columns(), arrays).expect("four columns of equal length")
}

fn columns() -> SchemaRef {
    let binary = |name| Field::new(name, DataType::Binary, false);
    let record = Field::new("record", DataType::FixedSizeBinary(16), false);
    Arc::new(Schema::new(vec![record, binary("encodings"), binary("wraps"), binary("locked")]))
}

fn key_values(meta: &PartMeta) -> Vec<KeyValue> {
    let encapsulations: Vec<String> = meta.seal.encapsulations.iter().map(|bytes| BASE64.encode(bytes)).collect();
    [
        ("hedui.manifest", meta.manifest.to_string()),
        ("hedui.agency", meta.agency.clone()),
        ("hedui.part", meta.number.to_string()),
        ("hedui.salt", BASE64.encode(meta.seal.salt)),
        ("hedui.encapsulations", encapsulations.join(" ")),
    ]
    .map(|(key, value)| KeyValue::new(key.to_owned(), value))
    .to_vec()
}

/// Longest footer: room for the encapsulations of ten thousand offices.
const FOOTER_BYTES: u64 = 1 << 20;

/// Reads a part row by row. What it takes in memory is no more than the part's own bytes: they stand there as they are.
pub struct PartReader {
    pub meta: PartMeta,
    batches: ParquetRecordBatchReader,
    rows_before: u64,
}

impl PartReader {
    pub fn open(file: impl ChunkReader + 'static) -> Result<Self, PartError> {
        guarded(|| Self::open_unguarded(file)).unwrap_or(Err(PartError::Damaged))
    }

    fn open_unguarded(file: impl ChunkReader + 'static) -> Result<Self, PartError> {
        refuse_long_footer(&file)?;
        // the Arrow schema that writers put beside the columns may say anything
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let metadata = ArrowReaderMetadata::load(&file, options)?;
        let file = refuse_packed(file, metadata.metadata())?;
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata);
        let shape = builder.schema().fields().iter().map(|field| (field.name(), field.data_type()));
        let expected = columns();
        if !shape.eq(expected.fields().iter().map(|field| (field.name(), field.data_type()))) {
            return Err(PartError::Columns);
        }
        let meta = read_meta(builder.metadata().file_metadata().key_value_metadata())?;
        Ok(Self { meta, batches: builder.with_batch_size(8192).build()?, rows_before: 0 })
    }

    /// The next rows; none after the last.
    pub fn next_rows(&mut self) -> Result<Option<Vec<StoredRecord>>, PartError> {
        let Some(batch) = guarded(|| self.batches.next()).ok_or(PartError::Damaged)? else { return Ok(None) };
        let batch = batch.map_err(|e| PartError::Parquet(e.into()))?;
        let rows = rows_of(&batch, self.rows_before)?;
        self.rows_before += rows.len() as u64;
        Ok(Some(rows))
    }
}

/// A few bytes of footer may stand for many in memory: its length is looked at before it is read.
fn refuse_long_footer(file: &impl ChunkReader) -> Result<(), PartError> {
    let Some(at) = file.len().checked_sub(8) else { return Ok(()) };
    let end = file.get_bytes(at, 8)?;
    let length = u32::from_le_bytes(end[..4].try_into().expect("eight bytes were read"));
    if u64::from(length) > FOOTER_BYTES { Err(PartError::Packed) } else { Ok(()) }
}

/// Looks at every page before any is decoded: a dictionary, a run or a prefix makes gigabytes of a few bytes.
fn refuse_packed<F: ChunkReader + 'static>(file: F, metadata: &ParquetMetaData) -> Result<F, PartError> {
    let file = Arc::new(file);
    for group in metadata.row_groups() {
        let rows = usize::try_from(group.num_rows()).map_err(|_| PartError::Damaged)?;
        for column in group.columns() {
            if column.compression() != Compression::UNCOMPRESSED || column.dictionary_page_offset().is_some() {
                return Err(PartError::Packed);
            }
            for page in SerializedPageReader::new(Arc::clone(&file), column, rows, None)? {
                let page = page?;
                let is_data = matches!(page, Page::DataPage { .. } | Page::DataPageV2 { .. });
                if !is_data || page.encoding() != Encoding::PLAIN {
                    return Err(PartError::Packed);
                }
            }
        }
    }
    Ok(Arc::into_inner(file).expect("the page readers are gone"))
}

fn rows_of(batch: &RecordBatch, rows_before: u64) -> Result<Vec<StoredRecord>, PartError> {
    let records = batch.column(0).as_any().downcast_ref::<FixedSizeBinaryArray>().ok_or(PartError::Columns)?;
    let binary = |column: usize| batch.column(column).as_any().downcast_ref::<BinaryArray>().ok_or(PartError::Columns);
    let (encodings, wraps, locked) = (binary(1)?, binary(2)?, binary(3)?);
    (0..batch.num_rows())
        .map(|row| {
            let record = RecordId::try_from(records.value(row)).map_err(|_| PartError::Row {
                row: rows_before + row as u64,
                wrong: "the record id is not 16 bytes",
            })?;
            let bytes = |array: &BinaryArray| array.value(row).to_vec();
            Ok(StoredRecord { record, encodings: bytes(encodings), wraps: bytes(wraps), locked: bytes(locked) })
        })
        .collect()
}

fn read_meta(pairs: Option<&Vec<KeyValue>>) -> Result<PartMeta, PartError> {
    let value = |key: &'static str| {
        let pair = pairs.into_iter().flatten().find(|pair| pair.key == key);
        pair.and_then(|pair| pair.value.as_deref()).ok_or(PartError::Metadata(key))
    };
    let bytes = |text: &str, key| BASE64.decode(text).map_err(|_| PartError::Metadata(key));
    let encapsulation = |text: &str| {
        let decoded = bytes(text, "hedui.encapsulations")?;
        <[u8; 32]>::try_from(decoded).map_err(|_| PartError::Metadata("hedui.encapsulations"))
    };
    let salt = bytes(value("hedui.salt")?, "hedui.salt")?;
    Ok(PartMeta {
        manifest: value("hedui.manifest")?.parse().map_err(|_| PartError::Metadata("hedui.manifest"))?,
        agency: value("hedui.agency")?.to_owned(),
        number: value("hedui.part")?.parse().map_err(|_| PartError::Metadata("hedui.part"))?,
        seal: PartSeal {
            salt: salt.try_into().map_err(|_| PartError::Metadata("hedui.salt"))?,
            encapsulations: value("hedui.encapsulations")?
                .split_whitespace()
                .map(encapsulation)
                .collect::<Result<_, _>>()?,
        },
    })
}

#[cfg(test)]
mod tests {
    use parquet::data_type::AsBytes as _;
    use proptest::prelude::*;

    use super::*;

    fn meta() -> PartMeta {
        let seal = PartSeal { salt: [1; 16], encapsulations: vec![[2; 32], [3; 32]] };
        PartMeta { manifest: ManifestId([4; 32]), agency: "bank".into(), number: 7, seal }
    }

    fn rows(count: u8) -> Vec<StoredRecord> {
        let row =
            |n| StoredRecord { record: RecordId([n; 16]), encodings: vec![n; 3], wraps: vec![], locked: vec![n; 5] };
        (0..count).map(row).collect()
    }

    fn read(bytes: Vec<u8>) -> Result<(PartMeta, Vec<StoredRecord>), PartError> {
        let mut reader = PartReader::open(parquet_bytes(bytes))?;
        let mut all = Vec::new();
        while let Some(rows) = reader.next_rows()? {
            all.extend(rows);
        }
        Ok((reader.meta, all))
    }

    fn parquet_bytes(bytes: Vec<u8>) -> bytes::Bytes {
        bytes.into()
    }

    #[test]
    fn a_part_reads_back() {
        let bytes = write(&meta(), &rows(200)).unwrap();
        let (got_meta, got_rows) = read(bytes).unwrap();
        assert_eq!((got_meta, got_rows), (meta(), rows(200)));
    }

    #[test]
    fn a_cut_part_is_refused() {
        let bytes = write(&meta(), &rows(20)).unwrap();
        for length in [0, 1, bytes.len() / 2, bytes.len() - 1] {
            assert!(read(bytes[..length].as_bytes().to_vec()).is_err(), "{length}");
        }
    }

    /// A part with one row repeated, written as somebody else might.
    fn packed(properties: WriterProperties, value: &[u8], count: usize) -> Vec<u8> {
        let row = StoredRecord { record: RecordId([1; 16]), encodings: value.to_vec(), wraps: vec![], locked: vec![] };
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, columns(), Some(properties)).unwrap();
        let rows = vec![row; 64.min(count)];
        for _ in 0..count / rows.len() {
            writer.write(&batch(&rows)).unwrap();
        }
        writer.close().unwrap();
        bytes
    }

    #[test]
    fn a_part_that_is_packed_is_refused_before_it_is_unpacked() {
        use parquet::basic::ZstdLevel;
        let plain = || {
            WriterProperties::builder().set_dictionary_enabled(false).set_key_value_metadata(Some(key_values(&meta())))
        };
        let refused = |properties: WriterProperties| {
            let bytes = packed(properties, &[7; 10_000], 6400);
            let error = read(bytes).unwrap_err();
            assert!(matches!(error, PartError::Packed), "{error}");
        };
        refused(plain().set_compression(Compression::ZSTD(ZstdLevel::default())).build());
        refused(plain().set_compression(Compression::SNAPPY).build());
        refused(plain().set_dictionary_enabled(true).build());
        for encoding in [Encoding::DELTA_BYTE_ARRAY, Encoding::DELTA_LENGTH_BYTE_ARRAY] {
            refused(plain().set_column_encoding("encodings".into(), encoding).build());
        }
        let bytes = packed(plain().build(), &[7; 100], 64);
        assert_eq!(read(bytes).unwrap().1.len(), 64);
        let long = KeyValue::new("x".to_owned(), "y".repeat(FOOTER_BYTES as usize));
        refused(plain().set_key_value_metadata(Some(vec![long])).build());
    }

    proptest! {
        #[test]
        fn a_changed_byte_never_panics(at in 0usize..2000, value in any::<u8>()) {
            let mut bytes = write(&meta(), &rows(20)).unwrap();
            let at = at % bytes.len();
            bytes[at] = value;
            let _ = read(bytes);
        }
    }
}
