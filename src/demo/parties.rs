//! Who takes part in the demo: keys, certificates, and what each party says of itself.

use std::path::{Path, PathBuf};

use hedui_protocol::manifest::{Agency, Item, Level, Office, Release};
use hedui_protocol::sign::PublicKey;

use super::children::Children;
use crate::failure::{Failure, Outcome};
use crate::staging::private_folder;

pub const AGENCIES: [&str; 4] = ["bank", "tax", "housing", "vehicle"];
pub const OFFICE: &str = "civil-affairs";
/// What the office asks: amounts, and of the bank also whether they are over the limit.
pub const ASKED: [&str; 5] =
    ["bank.deposits=L1", "bank.deposits=L3", "tax.income=L3", "housing.property=L3", "vehicle.vehicles=L3"];

/// Where the demo keeps what.
#[derive(Clone, Debug)]
pub struct Files {
    pub city: PathBuf,
    pub keys: PathBuf,
    pub pki: PathBuf,
    pub manifest: PathBuf,
    pub encoded: PathBuf,
    pub server: PathBuf,
    pub office: PathBuf,
    pub reports: PathBuf,
    pub logs: PathBuf,
    /// The server's log, as the auditor has it.
    pub log: PathBuf,
}

impl Files {
    pub fn new(out: &Path) -> Self {
        let place = |name: &str| out.join(name);
        Self {
            city: place("city"),
            keys: place("keys"),
            pki: place("pki"),
            manifest: place("manifest.toml"),
            encoded: place("encoded"),
            server: place("server"),
            office: place("office"),
            reports: place("reports"),
            logs: place("logs"),
            log: place("log"),
        }
    }

    pub fn linkage_key(&self) -> PathBuf {
        self.keys.join("linkage.key")
    }

    pub fn signing_key(&self, party: &str) -> PathBuf {
        self.keys.join(format!("{party}.signing.key"))
    }

    pub fn log_key(&self) -> PathBuf {
        self.keys.join("log.key")
    }

    /// What a party has seen of the log.
    pub fn receipts(&self, party: &str) -> PathBuf {
        self.pki.join(format!("{party}.receipts.jsonl"))
    }

    pub fn opening_key(&self) -> PathBuf {
        self.keys.join("office.opening.key")
    }

    pub fn table(&self, name: &str) -> PathBuf {
        self.city.join(format!("{name}.csv"))
    }
}

/// Makes keys and certificates, and the manifest that all parties sign.
pub fn set_up(children: &mut Children) -> Outcome {
    children.step("Keys, certificates and the manifest");
    let files = children.files().clone();
    for folder in [&files.keys, &files.pki, &files.encoded, &files.logs] {
        private_folder(folder)?;
    }
    let key = |children: &mut Children, kind: &str, file: PathBuf| {
        children.operator(&["key", "new", "--kind", kind, &text(&file)])
    };
    let check = key(children, "linkage", files.linkage_key())?;
    let log_key = key(children, "log", files.log_key())?;
    children.operator(&["pki", "init", &text(&files.pki)])?;
    issue(children, &files, "server", "Linkage server", "server")?;
    issue(children, &files, "operator", "Linkage operator", "operator")?;

    let mut arguments: Vec<String> = vec![];
    for name in AGENCIES {
        issue(children, &files, name, &organisation(name), "agency")?;
        let signing_key = public(&key(children, "signing", files.signing_key(name))?)?;
        let party = toml::to_string(&agency(name, signing_key)).expect("an agency is TOML");
        arguments.extend(["--agency".into(), write_party(&files, name, &party)?]);
    }
    issue(children, &files, OFFICE, &organisation(OFFICE), "office")?;
    let office = Office {
        name: OFFICE.into(),
        organisation: organisation(OFFICE),
        signing_key: public(&key(children, "signing", files.signing_key(OFFICE))?)?,
        opening_key: public(&key(children, "office", files.opening_key())?)?,
        deposits: true,
        subjects_per_day: None,
    };
    let party = toml::to_string(&office).expect("an office is TOML");
    arguments.extend(["--office".into(), write_party(&files, OFFICE, &party)?]);

    let manifest = text(&files.manifest);
    let fixed = [
        "manifest",
        "new",
        "--project",
        "demo-city",
        "--purpose",
        "社会救助家庭经济状况核对",
        "--epoch",
        "2026-11",
        "--programme",
        "dibao",
        "--schema",
        "resident-cn",
        "--linkage-key-check",
        check.trim(),
        "--log-key",
        log_key.trim(),
        "--out",
        &manifest,
    ];
    let all: Vec<&str> = fixed.into_iter().chain(arguments.iter().map(String::as_str)).collect();
    children.operator(&all)?;
    for party in AGENCIES.into_iter().chain([OFFICE]) {
        let key = text(&files.signing_key(party));
        children.operator(&["manifest", "sign", "--manifest", &manifest, "--party", party, "--signing-key", &key])?;
    }
    Ok(())
}

fn issue(children: &mut Children, files: &Files, name: &str, organisation: &str, role: &str) -> Outcome<String> {
    children.operator(&["pki", "issue", &text(&files.pki), name, "--organisation", organisation, "--role", role])
}

fn organisation(name: &str) -> String {
    format!("Demo {name}")
}

fn write_party(files: &Files, name: &str, party: &str) -> Outcome<String> {
    let path = files.keys.join(format!("{name}.party.toml"));
    std::fs::write(&path, party).map_err(|e| Failure::file("write", &path, &e))?;
    Ok(text(&path))
}

fn public(printed: &str) -> Outcome<PublicKey> {
    PublicKey::try_from(printed.trim().to_owned()).map_err(Failure::refused)
}

/// The demo's folders are ASCII below a folder that the user named.
pub fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn agency(name: &str, signing_key: PublicKey) -> Agency {
    let (item, release) = match name {
        "bank" => (
            Item {
                limit: Some(50_000.0),
                bands: vec![1_000.0, 10_000.0, 50_000.0, 200_000.0],
                levels: vec![Level::L1, Level::L2, Level::L3],
                ..item("deposits", "Deposits", "存款", &["accounts", "balance"], "balance")
            },
            Release::Deposit,
        ),
        "tax" => (item("income", "Income", "收入", &["annual_income"], "annual_income"), Release::Deposit),
        "housing" => (item("property", "Property", "房产", &["properties", "area_m2"], "area_m2"), Release::Deposit),
        // the vehicle register holds its payloads back until a match asks for them
        _ => (item("vehicles", "Vehicles", "车辆", &["vehicles", "vehicle_price"], "vehicle_price"), Release::OnMatch),
    };
    Agency { name: name.into(), organisation: organisation(name), signing_key, release, items: vec![item] }
}

fn item(name: &str, title: &str, title_zh: &str, columns: &[&str], measure: &str) -> Item {
    Item {
        name: name.into(),
        title: title.into(),
        title_zh: title_zh.into(),
        levels: vec![Level::L3],
        columns: columns.iter().map(|&column| column.to_owned()).collect(),
        measure: Some(measure.into()),
        limit: None,
        bands: vec![],
        bucket: 128,
    }
}
