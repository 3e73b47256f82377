//! `norm-v1`: from a cell as it was typed to the values that passes and filters use (SPEC 4).
//!
//! Deterministic: the same text gives the same values on every platform and in every version of this program.

mod address;
mod address_cn;
mod date;
mod han_numbers;
mod id_numbers;
mod lunar;
mod missing;
mod month_names;
mod name_cn;
mod other_document;
mod phone;
mod private_use;
mod quantity;
mod resident_id;
mod script;
mod shape;
mod text;
mod variants;
mod western;

pub use address::ends_as_a_street;
pub use script::is_han;

use crate::schema::{DateOrder, Field, Kind, Part, Schema};

/// How a cell reads. Of interest to the data holder's own quality report; nothing of it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FieldState {
    Missing,
    Valid,
    /// A number whose check digit fails, with plausible repairs.
    Repairable,
    /// A resident number of fifteen digits, brought to eighteen.
    FifteenDigits,
    /// A passport's or another document's number in place of a resident number.
    OtherDocument,
    /// A date on the first of January, which forms fill in where only the year is known.
    Heaped,
    /// A character is uncertain (`?`, `□`, `*`) or of a private-use area.
    Uncertain,
    Malformed,
    /// A number that a spreadsheet has rounded (`1.10101E+17`): its last digits are gone.
    Destroyed,
}

/// How a field's cells are read.
pub(crate) struct Reading {
    kind: Kind,
    order: DateOrder,
    /// A quantity's, and no other kind's.
    tolerance: Option<quantity::Decimal>,
}

impl Reading {
    pub fn of(field: &Field) -> Self {
        let tolerance = field.tolerance.map(quantity::Decimal::of_tolerance);
        Self { kind: field.kind, order: field.order, tolerance }
    }
}

/// A cell, read once; parts and grams are taken from it.
pub(crate) enum Value {
    Missing,
    NameCn(name_cn::NameCn),
    ResidentId(id_numbers::IdNumbers),
    Date(date::Date),
    Code(char),
    Phone(phone::Phones),
    Digits(String),
    AddressCn(address_cn::AddressCn),
    Address(address::Address),
    Words(String),
    Email(String),
    Quantity(quantity::Quantity),
    Malformed,
    Destroyed,
}

impl Value {
    pub fn read(reading: &Reading, cell: &str) -> Self {
        let clean = text::clean(cell);
        let kind = reading.kind;
        let nought = kind == Kind::Quantity && clean == "0";
        if missing::says_missing(&clean) && !nought {
            return Self::Missing;
        }
        if is_destroyed(kind, &clean) {
            return Self::Destroyed;
        }
        let value = match kind {
            Kind::NameCn => name_cn::NameCn::read(&clean).map(Self::NameCn),
            Kind::ResidentId => id_numbers::IdNumbers::read(&clean).map(Self::ResidentId),
            Kind::Date => date::Date::read(text::whole(&clean), reading.order).map(Self::Date),
            Kind::Sex => sex(text::whole(&clean)).map(Self::Code),
            Kind::Phone => phone::Phones::read(&clean).map(Self::Phone),
            Kind::Digits => western::digits(text::whole(&clean)).map(Self::Digits),
            Kind::AddressCn => address_cn::AddressCn::read(&clean).map(Self::AddressCn),
            Kind::Address => address::Address::read(&clean).map(Self::Address),
            Kind::Words => western::words(&clean).map(Self::Words),
            Kind::Quantity => {
                let tolerance = reading.tolerance.expect("validated: a quantity has a tolerance");
                quantity::Quantity::read(&clean, tolerance).map(Self::Quantity)
            }
            Kind::Email => clean.contains('@').then_some(clean).map(Self::Email),
            Kind::Verbatim => unreachable!("the profile `clk` reads no cells"),
        };
        value.unwrap_or(Self::Malformed)
    }

    pub fn state(&self) -> FieldState {
        match self {
            Self::Missing => FieldState::Missing,
            Self::Malformed => FieldState::Malformed,
            Self::Destroyed => FieldState::Destroyed,
            Self::NameCn(name) => name.state(),
            Self::ResidentId(id) => id.state(),
            Self::Date(date) => date.state(),
            _ => FieldState::Valid,
        }
    }

