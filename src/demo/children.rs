//! The child processes: one server that stays, and the parties' commands, one after another.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::parties::{AGENCIES, ASKED, Files, OFFICE, text};
use crate::failure::{Failure, Outcome};
use crate::terminal::Interrupt;

/// A process that took part.
#[derive(Clone, Serialize)]
pub struct Process {
    pub role: String,
    pub pid: u32,
    pub command: String,
    pub seconds: f64,
    /// Peak resident memory.
    pub max_rss_mb: f64,
}

/// Starts the demo's processes and remembers them.
pub struct Children {
    files: Files,
    program: std::path::PathBuf,
    quiet: bool,
    interrupt: Interrupt,
    processes: Vec<Process>,
}

const POLL: Duration = Duration::from_millis(5);

impl Children {
    pub fn new(files: &Files, quiet: bool, interrupt: Interrupt) -> Outcome<Self> {
        let program =
            std::env::current_exe().map_err(|e| Failure::refused(format!("cannot find this program: {e}")))?;
        Ok(Self { files: files.clone(), program, quiet, interrupt, processes: Vec::new() })
    }

    pub fn files(&self) -> &Files {
        &self.files
    }

    pub fn step(&self, text: &str) {
        super::step(self.quiet, text);
    }

    pub fn processes(&self, server: &Server) -> Vec<Process> {
        let mut all = vec![server.process()];
        all.extend(self.processes.iter().cloned());
        all
    }

