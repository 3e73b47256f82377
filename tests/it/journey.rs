//! The main job as its users do it: two agencies, an office, a server, all real processes.

use crate::harness::{Project, Said, hedui, on_both_stores, run};

const OFFICE: &str = "id,name,id_no,dob,sex,phone,address,household_no,relation,consent_no,consent_scope,consent_status\n\
O1,欧阳若曦,990101198001011237,1980-01-01,男,12000000001,云岸市甲区长河路1号101室,H1,本人,SQ1,BV,valid\n\
O2,慕容楚楚,990101198203045643,1982-03-04,女,12000000002,云岸市甲区长河路1号101室,H1,配偶,SQ2,BV,withdrawn\n\
O3,司徒远航,990102197505067890,1975-05-06,男,12000000003,云岸市乙区青山路2号202室,H2,本人,SQ3,V,valid\n";
const BANK: &str = "id,name,id_no,dob,sex,phone,address,accounts,balance\n\
B1,欧阳若曦,990101198001011237,19800101,M,12000000001,甲区长河路1号101,2,70123.45\n\
B2,慕容楚楚,990101198203045643,19820304,F,12000000002,甲区长河路1号101,1,55.00\n\
B3,司徒远航,990102197505067890,19750506,M,12000000003,乙区青山路2号202,3,8888.88\n\
B4,百里无忧,990103199001018888,19900101,M,12000000004,乙区青山路9号909,3,9999.99\n";
const VEHICLE: &str = "id,name,id_no,dob,sex,phone,address,vehicles,vehicle_price\n\
V3,司徒远航,,1975/05/06,男,12000000003,乙区青山路2-202,1,123456.78\n";

/// Numbers above are written without their check digit in mind: give each its own.
pub fn with_check_digits(csv: &str) -> String {
    let mut text = csv.to_owned();
    for body in ["99010119800101123", "99010119820304564", "99010219750506789", "99010319900101888"] {
        let weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
        let sum: u32 = body.bytes().zip(weights).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
        let check = b"10X98765432"[(sum % 11) as usize] as char;
        let at = text.match_indices(body).map(|(at, _)| at + 17).collect::<Vec<_>>();
        for at in at {
            text.replace_range(at..=at, &check.to_string());
        }
    }
    text
}

pub fn files(project: &Project) -> (String, String, String) {
    let write = |name: &str, csv: &str| project.write(name, with_check_digits(csv));
    (write("office.csv", OFFICE), write("bank.csv", BANK), write("vehicle.csv", VEHICLE))
}

on_both_stores! {
    a_household_is_verified_and_nothing_else_is_told,
    a_request_that_is_repeated_files_nothing_twice,
    a_wrong_file_declines_nothing_for_good,
    what_was_fetched_survives_a_wrong_certificate_and_a_refusal,
    a_withdrawn_commission_releases_nothing_more,
}

fn a_household_is_verified_and_nothing_else_is_told(project: Project) {
    let (office, bank, vehicle) = files(&project);
    let server = project.server();
    project.submit_both(&bank, &vehicle, &server);
    let said = project.office("request", &server, &[&office]).done();
    assert!(said.stderr.contains("2 commissions filed for 2 of 3 people"), "{}", said.stderr);
    project.office("fetch", &server, &[]).done();
    project.office("report", &server, &[]).done();
    let before = project.report("H2");
    assert_eq!(
        before["members"][0]["agencies"][1]["state"], "pending",
        "the vehicle register was asked, and has not answered"
    );

    project.answer("vehicle", &vehicle, &server).done();
    project.office("fetch", &server, &[]).done();
    project.office("report", &server, &[]).done();

    let first = project.report("H1");
    let told = &first["members"][0]["agencies"][0];
    assert_eq!(told["state"], "answered");
    assert_eq!(told["records"][0]["band"], "exact");
    assert_eq!(told["records"][0]["items"][0]["payload"]["values"]["balance"], "70123.45");
    assert_eq!(first["members"][0]["agencies"][1]["state"], "no-record");
    assert_eq!(first["members"][1]["excluded"], "withdrawn", "who withdrew is not asked about");
    assert!(first["members"][1]["agencies"].as_array().unwrap().is_empty());

    let second = project.report("H2");
    assert_eq!(
        second["members"][0]["agencies"][0]["state"], "not-covered",
        "the authorisation names the vehicle register alone"
    );
    let vehicle = &second["members"][0]["agencies"][1];
    assert_eq!(vehicle["records"][0]["items"][0]["payload"]["values"]["vehicle_price"], "123456.78");
    assert_eq!(vehicle["records"][0]["band"], "probable", "found without a number");

    let page = std::fs::read_to_string(project.path("reports/report-H1.html")).unwrap();
    assert!(page.contains("70123.45") && page.contains("存款") && !page.contains("55.00"));
}

