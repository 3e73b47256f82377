//! Runs `vectors/`: one case a file, each naming its expected outcome.
#![cfg(feature = "encode")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use hedui_protocol::decision::{Band, Seen};
use hedui_protocol::encoder::Encoder;
use hedui_protocol::filter::Diffuser;
use hedui_protocol::ids::ManifestId;
use hedui_protocol::keys::{LinkageKey, TokenContext};
use hedui_protocol::passes::Normaliser;
use hedui_protocol::row_encoder::RowEncoder;
use hedui_protocol::schema::{Filter, Schema};
use hedui_protocol::sign::{PublicKey, Purpose, Signature, SigningKey};

struct Case {
    path: PathBuf,
    lines: HashMap<String, String>,
}

impl Case {
    fn text(&self, name: &str) -> &str {
        self.lines.get(name).unwrap_or_else(|| panic!("{}: no line `{name}`", self.path.display()))
    }

    fn number<N: std::str::FromStr>(&self, name: &str) -> N {
        self.text(name).parse().unwrap_or_else(|_| panic!("{}: `{name}` is no number", self.path.display()))
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        unhex(self.text(name))
    }

    fn key(&self) -> LinkageKey {
        LinkageKey::new(&self.bytes("linkage key")).unwrap()
    }

    fn manifest(&self) -> ManifestId {
        self.text("manifest").parse().unwrap()
    }
}

fn cases(kind: &str) -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(kind);
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        let line = |line: &str| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
        Case { path, lines: text.lines().filter_map(line).collect() }
    };
    let cases: Vec<Case> = std::fs::read_dir(folder).unwrap().map(|entry| read(entry.unwrap().path())).collect();
    assert!(!cases.is_empty(), "no vectors of {kind}");
    cases
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

#[test]
fn derivations() {
    for case in cases("derive") {
        let key = case.key();
        let secret = key.for_project(case.manifest()).secret(&case.bytes("pass value"));
        let agency = case.text("agency");
        assert_eq!(key.check().to_string(), case.text("expect check"), "{}", case.path.display());
        assert_eq!(
            hex(&secret.token(&TokenContext::of(agency)).0),
            case.text("expect token"),
            "{}",
            case.path.display()
        );
        assert_eq!(
            hex(&secret.wrap_key(agency).dangerously_reveal()),
            case.text("expect wrap key"),
            "{}",
            case.path.display()
        );
    }
}

#[test]
fn filters() {
    for case in cases("filter") {
        let project = case.key().for_project(case.manifest());
        let (name, agency) = (case.text("filter"), case.text("agency"));
        let filter = Filter {
            name: name.into(),
            cohort: None,
            fields: vec![],
            bits: case.number("bits"),
            k: case.number("k"),
            t: case.number("t"),
            bands: vec![],
            beyond: 0.0,
        };
        let diffuser = Diffuser::new(&filter, project.filter_map(name, agency));
        let key = project.secret(&case.bytes("pass value")).filter_key(agency, name);
        let grams: Vec<Vec<u8>> = case.text("grams").split_whitespace().map(unhex).collect();
        assert_eq!(hex(&diffuser.encode(&key, &grams)), case.text("expect"), "{}", case.path.display());
    }
}

/// A value's part is seen through a schema of one field and one pass: its bytes are B(label, pass, part) (SPEC 5.1).
#[test]
fn normalisation() {
    for case in cases("normalise") {
        let alias = case.lines.get("alias");
        let tolerance = case.lines.get("tolerance").map(|own| format!("tolerance = {own}\n")).unwrap_or_default();
        let order = case.lines.get("order").map(|own| format!("order = \"{own}\"\n")).unwrap_or_default();
        let schema = format!(
            "name = \"v\"\nnormalisation = \"norm-v1\"\nprofile = \"cohort\"\ndecision = {{ bias = 0.0, possible = 0.0, probable = 0.0 }}\n\
             [[field]]\nname = \"f\"\nkind = \"{}\"\n{tolerance}{order}{}[[pass]]\nname = \"p\"\nof = [\"f.{}\"]\nequal = 1.0\nunequal = 0.0\n",
            case.text("kind"),
            alias
                .map(|_| format!(
                    "[[field]]\nname = \"former\"\nkind = \"{}\"\noptional = true\nalias-of = \"f\"\n",
                    case.text("kind")
                ))
                .unwrap_or_default(),
            case.text("part")
        );
        let normaliser = Normaliser::new(&Schema::parse(&schema).unwrap());
        let cells: Vec<&str> = [case.text("in")].into_iter().chain(alias.map(String::as_str)).collect();
        let row = normaliser.row(&cells);
        let prefix = "\u{d}\0\0\0hedui v1 pass\u{1}\0\0\0p".len() + 4;
        let parts: Vec<String> =
            row.passes.of(0).map(|bytes| String::from_utf8(bytes[prefix..].to_vec()).unwrap()).collect();
        let expect = case.text("expect");
        let expect = if expect == "missing" { "" } else { expect };
        assert_eq!(parts.join("|"), expect, "{}", case.path.display());
    }
}

#[test]
fn rows() {
    for case in cases("row") {
        let schema = Schema::parse(Schema::preset(case.text("schema")).unwrap()).unwrap();
        let encoder = Encoder::new(&case.key(), case.manifest(), &schema, case.text("agency"));
        let cells: Vec<&str> = case.text("cells").split('|').collect();
        let encoded = encoder.encode(&encoder.normalise(&cells));
        assert_eq!(hex(&encoded.encodings.to_bytes()), case.text("expect"), "{}", case.path.display());
    }
}

