//! A PostgreSQL whose disk is full, that of its tables or that of its journal: what was acknowledged stays, an office hears it,
//! and the same command goes through later.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use crate::audit::verify;
use crate::harness::{OFFICE, Project, Said, Server, hedui, with_patience};
use crate::interrupts::{all_is_reported, city};
use crate::postgres::path_of;

/// What of a PostgreSQL is on the file system that becomes full.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Full {
    Tables,
    Journal,
}

/// A PostgreSQL, part of which lies on a file system that a test makes small, in a mount namespace of its own. It is reached as
/// any other, by its socket.
struct Small<'p> {
    project: &'p Project,
    shell: Child,
    ask: ChildStdin,
    hear: BufReader<ChildStdout>,
    data: String,
}

impl<'p> Small<'p> {
    fn start(project: &'p Project, full: Full) -> Self {
        for folder in ["small", "large", "socket"] {
            std::fs::create_dir(project.path(folder)).unwrap();
        }
        let mut unshare = Command::new("unshare");
        let reads = "while read -r line; do eval \"$line\"; echo \"ended $?\"; done";
        unshare.args(["-rm", "sh", "-c", reads]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let said = std::fs::File::create(project.path("postgres.log")).unwrap();
        let mut shell = unshare.stderr(said).spawn().expect("unshare (util-linux) is there");
        let (ask, hear) = (shell.stdin.take().unwrap(), BufReader::new(shell.stdout.take().unwrap()));
        let (data, journal) = match full {
            Full::Tables => (project.text("small/tables"), project.text("large/journal")),
            Full::Journal => (project.text("large/tables"), project.text("small/journal")),
        };
        let mut small = Self { project, shell, ask, hear, data };
        let (data, made) = (small.data.clone(), path_of("initdb"));
        small.does(&format!("mount -t tmpfs -o size=400m,mode=0700 none {}", project.text("small")));
        // PostgreSQL does not run as root: in a user namespace within, this user is another
        small.does(&format!(
            "unshare -U --map-user=1000 --map-group=1000 {} --auth=trust --username=hedui --encoding=UTF8 --no-locale --no-sync \
             --wal-segsize=1 --waldir={journal} -D {data} >/dev/null",
            made.display()
        ));
        small.serve();
        small.sql("CREATE DATABASE hedui", "postgres");
        small
    }

    /// Runs a line of shell on its machine; what it prints.
    fn says(&mut self, line: &str) -> (String, String) {
        writeln!(self.ask, "{line}").unwrap();
        let mut said = String::new();
        loop {
            let mut more = String::new();
            assert!(self.hear.read_line(&mut more).unwrap() > 0, "the shell has ended: {line}");
            match more.strip_prefix("ended ") {
                Some(code) => return (said, code.trim().to_owned()),
                None => said.push_str(&more),
            }
        }
    }

    #[track_caller]
    fn does(&mut self, line: &str) -> String {
        let (said, code) = self.says(line);
        let log = || std::fs::read_to_string(self.project.path("postgres.log")).unwrap();
        assert_eq!(code, "0", "{line}: {}", log());
        said
    }

    /// Starts it, if it does not run.
    fn serve(&mut self) {
        let (data, socket) = (self.data.clone(), self.project.text("socket"));
        let settings = "-c listen_addresses= -c fsync=off -c full_page_writes=off -c max_connections=50 -c autovacuum=off \
                        -c min_wal_size=2MB -c max_wal_size=8MB";
        self.does(&format!(
            "if ! kill -0 $postgres 2>/dev/null; then rm -f {data}/postmaster.pid; \
             unshare -U --map-user=1000 --map-group=1000 {} -D {data} -k {socket} {settings} </dev/null >&2 & postgres=$!; fi",
            path_of("postgres").display()
        ));
        let since = Instant::now();
        while !Command::new(path_of("pg_isready")).args(["-qh", &socket]).status().unwrap().success() {
            assert!(since.elapsed() < Duration::from_secs(60), "PostgreSQL did not start");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn sql(&self, statement: &str, database: &str) -> String {
        let mut psql = Command::new(path_of("psql"));
        psql.args([
            "-XqAt",
            "-v",
            "ON_ERROR_STOP=1",
            "-U",
            "hedui",
            "-d",
            database,
            "-h",
            &self.project.text("socket"),
        ]);
        let said = psql.args(["-c", statement]).output().unwrap();
        assert!(said.status.success(), "psql: {}", String::from_utf8_lossy(&said.stderr));
        String::from_utf8(said.stdout).unwrap()
    }

    /// Leaves so many KiB.
    fn leave(&mut self, kib: u64) {
        let small = self.project.text("small");
        let used = self.does(&format!("df -k --output=used {small} | tail -1"));
        let size = used.trim().parse::<u64>().unwrap() + kib;
        self.does(&format!("mount -o remount,size={size}k {small}"));
    }

    fn enlarge(&mut self) {
        self.does(&format!("mount -o remount,size=400m {}", self.project.text("small")));
    }

    fn url(&self) -> String {
        format!("postgres://hedui@localhost/hedui?host={}", self.project.text("socket"))
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        let _ = writeln!(self.ask, "kill -QUIT $postgres; wait; exit");
        let _ = self.shell.wait();
    }
}

/// What of the office's journal the server has acknowledged.
fn acknowledged(project: &Project) -> usize {
    let journal = std::fs::read_to_string(project.path("state/commissions.jsonl")).unwrap_or_default();
    journal.lines().filter(|line| line.contains("\"filed\"")).count()
}

fn a_full_database_loses_nothing_that_was_acknowledged(full: Full, words: &str) {
    let project = Project::new();
    let city = city(&project, "4000");
    let mut postgres = Small::start(&project, full);
    let mut command = Server::command(&project, "server", "127.0.0.1:0");
    command.args(["--database", &postgres.url()]);
    let server = Server::spawn(&project, command);
    for agency in ["bank", "vehicle"] {
        project.encode(agency, &format!("{city}/{agency}.csv"), agency).done();
        project.submit(agency, agency, &server).done();
    }
    let office = format!("{city}/office.csv");
    let few: Vec<String> = std::fs::read_to_string(&office).unwrap().lines().take(20).map(str::to_owned).collect();
    project.office("request", &server, &[&project.write("few.csv", few.join("\n"))]).done();
    let before = acknowledged(&project);
    assert!(before > 0);

    postgres.leave(400);
    for time in ["the first time", "it stays full"] {
        let request = project.office_at(&server.parties, "request", &[&office]);
        let said = Said::of(&with_patience(&request, 2).output().unwrap());
        assert!(said.code == Some(75) && said.stderr.contains(words), "{time}: {:?} {}", said.code, said.stderr);
    }
    let said = std::fs::read_to_string(project.path("postgres.log")).unwrap();
    let journal_was_full = said.contains("could not write to file \"pg_wal/");
    assert!(said.contains("No space left on device") && journal_was_full == (full == Full::Journal), "{said}");
    if full == Full::Journal {
        // where it has not gone down by itself: it does so only in the midst of a write
        postgres.does("kill -QUIT $postgres 2>/dev/null; wait $postgres; true");
    }
    postgres.enlarge();
    postgres.serve();
    let held: usize = postgres.sql("SELECT COUNT(*) FROM commissions", "hedui").trim().parse().unwrap();
    assert!(held >= before, "{held} are held, {before} were acknowledged");
    project.office("request", &server, &[&office]).done();
    let filed = acknowledged(&project);
    let held: usize = postgres.sql("SELECT COUNT(*) FROM commissions", "hedui").trim().parse().unwrap();
    assert!(filed == held && filed > before, "{filed} filed, {held} held, {before} before");
    project.office("fetch", &server, &[]).done();
    project.answer("vehicle", &format!("{city}/vehicle.csv"), &server).done();
    project.answer("bank", &format!("{city}/bank.csv"), &server).done();
    project.office("fetch", &server, &[]).done();
    project.office("report", &server, &[]).done();
    all_is_reported(&project);
    assert_eq!(std::fs::read_dir(project.path("reports")).unwrap().count(), 2 * filed);
    // every receipt that a party got on the way is of the log as it is
    let places = ["--data", &project.text("server"), "--database", &postgres.url()];
    let verb = |verb: &[&str]| Said::of(&hedui().args(verb).args(places).output().unwrap());
    verb(&["audit", "export", "--out", &project.text("log")]).done();
    for party in [OFFICE, "bank", "vehicle"] {
        let receipts = project.text(&format!("pki/{party}.receipts.jsonl"));
        verify(&project.text("log"), &["--against", &receipts]).done();
    }
    verb(&["server", "doctor"]).done();
}

#[test]
fn a_database_whose_tables_cannot_grow_is_told_as_full() {
    let words = "the server's disk is full; nothing was stored";
    a_full_database_loses_nothing_that_was_acknowledged(Full::Tables, words);
}

#[test]
fn a_database_that_cannot_write_its_journal_goes_down_and_comes_back_whole() {
    a_full_database_loses_nothing_that_was_acknowledged(Full::Journal, "run the same command again");
}
