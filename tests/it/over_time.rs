//! Commissions over time: large ones, standing ones, one household at once; quotas, and waiting instead of asking.

use std::time::{Duration, Instant};

use hedui_protocol::messages::{AnswerPage, SubjectAnswer};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use crate::access::client;
use crate::audit::{export, verify};
use crate::harness::{AGENCIES, OFFICE, OTHER_OFFICE, Project, Said, Server, hedui, on_both_stores, signal, until};
use crate::journey::files;

on_both_stores! {
    a_standing_commission_is_matched_again_and_only_what_is_new_is_told,
    a_large_commission_goes_up_in_parts_and_on_where_it_stopped,
    one_household_is_verified_at_once,
    an_agency_that_follows_answers_as_matches_come,
}

/// The commissions that are filed.
fn commissions(project: &Project) -> Vec<String> {
    let journal = std::fs::read_to_string(project.path("state/commissions.jsonl")).unwrap();
    let events = journal.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    events.filter_map(|event| event["filed"].as_str().map(str::to_owned)).collect()
}

fn a_standing_commission_is_matched_again_and_only_what_is_new_is_told(project: Project) {
    let (office, bank, vehicle) = files(&project);
    let server = project.server();
    project.submit_both(&bank, &vehicle, &server);
    project.office("request", &server, &[&office, "--standing"]).done();
    project.office("fetch", &server, &[]).done();
    project.answer("vehicle", &vehicle, &server).done();
    project.office("fetch", &server, &[]).done();
    project.office("report", &server, &[]).done();
    assert!(project.report("H1").get("changes").is_none());

    let ids = commissions(&project);
    let (client, runtime) = (client(&project, OFFICE), tokio::runtime::Runtime::new().unwrap());
    // waits until both commissions have something newer
    let newer = |after: [u64; 2]| {
        let version = |(id, after): (&String, u64)| {
            let url = format!("{}/v1/commissions/{id}?wait=30&after={after}", server.parties);
            let status: Value = runtime.block_on(async { client.get(url).send().await.unwrap().json().await.unwrap() });
            status["version"].as_u64().unwrap()
        };
        let versions: Vec<u64> = ids.iter().zip(after).map(version).collect();
        assert!(versions.iter().zip(after).all(|(version, after)| *version > after), "{versions:?} {after:?}");
        [versions[0], versions[1]]
    };
    let before = newer([0, 0]);

    // the bank commits anew: one balance differs
    let text = std::fs::read_to_string(&bank).unwrap().replace("70123.45", "80000.00");
    let bank = project.write("bank2.csv", text);
    project.encode("bank", &bank, "bank2").done();
    project.submit("bank", "bank2", &server).done();
    let before = newer(before);
    project.office("fetch", &server, &[]).done();
    let said = project.office("report", &server, &["--changes"]).done();
    assert!(said.stderr.contains("1 reports written"), "{}", said.stderr);
    let report = project.report("H1");
    let change = &report["changes"][0];
    assert_eq!((change["agency"].as_str(), change["what"].as_str()), (Some("bank"), Some("changed")), "{report}");
    assert_eq!(
        report["members"][0]["agencies"][0]["records"][0]["items"][0]["payload"]["values"]["balance"],
        "80000.00"
    );
    let page = std::fs::read_to_string(project.path("reports/report-H1.html")).unwrap();
    assert!(page.contains("与上次报告相比"), "{page}");

    // the vehicle register commits anew: it is asked again, and what it answered before is still to be seen
    let text = std::fs::read_to_string(&vehicle).unwrap().replace("123456.78", "99.00");
    let vehicle = project.write("vehicle2.csv", text);
    project.encode("vehicle", &vehicle, "vehicle2").done();
    project.submit("vehicle", "vehicle2", &server).done();
    newer(before);
    project.office("fetch", &server, &[]).done();
    let said = project.office("report", &server, &["--changes"]).done();
    assert!(said.stderr.contains("0 reports written"), "{}", said.stderr);
    let status = Said::of(&project.office_at(&server.parties, "status", &[]).output().unwrap()).done().stdout;
    assert!(status.contains("0 answered · 0 declined · 1 pending"), "{status}");
    project.answer("vehicle", &vehicle, &server).done();
    project.office("fetch", &server, &[]).done();
    project.office("report", &server, &["--changes"]).done();
    let told = &project.report("H2")["members"][0]["agencies"][1]["records"][0]["items"][0]["payload"]["values"];
    assert_eq!(told["vehicle_price"], "99.00");

    // taken back, it is over at once
    project.office("withdraw", &server, &["H1"]).done();
    project.encode("bank", &bank, "bank3").done();
    project.submit("bank", "bank3", &server).done();
    project.office("fetch", &server, &[]).done();
    export(&project, "log").done();
    let log = std::fs::read_to_string(project.path("log/entries.jsonl")).unwrap();
    let withdrawn = log.lines().position(|line| line.contains("\"withdrawn\"")).unwrap();
    let id = serde_json::from_str::<Value>(log.lines().nth(withdrawn).unwrap()).unwrap()["commission"].clone();
    let after = log.lines().skip(withdrawn + 1).any(|line| {
        line.contains(id.as_str().unwrap()) && (line.contains("\"released\"") || line.contains("-matched"))
    });
    assert!(!after, "{log}");
    verify(&project.text("log"), &[]).done();
}

