//! Every route of the server, as its sources name them, asked by everybody who might: nobody is let in who should not be.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hedui::transport::tls::Identity;
use hedui_protocol::ids::CommissionId;
use hedui_protocol::messages::{Answer, Answers, NoticedMatch, Notices};
use hedui_protocol::problem::ProblemKind;
use hedui_protocol::sign::{Purpose, Signed};
use hedui_protocol::ticket::Withdrawal;
use jiff::Timestamp;
use reqwest::{Method, StatusCode};

use crate::harness::{AGENCIES, OFFICE, OTHER_OFFICE, Project, Said, Server, on_both_stores, run};
use crate::journey::files;

on_both_stores! { nobody_is_let_in_who_should_not_be }

/// A method and a path, and whether it is the operator's.
pub struct Route {
    pub method: Method,
    pub path: String,
    operators: bool,
}

/// What the sources route: a route that is added is tried without anybody thinking of it.
pub fn routes() -> Vec<Route> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/server/http");
    let mut routes = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let text = std::fs::read_to_string(&entry).unwrap();
        for route in text.split(".route(\"").skip(1) {
            let (path, rest) = route.split_once("\", ").unwrap();
            let method = match rest.split_once('(').unwrap().0 {
                "get" => Method::GET,
                "post" => Method::POST,
                "put" => Method::PUT,
                other => panic!("{path}: a route with `{other}`, which this test does not know"),
            };
            routes.push(Route { method, path: path.to_owned(), operators: entry.ends_with("operator.rs") });
        }
    }
    assert!(routes.len() >= 20, "{} routes were found", routes.len());
    routes
}

/// Who may: whoever stands here, and nobody else. A route that is not here is nobody's.
fn allowed(path: &str) -> &'static [&'static str] {
    match path {
        "/v1/project" => &["bank", "vehicle", OFFICE, OTHER_OFFICE],
        // the header that is sent is the bank's, and so is the batch
        "/v1/batches" | "/v1/batches/{batch}" | "/v1/batches/{batch}/parts/{number}" | "/v1/batches/{batch}/commit" => {
            &["bank"]
        }
        // the body is not read before the caller is known; then it is refused as malformed
        "/v1/commissions" => &[OFFICE, OTHER_OFFICE],
        _ if path.starts_with("/v1/commissions/{commission}") => &[OFFICE],
        "/v1/notices" => &AGENCIES,
        // the match is the vehicle register's
        "/v1/answers" => &["vehicle"],
        "/v1/log" => &["auditor"],
        // the act was proposed by another of the operator's people
        "/v1/acts" | "/v1/acts/{act}" | "/v1/acts/{act}/approval" | "/v1/retention" => &["operator"],
        "/healthz" | "/readyz" | "/metrics" => &["operator"],
        _ => &[],
    }
}

/// Who has the role for a route: what is another's is not there for them.
fn peers(path: &str) -> &'static [&'static str] {
    match path {
        "/v1/answers" => &AGENCIES,
        _ if path.starts_with("/v1/batches/{batch}") => &AGENCIES,
        _ if path.starts_with("/v1/commissions/{commission}") => &[OFFICE, OTHER_OFFICE],
        _ => &[],
    }
}

/// Everybody: parties, and others whose certificate the authority has signed or has not.
const CALLERS: [&str; 14] = [
    "bank",
    "vehicle",
    // before the one whose commissions they are
    OTHER_OFFICE,
    OFFICE,
    "operator",
    "auditor",
    "server",
    // of no organisation of the manifest; the bank's with an office's role; an office's with an agency's
    "stranger",
    "bank-office",
    "office-agency",
    // parties' with the roles of those who stand above them
    "bank-operator",
    "office-operator",
    "bank-auditor",
    // without a certificate
    "nobody",
];

pub fn client(project: &Project, caller: &str) -> reqwest::Client {
    let file = |name: String| project.path("pki").join(name);
    let identity = |caller: &str| Identity {
        certificate: file(format!("{caller}.crt")),
        key: file(format!("{caller}.key")),
        ca: file("ca.crt".into()),
    };
    let mut tls = identity(if caller == "nobody" { "bank" } else { caller }).client().unwrap();
    if caller == "nobody" {
        tls.client_auth_cert_resolver = Arc::new(NoCertificate);
    }
    reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build().unwrap()
}

