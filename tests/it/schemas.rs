//! Schemas guessed, tried, compared and learned, on a synthetic city.

use crate::harness::{Project, Said, run};

#[test]
fn a_schema_is_guessed_tried_learned_and_links() {
    let project = Project::new();
    let text = |name: &str| project.text(name);
    run(&["synth", "--out", &text("city"), "--people", "6000", "--seed", "3"]).done();
    let (office, bank) = (text("city/office.csv"), text("city/bank.csv"));

    // header and values in turn: a column that says nothing is known by what stands in it
    let csv = std::fs::read_to_string(&bank).unwrap();
    let nameless =
        project.write("nameless.csv", csv.replacen("id,name,id_no,dob,sex,phone,address", "id,a,b,c,d,e,f", 1));
    let said = run(&["schema", "init", &bank, "--out", &text("by-name.toml")]).done();
    assert!(said.stderr.contains("id_no          column 3 `id_no`: by its name"), "{}", said.stderr);
    let said = run(&["schema", "init", &nameless, "--out", &text("by-value.toml")]).done();
    for guess in ["name           column 2 `a`: ", "id_no          column 3 `b`: ", "phone          column 6 `e`: "] {
        assert!(said.stderr.contains(guess), "{guess}: {}", said.stderr);
    }
    let person = csv.lines().nth(1).unwrap().split(',').nth(1).unwrap();
    assert!(!said.stderr.contains(person), "a guess shows no value");
    run(&["schema", "init", &bank, "--out", &text("by-name.toml")]).refused(1, "exists already");

    let said = run(&["schema", "check", &text("by-value.toml"), "--data", &nameless, "--cohort", "3"]).done();
    assert!(said.stdout.contains("pass   id18") && said.stdout.contains("too coarse for this file"), "{}", said.stdout);

    // weights from the file alone, without anybody's truth, link as well as the shipped ones
    let learned = text("learned.toml");
    let learn =
        |out: &str| run(&["schema", "learn", "--schema", &text("by-name.toml"), "--own", &bank, "--out", out]).done();
    learn(&learned);
    learn(&text("again.toml"));
    let read = |name: &str| std::fs::read_to_string(project.path(name)).unwrap();
    assert_eq!(read("learned.toml"), read("again.toml"), "the same seed, the same weights");
    let said = run(&["schema", "diff", &text("by-name.toml"), &learned]).done();
    assert!(said.stdout.contains("tokens stay comparable") && !said.stdout.contains("incomparable"), "{}", said.stdout);
    let (key, out, truth) = (text("linkage.key"), text("pairs.csv"), text("city/truth_bank.csv"));
    let f1 = |schema: &str| {
        let said = run(&[
            "link",
            &office,
            &bank,
            "--schema",
            schema,
            "--key-file",
            &key,
            "--out",
            &out,
            "--truth",
            &truth,
            "--json",
        ])
        .done();
        serde_json::from_str::<serde_json::Value>(&said.stdout).unwrap()["f1"].as_f64().unwrap()
    };
    assert!(f1("resident-cn") > 0.98, "{}", f1("resident-cn"));
    assert!(f1(&learned) > 0.97, "{}", f1(&learned));
}

#[test]
fn who_reads_only_the_first_line_hears_no_panic() {
    let pipe = format!(
        "{} --help | head -1; {} schema check person | true",
        env!("CARGO_BIN_EXE_hedui"),
        env!("CARGO_BIN_EXE_hedui")
    );
    let said =
        Said::of(&std::process::Command::new("bash").args(["-o", "pipefail", "-c", &pipe]).output().unwrap()).done();
    assert!(!said.stderr.contains("panicked"), "{}", said.stderr);
}

#[test]
fn a_wrong_schema_is_refused_with_its_line() {
    let project = Project::new();
    let preset = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/protocol/presets/person.toml")).unwrap();
    let check = |text: String, words: &str| {
        let file = project.write("wrong.toml", text);
        run(&["schema", "check", &file]).refused(1, words);
    };
    check(preset.replacen("kind = \"words\"", "kind = \"wods\"", 1), "unknown variant `wods`");
    check(preset.replacen("kind = \"words\"", "kind = \"wods\"", 1), "TOML parse error at line ");
    check(preset.replacen("dob.date\"", "dob.dote\"", 1), "names `dob.dote`, which is no field.part of this schema");
    check(preset.replacen("norm-v1", "norm-v9", 1), "the normalisation `norm-v9` is unknown");
}
