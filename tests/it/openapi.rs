//! `docs/openapi.json` describes the whole API (OpenAPI 3.1). It is made from the types of the protocol, and the running
//! server answers as it says.

use std::collections::BTreeSet;
use std::path::Path;

use hedui_protocol::acts::{ActStatus, Proposal, RetentionStatus};
use hedui_protocol::ids::{CommissionId, ManifestId};
use hedui_protocol::log::Receipt;
use hedui_protocol::messages as m;
use hedui_protocol::part::BatchHeader;
use hedui_protocol::problem::{MEDIA_TYPE, Problem, ProblemKind};
use hedui_protocol::sign::{Purpose, Signed};
use hedui_protocol::ticket::Withdrawal;
use jiff::Timestamp;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::access::{client, proposed, routes};
use crate::audit::export;
use crate::harness::{OFFICE, OTHER_OFFICE, Project, run};
use crate::journey::files;
use crate::release_rules::Rogue;

const FILE: &str = "docs/openapi.json";

/// What a route takes and gives.
struct Operation {
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    /// Role of the certificate.
    role: &'static str,
    query: Vec<(&'static str, &'static str)>,
    body: Option<Value>,
    answer: Value,
}

fn json_body(schema: Value) -> Value {
    json!({ "application/json": { "schema": schema } })
}

fn text() -> Value {
    json!({ "text/plain": { "schema": { "type": "string" } } })
}

const WAIT: (&str, &str) = ("wait", "Seconds to hold the answer back until there is something to say, at most 60.");

fn operations(types: &mut SchemaGenerator) -> Vec<Operation> {
    fn of<T: JsonSchema>(types: &mut SchemaGenerator) -> Value {
        json_body(types.subschema_for::<T>().to_value())
    }
    let octets = || json!({ "application/octet-stream": { "schema": { "type": "string", "format": "binary" } } });
    let nothing = || json_body(json!({}));
    let operation = |method, path, role, summary, query: Vec<_>, body, answer| Operation {
        method,
        path,
        summary,
        role,
        query,
        body,
        answer,
    };
    let page = of::<m::AnswerPage>(types);
    let line = types.subschema_for::<m::SubjectAnswer>().to_value();
    let mut answers = page;
    answers["application/jsonl"] =
        json!({ "schema": { "type": "string", "description": "A SubjectAnswer a line." }, "x-line": line });
    answers["application/vnd.apache.parquet"] = json!({ "schema": { "type": "string", "format": "binary" } });
    let (signed, batch, commission) =
        (of::<Signed>(types), of::<m::BatchStatus>(types), of::<m::CommissionStatus>(types));
    let skip = ("skip", "Matches at the front that the agency leaves open.");
    let from = ("from", "Where to begin, counted from 0.");
    let after = ("after", "The version of the commission that the caller has.");
    let (act, acts) = (of::<ActStatus>(types), of::<Vec<ActStatus>>(types));
    let retention = of::<RetentionStatus>(types);
    let log = vec![from, WAIT];
    let (wait, notices, from, after) = (vec![WAIT], vec![skip, WAIT], vec![from], vec![after, WAIT]);
    vec![
        operation(
            "get",
            "/v1/project",
            "agency or office",
            "Which manifest the server runs, and who has signed it",
            vec![],
            None,
            of::<m::Project>(types),
        ),
        operation(
            "post",
            "/v1/batches",
            "agency",
            "Create a batch of a signed header",
            vec![],
            Some(signed.clone()),
            batch.clone(),
        ),
        operation(
            "get",
            "/v1/batches/{batch}",
            "agency",
            "State of a batch, and its missing parts",
            wait,
            None,
            batch.clone(),
        ),
        operation(
            "put",
            "/v1/batches/{batch}/parts/{number}",
            "agency",
            "Put a part (Parquet)",
            vec![],
            Some(octets()),
            of::<m::Stored>(types),
        ),
        operation(
            "post",
            "/v1/batches/{batch}/commit",
            "agency",
            "Commit a batch whose parts are all there",
            vec![],
            Some(nothing()),
            batch,
        ),
        operation(
            "post",
            "/v1/commissions",
            "office",
            "File a commission on its ticket",
            vec![],
            Some(of::<m::CommissionRequest>(types)),
            commission.clone(),
        ),
        operation(
            "get",
            "/v1/commissions/{commission}",
            "office",
            "What each agency has said so far, in numbers",
            after,
            None,
            commission.clone(),
        ),
        operation(
            "put",
            "/v1/commissions/{commission}/encodings/{part}",
            "office",
            "Put a part of a large commission's encodings",
            vec![],
            Some(of::<Vec<m::SubjectEncodings>>(types)),
            commission.clone(),
        ),
        operation(
            "get",
            "/v1/commissions/{commission}/answers",
            "office",
            "What was released: sealed, in slots that are all alike",
            from,
            None,
            answers,
        ),
        operation(
            "post",
            "/v1/commissions/{commission}/withdrawal",
            "office",
            "Take a commission back",
            vec![],
            Some(signed),
            commission,
        ),
        operation(
            "get",
            "/v1/notices",
            "agency",
            "Matches that the agency is asked about",
            notices,
            None,
            of::<m::Notices>(types),
        ),
        operation(
            "post",
            "/v1/answers",
            "agency",
            "Answer matches, all or none",
            vec![],
            Some(of::<m::Answers>(types)),
            of::<m::Stored>(types),
        ),
        operation(
            "get",
            "/v1/log",
            "auditor",
            "Entries of the log, and what proves them",
            log,
            None,
            of::<m::LogPage>(types),
        ),
        operation("get", "/v1/acts", "operator", "What operators proposed, approved and did", vec![], None, acts),
        operation(
            "post",
            "/v1/acts",
            "operator",
            "Propose that something be done",
            vec![],
            Some(of::<Proposal>(types)),
            act.clone(),
        ),
        operation("get", "/v1/acts/{act}", "operator", "State of an act", vec![WAIT], None, act.clone()),
        operation(
            "post",
            "/v1/acts/{act}/approval",
            "operator",
            "Approve what another operator proposed",
            vec![],
            Some(nothing()),
            act,
        ),
        operation(
            "get",
            "/v1/retention",
            "operator",
            "How long data is kept, and how far what has ended is gone",
            vec![WAIT],
            None,
            retention,
        ),
        operation("get", "/healthz", "operator", "The process serves", vec![], None, text()),
        operation("get", "/readyz", "operator", "The database answers", vec![], None, text()),
        operation("get", "/metrics", "operator", "Prometheus metrics", vec![], None, text()),
    ]
}

