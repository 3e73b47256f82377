//! clkhash linkage schemas, versions 1 to 3, read as clkhash 0.18.3 reads them: the older are brought to version 3,
//! and what its master schemas refuse is refused, with the place.

use base64::Engine as _;
use num_bigint::BigInt;
use num_traits::{FromPrimitive as _, Zero as _};
use serde_json::{Map, Value, json};

use super::date::DateFormat;
use super::format::{Case, Format, MissingValue, TextEncoding};

/// A linkage schema, read.
#[derive(Clone, Debug)]
pub struct ClkSchema {
    /// The columns of a data file, in order.
    pub columns: Vec<String>,
    /// How each column is encoded; none where it is ignored.
    pub(super) fields: Vec<Option<Field>>,
    /// Bits of a CLK, after folding.
    pub bits: usize,
    pub(super) folds: u32,
    pub(super) kdf: Kdf,
    /// clkhash's master schemas name `xorFolds`; its program reads `xor_folds`, and so do we.
    unread_folds: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Field {
    pub name: String,
    pub encoding: TextEncoding,
    pub format: Format,
    pub comparison: Comparison,
    pub strategy: Strategy,
    pub hash: HashKind,
    pub missing: Option<MissingValue>,
}

#[derive(Clone, Debug)]
pub enum Comparison {
    Exact,
    Ngram { n: usize, positional: bool },
    Numeric { interval: BigInt, resolution: u32, fractional_precision: u32 },
}

#[derive(Clone, Copy, Debug)]
pub enum Strategy {
    BitsPerToken(usize),
    BitsPerFeature(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashKind {
    Blake,
    /// Weak: two hashes give all positions (Kroll and Steinmetzer 2015).
    Double {
        prevent_singularity: bool,
    },
}

#[derive(Clone, Debug)]
pub struct Kdf {
    pub hash: KdfHash,
    pub salt: Option<Vec<u8>>,
    pub info: Option<Vec<u8>>,
    pub key_size: usize,
}

#[derive(Clone, Copy, Debug)]
pub enum KdfHash {
    Sha256,
    Sha512,
}

/// Why a schema is refused: the place in the JSON, and the rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {wrong}")]
pub struct ClkSchemaError {
    place: String,
    wrong: String,
}

type Read<T> = Result<T, ClkSchemaError>;

impl ClkSchemaError {
    pub(super) fn at(place: impl Into<String>, wrong: impl Into<String>) -> Self {
        Self { place: place.into(), wrong: wrong.into() }
    }
}

/// Bits that this program takes: a CLK of half a megabyte is none.
const MOST_BITS: usize = 1 << 22;
/// clkhash's default (`key_derivation.DEFAULT_KEY_SIZE`).
const KEY_SIZE: usize = 64;

impl ClkSchema {
    pub fn parse(json: &[u8]) -> Read<Self> {
        let root: Value = serde_json::from_slice(json).map_err(|e| {
            ClkSchemaError::at(format!("line {}, column {}", e.line(), e.column()), "the schema does not read as JSON")
        })?;
        let version = root.get("version").and_then(Value::as_f64);
        let root = match version {
            Some(1.0) => to_version_3(to_version_2(root)?)?,
            Some(2.0) => to_version_3(root)?,
            Some(3.0) => root,
            _ => return Err(ClkSchemaError::at("version", "must be 1, 2 or 3")),
        };
        let root = Node::root(&root)?;
        let config = root.child("clkConfig")?;
        let features = root.list("features")?;
        let unread = config.integral("xorFolds")?;
        if unread.is_some_and(|folds| folds < 0.0) {
            return config.wrong("xorFolds", "must be an integer of at least 0");
        }
        let schema = Self {
            columns: features.iter().map(|feature| feature.text("identifier")).collect::<Read<_>>()?,
            fields: features.iter().map(field).collect::<Read<_>>()?,
            bits: config.whole("l", 1)?.ok_or_else(|| config.lacks("l"))?,
            folds: config.whole("xor_folds", 0)?.unwrap_or(0),
            kdf: kdf(&config.child("kdf")?)?,
            unread_folds: unread.is_some(),
        };
        if schema.folds > 20 || schema.unfolded_bits() > MOST_BITS {
            return Err(ClkSchemaError::at(
                "clkConfig.l",
                format!("filters of more than {MOST_BITS} bits are not made"),
            ));
        }
        Ok(schema)
    }

    pub(super) fn unfolded_bits(&self) -> usize {
        self.bits << self.folds
    }

    /// What the schema's author should know: what makes these CLKs easy to attack, and what is not read.
    pub fn remarks(&self) -> Vec<String> {
        let double = |field: &&Field| matches!(field.hash, HashKind::Double { .. });
        let double: Vec<&str> = self.fields.iter().flatten().filter(double).map(|field| field.name.as_str()).collect();
        let mut found = Vec::new();
        if !double.is_empty() {
            found.push(format!("doubleHash gives its pattern away; `blakeHash` does not: {}", double.join(", ")));
        }
        if self.unread_folds {
            found.push("`clkConfig.xorFolds` is not read, by clkhash neither; `xor_folds` is".into());
        }
        found
    }
}

/// A JSON object and where it stands.
struct Node<'j> {
    place: String,
    object: &'j Map<String, Value>,
}

impl<'j> Node<'j> {
    fn new(place: String, value: &'j Value) -> Read<Self> {
        let object = value.as_object().ok_or_else(|| ClkSchemaError::at(place.clone(), "must be an object"))?;
        Ok(Self { place, object })
    }

