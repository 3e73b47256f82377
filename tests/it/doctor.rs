//! What `hedui server doctor` says of folders, databases, certificates and clocks that are not as they should be.

use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::time::Duration;

use hedui::server::Role;
use hedui::transport::client::operators_page;
use hedui::transport::tls::Identity;
use rcgen::ExtendedKeyUsagePurpose::ServerAuth;
use sqlx::{Connection as _, Row as _};

use crate::certificates::issued;
use crate::clocks::Inside;
use crate::harness::{Project, Said, Server, hedui, run, within};
use crate::journey::files;

/// Runs statements on the database of a project's server that is stopped.
pub fn sqlite(project: &Project, statements: &str) -> Vec<i64> {
    sqlite_at(&project.text("server/hedui.sqlite"), statements)
}

/// The same on the database in a file.
pub fn sqlite_at(path: &str, statements: &str) -> Vec<i64> {
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let mut database = sqlx::SqliteConnection::connect(path).await.unwrap();
        let rows = sqlx::query(sqlx::AssertSqlSafe(statements)).fetch_all(&mut database).await.unwrap();
        database.close().await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    })
}

/// Damages the database where nobody looks every day: the first page of the log.
pub fn damaged(project: &Project) {
    let page = sqlite(project, "SELECT rootpage FROM sqlite_master WHERE name = 'log_entries'")[0].unsigned_abs();
    let size = sqlite(project, "PRAGMA page_size")[0].unsigned_abs();
    let file = std::fs::File::options().write(true).open(project.path("server/hedui.sqlite")).unwrap();
    file.write_all_at(&[0xff; 64], (page - 1) * size).unwrap();
}

fn doctor(project: &Project, more: &[&str]) -> Said {
    let mut command = hedui();
    command.args(["server", "doctor", "--data", &project.text("server")]).args(project.store_arguments()).args(more);
    within(Duration::from_secs(20), command)
}

/// A server that has both agencies' sets, stopped.
fn stopped() -> (Project, String) {
    let project = Project::new();
    let (office, bank, vehicle) = files(&project);
    let mut server = project.server();
    project.submit_both(&bank, &vehicle, &server);
    server.signal("TERM");
    (project, office)
}

