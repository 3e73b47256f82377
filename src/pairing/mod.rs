//! `hedui match`: every pair of CLKs over a threshold, and who belongs to whom.

mod assign;
mod checkpoint;
mod output;
mod sorter;
mod tiles;

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::Instant;

use clap::{Args, ValueEnum};
use rayon::ThreadPoolBuilder;
use serde::Serialize;

use crate::clk::file::{Clks, Form};
use crate::failure::{Failure, Outcome};
use crate::matching::exhaustive::{Filters, Kernel, Limit, MOST_BITS, Measure, Threshold};
use crate::matching::solve::{self, Best, Candidate, Groups, OneToOne, Top};
use crate::options::Size;
use crate::staging::{NewFile, refuse_to_overwrite};
use crate::terminal::{self, Interrupt};
use output::{Ids, OfFile, PairWriter, TableForm, write_groups};
use sorter::{Sorted, Sorter};
use tiles::Plan;

#[derive(Args, Debug)]
pub struct Match {
    /// Files of CLKs of one length: .json (clkhash), .parquet (id, clk) or .bin (with --bits). Two give pairs, more give
    /// groups
    #[arg(value_name = "CLKS", required = true)]
    files: Vec<PathBuf>,
    /// The least similarity: a decimal fraction from 0 to 1 with at most 14 decimals, taken exactly as it is written
    #[arg(long, value_name = "T")]
    threshold: Threshold,
    #[arg(long, value_enum, default_value_t = MeasureName::Dice)]
    measure: MeasureName,
    /// Compare the records of a file with one another as well
    #[arg(long = "self")]
    within: bool,
    /// Which pairs are kept; for more than two files, and for two with --self, `greedy` gives groups
    #[arg(long, value_enum, default_value_t = Solver::All)]
    solve: Solver,
    /// Keep only pairs among the K surest of both their records
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    top: Option<u32>,
    /// No group holds two records of one file
    #[arg(long)]
    one_a_file: bool,
    /// Threads that compare; as many as there are cores
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Memory at most, as 500M or 2G; pairs that do not fit are sorted on disk, beside the output. Groups in the making,
    /// and the pairs between them, come on top
    #[arg(long, value_name = "SIZE", default_value = "2G")]
    memory: Size,
    /// A folder that keeps what is done: the same command goes on from there
    #[arg(long, value_name = "DIR")]
    checkpoint: Option<PathBuf>,
    /// How records are compared: portable, avx2, avx512, neon; the fastest that this processor runs
    #[arg(long, value_name = "NAME", env = "HEDUI_KERNEL")]
    kernel: Option<String>,
    /// Bits of a CLK; raw binary does not tell
    #[arg(long, value_name = "BITS")]
    bits: Option<usize>,
    /// The pairs (id_a,id_b,score) or the groups (group,file,id): .csv or .parquet
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Print the figures as one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum MeasureName {
    /// 2·|a ∧ b| / (|a| + |b|)
    Dice,
    /// 1 − differing bits / length
    Hamming,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Solver {
    /// Every pair over the threshold
    All,
    /// The surest pair of each record of the second file
    Best,
    /// The surest pair first, each record once (as anonlink's greedy solver)
    Greedy,
    /// One to one, with the greatest total similarity
    Optimal,
}

#[derive(Serialize)]
struct Figures {
    comparisons: u64,
    /// Of those the ones that an earlier run had done, by the checkpoint.
    resumed: u64,
    /// That are in the output, or of which groups were made.
    pairs: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<u64>,
    /// From the start of the program to the file written, and of that comparing.
    seconds: f64,
    compare_seconds: f64,
    kernel: &'static str,
    threads: usize,
    /// Peak resident memory, in bytes.
    max_rss: u64,
}

impl Match {
    pub fn run(self) -> Outcome {
        let started = Instant::now();
        let interrupt = Interrupt::listen();
        self.check()?;
        let kernel = self.kernel()?;
        let (filters, ids) = self.read()?;
        let measure = match self.measure {
            MeasureName::Dice => Measure::Dice,
            MeasureName::Hamming => Measure::Hamming,
        };
        let bits = filters[0].length() as u32;
        let limit = Limit { measure, threshold: self.threshold, bits };
        let plan = Plan { filters, limit, within: self.within, kernel };
        let threads =
            self.threads.map_or_else(|| std::thread::available_parallelism().map_or(1, Into::into), usize::from);
        let held = plan.memory(threads).max(self.solver_memory(&plan)) + ids.memory();
        let room = self.memory.bytes().checked_sub(held).filter(|room| *room >= sorter::LEAST).ok_or_else(|| {
            let least = (held + sorter::LEAST).div_ceil(1 << 20);
            Failure::refused(format!("--memory {}: these CLKs take {least}M", self.memory)).hint("allow more")
        })?;
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().map_err(Failure::refused)?;
        let mut sorter = Sorter::new(room, &self.out);
        let comparing = Instant::now();
        let work = plan.run(&pool, self.checkpoint.as_deref(), &interrupt, |found| {
            sorter.add(found.into_iter().map(|pair| Candidate { records: ids.ranks(&pair), ..pair }))
        })?;
        drop(plan);
        let compare_seconds = comparing.elapsed().as_secs_f64();
        let (pairs, groups) = self.write(sorter.finish()?, room, &ids, &interrupt)?;
        self.checkpoint.as_deref().map(checkpoint::remove).transpose()?;
        self.tell(&Figures {
            comparisons: work.comparisons,
            resumed: work.resumed,
            pairs,
            groups,
            seconds: started.elapsed().as_secs_f64(),
            compare_seconds,
            kernel: kernel.name,
            threads,
            max_rss: terminal::peak_memory(),
        });
        Ok(())
    }

    /// What the arguments must be together.
    fn check(&self) -> Outcome {
        let wrong = |message: &str| Err(Failure::usage(message));
        refuse_to_overwrite(&self.files.iter().map(PathBuf::as_path).collect::<Vec<_>>(), [&self.out])?;
        // what cannot be written is said before hours of comparing
        TableForm::of(&self.out)?;
        NewFile::create(&self.out)?;
        if self.files.len() == 1 && !self.within {
            return wrong("one file is compared with itself where `--self` says so");
        }
        let same = |path: &PathBuf| std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()));
        let mut seen = HashSet::new();
        if self.gives_groups() && !self.files.iter().filter_map(same).all(|file| seen.insert(file)) {
            return wrong("one file is named twice: its records could not be told apart in the groups");
        }
        if self.files.len() > usize::from(u16::MAX) {
            return wrong("more than 65,535 files are not compared at once");
        }
        if (self.files.len() > 2 || self.files.len() > 1 && self.within) && self.solve != Solver::Greedy {
            return wrong("more than two files, and two with `--self`, are put into groups: `--solve greedy`");
        }
        if self.within && matches!(self.solve, Solver::Best | Solver::Optimal) {
            return wrong(
                "`best` and `optimal` are for two files; with `--self`, `all` gives pairs and `greedy` groups",
            );
        }
        if self.one_a_file && !self.gives_groups() {
            return wrong("`--one-a-file` speaks of groups: more than two files, or `--self` with `--solve greedy`");
        }
        Ok(())
    }