    /// The alternatives of a part; none where it is missing.
    pub fn part(&self, part: Part) -> Vec<String> {
        match self {
            Self::Missing | Self::Malformed | Self::Destroyed => Vec::new(),
            Self::NameCn(name) => name.part(part),
            Self::ResidentId(id) => id.part(part),
            Self::Date(date) => date.part(part),
            Self::Code(code) => vec![code.to_string()],
            Self::Phone(numbers) => numbers.part(part),
            Self::Digits(digits) => phone::digits_part(digits, part).into_iter().collect(),
            Self::AddressCn(address) => address.part(part).into_iter().collect(),
            Self::Address(address) => address.part(part).into_iter().collect(),
            Self::Words(words) => western::part(words, part).into_iter().collect(),
            Self::Email(email) => western::email_part(email, part).into_iter().collect(),
            Self::Quantity(quantity) => quantity.cells(),
        }
    }

    /// The grams that a filter holds of this value.
    pub fn grams(&self) -> Vec<String> {
        match self {
            Self::Missing | Self::Malformed | Self::Destroyed => Vec::new(),
            Self::NameCn(name) => name.grams(),
            Self::ResidentId(id) => id.grams(),
            Self::Date(date) => text::positional(date.digits()),
            Self::Code(code) => vec![code.to_string()],
            Self::Phone(numbers) => numbers.grams(),
            Self::Digits(digits) => text::positional(digits),
            Self::AddressCn(address) => address.grams(),
            Self::Address(address) => text::bigrams(address.text()),
            Self::Words(words) | Self::Email(words) => text::bigrams(words),
            Self::Quantity(quantity) => quantity.cells(),
        }
    }
}

/// Whether a number among a row's cells (one a field) has lost its last digits in a spreadsheet.
pub fn has_destroyed(schema: &Schema, cells: &[&str]) -> bool {
    let fields = schema.fields.iter().zip(cells).filter(|(_, cell)| cell.bytes().any(|byte| byte.is_ascii_digit()));
    fields.into_iter().any(|(field, cell)| is_destroyed(field.kind, &text::clean(cell)))
}

fn is_destroyed(kind: Kind, clean: &str) -> bool {
    let counts = matches!(kind, Kind::ResidentId | Kind::Phone | Kind::Digits | Kind::Quantity);
    counts && is_rounded(clean) || kind == Kind::ResidentId && resident_id::is_rounded(clean)
}

// SPEC 4.3  digits, perhaps a point or comma and digits, `e`, perhaps `+`, and digits: a spreadsheet's way to write a long number.
// Without `+` and point it is one from ten digits on: `12e5` may be a house
fn is_rounded(clean: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    let Some((mantissa, exponent)) = clean.split_once('e') else { return false };
    let (plus, exponent) = exponent.strip_prefix('+').map_or((false, exponent), |exponent| (true, exponent));
    let (whole, fraction) =
        mantissa.split_once(['.', ',']).map_or((mantissa, None), |(whole, rest)| (whole, Some(rest)));
    let long = exponent.len() == 2 && exponent >= "10";
    digits(whole) && fraction.is_none_or(digits) && digits(exponent) && (plus || fraction.is_some() || long)
}

// SPEC 4.7  m: 男 男性 m male 1; f: 女 女性 f female 2
fn sex(clean: &str) -> Option<char> {
    match clean {
        "男" | "男性" | "m" | "male" | "1" => Some('m'),
        "女" | "女性" | "f" | "female" | "2" => Some('f'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kind: Kind, cell: &str, expect: FieldState) {
        let tolerance = (kind == Kind::Quantity).then(|| quantity::Decimal::of_tolerance(1.0));
        let reading = Reading { kind, order: DateOrder::Any, tolerance };
        assert_eq!(Value::read(&reading, cell).state(), expect, "{kind:?} {cell}");
    }

    #[test]
    fn what_a_spreadsheet_rounded_is_destroyed_where_its_digits_count() {
        for kind in [Kind::ResidentId, Kind::Phone, Kind::Digits, Kind::Quantity] {
            for written in ["1.10101E+17", "1.10101E17", "1,10101E+17", "1e17", "1E+5"] {
                check(kind, written, FieldState::Destroyed);
            }
        }
        check(Kind::Words, "1.10101E+17", FieldState::Valid);
        // fifteen digits are all that a spreadsheet keeps of a number, also where it shows them without an exponent
        check(Kind::ResidentId, "110105194912310000", FieldState::Destroyed);
        check(Kind::ResidentId, "110105194912310016.0", FieldState::Destroyed);
        check(Kind::ResidentId, "11010519491231002X", FieldState::Valid);
        check(Kind::ResidentId, "110105194912310010", FieldState::Repairable);
    }

    #[test]
    fn nought_is_a_quantity_and_otherwise_no_value() {
        check(Kind::Quantity, "0", FieldState::Valid);
        check(Kind::Quantity, "-", FieldState::Missing);
        check(Kind::Digits, "0", FieldState::Missing);
    }
}
