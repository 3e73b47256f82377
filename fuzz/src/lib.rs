//! Every parser of bytes from outside, each as a function that takes any bytes: what they mean does not matter here, only
//! that the parser comes to an end with an answer. `cargo fuzz` and `tests/it/outside.rs` go in by the same doors.

use std::sync::LazyLock;

use bytes::Bytes;
use hedui::clk::file::{Clks, Form};
use hedui::parts::PartReader;
use hedui::table::{Encoding, Source, Table};
use hedui_protocol::encodings::{Encodings, Shape};
use hedui_protocol::log::{Checkpoint, Entry, Receipt, SignedCheckpoint};
use hedui_protocol::manifest::Manifest;
use hedui_protocol::messages as says;
use hedui_protocol::part::BatchHeader;
use hedui_protocol::payload::Payload;
use hedui_protocol::problem::Problem;
use hedui_protocol::schema::Schema;
use hedui_protocol::sign::{PublicKey, Signed};
use hedui_protocol::ticket::{Ticket, Withdrawal};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A parser, by the name of its folder in `corpus/`.
pub type Parser = (&'static str, fn(&[u8]));

pub const PARSERS: [Parser; 10] = [
    ("manifest", manifest),
    ("schema", schema),
    ("ticket", ticket),
    ("batch_header", batch_header),
    ("part", part),
    ("encodings", encodings),
    ("messages", messages),
    ("log_texts", log_texts),
    ("clk_file", clk_file),
    ("table", table),
];

pub fn manifest(bytes: &[u8]) {
    if let Ok(manifest) = Manifest::parse(bytes) {
        let _ = (manifest.id(), manifest.shape(), manifest.schema_hash(), manifest.schema.remarks());
        manifest.agencies.iter().for_each(|agency| assert!(agency.offers().count() < 1 << 20));
    }
}

pub fn schema(bytes: &[u8]) {
    if let Ok(schema) = std::str::from_utf8(bytes).map_err(drop).and_then(|text| Schema::parse(text).map_err(drop)) {
        let _ = (schema.validate(), schema.remarks(), schema.for_record_profile());
    }
}

pub fn ticket(bytes: &[u8]) {
    let _ = (again::<Ticket>(bytes), again::<Withdrawal>(bytes));
}

pub fn batch_header(bytes: &[u8]) {
    if let Ok(header) = BatchHeader::parse(bytes) {
        let _ = header.adds_up(65_536);
        assert_eq!(BatchHeader::parse(&header.to_bytes()).ok(), Some(header));
    }
}

/// A part is no longer in memory than the file is.
pub fn part(bytes: &[u8]) {
    let Ok(mut reader) = PartReader::open(Bytes::copy_from_slice(bytes)) else { return };
    let mut taken = 0;
    while let Ok(Some(rows)) = reader.next_rows() {
        taken += rows.iter().map(|row| row.encodings.len() + row.wraps.len() + row.locked.len()).sum::<usize>();
        // four columns, each of which may show the same pages
        assert!(taken <= 4 * bytes.len(), "{taken} bytes of {}", bytes.len());
    }
}

pub fn encodings(bytes: &[u8]) {
    static SHAPE: LazyLock<Shape> = LazyLock::new(|| {
        let manifest = Manifest::parse(include_bytes!("../corpus/manifest/project.toml"));
        manifest.expect("the corpus has a manifest that reads").shape()
    });
    let shape = &*SHAPE;
    if let Ok(encodings) = Encodings::parse(bytes, shape) {
        assert!(encodings.to_bytes() == bytes);
    }
}

/// A message by its name, and whether bytes read as one.
pub type Message = (&'static str, fn(&[u8]) -> bool);

pub const MESSAGES: [Message; 14] = [
    ("Project", again::<says::Project>),
    ("BatchStatus", again::<says::BatchStatus>),
    ("Proposal", again::<hedui_protocol::acts::Proposal>),
    ("ActStatus", again::<hedui_protocol::acts::ActStatus>),
    ("RetentionStatus", again::<hedui_protocol::acts::RetentionStatus>),
    ("CommissionRequest", again::<says::CommissionRequest>),
    ("CommissionStatus", again::<says::CommissionStatus>),
    ("AnswerPage", again::<says::AnswerPage>),
    ("Notices", again::<says::Notices>),
    ("Answers", again::<says::Answers>),
    ("Stored", again::<says::Stored>),
    ("LogPage", again::<says::LogPage>),
    ("Signed", again::<Signed>),
    ("Problem", again::<Problem>),
];

pub fn messages(bytes: &[u8]) {
    for (_, reads) in MESSAGES {
        let _ = reads(bytes);
    }
    if let Some(payload) = Payload::parse(bytes) {
        assert!(Payload::parse(&payload.to_bytes()).is_some());
    }
}

/// Receipts, entries and checkpoints of the server's log.
pub fn log_texts(bytes: &[u8]) {
    let (key, seen) = (PublicKey([7; 32]), Some(Checkpoint { size: 3, root: hedui_protocol::log::leaf_hash(b"x") }));
    if let Ok(receipt) = serde_json::from_slice::<Receipt>(bytes) {
        let _ = (receipt.check(&key, "x", None), receipt.check(&key, "x", seen));
        assert!(Receipt::from_header(&receipt.to_header()).is_ok());
    }
    if let Some(entry) = Entry::parse(bytes) {
        let _ = (entry.event.what(), entry.event.commission(), entry.event.batch(), entry.event.about());
        assert!(Entry::parse(&entry.to_bytes()).is_some());
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = (Receipt::from_header(text), SignedCheckpoint::from_text(text.to_owned()).open(&key, "x"));
}

pub fn clk_file(bytes: &[u8]) {
    in_a_file(bytes, "clks", |path| {
        for (form, bits) in [(Form::Json, None), (Form::Bin, Some(64)), (Form::Parquet, None)] {
            let _ = Clks::read(path, form, bits);
        }
    });
}

/// The first rows of an agency's or an office's file, CSV or Parquet.
pub fn table(bytes: &[u8]) {
    in_a_file(bytes, "table", |path| {
        for encoding in [None, Some(Encoding::Gb18030)] {
            let source = Source { path: path.to_owned(), encoding, separator: None };
            let Ok(mut table) = Table::open(&source) else { continue };
            while table.read() < 1000 && table.next_rows(100).is_ok_and(|rows| !rows.is_empty()) {}
        }
    });
}

/// Whether it reads at all; then it reads again from what it writes.
fn again<T: DeserializeOwned + Serialize>(bytes: &[u8]) -> bool {
    let Ok(message) = serde_json::from_slice::<T>(bytes) else { return false };
    let written = serde_json::to_vec(&message).expect("messages have only string keys");
    assert!(serde_json::from_slice::<T>(&written).is_ok());
    true
}

/// Parsers of files read one of this process's own.
fn in_a_file(bytes: &[u8], name: &str, parse: impl FnOnce(&std::path::Path)) {
    let folder = tempfile::tempdir().expect("there is room for a file");
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).expect("there is room for a file");
    parse(&path);
}
