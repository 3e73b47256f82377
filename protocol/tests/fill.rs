//! SPEC 6.1: the mean fill of every filter of `person` is .35 to .40 on FEBRL data set 4.
#![cfg(feature = "encode")]

use hedui_protocol::filter::Diffuser;
use hedui_protocol::ids::ManifestId;
use hedui_protocol::keys::LinkageKey;
use hedui_protocol::passes::Normaliser;
use hedui_protocol::schema::Schema;

/// Mean fill of each filter that any row has grams for.
fn fills(schema: &Schema) -> Vec<(String, f64)> {
    let data = include_str!("../../tests/data/febrl4/a.csv");
    let mut lines = data.lines();
    let header: Vec<&str> = lines.next().unwrap().split(',').collect();
    let position = |name: &str| header.iter().position(|column| *column == name);
    let positions: Vec<Option<usize>> = schema.fields.iter().map(|field| position(&field.name)).collect();
    let normaliser = Normaliser::new(schema);
    let rows: Vec<_> = lines
        .take(1000)
        .map(|line| {
            let cells: Vec<&str> = line.split(',').collect();
            normaliser.row(&positions.iter().map(|at| at.map_or("", |at| cells[at])).collect::<Vec<_>>())
        })
        .collect();
    let project = LinkageKey::new(&(0..32).collect::<Vec<u8>>()).unwrap().for_project(ManifestId([1; 32]));
    let key = project.record_secret("fill").filter_key("bank", "fill");
    let mean = |(number, filter): (usize, &hedui_protocol::schema::Filter)| {
        let diffuser = Diffuser::new(filter, project.filter_map(&filter.name, "bank"));
        let grams = rows.iter().map(|row| &row.grams[number]).filter(|grams| !grams.is_empty());
        let fills: Vec<f64> = grams.map(|grams| diffuser.fill(&key, grams)).collect();
        (!fills.is_empty()).then(|| (filter.name.clone(), fills.iter().sum::<f64>() / fills.len() as f64))
    };
    schema.filters.iter().enumerate().filter_map(mean).collect()
}

#[test]
fn filters_are_filled_as_the_specification_says() {
    let person = Schema::parse(Schema::preset("person").unwrap()).unwrap();
    let all = [fills(&person), fills(&person.for_record_profile())].concat();
    assert!(all.len() >= 7, "six filters in cohorts and the record's own");
    for (filter, fill) in all {
        assert!((0.35..=0.40).contains(&fill), "{filter}: {fill:.3}");
    }
}
