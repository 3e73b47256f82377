//! Certificates that are revoked, end, or are replaced while the server runs; and what it refuses of them.

use std::fs::Permissions;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use hedui::transport::tls::Identity;
use rcgen::{
    CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose, Issuer, KeyIdMethod, KeyPair,
    SerialNumber,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::Runtime;
use tokio_rustls::client::TlsStream;

use crate::administered::acts;
use crate::doctor::sqlite;
use crate::harness::{OFFICE, Project, Said, Server, run, signal, until};
use crate::journey::files;

/// A project, its server that goes by a revocation list, and a runtime for clients.
struct Scene {
    project: Project,
    server: Server,
    runtime: Runtime,
}

impl Scene {
    /// The authority's list revokes nobody yet.
    fn new() -> Self {
        let project = Project::new();
        run(&["pki", "crl", &project.text("pki")]).done();
        Self::with(project)
    }

    fn with(project: Project) -> Self {
        let mut command = Server::command(&project, "server", "127.0.0.1:0");
        command.args(["--tls-crl", &project.text("pki/ca.crl")]);
        let server = Server::spawn(&project, command);
        Self { project, server, runtime: Runtime::new().unwrap() }
    }

    fn pki(&self, arguments: &[&str]) -> Said {
        pki(&self.project, arguments)
    }

    /// A client that has no connection yet.
    fn client(&self, party: &str) -> reqwest::Client {
        let tls = identity(&self.project, party).client().unwrap();
        reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build().unwrap()
    }

    /// What a route of the server's answers; none: the connection was refused.
    fn ask(&self, client: &reqwest::Client, url: &str) -> Option<(u16, String)> {
        let url = url.to_owned();
        self.runtime.block_on(async {
            let answer = client.get(url).send().await.ok()?;
            Some((answer.status().as_u16(), answer.text().await.ok()?))
        })
    }

    fn status(&self, client: &reqwest::Client) -> Option<u16> {
        self.ask(client, &format!("{}/v1/project", self.server.parties)).map(|(status, _)| status)
    }

    /// A connection that was open before is told so; it is not another one.
    #[track_caller]
    fn is_forbidden(&self, client: &reqwest::Client, url: &str) {
        let (status, problem) = self.ask(client, url).expect("the connection is open still");
        assert_eq!(status, 403, "{problem}");
        assert!(problem.contains("urn:hedui:problem:forbidden"), "{problem}");
        assert!(problem.contains("the certificate of this connection no longer holds"), "{problem}");
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.server.log).unwrap()
    }

    /// Waits until the log has told something so often.
    #[track_caller]
    fn told(&self, words: &str, times: usize) {
        self.told_at_least(words, times);
        assert_eq!(self.log().matches(words).count(), times, "{words}");
    }

    /// Waits until the log has told something so often, or more: a client that hears of no reason may try again by itself.
    #[track_caller]
    fn told_at_least(&self, words: &str, times: usize) {
        let began = Instant::now();
        while self.log().matches(words).count() < times {
            assert!(began.elapsed() < Duration::from_secs(10), "`{words}` is not in: {}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// A party's connection, just made.
    async fn connect(&self, party: &str) -> TlsStream<tokio::net::TcpStream> {
        let tls = identity(&self.project, party).client().unwrap();
        let stream = tokio::net::TcpStream::connect(self.server.address()).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(tls));
        connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap()
    }

    /// The certificate that a new client is shown.
    fn shown(&self) -> CertificateDer<'static> {
        let stream = self.runtime.block_on(self.connect("bank"));
        stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
    }

    fn runs_on(&mut self) {
        assert_eq!(self.server.child.try_wait().unwrap(), None, "the server was not to be restarted");
    }
}

fn pki(project: &Project, arguments: &[&str]) -> Said {
    let (verb, rest) = arguments.split_first().unwrap();
    run(&[&["pki", verb, &project.text("pki")], rest].concat())
}

fn file(project: &Project, name: &str) -> PathBuf {
    project.path("pki").join(name)
}

fn identity(project: &Project, party: &str) -> Identity {
    Identity {
        certificate: file(project, &format!("{party}.crt")),
        key: file(project, &format!("{party}.key")),
        ca: file(project, "ca.crt"),
    }
}

fn certificate(project: &Project, name: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(file(project, &format!("{name}.crt"))).unwrap()
}

/// The authority in a folder of the project, to sign what `hedui pki` does not.
fn authority(project: &Project, folder: &str) -> Issuer<'static, KeyPair> {
    let text = |name: &str| std::fs::read_to_string(project.path(folder).join(name)).unwrap();
    Issuer::from_ca_cert_pem(&text("ca.crt"), KeyPair::from_pem(&text("ca.key")).unwrap()).unwrap()
}

