//! The profile `clk` of the service: only where the manifest says the word, and clkhash's own bytes.
#![cfg(feature = "encode")]

use hedui_protocol::clk::{ClkEncoder, ClkSchema};
use hedui_protocol::ids::ManifestId;
use hedui_protocol::keys::LinkageKey;
use hedui_protocol::manifest::{Manifest, ManifestError, Terms};
use hedui_protocol::row_encoder::RowEncoder;
use hedui_protocol::schema::{Profile, Schema, SchemaError};

const BLAKE: &str = include_str!("../vectors/clk/febrl-blake.schema.json");
const DOUBLE: &str = include_str!("../vectors/clk/febrl-double.schema.json");
const MIXED: &str = include_str!("../vectors/clk/mixed-v3.schema.json");

fn around(linkage_schema: &str) -> Schema {
    Schema::around_linkage_schema("test", linkage_schema, 0.85, 0.80).unwrap()
}

/// A manifest of this schema as its parties would read it.
fn manifest(schema: Schema, dangerously_plain: bool) -> Result<Manifest, ManifestError> {
    let terms = Terms {
        log_key: None,
        protocol: 1,
        project: "p".into(),
        purpose: "p".into(),
        epoch: "e".into(),
        linkage_key_check: LinkageKey::new(&(0..32).collect::<Vec<u8>>()).unwrap().check(),
        programmes: vec!["dibao".into()],
        dangerously_plain,
        limits: Default::default(),
        agencies: vec![],
        offices: vec![],
        schema,
    };
    Manifest::parse(toml::to_string(&terms).unwrap().as_bytes())
}

#[test]
fn a_manifest_with_plain_clks_says_so_or_is_refused() {
    for linkage_schema in [BLAKE, DOUBLE] {
        let refused = manifest(around(linkage_schema), false).unwrap_err();
        assert!(matches!(refused, ManifestError::Plain), "{refused}");
        assert!(refused.to_string().contains("must say `dangerously_plain = true`"), "{refused}");
        assert_eq!(manifest(around(linkage_schema), true).unwrap().schema.profile, Profile::Clk);
    }
}

#[test]
fn the_word_is_refused_where_nothing_is_plain() {
    let person = Schema::parse(Schema::preset("person").unwrap()).unwrap();
    for schema in [person.for_record_profile(), person] {
        let refused = manifest(schema.clone(), true).unwrap_err();
        assert!(matches!(refused, ManifestError::PlainForNothing), "{refused}");
        assert!(manifest(schema, false).is_ok());
    }
}

#[test]
fn what_attacks_read_is_said() {
    let said = |linkage_schema| around(linkage_schema).remarks().join("\n");
    assert!(said(BLAKE).starts_with("plain CLKs") && !said(BLAKE).contains("doubleHash"), "{}", said(BLAKE));
    assert!(said(DOUBLE).contains("doubleHash gives its pattern away"), "{}", said(DOUBLE));
    assert!(Schema::parse(Schema::preset("person").unwrap()).unwrap().remarks().is_empty());
}

#[track_caller]
fn refuses(change: impl Fn(&mut Schema), words: &str) {
    let mut schema = around(BLAKE);
    change(&mut schema);
    let error = schema.validate().unwrap_err().to_string();
    assert!(error.contains(words), "{error}");
}

#[test]
fn filter_and_fields_are_those_of_the_linkage_schema() {
    refuses(|s| s.clk = None, "the table `clk` belongs to the profile `clk`, which needs one");
    refuses(|s| s.clk.as_mut().unwrap().schema.push('}'), "the linkage schema: line ");
    refuses(|s| s.filters[0].bits = 2048, "has 2048 bits, the linkage schema's CLKs have 1024");
    refuses(|s| s.filters[0].bits = 1000, "must have a multiple of 64 bits");
    refuses(|s| s.filters[0].bits = 16_448, "must have a multiple of 64 bits, at most 16384");
    refuses(|s| s.filters[0].t = 8, "it has no cohort, fields, k or t");
    refuses(|s| s.filters[0].bands.reverse(), "ascending order");
    refuses(|s| s.filters[0].bands[0].weight = f64::NEG_INFINITY, "no number");
    refuses(|s| drop(s.filters.pop()), "takes exactly one filter");
    refuses(|s| s.normalisation = "norm-v1".into(), "`none` for the profile `clk`");
    refuses(|s| drop(s.fields.pop()), "encodes 10 features, but there are 9 fields");
    refuses(|s| s.fields.swap(0, 1), "`surname` stands where the linkage schema encodes `given_name`");
    refuses(|s| s.fields[0].kind = hedui_protocol::schema::Kind::Words, "must be `verbatim` in the profile `clk`");
}

