//! Bad input gets a clear error, shows no cell, and loses nothing.

use std::os::unix::fs::PermissionsExt as _;

use crate::harness::{Project, Said, run};
use crate::journey::files;

const HEADER: &str = "id,name,id_no,dob,sex,phone,address,accounts,balance\n";
const ROW: &str = "B1,欧阳若曦,990101198001011237,19800101,M,12000000001,甲区长河路1号101,2,70123.45\n";

/// `agency encode` refuses the file with these words, prints no cell of it, and leaves no output behind.
#[track_caller]
fn refuses(csv: impl AsRef<[u8]>, more: &[&str], words: &str) {
    let project = Project::new();
    let data = project.write("bank.csv", csv);
    let out = project.text("out");
    let arguments = [&[data.as_str(), "--out", &out], more].concat();
    let output = project.agency("encode", "bank", &arguments).output().unwrap();
    let said = Said::of(&output).refused(1, words);
    assert!(said.stderr.contains("hint: ") || said.stderr.contains("row "), "no way out: {}", said.stderr);
    for cell in ["欧阳若曦", "990101198001011237", "12000000001", "70123.45", "secret cell"] {
        assert!(!said.stderr.contains(cell) && !said.stdout.contains(cell), "{cell}: {}", said.stderr);
    }
    let left: Vec<_> =
        std::fs::read_dir(project.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("out")), "{left:?}");
}

