//! What a row costs: normalise, encode, seal; and what a lookup costs.
//!
//! `cargo bench` prints times a row; rows a second a core are their inverse.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hedui::matching::Matcher;
use hedui::matching::index::Index;
use hedui::synth::City;
use hedui_protocol::clk::{Cache, ClkEncoder, ClkSchema};
use hedui_protocol::encoder::Encoder;
use hedui_protocol::encodings::{Encodings, Shape};
use hedui_protocol::ids::{ManifestId, RecordId};
use hedui_protocol::keys::LinkageKey;
use hedui_protocol::manifest::Manifest;
use hedui_protocol::open::OpeningKey;
use hedui_protocol::schema::Schema;
use hedui_protocol::seal::PartSealer;
use hedui_protocol::sign::SigningKey;

const ROWS: usize = 1000;

/// One cell a field: the city's files have no former numbers and names.
fn cells(row: &[String; 6]) -> Vec<&str> {
    row.iter().map(String::as_str).chain([""; 2]).collect()
}

/// Rows of a synthetic city's bank, with the errors that its clerks make.
fn rows() -> Vec<[String; 6]> {
    let folder = tempfile::tempdir().expect("a folder can be made");
    City { people: 5000, seed: 1 }.write(folder.path(), &mut |_, _| true).expect("the city can be written");
    let mut bank = csv::Reader::from_path(folder.path().join("bank.csv")).expect("written just now");
    let columns = bank.headers().expect("it has a header").clone();
    let at = |name: &str| columns.iter().position(|column| column == name).expect("a bank's column");
    let wanted = ["name", "id_no", "dob", "sex", "phone", "address"].map(at);
    let rows = bank.records().map(|row| row.expect("a row")).take(ROWS);
    let rows: Vec<_> = rows.map(|row| wanted.map(|at| row[at].to_owned())).collect();
    assert_eq!(rows.len(), ROWS);
    rows
}

fn key() -> LinkageKey {
    LinkageKey::new(&(0..32).collect::<Vec<u8>>()).expect("32 different bytes are a key")
}

fn manifest(levels: &str) -> Manifest {
    let schema = Schema::preset("resident-cn").expect("shipped");
    let mut schema: toml::Table = toml::from_str(schema).expect("shipped schemas are TOML");
    let signing = SigningKey::from_seed(&[1; 32]).public();
    let opening = OpeningKey::new(&(1..33).collect::<Vec<u8>>()).expect("a key").public();
    let head = format!(
        "protocol = 1\nproject = \"bench\"\npurpose = \"bench\"\nepoch = \"e\"\nlinkage_key_check = \"{}\"\nprogrammes = [\"p\"]\n\
         [[agency]]\nname = \"bank\"\norganisation = \"bank\"\nsigning_key = \"{signing}\"\nrelease = \"deposit\"\n\
         [[agency.item]]\nname = \"deposits\"\ntitle = \"d\"\ntitle_zh = \"d\"\nlevels = [{levels}]\ncolumns = [\"balance\"]\n\
         measure = \"balance\"\nlimit = 1.0\nbucket = 128\n\
         [[office]]\nname = \"office\"\norganisation = \"office\"\nsigning_key = \"{signing}\"\nopening_key = \"{opening}\"\ndeposits = true\n",
        key().check()
    );
    let mut terms: toml::Table = toml::from_str(&head).expect("written above");
    terms.insert("schema".into(), toml::Value::Table(std::mem::take(&mut schema)));
    Manifest::parse(toml::to_string(&terms).expect("a table is TOML").as_bytes()).expect("a manifest")
}

fn encode(c: &mut Criterion) {
    let manifest = manifest("\"L3\"");
    let encoder = Encoder::new(&key(), manifest.id(), &manifest.schema, "bank");
    let rows = rows();
    let cells = |row: &[String; 6]| encoder.normalise(&cells(row));
    let normalised: Vec<_> = rows.iter().map(cells).collect();
    let mut group = c.benchmark_group("resident-cn, 1000 rows");
    group.throughput(Throughput::Elements(ROWS as u64)).sample_size(20);
    group.bench_function("normalise", |b| b.iter(|| rows.iter().map(|row| cells(row).states.len()).sum::<usize>()));
    group.bench_function("tokens", |b| {
        b.iter(|| normalised.iter().map(|row| encoder.encode(row).encodings.tokens.len()).sum::<usize>());
    });
    for (name, levels, payloads) in [
        ("one level", "\"L3\"", vec![vec![b'x'; 100]]),
        ("two levels", "\"L1\", \"L3\"", vec![vec![b'x'; 60], vec![b'x'; 100]]),
    ] {
        let manifest = self::manifest(levels);
        let sealer = PartSealer::new(&manifest, manifest.agency("bank").expect("above")).expect("the key is one");
        let seal = |encoded: &hedui_protocol::encoder::Encoded| {
            sealer.record(RecordId([1; 16]), &encoded.wrap_keys, &payloads).expect("payloads fit").1.len()
        };
        let encoded: Vec<_> = normalised.iter().map(|row| encoder.encode(row)).collect();
        group.bench_function(format!("seal {name}"), |b| b.iter(|| encoded.iter().map(seal).sum::<usize>()));
        group.bench_function(format!("whole row, sealed, {name}"), |b| {
            b.iter(|| rows.iter().map(|row| seal(&encoder.encode(&cells(row)))).sum::<usize>());
        });
    }
    group.finish();
}

