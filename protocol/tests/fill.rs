//! SPEC 6.1: the mean fill of every filter is .35 to .40: of `person` on FEBRL data set 4, of `resident-cn` on made-up rows.
#![cfg(feature = "encode")]

use hedui_protocol::filter::Diffuser;
use hedui_protocol::ids::ManifestId;
use hedui_protocol::keys::LinkageKey;
use hedui_protocol::passes::Normaliser;
use hedui_protocol::schema::Schema;

/// Mean fill of each filter that any row has grams for.
fn fills(schema: &Schema, data: &str) -> Vec<(String, f64)> {
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
    let febrl = include_str!("../../tests/data/febrl4/a.csv");
    let person = Schema::parse(Schema::preset("person").unwrap()).unwrap();
    let all = [fills(&person, febrl), fills(&person.for_record_profile(), febrl)].concat();
    assert!(all.len() >= 7, "six filters in cohorts and the record's own");
    for (filter, fill) in all {
        assert!((0.35..=0.40).contains(&fill), "{filter}: {fill:.4} !");
    }
}

#[test]
fn the_record_filter_of_residents_is_filled_as_the_specification_says() {
    let rows = "name,id_no,dob,sex,phone,address
王伟,990101194912310021,1949-12-31,男,13800000001,上海市松江区邯郸路34号502室
李小雷,990101196804062911,1968-04-06,男,13800000002,长河路1号
欧阳若曦,990101198503120429,1985-03-12,女,,云南省昭通市彝良县角奎镇12号
张丽娜,990101197701150046,1977-01-15,女,13900000004,
";
    let residents = Schema::parse(Schema::preset("resident-cn").unwrap()).unwrap().for_record_profile();
    let fills = fills(&residents, rows);
    assert!(matches!(fills[..], [(_, 0.35..=0.40)]), "{fills:?}");
}