/// The secret is what a user of clkhash is handed; the CLK is what clkhash 0.18.3 makes with it.
#[test]
fn clk_rows() {
    for case in cases("row-clk") {
        let linkage = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/clk").join(case.text("linkage schema"));
        let linkage = std::fs::read_to_string(linkage.with_extension("schema.json")).unwrap();
        let schema = Schema::around_linkage_schema("v", &linkage, 0.85, 0.80).unwrap();
        let secret = case.key().for_project(case.manifest()).clk_secret(case.text("agency"));
        assert_eq!(secret.dangerously_reveal(), case.text("expect secret"), "{}", case.path.display());
        let encoder = RowEncoder::new(&case.key(), case.manifest(), &schema, case.text("agency"));
        let encoded = encoder.encode(&case.text("cells").split('|').collect::<Vec<_>>()).unwrap();
        assert_eq!(hex(&encoded.encodings.to_bytes()), case.text("expect"), "{}", case.path.display());
    }
}

#[test]
fn signatures() {
    for case in cases("sign") {
        let purpose = match case.text("purpose") {
            "manifest" => Purpose::Manifest,
            "batch" => Purpose::Batch,
            "ticket" => Purpose::Ticket,
            "withdrawal" => Purpose::Withdrawal,
            "answer" => Purpose::Answer,
            other => panic!("{}: no purpose `{other}`", case.path.display()),
        };
        let key = SigningKey::from_seed(&case.bytes("seed").try_into().unwrap());
        assert_eq!(key.public().to_string(), case.text("public key"), "{}", case.path.display());
        let public = PublicKey::try_from(case.text("public key").to_owned()).unwrap();
        let signature = Signature::try_from(case.text("signature").to_owned()).unwrap();
        let verdict = public.verify(purpose, &case.bytes("message"), &signature).map_or("refused", |()| "verifies");
        assert_eq!(verdict, case.text("expect"), "{}", case.path.display());
    }
}

/// `=` equal, `#` unequal, `.` missing, pass by pass.
#[test]
fn decisions() {
    for case in cases("decision") {
        let schema = Schema::parse(Schema::preset(case.text("schema")).unwrap()).unwrap();
        let see = |c| match c {
            '=' => Seen::Equal,
            '#' => Seen::Unequal,
            _ => Seen::Missing,
        };
        let passes: Vec<Seen> = case.text("passes").chars().map(see).collect();
        assert_eq!(passes.len(), schema.passes.len(), "{}", case.path.display());
        let score = schema.score(&passes, &[]);
        assert_eq!(format!("{score:.2}"), case.text("expect score"), "{}", case.path.display());
        let band = schema.band(score, &passes).map(|band| match band {
            Band::Exact => "exact",
            Band::Repaired => "repaired",
            Band::Probable => "probable",
            Band::Possible => "possible",
        });
        assert_eq!(band.unwrap_or("none"), case.text("expect band"), "{}", case.path.display());
    }
}

/// A manifest, a ticket and a deposit that were sealed once: id, signature, wrap, lock and seal must all agree.
#[cfg(feature = "open")]
#[test]
fn deposits_open() {
    use hedui_protocol::open::{Deposit, Opener, OpeningKey};
    use hedui_protocol::sign::Signed;
    use hedui_protocol::ticket::Granted;

    let text = include_bytes!("../vectors/open/manifest.toml");
    let manifest = hedui_protocol::manifest::Manifest::parse(text).unwrap();
    let cases: Vec<Case> = cases("open").into_iter().filter(|case| case.path.extension().unwrap() == "txt").collect();
    assert_eq!(cases.len(), 4);
    for case in cases {
        assert_eq!(manifest.id(), case.manifest(), "{}", case.path.display());
        let signature = Signature::try_from(case.text("ticket signature").to_owned()).unwrap();
        let ticket = Signed { bytes: case.text("ticket").as_bytes().to_vec(), signature };
        let ticket = Granted::check(&ticket, &manifest).unwrap();
        assert_eq!(ticket.id().to_string(), case.text("commission"), "{}", case.path.display());
        let key = OpeningKey::new(&case.bytes("opening key")).unwrap();
        let opener = Opener { key: &key, manifest: &manifest, ticket: &ticket, now: case.text("now").parse().unwrap() };
        let agency = manifest.agency(case.text("agency")).unwrap();
        let wrap_key = case.key().for_project(manifest.id()).secret(&case.bytes("pass value")).wrap_key("bank");
        let deposit = Deposit {
            record: case.text("record").parse().unwrap(),
            salt: &case.bytes("salt").try_into().unwrap(),
            encapsulation: &case.bytes("encapsulation").try_into().unwrap(),
            wrap: &case.bytes("wrap"),
            locked: &[case.bytes("locked")],
        };
        let opened = opener.deposit(case.text("subject").parse().unwrap(), agency, &deposit, &[wrap_key]);
        let opened = opened.map_or("refused".to_owned(), |payloads| String::from_utf8(payloads[0].clone()).unwrap());
        assert_eq!(opened, case.text("expect"), "{}", case.path.display());
    }
}
