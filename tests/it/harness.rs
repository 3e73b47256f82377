//! A project in a temporary folder: keys, certificates, a signed manifest, a running server.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use hedui_protocol::sign::SigningKey;

use crate::bucket::Bucket;
use crate::leaks::{self, Followed};
use crate::postgres::{self, Postgres};

pub const AGENCIES: [&str; 2] = ["bank", "vehicle"];
pub const OFFICE: &str = "civil-affairs";
/// An office that asks nothing, and must see nothing.
pub const OTHER_OFFICE: &str = "elsewhere";

/// The file with the database's password.
static PASSFILE: LazyLock<PathBuf> = LazyLock::new(|| {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pgpass");
    let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap()).unwrap();
    writeln!(file, "*:*:*:hedui:{}", postgres::PASSWORD).unwrap();
    file.persist(&path).unwrap();
    path
});

pub fn hedui() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hedui"));
    command.stdin(Stdio::null()).env("PGPASSFILE", &*PASSFILE);
    command
}

/// What a command said.
pub struct Said {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Said {
    #[track_caller]
    pub fn of(output: &Output) -> Self {
        leaks::nothing_in("standard output", &output.stdout);
        Self::of_the_office(output)
    }

    /// What a command said whose standard output is an officer's.
    #[track_caller]
    pub fn of_the_office(output: &Output) -> Self {
        leaks::no_secret_in("standard output", &output.stdout);
        leaks::nothing_in("standard error", &output.stderr);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    #[track_caller]
    pub fn done(self) -> Self {
        assert_eq!(self.code, Some(0), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// The command refused with this exit code, and said this.
    #[track_caller]
    pub fn refused(self, code: i32, words: &str) -> Self {
        assert_eq!(self.code, Some(code), "stderr: {}", self.stderr);
        assert!(self.stderr.contains(words), "`{words}` is not in: {}", self.stderr);
        self
    }
}

/// Waits until something is so.
#[track_caller]
pub fn until(is_so: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !is_so() {
        assert!(start.elapsed().as_secs() < 60, "it is not so after a minute");
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
}

pub fn run(arguments: &[&str]) -> Said {
    Said::of(&hedui().args(arguments).output().unwrap())
}

/// The files of one project.
pub struct Project {
    pub folder: tempfile::TempDir,
    /// None: its server keeps everything in its folder.
    pub stores: Option<Stores>,
}

/// A PostgreSQL and a bucket that servers share.
pub struct Stores {
    pub postgres: Postgres,
    pub bucket: Bucket,
    pub database: String,
}

/// Runs each test twice: with SQLite and a folder, and with PostgreSQL and a bucket.
macro_rules! on_both_stores {
    ($($test:ident),* $(,)?) => {
        mod on_a_folder {
            $(#[test] fn $test() { super::$test($crate::harness::Project::new()); })*
        }
        mod on_shared_stores {
            $(#[test] fn $test() { super::$test($crate::harness::Project::new().on_shared_stores()); })*
        }
    };
}
pub(crate) use on_both_stores;

impl Project {
    /// Keys, certificates and a manifest that all parties have signed.
    pub fn new() -> Self {
        let project = Self::unsigned();
        for party in AGENCIES.into_iter().chain([OFFICE, OTHER_OFFICE]) {
            project.sign(party).done();
        }
        project
    }

    /// Its servers use a PostgreSQL and a bucket.
    pub fn on_shared_stores(self) -> Self {
        let (postgres, bucket) = (Postgres::start_with_password(), Bucket::start());
        let database = postgres.database("hedui");
        Self { stores: Some(Stores { postgres, bucket, database }), ..self }
    }

    pub fn store_arguments(&self) -> Vec<String> {
        let Some(Stores { bucket, database, .. }) = &self.stores else { return Vec::new() };
        [vec!["--database".into(), database.clone()], bucket.arguments(self)].concat()
    }

    pub fn unsigned() -> Self {
        let project = Self { folder: tempfile::tempdir().unwrap(), stores: None };
        let key = |kind: &str, name: &str| {
            let file = project.text(name);
            run(&["key", "new", "--kind", kind, &file]).done().stdout.trim().to_owned()
        };
        let check = key("linkage", "linkage.key");
        key("log", "log.key");
        run(&["pki", "init", &project.text("pki")]).done();
        for (name, role) in [
            ("server", "server"),
            ("operator", "operator"),
            ("bank", "agency"),
            ("vehicle", "agency"),
            (OFFICE, "office"),
            (OTHER_OFFICE, "office"),
        ] {
            project.issue(name, role);
        }
        for name in AGENCIES {
            let signing_key = key("signing", &format!("{name}.signing.key"));
            std::fs::write(project.path(&format!("{name}.toml")), agency(name, &signing_key)).unwrap();
        }
        for (name, file, deposits) in [(OFFICE, "office", true), (OTHER_OFFICE, "other", false)] {
            let signing_key = key("signing", &format!("{name}.signing.key"));
            let opening_key = key("office", &format!("{file}.opening.key"));
            let party = format!(
                "name = \"{name}\"\norganisation = \"Org {name}\"\nsigning_key = \"{signing_key}\"\nopening_key = \"{opening_key}\"\ndeposits = {deposits}\n"
            );
            std::fs::write(project.path(&format!("{file}.toml")), party).unwrap();
        }
        leaks::plant_keys(project.folder.path());
        leaks::plant_keys(&project.path("pki"));
        project.manifest("manifest.toml", "2026-11", &check).done();
        project
    }

    pub fn issue(&self, name: &str, role: &str) {
        // all of the operator's people are of one organisation
        let organisation = if role == "operator" { "Org operator".to_owned() } else { format!("Org {name}") };
        run(&["pki", "issue", &self.text("pki"), name, "--organisation", &organisation, "--role", role]).done();
        leaks::plant_key(&self.path(&format!("pki/{name}.key")));
    }

    pub fn manifest(&self, name: &str, epoch: &str, check: &str) -> Said {
        self.manifest_with(name, epoch, check, &["--schema", "resident-cn"])
    }

    /// A manifest of the parties' files, with a schema and whatever else `more` says.
    pub fn manifest_with(&self, name: &str, epoch: &str, check: &str, more: &[&str]) -> Said {
        let file = |name: &str| self.text(name);
        let log_key = run(&["key", "show", "--kind", "log", &file("log.key")]).done().stdout;
        let parties = [
            "manifest",
            "new",
            "--project",
            "test",
            "--purpose",
            "test",
            "--epoch",
            epoch,
            "--programme",
            "dibao",
            "--linkage-key-check",
            check,
            "--log-key",
            log_key.trim(),
            "--agency",
            &file("bank.toml"),
            "--agency",
            &file("vehicle.toml"),
            "--office",
            &file("office.toml"),
            "--office",
            &file("other.toml"),
            "--out",
            &file(name),
        ];
        run(&[&parties, more].concat())
    }

    pub fn sign(&self, party: &str) -> Said {
        let (manifest, key) = (self.text("manifest.toml"), self.text(&format!("{party}.signing.key")));
        run(&["manifest", "sign", "--manifest", &manifest, "--party", party, "--signing-key", &key])
    }

    pub fn signing_key(&self, party: &str) -> SigningKey {
        SigningKey::try_from(std::fs::read(self.path(&format!("{party}.signing.key"))).unwrap().as_slice()).unwrap()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> String {
        std::fs::write(self.path(name), contents).unwrap();
        self.text(name)
    }

    pub fn server(&self) -> Server {
        Server::start(self, "127.0.0.1:0")
    }

    /// `hedui agency VERB` with everything it needs but the server.
    pub fn agency(&self, verb: &str, agency: &str, more: &[&str]) -> Command {
        let mut command = hedui();
        command.args(["agency", verb]).args(more);
        command.args(["--manifest", &self.text("manifest.toml")]);
        if matches!(verb, "encode" | "answer" | "check") {
            command.args(["--agency", agency]);
        }
        if verb == "encode" {
            command.args(["--key-file", &self.text("linkage.key")]);
        }
        if matches!(verb, "encode" | "answer") {
            command.args(["--signing-key", &self.text(&format!("{agency}.signing.key"))]);
        }
        command
    }

    pub fn encode(&self, agency: &str, data: &str, out: &str) -> Said {
        Said::of(&self.agency("encode", agency, &[data, "--out", &self.text(out)]).output().unwrap())
    }

    pub fn submit(&self, agency: &str, folder: &str, server: &Server) -> Said {
        let mut command = self.agency("submit", agency, &[&self.text(folder)]);
        Said::of(&command.args(server.arguments(self, agency)).output().unwrap())
    }

    /// Both agencies encode their files and submit them.
    pub fn submit_both(&self, bank: &str, vehicle: &str, server: &Server) {
        for (agency, data) in AGENCIES.into_iter().zip([bank, vehicle]) {
            self.encode(agency, data, agency).done();
            self.submit(agency, agency, server).done();
        }
    }

    /// The main job to its end: both agencies submit, the office asks, the vehicle register answers, reports are written.
    pub fn journey(&self, (office, bank, vehicle): &(String, String, String), server: &Server) {
        self.submit_both(bank, vehicle, server);
        self.office("request", server, &[office]).done();
        // once they are matched, the vehicle register is asked
        self.office("fetch", server, &[]).done();
        self.answer("vehicle", vehicle, server).done();
        self.office("fetch", server, &[]).done();
        self.office("report", server, &[]).done();
    }

    pub fn answer(&self, agency: &str, data: &str, server: &Server) -> Said {
        let mut command = self.agency("answer", agency, &[data]);
        Said::of(&command.args(server.arguments(self, agency)).output().unwrap())
    }

    /// `hedui office VERB` with everything it needs; `items` are asked by `request`.
    pub fn office(&self, verb: &str, server: &Server, more: &[&str]) -> Said {
        Said::of(&self.office_at(&server.parties, verb, more).output().unwrap())
    }

    /// The same as a command, for a server at this address.
    pub fn office_at(&self, url: &str, verb: &str, more: &[&str]) -> Command {
        let mut command = hedui();
        command.args(["office", verb]).args(more).args(["--state", &self.text("state")]);
        command.args(["--manifest", &self.text("manifest.toml")]);
        if matches!(verb, "request" | "report" | "withdraw") {
            command.args(["--office", OFFICE]);
        }
        if matches!(verb, "request" | "report") {
            command.args(["--key-file", &self.text("linkage.key")]);
        }
        if matches!(verb, "request" | "withdraw") {
            command.args(["--signing-key", &self.text("civil-affairs.signing.key")]);
        }
        if verb == "report" {
            command.args(["--opening-key", &self.text("office.opening.key"), "--out", &self.text("reports")]);
        } else {
            // what is queued may wait for the lease of a worker that is no more
            let wait = if verb == "fetch" { 60 } else { 20 };
            command.args(self.reach_for(url, OFFICE, wait));
        }
        if verb == "request" {
            command.args(["--programme", "dibao", "--item", "bank.deposits=L3", "--item", "vehicle.vehicles=L3"]);
            command.args(["--scope-letter", "B=bank", "--scope-letter", "V=vehicle"]);
            command.args(["--scope-letter", "T=tax", "--scope-letter", "H=housing"]);
        }
        command
    }

    /// How a party reaches a server.
    pub fn reach(&self, url: &str, party: &str) -> Vec<String> {
        self.reach_for(url, party, 20)
    }

    /// The same, with so many seconds to wait.
    fn reach_for(&self, url: &str, party: &str, wait: u32) -> Vec<String> {
        let mut arguments = vec!["--server".to_owned(), url.to_owned(), "--wait".into(), wait.to_string()];
        arguments.extend(tls(self, party));
        arguments
    }

    /// A household's report, parsed.
    pub fn report(&self, household: &str) -> serde_json::Value {
        let path = self.path("reports").join(format!("report-{household}.json"));
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    }
}

fn agency(name: &str, signing_key: &str) -> String {
    let (release, item) = match name {
        "bank" => (
            "deposit",
            "name = \"deposits\"\ntitle = \"Deposits\"\ntitle_zh = \"存款\"\nlevels = [\"L1\", \"L3\"]\ncolumns = [\"accounts\", \"balance\"]\nmeasure = \"balance\"\nlimit = 50000.0\nbucket = 128",
        ),
        _ => (
            "on-match",
            "name = \"vehicles\"\ntitle = \"Vehicles\"\ntitle_zh = \"车辆\"\nlevels = [\"L3\"]\ncolumns = [\"vehicles\", \"vehicle_price\"]\nbucket = 128",
        ),
    };
    format!(
        "name = \"{name}\"\norganisation = \"Org {name}\"\nsigning_key = \"{signing_key}\"\nrelease = \"{release}\"\n\n[[item]]\n{item}\n"
    )
}

/// A running linkage server; killed when dropped.
pub struct Server {
    pub child: Child,
    pub parties: String,
    pub operator: String,
    pub log: PathBuf,
    said: Followed,
}

impl AsRef<str> for Server {
    fn as_ref(&self) -> &str {
        &self.parties
    }
}

impl Server {
    pub fn start(project: &Project, listen: &str) -> Self {
        Self::spawn(project, Self::command(project, "server", listen))
    }

    /// A server with `folder` for its files.
    pub fn command(project: &Project, folder: &str, listen: &str) -> Command {
        let mut command = hedui();
        let (data, manifest) = (project.text(folder), project.text("manifest.toml"));
        command.args(["server", "run", "--data", &data, "--manifest", &manifest]).args(project.store_arguments());
        command.args(["--log-key", &project.text("log.key")]);
        command.args(["--listen", listen, "--operator-listen", "127.0.0.1:0"]).args(tls(project, "server"));
        command
    }

    pub fn spawn(project: &Project, mut command: Command) -> Self {
        let log = project.path("server.log");
        let file = File::options().create(true).append(true).open(&log).unwrap();
        let said = Followed::from_its_end(&log);
        let mut child = command.stdout(Stdio::piped()).stderr(file).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        leaks::nothing_in("a server's first line", line.as_bytes());
        let ready: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|_| {
            panic!("the server did not start: {}", std::fs::read_to_string(&log).unwrap_or_default())
        });
        // a worker has no address for parties
        let url = |name: &str| format!("https://{}", ready[name].as_str().unwrap_or_default());
        Self { child, parties: url("parties"), operator: url("operator"), log, said }
    }

    pub fn arguments(&self, project: &Project, party: &str) -> Vec<String> {
        project.reach(&self.parties, party)
    }

    /// The address without `https://`, to start again on the same port.
    pub fn address(&self) -> &str {
        self.parties.trim_start_matches("https://")
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends a signal, and waits for the server's own end.
    pub fn signal(&mut self, name: &str) -> Option<i32> {
        signal(&self.child, name);
        self.child.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.said.look("a server's log");
    }
}

/// The same command, with other seconds to wait while the server does not answer.
pub fn with_patience(command: &Command, seconds: u32) -> Command {
    let mut again = hedui();
    let mut is_wait = false;
    for argument in command.get_args() {
        if is_wait {
            again.arg(seconds.to_string())
        } else {
            again.arg(argument)
        };
        is_wait = argument == "--wait";
    }
    again
}

/// What a command says that must end by itself in this time.
#[track_caller]
pub fn within(longest: Duration, mut command: Command) -> Said {
    let (folder, since) = (tempfile::tempdir().unwrap(), Instant::now());
    let said =
        |name: &str| File::options().create(true).append(true).read(true).open(folder.path().join(name)).unwrap();
    let mut child = command.stdout(said("out")).stderr(said("err")).spawn().unwrap();
    let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Said::of(&Output { status, stdout: read("out"), stderr: read("err") });
        }
        if since.elapsed() > longest {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("it goes on for more than {longest:?}: {}", String::from_utf8_lossy(&read("err")));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub fn signal(child: &Child, name: &str) {
    Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap();
}

pub fn tls(project: &Project, name: &str) -> Vec<String> {
    let file = |name: String| project.path("pki").join(name).to_str().unwrap().to_owned();
    let pairs =
        [("--tls-cert", format!("{name}.crt")), ("--tls-key", format!("{name}.key")), ("--tls-ca", "ca.crt".into())];
    pairs.into_iter().flat_map(|(option, name)| [option.to_owned(), file(name)]).collect()
}

/// The text of a file of the repository.
pub fn repository(path: &str) -> String {
    let mut text = String::new();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    File::open(path).unwrap().read_to_string(&mut text).unwrap();
    text
}
