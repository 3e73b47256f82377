//! `hedui match`: files of every form, every way to bound it, and every way to end it.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use crate::harness::{Project, hedui, run, signal};

/// CLKs of 1024 bits around `people` centres: one file's bytes. The same row of two files is the same person.
fn clks(people: u64, file: u64) -> Vec<u8> {
    let clk = |person: u64| {
        let mut bits = [0u8; 128];
        let mut stream = blake3::Hasher::new().update(&person.to_le_bytes()).finalize_xof();
        let mut other = [0u8; 128];
        stream.fill(&mut bits);
        stream.fill(&mut other);
        bits.iter_mut().zip(other).for_each(|(bits, other)| *bits &= other);
        let noise = blake3::hash(&[person.to_le_bytes(), file.to_le_bytes()].concat());
        noise.as_bytes()[..noise.as_bytes()[31] as usize % 24].iter().for_each(|at| bits[usize::from(at % 128)] ^= 1);
        bits
    };
    (0..people).flat_map(clk).collect()
}

struct Files {
    project: Project,
    a: String,
    b: String,
}

impl Files {
    fn new(people: (u64, u64)) -> Self {
        let project = Project::unsigned();
        let (a, b) = (project.write("a.bin", clks(people.0, 1)), project.write("b.bin", clks(people.1, 2)));
        Self { project, a, b }
    }

    fn out(&self, name: &str) -> String {
        self.project.text(name)
    }

    fn compare(&self, files: &[&str], out: &str, more: &[&str]) -> (Value, String) {
        let out = self.out(out);
        let arguments = [&["match"], files, &["--bits", "1024", "--out", &out, "--json"], more].concat();
        let figures = serde_json::from_str(&run(&arguments).done().stdout).unwrap();
        (figures, std::fs::read_to_string(out).unwrap_or_default())
    }
}

/// The definition, pair by pair.
fn by_hand(a: &[u8], b: &[u8], tenths: u32) -> Vec<(f64, u64, u64)> {
    let mut pairs = Vec::new();
    let weight = |clk: &[u8]| clk.iter().map(|byte| byte.count_ones()).sum::<u32>();
    for (one, id_a) in a.chunks(128).zip(0..) {
        for (other, id_b) in b.chunks(128).zip(0..) {
            let overlap: u32 = one.iter().zip(other).map(|(one, other)| (one & other).count_ones()).sum();
            let sum = weight(one) + weight(other);
            if 20 * overlap >= tenths * sum {
                pairs.push((-f64::from(2 * overlap) / f64::from(sum), id_a, id_b));
            }
        }
    }
    pairs.sort_by(|one, other| one.partial_cmp(other).unwrap());
    pairs
}

fn read(csv: &str) -> Vec<(f64, u64, u64)> {
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some("id_a,id_b,score"));
    let line = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        (-cells[2].parse::<f64>().unwrap(), cells[0].parse().unwrap(), cells[1].parse().unwrap())
    };
    lines.map(line).collect()
}

#[test]
fn every_form_and_every_bound_gives_the_same_pairs() {
    let files = Files::new((300, 700));
    let expect = by_hand(&clks(300, 1), &clks(700, 2), 8);
    assert!(expect.len() > 200, "{}", expect.len());
    let convert = |from: &str, to: &str| {
        let out = files.out(to);
        run(&["clk", "convert", from, &out, "--bits", "1024"]).done();
        out
    };
    let (json, parquet) = (convert(&files.a, "a.json"), convert(&files.b, "b.parquet"));
    let both = |a: &str, b: &str, more: &[&str]| {
        let (figures, csv) = files.compare(&[a, b], "pairs.csv", &[&["--threshold", "0.8"], more].concat());
        assert_eq!(figures["pairs"], expect.len());
        assert_eq!(figures["comparisons"], 300 * 700);
        assert!(figures["max_rss"].as_u64().unwrap() > 1 << 20);
        csv
    };
    for (a, b) in [(&files.a, &files.b), (&json, &parquet), (&json, &files.b)] {
        assert_eq!(read(&both(a, b, &[])), expect);
    }
    for more in [["--kernel", "portable"], ["--threads", "1"], ["--threads", "3"], ["--memory", "40M"]] {
        assert_eq!(read(&both(&files.a, &files.b, &more)), expect, "{more:?}");
    }
    let (_, csv) = files.compare(&[&files.a, &files.b], "all.csv", &["--threshold", "0"]);
    assert_eq!(read(&csv).len(), 300 * 700);

    // Parquet holds the same, and ids that are numbers are ordered as numbers
    let out = files.out("pairs.parquet");
    run(&["match", &json, &parquet, "--threshold", "0.8", "--out", &out]).done();
    let table = parquet_pairs(&out);
    let numbers: Vec<_> = table.iter().map(|(a, b, score)| (-score, a.parse().unwrap(), b.parse().unwrap())).collect();
    assert_eq!(numbers, expect);
}

