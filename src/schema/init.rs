//! `hedui schema init`: a schema guessed from a file's header and values, each guess explained.

use std::path::PathBuf;

use clap::Args;
use hedui_protocol::normalise::is_han;
use hedui_protocol::passes::Normaliser;
use hedui_protocol::schema::{DateOrder, Field, Filter, Kind, Schema};

use super::check::{bits_for, k_for};
use super::guess::{ADDRESS, Guess, by_name, by_name_of_address, by_shape, by_values, holds_addresses};
use super::shape::numbers_rows;
use super::strangers::Strangers;
use crate::failure::{Failure, Outcome};
use crate::options::TableFormat;
use crate::staging::{refuse_existing, write_private};
use crate::table::{Row, Table};
use crate::terminal;

/// Rows of a file that are looked at, at most: more teach nothing new.
const SAMPLE: usize = 6000;
/// A field of the preset `person`.
const HOUSE: &str = "street_number";

#[derive(Args, Debug)]
pub struct Init {
    /// CSV or Parquet; `-` is CSV on standard input
    #[arg(value_name = "DATA")]
    data: PathBuf,
    #[command(flatten)]
    format: TableFormat,
    /// The schema to write; it must not exist yet
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl Init {
    pub fn run(self) -> Outcome {
        refuse_existing(&self.out)?;
        let mut table = self.format.open(&self.data)?;
        let rows = sample(&mut table)?;
        let name = if speaks_chinese(&table, &rows) { "resident-cn" } else { "person" };
        let preset = Schema::parse(Schema::preset(name).expect("a preset")).map_err(Failure::refused)?;
        terminal::note(format!("fields, passes and weights of the preset `{name}`, as far as {} has them", table.name));

        let mut taken = vec![false; table.header.len()];
        let mut guesses: Vec<Option<Guess>> = preset.fields.iter().map(|_| None).collect();
        // names first: a column that says what it is is not guessed at
        for (round, by) in [by_name, by_name_of_address, by_values, by_shape].into_iter().enumerate() {
            if round == 2 {
                self.set_aside_row_numbers(&table, &rows, &mut taken);
            }
            for (field, guess) in preset.fields.iter().zip(&mut guesses) {
                if guess.is_none() {
                    *guess = by(field, &table, &rows, &taken);
                    if let Some(guess) = guess {
                        taken[guess.column] = true;
                    }
                }
            }
        }
        drop_lonely_aliases(&preset, &mut guesses);
        let preset = with_whole_addresses(preset, &guesses, &rows);
        for (field, guess) in preset.fields.iter().zip(&guesses) {
            match guess {
                Some(Guess { column, why }) => {
                    terminal::note(format!(
                        "  {:14} column {} `{}`: {why}",
                        field.name,
                        column + 1,
                        table.header[*column]
                    ));
                }
                None => terminal::note(format!(
                    "  {:14} none: no column is called so, and none holds such values",
                    field.name
                )),
            }
        }
        let used: Vec<usize> = guesses.iter().flatten().map(|guess| guess.column).collect();
        for at in (0..table.header.len()).filter(|at| !taken[*at] && !used.contains(at)) {
            terminal::note(format!(
                "  {:14} column {} `{}`: nothing of the preset is called so or looks so",
                "no field",
                at + 1,
                table.header[at]
            ));
        }
        let schema = self.schema(&preset, &guesses, &table, &rows)?;
        let text = toml::to_string(&schema).map_err(Failure::refused)?;
        write_private(&self.out, text.as_bytes())?;
        terminal::note(format!(
            "{}: {} fields, {} passes, {} filters. Look it over; `hedui schema check --data` tries it, `hedui schema learn \
             --own` fits its weights to this file",
            self.out.display(),
            schema.fields.len(),
            schema.passes.len(),
            schema.filters.len()
        ));
        Ok(())
    }

    /// What of the preset the file can serve; filters as full as they should be with this file's values.
    fn schema<'r>(
        &self,
        preset: &Schema,
        guesses: &[Option<Guess>],
        table: &Table,
        rows: &'r [Row],
    ) -> Outcome<Schema> {
        let mut schema = preset.clone();
        schema.name = self.data.file_stem().map_or_else(|| "own".into(), |stem| stem.to_string_lossy().into_owned());
        schema.record_k = None;
        let known = |part: &str| {
            let field = part.split('.').next().unwrap_or_default();
            preset.fields.iter().zip(guesses).any(|(known, guess)| known.name == field && guess.is_some())
        };
        schema.passes.retain(|pass| pass.of.iter().all(|part| known(part)));
        schema.filters.iter_mut().for_each(|filter| filter.fields.retain(|field| known(field)));
        let passes: Vec<String> = schema.passes.iter().map(|pass| pass.name.clone()).collect();
        schema.filters.retain(|filter| {
            !filter.fields.is_empty() && filter.cohort.as_ref().is_some_and(|cohort| passes.contains(cohort))
        });
        let fields = schema.fields.iter().zip(guesses).filter_map(|(field, guess)| {
            let column = table.header[guess.as_ref()?.column].clone();
            let mut columns = field.columns.clone();
            columns.retain(|known| *known != column);
            let cells = rows.iter().filter_map(|row| row.cells.get(guess.as_ref()?.column));
            let order = if field.kind == Kind::Date { date_order(&column, cells) } else { field.order };
            columns.insert(0, column);
            Some(Field { columns, order, ..field.clone() })
        });
        schema.fields = fields.collect();
        if schema.passes.is_empty() {
            return Err(Failure::refused(format!(
                "{}: no column is a name, a number, a birth date or the like",
                table.name
            ))
            .hint("give the columns names, or write a schema by hand: protocol/SPEC.md, section 4"));
        }
        schema.validate().map_err(Failure::refused)?;
        let columns: Vec<usize> = guesses.iter().flatten().map(|guess| guess.column).collect();
        let cell = |row: &'r Row, at: &usize| row.cells.get(*at).unwrap_or("");
        let cells = rows.iter().map(|row| columns.iter().map(|at| cell(row, at)).collect());
        let cells: Vec<Vec<&str>> = cells.collect();
        let filled = fill_filters(&mut schema, &cells);
        let strangers = Strangers::among(&schema, &cells, table.read() as f64 / rows.len() as f64)?;
        strangers.weigh(&mut schema).into_iter().chain(filled).for_each(terminal::note);
        Ok(schema)
    }

