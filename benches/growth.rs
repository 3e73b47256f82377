//! What the join costs as an agency's set grows: building its index from parts, and looking subjects up, warm and cold.
//!
//! `cargo bench --bench growth -- --rows 1000000 3000000 10000000 --chart docs/join.svg`; without sizes it runs small ones. Rows
//! are made up: a token for each of the 19 passes of `resident-cn`, as many rows to a token as a synthetic bank has
//! (docs/THREATS.md), no filters, no payload. Half of the subjects are in the set. Prints a table for docs/PERFORMANCE.md.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Instant;

use bloomfilter::Bloom;
use clap::Parser;
use hedui::matching::Matcher;
use hedui::matching::build::{Building, POSTINGS, rows_file};
use hedui::matching::bytes::Bytes;
use hedui::matching::index::Index;
use hedui::matching::postings::{Postings, key};
use hedui::matching::rows::RowTable;
use hedui::parts::{self, PartMeta, PartReader};
use hedui_protocol::encodings::{Encodings, Shape, Token};
use hedui_protocol::ids::{ManifestId, RecordId};
use hedui_protocol::part::{PartSeal, StoredRecord};
use hedui_protocol::schema::Schema;
use rayon::prelude::*;
use rustix::fs::{Advice, fadvise};

const PASSES: u8 = 19;
const PART_ROWS: u32 = 65_536;
const SUBJECTS: u64 = 10_000;
const ROOM: u64 = 1 << 30;
/// A Bloom filter of more rows' tokens takes minutes.
const MOST_OF_PREFILTER: u32 = 1_000_000;
/// Strange subjects have numbers from here on.
const STRANGERS: u64 = 1 << 40;

#[derive(Parser)]
struct Arguments {
    #[arg(long, num_args = 1.., default_values_t = [30_000, 100_000, 300_000])]
    rows: Vec<u32>,
    /// An SVG of what building and lookups cost, by rows
    #[arg(long)]
    chart: Option<PathBuf>,
    /// Where parts and indexes are put, and taken away again
    #[arg(long, default_value = "target/growth")]
    folder: PathBuf,
    /// What cargo adds
    #[arg(long, hide = true)]
    bench: bool,
}

/// How many different values a pass has in a set of so many rows.
fn values(pass: u8, rows: u64) -> u64 {
    match pass {
        0 => (rows / 180).max(46_700), // birth date and sex; above 256 rows a token the encoder takes them out
        1 => 770_000,                  // surname and birth date
        2 => 1_000_000,                // sounds of a name and birth year
        3 => 2_500_000,                // name and birth year
        4 => 1_700_000,                // name less a character and birthday
        5..8 => 6_000_000,             // name and birth date, initials and birth date, sounds and birthday
        8 | 9 => (rows * 10 / 22).max(1), // households: address, phone
        _ => u64::MAX,                 // numbers, and a household's with a name or a date: one person's
    }
}

fn mixed(mut x: u64) -> u64 {
    // splitmix64 (Steele, Lea, Flood 2014)
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn person(number: u64, rows: u64) -> Encodings {
    let token = |pass: u8| {
        let value = mixed(number << 8 | u64::from(pass)) % values(pass, rows);
        let seed = mixed(value ^ u64::from(pass) << 56);
        let halves = [seed, mixed(seed)].map(u64::to_le_bytes);
        (pass, Token(halves.concat().try_into().expect("sixteen bytes")))
    };
    Encodings { tokens: (0..PASSES).map(token).collect(), filters: vec![] }
}

fn shape() -> Shape {
    Shape { passes: PASSES, filter_bytes: vec![] }
}

fn part_path(folder: &Path, part: u32) -> PathBuf {
    folder.join(format!("{part:05}.parquet"))
}

fn write_parts(folder: &Path, rows: u32) -> u32 {
    let count = rows.div_ceil(PART_ROWS);
    (0..count).into_par_iter().for_each(|part| {
        let from = part * PART_ROWS;
        let record = |row: u32| StoredRecord {
            record: RecordId(
                [mixed(u64::from(row)), u64::from(row)].map(u64::to_le_bytes).concat().try_into().expect("16"),
            ),
            encodings: person(u64::from(row), u64::from(rows)).to_bytes(),
            wraps: vec![],
            locked: vec![],
        };
        let records: Vec<StoredRecord> = (from..rows.min(from + PART_ROWS)).map(record).collect();
        let seal = PartSeal { salt: [0; 16], encapsulations: vec![] };
        let meta = PartMeta { manifest: ManifestId([0; 32]), agency: "bank".into(), number: part, seal };
        std::fs::write(part_path(folder, part), parts::write(&meta, &records).expect("rows"))
            .expect("room on the disk");
    });
    count
}

/// As the server's indexer does it.
fn build(folder: &Path, parts: u32) -> Building {
    let (building, shape) = (Building::new(folder, PASSES), shape());
    (0..parts).into_par_iter().for_each(|part| {
        let bytes = std::fs::read(part_path(folder, part)).expect("written before");
        let mut reader = PartReader::open(bytes::Bytes::from(bytes)).expect("a part");
        let mut builder = building.part(part, part * PART_ROWS).expect("room on the disk");
        while let Some(rows) = reader.next_rows().expect("rows") {
            for row in rows {
                let encodings = Encodings::parse(&row.encodings, &shape).expect("encodings");
                builder.row(row.record, &encodings, &row.wraps, &row.locked).expect("room on the disk");
            }
        }
        builder.finish(b"").expect("room on the disk");
    });
    building
}

fn open(folder: &Path, parts: u32) -> Index {
    let map = |name: &str| Bytes::map(&folder.join(name)).expect("built");
    let rows = (0..parts).map(|part| RowTable::new(map(&rows_file(part))).expect("rows")).collect();
    Index::new(rows, map(POSTINGS)).expect("an index")
}

/// Takes the index's files out of the page cache.
fn forget(folder: &Path) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let file = File::open(entry.expect("an entry").path()).expect("a file");
        file.sync_all().expect("written");
        fadvise(&file, 0, None, Advice::DontNeed).expect("advice is taken");
    }
}

