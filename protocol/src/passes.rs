//! From a row's cells to the values of each pass and the grams of each filter (SPEC 5).

use std::fmt;

use crate::bytes::{Bound, bind};
pub use crate::normalise::FieldState;
use crate::normalise::{Reading, Value};
use crate::schema::{Part, Schema};

/// SPEC 5.2  Alternatives of one pass beyond this many are left out.
pub const MOST_ALTERNATIVES: usize = 16;

/// A schema, made ready for reading rows. Shared by threads.
pub struct Normaliser {
    kinds: Vec<Reading>,
    /// For each field the positions of its aliases.
    aliases: Vec<Vec<usize>>,
    /// Every part that some pass takes, once.
    parts: Vec<(usize, Part)>,
    passes: Vec<PassParts>,
    filters: Vec<Vec<(usize, String)>>,
}

struct PassParts {
    /// What every value of the pass begins with.
    prefix: Vec<u8>,
    /// Positions among the normaliser's parts.
    parts: Vec<usize>,
    unordered: bool,
}

/// What one row says under a schema. Personal data: it does not print itself.
pub struct NormalisedRow {
    pub passes: PassValues,
    /// Positions, among the normaliser's parts, of those that the row does not have.
    absent: Vec<usize>,
    /// For each filter its distinct grams.
    pub grams: Vec<Vec<Vec<u8>>>,
    /// How each field's cell reads.
    pub states: Vec<FieldState>,
}

/// For each pass its alternatives, each as the bytes `x_p` of SPEC 5.1; none where a part is missing.
///
/// All lie behind one another: a row has some twenty, and allocating each took half of the time of reading it.
#[derive(Default, PartialEq, Eq)]
pub struct PassValues {
    bytes: Vec<u8>,
    /// Where each value ends.
    ends: Vec<usize>,
    /// How many values there are up to the end of each pass.
    counts: Vec<usize>,
}

impl PassValues {
    /// The alternatives of one pass, by its number.
    pub fn of(&self, pass: usize) -> impl ExactSizeIterator<Item = &[u8]> {
        let first = if pass == 0 { 0 } else { self.counts[pass - 1] };
        (first..self.counts[pass]).map(|value| {
            let start = if value == 0 { 0 } else { self.ends[value - 1] };
            &self.bytes[start..self.ends[value]]
        })
    }

    /// The alternatives of each pass.
    pub fn iter(&self) -> impl Iterator<Item = impl ExactSizeIterator<Item = &[u8]>> {
        (0..self.counts.len()).map(|pass| self.of(pass))
    }

    /// The alternatives of each pass as 64 bits each: what counting and comparing rows needs of them.
    pub fn hashes(&self) -> impl Iterator<Item = impl ExactSizeIterator<Item = u64>> {
        self.iter().map(|values| values.map(hash))
    }

    fn end_value(&mut self) {
        self.ends.push(self.bytes.len());
    }

    fn end_pass(&mut self) {
        self.counts.push(self.ends.len());
    }
}

impl fmt::Debug for PassValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PassValues(..)")
    }
}

impl fmt::Debug for NormalisedRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NormalisedRow(..)")
    }
}

impl Normaliser {
    /// `schema` has been validated.
    pub fn new(schema: &Schema) -> Self {
        let mut parts: Vec<(usize, Part)> = Vec::new();
        let mut place = |text: &String| {
            let part = schema.part(text).expect("validated: every part is one of the schema's");
            parts.iter().position(|known| *known == part).unwrap_or_else(|| {
                parts.push(part);
                parts.len() - 1
            })
        };
        let passes: Vec<PassParts> = schema
            .passes
            .iter()
            .map(|pass| PassParts {
                prefix: Bound::new("hedui v1 pass").and(pass.name.as_bytes()).into_vec(),
                parts: pass.of.iter().map(&mut place).collect(),
                unordered: pass.unordered,
            })
            .collect();
        let filters = schema.filters.iter().map(|filter| {
            let fields = filter.fields.iter().map(|name| {
                let position = schema.fields.iter().position(|field| field.name == *name);
                (position.expect("validated: a filter's fields are the schema's"), name.clone())
            });
            fields.collect()
        });
        let aliases = schema.fields.iter().map(|field| {
            let of = |alias: &usize| schema.fields[*alias].alias_of.as_ref() == Some(&field.name);
            (0..schema.fields.len()).filter(of).collect()
        });
        Self {
            kinds: schema.fields.iter().map(Reading::of).collect(),
            aliases: aliases.collect(),
            parts,
            passes,
            filters: filters.collect(),
        }
    }

