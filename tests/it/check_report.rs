//! `agency check`: its files are their owner's alone, and nothing of it holds a value that nobody asked for.

use std::collections::HashSet;
use std::os::unix::fs::PermissionsExt as _;

use crate::harness::{Project, Said, run};

/// Everything that `agency check` says of a made-up bank's file, with these further arguments.
struct Checked {
    project: Project,
    said: Said,
}

impl Checked {
    fn new(more: &[&str]) -> Self {
        let project = Project { folder: tempfile::tempdir().unwrap(), stores: None };
        run(&["synth", "--out", &project.text("city"), "--people", "3000", "--seed", "5"]).done();
        let (data, html, worst) =
            (project.text("city/bank.csv"), project.text("report.html"), project.text("worst.csv"));
        let arguments = ["agency", "check", &data, "--schema", "resident-cn", "--html", &html, "--worst", &worst];
        let said = run(&[&arguments, more].concat()).done();
        Self { project, said }
    }

    fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.project.path(name)).unwrap()
    }

    /// Values of the file that tell a person.
    fn values(&self) -> HashSet<String> {
        let (header, rows) = table(&self.file("city/bank.csv"));
        let telling = ["id", "name", "id_no", "dob", "phone", "address"];
        let telling = telling.map(|column| header.iter().position(|name| name == column).unwrap());
        let cells = rows.iter().flat_map(|row| telling.map(|at| row[at].trim().to_owned()));
        let values: HashSet<String> = cells.filter(|cell| tells(cell)).collect();
        assert!(values.len() > 3000, "{}", values.len());
        values
    }
}

fn table(text: &str) -> (csv::StringRecord, Vec<csv::StringRecord>) {
    let mut csv = csv::Reader::from_reader(text.as_bytes());
    (csv.headers().unwrap().clone(), csv.records().map(Result::unwrap).collect())
}

/// Shorter ones stand in any text by chance, and `不详` says that there is no value.
fn tells(cell: &str) -> bool {
    let is_name = cell.chars().count() > 1 && cell.chars().all(|c| matches!(c, '\u{4e00}'..='\u{9fff}'));
    cell != "不详" && (is_name || cell.chars().count() > 3)
}

/// Those of the values that stand somewhere in these texts.
fn found(values: &HashSet<String>, texts: &[&str]) -> HashSet<String> {
    let searched = aho_corasick::AhoCorasick::new(values).unwrap();
    texts
        .iter()
        .flat_map(|text| searched.find_overlapping_iter(*text).map(|found| text[found.range()].to_owned()))
        .collect()
}

#[test]
fn no_value_is_told_that_nobody_asked_for() {
    for more in [&[][..], &["--json"]] {
        let checked = Checked::new(more);
        let values = checked.values();
        let (page, worst, said) = (checked.file("report.html"), checked.file("worst.csv"), &checked.said);
        let told = found(&values, &[&page, &worst, &said.stdout, &said.stderr]);
        assert!(told.is_empty(), "{told:?}");
        assert!(!found(&values, &[&checked.file("city/bank.csv")]).is_empty(), "the search finds what is there");
    }
}

#[test]
fn values_that_are_asked_for_stand_on_screen_and_beside_their_rows_and_not_on_the_page() {
    let checked = Checked::new(&["--show-values"]);
    let values = checked.values();
    assert!(!found(&values, &[&checked.said.stdout]).is_empty(), "{}", checked.said.stdout);
    assert!(found(&values, &[&checked.file("report.html"), &checked.said.stderr]).is_empty());
    let (header, worst) = table(&checked.file("worst.csv"));
    assert_eq!(header, vec!["row", "passes", "troubles", "name", "id_no", "dob", "sex", "phone", "address"]);
    let (given, input) = table(&checked.file("city/bank.csv"));
    for row in &worst {
        let own = &input[row[0].parse::<usize>().unwrap() - 1];
        for (field, shown) in header.iter().zip(row).skip(3) {
            let cell = &own[given.iter().position(|name| name == field).unwrap()];
            let troubled = row[2].split("; ").any(|trouble| trouble.starts_with(&format!("{field}: ")));
            assert_eq!(shown, if troubled { cell } else { "" }, "row {}: {field}", &row[0]);
        }
    }
}

#[test]
fn the_files_are_their_owners_alone_and_the_worst_rows_come_first() {
    let checked = Checked::new(&["--json"]);
    for name in ["report.html", "worst.csv"] {
        let mode = std::fs::metadata(checked.project.path(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let (_, worst) = table(&checked.file("worst.csv"));
    let passes: Vec<usize> = worst.iter().map(|row| row[1].parse().unwrap()).collect();
    assert!(passes.is_sorted() && passes.len() <= 1000 && passes[0] < passes[passes.len() - 1], "{passes:?}");

    let report: serde_json::Value = serde_json::from_str(&checked.said.stdout).unwrap();
    let rows = report["rows"].as_u64().unwrap();
    let sum = |counts: &serde_json::Value| counts.as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).sum::<u64>();
    assert_eq!(sum(&report["passes_a_row"]), rows, "every row once");
    for pass in report["passes"].as_array().unwrap() {
        assert_eq!(pass["rows"].as_u64().unwrap() + pass["lost"].as_u64().unwrap(), rows, "{pass}");
    }
}

#[test]
fn the_page_stands_alone() {
    let checked = Checked::new(&[]);
    let page = checked.file("report.html");
    for loads in ["<script", "<link", "<img", "<iframe", "@import", "url(", "src=", "http:"] {
        assert!(!page.contains(loads), "{loads}");
    }
    assert!(page.contains("default-src 'none'"), "and the browser is told so");
    let (bars, entries) = (page.matches("class=\"bar\"").count(), page.matches("class=\"entry\"").count());
    assert_eq!(
        (bars, entries),
        (6 + 19 + 1, 8 + 19),
        "a bar a field that the file has, a pass, and for the passes a row"
    );
}