    fn gives_groups(&self) -> bool {
        self.solve == Solver::Greedy && (self.within || self.files.len() > 2)
    }

    fn kernel(&self) -> Outcome<Kernel> {
        let Some(name) = self.kernel.as_ref().filter(|name| !name.is_empty()) else { return Ok(Kernel::fastest()) };
        Kernel::all().into_iter().find(|kernel| kernel.name == name).ok_or_else(|| {
            let able: Vec<&str> = Kernel::all().iter().map(|kernel| kernel.name).collect();
            Failure::usage(format!("this processor does not run the kernel `{name}`; it runs {}", able.join(", ")))
        })
    }

    fn read(&self) -> Outcome<(Vec<Filters>, Ids)> {
        let (mut filters, mut ids) = (Vec::<Filters>::new(), Vec::new());
        for path in &self.files {
            let clks = Clks::read(path, Form::of(None, path)?, self.bits)?;
            let wrong = |why: String| Failure::refused(format!("{}: {why}", path.display()));
            let of_file = Filters::new(&clks.bytes, clks.length).ok_or_else(|| {
                wrong(format!("CLKs of {} bits; a multiple of 64 up to {MOST_BITS} is compared", 8 * clks.length))
            })?;
            if let Some(first) = filters.first().filter(|first| first.length() != of_file.length()) {
                let (got, expected) = (of_file.length(), first.length());
                return Err(wrong(format!("CLKs of {got} bits; those of the first file have {expected}")));
            }
            if u32::try_from(of_file.len()).is_err() {
                return Err(wrong("more than 4,294,967,295 CLKs".into()));
            }
            let ids_of_file = clks.ids.map(OfFile::new).transpose();
            filters.push(of_file);
            ids.push(ids_of_file.map_err(|[one, other]| wrong(format!("rows {one} and {other} have the same id")))?);
        }
        Ok((filters, Ids::new(ids)))
    }

