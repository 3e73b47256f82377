//! A schema: which fields a project links by, how each is read, and what agreement is worth (SPEC 4).

mod error;
mod kind;

pub use error::SchemaError;
pub(crate) use error::entry;
pub use kind::{Kind, Part};

use serde::{Deserialize, Serialize};

/// The one set of normalisation rules that this version knows.
pub const NORMALISATION: &str = "norm-v1";
/// What the profile `clk` says instead: its cells are not read.
pub(crate) const UNREAD: &str = "none";
/// Longest filter, in bits.
const MOST_BITS: u16 = 16_384;
/// What everybody hears who touches a schema of the profile `clk`.
const PLAIN: &str = "plain CLKs: attacks read names from them (docs/THREATS.md). For interoperation and research";

/// SPEC 4.1  What a manifest says of encoding and decision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Schema {
    pub name: String,
    pub normalisation: String,
    pub profile: Profile,
    /// Positions a gram where one filter holds all fields (the record profile): measured on data like this schema's,
    /// for a mean fill of .35 to .40. Estimated from the kinds where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record_k: Option<u16>,
    pub decision: Decision,
    /// What the profile `clk` encodes by; no other profile's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clk: Option<Clk>,
    #[serde(rename = "field")]
    pub fields: Vec<Field>,
    #[serde(rename = "pass", default)]
    pub passes: Vec<Pass>,
    #[serde(rename = "filter", default)]
    pub filters: Vec<Filter>,
}

/// What the server sees of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// Tokens, and filters inside cohorts.
    Cohort,
    /// One diffused filter a record, compared with all.
    Record,
    /// One plain CLK a record, as clkhash makes it, compared with all: only under a manifest that says
    /// `dangerously_plain` (SPEC 13.7).
    Clk,
}

/// The profile `clk`: whose bytes its filter has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Clk {
    /// A clkhash linkage schema, as JSON (SPEC 13.1). The server does not read it.
    pub schema: String,
}

/// An identity field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Field {
    pub name: String,
    pub kind: Kind,
    /// Other names that files give the field's column.
    #[serde(default)]
    pub columns: Vec<String>,
    /// A file may lack the field.
    #[serde(default)]
    pub optional: bool,
    /// How the column's dates are written, where they do not say it themselves.
    #[serde(default, skip_serializing_if = "DateOrder::is_any")]
    pub order: DateOrder,
    /// How far apart two quantities are that surely meet; a quantity's, and no other kind's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<f64>,
    /// The field of which this one holds a further value (a former number, a maiden name): its alternatives are that
    /// field's too, and it has no part or gram of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias_of: Option<String>,
}

impl Field {
    // SPEC 4.8, 4.12  a date, and nothing else, has an order; a quantity, and nothing else, a tolerance
    fn validate(&self) -> Result<(), SchemaError> {
        let wrong = match (self.kind, self.tolerance) {
            (kind, _) if kind != Kind::Date && !self.order.is_any() => "has an `order`, which only a date takes",
            (Kind::Quantity, None) => "is a quantity and needs a `tolerance`",
            (Kind::Quantity, Some(tolerance)) if !is_tolerance(tolerance) => {
                "needs a `tolerance` above 0, of at most 15 digits before the point and 9 after it"
            }
            (Kind::Quantity, Some(_)) | (_, None) => return Ok(()),
            (_, Some(_)) => "has a `tolerance`, which only a quantity takes",
        };
        Err(entry("field", &self.name, wrong))
    }

    // SPEC 13.8  the profile `clk` has verbatim fields, and no other profile has
    fn suits(&self, profile: Profile) -> Result<(), SchemaError> {
        match (self.kind, profile) {
            (Kind::Verbatim, Profile::Clk) => Ok(()),
            (Kind::Verbatim, _) => Err(entry("field", &self.name, "is `verbatim`, which belongs to the profile `clk`")),
            (_, Profile::Clk) => Err(entry("field", &self.name, "must be `verbatim` in the profile `clk`")),
            _ => Ok(()),
        }
    }
}