#[derive(Debug)]
struct NoCertificate;

impl rustls::client::ResolvesClientCert for NoCertificate {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<rustls::sign::CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

/// The number of an act that waits for its approval, proposed by a person who does nothing else.
pub fn proposed(project: &Project, server: &Server) -> u64 {
    project.issue("deputy", "operator");
    let terms = project.write("terms.toml", "answers = 3\n");
    let mut propose = crate::harness::hedui();
    propose.args(["operator", "propose", "set-retention", &terms, "--manifest", &project.text("manifest.toml")]);
    let said = Said::of(&propose.args(project.reach(&server.parties, "deputy")).output().unwrap()).done().stdout;
    said.split_once("act ").unwrap().1.split(':').next().unwrap().parse().unwrap()
}

/// None: the connection was refused. Now and then the client does not notice that it has ended, and would wait for ever.
async fn status(client: &reqwest::Client, method: &Method, url: &str, body: &[u8]) -> Option<StatusCode> {
    let request = client.request(method.clone(), url).timeout(Duration::from_secs(10));
    let sent = request.body(body.to_vec()).send().await;
    sent.inspect_err(|e| assert!(!e.is_builder(), "{e}")).ok().map(|answer| answer.status())
}

fn nobody_is_let_in_who_should_not_be(project: Project) {
    let issue = |name: &str, organisation: &str, role: &str| {
        let pki = project.text("pki");
        run(&["pki", "issue", &pki, name, "--organisation", organisation, "--role", role]).done();
    };
    issue("auditor", "Org auditor", "auditor");
    issue("stranger", "Org stranger", "agency");
    issue("bank-office", "Org bank", "office");
    issue("office-agency", &format!("Org {OFFICE}"), "agency");
    issue("bank-operator", "Org bank", "operator");
    issue("office-operator", &format!("Org {OFFICE}"), "operator");
    issue("bank-auditor", "Org bank", "auditor");
    let (office, bank, vehicle) = files(&project);
    let server: Server = project.server();
    project.submit_both(&bank, &vehicle, &server);
    for verb in ["request", "fetch", "report"] {
        let more: &[&str] = if verb == "request" { &[&office] } else { &[] };
        project.office(verb, &server, more).done();
    }
    let commission_of = |household: &str| project.report(household)["commission"].as_str().unwrap().to_owned();
    let (commission, taken_back) = (commission_of("H1"), commission_of("H2"));
    let log = std::fs::read_to_string(&server.log).unwrap();
    let batch = log.split("Committed batch ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    let header = std::fs::read(project.path("bank/batch.json")).unwrap();
    let act = proposed(&project, &server).to_string();

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let notices = client(&project, "vehicle").get(format!("{}/v1/notices", server.parties)).send();
    let notices: Notices = runtime.block_on(async { notices.await.unwrap().json().await.unwrap() });
    let answers = answers_to(&taken_back, &notices);
    // each sends what would do, were it the one who may
    let body = |caller: &str, path: &str| match path {
        "/v1/batches" => header.clone(),
        "/v1/answers" => answers.clone(),
        "/v1/commissions/{commission}/encodings/{part}" => b"[]".to_vec(),
        "/v1/commissions/{commission}/withdrawal" => withdrawal(&project, caller, &taken_back),
        _ => b"{}".to_vec(),
    };
    let (mut tried, mut let_in) = (0, 0);
    for caller in CALLERS {
        let client = client(&project, caller);
        for route in routes() {
            let is_withdrawal = route.path.ends_with("/withdrawal");
            let path = route
                .path
                .replace("{batch}", &batch)
                .replace("{commission}", if is_withdrawal { &taken_back } else { &commission })
                .replace("{number}", "0")
                .replace("{part}", "0")
                .replace("{act}", &act);
            let body = body(caller, &route.path);
            for (base, its_own) in [(&server.parties, !route.operators), (&server.operator, route.operators)] {
                let got = runtime.block_on(status(&client, &route.method, &format!("{base}{path}"), &body));
                let refused = got.is_none_or(|status| matches!(status.as_u16(), 401 | 403 | 404));
                let may = its_own && allowed(&route.path).contains(&caller);
                assert_eq!(!refused, may, "{caller}: {} {} at {base}: {got:?}", route.method, route.path);
                if its_own && !may && peers(&route.path).contains(&caller) {
                    assert_eq!(got, Some(StatusCode::NOT_FOUND), "{caller}: {} {}", route.method, route.path);
                }
                // without a client's certificate nothing is said at all
                assert_eq!(got.is_none(), matches!(caller, "server" | "nobody"), "{caller}: {got:?}");
                (tried, let_in) = (tried + 1, let_in + u32::from(!refused));
            }
        }
    }
    assert_eq!((tried, let_in), (14 * 21 * 2, 4 + 4 + 2 + 4 + 2 + 1 + 1 + 5 + 3));
    // and nothing was done for who was refused
    let log = std::fs::read_to_string(&server.log).unwrap();
    let withdrawn: Vec<&str> =
        log.lines().filter_map(|line| line.split_once("was withdrawn by ")).map(|end| end.1).collect();
    assert_eq!(withdrawn, [format!("`{OFFICE}`")]);
}

/// Declines the one match that is noticed, of this commission.
fn answers_to(commission: &str, notices: &Notices) -> Vec<u8> {
    let commission: CommissionId = commission.parse().unwrap();
    let answer =
        |noticed: &NoticedMatch| Answer { commission, subject: noticed.subject, record: noticed.record, sealed: None };
    let answers: Vec<Answer> = notices.notices.iter().flat_map(|notice| &notice.matches).map(answer).collect();
    assert_eq!(answers.len(), 1);
    serde_json::to_vec(&Answers { answers }).unwrap()
}

/// What an office signs to take a commission back; anybody else sends the office's own.
fn withdrawal(project: &Project, caller: &str, commission: &str) -> Vec<u8> {
    let office = if caller == OTHER_OFFICE { OTHER_OFFICE } else { OFFICE };
    let said =
        Withdrawal { commission: commission.parse().unwrap(), office: office.into(), withdrawn_at: Timestamp::now() };
    let signed = Signed::new(&project.signing_key(office), Purpose::Withdrawal, serde_json::to_vec(&said).unwrap());
    serde_json::to_vec(&signed).unwrap()
}

#[test]
fn the_page_of_the_api_names_every_route_and_every_problem() {
    let page = crate::harness::repository("docs/API.md");
    for route in routes() {
        let line = format!("| `{} {}` |", route.method, route.path);
        assert_eq!(page.matches(&line).count(), 1, "{line}");
    }
    let listed = page.lines().filter(|line| line.starts_with("| `GET ") || line.starts_with("| `P"));
    assert_eq!(listed.count(), routes().len(), "a route is listed that is not there");
    for kind in ProblemKind::ALL {
        let line = format!("| `{}` | {} |", kind.uri(), kind.status());
        assert_eq!(page.matches(&line).count(), 1, "{line}");
    }
    assert_eq!(page.matches("| `urn:hedui:problem:").count(), ProblemKind::ALL.len());
}

#[test]
fn the_operators_page_explains_every_line_of_the_servers_log() {
    let page = crate::harness::repository("docs/OPERATING.md");
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/server")];
    let mut lines = 0;
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            for line in text.split("tracing::").skip(1).filter_map(|rest| rest.split_once("!(\"")) {
                // the words that stand in every such line: the longest run between what is filled in, its beginning
                let message = line.1.split('"').next().unwrap();
                let words = message.split(['{', '}', '`', ':']).map(str::trim).max_by_key(|words| words.len()).unwrap();
                let begin: String = words.chars().take(20).collect();
                assert!(page.contains(begin.trim()), "`{message}` is not explained: `{begin}`");
                lines += 1;
            }
        }
    }
    assert!(lines >= 25, "{lines} lines were found");
}