    fn root(value: &'j Value) -> Read<Self> {
        Self::new(String::new(), value)
    }

    fn at(&self, name: &str) -> String {
        if self.place.is_empty() { name.to_owned() } else { format!("{}.{name}", self.place) }
    }

    fn wrong<T>(&self, name: &str, wrong: impl Into<String>) -> Read<T> {
        Err(ClkSchemaError::at(self.at(name), wrong))
    }

    fn lacks(&self, name: &str) -> ClkSchemaError {
        ClkSchemaError::at(self.at(name), "is missing")
    }

    fn child(&self, name: &str) -> Read<Node<'j>> {
        Node::new(self.at(name), self.object.get(name).ok_or_else(|| self.lacks(name))?)
    }

    fn list(&self, name: &str) -> Read<Vec<Node<'j>>> {
        let list = self.object.get(name).ok_or_else(|| self.lacks(name))?;
        let Some(list) = list.as_array() else { return self.wrong(name, "must be a list") };
        let node = |(at, value)| Node::new(format!("{}[{at}]", self.at(name)), value);
        list.iter().enumerate().map(node).collect()
    }

    fn optional_text(&self, name: &str) -> Read<Option<String>> {
        match self.object.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => self.wrong(name, "must be text"),
        }
    }

    fn text(&self, name: &str) -> Read<String> {
        self.optional_text(name)?.ok_or_else(|| self.lacks(name))
    }

    fn flag(&self, name: &str) -> Read<Option<bool>> {
        match self.object.get(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(_) => self.wrong(name, "must be true or false"),
        }
    }

    fn number(&self, name: &str) -> Read<Option<f64>> {
        match self.object.get(name) {
            None => Ok(None),
            Some(value) => {
                value.as_f64().map_or_else(|| self.wrong(name, "must be a number"), |number| Ok(Some(number)))
            }
        }
    }

    /// A number without a fraction, `20.0` among them.
    fn integral(&self, name: &str) -> Read<Option<f64>> {
        let number = self.number(name)?;
        if number.is_some_and(|number| number.fract() != 0.0) {
            self.wrong(name, "must be an integer")
        } else {
            Ok(number)
        }
    }

    /// An integer of at least `least`, written as one.
    fn whole<T: TryFrom<u64>>(&self, name: &str, least: u64) -> Read<Option<T>> {
        let Some(value) = self.object.get(name) else { return Ok(None) };
        let whole = value.as_u64().filter(|whole| *whole >= least).and_then(|whole| T::try_from(whole).ok());
        whole.map_or_else(
            || self.wrong(name, format!("must be an integer of at least {least}")),
            |whole| Ok(Some(whole)),
        )
    }

    fn no_others(&self, known: &[&str]) -> Read<()> {
        let stray = self.object.keys().find(|name| !known.contains(&name.as_str()));
        stray.map_or(Ok(()), |stray| self.wrong(stray, format!("is not known here; known are {}", known.join(", "))))
    }
}