fn is_tolerance(tolerance: f64) -> bool {
    let text = tolerance.to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    tolerance.is_finite() && tolerance > 0.0 && whole.len() <= 15 && fraction.len() <= 9
}

/// The order of a date's day, month and year.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DateOrder {
    /// The year first; where it stands last, the day before the month unless that gives no month.
    #[default]
    Any,
    YearFirst,
    DayFirst,
    MonthFirst,
}

impl DateOrder {
    fn is_any(&self) -> bool {
        *self == Self::Any
    }
}

/// Fields, or parts of fields, that must agree exactly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Pass {
    pub name: String,
    /// `field.part`, all of which must agree.
    pub of: Vec<String>,
    /// Such a pass names one person: it carries the payload's wrap key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identifies: Option<Identifies>,
    /// Bits of evidence where both sides have a value and one agrees.
    pub equal: f64,
    /// Bits of evidence where both sides have a value and none agrees.
    pub unequal: f64,
    /// The order of the parts does not matter (two names that may be swapped).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unordered: bool,
    /// Other people's rows that share a row's value, on average, in the file that the weight is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strangers: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Identifies {
    Exact,
    Repaired,
}

/// A diffused Bloom filter over fields that belong together (SPEC 6); in the profile `clk` the CLK, of which the schema
/// says the length and the bands alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Filter {
    pub name: String,
    /// The pass whose value keys the filter; none in the record profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cohort: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
    /// Length in bits, before and after diffusion: 1024 or 2048. A CLK's: a multiple of 64 up to 16,384.
    pub bits: u16,
    /// Positions a gram, chosen for a mean fill of .35 to .40.
    #[serde(default, skip_serializing_if = "is_nought")]
    pub k: u16,
    /// Input bits that each output bit is the XOR of.
    #[serde(default, skip_serializing_if = "is_nought")]
    pub t: u8,
    /// Bits of evidence by distance (SPEC 6.6), nearest first.
    pub bands: Vec<FilterBand>,
    /// Bits of evidence beyond the last band.
    pub beyond: f64,
}

fn is_nought<N: PartialEq + Default>(number: &N) -> bool {
    *number == N::default()
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct FilterBand {
    pub at_most: f64,
    pub weight: f64,
}

/// When a weighted sum is a match (SPEC 7).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Decision {
    pub bias: f64,
    /// From here on a pair is a possible match, which releases nothing.
    pub possible: f64,
    /// From here on a pair is a match.
    pub probable: f64,
    /// Other people's rows that meet a row in some pass, on average, in the file that the bias is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strangers: Option<f64>,
}

impl Schema {
    /// The shipped schemas, by name.
    pub const PRESETS: &[&str] = &["resident-cn", "person"];

