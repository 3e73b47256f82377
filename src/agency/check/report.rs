//! What a file holds, counted row by row. Values are kept where they were asked for, and nowhere else.

use hedui_protocol::passes::{FieldState, NormalisedRow};
use hedui_protocol::schema::{Field, Kind, Pass, Schema};
use serde::Serialize;

use super::characters;
use super::dominant::Dominant;
use super::trouble::Trouble;
use crate::table::columns::Columns;

/// One row as it was read. Personal data.
pub struct Reading<'r> {
    pub number: u64,
    /// One a field, in the schema's order.
    pub cells: Vec<&'r str>,
    pub normalised: NormalisedRow,
    /// For each pass the fields for want of which it cannot find the row.
    pub lacking: Vec<Vec<usize>>,
}

#[derive(Default, Serialize)]
pub struct Report {
    pub rows: u64,
    pub fields: Vec<FieldReport>,
    pub passes: Vec<PassReport>,
    /// Rows by the number of passes that can find them: first those that none can.
    pub passes_a_row: Vec<u64>,
    /// Rows whose id stands at an earlier row already.
    pub duplicate_ids: Trouble,
    /// Rows without an id.
    pub empty_ids: Trouble,
    /// Rows with a payload figure that is no number; none where no payloads were checked.
    pub bad_payloads: Option<Trouble>,
    /// Rows that no pass can find.
    pub unfindable: Trouble,
    #[serde(skip)]
    show_values: bool,
}

#[derive(Serialize)]
pub struct FieldReport {
    pub field: String,
    /// Whether the file has a column for it.
    pub column: bool,
    pub missing: u64,
    pub valid: u64,
    pub fifteen_digits: u64,
    /// Passports' and other documents' numbers in place of a resident number.
    pub other_document: u64,
    /// Dates on the first of January: only their year is used.
    pub heaped: u64,
    pub repairable: Trouble,
    pub uncertain: Trouble,
    pub malformed: Trouble,
    /// Numbers that a spreadsheet has rounded: their last digits are gone.
    pub destroyed: Trouble,
    /// Of those, in scientific notation: no number looks so by chance.
    #[serde(skip)]
    pub in_powers: u64,
    pub rare_characters: Trouble,
    pub private_use: Trouble,
    /// Text that was read once in the wrong encoding.
    pub misdecoded: Trouble,
    /// One value in at least so many rows, a tenth of the filled cells or more (one near a tenth may be passed over); none
    /// is looked for in sexes.
    pub dominant: Trouble,
    #[serde(skip)]
    pub(super) seen: Option<Dominant>,
}

#[derive(Serialize)]
pub struct PassReport {
    pub pass: String,
    /// Rows that have a value for this pass: the most that it can find.
    pub rows: u64,
    /// Rows that it cannot find, whatever the other side holds.
    pub lost: u64,
    pub for_want_of: Vec<Want>,
}

/// Rows that a pass cannot find because a field gives it nothing.
#[derive(Serialize)]
pub struct Want {
    pub field: String,
    pub rows: u64,
    /// Those of them that lack no other field: with this one mended the pass could find them.
    pub alone: u64,
    /// The field's place in the schema.
    #[serde(skip)]
    pub position: usize,
}

impl Report {
    pub fn new(schema: &Schema, columns: &Columns, show_values: bool) -> Self {
        let field = |(position, field): (usize, &Field)| FieldReport {
            field: field.name.clone(),
            column: columns.has(position),
            missing: 0,
            valid: 0,
            fifteen_digits: 0,
            other_document: 0,
            heaped: 0,
            repairable: Trouble::default(),
            uncertain: Trouble::default(),
            malformed: Trouble::default(),
            destroyed: Trouble::default(),
            in_powers: 0,
            rare_characters: Trouble::default(),
            private_use: Trouble::default(),
            misdecoded: Trouble::default(),
            dominant: Trouble::default(),
            seen: (field.kind != Kind::Sex).then(Dominant::default),
        };
        Self {
            fields: schema.fields.iter().enumerate().map(field).collect(),
            passes: schema.passes.iter().map(|pass| PassReport::new(schema, pass)).collect(),
            passes_a_row: vec![0; schema.passes.len() + 1],
            show_values,
            ..Self::default()
        }
    }

