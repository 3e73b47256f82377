//! A project of plain CLKs: refused by everybody until its manifest says the word, then linked as any other.

use crate::harness::{OFFICE, OTHER_OFFICE, Project, Said, Server, hedui, run, tls};

/// 1,088 bits, as no other profile has them, and clkhash's weak hash.
const LINKAGE_SCHEMA: &str = r#"{"version": 2, "clkConfig": {"l": 1088, "kdf": {"type": "HKDF"}}, "features": [
 {"identifier": "id", "ignored": true},
 {"identifier": "name", "format": {"type": "string", "encoding": "utf-8"},
  "hashing": {"ngram": 2, "strategy": {"numBits": 100}, "hash": {"type": "doubleHash"}}},
 {"identifier": "dob", "format": {"type": "date", "format": "%Y-%m-%d"},
  "hashing": {"ngram": 1, "positional": true, "strategy": {"numBits": 100}, "hash": {"type": "doubleHash"}}},
 {"identifier": "phone", "format": {"type": "string", "encoding": "utf-8"},
  "hashing": {"ngram": 2, "strategy": {"numBits": 100}, "hash": {"type": "doubleHash"}}}]}"#;
const LIST: &str = "id,name,dob,phone,household_no,relation,consent_no,consent_scope,consent_status\n\
O1,欧阳若曦,1980-01-01,12000000001,H1,本人,SQ1,BV,valid\n\
O3,司徒远航,1975-05-06,12345678903,H2,本人,SQ3,V,valid\n";
const BANK: &str = "id,name,dob,phone,accounts,balance\n\
B1,欧阳若曦,1980-01-01,12000000001,2,70123.45\n\
B3,司徒远航,1975-05-06,12345678903,3,8888.88\n\
B4,百里无忧,1990-01-02,19876543210,3,9999.99\n";
/// One digit of the telephone number is wrong.
const VEHICLE: &str = "id,name,dob,phone,vehicles,vehicle_price\n\
V3,司徒远航,1975-05-06,12345678803,1,123456.78\n";
const WORD: &str = "dangerously_plain = true\n";

fn schema(project: &Project) -> String {
    let (linkage_schema, schema) = (project.write("linkage.json", LINKAGE_SCHEMA), project.text("clk.toml"));
    let said = run(&["clk", "schema", &linkage_schema, "--out", &schema]).done();
    assert!(said.stderr.contains("plain CLKs") && said.stderr.contains("doubleHash"), "{}", said.stderr);
    schema
}

/// `hedui manifest new` under the schema.
fn new(project: &Project, out: &str, more: &[&str]) -> Said {
    let check = run(&["key", "show", "--kind", "linkage", &project.text("linkage.key")]).done().stdout;
    let schema = schema(project);
    project.manifest_with(out, "2026-11", check.trim(), &[&["--schema", schema.as_str()], more].concat())
}

/// A signed project of plain CLKs.
fn project() -> Project {
    let project = Project::unsigned();
    std::fs::remove_file(project.path("manifest.toml")).unwrap();
    new(&project, "manifest.toml", &["--dangerously-plain"]).done();
    for party in ["bank", "vehicle", OFFICE, OTHER_OFFICE] {
        project.sign(party).done();
    }
    project
}

#[test]
fn nobody_takes_plain_clks_without_the_word() {
    let project = project();
    let refusal = "must say `dangerously_plain = true`";
    new(&project, "other.manifest.toml", &[]).refused(1, refusal);
    let show = ["manifest", "show", "--manifest", &project.text("manifest.toml")];
    let shown = run(&show).done().stdout;
    assert!(shown.contains("\nDANGER    plain CLKs: attacks read names from them"), "{shown}");

    let manifest = std::fs::read_to_string(project.path("manifest.toml")).unwrap();
    assert!(manifest.contains(WORD), "{manifest}");
    project.write("manifest.toml", manifest.replacen(WORD, "", 1));
    run(&show).refused(1, refusal);
    let (list, bank) = (project.write("list.csv", LIST), project.write("bank.csv", BANK));
    project.encode("bank", &bank, "encoded").refused(1, refusal);
    let mut request = project.office_at("https://127.0.0.1:1", "request", &[&list]);
    Said::of(&request.output().unwrap()).refused(1, refusal);
    let mut server = hedui();
    server.args(["server", "run", "--data", &project.text("server"), "--listen", "127.0.0.1:0"]);
    server.args(["--operator-listen", "127.0.0.1:0", "--manifest", &project.text("manifest.toml")]);
    server.args(["--log-key", &project.text("log.key")]);
    Said::of(&server.args(tls(&project, "server")).output().unwrap()).refused(1, refusal);
}