#[test]
fn a_field_may_have_another_name_than_its_feature() {
    let mut schema = around(BLAKE);
    schema.fields[0].name = "name".into();
    schema.fields[0].columns = vec!["given_name".into()];
    schema.validate().unwrap();
    assert_eq!(Schema::parse(&toml::to_string(&schema).unwrap()).unwrap(), schema);
}

#[test]
fn clks_of_any_multiple_of_64_bits_up_to_16384_are_taken() {
    let linkage_schema = |bits: u32| {
        format!(
            r#"{{"version": 3, "clkConfig": {{"l": {bits}, "kdf": {{"type": "HKDF"}}}}, "features": [{{"identifier": "a",
            "format": {{"type": "string"}}, "hashing": {{"comparison": {{"type": "ngram", "n": 2}},
            "strategy": {{"bitsPerToken": 5}}, "hash": {{"type": "doubleHash"}}}}}}]}}"#
        )
    };
    let key = LinkageKey::new(&(0..32).collect::<Vec<u8>>()).unwrap();
    for bits in [64, 192, 1024, 16_384] {
        let manifest = manifest(around(&linkage_schema(bits)), true).unwrap();
        assert_eq!(manifest.shape().filter_bytes, [bits as usize / 8]);
        let encoder = RowEncoder::new(&key, manifest.id(), &manifest.schema, "bank");
        assert_eq!(encoder.encode(&["x"]).unwrap().encodings.filters[0].1.len(), bits as usize / 8);
    }
    for bits in [100, 16_448, 65_536] {
        let refused = Schema::around_linkage_schema("x", &linkage_schema(bits), 0.85, 0.80).unwrap_err();
        assert!(matches!(refused, SchemaError::Entry { .. } | SchemaError::Linkage(_)), "{bits}: {refused}");
    }
}

/// A user of clkhash who is handed the secret makes the same bytes.
#[test]
fn the_services_clks_are_those_of_clk_encode_under_the_derived_secret() {
    let key = LinkageKey::new(&(0..32).collect::<Vec<u8>>()).unwrap();
    let manifest = ManifestId([7; 32]);
    let cells = ["M", "ANNA", "01/04/1983", "1955", "55.5", "F", "note"];
    let linkage = ClkSchema::parse(MIXED.as_bytes()).unwrap();
    let schema = around(MIXED);
    let own = |agency: &str| {
        let taken = schema.fields.iter().map(|field| {
            let at = linkage.columns.iter().position(|column| *column == field.name).unwrap();
            cells[at]
        });
        let encoder = RowEncoder::new(&key, manifest, &schema, agency);
        encoder.encode(&taken.collect::<Vec<_>>()).map(|encoded| encoded.encodings.filters[0].1.clone())
    };
    let theirs = |agency: &str| {
        let secret = key.for_project(manifest).clk_secret(agency);
        let encoder = ClkEncoder::new(&linkage, secret.dangerously_reveal().as_bytes()).unwrap();
        let mut clk = Vec::new();
        encoder.encode(&cells, &mut encoder.cache(), &mut clk).map(|()| clk)
    };
    assert_eq!(own("bank"), theirs("bank"));
    assert_ne!(own("bank"), own("tax"), "one person's CLKs at two agencies have nothing in common");
    assert!(own("bank").is_ok());
}

#[test]
fn a_row_that_clkhash_refuses_is_refused_by_column_and_rule() {
    let schema = around(MIXED);
    let key = LinkageKey::new(&(0..32).collect::<Vec<u8>>()).unwrap();
    let encoder = RowEncoder::new(&key, ManifestId([7; 32]), &schema, "bank");
    let cells = vec!["☠"; schema.fields.len()];
    let refused = encoder.encode(&cells).err().unwrap();
    assert!(schema.fields.iter().any(|field| field.name == refused.column), "{refused}");
    assert!(!refused.to_string().contains('☠'), "never the value");
    assert_eq!(encoder.check(&cells), Err(refused));
}