    /// Columns that number the rows are nobody's number.
    fn set_aside_row_numbers(&self, table: &Table, rows: &[Row], taken: &mut [bool]) {
        for (at, taken) in taken.iter_mut().enumerate().filter(|(_, taken)| !**taken) {
            let name = &table.header[at];
            if *name == self.format.id || numbers_rows(rows, at, table.read()) {
                terminal::note(format!("  {:14} column {} `{name}`: it numbers the rows", "no field", at + 1));
                *taken = true;
            }
        }
    }
}

/// How a column writes its dates: where the year stands last, by the days that are no month.
fn date_order<'c>(column: &str, cells: impl Iterator<Item = &'c str>) -> DateOrder {
    let (mut unclear, mut day_first, mut month_first) = (0, 0, 0);
    for cell in cells {
        let groups: Vec<&str> = cell.trim().split(['/', '-', '.']).collect();
        let &[one, other, year] = groups.as_slice() else { continue };
        let number = |group: &str| group.parse::<u32>().ok();
        match (number(one), number(other)) {
            (Some(one), Some(other)) if year.len() == 4 => match (one > 12, other > 12) {
                (true, false) => day_first += 1,
                (false, true) => month_first += 1,
                _ => unclear += 1,
            },
            _ => {}
        }
    }
    let (order, why) = match (day_first, month_first) {
        (0, 0) if unclear == 0 => return DateOrder::Any,
        (0, 0) => (DateOrder::Any, "no day in it is above 12: say `order` if the month comes first"),
        (_, 0) => (DateOrder::DayFirst, "days come first"),
        (0, _) => (DateOrder::MonthFirst, "months come first"),
        _ => (DateOrder::Any, "written in both orders: days come first where both are possible"),
    };
    terminal::note(format!("  dates in `{column}`: {why}"));
    order
}