/// A certificate and key of the bank's for this use, which holds from and until so many seconds from now.
pub fn issued(project: &Project, name: &str, usage: ExtendedKeyUsagePurpose, holds: Range<i64>) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::OrganizationName, "Org bank");
    params.distinguished_name.push(DnType::OrganizationalUnitName, "agency");
    params.extended_key_usages = vec![usage];
    params.not_before = from_now(holds.start).into();
    params.not_after = from_now(holds.end).into();
    let certificate = params.signed_by(&key, &authority(project, "pki")).unwrap();
    std::fs::write(file(project, &format!("{name}.crt")), certificate.pem()).unwrap();
    let path = file(project, &format!("{name}.key"));
    // for its mode
    std::fs::copy(file(project, "bank.key"), &path).unwrap();
    std::fs::write(path, key.serialize_pem()).unwrap();
}

fn from_now(seconds: i64) -> SystemTime {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 { SystemTime::now() - distance } else { SystemTime::now() + distance }
}

/// A list that revokes nobody, and ends so many seconds from now.
fn list(authority: &Issuer<'static, KeyPair>, seconds: i64) -> String {
    let params = CertificateRevocationListParams {
        this_update: from_now(-86_400).into(),
        next_update: from_now(seconds).into(),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: vec![],
        key_identifier_method: KeyIdMethod::Sha256,
    };
    params.signed_by(authority).unwrap().pem().unwrap()
}

const TAKEN_UP: &str = "The certificate files were taken up anew";
const KEPT: &str = "The certificate files are of no use, the former ones stay";

#[test]
fn who_is_revoked_while_the_server_runs_is_refused_and_others_are_served() {
    let mut scene = Scene::new();
    let (_, data, _) = files(&scene.project);
    scene.project.encode("bank", &data, "bank").done();
    let (bank, vehicle, operator) = (scene.client("bank"), scene.client("vehicle"), scene.client("operator"));
    let others = [scene.client("bank"), scene.client("bank")];
    assert!(others.iter().all(|other| scene.status(other) == Some(200)));
    let operators = format!("{}/healthz", scene.server.operator);
    assert_eq!((scene.status(&bank), scene.status(&vehicle)), (Some(200), Some(200)));
    assert_eq!(scene.ask(&operator, &operators).unwrap().0, 200);

    scene.pki(&["revoke", "bank"]).done();
    scene.told(TAKEN_UP, 1);
    // connections that were open, and then end; the same client's next one, which might resume its session; another client's
    scene.is_forbidden(&bank, &format!("{}/v1/project", scene.server.parties));
    scene.is_forbidden(&others[0], &format!("{}/no/such/route", scene.server.parties));
    scene.told_at_least("Certificates no longer held, their connections were ended: ", 1);
    // what it sends has no effect either
    let header = std::fs::read(scene.project.path("bank/batch.json")).unwrap();
    let sent = others[1].post(format!("{}/v1/batches", scene.server.parties)).body(header).send();
    assert_eq!(scene.runtime.block_on(sent).unwrap().status(), 403);
    let metrics = scene.ask(&operator, &format!("{}/metrics", scene.server.operator)).unwrap().1;
    assert!(metrics.contains("# TYPE hedui_batches") && !metrics.contains("hedui_batches{"), "{metrics}");
    assert_eq!(scene.ask(&bank, &operators), None, "a new connection, to the other port");
    assert_eq!(scene.status(&scene.client("bank")), None);
    assert_eq!(scene.status(&bank), None, "the connection that it had has ended");
    scene.told_at_least("TLS handshakes failed: ", 1);
    scene.told_at_least(", the last: invalid peer certificate: Revoked", 2);
    assert_eq!((scene.status(&vehicle), scene.status(&scene.client(OFFICE))), (Some(200), Some(200)));

    // the next one is added to the list; a new certificate of the first lets it in again
    scene.pki(&["revoke", "operator"]).done();
    scene.told(TAKEN_UP, 2);
    scene.is_forbidden(&operator, &operators);
    assert_eq!(scene.ask(&scene.client("operator"), &operators), None);
    assert_eq!(scene.status(&scene.client("bank")), None, "what was revoked stays so");
    scene.pki(&["issue", "bank", "--organisation", "Org bank", "--role", "agency", "--renew"]).done();
    assert_eq!(scene.status(&scene.client("bank")), Some(200));
    assert_eq!(scene.status(&bank), None, "the former one stays refused");
    scene.runs_on();
}