#[test]
fn a_household_is_verified_by_plain_clks() {
    let project = project();
    let [list, bank, vehicle] =
        [("list.csv", LIST), ("bank.csv", BANK), ("vehicle.csv", VEHICLE)].map(|(name, csv)| project.write(name, csv));
    let server: Server = project.server();
    let log = std::fs::read_to_string(&server.log).unwrap();
    assert!(log.contains("WARN") && log.contains("plain CLKs: attacks read names from them"), "{log}");
    for (agency, data) in [("bank", &bank), ("vehicle", &vehicle)] {
        let said = project.encode(agency, data, agency).done();
        assert!(said.stderr.contains("warning: ") && said.stderr.contains("plain CLKs"), "{}", said.stderr);
        assert!(said.stderr.contains("doubleHash gives its pattern away"), "{}", said.stderr);
        project.submit(agency, agency, &server).done();
    }
    let said = project.office("request", &server, &[&list]).done();
    assert!(said.stderr.contains("plain CLKs") && said.stderr.contains("2 commissions filed"), "{}", said.stderr);
    project.office("fetch", &server, &[]).done();
    project.office("report", &server, &[]).done();
    let state = |household: &str, agency: usize| project.report(household)["members"][0]["agencies"][agency].clone();
    assert_eq!(state("H1", 0)["state"], "pending", "no pass names a person: the deposit stays locked");

    for (agency, data) in [("bank", &bank), ("vehicle", &vehicle)] {
        let said = project.answer(agency, data, &server).done();
        assert!(said.stderr.contains("1 matches answered"), "{agency}: {}", said.stderr);
    }
    project.office("fetch", &server, &[]).done();
    project.office("report", &server, &[]).done();
    let told = state("H1", 0);
    assert_eq!(told["records"].as_array().unwrap().len(), 1);
    assert_eq!(told["records"][0]["band"], "probable");
    assert_eq!(told["records"][0]["items"][0]["payload"]["values"]["balance"], "70123.45");
    assert_eq!(state("H1", 1)["state"], "no-record");
    assert_eq!(state("H2", 0)["state"], "not-covered");
    assert_eq!(state("H2", 1)["records"][0]["items"][0]["payload"]["values"]["vehicle_price"], "123456.78");
}

#[test]
fn a_row_that_clkhash_refuses_is_named_by_file_row_column_and_rule() {
    let project = project();
    let rule = ".csv: row 2: `dob` is not a date in the schema's format";
    let with_bad_day = |csv: &str| csv.replacen("1975-05-06", "6 May 1975", 1);
    let bank = project.write("bank.csv", with_bad_day(BANK));
    let said = project.encode("bank", &bank, "encoded").refused(1, rule);
    assert!(!said.stderr.contains("6 May") && !project.path("encoded").exists());
    let list = project.write("list.csv", with_bad_day(LIST));
    let mut request = project.office_at("https://127.0.0.1:1", "request", &[&list]);
    Said::of(&request.output().unwrap()).refused(1, rule);
    let who = project.write("who.csv", with_bad_day("id,name,dob,phone\nA,a,1975-05-07,1\nB,b,1975-05-06,2\n"));
    let (linkage_schema, key) = (project.text("linkage.json"), project.text("linkage.key"));
    let (out, clks, schema) = (project.text("pairs.csv"), project.text("clks.json"), project.text("clk.toml"));
    run(&["clk", "encode", &who, &linkage_schema, "--secret-file", &key, "--out", &clks]).refused(1, rule);
    run(&["link", &who, &who, "--schema", &schema, "--key-file", &key, "--out", &out]).refused(1, rule);
}

#[test]
fn two_files_are_linked_by_plain_clks_and_nothing_else_reads_their_cells() {
    let project = Project::unsigned();
    let (schema, key) = (schema(&project), project.text("linkage.key"));
    let (bank, vehicle) = (project.write("bank.csv", BANK), project.write("vehicle.csv", VEHICLE));
    let out = project.text("pairs.csv");
    let said = run(&["link", &bank, &vehicle, "--schema", &schema, "--key-file", &key, "--out", &out]).done();
    assert!(said.stderr.contains("clk.toml: plain CLKs: attacks read names from them"), "{}", said.stderr);
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "id_a,id_b,band,score\nB3,V3,probable,8.00\n");
    run(&["tune", &bank, &vehicle, "--schema", &schema, "--key-file", &key]).refused(2, "for the `cohort` profile");
    run(&["schema", "learn", "--schema", &schema, "--own", &bank, "--out", &out])
        .refused(2, "for the `cohort` profile");
    run(&["schema", "check", &schema, "--data", &bank]).refused(2, "cells of the profile `clk` are not read here");
    run(&["agency", "check", &bank, "--schema", &schema]).refused(2, "cells of the profile `clk` are not read here");
    run(&["schema", "check", &schema]).done();
}