fn a_request_that_is_repeated_files_nothing_twice(project: Project) {
    let (office, bank, _) = files(&project);
    let server = project.server();
    project.encode("bank", &bank, "bank").done();
    project.submit("bank", "bank", &server).done();
    project.submit("bank", "bank", &server).done();
    project.office("request", &server, &[&office]).done();
    let again = project.office("request", &server, &[&office]).done();
    assert!(again.stderr.contains("0 commissions filed"), "{}", again.stderr);
    project.office("fetch", &server, &[]).done();
    project.office("report", &server, &[]).done();
    let vehicle = &project.report("H1")["members"][0]["agencies"][1];
    assert_eq!(vehicle["state"], "not-submitted", "an agency without data is not an agency without a record");

    // another question, and the same asked anew, are further commissions; each has its own report
    let more = project.office("request", &server, &[&office, "--item", "bank.deposits=L1"]).done();
    assert!(more.stderr.contains("2 commissions filed"), "{}", more.stderr);
    let anew = project.office("request", &server, &[&office, "--again"]).done();
    assert!(anew.stderr.contains("2 commissions filed"), "{}", anew.stderr);
    project.office("fetch", &server, &[]).done();
    project.office("report", &server, &[]).done();
    let reports = std::fs::read_dir(project.path("reports")).unwrap().map(|entry| entry.unwrap().file_name());
    let of_h1 = reports
        .filter(|name| name.to_string_lossy().starts_with("report-H1") && name.to_string_lossy().ends_with("json"));
    assert_eq!(of_h1.count(), 3);
}

fn a_wrong_file_declines_nothing_for_good(project: Project) {
    let (office, bank, vehicle) = files(&project);
    let server = project.server();
    project.encode("vehicle", &vehicle, "vehicle").done();
    project.submit("vehicle", "vehicle", &server).done();
    project.office("request", &server, &[&office]).done();
    project.office("fetch", &server, &[]).done();

    let header = std::fs::read_to_string(&vehicle).unwrap().lines().next().unwrap().to_owned();
    let empty = project.write("empty.csv", format!("{header}\n"));
    project.answer("vehicle", &empty, &server).refused(1, "there are no rows under the header");
    let other = project.write("other.csv", format!("{header}\nV9,,,,,,,1,1.00\n"));
    project.answer("vehicle", &other, &server).refused(1, "1 matched records are not in it; they stay open");
    let status = || Said::of(&project.office_at(&server.parties, "status", &[]).output().unwrap()).done().stdout;
    assert!(status().contains("0 answered · 0 declined · 1 pending"), "{}", status());
    let said = project.answer("vehicle", &vehicle, &server).done();
    assert!(said.stderr.contains("1 matches answered"), "{}", said.stderr);

    // the record is truly gone: the agency says so
    project.office("request", &server, &[&office, "--again"]).done();
    project.office("fetch", &server, &[]).done();
    let mut answer = project.agency("answer", "vehicle", &[&other, "--decline-missing"]);
    let said = Said::of(&answer.args(server.arguments(&project, "vehicle")).output().unwrap()).done();
    assert!(said.stderr.contains("1 declined"), "{}", said.stderr);
    assert!(status().contains("1 answered · 1 declined · 0 pending"), "{}", status());
    drop(bank);
}

fn what_was_fetched_survives_a_wrong_certificate_and_a_refusal(project: Project) {
    let (office, bank, _) = files(&project);
    let server = project.server();
    project.encode("bank", &bank, "bank").done();
    project.submit("bank", "bank", &server).done();
    project.office("request", &server, &[&office]).done();
    project.office("fetch", &server, &[]).done();
    let answers = || std::fs::read_to_string(project.path("state/answers.jsonl")).unwrap();
    let before = answers();

    run(&["pki", "init", &project.text("strange")]).done();
    let fetch_with = |party: &str, ca: &str| {
        let mut arguments = vec!["--state".into(), project.text("state"), "--server".into(), server.parties.clone()];
        let file = |name: String| project.text(&name);
        arguments.extend(["--wait".into(), "2".into(), "--tls-ca".into(), file(ca.into())]);
        arguments.extend(["--manifest".into(), file("manifest.toml".into())]);
        arguments.extend(["--tls-cert".into(), file(format!("pki/{party}.crt"))]);
        arguments.extend(["--tls-key".into(), file(format!("pki/{party}.key"))]);
        Said::of(&crate::harness::hedui().args(["office", "fetch"]).args(arguments).output().unwrap())
    };
    let said = fetch_with(crate::harness::OFFICE, "strange/ca.crt").refused(1, "certificate");
    assert!(said.stderr.contains("check `--tls-cert`, `--tls-key` and `--tls-ca`"), "{}", said.stderr);
    fetch_with("bank", "pki/ca.crt").refused(1, "role (OU) `office`");
    fetch_with(crate::harness::OTHER_OFFICE, "pki/ca.crt").done();
    project.office("report", &server, &[]).done();
    let first = project.report("H1");
    assert!(first["refused"].as_str().unwrap().contains("no such thing"));
    assert_eq!(first["members"][0]["agencies"][0]["state"], "answered", "what came before is the office's own");
    assert_eq!(answers().lines().count(), before.lines().count());
}

