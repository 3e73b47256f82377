//! CLKs against those of clkhash 0.18.3, and schemas that it refuses.
#![cfg(feature = "clk")]

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hedui_protocol::clk::{ClkEncoder, ClkSchema};

fn read(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/clk").join(name)).unwrap()
}

/// The vectors' rows have quotes only around whole cells.
fn cells(line: &str) -> Vec<&str> {
    let (mut cells, mut start, mut quoted) = (Vec::new(), 0, false);
    for (at, c) in line.char_indices().chain([(line.len(), ',')]) {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => {
                cells.push(line[start..at].trim_matches('"'));
                start = at + 1;
            }
            _ => {}
        }
    }
    cells
}

#[track_caller]
fn golden(name: &str, secret: &str) {
    let schema = ClkSchema::parse(read(&format!("{name}.schema.json")).as_bytes()).unwrap();
    let encoder = ClkEncoder::new(&schema, secret.as_bytes()).unwrap();
    let csv = read(&format!("{name}.csv"));
    let mut lines = csv.lines();
    assert_eq!(cells(lines.next().unwrap()), schema.columns);
    let mut cache = encoder.cache();
    let mut bytes = Vec::new();
    lines.for_each(|line| encoder.encode(&cells(line), &mut cache, &mut bytes).unwrap());
    let clks: Vec<String> =
        bytes.chunks(schema.bits.div_ceil(8)).map(|clk| format!("\"{}\"", BASE64.encode(clk))).collect();
    assert_eq!(format!("{{\"clks\": [{}]}}", clks.join(", ")), read(&format!("{name}.clks.json")));
}

#[test]
fn golden_clks_of_clkhash_come_out_byte_for_byte() {
    golden("febrl-blake", "horse staple");
    golden("febrl-double", "horse staple");
    golden("febrl-fold", "密钥 secret");
    golden("mixed-v3", "secret");
}

/// A schema of one feature, changed at one place.
#[track_caller]
fn refuses(place: &str, value: serde_json::Value, words: &str) {
    let mut schema = serde_json::json!({
        "version": 3,
        "clkConfig": { "l": 1024, "kdf": { "type": "HKDF" } },
        "features": [{
            "identifier": "name",
            "format": { "type": "string" },
            "hashing": { "comparison": { "type": "ngram", "n": 2 }, "strategy": { "bitsPerToken": 10 } },
        }],
    });
    let make = |schema: &serde_json::Value| {
        ClkSchema::parse(schema.to_string().as_bytes()).and_then(|schema| ClkEncoder::new(&schema, b"secret"))
    };
    assert!(make(&schema).is_ok());
    let (parent, name) = place.rsplit_once('/').unwrap();
    schema.pointer_mut(parent).unwrap()[name] = value;
    let said = make(&schema).err().map(|e| e.to_string()).unwrap_or_default();
    assert!(said.contains(words), "{place}: `{said}`");
}

#[test]
fn what_clkhash_refuses_is_refused_with_the_place() {
    let (hashing, format) = ("/features/0/hashing", "/features/0/format");
    refuses("/version", 4.into(), "version: must be 1, 2 or 3");
    refuses("/clkConfig/l", 0.into(), "clkConfig.l: must be an integer of at least 1");
    refuses("/clkConfig/l", 1000.into(), "clkConfig.l: must be a power of two");
    refuses("/clkConfig/l", serde_json::json!("1024"), "clkConfig.l: must be an integer");
    refuses("/clkConfig/kdf/type", "scrypt".into(), "clkConfig.kdf.type: must be HKDF");
    refuses("/clkConfig/kdf/keySize", 65.into(), "keySize: must be at most 64");
    refuses("/clkConfig/kdf/salt", "a".into(), "salt: is not base64");
    refuses(&format!("{hashing}/strategy/bitsPerFeature"), 10.into(), "must have one of");
    refuses(&format!("{hashing}/strategy/bitsPerToken"), 0.into(), "must be from 1");
    refuses(&format!("{hashing}/comparison/type"), "sound".into(), "must be ngram, exact or numeric");
    refuses(&format!("{hashing}/comparison/n"), 0.into(), "comparison.n: must be an integer of at least 1");
    refuses(&format!("{hashing}/weight"), 1.into(), "features[0].hashing.weight: is not known here");
    refuses(&format!("{hashing}/hash"), serde_json::json!({ "type": "md5" }), "must be blakeHash or doubleHash");
    let singular = serde_json::json!({ "type": "blakeHash", "prevent_singularity": true });
    refuses(&format!("{hashing}/hash"), singular, "belongs to doubleHash");
    let vanishing = serde_json::json!({ "type": "numeric", "thresholdDistance": 0.001, "resolution": 1 });
    refuses(&format!("{hashing}/comparison"), vanishing, "not vanish");
    refuses(&format!("{format}/type"), "text".into(), "features[0].format.type: must be string");
    refuses(&format!("{format}/case"), "title".into(), "must be upper, lower or mixed");
    refuses(&format!("{format}/pattern"), "(".into(), "is not a regular expression");
    refuses(&format!("{format}/encoding"), "latin-1".into(), "must be ascii");
}