#[test]
fn a_spreadsheets_unicode_text_and_two_encodings_in_one_file_are_named() {
    let utf16: Vec<u8> = format!("\u{feff}{HEADER}{ROW}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    refuses(utf16, &[], "this is UTF-16 text");
    let other = ROW.replace("B1", "B2").replace("欧阳若曦", "张伟");
    let gb18030 = |text: &str| encoding_rs::GB18030.encode(text).0.into_owned();
    let mixed = [gb18030(&format!("{HEADER}{ROW}")), other.into_bytes()].concat();
    refuses(mixed, &[], "row 2: `name` is UTF-8 text in a file of GB18030");
}

#[test]
fn a_missing_column_is_named_with_the_way_out() {
    refuses(HEADER.replace("id_no", "number").to_owned() + ROW, &[], "there is no column for the field `id_no`");
    refuses(HEADER.replace("balance", "amount").to_owned() + ROW, &[], "there is no column `balance`");
    refuses(HEADER.to_owned() + ROW, &["--id", "customer"], "there is no column `customer`");
    refuses(HEADER.to_owned() + ROW, &["--map", "name=nombre"], "there is no column `nombre`");
}

#[test]
fn a_file_without_a_header_shows_nobody() {
    refuses(ROW.to_owned() + &ROW.replace("B1", "B2"), &[], "there is no column for the field `name`");
    refuses(ROW.replace("欧阳若曦", "B1").to_owned() + ROW, &[], "columns 1 and 2 have the same name");
}

#[test]
fn rows_that_cannot_be_read_are_named_by_number() {
    refuses(HEADER.to_owned() + ROW + "B2,secret cell\n", &[], "row 2 (line 3) has 2 cells, the header has 9");
    refuses(
        [HEADER.as_bytes(), ROW.as_bytes(), b"B2,\xff\xfe,,,,,,1,1\n"].concat(),
        &["--encoding", "utf-8"],
        "row 2: `name` is not UTF-8",
    );
    refuses(
        HEADER.to_owned() + ROW + &ROW.replace("欧阳若曦", "secret cell"),
        &[],
        "row 2: its id stands at row 1 already",
    );
    refuses(HEADER.to_owned() + ROW + &ROW.replacen("B1", "", 1), &[], "row 2: `id` is empty");
    refuses(HEADER.to_owned() + &ROW.replace("70123.45", "secret cell"), &[], "row 1: `balance` is not a number");
    refuses(HEADER.to_owned() + &ROW.replace(",2,", &format!(",{},", "9".repeat(300))), &[], "its bucket holds");
}

#[test]
fn an_empty_file_and_a_spreadsheet_are_refused() {
    refuses("", &[], "the file is empty");
    refuses(HEADER, &[], "there are no rows under the header");
    refuses(HEADER.replace("name", "id"), &[], "columns 1 and 2 have the same name");
    refuses(b"PK\x03\x04 a spreadsheet", &[], "this is a spreadsheet");
}

#[test]
fn numbers_that_a_spreadsheet_has_rounded_are_called_out() {
    let project = Project::new();
    let data = project.write(
        "bank.csv",
        HEADER.to_owned() + ROW + &ROW.replace("B1", "B2").replace("990101198001011237", "9.90101E+17"),
    );
    let check = || Said::of(&project.agency("check", "bank", &[&data]).output().unwrap());
    let said = check().refused(1, "`id_no` was rounded by a spreadsheet, its last digits are gone: 1 (rows 2)");
    assert!(
        said.stderr.contains("hint: export it again") && said.stderr.contains("formatted as text"),
        "{}",
        said.stderr
    );
    assert!(!said.stderr.contains("9.90101"), "{}", said.stderr);
    let said = project.encode("bank", &data, "out").done();
    assert!(said.stderr.contains("warning: 1 rows have numbers that a spreadsheet has rounded"), "{}", said.stderr);

    // in a large register some number that is wrong ends in zeros by chance
    let many = |rounded: usize| {
        let number = |row: usize| if row < rounded { "990101198001011000" } else { "990101198001011237" };
        let row = |at: usize| ROW.replace("B1", &format!("B{at}")).replace("990101198001011237", number(at));
        project.write("bank.csv", HEADER.to_owned() + &(0..1000).map(row).collect::<String>());
        Said::of(&project.agency("check", "bank", &[&data]).output().unwrap())
    };
    let said = many(9).done();
    assert!(said.stderr.contains("look as if a spreadsheet had rounded them"), "{}", said.stderr);
    assert!(said.stderr.contains("zeros: 9 (rows 1, 2, 3"), "{}", said.stderr);
    let notation = std::fs::read_to_string(&data).unwrap().replacen("990101198001011000", "9.90101E+17", 1);
    project.write("bank.csv", notation);
    let check = || Said::of(&project.agency("check", "bank", &[&data]).output().unwrap());
    check().refused(1, "`id_no` was rounded by a spreadsheet");
    many(10).refused(1, "`id_no` was rounded by a spreadsheet, its last digits are gone: 10 (rows 1, 2, 3");
}

/// What a command says while nobody reads on, or where there is no room, may be half of it: that is no success.
#[test]
fn what_cannot_be_printed_is_no_success() {
    let project = Project::new();
    let speak = |stdout: std::process::Stdio| {
        let mut command = crate::harness::hedui();
        command
            .args(["manifest", "show", "--manifest", &project.text("manifest.toml")])
            .stdout(stdout)
            .stderr(std::process::Stdio::piped());
        command
    };
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let said = Said::of(&speak(writer.into()).output().unwrap());
    assert_eq!((said.code, said.stderr.as_str()), (Some(141), ""));
    let full = || std::fs::File::options().write(true).open("/dev/full").unwrap();
    // who does not hear why is refused all the same
    let mut refused = crate::harness::hedui();
    let code = refused.args(["audit", "verify", "nowhere"]).stderr(full()).status().unwrap().code();
    assert_eq!(code, Some(1));
    let full = full();
    Said::of(&speak(full.into()).output().unwrap())
        .refused(75, "error: standard output cannot be written: No space left");
}

#[test]
fn odd_but_readable_files_are_read_and_hopeless_ones_refused() {
    let project = Project::new();
    let rows = |csv: &str| {
        let data = project.write("odd.csv", csv);
        let said = Said::of(&project.agency("check", "bank", &[&data, "--json"]).output().unwrap()).done();
        serde_json::from_str::<serde_json::Value>(&said.stdout).unwrap()["rows"].as_u64().unwrap()
    };
    let two = HEADER.to_owned() + ROW + &ROW.replace("B1", "B2");
    assert_eq!(rows(&two), 2);
    assert_eq!(rows(&two.replace('\n', "\r\n")), 2, "CRLF");
    assert_eq!(rows(&two.replace('\n', "\r")), 2, "CR");
    assert_eq!(rows(&two.replace("欧阳若曦", "\"欧阳\"\"若曦, 女士\"")), 2, "quotes");
    assert_eq!(rows(&two.replacen("欧阳若曦", "欧阳\0若曦", 1)), 2, "a NUL is no letter");
    assert_eq!(rows(&two.replacen("甲区长河路1号101", &"长".repeat(350_000), 1)), 2, "a cell of a megabyte");
    let latin = encoding_rs::WINDOWS_1252
        .encode(&two.replace("欧阳若曦", "Müller").replace(|c: char| !c.is_ascii() && c != 'ü', ""))
        .0
        .into_owned();
    let data = project.write("latin.csv", &latin);
    let said = Said::of(&project.agency("check", "bank", &[&data]).output().unwrap()).done();
    assert!(said.stderr.contains("latin.csv: read as Windows-1252; `--encoding` names another"), "{}", said.stderr);
    // a file put together of both is neither
    let utf8 = ROW.replace("B1", "B3").replace("欧阳若曦", "Zoë").replace("甲区长河路1号101", "");
    refuses([&latin[..], utf8.as_bytes()].concat(), &[], "row 3: `name` is UTF-8 text in a file of Windows-1252");
    // a row in another encoding than those before it
    let gb = encoding_rs::GB18030.encode(&ROW.replace("B1", "B2")).0.into_owned();
    let mixed = [HEADER.as_bytes(), ROW.as_bytes(), &gb].concat();
    refuses(&mixed, &["--encoding", "utf-8"], "row 2: `name` is not UTF-8");
    let wide: Vec<String> = (0..1_000_000).map(|at| format!("c{at}")).collect();
    refuses(wide.join(",") + "\n1\n", &[], "the header has 1000000 columns, more than 10000");
    refuses(
        HEADER.to_owned() + &ROW.replace("19800101", "01.01.80"),
        &["--id", "nobody"],
        "there is no column `nobody`",
    );
    let dates = project.write("dates.csv", HEADER.to_owned() + &ROW.replace("19800101", "Jan 5 80"));
    let said = Said::of(&project.agency("check", "bank", &[&dates]).output().unwrap()).done();
    assert!(said.stdout.contains("malformed                100.0 % 1 (rows 1)"), "{}", said.stdout);
}

#[test]
fn a_weak_or_open_key_file_is_refused() {
    let project = Project::new();
    let (_, bank, _) = files(&project);
    let check = |contents: &[u8], mode: u32, words: &str| {
        let key = project.path("linkage.key");
        let before = std::fs::read(&key).unwrap();
        std::fs::write(&key, contents).unwrap();
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).unwrap();
        project.encode("bank", &bank, "out").refused(1, words);
        std::fs::write(&key, before).unwrap();
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    check(&[7; 31], 0o600, "a key has exactly 32 bytes, this file has 31");
    check(&[0; 32], 0o600, "all bytes of the key are equal");
    check(&[7; 32], 0o644, "readable by others");
    let other: Vec<u8> = (0..32).collect();
    check(&other, 0o600, "the linkage key differs");
    project.encode("bank", &bank, "out").done();
}

#[test]
fn the_signing_key_must_be_the_partys_own() {
    let project = Project::new();
    let (_, bank, _) = files(&project);
    std::fs::copy(project.path("vehicle.signing.key"), project.path("bank.signing.key")).unwrap();
    project.encode("bank", &bank, "out").refused(1, "not the signing key that the manifest names for `bank`");
}

#[test]
fn another_epoch_schema_or_key_is_refused_by_name() {
    let project = Project::new();
    let (office, bank, _) = files(&project);
    let server = project.server();
    let check = run(&["key", "show", "--kind", "linkage", &project.text("linkage.key")]).done().stdout;
    let original = std::fs::read_to_string(project.path("manifest.toml")).unwrap();
    let try_with = |manifest: &str, words: &str| {
        std::fs::write(project.path("manifest.toml"), manifest).unwrap();
        let _ = std::fs::remove_dir_all(project.path("out"));
        project.encode("bank", &bank, "out").done();
        let said = project.submit("bank", "out", &server).refused(1, words);
        assert!(!said.stderr.contains("matches"));
        let said = project.office("request", &server, &[&office]).refused(1, words);
        assert!(!said.stderr.contains("matches"));
        std::fs::write(project.path("manifest.toml"), &original).unwrap();
    };
    try_with(&original.replace("epoch = \"2026-11\"", "epoch = \"2026-12\""), "the epoch differs");
    try_with(&original.replace("probable = 9.0", "probable = 1.0"), "the schema differs");
    try_with(&original.replace("purpose = \"test\"", "purpose = \"else\""), "the manifest differs");

    let other = project.text("other.key");
    let other_check = run(&["key", "new", "--kind", "linkage", &other]).done().stdout;
    std::fs::copy(project.path("linkage.key"), project.path("right.key")).unwrap();
    std::fs::copy(&other, project.path("linkage.key")).unwrap();
    try_with(&original.replace(check.trim(), other_check.trim()), "the linkage key differs");

    // what was refused has cost nothing: the right key and manifest go on
    std::fs::copy(project.path("right.key"), project.path("linkage.key")).unwrap();
    let said = project.office("request", &server, &[&office]).done();
    assert!(said.stderr.contains("2 commissions filed for 2 of 3 people"), "{}", said.stderr);
}

#[test]
fn a_manifest_that_is_not_signed_or_was_changed_is_refused() {
    let project = Project::unsigned();
    project.sign("vehicle").done();
    let (_, bank, _) = files(&project);
    project.encode("bank", &bank, "bank").done();
    let server = project.server();
    project.submit("bank", "bank", &server).refused(1, "`bank` has not signed manifest");
    drop(server);

    let path = project.path("manifest.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("\"test\"", "\"tset\"")).unwrap();
    let arguments: Vec<String> =
        ["server", "run", "--data", &project.text("other"), "--manifest", &project.text("manifest.toml")]
            .into_iter()
            .chain(["--log-key", &project.text("log.key")])
            .map(str::to_owned)
            .chain(crate::harness::tls(&project, "server"))
            .collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    run(&arguments).refused(1, "the signature of `vehicle` does not verify");
}