fn a_withdrawn_commission_releases_nothing_more(project: Project) {
    let (office, bank, vehicle) = files(&project);
    let server = project.server();
    project.submit_both(&bank, &vehicle, &server);
    project.office("request", &server, &[&office]).done();
    project.office("withdraw", &server, &["H2"]).done();
    let said = project.answer("vehicle", &vehicle, &server).done();
    assert!(said.stderr.contains("0 matches answered"), "{}", said.stderr);
    let again = project.office("withdraw", &server, &["H2"]).done();
    assert!(again.stderr.contains("All of `H2` was withdrawn before"), "{}", again.stderr);
    project.office("withdraw", &server, &["H3"]).refused(1, "no commission or household has the number `H3`");
}

#[test]
fn demo_holds_its_claims_at_a_small_size_wherever_the_server_keeps_things() {
    let shared = Project::unsigned().on_shared_stores();
    let [figures, on_shared_stores] = [("demo", vec![]), ("shared", shared.store_arguments())].map(|(name, stores)| {
        let out = shared.text(name);
        let mut command = hedui();
        command.args(["demo", "--people", "1500", "--seed", "7", "--json", "--out", &out]).args(stores);
        let said = Said::of(&command.output().unwrap()).done();
        assert_eq!(said.stdout.lines().count(), 1, "one JSON object and nothing else");
        serde_json::from_str::<serde_json::Value>(&said.stdout).unwrap()
    });
    for zero in ["payload_mismatches", "unauthorised_released", "server_plaintext_hits"] {
        assert_eq!(figures[zero], 0, "{zero}");
    }
    assert!(figures["precision"].as_f64().unwrap() >= 0.999);
    assert!(figures["recall"].as_f64().unwrap() >= 0.97);
    assert!(figures["pairs_released"].as_u64().unwrap() > 50);
    let pids: std::collections::BTreeSet<u64> =
        figures["processes"].as_array().unwrap().iter().map(|process| process["pid"].as_u64().unwrap()).collect();
    assert!(pids.len() > 10, "real processes");
    for (name, figure) in figures.as_object().unwrap() {
        if !matches!(name.as_str(), "agencies" | "processes" | "wall_s") {
            assert_eq!(*figure, on_shared_stores[name], "{name}");
        }
    }
    assert!(shared.path("shared/server/backup/parts").exists() && !shared.path("shared/server/parts").exists());
}

#[test]
fn synth_makes_the_same_bytes_for_the_same_arguments() {
    let folder = tempfile::tempdir().unwrap();
    let city = |name: &str, seed: &str| {
        let out = folder.path().join(name);
        run(&["synth", "--out", out.to_str().unwrap(), "--people", "800", "--seed", seed]).done();
        std::fs::read(out.join("bank.csv")).unwrap()
    };
    let one = city("one", "3");
    assert_eq!(one, city("two", "3"));
    assert_ne!(one, city("three", "4"));
}

#[test]
fn link_finds_febrl_4_and_says_how_well() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| format!("{}/tests/data/febrl4/{name}.csv", env!("CARGO_MANIFEST_DIR"));
    let (key, out) = (folder.path().join("key"), folder.path().join("pairs.csv"));
    let (key, out) = (key.to_str().unwrap(), out.to_str().unwrap());
    run(&["key", "new", "--kind", "linkage", key]).done();
    let link = |more: &[&str]| {
        let (a, b, truth) = (file("a"), file("b"), file("truth"));
        let fixed =
            ["link", &a, &b, "--schema", "person", "--key-file", key, "--out", out, "--truth", &truth, "--json"];
        let said = run(&[&fixed[..], more].concat()).done();
        serde_json::from_str::<serde_json::Value>(&said.stdout).unwrap()["f1"].as_f64().unwrap()
    };
    assert!(link(&[]) >= 0.99);
    assert!(std::fs::read_to_string(out).unwrap().starts_with("id_a,id_b,band,score\n"));
    assert!(link(&["--map", "national_id="]) >= 0.97);
    assert!(link(&["--profile", "record"]) >= 0.85);
}
