//! Schemas guessed, tried, compared and learned, on a synthetic city.

use crate::harness::{Project, Said, run};

#[test]
fn a_file_linked_with_itself_gives_its_duplicates_once() {
    let project = Project::new();
    let text = |name: &str| project.text(name);
    let rows = "id,name,id_no,dob,sex,phone,address\n\
        1,欧阳若曦,990101198001011237,19800101,F,12000000001,甲区长河路1号101\n\
        2,王大明,1.10101E+17,19700305,M,12000000002,乙区新街2号\n\
        3,欧阳若曦,990101198001011237,19800101,F,12000000001,甲区长河路1号101\n";
    let (people, truth) = (project.write("people.csv", rows), project.write("truth.csv", "id_a,id_b\n3,1\n"));
    for profile in ["cohort", "record"] {
        let (key, out) = (text("linkage.key"), text("pairs.csv"));
        let mut args = vec!["link", &people, &people, "--schema", "resident-cn", "--key-file", &key, "--out", &out];
        args.extend(["--profile", profile, "--truth", &truth]);
        let said = run(&args).done();
        assert!(said.stdout.contains("precision 1.0000 · recall 1.0000"), "{}", said.stdout);
        assert!(
            said.stderr.contains("people.csv: 1 rows have a number that a spreadsheet has rounded"),
            "{}",
            said.stderr
        );
        let pairs = std::fs::read_to_string(&out).unwrap();
        assert_eq!(pairs.lines().count(), 2, "{pairs}");
        assert!(pairs.lines().nth(1).unwrap().starts_with("1,3,"), "{pairs}");
    }
}

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

/// A schema guessed of a file, and what was said of it.
fn guessed(project: &Project, csv: &str) -> (hedui_protocol::schema::Schema, String) {
    let (data, out) = (project.write("guess.csv", csv), project.text("guess.toml"));
    let _ = std::fs::remove_file(&out);
    let said = run(&["schema", "init", &data, "--out", &out]).done();
    let schema = hedui_protocol::schema::Schema::parse(&std::fs::read_to_string(&out).unwrap()).unwrap();
    (schema, said.stderr)
}