fn document() -> Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
    });
    let mut types = settings.into_generator();
    let problem = types.subschema_for::<Problem>().to_value();
    let mut paths: Map<String, Value> = Map::new();
    for operation in operations(&mut types) {
        let named = operation.path.split('{').skip(1).map(|rest| rest.split('}').next().unwrap());
        let in_path = named.map(|name| {
            let kind = if matches!(name, "number" | "part" | "act") { "integer" } else { "string" };
            json!({ "name": name, "in": "path", "required": true, "schema": { "type": kind } })
        });
        let in_query = operation.query.iter().map(|(name, what)| {
            json!({ "name": name, "in": "query", "description": what, "schema": { "type": "integer", "minimum": 0 } })
        });
        let of_parties = operation.path.starts_with("/v1/");
        let in_header = ["Hedui-Manifest", "Hedui-Checkpoint"].into_iter().filter(|_| of_parties);
        let in_header = in_header.map(|name| json!({ "$ref": format!("#/components/parameters/{name}") }));
        let parameters: Vec<Value> = in_path.chain(in_query).chain(in_header).collect();
        let mut described = json!({
            "summary": operation.summary,
            "description": format!("Needs a client certificate with the role (OU) {}.", operation.role),
            "parameters": parameters,
            "responses": {
                "200": { "description": "Done.", "content": operation.answer },
                "default": { "description": "Refused or failed.", "content": { MEDIA_TYPE: { "schema": problem } } },
            },
        });
        if of_parties {
            described["responses"]["200"]["headers"] = json!({ "Hedui-Receipt": { "description": "A receipt of the log: base64 of JSON.", "schema": { "type": "string" } } });
        } else {
            described["servers"] = json!([{ "url": "https://localhost:8444", "description": "The operator's port" }]);
        }
        if let Some(body) = operation.body {
            described["requestBody"] = json!({ "required": true, "content": body });
        }
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method] = described;
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Hedui linkage server",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Privacy-preserving verification of household means. Mutual TLS 1.3 on every route. What the messages mean: protocol/SPEC.md.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "https://localhost:8443", "description": "The parties' port" }],
        "security": [{ "certificate": [] }],
        "paths": paths,
        "components": {
            "parameters": {
                "Hedui-Manifest": {
                    "name": "Hedui-Manifest",
                    "in": "header",
                    "description": "Id of the manifest that the request is made under; without it, the one that the server was started with.",
                    "schema": types.subschema_for::<ManifestId>().to_value(),
                },
                "Hedui-Checkpoint": {
                    "name": "Hedui-Checkpoint",
                    "in": "header",
                    "description": "Entries of the newest tree of the log that the sender has seen: the receipt proves that it continues that tree.",
                    "schema": { "type": "integer", "minimum": 0 },
                },
            },
            "securitySchemes": { "certificate": { "type": "mutualTLS" } },
            "schemas": types.take_definitions(true),
        },
    })
}