#[test]
fn who_is_revoked_is_answered_once_on_a_connection_that_is_open() {
    let scene = Scene::new();
    let mut stream = scene.runtime.block_on(scene.connect("bank"));
    scene.pki(&["revoke", "bank"]).done();
    scene.told(TAKEN_UP, 1);
    let flood = "GET /v1/project HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(200);
    let (mut answers, since) = (Vec::new(), Instant::now());
    scene.runtime.block_on(async {
        // the server may end it before all is sent
        let _ = stream.write_all(flood.as_bytes()).await;
        let _ = stream.read_to_end(&mut answers).await;
    });
    let answers = String::from_utf8_lossy(&answers);
    assert_eq!(answers.matches("HTTP/1.1 403").count(), 1, "{answers}");
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    scene.told("no longer held", 1);
}

#[test]
fn a_request_that_outlasts_its_certificate_is_not_answered() {
    let scene = Scene::new();
    let answer = |revoked: bool| {
        let mut stream = scene.runtime.block_on(scene.connect(OFFICE));
        let head = "POST /v1/commissions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n";
        scene.runtime.block_on(stream.write_all(head.as_bytes())).unwrap();
        if revoked {
            // the server has read the head long before
            std::thread::sleep(Duration::from_millis(500));
            scene.pki(&["revoke", OFFICE]).done();
            scene.told(TAKEN_UP, 1);
        }
        let mut answer = String::new();
        scene.runtime.block_on(stream.write_all(b"{}")).unwrap();
        scene.runtime.block_on(stream.read_to_string(&mut answer)).unwrap();
        answer
    };
    let before = answer(false);
    assert!(before.starts_with("HTTP/1.1 4") && before.contains("urn:hedui:problem:malformed"), "{before}");
    let after = answer(true);
    assert!(after.starts_with("HTTP/1.1 403") && after.contains("no longer holds"), "{after}");
}

#[test]
fn a_new_server_certificate_is_shown_without_a_restart_and_a_useless_one_is_not_taken_up() {
    let mut scene = Scene::new();
    let kept_open = scene.client("vehicle");
    assert_eq!(scene.status(&kept_open), Some(200));
    let first = certificate(&scene.project, "server");
    assert_eq!(scene.shown(), first);
    let renew = ["issue", "server", "--organisation", "Org server", "--role", "server", "--renew"];
    scene.pki(&renew).done();
    let second = certificate(&scene.project, "server");
    assert_ne!(first, second);
    scene.told(TAKEN_UP, 1);
    assert_eq!(scene.shown(), second);
    assert_eq!(scene.status(&kept_open), Some(200), "an open connection goes on");

    // another's certificate, a torn file, an empty list: told once each, and nothing changes
    let path = file(&scene.project, "server.crt");
    let whole = std::fs::read(&path).unwrap();
    std::fs::copy(file(&scene.project, "bank.crt"), &path).unwrap();
    scene.told("cannot be used together", 1);
    std::thread::sleep(Duration::from_secs(5));
    scene.told(KEPT, 1);
    std::fs::write(&path, &whole[..100]).unwrap();
    scene.told("server.crt: no certificate in PEM form", 1);
    assert_eq!(scene.shown(), second);
    // whoever asks is told again
    signal(&scene.server.child, "HUP");
    scene.told("server.crt: no certificate in PEM form", 2);
    std::fs::write(file(&scene.project, "ca.crl"), "").unwrap();
    scene.told("ca.crl: no revocation list in PEM form", 1);
    assert_eq!(scene.shown(), second);
    assert_eq!(scene.status(&scene.client("bank")), Some(200));

    scene.pki(&["crl"]).refused(1, "not a revocation list of this authority");
    std::fs::remove_file(file(&scene.project, "ca.crl")).unwrap();
    scene.pki(&["crl"]).done();
    std::fs::write(&path, &whole).unwrap();
    scene.told(TAKEN_UP, 2);
    // SIGHUP does not wait for a change
    signal(&scene.server.child, "HUP");
    scene.told(TAKEN_UP, 3);
    // a mode is a change as well
    let mode = |mode| {
        std::fs::set_permissions(file(&scene.project, "server.key"), Permissions::from_mode(mode)).unwrap();
    };
    mode(0o644);
    scene.told("server.key: the key file is readable by others", 1);
    mode(0o600);
    scene.told(TAKEN_UP, 4);
    assert_eq!(scene.status(&kept_open), Some(200));
    scene.runs_on();
}

