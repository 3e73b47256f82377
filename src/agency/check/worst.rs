//! The rows that few passes can find and that have the most troubled fields: what a clerk corrects first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use hedui_protocol::passes::FieldState;
use hedui_protocol::schema::Schema;

use super::characters;
use super::report::{PRIVATE_USE, RARE, Reading, words};
use crate::table::columns::Columns;

/// Rows that are kept, however long the file is.
const MOST: usize = 1000;

pub struct WorstRows {
    /// Positions and names of the fields that the file has.
    fields: Vec<(usize, String)>,
    /// Positions of former numbers and names, which most people do not have.
    aliases: Vec<usize>,
    show_values: bool,
    /// The mildest on top.
    kept: BinaryHeap<Worst>,
}

/// Passes that can find a row, troubled fields, the row's number: the worst come first.
type Rank = (usize, Reverse<usize>, u64);

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Worst {
    rank: Rank,
    troubles: String,
    /// One a field of the file, empty where the field is in order; none where they were not asked for.
    values: Vec<String>,
}

impl WorstRows {
    pub fn new(schema: &Schema, columns: &Columns, show_values: bool) -> Self {
        let fields = schema.fields.iter().map(|field| field.name.clone()).enumerate();
        Self {
            fields: fields.filter(|(at, _)| columns.has(*at)).collect(),
            aliases: aliases(schema),
            show_values,
            kept: BinaryHeap::new(),
        }
    }

    pub fn add(&mut self, row: &Reading<'_>) {
        let troubles: Vec<Vec<&str>> = self.fields.iter().map(|(at, _)| self.troubles(row, *at)).collect();
        let troubled = troubles.iter().filter(|troubles| !troubles.is_empty()).count();
        let rank = (row.findable_by(), Reverse(troubled), row.number);
        let full = self.kept.len() == MOST;
        if troubled == 0 || (full && self.kept.peek().is_some_and(|mildest| rank > mildest.rank)) {
            return;
        }
        let told = self.fields.iter().zip(&troubles).filter(|(_, troubles)| !troubles.is_empty());
        let told: Vec<String> =
            told.map(|((_, name), troubles)| format!("{name}: {}", troubles.join(" and "))).collect();
        let value = |((at, _), troubles): (&(usize, String), &Vec<&str>)| {
            if troubles.is_empty() { String::new() } else { row.cells[*at].to_owned() }
        };
        let values = if self.show_values { self.fields.iter().zip(&troubles).map(value).collect() } else { Vec::new() };
        if full {
            self.kept.pop();
        }
        self.kept.push(Worst { rank, troubles: told.join("; "), values });
    }

    fn troubles(&self, row: &Reading<'_>, field: usize) -> Vec<&'static str> {
        let in_order = self.aliases.contains(&field) && row.normalised.states[field] == FieldState::Missing;
        if in_order { Vec::new() } else { troubles(row, field) }
    }

    /// CSV: row, passes that can find it, troubles; with the troubled values where they were asked for.
    pub fn into_csv(self) -> Vec<u8> {
        let mut csv = csv::Writer::from_writer(Vec::new());
        let shown = self.fields.iter().filter(|_| self.show_values).map(|(_, name)| name.as_str());
        let written = csv.write_record(["row", "passes", "troubles"].into_iter().chain(shown)).and_then(|()| {
            self.kept.into_sorted_vec().into_iter().try_for_each(|worst| {
                let (passes, _, row) = worst.rank;
                let own = [row.to_string(), passes.to_string(), worst.troubles];
                csv.write_record(own.into_iter().chain(worst.values))
            })
        });
        written.expect("every record has the header's cells, and a Vec takes everything");
        csv.into_inner().expect("a Vec takes everything")
    }
}

fn aliases(schema: &Schema) -> Vec<usize> {
    let fields = schema.fields.iter().enumerate();
    fields.filter(|(_, field)| field.alias_of.is_some()).map(|(at, _)| at).collect()
}

/// What is wrong with a row's field, in words.
fn troubles(row: &Reading<'_>, field: usize) -> Vec<&'static str> {
    let (cell, state) = (row.cells[field], row.normalised.states[field]);
    let whole = matches!(state, FieldState::Valid | FieldState::FifteenDigits);
    // a passport is no mistake, though passes on a resident number's digits get nothing out of it
    let sound = whole || state == FieldState::OtherDocument;
    // it reads, and yet a pass gets nothing out of it: an address without a road, a character without a reading
    let incomplete = whole && row.lacking.iter().any(|lacking| lacking.contains(&field));
    let all = [
        (!sound, words(state).1),
        (incomplete, "incomplete"),
        (characters::rare(cell), RARE.1),
        (characters::private_use(cell), PRIVATE_USE.1),
    ];
    all.into_iter().filter(|(is, _)| *is).map(|(_, words)| words).collect()
}

#[cfg(test)]
mod tests {
    use hedui_protocol::passes::Normaliser;

    use super::*;

    /// The file of the worst of these rows: number, name and id number; the rest of each row is in order.
    fn worst(rows: impl IntoIterator<Item = (u64, &'static str, &'static str)>) -> Vec<String> {
        let schema = Schema::parse(Schema::preset("resident-cn").unwrap()).unwrap();
        let normaliser = Normaliser::new(&schema);
        let fields = schema.fields.iter().map(|field| field.name.clone()).enumerate().collect();
        let mut worst = WorstRows { fields, aliases: aliases(&schema), show_values: false, kept: BinaryHeap::new() };
        for (number, name, id_no) in rows {
            let cells = vec![name, id_no, "1980-02-03", "m", "13800000000", "长河路1号", "", ""];
            let normalised = normaliser.row(&cells);
            worst.add(&Reading { number, lacking: normaliser.lacking(&normalised), cells, normalised });
        }
        String::from_utf8(worst.into_csv()).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn the_worst_are_kept_in_order_and_no_more_than_a_thousand() {
        let rows = (1..=2000).map(|row| (row, "李雷", "1"));
        let lines = worst(rows.chain([(2001, "", ""), (2002, "李\u{e863}", "")]));
        assert_eq!(lines.len(), 1 + MOST);
        assert_eq!(lines[..2], ["row,passes,troubles", "2001,5,name: missing; id_no: missing"]);
        assert!(lines[2].starts_with("2002,") && lines[2].contains(PRIVATE_USE.1), "{}", lines[2]);
        assert!(lines[3].starts_with("1,") && lines[1000].starts_with("998,"), "{}", lines[1000]);
    }

    #[test]
    fn a_sound_row_is_not_among_the_worst() {
        let rows = [(1, "李雷", "990101198001011236"), (2, "李雷", "E12345678")];
        assert_eq!(worst(rows), ["row,passes,troubles"]);
    }
}