fn field(feature: &Node<'_>) -> Read<Option<Field>> {
    feature.optional_text("description")?;
    let ignored = feature.flag("ignored")? == Some(true);
    if ignored && !(feature.object.contains_key("format") && feature.object.contains_key("hashing")) {
        feature.no_others(&["identifier", "ignored", "description"])?;
        return Ok(None);
    }
    let (format, encoding) = format(&feature.child("format")?)?;
    let hashing = feature.child("hashing")?;
    hashing.no_others(&["comparison", "strategy", "hash", "missingValue"])?;
    let field = Field {
        name: feature.text("identifier")?,
        encoding,
        format,
        comparison: comparison(&hashing.child("comparison")?)?,
        strategy: strategy(&hashing.child("strategy")?)?,
        hash: hash(&hashing)?,
        missing: missing_value(&hashing)?,
    };
    Ok((!ignored).then_some(field))
}

fn format(format: &Node<'_>) -> Read<(Format, TextEncoding)> {
    format.optional_text("description")?;
    let kind = format.text("type")?;
    let mut encoding = TextEncoding::Utf8;
    let read = match kind.as_str() {
        "string" => {
            encoding = match format.optional_text("encoding")?.as_deref() {
                None | Some("utf-8") => TextEncoding::Utf8,
                Some("ascii") => TextEncoding::Ascii,
                Some("utf-16") => TextEncoding::Utf16,
                Some("utf-32") => TextEncoding::Utf32,
                Some(_) => return format.wrong("encoding", "must be ascii, utf-8, utf-16 or utf-32"),
            };
            text_format(format)?
        }
        "integer" => {
            format.no_others(&["type", "minimum", "maximum", "description"])?;
            let bound = |name: &str| Ok(format.integral(name)?.and_then(BigInt::from_f64));
            Format::Integer { minimum: bound("minimum")?, maximum: bound("maximum")? }
        }
        "date" => {
            format.no_others(&["type", "format", "description"])?;
            let date = DateFormat::parse(&format.text("format")?);
            Format::Date(date.or_else(|wrong| format.wrong("format", wrong))?)
        }
        "enum" => {
            format.no_others(&["type", "values", "description"])?;
            let values = format.object.get("values").and_then(Value::as_array);
            let values = values.map(|values| values.iter().map(|value| value.as_str().map(str::to_owned)).collect());
            let Some(Some(values)) = values else { return format.wrong("values", "must be a list of texts") };
            Format::Enum(values)
        }
        _ => return format.wrong("type", "must be string, integer, date or enum"),
    };
    Ok((read, encoding))
}

fn text_format(format: &Node<'_>) -> Read<Format> {
    if let Some(pattern) = format.optional_text("pattern")? {
        format.no_others(&["type", "encoding", "pattern", "description"])?;
        let pattern = super::pattern::whole(&pattern).map(|pattern| Format::Pattern(Box::new(pattern)));
        return pattern.map_or_else(|| format.wrong("pattern", "is not a regular expression that reads here"), Ok);
    }
    format.no_others(&["type", "encoding", "case", "minLength", "maxLength", "description"])?;
    let case = match format.optional_text("case")?.as_deref() {
        None | Some("mixed") => Case::Mixed,
        Some("upper") => Case::Upper,
        Some("lower") => Case::Lower,
        Some(_) => return format.wrong("case", "must be upper, lower or mixed"),
    };
    let length = |name: &str, least: f64| match format.integral(name)? {
        Some(length) if length < least => format.wrong(name, format!("must be at least {least}")),
        length => Ok(length),
    };
    Ok(Format::Text { case, min_length: length("minLength", 0.0)?, max_length: length("maxLength", 1.0)? })
}