#[test]
fn a_feature_of_weight_nothing_must_still_be_in_order() {
    let schema = |format: &str| {
        format!(
            r#"{{"version": 1, "clkConfig": {{"l": 64, "k": 1, "kdf": {{"type": "HKDF"}}, "hash": {{"type": "blakeHash"}}}},
            "features": [{{"identifier": "a", "format": {format}, "hashing": {{"ngram": 2, "weight": 0}}}}]}}"#
        )
    };
    assert!(ClkSchema::parse(schema(r#"{"type": "string"}"#).as_bytes()).is_ok());
    let said = ClkSchema::parse(schema(r#"{"type": "string", "more": 1}"#).as_bytes()).unwrap_err().to_string();
    assert!(said.starts_with("features[0].format.more: is not known here"), "{said}");
}

#[test]
fn a_refused_row_leaves_nothing_in_the_next() {
    let feature = |name: &str| {
        serde_json::json!({
            "identifier": name,
            "format": { "type": "string", "encoding": "ascii" },
            "hashing": { "comparison": { "type": "ngram", "n": 2 }, "strategy": { "bitsPerToken": 10 } },
        })
    };
    let features = [feature("given name"), feature("surname")];
    let schema = serde_json::json!({
        "version": 3, "clkConfig": { "l": 1024, "kdf": { "type": "HKDF" } }, "features": features,
    });
    let schema = ClkSchema::parse(schema.to_string().as_bytes()).unwrap();
    let encoder = ClkEncoder::new(&schema, b"secret").unwrap();
    let (mut cache, mut clks) = (encoder.cache(), Vec::new());
    assert!(encoder.encode(&["anna", "müller"], &mut cache, &mut clks).is_err());
    assert!(clks.is_empty());
    encoder.encode(&["bob", "miller"], &mut cache, &mut clks).unwrap();
    encoder.encode(&["bob", "miller"], &mut encoder.cache(), &mut clks).unwrap();
    assert_eq!(clks[..128], clks[128..]);
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_a_schema_or_refused(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
        let _ = ClkSchema::parse(&bytes);
    }

    #[test]
    fn a_preset_with_any_change_reads_or_is_refused(at in 0usize..3800, with in "[ -~]{0,3}") {
        let text = read("febrl-blake.schema.json");
        let _ = ClkSchema::parse(format!("{}{with}{}", &text[..at.min(text.len())], &text[at.min(text.len())..]).as_bytes());
    }

    #[test]
    fn any_cell_is_encoded_or_refused_without_being_shown(cell in "\\PC{0,12}") {
        let schema = ClkSchema::parse(read("mixed-v3.schema.json").as_bytes()).unwrap();
        let encoder = ClkEncoder::new(&schema, b"secret").unwrap();
        let cells: Vec<&str> = schema.columns.iter().map(|_| cell.as_str()).collect();
        if let Err(refused) = encoder.encode(&cells, &mut encoder.cache(), &mut Vec::new()) {
            let said = refused.to_string();
            proptest::prop_assert!(cell.chars().count() < 6 || !said.contains(&cell), "{said}");
        }
    }
}
