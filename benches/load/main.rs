//! How a server bears load: the real protocol over mutual TLS, one server, four agencies, an office, all on this machine.
//!
//! `cargo bench --bench load -- --rows 1000000` (a quarter of an hour; without `--rows` a small one). `--database URL` takes a PostgreSQL
//! instead of SQLite, `--minutes 10` goes on with quick checks and looks at the server's memory. Each phase prints a line
//! for docs/PERFORMANCE.md.

mod city;
mod office;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;

use city::City;
use office::Office;

#[derive(Parser)]
struct Arguments {
    /// Rows of each of the four agencies
    #[arg(long, default_value_t = 20_000)]
    rows: u64,
    /// Seconds of quick checks
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Households a second
    #[arg(long, default_value_t = 20)]
    rate: u32,
    /// Subjects of the large commission
    #[arg(long, default_value_t = 2_000)]
    subjects: usize,
    /// Minutes of further quick checks, in which the server's memory must stay
    #[arg(long, default_value_t = 0)]
    minutes: u64,
    /// A PostgreSQL for the server; it must be empty
    #[arg(long)]
    database: Option<String>,
    /// Where everything is put; what is encoded there is used again
    #[arg(long, default_value = "target/load")]
    folder: PathBuf,
    /// What cargo adds
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let arguments = Arguments::parse();
    let city = City::prepare(&arguments.folder, arguments.rows);
    let mut server = city.serve(arguments.database.as_deref());
    for agency in city::AGENCIES {
        let took = city.submit(agency, "encoded", &server);
        println!("ingest     {agency}: {} rows submitted and indexed in {took:.1} s", arguments.rows);
    }
    println!("memory     {:.0} MB of the server after ingest", server.memory());

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let office = Arc::new(Office::new(&city, &server));
    let quick = |name: &str, seconds: u64, rate: u32| {
        let timings = runtime.block_on(office.quick_checks(Duration::from_secs(seconds), rate));
        println!("{name:10} {timings}");
    };
    // what is cold is read once
    runtime.block_on(office.quick_checks(Duration::from_secs(2), arguments.rate));
    quick("quick", arguments.seconds, arguments.rate);

    let (rate, busy) = runtime.block_on(office.saturate(Duration::from_secs(arguments.seconds.min(20)), &server));
    println!("saturation {rate:.0} households a second with 32 at once; the server has {busy:.0} % of a core");

    let list = city.list("list.csv", 0, arguments.subjects);
    let (filed, fetched) = city.large(&list, &server);
    println!(
        "batch      {} subjects at 4 agencies: filed in {filed:.1} s, matched and fetched in {fetched:.1} s",
        arguments.subjects
    );

    let ingest = beside(|| city.submit("a1", "again", &server), || quick("and ingest", 10, arguments.rate));
    println!("           {} rows submitted and indexed in {ingest:.1} s meanwhile", arguments.rows);

    let before = server.memory();
    for minute in 0..arguments.minutes {
        let timings = runtime.block_on(office.quick_checks(Duration::from_secs(60), arguments.rate));
        println!("minute {:3} {timings}; server {:.0} MB", minute + 1, server.memory());
    }
    if arguments.minutes > 0 {
        println!("memory     {before:.0} MB before, {:.0} MB after {} minutes", server.memory(), arguments.minutes);
    }

    let list = city.list("later.csv", arguments.subjects, arguments.subjects);
    let (filed, fetched) = beside(|| city.large(&list, &server), || quick("and batch", 10, arguments.rate));
    println!(
        "           another {} subjects filed in {filed:.1} s, fetched in {fetched:.1} s meanwhile",
        arguments.subjects
    );
    server.stop();
}

/// Does something once, and something else again and again until that is done.
fn beside<T: Send>(once: impl FnOnce() -> T + Send, meanwhile: impl Fn()) -> T {
    std::thread::scope(|scope| {
        let (doing, since) = (scope.spawn(once), Instant::now());
        while !doing.is_finished() {
            meanwhile();
            assert!(since.elapsed() < Duration::from_secs(600), "it does not end");
        }
        doing.join().unwrap()
    })
}