#[test]
fn former_values_are_guessed_by_their_headers_beside_present_ones() {
    let project = Project::new();
    let aliases = |csv: &str| {
        let (schema, _) = guessed(&project, csv);
        let fields = schema.fields.into_iter().filter(|field| field.alias_of.is_some());
        fields
            .map(|field| format!("{} of {}", field.columns[0], field.alias_of.unwrap()))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let both =
        "姓名,曾用名,证件号码,曾用证件号,出生日期\n王伟,王小伟,99010119491231002X,990101198001011230,1949-12-31\n";
    assert_eq!(aliases(both), "曾用证件号 of id_no, 曾用名 of name");
    assert_eq!(
        aliases("姓名,former_id,出生日期\n王伟,99010119491231002X,1949-12-31\n"),
        "",
        "a former number of no number"
    );
    assert_eq!(aliases("first_name,surname,Maiden Name,dob\nAnn,Miller,Smith,1949-12-31\n"), "Maiden Name of surname",);
}

#[test]
fn an_address_in_one_line_gives_the_passes_its_house_and_street() {
    let project = Project::new();
    let passes = |header: &str, address: &str| {
        let (schema, said) = guessed(
            &project,
            &format!("given_name,surname,dob,{header},postcode\nAnn,Miller,1949-12-31,{address},4566\n"),
        );
        let passes = schema.passes.iter().filter(|pass| pass.name.contains("street") || pass.name.contains("house"));
        (passes.map(|pass| pass.of.join(" + ")).collect::<Vec<_>>().join(", "), said)
    };
    let street = "address.text + postcode.number, address.text + given_name.soundex, address.text + surname.soundex";
    let whole = "address.house + postcode.number, address.street + postcode.number, address.house + address.street, \
                 address.street + given_name.soundex, address.street + surname.soundex";
    assert_eq!(passes("address", "stanley street").0, street);
    assert_eq!(passes("address", "12 Stanley St").0, whole);
    let (of, said) = passes("Home address", "\"Flat 4, 12 Stanley St\"");
    assert_eq!(of, whole);
    assert!(said.contains("column 4 `Home address`: by its name, and its values"), "{said}");
    assert_eq!(passes("Email address", "ann12@example.org").0, "");
}

#[test]
fn who_reads_only_the_first_line_hears_no_panic() {
    let pipe = format!(
        "{} --help | head -1; {} schema check person | true",
        env!("CARGO_BIN_EXE_hedui"),
        env!("CARGO_BIN_EXE_hedui")
    );
    let said = Said::of(&std::process::Command::new("bash").args(["-c", &pipe]).output().unwrap()).done();
    assert_eq!(said.stderr, "");
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

#[test]
fn common_values_weigh_less_in_a_guessed_schema_and_the_user_hears_why() {
    let project = Project::new();
    let row = |at: usize, names: usize| {
        let (given, surname) = (at % names, at / names % names);
        let name = |number: usize| ["ka", "lo", "mi", "ru", "te", "va"][number % 6].repeat(1 + number / 6 % 4);
        let dob = format!("19{:02}-{:02}-{:02}", at * 7 % 90 + 10, at % 12 + 1, at * 5 % 28 + 1);
        format!("{at},{}{},{}{},{dob}\n", name(given), given / 24, name(surname), surname / 24)
    };
    let town = |rows: usize, names: usize| {
        let rows: String = (0..rows).map(|at| row(at, names)).collect();
        guessed(&project, &format!("id,given_name,surname,dob\n{rows}"))
    };
    let (rare, _) = town(400, 24);
    let (common, said) = town(400, 4);
    let names = |schema: &hedui_protocol::schema::Schema| {
        schema
            .passes
            .iter()
            .find(|pass| pass.name == "names")
            .map(|pass| (pass.equal, pass.strangers.unwrap()))
            .unwrap()
    };
    assert!(names(&common).0 < names(&rare).0 - 0.3, "{:?} {:?}", names(&common), names(&rare));
    assert!(names(&common).1 > 10.0 * names(&rare).1, "{:?} {:?}", names(&common), names(&rare));
    assert!(common.decision.bias < rare.decision.bias - 1.0, "{:?} {:?}", common.decision, rare.decision);
    for told in ["  bias   ", "  names   ", "  filter date:name   "] {
        assert!(said.contains(told), "{said}");
    }
    assert!(!said.contains("lolo"), "what is told shows no value: {said}");
    // more rows of the same town, more strangers: a file is sampled, not cut off
    let (large, _) = town(20_000, 24);
    assert!(large.decision.strangers > rare.decision.strangers, "{:?}", large.decision);
}

#[test]
fn columns_of_western_words_are_guessed_by_shape_and_row_numbers_are_no_telephones() {
    let project = Project::new();
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/febrl4/a.csv")).unwrap();
    let (header, rows) = text.split_once('\n').unwrap();
    let nameless: Vec<String> = (0..header.split(',').count()).map(|at| format!("c{at}")).collect();
    let (schema, said) = guessed(&project, &format!("{}\n{rows}", nameless.join(",")));
    let column = |name: &str| {
        let field = schema.fields.iter().find(|field| field.name == name);
        field.map_or("none", |field| header.split(',').nth(field.columns[0][1..].parse().unwrap()).unwrap())
    };
    for field in ["given_name", "surname", "address", "city", "postcode", "state", "dob", "street_number"] {
        assert_eq!(column(field), field, "{said}");
    }
    assert_eq!(column("phone"), "none", "a number of seven digits is not known to be one: {said}");
    assert!(said.contains(": a guess: "), "{said}");

    let numbered = |number: &dyn Fn(u32) -> String| {
        let rows: String = (0..50).map(|at| format!("{},Ann,Miller\n", number(at))).collect();
        guessed(&project, &format!("serial,given_name,surname\n{rows}")).1
    };
    for said in [numbered(&|at| format!("{}", 20_400_000 + 3 * at)), numbered(&|at| format!("R{:08}", (at * 37) % 50))]
    {
        assert!(said.contains("no field       column 1 `serial`: it numbers the rows"), "{said}");
    }
    let said = numbered(&|at| format!("{}", 40_000_000 + (u64::from(at) * 7_919_543) % 50_000_000));
    assert!(said.contains("phone          column 1 `serial`"), "{said}");
}