    /// Reads one cell a field, in the schema's order; an empty cell is a missing value.
    pub fn row(&self, cells: &[&str]) -> NormalisedRow {
        assert_eq!(cells.len(), self.kinds.len(), "one cell a field");
        let values: Vec<Value> =
            self.kinds.iter().zip(cells).map(|(reading, cell)| Value::read(reading, cell)).collect();
        let parts: Vec<Vec<String>> =
            self.parts.iter().map(|(field, part)| self.alternatives(*field, *part, &values)).collect();
        let mut passes = PassValues {
            bytes: Vec::with_capacity(80 * self.passes.len()),
            ends: Vec::with_capacity(2 * self.passes.len()),
            counts: Vec::with_capacity(self.passes.len()),
        };
        for pass in &self.passes {
            pass.put(&parts, &mut passes);
        }
        NormalisedRow {
            passes,
            absent: (0..parts.len()).filter(|part| parts[*part].is_empty()).collect(),
            grams: self.filters.iter().map(|fields| grams(fields, &values)).collect(),
            states: values.iter().map(Value::state).collect(),
        }
    }

    // SPEC 4.13  a field's own alternatives, then those of its aliases
    fn alternatives(&self, field: usize, part: Part, values: &[Value]) -> Vec<String> {
        let mut alternatives = values[field].part(part);
        for alias in &self.aliases[field] {
            let further = values[*alias].part(part).into_iter();
            let new: Vec<String> = further.filter(|alternative| !alternatives.contains(alternative)).collect();
            alternatives.extend(new);
            alternatives.truncate(MOST_ALTERNATIVES);
        }
        alternatives
    }

    /// For each pass the positions of the fields that gave it no part: for want of them it cannot find the row.
    pub fn lacking(&self, row: &NormalisedRow) -> Vec<Vec<usize>> {
        let of_pass = |pass: &PassParts| {
            let absent = pass.parts.iter().filter(|part| row.absent.contains(part));
            let mut fields: Vec<usize> = absent.map(|part| self.parts[*part].0).collect();
            fields.sort_unstable();
            fields.dedup();
            fields
        };
        self.passes.iter().map(of_pass).collect()
    }
}

impl PassParts {
    // SPEC 5.2  every combination of the parts' alternatives, in the parts' order
    fn put(&self, parts: &[Vec<String>], values: &mut PassValues) {
        let own = || self.parts.iter().map(|part| parts[*part].as_slice());
        if own().all(|alternatives| alternatives.len() == 1) && !self.unordered {
            self.put_value(own().map(|alternatives| alternatives[0].as_str()), values);
        } else {
            let mut combinations: Vec<Vec<&str>> = vec![Vec::new()];
            for alternatives in own() {
                let extended = combinations.iter().flat_map(|known| {
                    alternatives.iter().map(move |part| known.iter().copied().chain([part.as_str()]).collect())
                });
                combinations = extended.take(MOST_ALTERNATIVES).collect();
            }
            if self.unordered {
                combinations.iter_mut().for_each(|parts| parts.sort_unstable());
            }
            // two ways to the same value are one value
            for (at, parts) in combinations.iter().enumerate() {
                if !combinations[..at].contains(parts) {
                    self.put_value(parts.iter().copied(), values);
                }
            }
        }
        values.end_pass();
    }

    // SPEC 5.1  x_p = B("hedui v1 pass", pass name, part, part, …)
    fn put_value<'p>(&self, parts: impl Iterator<Item = &'p str>, values: &mut PassValues) {
        values.bytes.extend_from_slice(&self.prefix);
        parts.for_each(|part| bind(&mut values.bytes, part.as_bytes()));
        values.end_value();
    }
}

fn hash(value: &[u8]) -> u64 {
    let bytes = blake3::hash(value);
    u64::from_le_bytes(bytes.as_bytes()[..8].try_into().expect("a hash has 32 bytes"))
}

