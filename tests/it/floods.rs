//! Floods: idle, slow, endless and inflated; the server keeps its memory, and goes on serving whoever else comes.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arrow_array::{ArrayRef, BinaryArray, FixedSizeBinaryArray, RecordBatch};
use hedui::transport::tls::Identity;
use hedui_protocol::ids::ContentHash;
use hedui_protocol::part::{BatchHeader, PartInfo, batch_id};
use hedui_protocol::sign::{Purpose, Signed};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::audit::export;
use crate::harness::{OFFICE, Project, Server, on_both_stores, signal, until};
use crate::journey::files;

/// What the server may take beyond what it has when it starts, whatever comes.
const MEMORY_KIB: u64 = 256 << 10;
/// An honest client's request, beside any flood.
const SOON: Duration = Duration::from_secs(1);

on_both_stores! {
    ten_thousand_idle_connections_keep_nobody_out,
    who_drips_is_cut_off,
    heads_and_bodies_without_end_are_refused,
    a_part_that_would_unpack_to_a_gigabyte_is_refused_as_it_is,
}

type Tls = StreamOwned<ClientConnection, TcpStream>;

/// A party's side of connections that it makes by hand.
struct Raw {
    address: String,
    config: Arc<ClientConfig>,
}

impl Raw {
    fn new(project: &Project, server: &Server, party: &str) -> Self {
        let mut config = identity(project, party).client().unwrap();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self { address: server.address().to_owned(), config: Arc::new(config) }
    }

    fn tcp(&self) -> TcpStream {
        TcpStream::connect(&self.address).unwrap()
    }

    /// A connection whose handshake is done; none where the server closes it.
    fn connect(&self) -> Option<Tls> {
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let client = ClientConnection::new(Arc::clone(&self.config), name).unwrap();
        let mut tls = StreamOwned::new(client, self.tcp());
        while tls.conn.is_handshaking() {
            tls.conn.complete_io(&mut tls.sock).ok()?;
        }
        Some(tls)
    }

    /// What is answered to these bytes, and after how long; nothing where the connection is closed without an answer.
    fn ask(&self, bytes: &[u8]) -> (String, Duration) {
        let since = Instant::now();
        let mut tls = self.connect().expect("the handshake goes through");
        // the server may have closed it before all is sent
        let _ = tls.write_all(bytes).and_then(|()| tls.flush());
        (rest(&mut tls), since.elapsed())
    }
}

