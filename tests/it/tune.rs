//! Thresholds advised without a truth, held against the truth of FEBRL data set 4.

use std::collections::HashSet;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::harness::{Project, run};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/febrl4");

fn csv_pairs(text: &str) -> Vec<Vec<String>> {
    text.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

/// Precision and recall of the pairs that score at least `threshold`.
fn measured(pairs: &[Vec<String>], truth: &HashSet<(String, String)>, threshold: f64) -> (f64, f64) {
    let above: Vec<_> = pairs.iter().filter(|pair| pair[3].parse::<f64>().unwrap() >= threshold).collect();
    let correct = above.iter().filter(|pair| truth.contains(&(pair[0].clone(), pair[1].clone()))).count() as f64;
    (correct / above.len() as f64, correct / truth.len() as f64)
}

#[test]
fn what_is_advised_is_what_comes_out() {
    let project = Project::new();
    let text = |name: &str| project.text(name);
    let [a, b, truth] = ["a.csv", "b.csv", "truth.csv"].map(|name| format!("{DATA}/{name}"));
    let key = text("linkage.key");
    let tune = |more: &[&str]| {
        let mut args =
            vec!["tune", &a, &b, "--schema", "person", "--key-file", &key, "--map", "national_id=", "--json"];
        args.extend(more);
        serde_json::from_str::<Value>(&run(&args).done().stdout).unwrap()
    };
    let (html, sample) = (text("tune.html"), text("sample.csv"));
    let report = tune(&["--html", &html, "--sample", &sample]);

    // a schema that lists every pair that meets
    let preset = include_str!("../../protocol/presets/person.toml");
    let all = project.write("all.toml", preset.replacen("possible = 0.0", "possible = -99.0", 1));
    let out = text("pairs.csv");
    run(&["link", &a, &b, "--schema", &all, "--key-file", &key, "--map", "national_id=", "--out", &out]).done();
    let pairs = csv_pairs(&std::fs::read_to_string(&out).unwrap());
    let truth: HashSet<(String, String)> = csv_pairs(&std::fs::read_to_string(&truth).unwrap())
        .into_iter()
        .map(|pair| (pair[0].clone(), pair[1].clone()))
        .collect();
    assert_eq!(report["pairs"], pairs.len());
    for advised in ["possible", "probable"] {
        let point = &report["recommended"][advised];
        let (precision, recall) = measured(&pairs, &truth, point["threshold"].as_f64().unwrap());
        for (name, measured) in [("precision", precision), ("recall", recall)] {
            let estimate = point[name]["estimate"].as_f64().unwrap();
            assert!((estimate - measured).abs() <= 0.02, "{advised}: {name} {estimate}, measured {measured}");
        }
    }

    // the page is its owner's, and shows no id and no value
    assert_eq!(std::fs::metadata(&html).unwrap().permissions().mode() & 0o777, 0o600);
    let page = std::fs::read_to_string(&html).unwrap();
    assert!(page.contains("<svg") && page.contains("准确率") && !page.contains("<script"), "a page with pictures");
    assert!(!page.contains("rec-"), "no id");

    // a reviewed sample narrows the intervals
    let reviewed: String = std::iter::once("id_a,id_b,match\n".to_owned())
        .chain(csv_pairs(&std::fs::read_to_string(&sample).unwrap()).into_iter().map(|pair| {
            let matches = truth.contains(&(pair[0].clone(), pair[1].clone()));
            format!("{},{},{}\n", pair[0], pair[1], u8::from(matches))
        }))
        .collect();
    let reviewed = project.write("reviewed.csv", reviewed);
    let after = tune(&["--reviewed", &reviewed]);
    let width = |report: &Value| {
        let precision = &report["schema_possible"]["precision"];
        precision["high"].as_f64().unwrap() - precision["low"].as_f64().unwrap()
    };
    assert!(after["reviewed"].as_u64().unwrap() > 100, "{}", after["reviewed"]);
    assert!(width(&after) < width(&report), "{} {}", width(&after), width(&report));

    // and weights can be learned from it
    let learned = text("learned.toml");
    run(&["schema", "learn", "--schema", "person", "--reviewed", &a, &b, &reviewed, "--out", &learned]).done();
    assert!(std::fs::read_to_string(&learned).unwrap().contains("bias"));

    let strange = project.write("strange.csv", "id_a,id_b,match\nrec-1070-org,rec-1070-dup-0,perhaps\n");
    let args = ["tune", &a, &b, "--schema", "person", "--key-file", &key, "--reviewed", &strange];
    run(&args).refused(1, "row 1: `match` is neither 1 nor 0");
}

#[test]
fn a_file_beside_itself_is_looked_at_for_duplicates() {
    let project = Project::new();
    let (a, key) = (format!("{DATA}/a.csv"), project.text("linkage.key"));
    // every fourth row twice, under another id
    let text = std::fs::read_to_string(&a).unwrap();
    let again = text.lines().skip(1).step_by(4).map(|line| format!("again-{line}\n"));
    let doubled = project.write("doubled.csv", text.clone() + &again.collect::<String>());
    let said = run(&["tune", &doubled, &doubled, "--schema", "person", "--key-file", &key, "--json"]).done();
    let report: Value = serde_json::from_str(&said.stdout).unwrap();
    let matches = report["matches"].as_f64().unwrap();
    assert!((1230.0..1290.0).contains(&matches), "1250 duplicates, {matches} expected");
}