#[test]
fn pairs_beyond_the_memory_allowed_are_on_disk() {
    let files = Files::new((300, 20_000));
    for (solve, allowed, expect) in [("all", 50, 300 * 20_000), ("greedy", 50, 300), ("optimal", 130, 300)] {
        let memory = format!("{allowed}M");
        let more = ["--threshold", "0", "--threads", "2", "--memory", &memory, "--solve", solve];
        let (figures, csv) = files.compare(&[&files.a, &files.b], "pairs.csv", &more);
        assert_eq!((csv.lines().count() - 1, figures["pairs"].as_u64()), (expect, Some(expect as u64)));
        let used = figures["max_rss"].as_u64().unwrap() >> 20;
        // the program itself takes some twenty
        assert!(used < allowed + 25, "{solve}: {used} MiB, where the pairs alone take 137");
    }
}

fn parquet_pairs(path: &str) -> Vec<(String, String, f64)> {
    use arrow_array::cast::AsArray as _;
    let file = std::fs::File::open(path).unwrap();
    let batches =
        parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let mut pairs = Vec::new();
    for batch in batches.map(Result::unwrap) {
        let (a, b) = (batch["id_a"].as_string::<i32>(), batch["id_b"].as_string::<i32>());
        let scores = batch["score"].as_primitive::<arrow_array::types::Float64Type>();
        pairs.extend((0..batch.num_rows()).map(|row| (a.value(row).into(), b.value(row).into(), scores.value(row))));
    }
    pairs
}

#[test]
fn a_file_is_compared_with_itself_once_a_pair() {
    let files = Files::new((400, 1));
    let twice = files.project.write("twice.bin", [clks(400, 1), clks(400, 2)].concat());
    let all = std::fs::read(&twice).unwrap();
    let expect: Vec<_> = by_hand(&all, &all, 8).into_iter().filter(|(_, a, b)| a < b).collect();
    let (figures, csv) = files.compare(&[&twice], "pairs.csv", &["--self", "--threshold", "0.8"]);
    assert_eq!(read(&csv), expect);
    assert_eq!(figures["comparisons"], 800 * 799 / 2);
}

#[test]
fn solvers_give_one_record_one_partner_and_files_groups() {
    let files = Files::new((300, 300));
    for solve in ["best", "greedy", "optimal"] {
        let (_, csv) = files.compare(&[&files.a, &files.b], "pairs.csv", &["--threshold", "0.5", "--solve", solve]);
        let pairs = read(&csv);
        assert!(pairs.iter().filter(|(_, a, b)| a == b).count() > 290, "{solve}");
        let partners: BTreeMap<u64, u64> = pairs.iter().map(|(_, a, b)| (*b, *a)).collect();
        assert_eq!(partners.len(), pairs.len(), "{solve}: a record of B has one partner");
    }
    let c = files.project.write("c.bin", clks(300, 3));
    let (figures, csv) = files.compare(
        &[&files.a, &files.b, &c],
        "groups.csv",
        &["--threshold", "0.5", "--solve", "greedy", "--one-a-file"],
    );
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some("group,file,id"));
    let mut groups: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for line in lines {
        let cells: Vec<&str> = line.split(',').collect();
        groups.entry(cells[0]).or_default().push((cells[1], cells[2]));
    }
    assert_eq!(figures["groups"], groups.len());
    let whole = groups.values().filter(|group| group.len() == 3 && group.iter().all(|(_, id)| *id == group[0].1));
    assert!(whole.count() > 280);
}