/// All that comes until the end, in time.
fn rest(tls: &mut Tls) -> String {
    tls.sock.set_read_timeout(Some(Duration::from_secs(100))).unwrap();
    let (mut all, mut some) = (Vec::new(), [0; 4096]);
    loop {
        match tls.read(&mut some) {
            Ok(0) => break,
            Ok(length) => all.extend_from_slice(&some[..length]),
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => panic!("the server lets the connection be"),
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&all).into_owned()
}

fn identity(project: &Project, party: &str) -> Identity {
    let file = |name: String| project.path("pki").join(name);
    Identity { certificate: file(format!("{party}.crt")), key: file(format!("{party}.key")), ca: file("ca.crt".into()) }
}

/// A line of `/proc/PID/status`, in KiB.
fn memory(server: &Server, line: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
    let line = status.lines().find(|text| text.starts_with(line)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn open_files(server: &Server) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", server.child.id())).unwrap().count()
}

/// The office, which asks on a connection of its own each time.
struct Honest {
    runtime: tokio::runtime::Runtime,
    tls: ClientConfig,
    url: String,
}

impl Honest {
    fn new(project: &Project, server: &Server) -> Self {
        let tls = identity(project, OFFICE).client().unwrap();
        Self { runtime: tokio::runtime::Runtime::new().unwrap(), tls, url: format!("{}/v1/project", server.parties) }
    }

    #[track_caller]
    fn is_served_soon(&self, beside: &str) {
        let client = reqwest::Client::builder().tls_backend_preconfigured(self.tls.clone()).no_proxy().build().unwrap();
        let since = Instant::now();
        let status = self.runtime.block_on(async { client.get(&self.url).send().await.map(|answer| answer.status()) });
        assert_eq!(status.unwrap(), 200, "{beside}");
        assert!(since.elapsed() < SOON, "served after {:?} beside {beside}", since.elapsed());
    }
}

/// The server's memory has stayed within its bound.
#[track_caller]
fn is_bounded(server: &Server, before: u64, beside: &str) {
    let grown = memory(server, "VmHWM").saturating_sub(before);
    println!("{beside}: {} MiB more than the {} MiB before", grown >> 10, before >> 10);
    assert!(grown < MEMORY_KIB, "{beside}: {grown} KiB");
}

/// This process holds the other end of every connection, and some files besides.
fn room_for(connections: u64) {
    let wanted = connections + 3000;
    let most = getrlimit(Resource::Nofile).maximum.map_or(wanted, |most| most.max(wanted));
    let limit = Rlimit { current: Some(wanted), maximum: Some(most) };
    let raised = setrlimit(Resource::Nofile, limit);
    assert!(raised.is_ok(), "{wanted} files must be open at once: `ulimit -Hn {wanted}`");
}

fn ten_thousand_idle_connections_keep_nobody_out(project: Project) {
    // a process may not have files enough for two of these
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let server = project.server();
    let honest = Honest::new(&project, &server);
    honest.is_served_soon("nothing");
    let (before, files_before) = (memory(&server, "VmRSS"), open_files(&server));

    let raw = Raw::new(&project, &server, "bank");
    room_for(10_000);
    let mut silent = Vec::new();
    for number in 0..10_000 {
        silent.push(raw.tcp());
        if number % 2000 == 1999 {
            honest.is_served_soon("connections that say nothing");
        }
    }
    honest.is_served_soon("connections that say nothing");
    is_bounded(&server, before, "10,000 connections that say nothing");
    let held = open_files(&server) - files_before;
    assert!(held < 1500, "{held} of 10,000 are held");
    assert_eq!(silent.len(), 10_000);

    // an agency that opens all it can gets its share, and the others theirs
    let inside: Vec<Tls> = (0..1500).filter_map(|_| raw.connect()).collect();
    honest.is_served_soon("connections of an agency that ask nothing");
    is_bounded(&server, before, "1,500 connections of an agency that ask nothing");
    let other = Raw::new(&project, &server, "vehicle");
    let (answer, _) = other.ask(b"GET /v1/project HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let log = std::fs::read_to_string(&server.log).unwrap();
    assert!(log.contains("Connections were closed, their organisation or all have too many"), "{log}");
    assert!(log.lines().count() < 50, "a flood of connections is one of log lines: {}", log.lines().count());

    // and all of them end by themselves
    let since = Instant::now();
    while open_files(&server) > files_before + 10 {
        assert!(since.elapsed() < Duration::from_secs(60), "{} are held", open_files(&server) - files_before);
        std::thread::sleep(Duration::from_millis(200));
    }
    println!("all were closed after {:?}", since.elapsed());
    drop((silent, inside));
}

fn who_drips_is_cut_off(project: Project) {
    let server = project.server();
    let raw = Raw::new(&project, &server, OFFICE);
    let honest = Honest::new(&project, &server);
    let head = "POST /v1/commissions HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n";
    // sends the beginning at once, then a byte of `more` a second
    let drips = |begin: String, more: u8| {
        let mut tls = raw.connect().unwrap();
        let since = Instant::now();
        tls.write_all(begin.as_bytes()).unwrap();
        tls.sock.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        let (mut answer, mut some) = (String::new(), [0; 4096]);
        loop {
            assert!(since.elapsed() < Duration::from_secs(40), "it goes on dripping: {answer}");
            match tls.read(&mut some) {
                Ok(0) => return (answer, since.elapsed()),
                Ok(length) => answer.push_str(&String::from_utf8_lossy(&some[..length])),
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return (answer, since.elapsed()),
            }
            let _ = tls.write_all(&[more]).and_then(|()| tls.flush());
        }
    };
    let handshake = || {
        let (mut tcp, since) = (raw.tcp(), Instant::now());
        // the beginning of a record with a ClientHello
        for byte in [22u8, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3].into_iter().chain(std::iter::repeat(7)) {
            if tcp.write_all(&[byte]).is_err() {
                return since.elapsed();
            }
            assert!(since.elapsed() < Duration::from_secs(30), "it goes on dripping");
            std::thread::sleep(Duration::from_secs(1));
        }
        unreachable!("bytes without end")
    };
    std::thread::scope(|scope| {
        let heads: Vec<_> =
            (0..50).map(|_| scope.spawn(|| drips("GET /v1/project HTTP/1.1\r\nx-long: ".into(), b'a'))).collect();
        let bodies: Vec<_> = (0..50).map(|_| scope.spawn(|| drips(format!("{head}\r\n"), b' '))).collect();
        let handshakes: Vec<_> = (0..50).map(|_| scope.spawn(handshake)).collect();
        std::thread::sleep(Duration::from_secs(5));
        honest.is_served_soon("150 that drip");
        for (answer, after) in bodies.into_iter().map(|body| body.join().unwrap()) {
            assert!(answer.contains("the body came too slowly"), "{answer}");
            assert!(after > Duration::from_secs(8) && after < Duration::from_secs(15), "{after:?}");
        }
        for after in handshakes.into_iter().map(|handshake| handshake.join().unwrap()) {
            assert!(after < Duration::from_secs(15), "{after:?}");
        }
        for (_, after) in heads.into_iter().map(|head| head.join().unwrap()) {
            assert!(after < Duration::from_secs(25), "{after:?}");
        }
    });
}

#[test]
fn a_connection_that_asks_nothing_ends() {
    let project = Project::new();
    let server = project.server();
    // HTTP/2 was agreed on: without a word, and with pings alone
    let mut raw = Raw::new(&project, &server, "bank");
    Arc::get_mut(&mut raw.config).unwrap().alpn_protocols = vec![b"h2".to_vec()];
    let mut silent = raw.connect().unwrap();
    let mut pinging = raw.connect().unwrap();
    pinging.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
    let since = Instant::now();
    pinging.sock.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let mut some = [0; 4096];
    loop {
        match pinging.read(&mut some) {
            Ok(0) => break,
            Ok(_) => {}
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
        assert!(since.elapsed() < Duration::from_secs(80), "pings keep it open");
        // an acknowledgement of settings and of pings, whichever is due: neither is a request
        let _ = pinging.write_all(b"\0\0\x08\x06\0\0\0\0\0abcdefgh").and_then(|()| pinging.flush());
    }
    println!("the pinging one was closed after {:?}", since.elapsed());
    rest(&mut silent);
    assert!(since.elapsed() < Duration::from_secs(80), "{:?}", since.elapsed());
}

fn heads_and_bodies_without_end_are_refused(project: Project) {
    let server = project.server();
    let honest = Honest::new(&project, &server);
    honest.is_served_soon("nothing");
    let before = memory(&server, "VmRSS");
    let raw = Raw::new(&project, &server, OFFICE);

    let many: String = (0..100_000).map(|number| format!("x-{number}: y\r\n")).collect();
    let long = format!("x-long: {}\r\n", "y".repeat(1 << 20));
    for head in [many, long] {
        let (answer, after) = raw.ask(format!("GET /v1/project HTTP/1.1\r\nhost: x\r\n{head}\r\n").as_bytes());
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
        assert!(after < Duration::from_secs(5), "{after:?}");
    }
    is_bounded(&server, before, "floods of headers");

    // its length is told: not a byte of it is waited for
    let head = "POST /v1/commissions HTTP/1.1\r\nhost: x\r\ncontent-length: 300000000\r\n\r\n";
    let (answer, after) = raw.ask(head.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(after < Duration::from_secs(2), "{after:?}");
    is_bounded(&server, before, "a body that is told to be too large");
    honest.is_served_soon("floods of headers and bodies");

    // its length is not told: as much as the limit is taken, once, and not a byte more
    let mut tls = raw.connect().unwrap();
    tls.write_all(b"POST /v1/commissions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
    let (chunk, mut sent) =
        ([format!("{:x}\r\n", 1 << 20).into_bytes(), vec![b' '; 1 << 20], b"\r\n".to_vec()].concat(), 0u64);
    while sent < 400 && tls.write_all(&chunk).is_ok() {
        sent += 1;
    }
    assert!(sent < 300, "{sent} MiB were taken");
    // the answer is lost where it meets what was still under way
    let answer = rest(&mut tls);
    assert!(answer.is_empty() || answer.contains("urn:hedui:problem:too-large"), "{answer}");
    let grown = memory(&server, "VmHWM") - before;
    println!("a body of {sent} MiB without a length: {} MiB", grown >> 10);
    assert!(grown < 700 << 10, "{grown} KiB");
}

/// A part of the bank's own, but for `encodings`: a megabyte a row, which take a few kilobytes in the file.
fn bomb(part: &std::path::Path, properties: WriterPropertiesBuilder) -> Vec<u8> {
    let from = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(part).unwrap()).unwrap();
    let says = from.metadata().file_metadata().key_value_metadata().cloned();
    let schema = Arc::clone(from.schema());
    let mut bytes = Vec::new();
    let properties = properties.set_key_value_metadata(says).build();
    let mut writer = ArrowWriter::try_new(&mut bytes, Arc::clone(&schema), Some(properties)).unwrap();
    let ids = FixedSizeBinaryArray::try_from_iter((0..10u8).map(|id| [id; 16])).unwrap();
    let megabytes = BinaryArray::from_iter_values(vec![vec![0u8; 1 << 20]; 10]);
    let nothing = Arc::new(BinaryArray::from_iter_values([[0u8; 0]; 10]));
    let columns: Vec<ArrayRef> = vec![Arc::new(ids), Arc::new(megabytes), nothing.clone(), nothing];
    let ten = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
    for _ in 0..100 {
        writer.write(&ten).unwrap();
    }
    writer.close().unwrap();
    bytes
}

fn a_part_that_would_unpack_to_a_gigabyte_is_refused_as_it_is(project: Project) {
    let (_, bank, _) = files(&project);
    let server = project.server();
    project.encode("bank", &bank, "bank").done();
    project.submit("bank", "bank", &server).done();
    let honest = Honest::new(&project, &server);
    let before = memory(&server, "VmRSS");

    let signed: Signed = serde_json::from_slice(&std::fs::read(project.path("bank/batch.json")).unwrap()).unwrap();
    let key = project.signing_key("bank");
    let tls = identity(&project, "bank").client().unwrap();
    let client = reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build().unwrap();
    let plain = || WriterProperties::builder().set_dictionary_enabled(false);
    let bombs = [
        plain().set_compression(Compression::ZSTD(ZstdLevel::default())),
        WriterProperties::builder().set_dictionary_page_size_limit(4 << 20),
        plain().set_column_encoding("encodings".into(), Encoding::DELTA_BYTE_ARRAY),
    ];
    for properties in bombs {
        let bytes = bomb(&project.path("bank/part-00000.parquet"), properties);
        assert!(bytes.len() < 3 << 20, "{}", bytes.len());
        let mut header = BatchHeader::parse(&signed.bytes).unwrap();
        let hash = ContentHash::of(&bytes);
        header.parts = vec![PartInfo { number: 0, rows: 1000, bytes: bytes.len() as u64, hash }];
        header.records = 1000;
        let header = Signed::new(&key, Purpose::Batch, header.to_bytes());
        let size = bytes.len();
        let said = honest.runtime.block_on(async {
            let batches = format!("{}/v1/batches", server.parties);
            let created = client.post(&batches).body(serde_json::to_vec(&header).unwrap()).send().await.unwrap();
            assert_eq!(created.status(), 200);
            let part = format!("{batches}/{}/parts/0", batch_id(&header));
            client.put(part).body(bytes).send().await.unwrap().text().await.unwrap()
        });
        assert!(said.contains("the part is compressed, has a dictionary"), "{said}");
        is_bounded(&server, before, &format!("a part of {} KiB that would be 1000 MiB", size >> 10));
    }
    honest.is_served_soon("bombs");
}

#[test]
fn handshakes_that_fail_are_counted() {
    let project = Project::new();
    let server = project.server();
    let address = server.address();
    for _ in 0..500 {
        let mut tcp = TcpStream::connect(address).unwrap();
        tcp.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        // an alert, and the end
        let _ = tcp.read_to_end(&mut Vec::new());
    }
    let told = || -> Vec<u32> {
        let log = std::fs::read_to_string(&server.log).unwrap();
        let counts = log.split("TLS handshakes failed: ").skip(1).map(|line| line.split(',').next().unwrap().parse());
        counts.map(Result::unwrap).collect()
    };
    until(|| told().iter().sum::<u32>() == 500);
    assert!(told().len() < 5, "{:?}", told());
}

#[test]
fn refusals_without_end_are_not_entries_without_end() {
    let project = Project::new();
    project.issue("stranger", "agency");
    let mut server = project.server();
    let raw = Raw::new(&project, &server, "stranger");
    let ask = "GET /v1/project HTTP/1.1\r\nhost: x\r\n\r\n".repeat(1000);
    let last = "GET /v1/project HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let (answers, took) = raw.ask(format!("{ask}{last}").as_bytes());
    let answered = |status: &str| answers.matches(&format!("HTTP/1.1 {status}")).count();
    let most = 200 + 5 * (took.as_secs() as usize + 1);
    assert_eq!(answered("403") + answered("429"), 1001, "{answers}");
    assert!((200..=most).contains(&answered("403")), "{} in {took:?}", answered("403"));
    // who is refused nothing is served beside it
    Honest::new(&project, &server).is_served_soon("refusals without end");
    server.signal("TERM");
    export(&project, "log").done();
    let log = std::fs::read_to_string(project.path("log/entries.jsonl")).unwrap();
    assert_eq!(log.matches("\"refused\"").count(), answered("403") + 1);
    assert_eq!(log.matches("urn:hedui:problem:too-many-requests").count(), 1, "once a minute");
}

#[test]
fn what_is_under_way_is_finished_before_a_server_ends() {
    let project = Project::new();
    let (_, bank, _) = files(&project);
    project.encode("bank", &bank, "bank").done();
    let mut server = project.server();
    let raw = Raw::new(&project, &server, "bank");
    let header = std::fs::read(project.path("bank/batch.json")).unwrap();
    let mut slow = raw.connect().unwrap();
    let head = format!("POST /v1/batches HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", header.len());
    slow.write_all(head.as_bytes()).unwrap();
    for (second, piece) in header.chunks(header.len().div_ceil(8)).enumerate() {
        if second == 3 {
            signal(&server.child, "TERM");
        }
        std::thread::sleep(Duration::from_secs(1));
        slow.write_all(piece).and_then(|()| slow.flush()).unwrap();
    }
    let answer = rest(&mut slow);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
}

#[test]
fn an_answer_that_is_taken_slowly_goes_out_whole_before_a_server_ends() {
    let project = Project::new();
    project.issue("auditor", "auditor");
    let (office, ..) = files(&project);
    let mut server = project.server();
    // a ticket of some megabytes, more than the machine holds for a connection
    let text = std::fs::read_to_string(&office).unwrap();
    let (header, owner) = (text.lines().next().unwrap(), text.lines().last().unwrap());
    let own = |number| owner.replace("O3", &format!("P{number}")).replace("SQ3", &format!("SQ{number}")) + "\n";
    let list = project.write("list.csv", format!("{header}\n{}", (0..30_000).map(own).collect::<String>()));
    project.office("request", &server, &[&list, "--together"]).done();
    let mut slow = Raw::new(&project, &server, "auditor").connect().unwrap();
    slow.write_all(b"GET /v1/log?from=0 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    slow.flush().unwrap();
    let mut first = [0; 1024];
    slow.read_exact(&mut first).unwrap();
    signal(&server.child, "TERM");
    std::thread::sleep(Duration::from_secs(8));
    let answer = String::from_utf8_lossy(&first).into_owned() + &rest(&mut slow);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse();
    assert!(body.len() > 6 << 20, "{} bytes", body.len());
    assert_eq!(Ok(body.len()), length);
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
}

#[test]
fn who_only_waits_keeps_no_server_from_ending() {
    let project = Project::new();
    let mut server = project.server();
    let raw = Raw::new(&project, &server, "bank");
    let (_tcp, _tls) = (raw.tcp(), raw.connect().unwrap());
    let ask = |path: &str| {
        let mut tls = raw.connect().unwrap();
        tls.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).unwrap();
        tls.flush().unwrap();
        tls
    };
    let (_kept, mut waits) = (ask("/v1/project"), ask("/v1/notices?wait=60"));
    std::thread::sleep(Duration::from_secs(1));
    let since = Instant::now();
    assert_eq!(server.signal("TERM"), Some(0));
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    let answer = rest(&mut waits);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