fn indexes(project: &Project) -> Vec<PathBuf> {
    std::fs::read_dir(project.path("server/index")).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn an_index_in_another_ones_place_is_told_and_never_answers() {
    let (project, office) = stopped();
    let [one, other] = indexes(&project).try_into().unwrap();
    let aside = project.path("aside");
    let exchange = || {
        for (from, to) in [(&one, &aside), (&other, &one), (&aside, &other)] {
            std::fs::rename(from, to).unwrap();
        }
    };
    exchange();
    let said = doctor(&project, &[]);
    assert_eq!(said.stdout.matches("is of another batch").count(), 2, "{}", said.stdout);
    said.refused(1, "2 things are wrong");
    let server = project.server();
    project.office("request", &server, &[&office]).done();
    project.office("fetch", &server, &[]).done();
    project.office("report", &server, &[]).done();
    assert_eq!(project.report("H1")["members"][0]["agencies"][0]["records"][0]["band"], "exact");
    drop(server);
    doctor(&project, &[]).done();
    exchange();
    doctor(&project, &["--repair"]).done();
    assert!(indexes(&project).is_empty());
}

#[test]
fn an_index_of_a_batch_that_nobody_holds_is_told_and_removed() {
    let (project, _) = stopped();
    let stray = project.path("server/index").join("7".repeat(64));
    for repair in [true, false] {
        std::fs::create_dir(&stray).unwrap();
        let said = doctor(&project, &[]);
        assert!(said.stdout.contains(&format!("WRONG  orphans      {}", stray.display())), "{}", said.stdout);
        said.refused(1, "1 thing is wrong");
        if repair {
            doctor(&project, &["--repair"]).done();
        } else {
            drop(project.server());
        }
        assert!(!stray.exists());
        assert_eq!(indexes(&project).len(), 2);
    }
}

#[test]
fn a_damaged_database_is_told() {
    let (project, _) = stopped();
    assert!(doctor(&project, &[]).done().stdout.contains("fine   database     SQLite in"));
    damaged(&project);
    let said = doctor(&project, &[]);
    assert!(said.stdout.contains("the database is damaged"), "{}", said.stdout);
    said.refused(1, "1 thing is wrong");
    std::fs::write(project.path("server/hedui.sqlite"), "no database at all, however long it is read").unwrap();
    let said = doctor(&project, &[]).refused(1, "hedui.sqlite: file is not a database");
    assert!(!said.stderr.contains("ERROR"), "{}", said.stderr);
    let server = within(Duration::from_secs(5), Server::command(&project, "server", "127.0.0.1:0"));
    let said = server.refused(1, "hedui.sqlite: file is not a database");
    assert!(!said.stderr.contains("ERROR"), "{}", said.stderr);
}

#[test]
fn a_database_that_cannot_be_read_is_not_ready() {
    let project = Project::new().on_shared_stores();
    let server = project.server();
    let file = |name: &str| project.path("pki").join(name);
    let identity = Identity { certificate: file("operator.crt"), key: file("operator.key"), ca: file("ca.crt") };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let is_ready = || runtime.block_on(operators_page(&server.operator, &identity, "/readyz")).is_ok();
    assert!(is_ready());
    let postgres = &project.stores.as_ref().unwrap().postgres;
    for [from, to] in [["log_entries", "aside"], ["aside", "log_entries"]] {
        postgres.sql("hedui", &format!("ALTER TABLE {from} RENAME TO {to}"));
        assert_eq!(is_ready(), to == "log_entries");
    }
}

#[test]
fn a_certificate_that_ends_soon_or_has_ended_is_told() {
    let (project, _) = stopped();
    let day = 86_400;
    issued(&project, "soon", ServerAuth, -day..11 * day - 60);
    issued(&project, "ended", ServerAuth, -2 * day..-day);
    project.write("none.crt", "no certificate");
    let of = |name: &str| doctor(&project, &["--certificate", &project.text(name)]);
    assert!(of("pki/server.crt").done().stdout.contains("fine   certificate "));
    for (name, words) in [
        ("pki/soon.crt", "soon.crt expires in 10 days"),
        ("pki/ended.crt", "ended.crt has expired"),
        ("none.crt", "none.crt: no certificate in PEM form"),
    ] {
        let said = of(name).refused(1, "1 thing is wrong");
        let line = said.stdout.lines().find(|line| line.starts_with("WRONG  certificate "));
        assert!(line.is_some_and(|line| line.contains(words)), "{name}: {}", said.stdout);
    }
}

#[test]
fn a_clock_that_differs_from_the_databases_is_told() {
    let project = Project::new().on_shared_stores();
    drop(project.server());
    assert!(doctor(&project, &[]).done().stdout.contains("fine   clock "));
    let postgres = &project.stores.as_ref().unwrap().postgres;
    for (ahead, seen) in [(60, 60), (-60, -60)] {
        postgres.sql(
            "hedui",
            &format!(
                "CREATE OR REPLACE FUNCTION public.now() RETURNS timestamptz LANGUAGE sql AS
                 'SELECT pg_catalog.now() + interval ''{ahead} s''';
                 ALTER DATABASE hedui SET search_path = public, pg_catalog"
            ),
        );
        let said = doctor(&project, &[]).refused(1, "1 thing is wrong");
        let told: Vec<String> = [seen - 1, seen, seen + 1].map(|s| format!("is {s} s ahead of this machine's")).into();
        assert!(told.iter().any(|told| said.stdout.contains(told)), "{}", said.stdout);
    }
}

#[test]
fn a_clock_behind_what_was_done_is_told() {
    let project = Project::new();
    Inside::trusting(&project, "server", Role::All, 600, Duration::from_secs(1)).ends();
    let said = doctor(&project, &[]).refused(1, "1 thing is wrong");
    let told = said.stdout.lines().find(|line| line.starts_with("WRONG  clock ")).unwrap_or_default();
    let is_told = (590..=600).any(|seconds| told.contains(&format!("last entry is {seconds} s ahead")));
    assert!(is_told, "{}", said.stdout);
    let project = Project::new();
    drop(project.server());
    assert!(doctor(&project, &[]).done().stdout.contains("fine   clock        not behind the log's last entry"));
}

#[test]
fn what_only_looks_makes_nothing() {
    let project = Project::new().on_shared_stores();
    drop(project.server());
    let mut command = hedui();
    command.args(["server", "doctor", "--data", &project.text("nosuch")]).args(project.store_arguments());
    within(Duration::from_secs(20), command).refused(1, "nosuch: there is no server's folder here");
    let database = &project.stores.as_ref().unwrap().database;
    for verb in ["doctor", "gc"] {
        let said = run(&["server", verb, "--data", &project.text("nosuch"), "--database", database]);
        said.refused(1, "nosuch");
    }
    assert!(!project.path("nosuch").exists());
}

#[test]
fn a_backup_that_lacks_something_is_put_back_nowhere() {
    let (project, _) = stopped();
    run(&["server", "backup", "--data", &project.text("server"), "--out", &project.text("backup")]).done();
    let folder = std::fs::read_dir(project.path("backup/parts")).unwrap().next().unwrap().unwrap().path();
    let part = folder.join("00000.parquet");
    let whole = std::fs::read(&part).unwrap();
    let restore = || run(&["server", "restore", &project.text("backup"), "--data", &project.text("new")]);
    let mut changed = whole.clone();
    changed[20] ^= 1;
    std::fs::write(&part, changed).unwrap();
    restore().refused(1, "the part is damaged");
    assert!(!project.path("new").exists());
    std::fs::remove_file(&part).unwrap();
    restore().refused(1, "00000.parquet: cannot read");
    assert!(!project.path("new").exists());
    std::fs::write(&part, whole).unwrap();
    restore().done();
}