/// A list of people without numbers, and a bank that has every third of them.
fn many(project: &Project, count: usize) -> (String, String) {
    let characters: Vec<char> = "安博晨德恩芳国海佳凯丽明宁鹏清瑞思天伟欣雅泽".chars().collect();
    let name = |number: usize| {
        let at = |divisor: usize| characters[number / divisor % characters.len()];
        format!("王{}{}", at(1), at(characters.len()))
    };
    let row = |number: usize| {
        let (month, day) = (1 + number % 12, 1 + number / 12 % 28);
        let birth = format!("19{:02}-{month:02}-{day:02}", 50 + number % 40);
        format!("{},,{birth},男,130{:08},云岸市甲区长河路{}号", name(number), number, number)
    };
    let mut office =
        "id,name,id_no,dob,sex,phone,address,household_no,relation,consent_no,consent_scope,consent_status\n"
            .to_owned();
    let mut bank = "id,name,id_no,dob,sex,phone,address,accounts,balance\n".to_owned();
    for number in 0..count {
        office += &format!("O{number},{},H{number},本人,SQ{number},B,valid\n", row(number));
        if number % 3 == 0 {
            bank += &format!("B{number},{},1,{number}.00\n", row(number));
        }
    }
    (project.write("many.csv", office), project.write("many-bank.csv", bank))
}

fn a_large_commission_goes_up_in_parts_and_on_where_it_stopped(project: Project) {
    let (office, bank) = many(&project, 2300);
    let server = project.server();
    project.encode("bank", &bank, "bank").done();
    project.submit("bank", "bank", &server).done();
    let request = || project.office_at(&server.parties, "request", &[&office, "--together"]);
    // killed in the middle, again and again; the same ticket goes on
    for moment in [150, 300, 450] {
        let mut child = request().stderr(std::process::Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(moment));
        let _ = child.kill();
        child.wait().unwrap();
    }
    Said::of(&request().output().unwrap()).done();
    project.office("fetch", &server, &[]).done();
    project.office("report", &server, &[]).done();
    let report = project.report("list");
    let members = report["members"].as_array().unwrap();
    // people without a number: the bank is asked
    let found = members.iter().filter(|member| member["agencies"][0]["state"] == "pending");
    assert_eq!((members.len(), found.count()), (2300, 2300 / 3 + 1), "each that the bank has, and nobody else");
    let status = Said::of(&project.office_at(&server.parties, "status", &[]).output().unwrap()).done().stdout;
    assert!(status.contains("2300 asked"), "{status}");

    // the same in three forms
    let id = commissions(&project).remove(0);
    let (client, runtime) = (client(&project, OFFICE), tokio::runtime::Runtime::new().unwrap());
    let ask = |path: &str, accept: &str| {
        let url = format!("{}/v1/commissions/{id}/answers{path}", server.parties);
        let sent = client.get(url).header("accept", accept).send();
        runtime.block_on(async { sent.await.unwrap().error_for_status().unwrap().bytes().await.unwrap() })
    };
    let mut pages: Vec<SubjectAnswer> = Vec::new();
    let mut next = Some(0);
    while let Some(from) = next {
        let page: AnswerPage = serde_json::from_slice(&ask(&format!("?from={from}"), "application/json")).unwrap();
        pages.extend(page.answers);
        next = page.next;
    }
    assert_eq!(pages.len(), 2300);
    let lines = ask("", "application/jsonl");
    let lines: Vec<SubjectAnswer> = lines
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    let same =
        |one: &SubjectAnswer, other: &SubjectAnswer| one.subject == other.subject && one.slots.0 == other.slots.0;
    assert!(lines.len() == 2300 && lines.iter().zip(&pages).all(|(one, other)| same(one, other)));
    let parquet = ask("?from=300", "application/vnd.apache.parquet");
    let reader = ParquetRecordBatchReaderBuilder::try_new(parquet).unwrap().build().unwrap();
    assert_eq!(reader.map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 2000);
    export(&project, "log").done();
    let verdict: Value = serde_json::from_str(&verify(&project.text("log"), &[]).done().stdout).unwrap();
    assert_eq!(verdict["events"]["commission-filed"], 1, "one ticket, however often it was sent: {verdict}");
}