#[test]
fn an_agency_cannot_submit_as_another() {
    let project = Project::new();
    let (_, bank, vehicle) = files(&project);
    let server = project.server();
    project.encode("bank", &bank, "bank").done();
    project.submit("vehicle", "bank", &server).refused(1, "the batch is `bank`'s, the certificate `vehicle`'s");
    project.encode("vehicle", &vehicle, "vehicle").done();
    project.submit(crate::harness::OFFICE, "vehicle", &server).refused(1, "role (OU) `agency`");
    project.issue("stranger", "agency");
    project.submit("stranger", "vehicle", &server).refused(1, "`Org stranger` is not an agency of the manifest");
}

#[test]
fn what_is_not_offered_is_not_asked() {
    let project = Project::new();
    let (office, ..) = files(&project);
    let server = project.server();
    project
        .office("request", &server, &[&office, "--item", "bank.shares=L3"])
        .refused(1, "agency `bank` does not offer `shares` at L3");
    project
        .office("request", &server, &[&office, "--item", "bank.deposits=L2"])
        .refused(1, "does not offer `deposits` at L2");
    project
        .office("request", &server, &[&office, "--item", "casino.chips=L3"])
        .refused(1, "agency `casino` does not offer");
    project.office("request", &server, &[&office, "--item", "bank-deposits"]).refused(2, "expected AGENCY.ITEM=LEVEL");
}