    pub fn preset(name: &str) -> Option<&'static str> {
        match name {
            "resident-cn" => Some(include_str!("../presets/resident-cn.toml")),
            "person" => Some(include_str!("../presets/person.toml")),
            _ => None,
        }
    }

    pub fn parse(text: &str) -> Result<Self, SchemaError> {
        let schema: Self = toml::from_str(text).map_err(|e| SchemaError::Syntax(e.to_string()))?;
        schema.validate().map_err(|error| error.placed(text))?;
        Ok(schema)
    }

    /// Fields that are compared; the others are aliases of these.
    fn own_fields(&self) -> impl Iterator<Item = &Field> {
        self.fields.iter().filter(|field| field.alias_of.is_none())
    }

    /// A pass part as its field's position and what is taken of it.
    pub fn part(&self, text: &str) -> Option<(usize, Part)> {
        let (field, part) = text.split_once('.')?;
        let position = self.fields.iter().position(|known| known.name == field)?;
        let (_, part) = self.fields[position].kind.parts().iter().find(|(name, _)| *name == part)?;
        Some((position, *part))
    }

    /// The same fields, compared by one filter over all of them instead of by passes.
    ///
    /// A pair's distance decides alone. Strangers lie at .5 ± .011, so one pair of them in 30 million is possible (.44, 5.4
    /// deviations), one in 6 billion probable (.43).
    pub fn for_record_profile(&self) -> Self {
        let grams: usize = self.own_fields().map(|field| field.kind.typical_grams()).sum();
        let bits = 2048u16;
        // fill = 1 − exp(−grams · k / bits), solved for a fill of .37
        let estimate = (0.462 * f64::from(bits) / grams as f64).round().clamp(4.0, 64.0) as u16;
        let k = self.record_k.unwrap_or(estimate);
        let band = |at_most, weight| FilterBand { at_most, weight };
        let filter = Filter {
            name: "record".into(),
            cohort: None,
            fields: self.own_fields().map(|field| field.name.clone()).collect(),
            bits,
            k,
            t: 8,
            bands: vec![band(0.43, 8.0), band(0.44, 4.0)],
            beyond: -8.0,
        };
        Self {
            profile: Profile::Record,
            passes: Vec::new(),
            filters: vec![filter],
            decision: Decision { bias: 0.0, possible: 4.0, probable: 8.0, strangers: None },
            ..self.clone()
        }
    }

    /// Checks what the types cannot say.
    pub fn validate(&self) -> Result<(), SchemaError> {
        let normalisation = if self.profile == Profile::Clk { UNREAD } else { NORMALISATION };
        if self.normalisation != normalisation {
            return Err(SchemaError::Normalisation(self.normalisation.clone()));
        }
        if self.fields.is_empty() {
            return Err(SchemaError::Nothing("field"));
        }
        distinct("field", self.fields.iter().map(|field| &field.name))?;
        distinct("pass", self.passes.iter().map(|pass| &pass.name))?;
        distinct("filter", self.filters.iter().map(|filter| &filter.name))?;
        self.one_field_a_column()?;
        self.fields.iter().try_for_each(|field| field.validate().and_then(|()| field.suits(self.profile)))?;
        self.fields.iter().try_for_each(|field| self.validate_alias(field))?;
        self.passes.iter().try_for_each(|pass| self.validate_pass(pass))?;
        self.filters.iter().try_for_each(|filter| self.validate_filter(filter))?;
        let Decision { bias, possible, probable, strangers } = self.decision;
        if ![bias, possible, probable].iter().all(|value| value.is_finite()) || possible > probable {
            return Err(entry("decision", "possible", "must be finite and no higher than `probable`"));
        }
        if !are_strangers(strangers) {
            return Err(entry("decision", "strangers", "is no number of rows"));
        }
        if self.clk.is_some() != (self.profile == Profile::Clk) {
            return Err(SchemaError::Clk);
        }
        match self.profile {
            Profile::Cohort if self.passes.is_empty() => {
                Err(SchemaError::Nothing("pass; profile `cohort` needs passes"))
            }
            Profile::Cohort => Ok(()),
            Profile::Record => self.one_filter_alone("record"),
            Profile::Clk => {
                self.one_filter_alone("clk")?;
                // the linkage schema is for who encodes by it; the server is built without what reads it
                #[cfg(feature = "clk")]
                crate::clk::profile::check(self)?;
                Ok(())
            }
        }
    }

    fn one_field_a_column(&self) -> Result<(), SchemaError> {
        let mut fields: std::collections::HashMap<&String, &String> = std::collections::HashMap::new();
        for field in &self.fields {
            for column in &field.columns {
                if let Some(other) = fields.insert(column, &field.name).filter(|other| **other != field.name) {
                    let wrong = format!("lists the column `{column}`, which the field `{other}` lists too");
                    return Err(entry("field", &field.name, wrong));
                }
            }
        }
        Ok(())
    }

    fn one_filter_alone(&self, profile: &str) -> Result<(), SchemaError> {
        let wrong = |wrong| Err(entry("profile", profile, wrong));
        match (self.passes.len(), self.filters.len()) {
            (0, 1) => Ok(()),
            (0, _) => wrong("takes exactly one filter"),
            _ => wrong("takes no passes"),
        }
    }

    /// What makes encodings under this schema easy to attack: whoever makes or holds them should know.
    pub fn remarks(&self) -> Vec<String> {
        if self.profile != Profile::Clk {
            return Vec::new();
        }
        let plain = std::iter::once(PLAIN.to_owned());
        #[cfg(feature = "clk")]
        let plain = plain.chain(crate::clk::profile::remarks(self));
        plain.collect()
    }

    // SPEC 4.13  an alias is of a field of its own kind, which is no alias, and files may lack it
    fn validate_alias(&self, alias: &Field) -> Result<(), SchemaError> {
        let Some(target) = &alias.alias_of else { return Ok(()) };
        let wrong = |wrong: &str| Err(entry("field", &alias.name, format!("is an alias of `{target}`, {wrong}")));
        match self.fields.iter().find(|field| field.name == *target) {
            None => wrong("which is no field of this schema"),
            Some(own) if own.alias_of.is_some() => wrong("which is an alias itself"),
            Some(own) if (own.kind, own.tolerance) != (alias.kind, alias.tolerance) => {
                wrong("which is of another kind")
            }
            Some(_) if !alias.optional => wrong("and must be `optional`"),
            Some(_) => Ok(()),
        }
    }

    fn is_alias(&self, name: &str) -> bool {
        self.fields.iter().any(|field| field.name == name && field.alias_of.is_some())
    }

    fn validate_pass(&self, pass: &Pass) -> Result<(), SchemaError> {
        let wrong = |wrong: String| Err(entry("pass", &pass.name, wrong));
        if pass.of.is_empty() || self.passes.len() > 200 {
            return wrong("has no parts, or is one of more than 200 passes".into());
        }
        if let Some(stray) = pass.of.iter().find(|part| self.part(part).is_none()) {
            return wrong(format!("names `{stray}`, which is no field.part of this schema"));
        }
        if let Some(alias) = pass.of.iter().find(|part| self.is_alias(field_of(part))) {
            return wrong(format!("names `{alias}`, of an alias: name the field that it is an alias of"));
        }
        if !pass.equal.is_finite() || !pass.unequal.is_finite() {
            return wrong("has a weight that is no number".into());
        }
        if !are_strangers(pass.strangers) {
            return wrong("has `strangers` that are no number of rows".into());
        }
        Ok(())
    }

    fn validate_filter(&self, filter: &Filter) -> Result<(), SchemaError> {
        let wrong = |wrong: String| Err(entry("filter", &filter.name, wrong));
        if !filter.bands.is_sorted_by(|one, next| one.at_most < next.at_most) {
            return wrong("must have its bands in ascending order".into());
        }
        if !filter.bands.iter().all(|band| band.at_most.is_finite() && band.weight.is_finite()) {
            return wrong("has a band that is no number".into());
        }
        if self.profile == Profile::Clk {
            return self.validate_clk(filter);
        }
        if filter.fields.is_empty() {
            return wrong("names no fields".into());
        }
        if !matches!(filter.bits, 1024 | 2048) {
            return wrong("must have 1024 or 2048 bits".into());
        }
        if filter.k == 0 || filter.k > 1024 {
            return wrong("must set 1 to 1024 positions a gram".into());
        }
        // SPEC 6.4  one key serves all records of the record profile: weaker diffusion is broken there
        let least = if filter.cohort.is_none() { 6 } else { 3 };
        if filter.t < least || filter.t > 32 {
            return wrong(format!("must diffuse with t from {least} to 32"));
        }
        if let Some(stray) = filter.fields.iter().find(|name| !self.fields.iter().any(|field| field.name == **name)) {
            return wrong(format!("names `{stray}`, which is no field of this schema"));
        }
        if let Some(alias) = filter.fields.iter().find(|name| self.is_alias(name)) {
            return wrong(format!("names `{alias}`, an alias, which has no grams"));
        }
        let cohort = filter.cohort.as_ref().map(|cohort| self.passes.iter().find(|pass| pass.name == *cohort));
        match (cohort, self.profile) {
            (None, Profile::Record) => {}
            (Some(Some(pass)), Profile::Cohort) => {
                let own = pass.of.iter().map(|part| field_of(part)).find(|own| filter.fields.iter().any(|f| f == own));
                if let Some(own) = own {
                    return wrong(format!("holds `{own}`, on which its cohort already agrees"));
                }
            }
            _ => return wrong("needs a cohort that is a pass, or none in the record profile".into()),
        }
        Ok(())
    }

    // SPEC 13.8  the linkage schema says how a CLK is made; the server must know its length
    fn validate_clk(&self, filter: &Filter) -> Result<(), SchemaError> {
        let wrong = |wrong: String| Err(entry("filter", &filter.name, wrong));
        if filter.bits == 0 || filter.bits > MOST_BITS || !filter.bits.is_multiple_of(64) {
            return wrong(format!("must have a multiple of 64 bits, at most {MOST_BITS}"));
        }
        if filter.cohort.is_some() || !filter.fields.is_empty() || filter.k != 0 || filter.t != 0 {
            return wrong("is a CLK, made as the linkage schema says: it has no cohort, fields, k or t".into());
        }
        Ok(())
    }
}