fn one_household_is_verified_at_once(project: Project) {
    let (office, bank, vehicle) = files(&project);
    let server = project.server();
    project.submit_both(&bank, &vehicle, &server);
    let check = |number: &str, more: &[&str]| {
        let mut command = project.office_at(&server.parties, "request", &[&office, "--household-no", number]);
        let arguments: Vec<std::ffi::OsString> = command.get_args().skip(2).map(Into::into).collect();
        command = hedui();
        command.args(["office", "check"]).args(arguments).args(["--opening-key", &project.text("office.opening.key")]);
        Said::of_the_office(&command.args(more).output().unwrap())
    };
    let said = check("H1", &[]).done();
    assert!(said.stdout.contains("欧阳若曦 · 本人"), "{}", said.stdout);
    assert!(said.stdout.contains("exact · deposits L3"), "{}", said.stdout);
    assert!(said.stdout.contains("70123.45") && said.stdout.contains("not asked about: withdrawn"), "{}", said.stdout);
    assert!(!said.stdout.contains("司徒"), "only this household: {}", said.stdout);
    let json: Value = serde_json::from_str(&check("H1", &["--json"]).done().stdout).unwrap();
    assert_eq!(json["members"][0]["agencies"][1]["state"], "no-record");
    check("H9", &[]).refused(1, "no household of this number");
}

/// The vehicle register answers from a file as matches come; and what it has told so far.
fn follow(project: &Project, data: &str, server: &Server) -> (std::process::Child, impl Fn() -> String) {
    follow_with(project, data, server, &[])
}

fn follow_with(
    project: &Project,
    data: &str,
    server: &Server,
    more: &[&str],
) -> (std::process::Child, impl Fn() -> String) {
    let mut follow = project.agency("answer", "vehicle", &[&[data, "--follow"], more].concat());
    let told = project.path("followed");
    let into = std::fs::File::create(&told).unwrap();
    let following = follow.args(server.arguments(project, "vehicle")).stderr(into).spawn().unwrap();
    (following, move || std::fs::read_to_string(&told).unwrap())
}

fn an_agency_that_follows_answers_as_matches_come(project: Project) {
    let (office, bank, vehicle) = files(&project);
    let server = project.server();
    project.submit_both(&bank, &vehicle, &server);
    let (mut following, _) = follow(&project, &vehicle, &server);
    std::thread::sleep(Duration::from_millis(300));
    project.office("request", &server, &[&office]).done();
    let since = Instant::now();
    let status = || Said::of(&project.office_at(&server.parties, "status", &[]).output().unwrap()).done().stdout;
    while !status().contains("1 asked · 1 answered") {
        assert!(since.elapsed() < Duration::from_secs(20), "{}", status());
    }
    signal(&following, "INT");
    assert_eq!(following.wait().unwrap().code(), Some(130));
}

