//! Which column of a table holds which field: by its name, by what its values read as, by what they look like.

use hedui_protocol::normalise::is_han;
use hedui_protocol::passes::{FieldState, Normaliser};
use hedui_protocol::schema::{Decision, Field, Kind, Profile, Schema};

use super::shape;
use crate::table::{Row, Table, plain_name};

/// A column's values decide where this share of them reads as a kind.
const SURE: f64 = 0.7;
/// A field of the preset `person`.
pub const ADDRESS: &str = "address";

/// Which column is a field, and why.
pub struct Guess {
    pub column: usize,
    pub why: String,
}

pub fn by_name(field: &Field, table: &Table, _: &[Row], taken: &[bool]) -> Option<Guess> {
    let names: Vec<String> = std::iter::once(&field.name).chain(&field.columns).map(|name| plain_name(name)).collect();
    let column = (0..table.header.len()).find(|at| !taken[*at] && names.contains(&plain_name(&table.header[*at])))?;
    Some(Guess { column, why: "by its name".into() })
}

/// A column whose name speaks of an address, among other words, and which holds whole ones.
pub fn by_name_of_address(field: &Field, table: &Table, rows: &[Row], taken: &[bool]) -> Option<Guess> {
    let named = |at: &usize| {
        let name = table.header[*at].to_lowercase();
        !taken[*at] && ["address", "street"].iter().any(|word| name.contains(word)) && holds_addresses(rows, *at)
    };
    let column = (0..table.header.len()).filter(|_| field.name == ADDRESS && field.kind == Kind::Words).find(named)?;
    Some(Guess { column, why: "by its name, and its values hold numbers and words".into() })
}

pub fn holds_addresses(rows: &[Row], column: usize) -> bool {
    share_of(Kind::Address, rows.iter().filter_map(|row| row.cells.get(column))) >= SURE
}

/// Kinds whose values give them away.
pub fn by_values(field: &Field, table: &Table, rows: &[Row], taken: &[bool]) -> Option<Guess> {
    // a second number or name may be anybody's
    let says_nothing = matches!(field.kind, Kind::Words | Kind::Address | Kind::Digits | Kind::Quantity);
    if says_nothing || field.alias_of.is_some() {
        return None;
    }
    let share = |at: usize| share_of(field.kind, rows.iter().filter_map(|row| row.cells.get(at)));
    let free = (0..table.header.len()).filter(|at| !taken[*at]);
    let (column, share) = free.map(|at| (at, share(at))).max_by(|one, other| one.1.total_cmp(&other.1))?;
    let word = serde_json::to_value(field.kind).expect("a kind is a word");
    let why = format!("{:.0} % of its values read as {}", 100.0 * share, word.as_str().unwrap_or_default());
    (share >= SURE).then_some(Guess { column, why })
}

/// A word could be anything, and so could a number: their shape makes a guess.
pub fn by_shape(field: &Field, table: &Table, rows: &[Row], taken: &[bool]) -> Option<Guess> {
    let plain = matches!(field.kind, Kind::Words | Kind::Digits) && field.alias_of.is_none();
    plain.then(|| shape::guess(&field.name, table, rows, taken)).flatten()
}

/// The share of filled cells that are plainly of a kind.
fn share_of<'c>(kind: Kind, cells: impl Iterator<Item = &'c str>) -> f64 {
    let field = Field {
        name: "f".into(),
        kind,
        columns: vec![],
        optional: true,
        order: Default::default(),
        tolerance: None,
        alias_of: None,
    };
    let decision = Decision { bias: 0.0, possible: 0.0, probable: 0.0, strangers: None };
    let schema = Schema {
        name: "one".into(),
        normalisation: hedui_protocol::schema::NORMALISATION.into(),
        profile: Profile::Cohort,
        record_k: None,
        clk: None,
        decision,
        fields: vec![field],
        passes: vec![],
        filters: vec![],
    };
    let normaliser = Normaliser::new(&schema);
    let (mut filled, mut right) = (0u32, 0u32);
    for cell in cells {
        let state = normaliser.row(&[cell]).states[0];
        filled += u32::from(state != FieldState::Missing);
        let reads = matches!(
            state,
            FieldState::Valid | FieldState::FifteenDigits | FieldState::Heaped | FieldState::Repairable
        );
        right += u32::from(reads && looks_like(kind, cell));
    }
    if filled == 0 { 0.0 } else { f64::from(right) / f64::from(filled) }
}

/// What reading alone does not tell: nearly every text reads as a name.
fn looks_like(kind: Kind, cell: &str) -> bool {
    let han = cell.chars().filter(|c| is_han(*c)).count();
    match kind {
        Kind::NameCn => (2..=4).contains(&han) && cell.chars().count() <= 6,
        Kind::AddressCn => han >= 3 && cell.contains(['路', '街', '弄', '号', '村', '区', '市', '县']),
        Kind::Address => {
            let holds = |is: fn(char) -> bool| cell.contains(is);
            holds(char::is_alphabetic)
                && holds(|c| c.is_ascii_digit())
                && holds(char::is_whitespace)
                && !cell.contains('@')
        }
        Kind::Phone => {
            let digits = cell.chars().filter(char::is_ascii_digit).count();
            // seven digits and nothing else are many sorts of number
            let least = if digits == cell.trim().len() { 8 } else { 7 };
            (least..=13).contains(&digits) && han == 0
        }
        _ => true,
    }
}