/// SPEC 4.15  A mean number of rows.
fn are_strangers(rows: Option<f64>) -> bool {
    rows.is_none_or(|rows| rows.is_finite() && rows >= 0.0)
}

/// The field of a pass part.
fn field_of(part: &str) -> &str {
    part.split('.').next().unwrap_or_default()
}

fn distinct<'a>(what: &'static str, names: impl Iterator<Item = &'a String>) -> Result<(), SchemaError> {
    let mut seen = std::collections::BTreeSet::new();
    for name in names {
        if name.is_empty() || name.contains('.') || !seen.insert(name) {
            return Err(entry(what, name, "stands there twice, is empty or has a dot"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_presets_are_schemas_in_both_profiles() {
        for name in Schema::PRESETS {
            let schema = Schema::parse(Schema::preset(name).unwrap()).unwrap();
            schema.for_record_profile().validate().unwrap();
        }
    }

    #[track_caller]
    fn refuses(change: impl Fn(&mut Schema), words: &str) {
        let mut schema = Schema::parse(Schema::preset("person").unwrap()).unwrap();
        change(&mut schema);
        let error = schema.validate().unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }

    #[test]
    fn a_wrong_schema_is_told_where() {
        refuses(|s| s.normalisation = "norm-v2".into(), "norm-v2");
        refuses(|s| s.passes[0].of = vec!["moon.phase".into()], "`moon.phase`");
        refuses(|s| s.filters[0].t = 2, "t from 3");
        refuses(|s| s.filters[0].fields.clear(), "names no fields");
        refuses(|s| s.fields[0].kind = Kind::Verbatim, "which belongs to the profile `clk`");
        refuses(|s| s.clk = Some(Clk { schema: String::new() }), "the table `clk` belongs to");
        refuses(|s| s.filters[0].cohort = None, "needs a cohort");
        refuses(|s| s.passes[1].name = s.passes[0].name.clone(), "twice");
        refuses(|s| s.decision.possible = 99.0, "no higher");
        for rows in [-1.0, f64::NAN, f64::INFINITY] {
            refuses(|s| s.decision.strangers = Some(rows), "decision `strangers` is no number of rows");
            refuses(|s| s.passes[0].strangers = Some(rows), "pass `nid` has `strangers` that are no number");
        }
        refuses(|s| s.fields[1].tolerance = Some(5.0), "field `surname` has a `tolerance`");
        refuses(|s| s.fields[1].kind = Kind::Quantity, "field `surname` is a quantity and needs");
        for tolerance in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e15, 1e-10] {
            refuses(
                |s| (s.fields[1].kind, s.fields[1].tolerance) = (Kind::Quantity, Some(tolerance)),
                "field `surname` needs a `tolerance` above 0",
            );
        }
    }

    #[test]
    fn an_alias_stands_beside_one_field_of_its_kind() {
        let alias = |s: &mut Schema, name: &str, of: &str| {
            let at = s.fields.iter().position(|field| field.name == name).unwrap();
            (s.fields[at].alias_of, s.fields[at].optional) = (Some(of.into()), true);
        };
        refuses(|s| alias(s, "sex", "moon"), "field `sex` is an alias of `moon`, which is no field");
        refuses(|s| alias(s, "sex", "sex"), "field `sex` is an alias of `sex`, which is an alias itself");
        refuses(|s| alias(s, "sex", "email"), "field `sex` is an alias of `email`, which is of another kind");
        refuses(|s| alias(s, "surname", "former_surname"), "which is an alias itself");
        refuses(|s| s.fields.last_mut().unwrap().optional = false, "must be `optional`");
        refuses(|s| alias(s, "national_id", "postcode"), "pass `nid` names `national_id.number`, of an alias");
        refuses(|s| alias(s, "city", "address"), "filter `date:street` names `city`, an alias");
        let person = Schema::parse(Schema::preset("person").unwrap()).unwrap();
        assert!(!person.for_record_profile().filters[0].fields.contains(&"former_surname".to_owned()));
    }

    #[test]
    fn a_quantity_says_its_tolerance_and_reads_again() {
        let text = Schema::preset("person").unwrap().replacen(
            "kind = \"sex\"\n",
            "kind = \"sex\"\n[[field]]\nname = \"income\"\nkind = \"quantity\"\ntolerance = 5\n",
            1,
        );
        let schema = Schema::parse(&text).unwrap();
        let quantity = schema.fields.iter().find(|field| field.kind == Kind::Quantity).unwrap();
        assert_eq!(quantity.tolerance, Some(5.0));
        assert_eq!(Schema::parse(&toml::to_string(&schema).unwrap()).unwrap(), schema);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let preset = Schema::preset("person").unwrap();
        let told = |from: &str, to: &str, line_has: &str, words: &str| {
            let text = preset.replacen(from, to, 1);
            assert_ne!(text, preset, "{from}");
            let error = Schema::parse(&text).unwrap_err().to_string();
            let line = text.lines().zip(1..).filter(|(line, _)| *line == line_has).last().unwrap().1;
            assert!(error.starts_with(&format!("line {line}: ")) && error.contains(words), "{error}");
        };
        told("norm-v1", "norm-v2", "normalisation = \"norm-v2\"", "norm-v2");
        told("dob.month-day-either", "dob.moon", "name = \"date-either\"", "`dob.moon`");
        told("name = \"names\"", "name = \"nid\"", "name = \"nid\"", "pass `nid` stands there twice");
        told("possible = 0.0", "possible = 7.0", "possible = 7.0", "no higher");
        told("kind = \"sex\"", "kind = \"sex\"\ntolerance = 1", "name = \"sex\"", "field `sex`");
        told("\"last_name\"", "\"first_name\"", "name = \"surname\"", "lists the column `first_name`");
    }

    #[test]
    fn an_unknown_name_is_refused_with_its_line() {
        let text = Schema::preset("person").unwrap().replacen("profile", "profil", 1);
        assert!(Schema::parse(&text).unwrap_err().to_string().contains("line"));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_a_schema_or_not_one(text in ".*", at in 0usize..2000, with in ".{0,3}") {
            let _ = Schema::parse(&text);
            let preset = Schema::preset("person").unwrap();
            let at = (0..=at.min(preset.len())).rev().find(|at| preset.is_char_boundary(*at)).unwrap_or(0);
            let _ = Schema::parse(&format!("{}{with}{}", &preset[..at], &preset[at..]));
        }
    }
}
