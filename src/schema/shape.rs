//! What a column of Western words or short numbers may be, by the shape of its values and how many different ones it has.
//!
//! Nobody's name is looked up: a guess may be wrong, and says that it is one.

use std::collections::HashSet;

use hedui_protocol::normalise::ends_as_a_street;

use super::guess::Guess;
use crate::table::{Row, Table};

/// This share of a column's values has a shape, or the column has not. Typing errors spoil some.
const MOST: f64 = 0.7;
/// A column of names has at least so many different ones.
const FEWEST_NAMES: usize = 30;
/// Longest name of a state or province that is an abbreviation.
const ABBREVIATION: usize = 3;

/// A field of the preset `person`, guessed among the columns that are not `taken`.
pub fn guess<'r>(field: &str, table: &Table, rows: &'r [Row], taken: &[bool]) -> Option<Guess> {
    let columns: Vec<Column> = (0..table.header.len()).map(|at| Column::of(rows, at)).collect();
    let free = || columns.iter().filter(|column| !taken[column.at]);
    let most_kinds = |is: fn(&Column<'r>) -> bool| free().filter(|column| is(column)).max_by_key(|column| column.kinds);
    let has_streets = columns.iter().any(Column::has_streets);
    let (column, why) = match field {
        "address" => (free().find(|column| column.has_streets())?, "its values end as streets' names do"),
        "given_name" | "surname" => {
            let mut names: Vec<&Column> = free().filter(|column| column.has_names()).collect();
            names.sort_by_key(|column| std::cmp::Reverse(column.kinds));
            // families' names are the more numerous: the preset asks for the given name first
            let at = usize::from(field == "given_name" && names.len() > 1);
            (*names.get(at)?, "most of its values are single words, and many differ")
        }
        "city" => (most_kinds(Column::has_places)?, "its values are words, of which many return"),
        "state" => (most_kinds(Column::has_abbreviations)?, "it has a few short words"),
        "postcode" if has_streets => {
            (most_kinds(Column::has_postcodes)?, "its numbers are of one length, and many return")
        }
        "street_number" if has_streets => {
            (free().find(|column| column.has_houses())?, "its numbers are short, and most are low")
        }
        _ => return None,
    };
    Some(Guess { column: column.at, why: format!("a guess: {why}") })
}

/// Whether a column numbers the rows: each value once, and rising, or close together; perhaps with letters before.
pub fn numbers_rows(rows: &[Row], at: usize, rows_of_file: u64) -> bool {
    let number = |row: &Row| {
        let cell = row.cells.get(at).unwrap_or("").trim();
        cell.trim_start_matches(|c: char| !c.is_ascii_digit()).parse::<u64>().ok()
    };
    let numbers: Vec<u64> = rows.iter().map_while(number).collect();
    let different = numbers.iter().collect::<HashSet<_>>().len();
    let (Some(least), Some(most)) = (numbers.iter().min(), numbers.iter().max()) else { return false };
    // telephones in order rise too, but far apart
    let gap = if numbers.is_sorted() { 100 } else { 2 };
    rows.len() > 1 && different == rows.len() && most - least <= gap * rows_of_file
}

/// What of a column tells its shape.
struct Column<'r> {
    at: usize,
    values: Vec<&'r str>,
    /// Different values.
    kinds: usize,
}

impl<'r> Column<'r> {
    fn of(rows: &'r [Row], at: usize) -> Self {
        let cells = rows.iter().map(|row| row.cells.get(at).unwrap_or("").trim());
        let values: Vec<&str> = cells.filter(|cell| !cell.is_empty()).collect();
        let kinds = values.iter().collect::<HashSet<_>>().len();
        Self { at, values, kinds }
    }

    fn most(&self, is: impl Fn(&str) -> bool) -> bool {
        let count = self.values.iter().filter(|value| is(value)).count();
        !self.values.is_empty() && count as f64 >= MOST * self.values.len() as f64
    }

    fn has_streets(&self) -> bool {
        self.most(|value| ends_as_a_street(value) && !value.starts_with(|c: char| c.is_ascii_digit()))
    }

    fn has_names(&self) -> bool {
        self.kinds >= FEWEST_NAMES.max(self.values.len() / 50)
            && self
                .most(|value| is_words(value) && !value.contains(char::is_whitespace) && value.len() > ABBREVIATION - 1)
            && !self.has_streets()
    }

    fn has_places(&self) -> bool {
        self.returns() && self.most(|value| is_words(value) && value.len() > ABBREVIATION)
    }

    fn has_abbreviations(&self) -> bool {
        self.returns() && self.most(|value| is_words(value) && (2..=ABBREVIATION).contains(&value.len()))
    }

    fn has_postcodes(&self) -> bool {
        let length = self.values.first().map_or(0, |value| value.len());
        let is_year = |value: &str| matches!(value.parse::<u16>(), Ok(1900..=2030));
        (4..=6).contains(&length)
            && self.returns()
            && self.most(|value| is_digits(value) && value.len() == length)
            && !self.most(is_year)
    }

    /// Streets begin at 1; some are longer than people grow old.
    fn has_houses(&self) -> bool {
        let number = |value: &&str| value.parse::<u16>().ok().filter(|number| *number > 0);
        let numbers: Vec<u16> = self.values.iter().filter_map(number).collect();
        let low = numbers.iter().filter(|number| **number <= 120).count();
        self.most(|value| value.len() <= 4 && is_digits(value)) && low < numbers.len() && 2 * low > numbers.len()
    }

    /// Several values, many of which stand in more rows than one.
    fn returns(&self) -> bool {
        self.kinds > 2 && 2 * self.kinds <= self.values.len()
    }
}

fn is_words(value: &str) -> bool {
    value.chars().all(|c| c.is_alphabetic() || c.is_whitespace() || "-'.".contains(c))
}

fn is_digits(value: &str) -> bool {
    value.chars().all(|c| c.is_ascii_digit())
}