/// The vehicle register's answers so far, as the office is told.
fn answered(project: &Project, server: &Server) -> String {
    Said::of(&project.office_at(&server.parties, "status", &[]).output().unwrap()).done().stdout
}

#[test]
fn what_was_left_open_is_answered_once_its_record_is_in_the_file() {
    let project = Project::new();
    let (office, bank, vehicle) = files(&project);
    let server = project.server();
    project.submit_both(&bank, &vehicle, &server);
    let whole = std::fs::read_to_string(&vehicle).unwrap();
    let header = whole.lines().next().unwrap();
    let data = project.write("current.csv", format!("{header}\nV9,,,,,,,1,1.00\n"));
    project.office("request", &server, &[&office]).done();
    project.office("fetch", &server, &[]).done();
    let (mut following, told) = follow(&project, &data, &server);
    until(|| told().contains("0 matches answered, 0 declined"));
    let open = told();
    project.write("current.csv", &whole);
    until(|| told().contains("1 matches answered, 0 declined\n"));
    assert!(open.contains("0 declined, 1 left open (1 are not in the file)"), "{open}");
    signal(&following, "INT");
    assert_eq!(following.wait().unwrap().code(), Some(130));
}

#[test]
fn half_a_file_says_of_nobody_that_the_record_is_gone() {
    let project = Project::new();
    let (office, bank, vehicle) = files(&project);
    let server = project.server();
    project.submit_both(&bank, &vehicle, &server);
    let mut command = project.agency("answer", "vehicle", &["-", "--follow"]);
    Said::of(&command.args(server.arguments(&project, "vehicle")).output().unwrap()).refused(2, "name a file");
    let whole = std::fs::read_to_string(&vehicle).unwrap();
    let header = whole.lines().next().unwrap();
    project.office("request", &server, &[&office]).done();
    project.office("fetch", &server, &[]).done();
    // torn in a row, and then at a row's end
    let data = project.write("current.csv", format!("{header}\nV9,,,,,,,1,1.00\nV8,\"tor"));
    let (mut following, told) = follow_with(&project, &data, &server, &["--decline-missing"]);
    std::thread::sleep(Duration::from_secs(2));
    project.write("current.csv", format!("{header}\nV9,,,,,,,1,1.00\n"));
    until(|| told().contains("0 matches answered, 0 declined, 1 left open"));
    project.write("current.csv", &whole);
    until(|| told().contains("1 matches answered, 0 declined\n"));
    signal(&following, "INT");
    assert_eq!(following.wait().unwrap().code(), Some(130));
}

#[test]
fn many_that_are_left_open_are_not_asked_about_without_pause() {
    let project = Project::new();
    let (office, bank, vehicle) = files(&project);
    let server = project.server();
    project.submit_both(&bank, &vehicle, &server);
    // more than the server tells at once
    let text = std::fs::read_to_string(&office).unwrap();
    let (header, owner) = (text.lines().next().unwrap(), text.lines().last().unwrap());
    let households = (0..600).map(|number| {
        let own = [("O3", "P"), ("H2", "H"), ("SQ3", "SQ")];
        own.iter().fold(owner.to_owned(), |row, (of, own)| row.replace(of, &format!("{own}{number}"))) + "\n"
    });
    let list = project.write("list.csv", format!("{header}\n{}", households.collect::<String>()));
    project.office("request", &server, &[&list, "--together"]).done();
    project.office("fetch", &server, &[]).done();
    let lacking = std::fs::read_to_string(&vehicle).unwrap().replace("V3", "V9");
    let data = project.write("current.csv", lacking);
    let (mut following, told) = follow(&project, &data, &server);
    until(|| told().contains("600 left open (600 are not in the file)"));
    let waits = || -> u64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", following.id())).unwrap();
        let status = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("status")).unwrap());
        let waits = |status: String| {
            let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap();
            line.trim().parse::<u64>().unwrap()
        };
        status.map(waits).sum()
    };
    let before = waits();
    std::thread::sleep(Duration::from_secs(5));
    let more = waits() - before;
    // some 250 where it waits for the server, 8,000 where it asks again and again
    assert!(more < 1000, "it waited {more} times in five seconds");
    signal(&following, "INT");
    assert_eq!(following.wait().unwrap().code(), Some(130));
}