// SPEC 5.6  a gram is B("hedui v1 gram", field, gram)
fn grams(fields: &[(usize, String)], values: &[Value]) -> Vec<Vec<u8>> {
    let mut grams: Vec<Vec<u8>> = Vec::with_capacity(32);
    for (position, name) in fields {
        let own = values[*position].grams().into_iter();
        grams.extend(own.map(|gram| Bound::new("hedui v1 gram").and(name.as_bytes()).and(gram.as_bytes()).into_vec()));
    }
    grams.sort();
    grams.dedup();
    grams
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn normaliser() -> (Schema, Normaliser) {
        let schema = Schema::parse(Schema::preset("resident-cn").unwrap()).unwrap();
        let normaliser = Normaliser::new(&schema);
        (schema, normaliser)
    }

    fn row(name: &str, id_no: &str, dob: &str) -> NormalisedRow {
        row_of(&[("name", name), ("id_no", id_no), ("dob", dob)])
    }

    /// A row of the cells that are named; the others are empty.
    fn row_of(named: &[(&str, &str)]) -> NormalisedRow {
        let (schema, normaliser) = normaliser();
        let cell = |field: &crate::schema::Field| named.iter().find(|(name, _)| *name == field.name);
        let cells: Vec<&str> = schema.fields.iter().map(|field| cell(field).map_or("", |(_, cell)| *cell)).collect();
        normaliser.row(&cells)
    }

    #[test]
    fn two_missing_values_never_agree() {
        let row = row("", "无", "");
        assert!(row.passes.iter().all(|values| values.len() == 0));
        assert!(row.grams.iter().all(Vec::is_empty));
    }

    #[test]
    fn a_pass_that_cannot_find_a_row_names_the_fields_it_wants() {
        let (schema, normaliser) = normaliser();
        let row = row("李?", "110105491231002", "");
        let lacking = |name: &str| {
            let at = schema.passes.iter().position(|pass| pass.name == name).unwrap();
            let fields: Vec<&str> =
                normaliser.lacking(&row)[at].iter().map(|field| schema.fields[*field].name.as_str()).collect();
            assert_eq!(fields.is_empty(), (row.passes.of(at).len() > 0), "{name}");
            fields.join(" ")
        };
        assert_eq!(lacking("id18"), "");
        assert_eq!(lacking("name+year-month"), "name dob");
        assert_eq!(lacking("surname+date"), "dob");
        assert_eq!(lacking("phone"), "phone");
    }

    /// The values of the pass `id18` of a row that has a present and a former number.
    fn with_former(id_no: &str, former: &str) -> Vec<Vec<u8>> {
        let row = row_of(&[("id_no", id_no), ("former_id_no", former)]);
        assert!(normaliser().1.lacking(&row)[0].is_empty(), "one of them is enough to find the row");
        row.passes.of(0).map(<[u8]>::to_vec).collect()
    }

    #[test]
    fn a_former_number_is_a_further_alternative_and_stands_alone_where_there_is_no_other() {
        let (present, former) = ("11010519491231002X", "110105198001011238");
        let both = with_former(present, former);
        assert_eq!(both, [with_former(present, ""), with_former("", former)].concat());
        assert_eq!(with_former(present, "110105491231002"), both[..1], "the same number twice is one");
    }

    #[test]
    fn one_person_written_in_two_ways_meets() {
        let (one, other) =
            (row("張偉", "11010519491231002X", "1949-12-31"), row("张 伟", "110105491231002", "19491231"));
        assert_eq!(one.passes, other.passes);
    }

    proptest! {
        #[test]
        fn any_cells_read_and_read_the_same_again(name in ".*", id_no in ".*", dob in ".*") {
            let (one, other) = (row(&name, &id_no, &dob), row(&name, &id_no, &dob));
            prop_assert_eq!(&one.passes, &other.passes);
            prop_assert!(one.passes.iter().all(|pass| pass.len() <= MOST_ALTERNATIVES));
        }

        #[test]
        fn former_values_never_make_too_many(id_no in "[0-9]{18}", former in "[0-9]{18}", name in "[a-z ]{0,9}|[张王李伟]{2,4}") {
            let named = [("name", name.as_str()), ("former_name", "王伟丽"), ("id_no", &id_no), ("former_id_no", &former)];
            prop_assert!(row_of(&named).passes.iter().all(|pass| pass.len() <= MOST_ALTERNATIVES));
        }

        #[test]
        fn numbers_and_dates_of_any_digits_read(id_no in "[0-9xX]{0,20}", dob in "[0-9/年月日-]{0,12}") {
            row("李", &id_no, &dob);
        }
    }
}
