//! The project under load: four agencies with the same made-up rows, their encoded sets, and a running server.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use hedui::transport::tls::Identity;

pub const AGENCIES: [&str; 4] = ["a1", "a2", "a3", "a4"];
pub const OFFICE: &str = "office";

pub struct City {
    folder: PathBuf,
}

pub struct Server {
    child: Child,
    pub url: String,
}

fn hedui() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hedui"));
    command.stdin(Stdio::null());
    command
}

/// Runs to its end; what it prints.
fn run(command: &mut Command) -> String {
    let output = command.stderr(Stdio::piped()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

impl City {
    /// Makes what is not there yet.
    pub fn prepare(folder: &Path, rows: u64) -> Self {
        let folder = folder.join(rows.to_string());
        let city = Self { folder };
        if !city.path("ready").exists() {
            let _ = std::fs::remove_dir_all(&city.folder);
            std::fs::create_dir_all(&city.folder).unwrap();
            city.make(rows);
            std::fs::write(city.path("ready"), "").unwrap();
        }
        for left in ["server", "state"] {
            let _ = std::fs::remove_dir_all(city.path(left));
        }
        for party in AGENCIES.into_iter().chain([OFFICE]) {
            let _ = std::fs::remove_file(city.path(&format!("pki/{party}.receipts.jsonl")));
        }
        city
    }

    fn make(&self, rows: u64) {
        let text = |name: &str| self.text(name);
        // a bank has an account of three in four people
        run(hedui().args(["synth", "--out", &text("city"), "--people", &(rows * 4 / 3).to_string(), "--seed", "9"]));
        let bank = BufReader::new(File::open(self.path("city/bank.csv")).unwrap());
        let mut out = std::io::BufWriter::new(File::create(self.path("rows.csv")).unwrap());
        bank.lines().take(rows as usize + 1).for_each(|line| writeln!(out, "{}", line.unwrap()).unwrap());
        drop(out);
        let key = |kind: &str, name: &str| run(hedui().args(["key", "new", "--kind", kind, &text(name)]));
        let (check, log) = (key("linkage", "linkage.key"), key("log", "log.key"));
        run(hedui().args(["pki", "init", &text("pki")]));
        let roles = AGENCIES.map(|name| (name, "agency"));
        for (name, role) in
            roles.into_iter().chain([(OFFICE, "office"), ("server", "server"), ("operator", "operator")])
        {
            run(hedui().args(["pki", "issue", &text("pki"), name, "--organisation", name, "--role", role]));
        }
        let mut manifest = hedui();
        manifest.args([
            "manifest",
            "new",
            "--project",
            "load",
            "--purpose",
            "load",
            "--epoch",
            "e",
            "--programme",
            "dibao",
        ]);
        manifest.args(["--schema", "resident-cn", "--linkage-key-check", &check, "--log-key", &log]);
        for name in AGENCIES {
            let signing = key("signing", &format!("{name}.key"));
            let item = "[[item]]\nname = \"deposits\"\ntitle = \"Deposits\"\ntitle_zh = \"存款\"\nlevels = [\"L3\"]\ncolumns = [\"accounts\", \"balance\"]\nbucket = 128\n";
            let party = format!(
                "name = \"{name}\"\norganisation = \"{name}\"\nsigning_key = \"{signing}\"\nrelease = \"deposit\"\n{item}"
            );
            std::fs::write(self.path(&format!("{name}.toml")), party).unwrap();
            manifest.args(["--agency", &text(&format!("{name}.toml"))]);
        }
        let (signing, opening) = (key("signing", "office.key"), key("office", "opening.key"));
        let party = format!(
            "name = \"office\"\norganisation = \"office\"\nsigning_key = \"{signing}\"\nopening_key = \"{opening}\"\ndeposits = true\n"
        );
        std::fs::write(self.path("office.toml"), party).unwrap();
        run(manifest.args(["--office", &text("office.toml"), "--out", &text("manifest.toml")]));
        for name in AGENCIES.into_iter().chain([OFFICE]) {
            let signing = text(&format!("{name}.key"));
            run(hedui().args([
                "manifest",
                "sign",
                "--manifest",
                &text("manifest.toml"),
                "--party",
                name,
                "--signing-key",
                &signing,
            ]));
        }
        for (name, out) in AGENCIES.map(|name| (name, "encoded")).into_iter().chain([("a1", "again")]) {
            let mut encode = hedui();
            encode.args([
                "agency",
                "encode",
                &text("rows.csv"),
                "--manifest",
                &text("manifest.toml"),
                "--agency",
                name,
            ]);
            encode.args(["--key-file", &text("linkage.key"), "--signing-key", &text(&format!("{name}.key"))]);
            run(encode.args(["--out", &text(&format!("{name}.{out}"))]));
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub fn identity(&self, party: &str) -> Identity {
        let file = |name: &str| self.path("pki").join(name);
        Identity { certificate: file(&format!("{party}.crt")), key: file(&format!("{party}.key")), ca: file("ca.crt") }
    }

    fn tls(&self, party: &str) -> Vec<String> {
        let Identity { certificate, key, ca } = self.identity(party);
        let pairs = [("--tls-cert", certificate), ("--tls-key", key), ("--tls-ca", ca)];
        pairs.into_iter().flat_map(|(option, path)| [option.to_owned(), path.to_str().unwrap().to_owned()]).collect()
    }

    pub fn serve(&self, database: Option<&str>) -> Server {
        let mut command = hedui();
        command.args(["server", "run", "--data", &self.text("server"), "--manifest", &self.text("manifest.toml")]);
        command.args([
            "--log-key",
            &self.text("log.key"),
            "--listen",
            "127.0.0.1:0",
            "--operator-listen",
            "127.0.0.1:0",
        ]);
        command.args(["--rate", "100000"]).args(self.tls("server"));
        command.args(database.into_iter().flat_map(|database| ["--database", database]));
        let log = File::create(self.path("server.log")).unwrap();
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: serde_json::Value = serde_json::from_str(&line).expect("the server starts; its log says why not");
        Server { child, url: format!("https://{}", ready["parties"].as_str().unwrap()) }
    }

    /// Submits a set; the seconds until it is indexed.
    pub fn submit(&self, agency: &str, set: &str, server: &Server) -> f64 {
        let since = Instant::now();
        let mut submit = hedui();
        submit.args([
            "agency",
            "submit",
            &self.text(&format!("{agency}.{set}")),
            "--manifest",
            &self.text("manifest.toml"),
        ]);
        run(submit.args(["--server", &server.url]).args(self.tls(agency)));
        since.elapsed().as_secs_f64()
    }

    /// So many people, of whom the agencies have half; each has authorised all four. `from`: how many others come before them.
    pub fn list(&self, name: &str, from: usize, subjects: usize) -> String {
        let path = self.path(name);
        let mut out = std::io::BufWriter::new(File::create(&path).unwrap());
        let rows = BufReader::new(File::open(self.path("rows.csv")).unwrap());
        let mut rows = rows.lines().map(Result::unwrap);
        let header = rows.next().unwrap();
        writeln!(out, "{header},household_no,relation,consent_no,consent_scope,consent_status").unwrap();
        for (number, row) in rows.enumerate().skip(from).take(subjects) {
            // the other half has other phones, dates and numbers: nobody has them
            let (id, cells) = row.split_once(',').unwrap();
            let cells = if number % 2 == 0 { cells.to_owned() } else { cells.replace(['3', '7'], "1") };
            writeln!(out, "{id},{cells},H{number},本人,SQ{number},a1 a2 a3 a4,valid").unwrap();
        }
        path.to_str().unwrap().to_owned()
    }

    /// One commission for a whole list, by the office's own commands: seconds to file it, and to have all answers.
    pub fn large(&self, list: &str, server: &Server) -> (f64, f64) {
        let common =
            ["--manifest", &self.text("manifest.toml"), "--state", &self.text("state"), "--server", &server.url];
        let since = Instant::now();
        let mut request = hedui();
        request
            .args(["office", "request", list, "--together", "--office", OFFICE, "--programme", "dibao"])
            .args(common);
        request.args(["--key-file", &self.text("linkage.key"), "--signing-key", &self.text("office.key")]);
        request.args(AGENCIES.iter().flat_map(|name| ["--item".to_owned(), format!("{name}.deposits=L3")]));
        run(request.args(self.tls(OFFICE)));
        let filed = since.elapsed().as_secs_f64();
        let since = Instant::now();
        run(hedui().args(["office", "fetch"]).args(common).args(self.tls(OFFICE)));
        (filed, since.elapsed().as_secs_f64())
    }
}

impl Server {
    fn status(&self, name: &str) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim_matches([':', ' ', '\t']).trim_end_matches(" kB").trim().parse().unwrap()
    }

    /// Resident and not mapped from files, in MB.
    pub fn memory(&self) -> f64 {
        self.status("RssAnon") / 1024.0
    }

    /// Seconds of processor time so far.
    pub fn processor(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks = |at: usize| fields[at].parse::<f64>().unwrap();
        (ticks(11) + ticks(12)) / rustix::param::clock_ticks_per_second() as f64
    }

    pub fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}