#[test]
fn what_is_withdrawn_while_the_file_is_read_holds_up_no_other_answer() {
    let project = Project::new();
    let (office, bank, vehicle) = files(&project);
    let server = project.server();
    // the whole city has a vehicle, whose records stand at the end of a long file
    let text = std::fs::read_to_string(&vehicle).unwrap();
    let row = text.lines().nth(1).unwrap();
    let others: String = (0..100_000).map(|number| format!("W{number},,,,,,,1,1.00\n")).collect();
    let two = std::fs::read_to_string(&bank).unwrap().lines().nth(1).unwrap().replace("2,70123.45", "1,5.00");
    let header = text.lines().next().unwrap();
    let data = project.write("city.csv", format!("{header}\n{others}{row}\n{two}\n"));
    let short = project.write("short.csv", format!("{header}\n{row}\n{two}\n"));
    project.submit_both(&bank, &short, &server);
    project.office("request", &server, &[&office]).done();
    project.office("fetch", &server, &[]).done();
    assert!(answered(&project, &server).contains("2 pending"), "{}", answered(&project, &server));

    let mut answer = project.agency("answer", "vehicle", &[&data]);
    answer.args(server.arguments(&project, "vehicle")).stderr(std::process::Stdio::piped());
    let answering = answer.spawn().unwrap();
    let files = format!("/proc/{}/fd", answering.id());
    let reads = || {
        std::fs::read_dir(&files).unwrap().any(|file| {
            file.is_ok_and(|file| std::fs::read_link(file.path()).is_ok_and(|path| path.ends_with("city.csv")))
        })
    };
    let since = Instant::now();
    while !reads() {
        assert!(since.elapsed() < Duration::from_secs(60), "it does not read its file");
        std::thread::sleep(Duration::from_millis(1));
    }
    signal(&answering, "STOP");
    project.office("withdraw", &server, &["H1"]).done();
    signal(&answering, "CONT");
    let said = Said::of(&answering.wait_with_output().unwrap()).done();
    assert!(said.stderr.contains("1 matches answered, 0 declined"), "{}", said.stderr);
}

#[test]
fn nothing_is_released_to_who_asks_for_nothing() {
    let project = Project::new();
    let (office, bank, _) = files(&project);
    let mut server = project.server();
    project.encode("bank", &bank, "bank").done();
    project.submit("bank", "bank", &server).done();
    project.office("request", &server, &[&office]).done();
    project.office("fetch", &server, &[]).done();
    let url = format!("{}/v1/commissions/{}/answers", server.parties, commissions(&project).remove(0));
    let (client, runtime) = (client(&project, OFFICE), tokio::runtime::Runtime::new().unwrap());
    let status = |request: reqwest::RequestBuilder| runtime.block_on(request.send()).unwrap().status().as_u16();
    let released = || {
        export(&project, "log").done();
        let log = std::fs::read_to_string(project.path("log/entries.jsonl")).unwrap();
        log.matches("\"released\"").count()
    };
    let before = released();
    assert!(before > 0);
    assert_eq!(status(client.head(&url)), 405);
    for from in [u64::MAX, 1000] {
        assert_eq!(status(client.get(format!("{url}?from={from}"))), 400);
        let lines = client.get(format!("{url}?from={from}")).header("accept", "application/jsonl");
        assert_eq!(status(lines), 400);
    }
    assert_eq!(released(), before);
    assert_eq!(status(client.get(&url)), 200);
    assert_eq!(released(), before + 1);
    server.kill();
}

