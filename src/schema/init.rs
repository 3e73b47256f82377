//! `hedui schema init`: a schema guessed from a file's header and values, each guess explained.

use std::path::PathBuf;

use clap::Args;
use hedui_protocol::normalise::is_han;
use hedui_protocol::passes::{FieldState, Normaliser};
use hedui_protocol::schema::{Decision, Field, Kind, Profile, Schema};

use super::check::k_for;
use crate::failure::{Failure, Outcome};
use crate::options::TableFormat;
use crate::staging::write_private;
use crate::table::{Row, Table};
use crate::terminal;

/// Rows that are looked at.
const SAMPLE: usize = 2000;
/// A column's values decide where this share of them reads as a kind.
const SURE: f64 = 0.7;
/// Fields of the preset `person`.
const ADDRESS: &str = "address";
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

/// Which column is a field, and why.
struct Guess {
    column: usize,
    why: String,
}

impl Init {
    pub fn run(self) -> Outcome {
        if self.out.exists() {
            return Err(Failure::refused(format!("{}: exists already", self.out.display())));
        }
        let mut table = self.format.open(&self.data)?;
        let rows = table.next_rows(SAMPLE)?;
        table.refuse_empty()?;
        let name = if speaks_chinese(&table, &rows) { "resident-cn" } else { "person" };
        let preset = Schema::parse(Schema::preset(name).expect("a preset")).map_err(Failure::refused)?;
        terminal::note(format!("fields, passes and weights of the preset `{name}`, as far as {} has them", table.name));

        let mut taken = vec![false; table.header.len()];
        let mut guesses: Vec<Option<Guess>> = preset.fields.iter().map(|_| None).collect();
        // names first: a column that says what it is is not guessed at
        for by in [by_name, by_name_of_address, by_values] {
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
    fn schema(&self, preset: &Schema, guesses: &[Option<Guess>], table: &Table, rows: &[Row]) -> Outcome<Schema> {
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
            columns.insert(0, column);
            Some(Field { columns, ..field.clone() })
        });
        schema.fields = fields.collect();
        if schema.passes.is_empty() {
            return Err(Failure::refused(format!(
                "{}: no column is a name, a number, a birth date or the like",
                table.name
            ))
            .hint("give the columns names, or write a schema by hand: protocol/SPEC.md, section 4"));
        }
        let columns: Vec<usize> = guesses.iter().flatten().map(|guess| guess.column).collect();
        let normaliser = Normaliser::new(&schema);
        let read = rows.iter().map(|row| {
            let cells: Vec<&str> = columns.iter().map(|at| row.cells.get(*at).unwrap_or("")).collect();
            normaliser.row(&cells)
        });
        let read: Vec<_> = read.collect();
        for (at, filter) in schema.filters.iter_mut().enumerate() {
            let filled = read.iter().filter(|row| !row.grams[at].is_empty()).count().max(1);
            let grams: usize = read.iter().map(|row| row.grams[at].len()).sum();
            filter.k = k_for(filter.bits, grams as f64 / filled as f64);
        }
        schema.validate().map_err(Failure::refused)?;
        Ok(schema)
    }
}

fn by_name(field: &Field, table: &Table, _: &[Row], taken: &[bool]) -> Option<Guess> {
    let plain = |name: &str| name.to_lowercase().replace([' ', '_', '-'], "");
    let names: Vec<String> = std::iter::once(&field.name).chain(&field.columns).map(|name| plain(name)).collect();
    let column = (0..table.header.len()).find(|at| !taken[*at] && names.contains(&plain(&table.header[*at])))?;
    Some(Guess { column, why: "by its name".into() })
}

/// A column whose name speaks of an address, among other words, and which holds whole ones.
fn by_name_of_address(field: &Field, table: &Table, rows: &[Row], taken: &[bool]) -> Option<Guess> {
    let named = |at: &usize| {
        let name = table.header[*at].to_lowercase();
        !taken[*at] && ["address", "street"].iter().any(|word| name.contains(word)) && holds_addresses(rows, *at)
    };
    let column = (0..table.header.len()).filter(|_| field.name == ADDRESS && field.kind == Kind::Words).find(named)?;
    Some(Guess { column, why: "by its name, and its values hold numbers and words".into() })
}

fn holds_addresses(rows: &[Row], column: usize) -> bool {
    share_of(Kind::Address, rows.iter().filter_map(|row| row.cells.get(column))) >= SURE
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

/// Kinds whose values give them away; a name or a word could be anything, and a number is seldom of a person's identity.
fn by_values(field: &Field, table: &Table, rows: &[Row], taken: &[bool]) -> Option<Guess> {
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
    let decision = Decision { bias: 0.0, possible: 0.0, probable: 0.0 };
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
        Kind::Phone => (7..=13).contains(&cell.chars().filter(char::is_ascii_digit).count()) && han == 0,
        _ => true,
    }
}

fn speaks_chinese(table: &Table, rows: &[Row]) -> bool {
    let header = table.header.iter().any(|column| column.chars().any(is_han));
    let cells = rows.iter().take(200).filter(|row| row.cells.iter().any(|cell| cell.chars().any(is_han))).count();
    header || 2 * cells > rows.len().min(200)
}
