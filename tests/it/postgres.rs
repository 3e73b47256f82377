//! A PostgreSQL of its own for a test: the real one, in a temporary folder, reached over a Unix socket.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Of the database's user, where a test asks for one.
pub const PASSWORD: &str = "hedui-may-enter-by-this-alone";

pub struct Postgres {
    folder: tempfile::TempDir,
    running: Child,
}

impl Postgres {
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("pg").tempdir().unwrap();
        if let Some((uid, gid)) = not_root() {
            chown(folder.path(), Some(uid), Some(gid)).unwrap();
        }
        let data = folder.path().join("data");
        let made = program("initdb")
            .args(["--auth=trust", "--username=hedui", "--encoding=UTF8", "--no-locale", "--no-sync", "-D"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let running = serve(folder.path());
        Self { folder, running }
    }

    /// One that lets nobody in without the password.
    #[allow(dead_code, reason = "the unit tests share this file and have no file with the password")]
    pub fn start_with_password() -> Self {
        let postgres = Self::start();
        postgres.sql("postgres", &format!("ALTER USER hedui PASSWORD '{PASSWORD}'"));
        std::fs::write(postgres.folder.path().join("data/pg_hba.conf"), "local all all scram-sha-256\n").unwrap();
        postgres.sql("postgres", "SELECT pg_reload_conf()");
        // it is taken up a moment later
        let since = Instant::now();
        let lets_anybody_in = || {
            let mut psql = program("psql");
            psql.args(["-Xqw", "-U", "hedui", "-d", "postgres", "-c", "SELECT 1", "-h"]).arg(postgres.folder.path());
            psql.env("PGPASSFILE", "/none").stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
        };
        while lets_anybody_in() {
            assert!(since.elapsed() < Duration::from_secs(20), "it lets anybody in");
            std::thread::sleep(Duration::from_millis(20));
        }
        postgres
    }

    /// The URL of a database that is made now.
    pub fn database(&self, name: &str) -> String {
        let socket = self.folder.path().to_str().unwrap();
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        format!("postgres://hedui@localhost/{name}?host={socket}")
    }

    /// The folder of its tables' files.
    #[allow(dead_code, reason = "the unit tests share this file and do not look there")]
    pub fn tables(&self) -> PathBuf {
        self.folder.path().join("data/base")
    }

    /// What `psql` prints for a statement: rows, their values with `|` between.
    pub fn sql(&self, database: &str, statement: &str) -> String {
        let mut psql = program("psql");
        psql.env("PGPASSWORD", PASSWORD);
        psql.args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-U", "hedui", "-d", database, "-h"]).arg(self.folder.path());
        let said = psql.args(["-c", statement]).output().unwrap();
        assert!(said.status.success(), "psql: {}", String::from_utf8_lossy(&said.stderr));
        String::from_utf8(said.stdout).unwrap()
    }

    /// Cuts all connections as a crash does, and starts again.
    #[allow(dead_code, reason = "the unit tests share this file and do not restart it")]
    pub fn restart(&mut self) {
        self.end();
        self.running = serve(self.folder.path());
    }

    /// It is away from now on.
    #[allow(dead_code, reason = "the unit tests share this file and do not stop it")]
    pub fn stop(&mut self) {
        self.end();
    }

    fn end(&mut self) {
        if self.running.try_wait().is_ok_and(|ended| ended.is_some()) {
            return;
        }
        // an immediate shutdown: the kernel's shared memory is given back, transactions under way are lost
        let _ = Command::new("kill").args(["-QUIT", &self.running.id().to_string()]).status();
        let _ = self.running.wait();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.end();
    }
}

fn serve(folder: &Path) -> Child {
    let mut postgres = program("postgres");
    postgres.arg("-D").arg(folder.join("data")).arg("-k").arg(folder).args(["-c", "listen_addresses="]);
    // the folder is thrown away: nothing need reach the disk
    let quick = ["fsync=off", "full_page_writes=off", "max_connections=200"];
    quick.into_iter().for_each(|setting| {
        postgres.args(["-c", setting]);
    });
    let log = std::fs::File::options().create(true).append(true).open(folder.join("log")).unwrap();
    let child = postgres.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
    let since = Instant::now();
    while !program("pg_isready").arg("-qh").arg(folder).status().unwrap().success() {
        let said = || std::fs::read_to_string(folder.join("log")).unwrap_or_default();
        assert!(since.elapsed() < Duration::from_secs(60), "PostgreSQL did not start: {}", said());
        std::thread::sleep(Duration::from_millis(20));
    }
    child
}

/// One of PostgreSQL's programs, as a user that it accepts.
pub fn program(name: &str) -> Command {
    let mut command = Command::new(path_of(name));
    if let Some((uid, gid)) = not_root() {
        command.uid(uid).gid(gid);
    }
    command.current_dir("/");
    command
}

/// Where one of them is.
pub fn path_of(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let in_debian = versions.map(|version| version.path().join("bin"));
    let in_path: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    let mut found = in_debian.chain(in_path).map(|folder| folder.join(name));
    let path = found.find(|path| path.exists());
    path.expect("PostgreSQL is not installed; `tests/run` installs it and runs the tests")
}

/// PostgreSQL does not run as root: the user that Debian's package makes, where this is root.
fn not_root() -> Option<(u32, u32)> {
    use std::os::unix::fs::MetadataExt as _;
    if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let line = users.lines().find(|line| line.starts_with("postgres:")).expect("the package makes a user `postgres`");
    let mut numbers = line.split(':').skip(2).map(|number| number.parse().unwrap());
    Some((numbers.next().unwrap(), numbers.next().unwrap()))
}