    pub fn count(&mut self, row: &Reading<'_>) {
        self.rows += 1;
        for ((field, state), cell) in self.fields.iter_mut().zip(&row.normalised.states).zip(row.cells.iter().copied())
        {
            field.count(row.number, *state, cell, self.show_values.then_some(cell));
        }
        self.passes.iter_mut().zip(&row.lacking).for_each(|(pass, lacking)| pass.count(lacking));
        self.passes_a_row[row.findable_by()] += 1;
        if row.findable_by() == 0 && row.normalised.grams.iter().all(Vec::is_empty) {
            self.unfindable.at(row.number, None);
        }
    }

    pub fn empty_id(&mut self, row: u64) {
        self.empty_ids.at(row, None);
    }

    pub fn duplicate_id(&mut self, row: u64, id: &str) {
        self.duplicate_ids.at(row, self.show_values.then_some(id));
    }

    pub fn bad_payload(&mut self, row: u64, figure: &str) {
        self.bad_payloads.get_or_insert_default().at(row, self.show_values.then_some(figure));
    }

    /// After the last row.
    pub fn finish(&mut self) {
        for field in &mut self.fields {
            if let Some(seen) = field.seen.take() {
                field.dominant = seen.most(self.rows - field.missing);
            }
        }
    }

    /// Rows that none, one or two, three to five, or more passes can find.
    pub fn findable(&self) -> [u64; 4] {
        let among = |passes: std::ops::RangeInclusive<usize>| {
            self.passes_a_row.iter().enumerate().filter(|(at, _)| passes.contains(at)).map(|(_, rows)| rows).sum()
        };
        [among(0..=0), among(1..=2), among(3..=5), among(6..=usize::MAX)]
    }
}

impl Reading<'_> {
    /// How many passes can find the row.
    pub fn findable_by(&self) -> usize {
        self.normalised.passes.iter().filter(|values| values.len() > 0).count()
    }
}

impl FieldReport {
    fn count(&mut self, row: u64, state: FieldState, cell: &str, shown: Option<&str>) {
        match state {
            FieldState::Missing => self.missing += 1,
            FieldState::Valid => self.valid += 1,
            FieldState::FifteenDigits => self.fifteen_digits += 1,
            FieldState::OtherDocument => self.other_document += 1,
            FieldState::Heaped => self.heaped += 1,
            FieldState::Repairable => self.repairable.at(row, shown),
            FieldState::Uncertain => self.uncertain.at(row, shown),
            FieldState::Malformed => self.malformed.at(row, shown),
            FieldState::Destroyed => {
                self.in_powers += u64::from(cell.contains(['e', 'E', 'ｅ', 'Ｅ']));
                self.destroyed.at(row, shown);
            }
        }
        if characters::rare(cell) {
            self.rare_characters.at(row, shown);
        }
        if characters::private_use(cell) {
            self.private_use.at(row, shown);
        }
        if characters::misdecoded(cell) {
            self.misdecoded.at(row, shown);
        }
        if let Some(seen) = self.seen.as_mut().filter(|_| state != FieldState::Missing) {
            seen.count(row, cell, shown);
        }
    }
}

impl PassReport {
    fn new(schema: &Schema, pass: &Pass) -> Self {
        let mut positions: Vec<usize> = Vec::new();
        for part in &pass.of {
            let (position, _) = schema.part(part).expect("validated: every part is one of the schema's");
            if !positions.contains(&position) {
                positions.push(position);
            }
        }
        let want = |position: usize| Want { field: schema.fields[position].name.clone(), rows: 0, alone: 0, position };
        Self { pass: pass.name.clone(), rows: 0, lost: 0, for_want_of: positions.into_iter().map(want).collect() }
    }