#[test]
fn an_offices_list_covers_no_more_and_asks_no_less_than_it_says() {
    let project = Project::new();
    let (office, ..) = files(&project);
    let server = project.server();
    let list = std::fs::read_to_string(&office).unwrap();
    let header = format!("{}\n", list.lines().next().unwrap());
    project.office("request", &server, &[&project.write("empty.csv", &header)]).refused(1, "there are no rows");
    let nameless = project.write("nameless.csv", list.replace(",H1,", ",,"));
    project.office("request", &server, &[&nameless]).refused(1, "row 1: `household_no` is empty");
    let twice = project.write("twice.csv", list.replace("O2,", "O1,"));
    project.office("request", &server, &[&twice]).refused(1, "row 2: its id stands at row 1 already");
    // the words of this cell have the letters of agencies in them, and name none
    let words = project.write("words.csv", list.replace(",BV,", ",HOUSING BUREAU,").replace(",V,", ",VEHICLES,"));
    let said = project.office("request", &server, &[&words]).done();
    assert!(said.stderr.contains("0 commissions filed"), "{}", said.stderr);
    assert!(said.stderr.contains("words that name no agency in 3 rows, first in row 1"), "{}", said.stderr);
}

#[test]
fn a_key_may_come_by_descriptor() {
    let project = Project::new();
    let key = project.text("linkage.key");
    let by_descriptor = format!("{} key show --kind linkage /dev/fd/3 3<{key}", env!("CARGO_BIN_EXE_hedui"));
    let output = std::process::Command::new("sh").args(["-c", &by_descriptor]).output().unwrap();
    let direct = run(&["key", "show", "--kind", "linkage", &key]).done().stdout;
    assert_eq!(Said::of(&output).done().stdout, direct);
}