#[test]
fn the_description_is_what_the_types_say_and_names_every_route() {
    let document = document();
    let text = serde_json::to_string_pretty(&document).unwrap() + "\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
    if std::env::var_os("HEDUI_WRITE").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == text, "{FILE} is old: HEDUI_WRITE=1 cargo test --test it openapi");
    assert_eq!(described(&document), routed());
    let kinds = document["components"]["schemas"]["ProblemKind"].to_string();
    assert!(ProblemKind::ALL.iter().all(|kind| kinds.contains(kind.uri())), "{kinds}");
}

fn described(document: &Value) -> BTreeSet<(String, String)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let methods = |(path, methods): (&String, &Value)| {
        let methods = methods.as_object().unwrap().keys();
        methods.map(|method| (method.to_uppercase(), path.clone())).collect::<Vec<_>>()
    };
    paths.flat_map(methods).collect()
}

fn routed() -> BTreeSet<(String, String)> {
    routes().into_iter().map(|route| (route.method.to_string(), route.path)).collect()
}

/// Whether an answer is one that the document describes.
#[track_caller]
fn answers_as_described(document: &Value, method: &str, path: &str, status: u16, kind: &str, body: &[u8]) {
    let responses = &document["paths"][path][method]["responses"];
    let response = if status == 200 { &responses["200"] } else { &responses["default"] };
    let schema = &response["content"][kind]["schema"];
    assert!(schema.is_object(), "{method} {path}: {status} {kind} is not described");
    if kind == "text/plain" {
        return;
    }
    let body: Value = serde_json::from_slice(body).unwrap();
    let mut whole = json!({ "components": document["components"] });
    whole.as_object_mut().unwrap().extend(schema.as_object().unwrap().clone());
    let validator = jsonschema::validator_for(&whole).unwrap();
    let errors: Vec<String> = validator.iter_errors(&body).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{method} {path}: {errors:?}\n{body}");
}