fn comparison(comparison: &Node<'_>) -> Read<Comparison> {
    match comparison.text("type")?.as_str() {
        "exact" => Ok(Comparison::Exact),
        "ngram" => Ok(Comparison::Ngram {
            n: comparison.whole("n", 1)?.ok_or_else(|| comparison.lacks("n"))?,
            positional: comparison.flag("positional")?.unwrap_or(false),
        }),
        "numeric" => {
            let resolution = comparison.whole("resolution", 1)?.ok_or_else(|| comparison.lacks("resolution"))?;
            let fractional_precision: u32 = comparison.whole("fractional_precision", 0)?.unwrap_or(0);
            if fractional_precision > 300 {
                return comparison.wrong("fractional_precision", "must be at most 300");
            }
            let threshold =
                comparison.number("thresholdDistance")?.ok_or_else(|| comparison.lacks("thresholdDistance"))?;
            let interval = interval(comparison, threshold, fractional_precision)?;
            if threshold <= 0.0 || interval.is_zero() {
                return comparison.wrong("thresholdDistance", "must be positive, and not vanish at this precision");
            }
            Ok(Comparison::Numeric { interval, resolution, fractional_precision })
        }
        _ => comparison.wrong("type", "must be ngram, exact or numeric"),
    }
}

/// `round(threshold · 10^precision)`; an integer stays exact.
fn interval(comparison: &Node<'_>, threshold: f64, precision: u32) -> Read<BigInt> {
    if let Some(whole) = comparison.object.get("thresholdDistance").and_then(Value::as_u64) {
        return Ok(BigInt::from(whole) * BigInt::from(10).pow(precision));
    }
    let power = 10f64.powi(i32::try_from(precision).expect("checked: at most 300"));
    BigInt::from_f64((threshold * power).round_ties_even())
        .map_or_else(|| comparison.wrong("thresholdDistance", "is too large"), Ok)
}

fn strategy(strategy: &Node<'_>) -> Read<Strategy> {
    strategy.no_others(&["bitsPerToken", "bitsPerFeature"])?;
    let bits = |name: &str| match strategy.integral(name)? {
        Some(bits) if !(1.0..=1e6).contains(&bits) => strategy.wrong(name, "must be from 1 to 1000000"),
        bits => Ok(bits.map(|bits| bits as usize)),
    };
    match (bits("bitsPerToken")?, bits("bitsPerFeature")?) {
        (Some(bits), None) => Ok(Strategy::BitsPerToken(bits)),
        (None, Some(bits)) => Ok(Strategy::BitsPerFeature(bits)),
        _ => Err(ClkSchemaError::at(strategy.place.clone(), "must have one of bitsPerToken and bitsPerFeature")),
    }
}

fn hash(hashing: &Node<'_>) -> Read<HashKind> {
    if !hashing.object.contains_key("hash") {
        return Ok(HashKind::Blake);
    }
    let hash = hashing.child("hash")?;
    match (hash.text("type")?.as_str(), hash.object.get("prevent_singularity")) {
        ("blakeHash", None | Some(Value::Null)) => Ok(HashKind::Blake),
        ("blakeHash", Some(_)) => hash.wrong("prevent_singularity", "belongs to doubleHash"),
        ("doubleHash", _) => {
            Ok(HashKind::Double { prevent_singularity: hash.flag("prevent_singularity")?.unwrap_or(false) })
        }
        _ => hash.wrong("type", "must be blakeHash or doubleHash"),
    }
}

fn missing_value(hashing: &Node<'_>) -> Read<Option<MissingValue>> {
    if !hashing.object.contains_key("missingValue") {
        return Ok(None);
    }
    let missing = hashing.child("missingValue")?;
    Ok(Some(MissingValue { sentinel: missing.text("sentinel")?, replace_with: missing.optional_text("replaceWith")? }))
}

fn kdf(kdf: &Node<'_>) -> Read<Kdf> {
    if kdf.text("type")? != "HKDF" {
        return kdf.wrong("type", "must be HKDF");
    }
    let hash = match kdf.optional_text("hash")?.as_deref() {
        None | Some("SHA256") => KdfHash::Sha256,
        Some("SHA512") => KdfHash::Sha512,
        Some(_) => return kdf.wrong("hash", "must be SHA256 or SHA512"),
    };
    let bytes = |name: &str| match kdf.optional_text(name)? {
        None => Ok(None),
        Some(text) => lenient_base64(&text).map_or_else(|| kdf.wrong(name, "is not base64"), |bytes| Ok(Some(bytes))),
    };
    let key_size = kdf.whole("keySize", 1)?.unwrap_or(KEY_SIZE);
    if key_size > 255 * 64 {
        return kdf.wrong("keySize", "is more than HKDF gives");
    }
    Ok(Kdf { hash, salt: bytes("salt")?, info: bytes("info")?, key_size })
}

