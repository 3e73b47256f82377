//! The typed client: one request a call, sent again while the server is down, slow or restarting.

use std::sync::Arc;
use std::time::Duration;

use hedui_protocol::log::{CHECKPOINT_HEADER, Checkpoint, Event, RECEIPT_HEADER};
use hedui_protocol::messages::MANIFEST_HEADER;
use hedui_protocol::problem::{MEDIA_TYPE, Problem, ProblemKind};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use rustls::AlertDescription;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::tls::Identity;
use super::witness::Witness;
use crate::failure::{Failure, Outcome};

/// Longest wait for one answer.
const TIMEOUT: Duration = Duration::from_secs(120);
/// Waits between attempts: doubling from the first to the last.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LAST_WAIT: Duration = Duration::from_secs(5);

/// A connection to one linkage server, as one party.
#[derive(Clone)]
pub struct Client {
    base: String,
    http: reqwest::Client,
    witness: Arc<Witness>,
    /// How long to go on trying while the server does not answer.
    patience: Duration,
}

/// Why one attempt failed.
enum Miss {
    /// The server may answer next time.
    Passing(String),
    /// A refusal that the log does not have. Whose certificate no longer holds is told so once, and then in the handshake.
    Unproved(Failure),
    Final(Failure),
}

impl Client {
    /// `witness` is asked for once the certificate is there: a mistyped name begins no file of receipts.
    pub fn new(
        base: &str,
        identity: &Identity,
        patience: Duration,
        witness: impl FnOnce() -> Outcome<Witness>,
    ) -> Outcome<Self> {
        let http = connection(base, identity)?;
        Ok(Self { base: base.trim_end_matches('/').to_owned(), http, witness: Arc::new(witness()?), patience })
    }

    /// How long to go on trying while the server cannot do what is asked.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    pub async fn get<A: DeserializeOwned>(&self, path: &str) -> Outcome<A> {
        self.send(Method::GET, path, |request| request).await.map(|(answer, _)| answer)
    }

    /// An answer that the server must have logged: `says` is asked whether the log says what was done.
    pub async fn get_logged<A: DeserializeOwned>(&self, path: &str, says: impl Fn(&Event) -> bool) -> Outcome<A> {
        self.logged(self.send(Method::GET, path, |request| request).await?, says)
    }

    pub async fn post<A: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Outcome<A> {
        self.send_json(Method::POST, path, body).await.map(|(answer, _)| answer)
    }

    /// What the server must have logged: `says` is asked whether the log says what was done.
    pub async fn post_logged<A: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        says: impl Fn(&Event) -> bool,
    ) -> Outcome<A> {
        self.logged(self.send_json(Method::POST, path, body).await?, says)
    }

    pub async fn put_json<A: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Outcome<A> {
        self.send_json(Method::PUT, path, body).await.map(|(answer, _)| answer)
    }

    async fn send_json<A: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Outcome<(A, Option<Event>)> {
        let body = serde_json::to_vec(body).expect("messages have only string keys");
        let body = bytes::Bytes::from(body);
        let with_body = |request: RequestBuilder| request.header(CONTENT_TYPE, "application/json").body(body.clone());
        self.send(method, path, with_body).await
    }

    fn logged<A>(&self, (answer, event): (A, Option<Event>), says: impl Fn(&Event) -> bool) -> Outcome<A> {
        match event {
            Some(event) if says(&event) => Ok(answer),
            Some(event) => Err(self.witness.told_otherwise(event.what())),
            None => Err(self.witness.missing()),
        }
    }

    /// The newest receipt that proves something, as the party keeps it: a line of JSON.
    #[cfg(feature = "operator")]
    pub fn receipt_of(&self, proves: impl Fn(&Event) -> bool) -> Outcome<Vec<u8>> {
        self.witness.receipt_of(proves)?.ok_or_else(|| self.witness.missing())
    }

    pub async fn put<A: DeserializeOwned>(&self, path: &str, body: bytes::Bytes) -> Outcome<A> {
        let octets = "application/octet-stream";
        let with_body = |request: RequestBuilder| request.header(CONTENT_TYPE, octets).body(body.clone());
        self.send(Method::PUT, path, with_body).await.map(|(answer, _)| answer)
    }

    /// Every request is safe to send again; so it is, until it is answered or patience ends. The answer, and what the log
    /// says of it.
    async fn send<A: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Outcome<(A, Option<Event>)> {
        let started = tokio::time::Instant::now();
        let (mut wait, mut unproved) = (FIRST_WAIT, 0);
        let name = format!("{method} {path}");
        loop {
            let seen = self.witness.seen();
            let request = self.http.request(method.clone(), format!("{}{path}", self.base));
            let request = request.header(CHECKPOINT_HEADER, seen.map_or(0, |seen| seen.size));
            let request = request.header(MANIFEST_HEADER, self.witness.manifest().to_string());
            let miss = match body(request).send().await {
                Ok(response) => self.read(response, &name, seen).await,
                Err(error) => Err(self.unreachable(&error)),
            };
            match miss {
                Ok(answer) => return Ok(answer),
                Err(Miss::Unproved(_)) if unproved == 0 => unproved += 1,
                Err(Miss::Final(failure) | Miss::Unproved(failure)) => return Err(failure),
                Err(Miss::Passing(why)) if started.elapsed() + wait > self.patience => {
                    return Err(Failure::try_again(format!("{}: {why}", self.base))
                        .hint("run the same command again when the server answers; it goes on where it stopped"));
                }
                Err(Miss::Passing(why)) => {
                    tracing::warn!("The server does not answer, trying again in {wait:?}: {why}");
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(LAST_WAIT);
                }
            }
        }
    }

    async fn read<A: DeserializeOwned>(
        &self,
        response: Response,
        request: &str,
        seen: Option<Checkpoint>,
    ) -> Result<(A, Option<Event>), Miss> {
        let status = response.status();
        let receipt = response.headers().get(RECEIPT_HEADER).cloned();
        let is_problem = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == MEDIA_TYPE);
        let body = response.bytes().await.map_err(|e| Miss::Passing(words(&e)))?;
        let problem = is_problem.then(|| serde_json::from_slice::<Problem>(&body).ok()).flatten();
        let elsewhere = problem.as_ref().is_some_and(|problem| problem.kind == ProblemKind::ManifestMismatch);
        // a server of another manifest has another log
        let receipt = receipt.filter(|_| !elsewhere);
        let event = receipt.map(|receipt| self.witness.check(request, receipt.to_str().unwrap_or_default(), seen));
        let event = event.transpose().map_err(Miss::Final)?;
        if status.is_success() {
            let event = event.ok_or_else(|| Miss::Final(self.witness.missing()))?;
            let answer = serde_json::from_slice(&body).map_err(|e| {
                let place = format!("line {}, column {}", e.line(), e.column());
                Miss::Final(Failure::refused(format!("{}: the answer does not read: {place}", self.base)))
            });
            return answer.map(|answer| (answer, event));
        }
        Err(match problem {
            Some(problem) if problem.kind == ProblemKind::StorageFull => {
                let full = Failure::try_again(format!("{}: {}", self.base, problem.detail));
                Miss::Final(full.hint("run the same command again when there is room; it goes on where it stopped"))
            }
            Some(problem) if matches!(problem.kind, ProblemKind::Internal | ProblemKind::TooManyRequests) => {
                Miss::Passing(problem.detail)
            }
            Some(problem) => {
                let kind = problem.kind;
                let is_entered =
                    |event: &Event| matches!(event, Event::Refused { problem, .. } if problem == kind.uri());
                match event {
                    None if !elsewhere => Miss::Unproved(self.witness.unproved(&problem.detail)),
                    Some(None) if kind.is_refusal() => Miss::Unproved(self.witness.unproved(&problem.detail)),
                    Some(Some(event)) if kind.is_refusal() && !is_entered(&event) => {
                        Miss::Final(self.witness.told_otherwise(event.what()))
                    }
                    _ => Miss::Final(Failure { problem: Some(kind), ..Failure::refused(problem.detail) }),
                }
            }
            None if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT => {
                Miss::Passing(format!("the server answered {status}"))
            }
            None => Miss::Final(Failure::refused(format!("{}: the server answered {status}", self.base))),
        })
    }

    fn unreachable(&self, error: &reqwest::Error) -> Miss {
        let words = words(error);
        if causes(error).any(refuses_the_certificate) {
            return Miss::Final(
                Failure::refused(format!("{}: {words}", self.base)).hint(
                    "check `--tls-cert`, `--tls-key` and `--tls-ca`: both sides must trust the other's authority",
                ),
            );
        }
        Miss::Passing(words)
    }
}