/// Every so many rows of a whole file, at most `SAMPLE`.
fn sample(table: &mut Table) -> Outcome<Vec<Row>> {
    let (mut kept, mut step) = (Vec::new(), 1);
    loop {
        let rows = table.next_rows(SAMPLE)?;
        if rows.is_empty() {
            return table.refuse_empty().map(|()| kept);
        }
        kept.extend(rows.into_iter().filter(|row| (row.number - 1).is_multiple_of(step)));
        while kept.len() > SAMPLE {
            step *= 2;
            kept.retain(|row| (row.number - 1).is_multiple_of(step));
        }
    }
}

/// Sets each filter's length and `k` for these rows, and says so, a line each.
///
/// Where a filter has fewer grams than it was learned with, each sets more bits: a typing error lies further away, and says
/// less. Its weights shrink by the root of that. (Of none, the root and the ratio itself, F1 was .834, .846, .847 on
/// anonlink's data, which has a city for a whole address, and .841, .832, .822 on the towns of `strangers.rs`.)
fn fill_filters(schema: &mut Schema, rows: &[Vec<&str>]) -> Vec<String> {
    let normaliser = Normaliser::new(schema);
    let read: Vec<_> = rows.iter().map(|cells| normaliser.row(cells)).collect();
    let fill = |(at, filter): (usize, &mut Filter)| {
        let filled = read.iter().filter(|row| !row.grams[at].is_empty()).count().max(1);
        let grams: usize = read.iter().map(|row| row.grams[at].len()).sum();
        let mean = grams as f64 / filled as f64;
        let learned = f64::from(filter.k) / f64::from(filter.bits);
        filter.bits = bits_for(mean);
        filter.k = k_for(filter.bits, mean);
        let part = (learned * f64::from(filter.bits) / f64::from(filter.k)).min(1.0).sqrt();
        let weights = filter.bands.iter_mut().map(|band| &mut band.weight).chain([&mut filter.beyond]);
        weights.for_each(|weight| *weight = (100.0 * part * *weight).round() / 100.0);
        format!(
            "  filter {:17} {} bits, k = {} for {mean:.1} grams a row; the preset's weights times {part:.2}",
            filter.name, filter.bits, filter.k
        )
    };
    schema.filters.iter_mut().enumerate().map(fill).collect()
}

/// The preset `person` has house numbers and streets in columns of their own. Where a column holds both, its field is
/// an address, and passes take of it what they would take of the others.
fn with_whole_addresses(preset: Schema, guesses: &[Option<Guess>], rows: &[Row]) -> Schema {
    let guess = |name: &str| {
        let at = preset.fields.iter().position(|field| field.name == name && field.kind != Kind::AddressCn)?;
        guesses[at].as_ref()
    };
    if !guess(ADDRESS).is_some_and(|guess| holds_addresses(rows, guess.column)) {
        return preset;
    }
    let lacks_house = guess(HOUSE).is_none();
    let mut schema = preset;
    let address = schema.fields.iter_mut().find(|field| field.name == ADDRESS).expect("its column was found");
    address.kind = Kind::Address;
    for part in schema.passes.iter_mut().flat_map(|pass| &mut pass.of) {
        let (field, _) = part.split_once('.').expect("validated: a part is one of a field");
        match field {
            ADDRESS => *part = format!("{ADDRESS}.street"),
            HOUSE if lacks_house => *part = format!("{ADDRESS}.house"),
            _ => {}
        }
    }
    schema
}

/// A former value says nothing where the present one has no column.
fn drop_lonely_aliases(preset: &Schema, guesses: &mut [Option<Guess>]) {
    for (at, field) in preset.fields.iter().enumerate() {
        let target = field.alias_of.as_ref().and_then(|of| preset.fields.iter().position(|own| own.name == *of));
        if target.is_some_and(|target| guesses[target].is_none()) {
            guesses[at] = None;
        }
    }
}

fn speaks_chinese(table: &Table, rows: &[Row]) -> bool {
    let header = table.header.iter().any(|column| column.chars().any(is_han));
    let cells = rows.iter().take(200).filter(|row| row.cells.iter().any(|cell| cell.chars().any(is_han))).count();
    header || 2 * cells > rows.len().min(200)
}
