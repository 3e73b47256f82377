//! A set is continued by deltas: what is added, replaced and deleted answers as if the whole set had come anew.

use crate::harness::{Project, Said, Server, on_both_stores};
use crate::journey::files;

on_both_stores! {
    a_delta_answers_as_the_whole_set_does,
    a_delta_that_continues_something_else_is_refused,
}

fn encode(project: &Project, data: &str, out: &str, base: &str, deletes: Option<&str>) -> Said {
    let (base, out) = (project.text(base), project.text(out));
    let mut encode = project.agency("encode", "bank", &[data, "--out", &out, "--base", &base]);
    encode.args(deletes.into_iter().flat_map(|deletes| ["--delete", deletes]));
    Said::of(&encode.output().unwrap())
}

/// What the office hears of each person, by agency; opened payloads with it.
fn told(project: &Project, server: &Server, office: &str) -> Vec<String> {
    project.office("request", server, &[office, "--again"]).done();
    project.office("fetch", server, &[]).done();
    project.office("report", server, &[]).done();
    let told = ["H1", "H2", "H3"].map(|household| {
        let members = project.report(household)["members"].clone();
        let agencies = members.as_array().unwrap().iter().map(|member| &member["agencies"][0]);
        let agency = |agency: &serde_json::Value| {
            let records = agency["records"].as_array().unwrap().iter();
            let values = records.map(|record| record["items"][0]["payload"]["values"].to_string());
            format!("{} {}", agency["state"], values.collect::<String>())
        };
        agencies.map(agency).collect::<Vec<_>>()
    });
    told.concat()
}

fn a_delta_answers_as_the_whole_set_does(project: Project) {
    let (office, bank, _) = files(&project);
    // everybody's authorisation covers the bank; a third household is of who comes later
    let list = std::fs::read_to_string(&office).unwrap().replace("withdrawn", "valid").replace(",V,", ",BV,");
    let newcomer = "O4,诸葛明月,,1991-02-03,女,12000000009,云岸市乙区青山路9号901室,H3,本人,SQ4,B,valid\n";
    let office = project.write("office.csv", format!("{list}{newcomer}"));
    let mut server = project.server();
    project.encode("bank", &bank, "whole").done();
    project.submit("bank", "whole", &server).done();
    let before = told(&project, &server, &office);
    assert!(
        before[0].contains("70123.45") && before[1].contains("55.00") && before[3].contains("no-record"),
        "{before:?}"
    );

    // one balance differs, one customer is gone, one is new
    let text = std::fs::read_to_string(&bank).unwrap();
    let header = text.lines().next().unwrap();
    let line = |id: &str| text.lines().find(|line| line.starts_with(id)).unwrap().to_owned();
    let (changed, new) =
        (line("B1,").replace("70123.45", "1.00"), "B9,诸葛明月,,19910203,F,12000000009,乙区青山路9号901,1,9.00");
    let delta = project.write("delta.csv", format!("{header}\n{changed}\n{new}\n"));
    let gone = project.write("gone.csv", "id\nB2\n");
    let said = encode(&project, &delta, "delta", "whole", Some(&gone)).done();
    assert!(said.stderr.contains("2 records in 1 parts, 1 deleted"), "{}", said.stderr);
    project.submit("bank", "delta", &server).done();
    let after = told(&project, &server, &office);
    assert!(after[0].contains("\"1.00\"") && after[1].contains("no-record"), "{after:?}");
    assert_eq!(after[2], before[2], "who is in no delta stays");
    assert!(after[3].contains("pending"), "the newcomer is found: {after:?}");

    // sent again it changes nothing; a server that starts again knows it
    project.submit("bank", "delta", &server).done();
    let address = server.address().to_owned();
    server.kill();
    let mut server = Server::start(&project, &address);
    assert_eq!(told(&project, &server, &office), after);
    // one that has lost its indexes makes them anew
    server.kill();
    std::fs::remove_dir_all(project.path("server/index")).unwrap();
    let server = Server::start(&project, &address);
    assert_eq!(told(&project, &server, &office), after);

    // a delta over a delta: who was deleted comes back
    let back = project.write("back.csv", format!("{header}\n{}\n", line("B2,")));
    encode(&project, &back, "back", "delta", None).done();
    project.submit("bank", "back", &server).done();
    let back = told(&project, &server, &office);
    assert_eq!((&back[0], &back[1]), (&after[0], &before[1]), "{back:?}");

    // the same set, whole
    let whole = text.replace("70123.45", "1.00") + new + "\n";
    let whole = project.write("whole.csv", whole);
    project.encode("bank", &whole, "anew").done();
    project.submit("bank", "anew", &server).done();
    assert_eq!(told(&project, &server, &office), back);
    crate::audit::export(&project, "log").done();
    crate::audit::verify(&project.text("log"), &[]).done();
    let doctor = Said::of(
        &crate::harness::hedui()
            .args(["server", "doctor", "--data", &project.text("server")])
            .args(project.store_arguments())
            .output()
            .unwrap(),
    );
    doctor.done();
}

fn a_delta_that_continues_something_else_is_refused(project: Project) {
    let (_, bank, _) = files(&project);
    let server = project.server();
    for name in ["first", "second"] {
        project.encode("bank", &bank, name).done();
    }
    let text = std::fs::read_to_string(&bank).unwrap();
    let one = text.lines().take(2).collect::<Vec<_>>().join("\n");
    let one = project.write("one.csv", one + "\n");
    encode(&project, &one, "delta", "first", None).done();
    let said = project.submit("bank", "delta", &server).refused(1, "continues another batch than the newest");
    assert!(said.stderr.contains("submit the set whole"), "{}", said.stderr);
    for name in ["first", "second"] {
        project.submit("bank", name, &server).done();
    }
    project.submit("bank", "delta", &server).refused(1, "continues another batch than the newest");
    let gone = project.write("gone.csv", "id\nB1\n");
    encode(&project, &one, "both", "second", Some(&gone)).refused(1, "its id stands in the file of deleted rows too");
    encode(&project, &one, "none", "nowhere", None).refused(1, "nowhere");
    // everything that it has is deleted
    let header = project.write("header.csv", text.lines().next().unwrap().to_owned() + "\n");
    let all = project.write("all.csv", "id\nB1\nB2\nB3\nB4\n");
    encode(&project, &header, "empty", "second", Some(&all)).done();
    project.submit("bank", "empty", &server).done();
}