#[test]
fn what_a_server_takes_up_stands_in_the_log_once() {
    let mut scene = Scene::new();
    let entered = || acts(&scene.project);
    let first = entered();
    assert_eq!(first.len(), 1, "{first:?}");
    scene.pki(&["revoke", "vehicle"]).done();
    until(|| entered().len() == 2);
    scene.pki(&["issue", "server", "--organisation", "Org server", "--role", "server", "--renew"]).done();
    until(|| entered().len() == 3);
    let all = entered();
    assert!(all[1].starts_with("a server serves with rate 500, ") && all[1] != all[0], "{all:?}");
    assert!(all[2].starts_with("a server took up another certificate of its own"), "{all:?}");
    // the same files again are nothing new, not even where they are read while they are written, and neither is time that
    // passes
    scene.told(TAKEN_UP, 2);
    let list = file(&scene.project, "ca.crl");
    let same = std::fs::read(&list).unwrap();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(4) {
        signal(&scene.server.child, "HUP");
        std::fs::write(&list, &same).unwrap();
    }
    scene.told_at_least(TAKEN_UP, 3);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(entered(), all);
    scene.runs_on();
}

#[test]
fn what_was_in_force_for_a_moment_stands_in_the_log() {
    let project = Project::new();
    let server = project.server();
    let mut scene = Scene { project, server, runtime: Runtime::new().unwrap() };
    run(&["pki", "init", &scene.project.text("other")]).done();
    let (own, other) = (text_of(&scene.project, "pki/ca.crt"), text_of(&scene.project, "other/ca.crt"));
    let trusting = |scene: &Scene, authorities: &str, times| {
        let new = scene.project.write("new.crt", authorities);
        std::fs::rename(new, file(&scene.project, "ca.crt")).unwrap();
        signal(&scene.server.child, "HUP");
        scene.told_at_least(TAKEN_UP, times);
    };
    for round in 0..3 {
        trusting(&scene, &format!("{own}{other}"), 2 * round + 1);
        trusting(&scene, &own, 2 * round + 2);
    }
    until(|| acts(&scene.project).len() == 7);
    let told = acts(&scene.project);
    assert!(told.iter().enumerate().all(|(at, act)| *act == told[at % 2]) && told[0] != told[1], "{told:?}");
    // and what was in force at the end
    trusting(&scene, &format!("{own}{other}"), 7);
    scene.server.signal("TERM");
    assert_eq!(acts(&scene.project).last(), Some(&told[1]));
}

#[test]
fn what_could_not_be_entered_is_entered_once_it_can_be_and_once_only() {
    let scene = Scene::new();
    let before = acts(&scene.project);
    let refuse =
        "CREATE TRIGGER closed BEFORE INSERT ON log_entries WHEN instr(NEW.entry, CAST('another certificate' AS BLOB))
                  BEGIN SELECT RAISE(ABORT, 'the log is closed'); END";
    sqlite(&scene.project, refuse);
    // both are seen at one look
    signal(&scene.server.child, "STOP");
    scene.pki(&["revoke", "vehicle"]).done();
    scene.pki(&["issue", "server", "--organisation", "Org server", "--role", "server", "--renew"]).done();
    signal(&scene.server.child, "CONT");
    scene.told("What the server serves with could not be entered in the log", 1);
    std::thread::sleep(Duration::from_secs(3));
    let told = acts(&scene.project);
    assert_eq!(told.len(), before.len() + 1, "{told:?}");
    sqlite(&scene.project, "DROP TRIGGER closed");
    until(|| acts(&scene.project).len() == before.len() + 2);
    assert!(acts(&scene.project).last().unwrap().starts_with("a server took up another certificate of its own"));
}