    /// Bytes that solving takes at most, when the filters are gone: sets and tables of records, as they grow.
    fn solver_memory(&self, plan: &Plan) -> u64 {
        let (a_record, besides) = match self.solve {
            Solver::All => (0, 0),
            Solver::Best | Solver::Greedy => (32, 0),
            Solver::Optimal => (128, solve::MEMORY),
        };
        let top = if self.top.is_some() { 64 } else { 0 };
        plan.filters.iter().map(|filters| filters.len() as u64).sum::<u64>() * (a_record + top) + besides
    }

    /// The pairs, and if groups are made their number.
    fn write(
        &self,
        sorted: Sorted<Candidate>,
        room: u64,
        ids: &Ids,
        interrupt: &Interrupt,
    ) -> Outcome<(u64, Option<u64>)> {
        let mut top = self.top.map(Top::new);
        let sorted =
            sorted.filter(|pair| pair.as_ref().map_or(true, |pair| top.as_mut().is_none_or(|top| top.keeps(pair))));
        let sorted = sorted.map(|pair| interrupt.check().and(pair));
        if self.gives_groups() {
            let mut groups = Groups::new(self.one_a_file);
            let mut pairs = 0;
            for pair in sorted {
                groups.add(&pair?);
                pairs += 1;
            }
            return Ok((pairs, Some(write_groups(&self.out, &groups.finish(), &self.files, ids)?)));
        }
        let mut writer = PairWriter::create(&self.out, ids)?;
        let (mut best, mut one_to_one) = (Best::default(), OneToOne::default());
        match self.solve {
            Solver::Optimal => {
                let solved = assign::assign(sorted, room, &self.out, interrupt)?;
                if solved.too_large > 0 {
                    terminal::note(format!(
                        "{} of the groups of linked records are too large for `optimal`; they were solved greedily",
                        solved.too_large
                    ));
                }
                solved.kept.iter().try_for_each(|pair| writer.write(pair))?;
            }
            solver => {
                for pair in sorted {
                    let pair = pair?;
                    let kept = match solver {
                        Solver::Best => best.keeps(&pair),
                        Solver::Greedy => one_to_one.keeps(&pair),
                        Solver::All | Solver::Optimal => true,
                    };
                    if kept {
                        writer.write(&pair)?;
                    }
                }
            }
        }
        Ok((writer.finish()?, None))
    }

    fn tell(&self, figures: &Figures) {
        if self.json {
            println!("{}", serde_json::to_string(figures).expect("figures are JSON"));
            return;
        }
        let Figures { comparisons, resumed, pairs, groups, seconds, compare_seconds, kernel, threads, max_rss } =
            figures;
        let found = match groups {
            Some(groups) => format!("{groups} groups of {pairs} pairs"),
            None => format!("{pairs} pairs"),
        };
        println!("{found} in {seconds:.2} s: {}", self.out.display());
        let rate = (comparisons - resumed) as f64 / compare_seconds.max(1e-9) / 1e6;
        let memory = max_rss.div_ceil(1 << 20);
        println!("{comparisons} comparisons · {rate:.0} million/s · {kernel} · {threads} threads · {memory} MiB");
    }
}