/// MiB of a line of /proc/self/status.
fn memory(line: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = status.lines().find_map(|own| own.strip_prefix(line)?.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) >> 10
}

/// Seconds that something takes.
fn timed<T>(act: impl FnOnce() -> T) -> (f64, T) {
    let start = Instant::now();
    let done = act();
    (start.elapsed().as_secs_f64(), done)
}

struct Figures {
    rows: u32,
    /// Rows a second.
    built: f64,
    merged: f64,
    /// Anonymous memory at the end of building, and the most that was resident, mapped files among it.
    anonymous: u64,
    resident: u64,
    /// Bytes a row, of the parts' encodings and of the index.
    parts: f64,
    index: f64,
    cold: f64,
    warm: f64,
    hits: usize,
    median: f64,
    p99: f64,
}

fn measure(folder: &Path, rows: u32) -> Figures {
    let _ = std::fs::remove_dir_all(folder);
    std::fs::create_dir_all(folder).expect("a folder");
    let parts = write_parts(folder, rows);
    // the most that is resident is counted from here on (proc_pid_clear_refs(5))
    std::fs::write("/proc/self/clear_refs", "5").expect("a process may forget its own peak");
    let (of_parts, building) = timed(|| build(folder, parts));
    let (merging, finished) = timed(|| building.finish(parts, ROOM).expect("merged"));
    let (anonymous, resident) = (memory("RssAnon:"), memory("VmHWM:"));
    (0..parts).for_each(|part| std::fs::remove_file(part_path(folder, part)).expect("written before"));
    let on_disk: u64 = std::fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("one").metadata().expect("its").len())
        .sum();

    let subjects: Vec<Encodings> = (0..SUBJECTS)
        .map(|number| if number % 2 == 0 { mixed(number) % u64::from(rows) } else { STRANGERS + number })
        .map(|number| person(number, u64::from(rows)))
        .collect();
    let all: Vec<&Encodings> = subjects.iter().collect();
    let schema = Schema::parse(Schema::preset("resident-cn").expect("shipped")).expect("shipped");
    assert_eq!(schema.passes.len(), usize::from(PASSES), "a token for each pass of the preset");
    forget(folder);
    let (cold, _) = timed(|| Matcher::new(&open(folder, parts), &schema, shape()).matches_of_all(&all));
    let index = open(folder, parts);
    let matcher = Matcher::new(&index, &schema, shape());
    let (_, found) = timed(|| matcher.matches_of_all(&all));
    let (warm, again) = timed(|| matcher.matches_of_all(&all));
    assert_eq!(found, again);
    let met = found.iter().step_by(2).filter(|found| !found.is_empty()).count() as u64;
    assert_eq!(met, SUBJECTS / 2, "who is in the set is found");
    let mut each: Vec<f64> = subjects.iter().map(|subject| timed(|| matcher.matches(subject)).0).collect();
    each.sort_by(f64::total_cmp);
    if rows <= MOST_OF_PREFILTER {
        prefilter(folder, &index, &subjects);
    }
    let hits = index.hits(subjects.iter()).len();
    drop(index);
    std::fs::remove_dir_all(folder).expect("made here");
    Figures {
        rows,
        built: f64::from(rows) / (of_parts + merging),
        merged: finished.merged.entries as f64 / merging,
        anonymous,
        resident,
        // a token each, the record's id, which passes it has
        parts: (16 * usize::from(PASSES) + 16 + usize::from(PASSES).div_ceil(8)) as f64,
        index: on_disk as f64 / f64::from(rows),
        cold,
        warm,
        hits,
        median: each[each.len() / 2],
        p99: each[each.len() * 99 / 100],
    }
}