#[test]
fn who_asks_for_new_certificates_while_a_server_starts_does_not_end_it() {
    let project = Project::new();
    let mut command = Server::command(&project, "server", "127.0.0.1:0");
    // nobody is there, and is waited for
    let mut child = command.args(["--database", "postgres://hedui@127.0.0.1:1/hedui"]).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(3));
    signal(&child, "HUP");
    assert_eq!(child.wait().unwrap().code(), Some(75));
}

#[test]
fn a_list_that_has_ended_refuses_everybody_until_a_newer_one_stands_there() {
    let project = Project::new();
    std::fs::write(file(&project, "ca.crl"), list(&authority(&project, "pki"), 5)).unwrap();
    let mut scene = Scene::with(project);
    let bank = scene.client("bank");
    assert_eq!(scene.status(&bank), Some(200));
    scene.told("The revocation list ends soon", 1);
    scene.told("The revocation list has ended, its authority's clients are refused", 1);
    scene.is_forbidden(&bank, &format!("{}/v1/project", scene.server.parties));
    assert_eq!(scene.status(&scene.client("vehicle")), None);
    scene.pki(&["crl", "--days", "8"]).done();
    scene.told(TAKEN_UP, 1);
    assert_eq!((scene.status(&bank), scene.status(&scene.client("vehicle"))), (Some(200), Some(200)));
    scene.told("The revocation list ends soon", 1);
    scene.runs_on();
}

#[test]
fn a_connection_whose_certificate_has_ended_is_not_answered() {
    let project = Project::new();
    issued(&project, "short", ExtendedKeyUsagePurpose::ClientAuth, -60..6);
    let server = project.server();
    let scene = Scene { project, server, runtime: Runtime::new().unwrap() };
    let short = scene.client("short");
    assert_eq!(scene.status(&short), Some(200));
    std::thread::sleep(Duration::from_secs(7));
    scene.is_forbidden(&short, &format!("{}/v1/project", scene.server.parties));
    assert_eq!(scene.status(&scene.client("short")), None);
    assert_eq!(scene.status(&scene.client("bank")), Some(200));
}

#[test]
fn an_authority_is_followed_and_one_without_a_list_vouches_for_nobody() {
    let project = Project::new();
    run(&["pki", "init", &project.text("other")]).done();
    // the same name would be the same authority
    let text = |name: &str| std::fs::read_to_string(project.path(name)).unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "another authority");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign, rcgen::KeyUsagePurpose::CrlSign];
    let another = params.self_signed(&KeyPair::from_pem(&text("other/ca.key")).unwrap()).unwrap();
    std::fs::write(project.path("other/ca.crt"), another.pem()).unwrap();
    run(&["pki", "issue", &project.text("other"), "vehicle", "--organisation", "Org vehicle", "--role", "agency"])
        .done();
    run(&["pki", "crl", &project.text("pki")]).done();
    let (own, other) = (text("pki/ca.crt"), text("other/ca.crt"));

    let scene = Scene::with(project);
    let bank = scene.client("bank");
    assert_eq!(scene.status(&bank), Some(200));
    for name in ["vehicle.crt", "vehicle.key"] {
        std::fs::copy(scene.project.path("other").join(name), file(&scene.project, name)).unwrap();
    }
    // the client goes by a file of its own
    std::fs::write(scene.project.path("kept.crt"), &own).unwrap();
    let server_ca = file(&scene.project, "ca.crt");
    let trusting = |authorities: &str, times| {
        std::fs::write(&server_ca, authorities).unwrap();
        scene.told(TAKEN_UP, times);
    };
    let vehicle = || {
        let identity = Identity { ca: scene.project.path("kept.crt"), ..identity(&scene.project, "vehicle") };
        let tls = identity.client().unwrap();
        reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build().unwrap()
    };
    trusting(&format!("{own}{other}"), 1);
    assert_eq!(scene.status(&vehicle()), None, "its authority has no list");
    scene.told_at_least("invalid peer certificate: UnknownRevocationStatus", 1);
    let lists = text_of(&scene.project, "pki/ca.crl") + &list(&authority(&scene.project, "other"), 86_400);
    std::fs::write(file(&scene.project, "ca.crl"), lists).unwrap();
    scene.told(TAKEN_UP, 2);
    assert_eq!(scene.status(&vehicle()), Some(200), "it has one now");
    assert_eq!(scene.status(&bank), Some(200));
    trusting(&other, 3);
    scene.is_forbidden(&bank, &format!("{}/v1/project", scene.server.parties));
}

