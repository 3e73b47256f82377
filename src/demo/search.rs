//! Searches everything of the server for values that it must never have had.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use hedui_protocol::encoder::Encoder;
use hedui_protocol::keys::LinkageKey;
use hedui_protocol::manifest::Manifest;

use super::children::{Children, Server};
use super::parties::{AGENCIES, Files, text};
use super::truth;
use crate::failure::{Failure, Outcome};
use crate::keyfile;
use crate::options::TlsFiles;
use crate::terminal;
use crate::transport::block_on;
use crate::transport::client::operators_page;

/// Rows of each file whose values are searched for.
const ROWS: usize = 60;
/// Shorter byte strings would be met by chance in memory full of random bytes.
const SHORTEST: usize = 8;
/// The same for base64, whose characters hold six bits and fill the stored answers.
const SHORTEST_BASE64: usize = 12;
const WINDOW: usize = 1 << 20;

/// How many planted values everything of the server holds.
pub fn search_server(children: &Children, server: &Server) -> Outcome<u64> {
    children.step("Searching the server's files, log, memory and answers for planted values");
    let files = children.files();
    let needles = not_in_program(needles(files)?)?;
    let search = Search::new(&needles)?;
    if search.memory(std::process::id())? == 0 || search.folder(&files.city)? == 0 {
        return Err(Failure::refused("the search does not find what is there; its result would mean nothing"));
    }
    let metrics = operator_metrics(files, server)?;
    let places = [
        ("memory", search.memory(server.pid())?),
        ("files", search.folder(&files.server)?),
        ("log", search.file(&files.logs.join("server.log"))?),
        ("answers", search.file(&files.office.join("answers.jsonl"))?),
        ("metrics", search.bytes(metrics.as_bytes())),
    ];
    for (place, hits) in places.iter().filter(|(_, hits)| *hits > 0) {
        terminal::note(format!("{hits} planted values were found in the server's {place}"));
    }
    Ok(places.iter().map(|(_, hits)| hits).sum())
}

fn operator_metrics(files: &Files, server: &Server) -> Outcome<String> {
    let file = |name: &str| files.pki.join(name);
    let tls = TlsFiles { tls_cert: file("operator.crt"), tls_key: file("operator.key"), tls_ca: file("ca.crt") };
    block_on(operators_page(&server.operator, &tls.identity(), "/metrics"))
}

/// Values of people, and secrets: as they are, and as they might have been written down.
fn needles(files: &Files) -> Outcome<Vec<Vec<u8>>> {
    let mut needles = Vec::new();
    for table in AGENCIES.into_iter().chain(["office"]) {
        for row in truth::rows(&files.table(table))?.into_iter().take(ROWS) {
            for column in ["name", "id_no", "phone", "address", "balance", "annual_income", "vehicle_price"] {
                if let Some(value) = row.get(column) {
                    add_text(&mut needles, value);
                }
            }
        }
    }
    for path in [files.linkage_key(), files.opening_key()] {
        add_secret(&mut needles, &keyfile::read(&path)?);
    }
    for key in wrap_keys(files)? {
        add_secret(&mut needles, &key);
    }
    needles.retain(|needle| needle.len() >= SHORTEST);
    needles.sort();
    needles.dedup();
    Ok(needles)
}

/// The program carries the table of names that the city is made of; what stands there proves nothing when it is found.
fn not_in_program(mut needles: Vec<Vec<u8>>) -> Outcome<Vec<Vec<u8>>> {
    let program = std::env::current_exe().map_err(|e| Failure::refused(format!("cannot find this program: {e}")))?;
    let program = super::read(&program)?;
    let automaton = AhoCorasick::new(&needles).map_err(Failure::refused)?;
    let known: std::collections::HashSet<usize> =
        automaton.find_overlapping_iter(&program).map(|found| found.pattern().as_usize()).collect();
    let mut number = 0;
    needles.retain(|_| {
        number += 1;
        !known.contains(&(number - 1))
    });
    Ok(needles)
}

/// The wrap keys of some of the bank's people.
fn wrap_keys(files: &Files) -> Outcome<Vec<[u8; 32]>> {
    let manifest = Manifest::parse(&super::read(&files.manifest)?).map_err(Failure::refused)?;
    let key = LinkageKey::new(&keyfile::read(&files.linkage_key())?).map_err(Failure::refused)?;
    let encoder = Encoder::new(&key, manifest.id(), &manifest.schema, "bank");
    let rows = truth::rows(&files.table("bank"))?;
    let keys = rows.iter().take(ROWS).flat_map(|row| {
        let cell = |field: &hedui_protocol::schema::Field| row.get(&field.name).map_or("", String::as_str);
        let cells: Vec<&str> = manifest.schema.fields.iter().map(cell).collect();
        let encoded = encoder.encode(&encoder.normalise(&cells));
        encoded.wrap_keys.into_iter().map(|(_, key)| key.dangerously_reveal())
    });
    Ok(keys.collect())
}

