//! The report as text on the screen.

use hedui_protocol::passes::FieldState;

use super::report::{DOMINANT, FieldReport, MISDECODED, PRIVATE_USE, PassReport, RARE, Report, share, words};
use super::trouble::Trouble;

pub fn print(report: &Report) {
    println!("{} rows", report.rows);
    print_trouble("without an id", &report.empty_ids, report.rows);
    print_trouble("repeating an id", &report.duplicate_ids, report.rows);
    report.bad_payloads.iter().for_each(|trouble| print_trouble("payload is no number", trouble, report.rows));
    report.fields.iter().for_each(|field| print_field(field, report.rows));
    if report.passes.is_empty() {
        return;
    }
    println!("each pass finds at most");
    report.passes.iter().for_each(|pass| print_pass(pass, report.rows));
    println!("passes that can find a row");
    for (passes, rows) in ["none", "1 or 2", "3 to 5", "6 or more"].iter().zip(report.findable()) {
        println!("  {passes:26} {:>7} {rows}", share(rows, report.rows));
    }
}

fn print_field(field: &FieldReport, rows: u64) {
    if !field.column {
        println!("  {:16} no column", field.field);
        return;
    }
    println!("  {:16} {:>7} filled", field.field, share(rows - field.missing, rows));
    for (what, trouble) in [
        (words(FieldState::Repairable).1, &field.repairable),
        (words(FieldState::Uncertain).1, &field.uncertain),
        (words(FieldState::Malformed).1, &field.malformed),
        (words(FieldState::Destroyed).1, &field.destroyed),
        (RARE.1, &field.rare_characters),
        (PRIVATE_USE.1, &field.private_use),
        (MISDECODED.1, &field.misdecoded),
        (DOMINANT.1, &field.dominant),
    ] {
        print_trouble(what, trouble, rows);
    }
    for (state, count) in [
        (FieldState::FifteenDigits, field.fifteen_digits),
        (FieldState::OtherDocument, field.other_document),
        (FieldState::Heaped, field.heaped),
    ] {
        if count > 0 {
            println!("    {:24} {:>7} {count}", words(state).1, share(count, rows));
        }
    }
}

fn print_trouble(what: &str, trouble: &Trouble, rows: u64) {
    if trouble.rows == 0 {
        return;
    }
    // quoted as Rust quotes: what does not show (or would move the cursor) stands there as its code
    let value = |at: usize| trouble.values.get(at).map(|value| format!(" {value:?}")).unwrap_or_default();
    let first: Vec<String> = trouble.first.iter().enumerate().map(|(at, row)| format!("{row}{}", value(at))).collect();
    let (share, more) = (share(trouble.rows, rows), trouble.more());
    println!("    {what:24} {share:>7} {} (rows {}{more})", trouble.rows, first.join(", "));
}

fn print_pass(pass: &PassReport, rows: u64) {
    let wants = pass.for_want_of.iter().filter(|want| want.rows > 0);
    let wants: Vec<String> = wants.map(|want| format!("{} without {}", want.rows, want.field)).collect();
    let lost = if pass.lost > 0 { format!(" · {}", wants.join(", ")) } else { String::new() };
    println!("  {:26} {:>7}{lost}", pass.pass, share(pass.rows, rows));
}
