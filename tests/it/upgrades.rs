//! Servers one version apart on one database and bucket: the later one brings the database further, the earlier one goes on until
//! it is stopped.
//!
//! This program is the earlier one. The later one's migration is made up: every table has more columns, and there are more tables.

use std::process::Stdio;
use std::time::Duration;

use crate::harness::{Project, Said, Server, Stores, hedui, within};
use crate::interrupts::{all_is_reported, city};

/// Brings the database further, as a later program would: in one transaction, in its turn among those that write.
fn bring_further(stores: &Stores, says: &str) {
    let mut migration = "SELECT pg_advisory_xact_lock(4847442);".to_owned();
    let tables = "SELECT table_name FROM information_schema.tables
        WHERE table_schema = 'public' AND table_name <> '_sqlx_migrations'";
    for table in stores.postgres.sql("hedui", tables).lines() {
        migration += &format!("ALTER TABLE {table} ADD COLUMN future_note TEXT;");
        migration += &format!("ALTER TABLE {table} ADD COLUMN future_count BIGINT NOT NULL DEFAULT 7;");
        migration += &format!("CREATE INDEX future_of_{table} ON {table} (future_count);");
    }
    migration +=
        "CREATE TABLE futures (batch TEXT NOT NULL REFERENCES batches (batch) ON DELETE CASCADE, what BYTEA NOT NULL);";
    migration += &format!(
        "INSERT INTO _sqlx_migrations (version, description, installed_on, success, checksum, execution_time)
         SELECT MAX(version) + 1, '{says}', now(), true, '\\x00', 0 FROM _sqlx_migrations;"
    );
    stores.postgres.sql("hedui", &migration);
}

#[test]
fn a_server_of_the_version_before_goes_on_until_it_is_stopped() {
    let project = Project::new().on_shared_stores();
    let stores = project.stores.as_ref().unwrap();
    let city = city(&project, "2000");
    let (office, bank, vehicle) =
        (format!("{city}/office.csv"), format!("{city}/bank.csv"), format!("{city}/vehicle.csv"));
    let start = |folder: &str| Server::spawn(&project, Server::command(&project, folder, "127.0.0.1:0"));
    let mut earlier = start("earlier");
    project.submit_both(&bank, &vehicle, &earlier);

    // it is brought further while requests come in
    let mut request = project.office_at(&earlier.parties, "request", &[&office]);
    let request = request.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(200));
    bring_further(stores, "adds the future");
    Said::of(&request.wait_with_output().unwrap()).done();
    let later = start("later");

    // both answer and work, whoever asks which
    project.encode("vehicle", &vehicle, "vehicle-2").done();
    project.submit("vehicle", "vehicle-2", &earlier).done();
    project.encode("bank", &bank, "bank-2").done();
    project.submit("bank", "bank-2", &later).done();
    project.office("request", &earlier, &[&office, "--again"]).done();
    project.office("fetch", &later, &[]).done();
    project.answer("bank", &bank, &earlier).done();
    project.answer("vehicle", &vehicle, &earlier).done();
    project.office("fetch", &earlier, &[]).done();
    project.office("report", &earlier, &[]).done();
    all_is_reported(&project);

    // it starts once more, and is stopped
    assert_eq!(earlier.signal("TERM"), Some(0));
    earlier = start("earlier");
    project.office("withdraw", &earlier, &["--help"]).done();
    assert_eq!(earlier.signal("TERM"), Some(0));
    project.office("request", &later, &[&office, "--again"]).done();
    project.office("fetch", &later, &[]).done();
    let log = std::fs::read_to_string(&later.log).unwrap();
    assert!(!log.contains("ERROR"), "{log}");

    // what would leave out or remove what it does not know, it does not do
    let verb = |verb: &[&str]| {
        let places = ["--data", &project.text("later")].map(str::to_owned).into_iter().chain(project.store_arguments());
        Said::of(&hedui().args(["server"]).args(verb).args(places).output().unwrap())
    };
    verb(&["backup", "--out", &project.text("backup")]).refused(1, "this program knows");
    verb(&["gc"]).refused(1, "this program knows");
    let said = verb(&["doctor"]);
    assert!(said.stdout.contains("use the later program"), "{}", said.stdout);
    said.refused(1, "1 thing is wrong");
}

#[test]
fn a_database_that_does_not_say_so_is_for_later_programs_alone() {
    let project = Project::new().on_shared_stores();
    drop(project.server());
    bring_further(project.stores.as_ref().unwrap(), "takes the past away");
    let said = within(Duration::from_secs(60), Server::command(&project, "server", "127.0.0.1:0"));
    said.refused(1, "a later program has brought it to version");
}

/// As it is done: `HEDUI_EARLIER` names the program of the version before, whose database this one brings further.
#[test]
#[ignore = "wants the program of the version before"]
fn the_program_of_the_version_before_goes_on_beside_this_one() {
    let program = std::env::var_os("HEDUI_EARLIER").expect("HEDUI_EARLIER names the program of the version before");
    let project = Project::new().on_shared_stores();
    let sql = |statement: &str| project.stores.as_ref().unwrap().postgres.sql("hedui", statement);
    let city = city(&project, "2000");
    let file = |name: &str| format!("{city}/{name}.csv");
    let (office, bank, vehicle) = (file("office"), file("bank"), file("vehicle"));
    let command = Server::command(&project, "earlier", "127.0.0.1:0");
    let mut earlier = std::process::Command::new(program);
    earlier.args(command.get_args());
    earlier.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut earlier = Server::spawn(&project, earlier);
    project.submit_both(&bank, &vehicle, &earlier);
    let version = || sql("SELECT MAX(version) FROM _sqlx_migrations");
    let before = version();

    let mut request = project.office_at(&earlier.parties, "request", &[&office]);
    let request = request.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let later = Server::spawn(&project, Server::command(&project, "later", "127.0.0.1:0"));
    assert_ne!(version(), before, "this program brings it no further: HEDUI_EARLIER is not earlier");
    Said::of(&request.wait_with_output().unwrap()).done();

    for (set, at) in [("vehicle-2", &earlier), ("vehicle-3", &later)] {
        project.encode("vehicle", &vehicle, set).done();
        project.submit("vehicle", set, at).done();
    }
    project.office("request", &earlier, &[&office, "--again"]).done();
    project.office("fetch", &later, &[]).done();
    project.answer("bank", &bank, &earlier).done();
    project.answer("vehicle", &vehicle, &earlier).done();
    project.office("fetch", &earlier, &[]).done();
    assert_eq!(earlier.signal("TERM"), Some(0));
    project.office("request", &later, &[&office, "--again"]).done();
    project.office("fetch", &later, &[]).done();
    project.answer("bank", &bank, &later).done();
    project.answer("vehicle", &vehicle, &later).done();
    project.office("fetch", &later, &[]).done();
    project.office("report", &later, &[]).done();
    all_is_reported(&project);
    let log = std::fs::read_to_string(&later.log).unwrap();
    assert!(!log.contains("ERROR"), "{log}");
}
