//! The engines against their definition: every pair, judged one by one.

use hedui_protocol::decision::Seen;
use hedui_protocol::encodings::Token;
use hedui_protocol::schema::FilterBand;
use proptest::prelude::*;

use super::*;

const SCHEMA: &str = r#"
name = "test"
normalisation = "norm-v1"
profile = "cohort"
decision = { bias = -3.0, possible = 0.0, probable = 2.0 }
field = [{ name = "id", kind = "digits" }, { name = "name", kind = "words" }]
[[pass]]
name = "id"
of = ["id.number"]
identifies = "exact"
equal = 4.0
unequal = -2.0
[[pass]]
name = "alias"
of = ["id.last-4"]
identifies = "repaired"
equal = 3.5
unequal = -0.5
[[pass]]
name = "name"
of = ["name.text"]
equal = 3.0
unequal = -1.0
[[filter]]
name = "name-in-id"
cohort = "id"
fields = ["name"]
bits = 1024
k = 20
t = 8
bands = [{ at-most = 0.4, weight = 1.0 }]
beyond = -3.0
"#;

fn schema() -> Schema {
    Schema::parse(SCHEMA).unwrap()
}

fn shape() -> Shape {
    Shape { passes: 3, filter_bytes: vec![128] }
}

fn person(tokens: &[(u8, u8)], filter: Option<u8>) -> Encodings {
    let mut tokens: Vec<_> = tokens.iter().map(|(pass, value)| (*pass, Token([*value; 16]))).collect();
    tokens.sort();
    tokens.dedup();
    Encodings { tokens, filters: filter.map(|byte| (0, vec![byte; 128])).into_iter().collect() }
}

fn people() -> impl Strategy<Value = Vec<Encodings>> {
    let tokens = proptest::collection::vec((0u8..3, 0u8..4), 0..5);
    let one = (tokens, proptest::option::of(0u8..3)).prop_map(|(tokens, filter)| person(&tokens, filter));
    proptest::collection::vec(one, 0..20)
}

/// A pair, judged by all that both sides hold.
fn judge(schema: &Schema, probe: &Encodings, record: &Encodings, row: u32) -> Option<Match> {
    let join::Evidence { passes, distances } = join::Evidence::of(schema, probe, record);
    let score = schema.score(&passes, &distances);
    let band = schema.band(score, &passes)?;
    let agrees = |pass: &u8| passes[usize::from(*pass)] == Seen::Equal;
    // the schema's identifying passes, the exact one first
    let via = [0, 1].into_iter().find(agrees).map(|pass| {
        let token = record.tokens.iter().position(|own| own.0 == pass && probe.tokens.contains(own)).unwrap();
        Via { pass, token: token as u8 }
    });
    Some(Match { row, score, band, via })
}

proptest! {
    #[test]
    fn the_join_finds_what_judging_every_pair_finds(records in people(), probes in people()) {
        let (schema, shape) = (schema(), shape());
        let index = Index::of_encodings(records.iter()).unwrap();
        let matcher = Matcher::new(&index, &schema, shape);
        let together = matcher.matches_of_all(&probes.iter().collect::<Vec<_>>());
        for (probe, together) in probes.iter().zip(together) {
            // a pair without a common token has at most the bias: below the threshold by the schema's own numbers
            let all: Vec<Match> =
                records.iter().zip(0u32..).filter_map(|(record, row)| judge(&schema, probe, record, row)).collect();
            let mut found = matcher.matches(probe);
            prop_assert_eq!(&found, &together, "one by one and all together");
            found.sort_by_key(|found| found.row);
            prop_assert_eq!(found, all);
        }
    }
}

#[test]
fn the_surest_comes_first_and_says_by_which_token() {
    let records = [
        person(&[(2, 1), (1, 3)], None),
        person(&[(0, 9), (1, 5), (1, 7), (2, 1)], Some(1)),
        person(&[(0, 9), (2, 2)], Some(1)),
    ];
    let (schema, index) = (schema(), Index::of_encodings(records.iter()).unwrap());
    let matcher = Matcher::new(&index, &schema, shape());
    let found = matcher.matches(&person(&[(0, 9), (1, 7), (2, 1)], Some(1)));
    let told: Vec<_> = found.iter().map(|found| (found.row, found.band, found.via)).collect();
    let exact = Some(Via { pass: 0, token: 0 });
    assert_eq!(told, [(1, Band::Exact, exact), (2, Band::Possible, exact)]);

    let found = matcher.matches(&person(&[(1, 7), (2, 1)], None));
    assert_eq!((found[0].row, found[0].band, found[0].via), (1, Band::Repaired, Some(Via { pass: 1, token: 2 })));
}

#[test]
fn filters_of_two_cohorts_say_nothing() {
    let records = [person(&[(0, 1), (2, 5)], Some(0xff))];
    let (schema, index) = (schema(), Index::of_encodings(records.iter()).unwrap());
    let matcher = Matcher::new(&index, &schema, shape());
    let same = matcher.matches(&person(&[(0, 1), (2, 5)], Some(0xff)));
    let far = matcher.matches(&person(&[(0, 1), (2, 5)], Some(0x00)));
    assert_eq!((same[0].score, far[0].score), (5.0, 1.0));
    assert!(matcher.matches(&person(&[(0, 2), (2, 5)], Some(0xff))).is_empty(), "-3 - 2 + 3, no filter");
}

#[test]
fn the_record_profile_compares_all() {
    let mut schema = schema().for_record_profile();
    schema.filters[0].bits = 1024;
    let near = |flipped: usize| {
        let mut person = person(&[], Some(0));
        person.filters[0].1[..flipped].fill(0xff);
        person
    };
    let records = [near(0), near(50), near(64), person(&[], None)];
    let index = Index::of_encodings(records.iter()).unwrap();
    let shape = Shape { passes: 0, filter_bytes: vec![128] };
    let rows: Vec<u32> = Matcher::new(&index, &schema, shape).matches(&near(0)).iter().map(|found| found.row).collect();
    assert_eq!(rows, [0, 1], "0 and 400 of 1024 bits; 512 is a stranger");
}

#[test]
fn plain_clks_are_compared_by_the_bits_that_they_set() {
    let mut schema = schema().for_record_profile();
    let band = |at_most, weight| FilterBand { at_most, weight };
    (schema.profile, schema.filters[0].bands) = (Profile::Clk, vec![band(0.15, 8.0), band(0.2, 4.0)]);
    for bits in [64u16, 192, 16_384] {
        let clk = |ones: std::ops::Range<usize>| {
            let mut bytes = vec![0u8; usize::from(bits) / 8];
            ones.for_each(|at| bytes[at / 8] |= 1 << (at % 8));
            Encodings { tokens: vec![], filters: vec![(0, bytes)] }
        };
        let records = [clk(0..20), clk(3..23), clk(4..24), clk(5..25), clk(0..0), clk(40..60)];
        let index = Index::of_encodings(records.iter()).unwrap();
        let shape = Shape { passes: 0, filter_bytes: vec![usize::from(bits) / 8] };
        let matcher = Matcher::new(&index, &schema, shape);
        let found = |probe: &Encodings| matcher.matches(probe).iter().map(|f| (f.row, f.band)).collect::<Vec<_>>();
        let near = [(0, Band::Probable), (1, Band::Probable), (2, Band::Possible)];
        assert_eq!(found(&clk(0..20)), near, "Dice 1, .85 and .8; .75 is too far");
        assert_eq!(found(&clk(0..0)), [], "two empty CLKs do not agree");
    }
}