/// Short values stand everywhere by chance; they prove nothing.
fn add_text(needles: &mut Vec<Vec<u8>>, value: &str) {
    if value.len() < SHORTEST {
        return;
    }
    let utf16: Vec<u16> = value.encode_utf16().collect();
    needles.push(utf16.iter().flat_map(|unit| unit.to_le_bytes()).collect());
    needles.push(utf16.iter().flat_map(|unit| unit.to_be_bytes()).collect());
    needles.push(encoding_rs::GB18030.encode(value).0.into_owned());
    add_secret(needles, value.as_bytes());
}

/// As bytes, hexadecimal and base64 (at each of its three alignments).
fn add_secret(needles: &mut Vec<Vec<u8>>, bytes: &[u8]) {
    needles.push(bytes.to_vec());
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    needles.push(hex.to_uppercase().into_bytes());
    needles.push(hex.into_bytes());
    for shift in 0..3 {
        let shifted = [&vec![0; shift][..], bytes].concat();
        let encoded = BASE64.encode(&shifted);
        // the characters that depend on what stands before and after are left out
        let (first, last) = (if shift == 0 { 0 } else { shift + 1 }, if shifted.len() % 3 == 0 { 0 } else { 1 });
        let certain = &encoded.as_bytes()[first..encoded.len() - last];
        if certain.len() >= SHORTEST_BASE64 {
            needles.push(certain.to_vec());
        }
    }
}

/// All needles at once, in any bytes.
pub struct Search {
    automaton: AhoCorasick,
    longest: usize,
}

impl Search {
    pub fn new(needles: &[Vec<u8>]) -> Outcome<Self> {
        let automaton = AhoCorasick::new(needles).map_err(Failure::refused)?;
        Ok(Self { automaton, longest: needles.iter().map(Vec::len).max().unwrap_or(1) })
    }

    pub fn bytes(&self, bytes: &[u8]) -> u64 {
        self.automaton.find_iter(bytes).count() as u64
    }

    pub fn file(&self, path: &Path) -> Outcome<u64> {
        Ok(self.bytes(&super::read(path)?))
    }

    /// Every file below a folder.
    pub fn folder(&self, folder: &Path) -> Outcome<u64> {
        let unreadable = |e: &std::io::Error| Failure::file("read", folder, e);
        let mut hits = 0;
        for entry in std::fs::read_dir(folder).map_err(|e| unreadable(&e))? {
            let path = entry.map_err(|e| unreadable(&e))?.path();
            hits += if path.is_dir() { self.folder(&path)? } else { self.file(&path)? };
        }
        Ok(hits)
    }

    /// Every readable page of a live process.
    pub fn memory(&self, pid: u32) -> Outcome<u64> {
        let refused = |e: std::io::Error| Failure::refused(format!("cannot read the memory of process {pid}: {e}"));
        let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).map_err(refused)?;
        let mut memory = File::open(format!("/proc/{pid}/mem")).map_err(refused)?;
        Ok(maps.lines().filter_map(readable_range).map(|range| self.range(&mut memory, range)).sum())
    }

    fn range(&self, memory: &mut File, (start, end): (u64, u64)) -> u64 {
        let (mut hits, mut at) = (0, start);
        let mut window = vec![0; WINDOW + self.longest];
        while at < end {
            let length = usize::try_from(end - at).unwrap_or(usize::MAX).min(window.len());
            let read = memory.seek(SeekFrom::Start(at)).and_then(|_| memory.read_exact(&mut window[..length]));
            if read.is_ok() {
                // a needle that begins in the overlap is counted by the next window
                let found = self.automaton.find_iter(&window[..length]);
                hits += found.filter(|found| found.start() < WINDOW).count() as u64;
            }
            at += WINDOW as u64;
        }
        hits
    }
}

/// `start-end perms …`, where it can be read and is no device.
fn readable_range(line: &str) -> Option<(u64, u64)> {
    let (range, rest) = line.split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    let skipped = ["[vvar", "[vsyscall]", "/dev/"];
    if !rest.starts_with('r') || skipped.iter().any(|name| rest.contains(name)) {
        return None;
    }
    Some((u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?))
}

/// Where the demo's files are, for the summary.
pub fn places(files: &Files) -> Vec<(&'static str, String)> {
    vec![
        ("city and truth", text(&files.city)),
        ("what the agencies submitted", text(&files.encoded)),
        ("what the server holds", text(&files.server)),
        ("household reports", text(&files.reports)),
        ("the server's log", text(&files.log)),
    ]
}
