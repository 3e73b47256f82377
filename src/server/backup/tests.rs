//! Backups of small databases, and what is put back of them.

use hedui_protocol::acts::Deed;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

fn row(table: &str, columns: &[(&str, Value)]) -> DumpedRow {
    let row = columns.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    DumpedRow { table: table.into(), row }
}

/// An approved act.
fn act(number: i64, deed: &Deed, approved_at: i64) -> DumpedRow {
    let deed = serde_json::to_string(deed).unwrap();
    let (number, approved_at) = (Value::Number(number), Value::Number(approved_at));
    row("acts", &[("act", number), ("deed", text(&deed)), ("approved_at", approved_at)])
}

/// A backup of these rows, as it lies in a folder.
fn write(folder: &Path, rows: &[DumpedRow], taken_at: Timestamp) {
    std::fs::create_dir(folder).unwrap();
    let (mut keys, mut lines) = (Keys::default(), Vec::new());
    for (number, row) in (0..).zip(rows) {
        let mut row = row.clone();
        keys.take(&mut row).unwrap();
        lines.extend(Line::of(row, &keys, "id", number).unwrap().to_bytes());
        lines.push(b'\n');
    }
    let seal = Seal {
        taken_at,
        ends_at: None,
        id: "id".into(),
        manifest: None,
        epochs: vec![],
        version: 1,
        rows: rows.len() as u64,
        rows_hash: ContentHash::of(&lines),
        parts: 0,
    };
    std::fs::write(folder.join(ROWS), lines).unwrap();
    std::fs::write(folder.join(KEYS), keys.to_bytes(taken_at)).unwrap();
    std::fs::write(folder.join(SEAL), seal.to_bytes()).unwrap();
}

#[test]
fn what_an_erased_agency_answered_before_stays_erased_whatever_the_clocks_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let answer = row("matches", &[("agency", text("bank")), ("commission", text("c"))]);
    let erased = act(7, &Deed::EraseAgency { agency: "bank".into() }, 100);
    let taken_at = at(100) + SignedDuration::from_millis(900);
    write(&path("before"), std::slice::from_ref(&answer), taken_at);
    // it has answered anew by then
    write(&path("after"), &[erased.clone(), answer.clone()], at(99));
    write(&path("newest"), &[erased], at(101));
    let answers = |name: &str| {
        let keys = path("newest").join(KEYS);
        let backup = restorable(&path(name), Some(&keys), at(200)).unwrap().remove(0);
        backup.rows().unwrap().filter(|row| row.as_ref().unwrap().table == "matches").count()
    };
    assert_eq!(answers("before"), 0, "the act was approved in the second in which the backup was taken");
    assert_eq!(answers("after"), 1, "the backup's clock was behind that of the act");
}