fn text_of(project: &Project, name: &str) -> String {
    std::fs::read_to_string(project.path(name)).unwrap()
}

#[test]
fn a_list_that_is_none_or_ended_or_anothers_is_said_before_anything_runs() {
    let project = Project::new();
    let check = |crl: &str| {
        let mut command = Server::command(&project, "server", "127.0.0.1:0");
        Said::of(&command.args(["--check", "--tls-crl", &project.text(crl)]).output().unwrap())
    };
    run(&["pki", "init", &project.text("other")]).done();
    check("no.crl").refused(1, "no.crl: cannot read");
    for (name, text) in [
        ("empty.crl", String::new()),
        ("certificate.crl", text_of(&project, "pki/ca.crt")),
        ("torn.crl", "-----BEGIN X509 CRL-----\nMIIB\n-----END X509 CRL-----\n".into()),
        ("ended.crl", list(&authority(&project, "pki"), -60)),
        ("soon.crl", list(&authority(&project, "pki"), 6 * 86_400)),
        ("others.crl", list(&authority(&project, "other"), 86_400)),
        ("good.crl", list(&authority(&project, "pki"), 8 * 86_400)),
    ] {
        project.write(name, text);
    }
    check("empty.crl").refused(1, "empty.crl: no revocation list in PEM form");
    check("certificate.crl").refused(1, "certificate.crl: no revocation list in PEM form");
    check("torn.crl").refused(1, "torn.crl: the revocation list does not read");
    check("ended.crl").refused(1, "ended.crl: the revocation list ended at");
    check("others.crl").refused(1, "the authority of this name has not signed the revocation list");
    check("soon.crl").done();
    check("good.crl").done();
    // nor does a server start on a list that is none
    let mut command = Server::command(&project, "server", "127.0.0.1:0");
    let said = Said::of(&command.args(["--tls-crl", &project.text("empty.crl")]).output().unwrap());
    said.refused(1, "empty.crl: no revocation list in PEM form");

    drop(project.server());
    let doctor = |crl: &str| run(&["server", "doctor", "--data", &project.text("server"), "--crl", &project.text(crl)]);
    assert!(doctor("good.crl").done().stdout.contains("good.crl: holds until"));
    for (name, words) in [
        ("soon.crl", "soon.crl ends at"),
        ("ended.crl", "ended.crl ended at"),
        ("empty.crl", "empty.crl: no revocation list"),
    ] {
        let said = doctor(name).refused(1, "1 thing is wrong");
        assert!(
            said.stdout.contains(&format!("WRONG  crl          {}", project.path(words).display())),
            "{}",
            said.stdout
        );
    }
}

