//! A bucket that fails, is slow, or answers with something else: the server tries again where it may, an agency hears what is
//! the matter instead of waiting for ever, and once the bucket is well the same command goes through.

use std::time::Duration;

use axum::http::Method;

use crate::bucket::Bucket;
use crate::bucket::Fault::{self, Changed, Cut, Drip, Late, Lost, Short, Silent, Stall, Status};
use crate::harness::{Project, Said, Server, with_patience, within};
use crate::journey::files;

/// A bank whose every set has another balance, a server, and their bucket.
struct Bank {
    project: Project,
    server: Server,
    office: String,
    bank: String,
    sets: u32,
}

impl Bank {
    fn new() -> Self {
        let project = Project::new().on_shared_stores();
        let (office, bank, _) = files(&project);
        let server = project.server();
        Self { project, server, office, bank, sets: 0 }
    }

    fn bucket(&self) -> &Bucket {
        &self.project.stores.as_ref().unwrap().bucket
    }

    fn sql(&self, statement: &str) -> String {
        self.project.stores.as_ref().unwrap().postgres.sql("hedui", statement)
    }

    /// Encodes a further set; its folder.
    fn encode(&mut self) -> String {
        self.sets += 1;
        let text = std::fs::read_to_string(&self.bank).unwrap().replace("70123.45", &self.balance());
        let (file, folder) = (format!("bank-{}.csv", self.sets), format!("bank-{}", self.sets));
        let data = self.project.write(&file, text);
        self.project.encode("bank", &data, &folder).done();
        folder
    }

    fn balance(&self) -> String {
        format!("70123.{:02}", self.sets)
    }

    /// Submits a set, and waits so many seconds while nothing goes on.
    fn submit(&self, folder: &str, wait: u32) -> Said {
        let mut command = self.project.agency("submit", "bank", &[&self.project.text(folder)]);
        command.args(self.server.arguments(&self.project, "bank"));
        within(AN_END, with_patience(&command, wait))
    }

    /// What the newest set says is what is found, and each part lies in the bucket as it was encoded.
    fn answers(&self) {
        self.finds(&self.balance());
        self.parts_are_whole();
    }

    /// Each has the hash that its agency signed.
    fn parts_are_whole(&self) {
        let mut doctor = crate::harness::hedui();
        doctor.args(["server", "doctor", "--data", &self.project.text("server")]).args(self.project.store_arguments());
        let said = Said::of(&doctor.output().unwrap());
        assert!(said.stdout.contains("fine   parts"), "{}", said.stdout);
    }

    fn finds(&self, balance: &str) {
        self.project.office("request", &self.server, &[&self.office, "--again"]).done();
        self.project.office("fetch", &self.server, &[]).done();
        self.project.office("report", &self.server, &[]).done();
        let texts = std::fs::read_dir(self.project.path("reports")).unwrap().map(|entry| entry.unwrap().path());
        let texts: Vec<String> = texts.filter_map(|path| std::fs::read_to_string(path).ok()).collect();
        assert!(texts.iter().any(|text| text.contains(balance)), "{balance}");
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.server.log).unwrap()
    }
}

/// However long it waits, an agency hears what is the matter before this.
const AN_END: Duration = Duration::from_secs(100);
const A_WHILE: Duration = Duration::from_secs(3);

#[test]
fn an_upload_goes_on_after_a_fault() {
    let mut bank = Bank::new();
    for (fault, times) in [(Status(500), 3), (Status(503), 3), (Late(A_WHILE), 1), (Lost, 3), (Silent, 1)] {
        let folder = bank.encode();
        bank.bucket().trouble(Method::PUT, fault, times);
        bank.submit(&folder, 20).done();
        assert_eq!(bank.bucket().failures_left(), 0, "{fault:?}");
        bank.answers();
    }
    assert_eq!(bank.bucket().parts().len(), 5, "one for each set");
}

/// More than 8 MiB: the server sends it in pieces.
#[test]
fn a_part_in_pieces_goes_up_whole_after_faults_at_its_beginning_its_pieces_and_its_end() {
    let mut bank = Bank::new();
    let city = crate::interrupts::city(&bank.project, "60000");
    bank.bank = format!("{city}/bank.csv");
    for (fault, times) in [(Status(500), 2), (Lost, 1), (Cut, 1)] {
        let folder = bank.encode();
        bank.bucket().trouble_with_pieces(fault, times);
        bank.submit(&folder, 60).done();
        assert_eq!(bank.bucket().failures_left(), 0, "{fault:?}");
        let sent = std::fs::metadata(bank.project.path(&folder).join("part-00000.parquet")).unwrap().len();
        assert!(sent > 9 << 20, "{sent} bytes are one piece");
        bank.parts_are_whole();
    }
    assert_eq!(bank.bucket().parts().len(), 3, "one for each set");
}

