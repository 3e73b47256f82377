//! Planted values and secrets: whatever a process of a test says is searched for them, wherever the harness reads it.

use std::cell::RefCell;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;

use crate::{bucket, postgres};

/// What was planted: names, an address, numbers, phones and amounts of the journey's people.
pub const PLANTED: &[&str] = &[
    "欧阳若曦",
    "司徒远航",
    "百里无忧",
    "长河路1号101",
    "12000000001",
    "12000000003",
    "70123.45",
    "123456.78",
    "99010119800101123",
];

/// A value as it might stand somewhere: UTF-8, UTF-16 either way, GB18030, hexadecimal, base64 at each alignment.
pub fn forms(value: &[u8], text: Option<&str>) -> Vec<Vec<u8>> {
    let mut forms = vec![value.to_vec()];
    if let Some(text) = text {
        let utf16: Vec<u16> = text.encode_utf16().collect();
        forms.push(utf16.iter().flat_map(|unit| unit.to_le_bytes()).collect());
        forms.push(utf16.iter().flat_map(|unit| unit.to_be_bytes()).collect());
        forms.push(encoding_rs::GB18030.encode(text).0.into_owned());
    }
    let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
    forms.push(hex.to_uppercase().into_bytes());
    forms.push(hex.into_bytes());
    for shift in 0..3 {
        let shifted = [&vec![0; shift][..], value].concat();
        let encoded = BASE64.encode(&shifted).into_bytes();
        let (first, last) = (if shift == 0 { 0 } else { shift + 1 }, usize::from(!shifted.len().is_multiple_of(3)));
        forms.push(encoded[first..encoded.len() - last].to_vec());
    }
    forms
}

pub struct Search {
    automaton: AhoCorasick,
    needles: Vec<(String, Vec<u8>)>,
}

impl Search {
    pub fn new(needles: Vec<(String, Vec<u8>)>) -> Self {
        let automaton = AhoCorasick::new(needles.iter().map(|(_, bytes)| bytes)).unwrap();
        Self { automaton, needles }
    }

    pub fn bytes(&self, bytes: &[u8]) -> Vec<String> {
        self.automaton.find_iter(bytes).map(|found| self.needles[found.pattern()].0.clone()).collect()
    }

    pub fn folder(&self, folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries
            .flat_map(|path| if path.is_dir() { self.folder(&path) } else { self.bytes(&std::fs::read(path).unwrap()) })
            .collect()
    }

    pub fn memory(&self, pid: u32) -> Vec<String> {
        let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
        let mut memory = std::fs::File::open(format!("/proc/{pid}/mem")).unwrap();
        let mut found = Vec::new();
        for line in maps.lines() {
            let (range, rest) = line.split_once(' ').unwrap();
            if !rest.starts_with('r') || rest.contains("[vvar") || rest.contains("[vsyscall]") {
                continue;
            }
            let (start, end) = range.split_once('-').unwrap();
            let (start, end) = (u64::from_str_radix(start, 16).unwrap(), u64::from_str_radix(end, 16).unwrap());
            let mut bytes = vec![0; (end - start) as usize];
            if memory.seek(SeekFrom::Start(start)).and_then(|_| memory.read_exact(&mut bytes)).is_ok() {
                found.extend(self.bytes(&bytes));
            }
        }
        found
    }
}

pub fn planted() -> Vec<(String, Vec<u8>)> {
    let named = |value: &&str| {
        forms(value.as_bytes(), Some(value)).into_iter().map(|form| ((*value).to_owned(), form)).collect::<Vec<_>>()
    };
    PLANTED.iter().flat_map(named).collect()
}

/// What the processes of one test may not say.
struct Unsayable {
    needles: Vec<(String, Vec<u8>)>,
    /// None: something was planted since.
    search: Option<Search>,
}

impl Unsayable {
    fn new(needles: Vec<(String, Vec<u8>)>) -> RefCell<Self> {
        RefCell::new(Self { needles, search: None })
    }

    fn plant(&mut self, needles: Vec<(String, Vec<u8>)>) {
        self.needles.extend(needles);
        self.search = None;
    }

    fn find(&mut self, bytes: &[u8]) -> Vec<String> {
        self.search.get_or_insert_with(|| Search::new(self.needles.clone())).bytes(bytes)
    }
}

thread_local! {
    // a test has a thread of its own
    static PEOPLE: RefCell<Unsayable> = Unsayable::new(planted());
    static SECRETS: RefCell<Unsayable> = Unsayable::new(
        [of("the bucket's secret", bucket::SECRET.as_bytes()), of("the database's password", postgres::PASSWORD.as_bytes())]
            .concat(),
    );
}