fn connection(base: &str, identity: &Identity) -> Outcome<reqwest::Client> {
    if !base.starts_with("https://") {
        return Err(Failure::usage(format!("`{base}` is no https:// address")));
    }
    reqwest::Client::builder()
        .tls_backend_preconfigured(identity.client()?)
        .https_only(true)
        .no_proxy()
        .connect_timeout(Duration::from_secs(10))
        .timeout(TIMEOUT)
        .build()
        .map_err(|e| Failure::refused(format!("cannot set up TLS: {e}")))
}

/// A page of the operator's port, which is plain text: metrics, for one.
pub async fn operators_page(base: &str, identity: &Identity, path: &str) -> Outcome<String> {
    let response = connection(base, identity)?.get(format!("{base}{path}")).send().await;
    let text = match response.and_then(Response::error_for_status) {
        Ok(response) => response.text().await,
        Err(error) => Err(error),
    };
    text.map_err(|e| Failure::try_again(format!("{base}: {}", words(&e))))
}

/// Either side's word that the other's certificate will not do: trying again does not help.
fn refuses_the_certificate(cause: &(dyn std::error::Error + 'static)) -> bool {
    matches!(
        tls_error(cause),
        Some(
            rustls::Error::InvalidCertificate(_)
                | rustls::Error::NoCertificatesPresented
                | rustls::Error::PeerIncompatible(_)
                | rustls::Error::AlertReceived(
                    AlertDescription::BadCertificate
                        | AlertDescription::UnsupportedCertificate
                        | AlertDescription::CertificateRevoked
                        | AlertDescription::CertificateExpired
                        | AlertDescription::CertificateUnknown
                        | AlertDescription::CertificateRequired
                        | AlertDescription::UnknownCA
                        | AlertDescription::AccessDenied
                        | AlertDescription::DecryptError
                        | AlertDescription::HandshakeFailure
                )
        )
    )
}

/// I/O errors hold the TLS error inside, one within another; `source` passes over what they hold.
fn tls_error<'e>(cause: &'e (dyn std::error::Error + 'static)) -> Option<&'e rustls::Error> {
    let held = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    cause.downcast_ref().or_else(|| held.and_then(|held| tls_error(held)))
}

fn causes<'e>(
    error: &'e (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'e (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |cause| cause.source())
}

/// The innermost cause, which says what happened.
fn words(error: &reqwest::Error) -> String {
    causes(error).last().map(ToString::to_string).unwrap_or_default()
}