/// A bucket that takes no part, from now until it is healed.
fn an_agency_hears_that_its_part_cannot_be_stored(fault: Fault) {
    let mut bank = Bank::new();
    let folder = bank.encode();
    bank.bucket().trouble(Method::PUT, fault, u32::MAX);
    bank.submit(&folder, 2).refused(75, "run the same command again");
    assert!(bank.log().contains("A request failed: ") && bank.log().contains("/parts/city/"), "{}", bank.log());
    assert_eq!(bank.sql("SELECT state FROM batches"), "open\n");
    assert_eq!(bank.sql("SELECT COUNT(*) FROM parts"), "0\n", "what is not stored is not noted");
    bank.bucket().heal();
    bank.submit(&folder, 20).done();
    bank.answers();
}

#[test]
fn an_agency_hears_of_a_bucket_that_fails() {
    an_agency_hears_that_its_part_cannot_be_stored(Status(500));
}

#[test]
fn an_agency_hears_of_a_bucket_that_is_overloaded() {
    an_agency_hears_that_its_part_cannot_be_stored(Status(503));
}

#[test]
fn an_agency_hears_of_a_bucket_that_says_nothing() {
    an_agency_hears_that_its_part_cannot_be_stored(Silent);
}

#[test]
fn reading_goes_on_after_a_fault() {
    let mut bank = Bank::new();
    let faults = [
        (Status(500), 3),
        (Status(503), 3),
        (Late(A_WHILE), 1),
        (Lost, 3),
        (Cut, 3),
        (Stall, 1),
        (Changed, 1),
        (Short, 1),
    ];
    for (fault, times) in faults {
        let folder = bank.encode();
        bank.bucket().trouble(Method::GET, fault, times);
        let before = bank.log().len();
        bank.submit(&folder, 60).done();
        assert_eq!(bank.bucket().failures_left(), 0, "{fault:?}");
        // what came as another is noticed, and read again
        let noticed = bank.log()[before..].contains("is damaged: it does not open");
        assert_eq!(noticed, matches!(fault, Changed | Short), "{fault:?}: {}", &bank.log()[before..]);
        bank.answers();
    }
}

/// A bucket whose parts cannot be read, from now until it is healed.
fn an_agency_hears_that_its_index_is_late(fault: Fault) {
    let mut bank = Bank::new();
    let (first, former) = (bank.encode(), bank.balance());
    bank.submit(&first, 20).done();
    let folder = bank.encode();
    bank.bucket().trouble(Method::GET, fault, u32::MAX);
    let said = bank.submit(&folder, 3).refused(75, "run the same command again");
    assert!(
        said.stderr.contains("the batch is stored, and the server could not build the index yet"),
        "{}",
        said.stderr
    );
    assert_eq!(bank.sql("SELECT state FROM batches ORDER BY place"), "indexed\ncommitted\n");
    let why = if matches!(fault, Changed | Short) { "is damaged: it does not open" } else { "" };
    assert!(bank.log().contains("A job failed and will be tried again") && bank.log().contains(why), "{}", bank.log());
    bank.finds(&former);
    bank.bucket().heal();
    bank.submit(&folder, 60).done();
    assert_eq!(bank.sql("SELECT state, COALESCE(reason, '') FROM batches ORDER BY place"), "replaced|\nindexed|\n");
    bank.answers();
}

#[test]
fn an_agency_hears_of_a_bucket_that_does_not_read() {
    an_agency_hears_that_its_index_is_late(Status(500));
}

#[test]
fn an_agency_hears_of_a_bucket_that_breaks_off() {
    an_agency_hears_that_its_index_is_late(Cut);
}

#[test]
fn an_agency_hears_of_a_bucket_that_drips() {
    an_agency_hears_that_its_index_is_late(Drip);
}

#[test]
fn a_part_that_is_another_is_never_indexed() {
    an_agency_hears_that_its_index_is_late(Changed);
}

#[test]
fn a_part_that_is_short_is_never_indexed() {
    an_agency_hears_that_its_index_is_late(Short);
}