#[test]
fn who_waits_is_told_at_once_and_nobody_waits_longer_than_asked() {
    let project = Project::new();
    let (office, bank, _) = files(&project);
    let server = project.server();
    project.encode("bank", &bank, "bank").done();
    project.submit("bank", "bank", &server).done();
    project.office("request", &server, &[&office]).done();
    project.office("fetch", &server, &[]).done();
    let id = commissions(&project).remove(0);
    let (client, runtime) = (client(&project, OFFICE), tokio::runtime::Runtime::new().unwrap());
    let ask = |query: &str| {
        let since = Instant::now();
        let sent = client.get(format!("{}/v1/commissions/{id}{query}", server.parties)).send();
        let status: Value = runtime.block_on(async { sent.await.unwrap().json().await.unwrap() });
        (status["version"].as_u64().unwrap(), since.elapsed())
    };
    let (version, took) = ask("?wait=30");
    assert!(version == 1 && took < Duration::from_secs(5), "{version} {took:?}");
    let (version, took) = ask("?wait=2&after=1");
    assert!(version == 1 && took >= Duration::from_secs(2) && took < Duration::from_secs(10), "{version} {took:?}");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| ask("?wait=30&after=1"));
        std::thread::sleep(Duration::from_millis(500));
        for household in ["H1", "H2"] {
            project.office("withdraw", &server, &[household]).done();
        }
        let (version, took) = waiting.join().unwrap();
        assert!(version == 2 && took < Duration::from_secs(15), "{version} {took:?}");
    });
}

#[test]
fn an_office_beyond_its_quota_is_refused_and_the_auditor_sees_it() {
    let project = Project::new();
    let text = std::fs::read_to_string(project.path("manifest.toml")).unwrap();
    project.write("manifest.toml", text.replacen("deposits = true", "deposits = true\nsubjects_per_day = 1", 1));
    std::fs::remove_file(project.path("manifest.toml.sig")).unwrap();
    for party in AGENCIES.into_iter().chain([OFFICE, OTHER_OFFICE]) {
        project.sign(party).done();
    }
    let (office, _, _) = files(&project);
    let mut server = project.server();
    // nor does anything else that it has refused hide it
    let nowhere = format!("{}/no/such/route", server.parties);
    let (client, runtime) = (client(&project, OFFICE), tokio::runtime::Runtime::new().unwrap());
    let ask = async || client.get(&nowhere).send().await.unwrap().status().as_u16();
    runtime.block_on(async { while ask().await != 429 {} });
    let flood = runtime.spawn({
        let (client, nowhere) = (client.clone(), nowhere.clone());
        async move {
            loop {
                let _ = client.get(&nowhere).send().await;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    });
    project.office("request", &server, &[&office]).refused(1, "its quota is 1");
    flood.abort();
    server.signal("TERM");
    export(&project, "log").done();
    let refused = hedui().args(["audit", "search", &project.text("log"), "--what", "refused"]).output().unwrap();
    let refused = Said::of(&refused).done().stdout;
    assert!(refused.contains("about 1 people: urn:hedui:problem:quota-exceeded"), "{refused}");
}

#[test]
fn an_organisation_that_asks_too_fast_waits_and_others_do_not() {
    let project = Project::new();
    let (office, bank, _) = files(&project);
    let mut command = Server::command(&project, "server", "127.0.0.1:0");
    command.args(["--rate", "1"]);
    let mut server = Server::spawn(&project, command);
    let (client, runtime) = (client(&project, OTHER_OFFICE), tokio::runtime::Runtime::new().unwrap());
    let ask = || runtime.block_on(client.get(format!("{}/v1/project", server.parties)).send()).unwrap();
    let answers: Vec<u16> = (0..30).map(|_| ask().status().as_u16()).collect();
    assert!(answers.contains(&200) && answers.contains(&429), "{answers:?}");
    assert_eq!(ask().headers()["retry-after"], "1");
    // who is not as fast goes on; our own programs wait for their turn
    project.encode("bank", &bank, "bank").done();
    project.submit("bank", "bank", &server).done();
    project.office("request", &server, &[&office]).done();
    server.signal("TERM");
    export(&project, "log").done();
    let log = std::fs::read_to_string(project.path("log/entries.jsonl")).unwrap();
    assert_eq!(log.matches("too-many-requests").count(), 1, "once a minute: {log}");
}