    fn count(&mut self, lacking: &[usize]) {
        if lacking.is_empty() {
            self.rows += 1;
            return;
        }
        self.lost += 1;
        for want in self.for_want_of.iter_mut().filter(|want| lacking.contains(&want.position)) {
            want.rows += 1;
            want.alone += u64::from(lacking.len() == 1);
        }
    }
}

/// A state in words: Chinese and English.
pub fn words(state: FieldState) -> (&'static str, &'static str) {
    match state {
        FieldState::Valid => ("有效", "valid"),
        FieldState::FifteenDigits => ("十五位旧号", "fifteen digits"),
        FieldState::OtherDocument => ("其他证件", "other document"),
        FieldState::Repairable => ("校验位不符", "failed check digit"),
        FieldState::Heaped => ("一月一日", "first of January"),
        FieldState::Uncertain => ("有不确定的字", "uncertain character"),
        FieldState::Malformed => ("格式不符", "malformed"),
        FieldState::Destroyed => ("被表格软件舍入", "rounded by a spreadsheet"),
        FieldState::Missing => ("缺失", "missing"),
    }
}

pub const RARE: (&str, &str) = ("生僻字", "rare characters");
pub const PRIVATE_USE: (&str, &str) = ("私用区字", "private-use characters");
pub const DOMINANT: (&str, &str) = ("同一个值", "one and the same value");
pub const MISDECODED: (&str, &str) = ("编码读错", "read in a wrong encoding");

/// A share in percent that says neither nothing nor all where it is only nearly so.
pub fn share(rows: u64, of: u64) -> String {
    let percent = 100.0 * rows as f64 / of as f64;
    match rows {
        _ if rows > 0 && percent < 0.05 => "<0.1 %".into(),
        _ if rows < of && percent >= 99.95 => ">99.9 %".into(),
        _ => format!("{percent:.1} %"),
    }
}

#[cfg(test)]
mod tests {
    use hedui_protocol::passes::Normaliser;

    use super::*;

    #[test]
    fn a_share_is_not_rounded_to_nothing_or_all() {
        let shares = [(0, 3), (1, 3), (1, 9000), (8999, 9000), (9000, 9000)].map(|(rows, of)| share(rows, of));
        assert_eq!(shares, ["0.0 %", "33.3 %", "<0.1 %", ">99.9 %", "100.0 %"]);
    }

    #[test]
    fn what_a_pass_loses_is_told_by_the_fields_it_lacks() {
        let schema = Schema::parse(Schema::preset("resident-cn").unwrap()).unwrap();
        let normaliser = Normaliser::new(&schema);
        let mut passes: Vec<_> = schema.passes.iter().map(|pass| PassReport::new(&schema, pass)).collect();
        for cells in [["李雷", "1980-02-03"], ["", "1980-02-03"], ["李雷", ""], ["", ""]] {
            let row = normaliser.row(&[cells[0], "", cells[1], "", "", "", "", ""]);
            passes.iter_mut().zip(normaliser.lacking(&row)).for_each(|(pass, lacking)| pass.count(&lacking));
        }
        let pass = passes.iter().find(|pass| pass.pass == "given+date").unwrap();
        let wants: Vec<_> = pass.for_want_of.iter().map(|want| (want.field.as_str(), want.rows, want.alone)).collect();
        assert_eq!((pass.rows, pass.lost, wants), (1, 3, vec![("name", 2, 1), ("dob", 2, 1)]));
    }

    #[test]
    fn every_row_stands_in_one_group_of_passes() {
        let report = Report { passes_a_row: (0..=18).map(|passes| 1 << passes).collect(), ..Report::default() };
        assert_eq!(report.findable(), [0b1, 0b110, 0b11_1000, 0b111_1111_1111_1100_0000]);
    }
}