fn of(name: &str, value: &[u8]) -> Vec<(String, Vec<u8>)> {
    forms(value, None).into_iter().map(|form| (name.to_owned(), form)).collect()
}

/// A key file, whose name ends in `.key`: 32 bytes, or PEM.
pub fn plant_key(path: &Path) {
    let (bytes, name) = (std::fs::read(path).unwrap(), path.file_name().unwrap().to_string_lossy().into_owned());
    let Some(pem) = bytes.starts_with(b"-----").then(|| String::from_utf8(bytes.clone()).unwrap()) else {
        return SECRETS.with_borrow_mut(|secrets| secrets.plant(of(&name, &bytes)));
    };
    let lines = pem.lines().filter(|line| line.len() > 30 && !line.starts_with('-'));
    let lines = lines.map(|line| (name.clone(), line.as_bytes().to_vec())).collect();
    SECRETS.with_borrow_mut(|secrets| secrets.plant(lines));
}

/// All key files of a folder.
pub fn plant_keys(folder: &Path) {
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|kind| kind == "key")).for_each(|path| plant_key(&path));
}

/// Rows of a made-up register that are planted: more cost more than they find.
const ROWS: usize = 40;

/// People of a made-up city: what of a row is long enough to be nobody else's.
pub fn plant_people(csv: &Path) {
    let text = std::fs::read_to_string(csv).unwrap();
    let mut lines = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let header = lines.next().unwrap();
    let told = |column: &str| matches!(column, "name" | "id_no" | "phone" | "address");
    for row in lines.take(ROWS) {
        let values = header.iter().zip(row).filter(|(column, value)| told(column) && value.chars().count() >= 3);
        for (_, value) in values {
            let forms = forms(value.as_bytes(), Some(value)).into_iter().map(|form| (value.to_owned(), form)).collect();
            PEOPLE.with_borrow_mut(|people| people.plant(forms));
        }
    }
}

/// Nothing that was planted is in what somebody said, on standard error or standard output: what a party knows of people goes to
/// files, and on standard output go counts, ids and public keys.
#[track_caller]
pub fn nothing_in(what: &str, bytes: &[u8]) {
    let found = PEOPLE.with_borrow_mut(|people| people.find(bytes));
    assert!(found.is_empty(), "{what} holds {found:?}");
    no_secret_in(what, bytes);
}

/// For standard output of `office check` alone, which shows an officer the household that was asked about.
#[track_caller]
pub fn no_secret_in(what: &str, bytes: &[u8]) {
    let found = SECRETS.with_borrow_mut(|secrets| secrets.find(bytes));
    assert!(found.is_empty(), "{what} holds {found:?}");
}

/// A file that a process goes on writing, searched from where it was when the process began.
pub struct Followed(File);

impl Followed {
    pub fn from_its_end(path: &Path) -> Self {
        let mut file = File::open(path).unwrap();
        file.seek(SeekFrom::End(0)).unwrap();
        Self(file)
    }

    /// What has come since the last look. A test that fails already is not failed once more.
    pub fn look(&mut self, what: &str) {
        let mut bytes = Vec::new();
        self.0.read_to_end(&mut bytes).unwrap();
        if !std::thread::panicking() {
            nothing_in(what, &bytes);
        }
    }
}

#[test]
fn what_is_planted_is_found_in_whatever_form_it_is_said() {
    let said = |text: String| std::panic::catch_unwind(move || nothing_in("this", text.as_bytes())).is_err();
    assert!(!said("nothing of anybody".into()));
    for value in [PLANTED[0], bucket::SECRET, postgres::PASSWORD] {
        let hex: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
        assert!(said(format!("A line with {value} in it")) && said(format!("key={hex};")), "{value}");
        assert!(said(format!("{{\"bytes\":\"{}\"}}", BASE64.encode(format!("x{value}")))), "{value}");
    }
    let project = crate::harness::Project::new();
    for name in ["linkage.key", "bank.signing.key", "office.opening.key", "log.key"] {
        let key = std::fs::read(project.path(name)).unwrap();
        assert!(said(key.iter().map(|byte| format!("{byte:02X}")).collect()), "{name}");
    }
    let pem = std::fs::read_to_string(project.path("pki/server.key")).unwrap();
    assert!(said(pem.lines().nth(1).unwrap().into()));
}