/// What a Bloom filter before the table costs and brings: the strange subjects' tokens, with and without it.
fn prefilter(folder: &Path, index: &Index, subjects: &[Encodings]) {
    let table = Postings::new(Bytes::map(&folder.join(POSTINGS)).expect("built")).expect("a table");
    let strangers = subjects.iter().skip(1).step_by(2);
    let keys: Vec<Token> = strangers.flat_map(|one| one.tokens.iter().map(|(pass, token)| key(*pass, token))).collect();
    let absent: Vec<Token> = keys.into_iter().filter(|key| table.find(*key).next().is_none()).collect();
    for rate in [0.1, 0.01] {
        let items = usize::try_from(table.entries()).expect("addressable");
        let (making, bloom) = timed(|| {
            let mut bloom = Bloom::<Token>::new_for_fp_rate(items, rate).expect("a filter");
            table.keys().for_each(|key| bloom.set(&key));
            bloom
        });
        let (asked, let_through) = timed(|| absent.iter().filter(|key| bloom.check(key)).count());
        let (looked, _) = timed(|| absent.iter().filter(|key| table.find(**key).next().is_some()).count());
        eprintln!(
            "{} rows, prefilter {rate}: made in {making:.1} s, {} MiB; {} absent keys: {:.2} ms, {:.4} let through; table alone {:.2} ms",
            index.rows(),
            bloom.len() >> 23,
            absent.len(),
            1e3 * asked,
            let_through as f64 / absent.len() as f64,
            1e3 * looked
        );
    }
}

/// Name, colour and seconds of a line of the chart.
type Line = (&'static str, &'static str, fn(&Figures) -> f64);

fn chart(all: &[Figures]) -> String {
    let lines: [Line; 4] = [
        ("building, s", "#0b6e4f", |figures| f64::from(figures.rows) / figures.built),
        ("10,000 subjects, cold, s", "#c0392b", |figures| figures.cold),
        ("10,000 subjects, warm, s", "#2c5aa0", |figures| figures.warm),
        ("one subject, p99, s", "#8e44ad", |figures| figures.p99),
    ];
    let (least, most) = (f64::from(all[0].rows), f64::from(all[all.len() - 1].rows).max(f64::from(all[0].rows) + 1.0));
    let seconds = || all.iter().flat_map(|figures| lines.iter().map(move |(_, _, of)| of(figures)));
    let (low, high) =
        (seconds().fold(f64::MAX, f64::min).log10().floor(), seconds().fold(0.0, f64::max).log10().ceil());
    let x = |rows: u32| 70.0 + 430.0 * (f64::from(rows) / least).ln() / (most / least).ln();
    let y = |seconds: f64| 300.0 - 260.0 * (seconds.log10() - low) / (high - low);
    let mut svg = String::from(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 700 340\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"700\" height=\"340\" fill=\"#fff\"/>\n",
    );
    for power in low as i32..=high as i32 {
        let (value, at) = (10f64.powi(power), y(10f64.powi(power)));
        svg += &format!(
            "<path d=\"M70 {at:.1}H500\" stroke=\"#ddd\"/><text x=\"62\" y=\"{:.1}\" text-anchor=\"end\">{value} s</text>\n",
            at + 4.0
        );
    }
    for figures in all {
        svg += &format!(
            "<text x=\"{:.1}\" y=\"318\" text-anchor=\"middle\">{:.1} M</text>\n",
            x(figures.rows),
            f64::from(figures.rows) / 1e6
        );
    }
    for (name, colour, of) in lines {
        let points: Vec<String> =
            all.iter().map(|figures| format!("{:.1} {:.1}", x(figures.rows), y(of(figures)))).collect();
        let last = &all[all.len() - 1];
        svg += &format!("<path d=\"M{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>", points.join("L"));
        svg += &format!(
            "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{name}</text>\n",
            x(last.rows) + 6.0,
            y(of(last)) + 4.0
        );
    }
    svg + "<text x=\"285\" y=\"334\" text-anchor=\"middle\">rows of the agency's set</text></svg>\n"
}

fn main() {
    let arguments = Arguments::parse();
    println!(
        "| rows | built, rows/s | merged, tokens/s | memory, MiB (resident) | bytes a row (of its parts) | hits | 10,000 cold, s | warm, s | one, ms: median, p99 |"
    );
    println!("|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    let mut all = Vec::new();
    for rows in arguments.rows {
        let f = measure(&arguments.folder, rows);
        println!(
            "| {} | {:.0} | {:.0} | {} ({}) | {:.0} ({:.3}) | {} | {:.2} | {:.3} | {:.3}, {:.3} |",
            f.rows,
            f.built,
            f.merged,
            f.anonymous,
            f.resident,
            f.index,
            f.index / f.parts,
            f.hits,
            f.cold,
            f.warm,
            1e3 * f.median,
            1e3 * f.p99
        );
        all.push(f);
    }
    if let Some(path) = arguments.chart {
        std::fs::write(path, chart(&all)).expect("room on the disk");
    }
}