#[test]
fn what_was_done_before_a_kill_is_not_done_again() {
    let files = Files::new((6_000, 20_000));
    let slow = ["--threshold", "0.8", "--kernel", "portable", "--threads", "1"];
    let (_, expect) = files.compare(&[&files.a, &files.b], "pairs.csv", &slow);
    let (checkpoint, out) = (files.out("checkpoint"), files.out("resumed.csv"));
    let more = [&slow[..], &["--checkpoint", &checkpoint]].concat();
    let command = || {
        let mut command = hedui();
        command.args(["match", &files.a, &files.b, "--bits", "1024", "--out", &out, "--json"]).args(&more);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let tiles = std::path::Path::new(&checkpoint).join("tiles");
    let done = || std::fs::metadata(&tiles).map_or(0, |file| file.len());
    for _ in 0..3 {
        let before = done();
        let mut child = command().spawn().unwrap();
        let since = std::time::Instant::now();
        while done() <= before.max(32) && since.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(5));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(done() > before, "a tile was done, and stays");
        assert!(!std::path::Path::new(&out).exists(), "no half file");
        let left = std::fs::read_dir(files.project.path("")).unwrap().map(|entry| entry.unwrap().file_name());
        assert!(
            left.into_iter().all(|name| !name.to_string_lossy().starts_with('.')),
            "nothing but the checkpoint stays"
        );
    }
    // an entry that the kill cut short counts for nothing
    let whole = std::fs::read(&tiles).unwrap();
    std::fs::write(&tiles, &whole[..whole.len() - 3]).unwrap();
    let (figures, csv) = files.compare(&[&files.a, &files.b], "resumed.csv", &more);
    assert_eq!(csv, expect);
    let resumed = figures["resumed"].as_u64().unwrap();
    assert!((2 * 256 * 20_000..6_000 * 20_000).contains(&resumed), "{resumed}");
    assert!(!tiles.exists(), "nothing is left to resume");
}

#[test]
fn a_checkpoint_of_another_comparison_is_refused() {
    let files = Files::new((3_000, 20_000));
    let checkpoint = files.out("checkpoint");
    let plan = |threshold: &'static str| ["--checkpoint", &checkpoint, "--threshold", threshold].map(str::to_owned);
    let command = |threshold| {
        let mut command = hedui();
        command.args(["match", &files.a, &files.b, "--bits", "1024", "--out", &files.out("pairs.csv")]);
        command.args(plan(threshold));
        command
    };
    // two runs do not share one
    std::fs::create_dir(&checkpoint).unwrap();
    let tiles = std::path::Path::new(&checkpoint).join("tiles");
    let held = std::fs::File::create(&tiles).unwrap();
    held.lock().unwrap();
    let said = command("0.8").output().unwrap();
    assert!(String::from_utf8_lossy(&said.stderr).contains("another run is using it"));
    drop(held);
    std::fs::remove_dir_all(&checkpoint).unwrap();
    // something to resume: the comparison is killed in its middle
    let mut slow = command("0.8");
    let mut child = slow.args(["--kernel", "portable", "--threads", "1"]).spawn().unwrap();
    let since = std::time::Instant::now();
    while std::fs::metadata(&tiles).map_or(0, |file| file.len()) <= 32 && since.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let said = command("0.9").output().unwrap();
    assert_eq!(said.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&said.stderr).contains("another comparison's checkpoint"));
    assert!(command("0.80").output().unwrap().status.success(), "the same threshold in other words");
    // a file of somebody's is not taken for one that a kill cut short
    std::fs::create_dir(&checkpoint).unwrap();
    std::fs::write(&tiles, "notes").unwrap();
    assert_eq!(command("0.8").output().unwrap().status.code(), Some(1));
    assert_eq!(std::fs::read(&tiles).unwrap(), b"notes");
}

