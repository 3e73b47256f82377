//! `hedui demo`: the main job with a synthetic city; every party is a child process of the same binary.

mod children;
mod parties;
mod search;
mod summary;
mod truth;

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use serde::Serialize;

use crate::failure::{Exit, Failure, Outcome};
use crate::staging::private_folder;
use crate::synth::{City, Totals, command};
use crate::terminal::{self, Interrupt};
use children::{Children, Server};
use parties::{AGENCIES, Files};

#[derive(Args, Debug)]
pub struct Demo {
    /// People in the city
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(100..=10_000_000))]
    people: u64,
    /// The same seed makes the same city
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// The folder to work in; it must not exist yet. A new temporary folder where it is not given
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// A PostgreSQL for the server, as `hedui server run` takes it; it must be empty
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// A bucket for the parts, as `hedui server run` takes it
    #[arg(long, value_name = "URL")]
    parts: Option<String>,
    /// Settings of the bucket
    #[arg(long, value_name = "FILE", requires = "parts")]
    parts_config: Option<PathBuf>,
    /// Print one JSON object on standard output instead of the summary
    #[arg(long)]
    json: bool,
    /// Leave the server running until Ctrl-C, and print its addresses
    #[arg(long)]
    keep_serving: bool,
}

/// What the demo measured. Its field names are the contract of `--json`.
#[derive(Serialize)]
struct Figures {
    people: u64,
    households: u64,
    subjects: u64,
    agencies: Vec<AgencyFigures>,
    /// True pairs whose authorisation is valid and covers the agency.
    pairs_true: u64,
    pairs_released: u64,
    pairs_correct: u64,
    precision: f64,
    recall: f64,
    /// Opened payloads that differ from the agency's own row.
    payload_mismatches: u64,
    unauthorised_released: u64,
    /// Planted values found in the server's files, log, memory, metrics and answers.
    server_plaintext_hits: u64,
    processes: Vec<children::Process>,
    wall_s: f64,
}

#[derive(Serialize)]
struct AgencyFigures {
    name: &'static str,
    records: u64,
    encode_s: f64,
    submit_s: f64,
}

impl Demo {
    pub fn run(self) -> Outcome {
        let interrupt = Interrupt::listen();
        let out = self.folder()?;
        self.play(&out, interrupt).map_err(|failure| match failure.exit {
            Exit::Interrupted => {
                Failure { message: format!("interrupted; what was made is in {}", out.display()), ..failure }
            }
            _ => failure,
        })
    }

    fn play(&self, out: &Path, interrupt: Interrupt) -> Outcome {
        let started = Instant::now();
        let files = Files::new(out);
        let city = City { people: self.people, seed: self.seed };
        let totals = command::write(&city, &files.city, &interrupt)?;
        let mut children = Children::new(&files, self.json, interrupt.clone())?;
        parties::set_up(&mut children)?;
        let mut server = Server::start(&mut children, self.stores()?)?;
        let figures = self.journey(&mut children, &server, &totals, started)?;

        if self.json {
            println!("{}", serde_json::to_string(&figures).expect("figures are JSON"));
        } else {
            summary::print(&files, &figures)?;
        }
        if self.keep_serving {
            terminal::note(format!(
                "\nparties   {}\noperator  {}\nCtrl-C ends the server.",
                server.parties, server.operator
            ));
            while interrupt.check().is_ok() && server.is_running()? {
                std::thread::sleep(std::time::Duration::from_millis(200));
            }
        }
        server.stop()?;
        figures.verdict()
    }

    /// Where the server keeps what is not in its folder.
    fn stores(&self) -> Outcome<Vec<String>> {
        let mut arguments = Vec::new();
        for (option, value) in [("--database", &self.database), ("--parts", &self.parts)] {
            arguments.extend(value.iter().flat_map(|value| [option.to_owned(), value.clone()]));
        }
        if let Some(path) = &self.parts_config {
            // children run elsewhere than the shell that named the file
            let path = std::fs::canonicalize(path).map_err(|e| Failure::file("read", path, &e))?;
            arguments.extend(["--parts-config".to_owned(), parties::text(&path)]);
        }
        Ok(arguments)
    }

    fn folder(&self) -> Outcome<PathBuf> {
        if let Some(out) = &self.out {
            if out.exists() {
                return Err(Failure::refused(format!("{}: exists already", out.display()))
                    .hint("name another folder, or move this one away"));
            }
            private_folder(out)?;
            // children run elsewhere than the shell that named the folder
            return std::fs::canonicalize(out).map_err(|e| Failure::file("enter", out, &e));
        }
        let folder = tempfile::Builder::new().prefix("hedui-demo-").tempdir();
        folder.map(tempfile::TempDir::keep).map_err(|e| Failure::file("create", &std::env::temp_dir(), &e))
    }

    fn journey(&self, children: &mut Children, server: &Server, totals: &Totals, started: Instant) -> Outcome<Figures> {
        let mut agencies = Vec::new();
        for agency in AGENCIES {
            children.agency(agency, server, "check")?;
            let encode_s = children.agency(agency, server, "encode")?;
            let submit_s = children.agency(agency, server, "submit")?;
            let records = totals.rows.iter().find(|(file, _)| *file == agency).map_or(0, |(_, rows)| *rows);
            agencies.push(AgencyFigures { name: agency, records, encode_s, submit_s });
        }
        children.office(server, "request")?;
        // fetching waits until every commission is matched: only then do the agencies know what they are asked
        children.office(server, "fetch")?;
        for agency in AGENCIES {
            children.agency(agency, server, "answer")?;
        }
        children.office(server, "fetch")?;
        children.office(server, "report")?;
        children.audit(server)?;

        // what is elsewhere than in the server's folder is brought there, to be searched
        if self.database.is_some() || self.parts.is_some() {
            children.backup(server)?;
        }
        let measured = truth::measure(children.files())?;
        let hits = search::search_server(children, server)?;
        let (released, correct) = (measured.released, measured.correct);
        Ok(Figures {
            people: totals.people,
            households: totals.applicant_households,
            subjects: measured.subjects,
            agencies,
            pairs_true: measured.authorised_pairs,
            pairs_released: released,
            pairs_correct: correct,
            precision: share(correct, released),
            recall: share(correct, measured.authorised_pairs),
            payload_mismatches: measured.payload_mismatches,
            unauthorised_released: measured.unauthorised,
            server_plaintext_hits: hits,
            processes: children.processes(server),
            wall_s: started.elapsed().as_secs_f64(),
        })
    }
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

impl Figures {
    /// The demo is a claim; where it does not hold, the command fails.
    fn verdict(&self) -> Outcome {
        let zeros = [
            ("payload_mismatches", self.payload_mismatches),
            ("unauthorised_released", self.unauthorised_released),
            ("server_plaintext_hits", self.server_plaintext_hits),
        ];
        if let Some((name, count)) = zeros.iter().find(|(_, count)| *count > 0) {
            return Err(Failure::refused(format!("{name} is {count}; it must be 0")));
        }
        if self.precision < 0.999 || self.recall < 0.97 {
            let (precision, recall) = (self.precision, self.recall);
            return Err(Failure::refused(format!(
                "precision {precision:.4} and recall {recall:.4}; they must be at least .999 and .97"
            )));
        }
        Ok(())
    }
}

/// Reads a file of the demo.
fn read(path: &Path) -> Outcome<Vec<u8>> {
    std::fs::read(path).map_err(|e| Failure::file("read", path, &e))
}

/// Tells a step in the human form.
fn step(quiet: bool, text: &str) {
    if !quiet {
        terminal::note(format!("\n{text}"));
    }
}