#[test]
fn the_running_server_answers_as_it_is_described() {
    let office = Rogue::new();
    let Rogue { project, server, .. } = &office;
    project.issue("auditor", "auditor");
    let (list, _, vehicle) = files(project);
    project.encode("vehicle", &vehicle, "vehicle").done();
    project.submit("vehicle", "vehicle", server).done();
    project.office("request", server, &[&list]).done();
    project.office("fetch", server, &[]).done();
    let document = document();
    let journal = std::fs::read_to_string(project.path("state/commissions.jsonl")).unwrap();
    let mut filed = journal
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).unwrap()["filed"].as_str().map(str::to_owned));
    let matched = filed.next_back().unwrap();
    // one that is filed, goes up in parts, and is taken back here
    let (ticket, encodings) = office.ticket();
    let ticket = Signed::new(&office.key, Purpose::Ticket, ticket.to_bytes());
    let commission = CommissionId(*blake3::hash(&ticket.bytes).as_bytes());
    let request = serde_json::to_vec(&office.request(ticket, vec![])).unwrap();
    let encodings = serde_json::to_vec(&encodings).unwrap();
    let said = Withdrawal { commission, office: OFFICE.into(), withdrawn_at: Timestamp::now() };
    let withdrawal = Signed::new(&office.key, Purpose::Withdrawal, serde_json::to_vec(&said).unwrap());
    let withdrawal = serde_json::to_vec(&withdrawal).unwrap();
    let commission = commission.to_string();
    let signed: Signed = serde_json::from_slice(&std::fs::read(project.path("bank/batch.json")).unwrap()).unwrap();
    assert!(BatchHeader::parse(&signed.bytes).is_ok());
    let batch = hedui_protocol::part::batch_id(&signed).to_string();

    let act = proposed(project, server).to_string();

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let ask = |caller: &str, method: &str, path: &str, body: Option<Vec<u8>>| {
        let base = if path.starts_with("/v1/") { &server.parties } else { &server.operator };
        let real = path
            .replace("{batch}", &batch)
            .replace("{commission}", if method == "get" { &matched } else { &commission })
            .replace("{number}", "0")
            .replace("{part}", "0")
            .replace("{act}", &act);
        let request = client(project, caller).request(method.to_uppercase().parse().unwrap(), format!("{base}{real}"));
        let request = request.header("hedui-checkpoint", "1").body(body.unwrap_or_default());
        let (status, headers, body) = runtime.block_on(async {
            let response = request.send().await.unwrap();
            (response.status().as_u16(), response.headers().clone(), response.bytes().await.unwrap())
        });
        let kind = headers["content-type"].to_str().unwrap().split(';').next().unwrap();
        let described = path.split('?').next().unwrap();
        answers_as_described(&document, method, described, status, kind, &body);
        let receipt = headers.get("hedui-receipt").map(|value| Receipt::from_header(value.to_str().unwrap()).unwrap());
        if status == 200 {
            let declared = &document["paths"][described][method]["responses"]["200"]["headers"]["Hedui-Receipt"];
            assert_eq!(receipt.is_some(), declared.is_object(), "{method} {path}");
        }
        assert!(receipt.is_none_or(|receipt| !receipt.consistency.is_empty()), "{method} {path}: the tree of before");
        status
    };
    let header = || Some(std::fs::read(project.path("bank/batch.json")).unwrap());
    let mut done = BTreeSet::new();
    let part = std::fs::read(project.path("bank/part-00000.parquet")).unwrap();
    for (caller, method, path, body) in [
        ("bank", "get", "/v1/project", None),
        ("bank", "post", "/v1/batches", header()),
        ("bank", "get", "/v1/batches/{batch}", None),
        ("bank", "put", "/v1/batches/{batch}/parts/{number}", Some(part)),
        ("bank", "post", "/v1/batches/{batch}/commit", Some(b"null".to_vec())),
        (OFFICE, "post", "/v1/commissions", Some(request)),
        (OFFICE, "put", "/v1/commissions/{commission}/encodings/{part}", Some(encodings)),
        (OFFICE, "post", "/v1/commissions/{commission}/withdrawal", Some(withdrawal)),
        (OFFICE, "get", "/v1/commissions/{commission}", None),
        (OFFICE, "get", "/v1/commissions/{commission}/answers", None),
        ("vehicle", "get", "/v1/notices", None),
        ("vehicle", "post", "/v1/answers", Some(br#"{"answers":[]}"#.to_vec())),
        ("auditor", "get", "/v1/log", None),
        ("operator", "get", "/v1/acts", None),
        ("operator", "post", "/v1/acts", Some(br#"{"deed":{"do":"erase-project"}}"#.to_vec())),
        ("operator", "post", "/v1/acts/{act}/approval", Some(b"null".to_vec())),
        ("operator", "get", "/v1/acts/{act}", None),
        ("operator", "get", "/v1/retention", None),
        ("operator", "get", "/healthz", None),
        ("operator", "get", "/readyz", None),
        ("operator", "get", "/metrics", None),
    ] {
        assert_eq!(ask(caller, method, path, body), 200, "{caller} {method} {path}");
        done.insert((method.to_uppercase(), path.to_owned()));
    }
    assert_eq!(done, routed(), "each route has answered");
    // and so it refuses
    for (caller, method, path, body, status) in [
        (OTHER_OFFICE, "get", "/v1/commissions/{commission}", None, 404),
        (OTHER_OFFICE, "put", "/v1/commissions/{commission}/encodings/{part}", Some(b"[]".to_vec()), 404),
        (OFFICE, "post", "/v1/commissions", Some(b"{}".to_vec()), 400),
        (OFFICE, "post", "/v1/commissions/{commission}/withdrawal", header(), 403),
        ("bank", "get", "/v1/log", None, 403),
        ("deputy", "post", "/v1/acts/{act}/approval", Some(b"null".to_vec()), 403),
        ("operator", "post", "/v1/acts", Some(br#"{"deed":{"do":"erase-agency","agency":"nobody"}}"#.to_vec()), 400),
        ("bank", "get", "/metrics", None, 403),
        (OFFICE, "get", "/v1/commissions/{commission}?after=x", None, 400),
        ("bank", "get", "/v1/batches/{batch}?wait=abc", None, 400),
        ("vehicle", "get", "/v1/notices?skip=-1", None, 400),
        ("auditor", "get", "/v1/log?from=x", None, 400),
    ] {
        assert_eq!(ask(caller, method, path, body), status, "{caller} {method} {path}");
    }
}

#[test]
fn what_is_not_as_described_is_found() {
    let document = document();
    let wrong = br#"{"batch":"xyz","state":"indexed","missing":[]}"#;
    let found = std::panic::catch_unwind(|| {
        answers_as_described(&document, "get", "/v1/batches/{batch}", 200, "application/json", wrong);
    });
    assert!(found.is_err());
}

/// Stands where something else belongs, and must not come back.
const PLANTED: &str = "abc77";

#[test]
fn what_does_not_read_is_refused_with_a_problem_and_stands_in_the_log() {
    let project = Project::new();
    project.issue("auditor", "auditor");
    let server = project.server();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let refused = |caller: &str, method: &str, url: &str| {
        let client = client(&project, caller);
        let (receipt, kind, body) = runtime.block_on(async {
            let answer = client.request(method.parse().unwrap(), url).send().await.unwrap();
            let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
            (header("hedui-receipt"), header("content-type"), answer.text().await.unwrap())
        });
        assert_eq!(kind.as_deref(), Some(MEDIA_TYPE), "{method} {url}: {body}");
        let problem: Problem = serde_json::from_str(&body).unwrap();
        let entry = receipt.and_then(|receipt| Receipt::from_header(&receipt).unwrap().entry);
        let entry = entry.map_or_else(String::new, |inclusion| inclusion.entry);
        assert!(!body.contains(PLANTED) && !entry.contains(PLANTED), "{method} {url}: {body} {entry}");
        let logged = entry.contains("\"what\":\"refused\"") && entry.contains(problem.kind.uri());
        assert_eq!(logged, url.starts_with(&server.parties), "{method} {url}: {entry}");
        problem
    };
    for operation in operations(&mut SchemaGenerator::default()) {
        let Operation { method, path, role, query, .. } = operation;
        let caller = match role {
            "agency or office" | "agency" => "bank",
            "office" => OFFICE,
            other => other,
        };
        let base = if path.starts_with("/v1/") { &server.parties } else { &server.operator };
        let id = "0".repeat(64);
        let mut url = format!("{base}{path}");
        for (name, nobodys) in
            [("{batch}", &*id), ("{commission}", &id), ("{number}", "0"), ("{part}", "0"), ("{act}", "7")]
        {
            url = url.replace(name, nobodys);
        }
        let method = method.to_uppercase();
        for (name, _) in query {
            for value in [PLANTED, "-1", "1.5", "", "99999999999999999999", "1&NAME=2"] {
                let asked = format!("{url}?{name}={}", value.replace("NAME", name));
                let problem = refused(caller, &method, &asked);
                assert_eq!(problem.status, 400, "{method} {asked}: {}", problem.detail);
                let says = if value.contains('&') { "twice".to_owned() } else { format!("`{name}`") };
                assert!(problem.detail.contains(&says), "{method} {asked}: {}", problem.detail);
            }
        }
        for named in path.split('/').filter(|part| part.starts_with('{')) {
            for value in [PLANTED, "%ff", "-1"] {
                let asked = format!("{base}{}", path.replace(named, value).replace(['{', '}'], ""));
                let problem = refused(caller, &method, &asked);
                assert!(matches!(problem.status, 400 | 404), "{method} {asked}: {}", problem.detail);
            }
        }
        for other in ["DELETE", PLANTED] {
            assert_eq!(refused(caller, other, &url).status, 405, "{other} {url}");
        }
    }
    for base in [&server.parties, &server.operator] {
        assert_eq!(refused("operator", "GET", &format!("{base}/{PLANTED}")).status, 404);
    }
    // a party at the operator's port hears nothing of it but that it is not its
    for path in ["metrics", "readyz", PLANTED] {
        assert_eq!(refused("bank", "GET", &format!("{}/{path}", server.operator)).status, 403);
    }
    export(&project, "log").done();
    let told = run(&["audit", "search", &project.text("log"), "--what", "refused", "--agency", "bank"]).done().stdout;
    for path in ["/metrics", "/readyz", ""] {
        let line = format!("REFUSED Org bank (agency) GET {path}: urn:hedui:problem:forbidden");
        assert_eq!(told.matches(&line).count(), 1, "{line}: {told}");
    }
}