#[test]
fn a_folder_that_is_not_there_is_said_before_anything_is_compared() {
    let files = Files::new((300, 300));
    let checkpoint = files.out("checkpoint");
    let out = files.out("nowhere/pairs.csv");
    let mut command = hedui();
    command.args(["match", &files.a, &files.b, "--bits", "1024", "--threshold", "0.8", "--out", &out]);
    let said = command.args(["--checkpoint", &checkpoint]).output().unwrap();
    assert_eq!(said.status.code(), Some(1), "{}", String::from_utf8_lossy(&said.stderr));
    assert!(!std::path::Path::new(&checkpoint).exists(), "nothing was begun");
}

#[test]
fn an_interrupted_comparison_leaves_no_half_file() {
    let files = Files::new((20_000, 40_000));
    let out = files.out("pairs.csv");
    let mut command = hedui();
    command.args(["match", &files.a, &files.b, "--bits", "1024", "--out", &out]);
    command.args(["--threshold", "0.8", "--kernel", "portable", "--threads", "1"]);
    let child = command.stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(400));
    signal(&child, "INT");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    let left = std::fs::read_dir(files.project.path("")).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = left.filter(|name| name.to_string_lossy().contains("pairs")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn what_cannot_be_compared_is_told() {
    let files = Files::new((3, 3));
    let out = files.out("pairs.csv");
    let refused = |arguments: &[&str], code: i32, words: &str| {
        run(&[&["match"], arguments, &["--out", &out, "--threshold", "0.8"]].concat()).refused(code, words);
    };
    refused(&[&files.a, &files.b], 2, "raw CLKs do not tell their length");
    refused(&[&files.a, &files.b, "--bits", "96"], 1, "a multiple of 64 up to 16384 is compared");
    refused(&[&files.a, "--bits", "1024"], 2, "`--self`");
    refused(&[&files.a, &files.b, &files.b, "--bits", "1024"], 2, "`--solve greedy`");
    refused(&[&files.a, "--self", "--solve", "best", "--bits", "1024"], 2, "for two files");
    refused(&[&files.a, &files.b, "--one-a-file", "--bits", "1024"], 2, "speaks of groups");
    refused(&[&files.a, &files.b, "--bits", "1024", "--kernel", "abacus"], 2, "it runs portable");
    refused(&[&files.a, &files.b, "--bits", "1024", "--threads", "2", "--memory", "1M"], 1, "these CLKs take 36M");
    refused(&[&files.a, &files.b, "--bits", "1024", "--threads", "0"], 2, "0 is not in 1..=65535");
    refused(&[&files.a, &files.b, "--bits", "1024", "--top", "0"], 2, "0 is not in 1..");
    let text = files.out("pairs.txt");
    run(&["match", &files.a, &files.b, "--bits", "1024", "--threshold", "0.8", "--out", &text])
        .refused(2, "end the name in .csv or .parquet");
    refused(&[&files.a, &files.a, &files.b, "--bits", "1024", "--solve", "greedy"], 2, "one file is named twice");
    refused(&[&files.a, &files.b, "--bits", "1023"], 2, "whole bytes");
    let folder = files.out("folder.csv");
    std::fs::create_dir(&folder).unwrap();
    run(&["match", &files.a, &files.b, "--bits", "1024", "--threshold", "0.8", "--out", &folder])
        .refused(1, "this is a folder");
    let short = files.project.write("short.bin", [0; 64]);
    let json = files.out("short.json");
    run(&["clk", "convert", &short, &json, "--bits", "512"]).done();
    let a = files.out("a.json");
    run(&["clk", "convert", &files.a, &a, "--bits", "1024"]).done();
    refused(&[&a, &json], 1, "CLKs of 512 bits; those of the first file have 1024");
}