    /// A short command of whoever sets the project up; gives what it prints.
    pub fn operator(&mut self, arguments: &[&str]) -> Outcome<String> {
        let output = Command::new(&self.program).args(arguments).stderr(Stdio::inherit()).output();
        let output = output.map_err(|e| Failure::refused(format!("cannot start this program again: {e}")))?;
        if !output.status.success() {
            return Err(Failure::refused(format!("`hedui {} {}` failed", arguments[0], arguments[1])));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Copies all that the server holds, wherever, into its folder.
    pub fn backup(&mut self, server: &Server) -> Outcome {
        self.step("operator: backup");
        let out = text(&self.files.server.join("backup"));
        let places = server.places.iter().map(String::as_str);
        self.run("operator", &["server", "backup", "--out", &out].into_iter().chain(places).collect::<Vec<_>>())?;
        Ok(())
    }

    /// Exports the server's log, and proves it against what the parties have seen.
    pub fn audit(&mut self, server: &Server) -> Outcome {
        let files = self.files.clone();
        let log = text(&files.log);
        self.step("operator: the log");
        let places = server.places.iter().map(String::as_str);
        self.run("operator", &["audit", "export", "--out", &log].into_iter().chain(places).collect::<Vec<_>>())?;
        self.step("auditor: verify the log");
        let manifest = text(&files.manifest);
        let receipts: Vec<String> =
            AGENCIES.into_iter().chain([OFFICE]).map(|name| text(&files.receipts(name))).collect();
        let against = receipts.iter().flat_map(|receipts| ["--against", receipts]);
        self.run(
            "auditor",
            &["audit", "verify", &log, "--manifest", &manifest].into_iter().chain(against).collect::<Vec<_>>(),
        )?;
        Ok(())
    }

    /// `hedui agency VERB` for one agency; gives the seconds it took.
    pub fn agency(&mut self, name: &str, server: &Server, verb: &str) -> Outcome<f64> {
        let (files, folder) = (self.files.clone(), text(&self.files.encoded.join(name)));
        let (data, manifest) = (text(&files.table(name)), text(&files.manifest));
        let (linkage, signing) = (text(&files.linkage_key()), text(&files.signing_key(name)));
        let project = ["--manifest", &manifest, "--agency", name];
        let mut arguments = vec!["agency", verb];
        match verb {
            "check" => arguments.extend([&[data.as_str()][..], &project].concat()),
            "encode" => {
                arguments.extend([&[data.as_str()][..], &project].concat());
                arguments.extend(["--key-file", &linkage, "--signing-key", &signing, "--out", &folder]);
            }
            "submit" => arguments.extend([&folder, "--manifest", &manifest]),
            _ => {
                arguments.extend([&[data.as_str()][..], &project].concat());
                arguments.extend(["--signing-key", &signing]);
            }
        }
        let tls = server.arguments(&files, name);
        if matches!(verb, "submit" | "answer") {
            arguments.extend(tls.iter().map(String::as_str));
        }
        self.step(&format!("{name}: {verb}"));
        self.run(name, &arguments)
    }

    /// `hedui office VERB`; gives the seconds it took.
    pub fn office(&mut self, server: &Server, verb: &str) -> Outcome<f64> {
        let files = self.files.clone();
        let (data, manifest, state) = (text(&files.table("office")), text(&files.manifest), text(&files.office));
        let (linkage, signing) = (text(&files.linkage_key()), text(&files.signing_key(OFFICE)));
        let (opening, reports) = (text(&files.opening_key()), text(&files.reports));
        let project = ["--manifest", &manifest, "--office", OFFICE, "--key-file", &linkage];
        let mut arguments = vec!["office", verb];
        match verb {
            "request" => {
                arguments.push(&data);
                arguments.extend(project);
                arguments.extend(["--signing-key", &signing, "--programme", "dibao"]);
                arguments.extend(ASKED.iter().flat_map(|item| ["--item", item]));
                let letters = ["B=bank", "T=tax", "H=housing", "V=vehicle"];
                arguments.extend(letters.iter().flat_map(|letter| ["--scope-letter", letter]));
            }
            "report" => {
                arguments.extend(project);
                arguments.extend(["--opening-key", &opening, "--out", &reports]);
            }
            _ => arguments.extend(["--manifest", &manifest]),
        }
        arguments.extend(["--state", &state]);
        let tls = server.arguments(&files, OFFICE);
        if verb != "report" {
            arguments.extend(tls.iter().map(String::as_str));
        }
        self.step(&format!("office: {verb}"));
        self.run("office", &arguments)
    }

    /// Runs a command to its end, watching its memory; an interrupt reaches the child by itself.
    fn run(&mut self, role: &str, arguments: &[&str]) -> Outcome<f64> {
        let started = Instant::now();
        let mut command = Command::new(&self.program);
        command.args(arguments).stdin(Stdio::null());
        let log = self.files.logs.join(format!("{role}.log"));
        if self.quiet {
            let log =
                File::options().create(true).append(true).open(&log).map_err(|e| Failure::file("write", &log, &e))?;
            command.stdout(log.try_clone().map_err(Failure::refused)?).stderr(log);
        } else {
            command.stdout(Stdio::inherit()).stderr(Stdio::inherit());
        }
        let mut child =
            command.spawn().map_err(|e| Failure::refused(format!("cannot start this program again: {e}")))?;
        let mut max_rss_mb = 0.0f64;
        let status = loop {
            max_rss_mb = max_rss_mb.max(peak_memory_mb(child.id()));
            match child.try_wait().map_err(Failure::refused)? {
                Some(status) => break status,
                None => std::thread::sleep(POLL),
            }
        };
        let seconds = started.elapsed().as_secs_f64();
        let command = format!("{} {}", arguments[0], arguments[1]);
        self.processes.push(Process {
            role: role.into(),
            pid: child.id(),
            command: command.clone(),
            seconds,
            max_rss_mb,
        });
        self.interrupt.check()?;
        if status.success() {
            return Ok(seconds);
        }
        let failure = Failure::refused(format!("{role}: `hedui {command}` failed"));
        Err(if self.quiet { failure.hint(format!("{} says why", log.display())) } else { failure })
    }
}

/// Peak resident memory so far; 0 once the process has ended.
fn peak_memory_mb(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}

/// The running linkage server; ended when dropped.
pub struct Server {
    child: Child,
    started: Instant,
    pub parties: String,
    pub operator: String,
    /// Where it keeps things.
    places: Vec<String>,
}

/// In the server's own words, where it has said why.
fn did_not_start(log: &Path) -> Failure {
    let said = std::fs::read_to_string(log).unwrap_or_default();
    let last = |begin: &str| said.lines().rev().find_map(|line| line.strip_prefix(begin)).map(str::to_owned);
    let hint = last("hint: ").unwrap_or_else(|| format!("{} says why", log.display()));
    match last("error: ") {
        Some(why) => Failure::refused(format!("the server did not start: {why}")).hint(hint),
        None => Failure::refused("the server did not start").hint(hint),
    }
}

impl Server {
    /// `stores`: where it keeps what is not in its folder.
    pub fn start(children: &mut Children, stores: Vec<String>) -> Outcome<Self> {
        children.step("The linkage server");
        let files = children.files();
        let places = [vec!["--data".to_owned(), text(&files.server)], stores].concat();
        let path = files.logs.join("server.log");
        let log = File::create(&path).map_err(|e| Failure::file("write", &path, &e))?;
        let mut child = Command::new(&children.program)
            .args(["server", "run", "--listen", "127.0.0.1:0", "--operator-listen", "127.0.0.1:0"])
            .args(&places)
            .args(["--manifest", &text(&files.manifest), "--log-key", &text(&files.log_key())])
            .args(tls(files, "server"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(|e| Failure::refused(format!("cannot start this program again: {e}")))?;
        let mut line = String::new();
        let stdout = child.stdout.take().expect("stdout is piped");
        BufReader::new(stdout).read_line(&mut line).map_err(Failure::refused)?;
        let ready: serde_json::Value = serde_json::from_str(&line).map_err(|_| did_not_start(&path))?;
        let url = |name: &str| format!("https://{}", ready[name].as_str().unwrap_or_default());
        let (parties, operator) = (url("parties"), url("operator"));
        Ok(Self { child, started: Instant::now(), parties, operator, places })
    }

    /// What a client of `party` needs to reach the server.
    fn arguments(&self, files: &Files, party: &str) -> Vec<String> {
        let mut arguments = vec!["--server".to_owned(), self.parties.clone()];
        arguments.extend(tls(files, party));
        arguments
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn is_running(&mut self) -> Outcome<bool> {
        self.child.try_wait().map(|status| status.is_none()).map_err(Failure::refused)
    }

    fn process(&self) -> Process {
        let (pid, seconds) = (self.pid(), self.started.elapsed().as_secs_f64());
        Process { role: "server".into(), pid, command: "server run".into(), seconds, max_rss_mb: peak_memory_mb(pid) }
    }

    /// Asks the server to end, and waits until it has.
    pub fn stop(&mut self) -> Outcome {
        let pid = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid.filter(|_| self.child.try_wait().is_ok_and(|status| status.is_none())) {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).map_err(Failure::refused)?;
        }
        self.child.wait().map(drop).map_err(Failure::refused)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // on the way out of a failure; that failure is what the user hears of
        let _ = self.stop();
    }
}

fn tls(files: &Files, name: &str) -> Vec<String> {
    let file = |name: String| text(&files.pki.join(name));
    let pairs =
        [("--tls-cert", format!("{name}.crt")), ("--tls-key", format!("{name}.key")), ("--tls-ca", "ca.crt".into())];
    pairs.into_iter().flat_map(|(option, name)| [option.to_owned(), file(name)]).collect()
}