/// FEBRL rows, a cell a column: no cell of them has quotes.
fn febrl() -> Vec<Vec<&'static str>> {
    let csv = include_str!("../protocol/vectors/clk/febrl-blake.csv");
    csv.lines().skip(1).map(|line| line.split(',').collect()).collect()
}

/// Whole rows of Western people in each profile: what is read, hashed, diffused.
fn western(c: &mut Criterion) {
    let rows = febrl();
    let person = Schema::parse(Schema::preset("person").expect("shipped")).expect("shipped");
    let mut group = c.benchmark_group("FEBRL, 200 rows");
    group.throughput(Throughput::Elements(rows.len() as u64)).sample_size(20);
    for (name, schema) in
        [("cohort: tokens and eight filters", &person), ("record: one filter", &person.for_record_profile())]
    {
        let encoder = Encoder::new(&key(), ManifestId([1; 32]), schema, "bank");
        // the schema's fields are the file's columns after the id, and some that it lacks
        let cells = |row: &Vec<&'static str>| {
            row[1..].iter().copied().chain(std::iter::repeat("")).take(schema.fields.len()).collect::<Vec<_>>()
        };
        let encode = |row: &Vec<&'static str>| encoder.encode(&encoder.normalise(&cells(row))).encodings.filters.len();
        group.bench_function(name, |b| b.iter(|| rows.iter().map(encode).sum::<usize>()));
    }
    let schema = ClkSchema::parse(include_bytes!("../protocol/vectors/clk/febrl-blake.schema.json")).expect("golden");
    let encoder = ClkEncoder::new(&schema, b"horse staple").expect("golden");
    let encode = |rows: &[Vec<&str>], cache: &mut Cache| {
        let mut clks = Vec::new();
        rows.iter().for_each(|row| encoder.encode(row, cache, &mut clks).expect("golden"));
        clks
    };
    let clks = |cache: &mut Cache| encode(&rows, cache);
    group.bench_function("clk, nothing seen before", |b| b.iter(|| clks(&mut encoder.cache())));
    group.bench_function("clk, every value seen before", |b| {
        let mut cache = encoder.cache();
        b.iter(|| clks(&mut cache));
    });
    group.finish();

    // what `bench_clkhash.py` of the peers' kit times: rows in memory, nothing seen before, values that repeat as they do
    let febrl4: Vec<Vec<&str>> =
        include_str!("../tests/data/febrl4/a.csv").lines().skip(1).map(|line| line.split(',').collect()).collect();
    let mut group = c.benchmark_group("FEBRL 4, 5,000 rows");
    group.throughput(Throughput::Elements(febrl4.len() as u64)).sample_size(10);
    group.bench_function("clk, nothing seen before", |b| {
        b.iter(|| encode(&febrl4, &mut encoder.cache()));
    });
    group.finish();
}

fn join(c: &mut Criterion) {
    let schema = Schema::parse(Schema::preset("resident-cn").expect("shipped")).expect("shipped");
    let encoder = Encoder::new(&key(), ManifestId([1; 32]), &schema, "bank");
    let encode = |row: &[String; 6]| encoder.encode(&encoder.normalise(&cells(row))).encodings;
    let encodings: Vec<Encodings> = rows().iter().map(encode).collect();
    let index = Index::of_encodings(encodings.iter()).expect("memory takes it");
    let shape = Shape { passes: schema.passes.len() as u8, filter_bytes: vec![] };
    let matcher = Matcher::new(&index, &schema, shape);
    let mut group = c.benchmark_group("join");
    group.throughput(Throughput::Elements(ROWS as u64)).sample_size(20);
    group.bench_function("1000 probes against 1000 rows", |b| {
        b.iter(|| encodings.iter().map(|probe| matcher.matches(probe).len()).sum::<usize>());
    });
    group.finish();
}

criterion_group!(speed, encode, western, join);
criterion_main!(speed);