#[test]
fn files_that_do_not_belong_together_are_not_linked() {
    let project = Project::new();
    let people = |ids: [&str; 2]| {
        format!("id,name,id_no,dob,sex,phone,address\n{},欧阳若曦,,,,,\n{},secret cell,,,,,\n", ids[0], ids[1])
    };
    let (a, b) = (project.write("a.csv", people(["A1", "A2"])), project.write("b.csv", people(["B1", "B2"])));
    let (twice, key) = (project.write("twice.csv", people(["B1", "B1"])), project.text("linkage.key"));
    let link = |a: &str, b: &str, truth: &str| {
        let (truth, out) = (project.write("truth.csv", truth), project.text("pairs.csv"));
        run(&["link", a, b, "--schema", "resident-cn", "--key-file", &key, "--out", &out, "--truth", &truth])
    };
    link(&a, &b, "id_a,id_b\nA1,B1\n").done();
    let said = link(&a, &b, "id_a,id_b\nA1,B1\nB2,A2\n").refused(1, "row 2: `id_a` is no id of the first file");
    assert!(said.stderr.contains("hint: are the files in the order"), "{}", said.stderr);
    link(&a, &b, "id_a,id_b\nA1,B3\n").refused(1, "row 1: `id_b` is no id of the second file");
    let said = link(&a, &twice, "id_a,id_b\nA1,B1\n").refused(1, "row 2: its id stands at row 1 already");
    assert!(!said.stderr.contains("secret cell"));
}

#[test]
fn a_changed_part_is_noticed_before_it_is_sent() {
    let project = Project::new();
    let (_, bank, _) = files(&project);
    let server = project.server();
    project.encode("bank", &bank, "bank").done();
    let part = project.path("bank/part-00000.parquet");
    let bytes = std::fs::read(&part).unwrap();
    std::fs::write(&part, &bytes[..bytes.len() - 1]).unwrap();
    project.submit("bank", "bank", &server).refused(1, "not the one that was encoded");
    std::fs::remove_file(&part).unwrap();
    project.submit("bank", "bank", &server).refused(1, "cannot read");
    std::fs::write(&part, &bytes).unwrap();
    project.submit("bank", "bank", &server).done();
}

#[test]
fn gb18030_separators_and_stdin_are_read() {
    let project = Project::new();
    let csv = HEADER.to_owned() + ROW;
    let gb = project.write("gb.csv", encoding_rs::GB18030.encode(&csv).0);
    project.encode("bank", &gb, "one").done();
    let semicolons = project.write("semi.csv", format!("\u{feff}{}", csv.replace(',', ";")));
    project.encode("bank", &semicolons, "two").done();
    let mut child = project
        .agency("encode", "bank", &["-", "--out", &project.text("three")])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), csv.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    let header = |folder: &str| {
        let signed: serde_json::Value =
            serde_json::from_slice(&std::fs::read(project.path(folder).join("batch.json")).unwrap()).unwrap();
        signed["bytes"].as_str().unwrap().len()
    };
    assert!(header("one") > 100 && header("two") > 100 && header("three") > 100);
}

/// The same rows as Parquet: text columns, a number and a missing value.
pub fn parquet(path: &std::path::Path) {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};

    let text = |values: [Option<&str>; 2]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", text([Some("B1"), Some("B2")])),
        ("name", text([Some("欧阳若曦"), Some("百里无忧")])),
        ("id_no", text([Some("990101198001011237"), None])),
        ("dob", text([Some("1980-01-01"), Some("1990-01-01")])),
        ("sex", text([Some("男"), None])),
        ("phone", Arc::new(Int64Array::from(vec![12_000_000_001, 12_000_000_004]))),
        ("address", text([Some("甲区长河路1号101"), None])),
        ("accounts", Arc::new(Int64Array::from(vec![2, 3]))),
        ("balance", Arc::new(Float64Array::from(vec![70123.45, 9999.99]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let file = std::fs::File::create(path).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

#[test]
fn parquet_is_read_and_what_is_none_is_refused() {
    let project = Project::new();
    let path = project.path("bank.parquet");
    parquet(&path);
    let data = project.text("bank.parquet");
    let said = Said::of(&project.agency("check", "bank", &[&data, "--json"]).output().unwrap()).done();
    let report: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(report["rows"], 2);
    let field =
        |name: &str| report["fields"].as_array().unwrap().iter().find(|field| field["field"] == name).unwrap().clone();
    assert_eq!((field("phone")["valid"].as_u64(), field("id_no")["missing"].as_u64()), (Some(2), Some(1)));
    project.encode("bank", &data, "out").done();
    std::fs::write(&path, b"PAR1 no parquet PAR1").unwrap();
    project.encode("bank", &data, "other").refused(1, "does not read as Parquet");
}