/// As Python's `b64decode`: characters outside the alphabet are passed over.
fn lenient_base64(text: &str) -> Option<Vec<u8>> {
    let kept: String = text.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=')).collect();
    let lenient = base64::engine::GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
    base64::engine::GeneralPurpose::new(&base64::alphabet::STANDARD, lenient).decode(kept).ok()
}

/// Features that are encoded, each with its place.
fn encoded_features(root: &mut Value) -> Read<impl Iterator<Item = (String, &mut Map<String, Value>)>> {
    let features = root.get_mut("features").and_then(Value::as_array_mut);
    let features = features.ok_or_else(|| ClkSchemaError::at("features", "must be a list"))?;
    let objects = features.iter_mut().enumerate().filter_map(|(at, feature)| {
        let feature = feature.as_object_mut()?;
        let ignored = feature.get("ignored") == Some(&Value::Bool(true));
        (!ignored).then(|| (format!("features[{at}]"), feature))
    });
    Ok(objects)
}

fn hashing_of<'h>(place: &str, feature: &'h mut Map<String, Value>) -> Read<&'h mut Map<String, Value>> {
    let hashing = feature.get_mut("hashing").and_then(Value::as_object_mut);
    hashing.ok_or_else(|| ClkSchemaError::at(place, "must be an object"))
}

/// Version 1 has one `k` and one hash for all features, and a weight for each.
fn to_version_2(mut root: Value) -> Read<Value> {
    let (k, hash) = {
        let config = Node::root(&root)?.child("clkConfig")?;
        let k: u64 = config.whole("k", 1)?.ok_or_else(|| config.lacks("k"))?;
        (k, Value::Object(config.child("hash")?.object.clone()))
    };
    for (place, feature) in encoded_features(&mut root)? {
        // its master schema is of JSON Schema draft 4, where 20.0 is no integer
        let format = feature.get("format").and_then(Value::as_object).into_iter().flatten();
        if let Some((name, _)) = format.clone().find(|(_, value)| value.is_f64()) {
            return Err(ClkSchemaError::at(format!("{place}.{name}"), "must be an integer, written as one"));
        }
        let hashing = hashing_of(&format!("{place}.hashing"), feature)?;
        let weight = match hashing.remove("weight") {
            None => 1.0,
            Some(weight) => weight.as_f64().filter(|weight| *weight >= 0.0).ok_or_else(|| {
                ClkSchemaError::at(format!("{place}.hashing.weight"), "must be a number of at least 0")
            })?,
        };
        if weight == 0.0 {
            // what is about to be ignored must be in order all the same
            self::format(&Node::new(place.clone(), &Value::Object(feature.clone()))?.child("format")?)?;
            feature.retain(|name, _| name == "identifier");
            feature.insert("ignored".into(), Value::Bool(true));
            continue;
        }
        hashing.insert("strategy".into(), json!({ "k": (weight * k as f64).round_ties_even() }));
        hashing.insert("hash".into(), hash.clone());
    }
    Ok(root)
}

/// Version 2 says `k`, `numBits`, `ngram` and `positional` where version 3 has strategies and comparisons.
fn to_version_3(mut root: Value) -> Read<Value> {
    for (place, feature) in encoded_features(&mut root)? {
        let place = format!("{place}.hashing");
        let hashing = hashing_of(&place, feature)?;
        let n = hashing.remove("ngram").ok_or_else(|| ClkSchemaError::at(format!("{place}.ngram"), "is missing"))?;
        let positional = hashing.remove("positional").unwrap_or(Value::Bool(false));
        hashing.insert("comparison".into(), json!({ "type": "ngram", "n": n, "positional": positional }));
        let strategy = hashing.get_mut("strategy").and_then(Value::as_object_mut);
        let strategy = strategy.ok_or_else(|| ClkSchemaError::at(format!("{place}.strategy"), "must be an object"))?;
        for (old, new) in [("k", "bitsPerToken"), ("numBits", "bitsPerFeature")] {
            if let Some(bits) = strategy.remove(old) {
                strategy.insert(new.into(), bits);
            }
        }
    }
    Ok(root)
}