#[test]
fn the_test_authority_replaces_and_revokes_what_it_has_issued_and_nothing_else() {
    let project = Project::new();
    let issue = ["issue", "bank", "--organisation", "Org bank", "--role", "agency"];
    pki(&project, &issue).refused(1, "exists already");
    let before = certificate(&project, "bank");
    pki(&project, &[&issue[..], &["--renew"]].concat()).done();
    assert_ne!(certificate(&project, "bank"), before);
    identity(&project, "bank").client().expect("certificate and key belong together");

    // never its own certificate, a stranger's, or one that is not there
    run(&["pki", "init", &project.text("other")]).done();
    let other = project.text("other");
    run(&["pki", "issue", &other, "guest", "--organisation", "Org guest", "--role", "auditor"]).done();
    std::fs::copy(project.path("other/guest.crt"), file(&project, "guest.crt")).unwrap();
    let own = std::fs::read(file(&project, "ca.crt")).unwrap();
    for name in ["ca", "guest"] {
        let renew = ["issue", name, "--organisation", "Org", "--role", "auditor", "--renew"];
        pki(&project, &renew).refused(1, "no certificate that the authority in");
        pki(&project, &["revoke", name]).refused(1, "no certificate that the authority in");
    }
    pki(&project, &["revoke", "nobody"]).refused(1, "nobody.crt: cannot read");
    assert_eq!(std::fs::read(file(&project, "ca.crt")).unwrap(), own);
    assert!(!file(&project, "ca.crl").exists());

    // many at once: nothing is lost; twice is once
    let mut running: Vec<_> = ["bank", "vehicle", "operator", OFFICE, "bank"]
        .map(|name| crate::harness::hedui().args(["pki", "revoke", &project.text("pki"), name]).spawn().unwrap())
        .into();
    assert!(running.iter_mut().all(|child| child.wait().unwrap().success()));
    pki(&project, &["crl", "--days", "90"]).done();
    let pem = std::fs::read(file(&project, "ca.crl")).unwrap();
    let (_, pem) = x509_parser::pem::parse_x509_pem(&pem).unwrap();
    let (_, list) = x509_parser::parse_x509_crl(&pem.contents).unwrap();
    let mut revoked: Vec<_> = list.iter_revoked_certificates().map(|entry| entry.raw_serial().to_vec()).collect();
    let serial = |name: &str| {
        let der = certificate(&project, name);
        x509_parser::parse_x509_certificate(&der).unwrap().1.raw_serial().to_vec()
    };
    let mut expected = ["bank", "vehicle", "operator", OFFICE].map(serial).to_vec();
    revoked.sort();
    expected.sort();
    assert_eq!(revoked, expected);
    assert!(expected.windows(2).all(|pair| pair[0] != pair[1] && pair[0].len() == 16));
    let days = (list.next_update().unwrap().timestamp() - list.last_update().timestamp()) / 86_400;
    assert_eq!((days, list.crl_number().unwrap().to_string().as_str()), (90, "6"));
    pki(&project, &["crl", "--days", "0"]).refused(2, "0 is not in 1..=65535");
}

#[test]
fn a_client_that_speaks_no_tls_1_3_is_told_so_and_gets_no_further() {
    let project = Project::new();
    let server = project.server();
    for url in [&server.parties, &server.operator] {
        let mut stream = TcpStream::connect(url.trim_start_matches("https://")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream.write_all(&client_hello_of_tls_1_2()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        // an alert, fatal, protocol_version; and nothing else
        assert_eq!((answer[0], &answer[3..]), (21, &[0, 2, 2, 70][..]), "{answer:?}");
    }
}

/// What a client of TLS 1.2 begins with: suites, curves and signatures that a server of today would take.
fn client_hello_of_tls_1_2() -> Vec<u8> {
    let extensions: [&[u8]; 4] = [
        // supported_groups: x25519, secp256r1; ec_point_formats: uncompressed
        &[0, 10, 0, 6, 0, 4, 0, 29, 0, 23],
        &[0, 11, 0, 2, 1, 0],
        // signature_algorithms: ECDSA, RSA-PSS and RSA with SHA-256
        &[0, 13, 0, 8, 0, 6, 4, 3, 8, 4, 4, 1],
        // extended_master_secret
        &[0, 23, 0, 0],
    ];
    let extensions = extensions.concat();
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    // no session; ECDHE with ECDSA or RSA, AES-128-GCM; no compression
    body.extend([0, 0, 4, 0xc0, 0x2b, 0xc0, 0x2f, 1, 0]);
    body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
    body.extend(extensions);
    let length = u16::try_from(body.len()).unwrap();
    let mut record = vec![22, 3, 1];
    record.extend((length + 4).to_be_bytes());
    record.extend([1, 0]);
    record.extend(length.to_be_bytes());
    record.extend(body);
    record
}
