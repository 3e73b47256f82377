//! A bucket of its own for a test: the S3 protocol, signed, over HTTP or TLS, on a temporary folder.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::header::CONTENT_LENGTH;
use axum::http::{Method, Request, Response};
use futures::stream;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::harness::Project;

const NAME: &str = "parts";
pub const SECRET: &str = "a-secret-that-nobody-may-read-elsewhere";

/// What is wrong with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is done, and so it says.
    Status(u16),
    /// It is done, and said so much later.
    Late(Duration),
    /// Nothing is done or said.
    Silent,
    /// It is done, and the connection ends before that is said.
    Lost,
    /// The body comes a byte a second,
    Drip,
    /// stops in the middle,
    Stall,
    /// ends there with the connection,
    Cut,
    /// ends there as if that were all,
    Short,
    /// or is whole, and one byte is another.
    Changed,
}

/// Which requests are answered wrongly from now on.
struct Trouble {
    /// None: all.
    method: Option<Method>,
    /// What stands in their query.
    query: &'static str,
    fault: Fault,
    left: u32,
}

pub struct Bucket {
    folder: tempfile::TempDir,
    endpoint: String,
    /// The authority that its certificate is of.
    pub ca: Option<String>,
    trouble: Arc<Mutex<Vec<Trouble>>>,
    /// Serves until it is dropped.
    _runtime: tokio::runtime::Runtime,
}

impl Bucket {
    pub fn start() -> Self {
        Self::serving("http", None)
    }

    /// Over TLS, with the server certificate of a project's authority.
    pub fn start_with_tls(project: &Project) -> Self {
        let pem = |name: &str| project.path("pki").join(name);
        let chain = CertificateDer::pem_file_iter(pem("server.crt")).unwrap().map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(pem("server.key")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let tls = tls.with_no_client_auth().with_single_cert(chain, key).unwrap();
        let bucket = Self::serving("https", Some(TlsAcceptor::from(Arc::new(tls))));
        Self { ca: Some(project.text("pki/ca.crt")), ..bucket }
    }

    fn serving(scheme: &str, tls: Option<TlsAcceptor>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(NAME)).unwrap();
        let mut service = S3ServiceBuilder::new(s3s_fs::FileSystem::new(folder.path()).unwrap());
        service.set_auth(SimpleAuth::from_single("hedui", SECRET));
        let service = service.build();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let endpoint = format!("{scheme}://{}", listener.local_addr().unwrap());
        let trouble = Arc::default();
        runtime.spawn(serve(listener, tls, service, Arc::clone(&trouble)));
        Self { folder, endpoint, ca: None, trouble, _runtime: runtime }
    }

    /// `hedui server run` with this bucket.
    pub fn arguments(&self, project: &Project) -> Vec<String> {
        let config = project.text("bucket.toml");
        let ca = self.ca.as_ref().map(|ca| format!("ca = \"{ca}\"\n")).unwrap_or_default();
        let settings = ca
            + &format!(
                "endpoint = \"{}\"\nregion = \"city-1\"\naccess_key_id = \"hedui\"\nsecret_access_key = \"{SECRET}\"\n",
                self.endpoint
            );
        std::fs::write(&config, settings).unwrap();
        std::fs::set_permissions(&config, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        vec!["--parts".into(), format!("s3://{NAME}/city"), "--parts-config".into(), config]
    }

    /// The files of the parts that it holds.
    pub fn parts(&self) -> Vec<PathBuf> {
        // the server's own files begin with a dot
        let is_part = |name: &str| name.starts_with(|first: char| first.is_ascii_digit());
        let mut found = Vec::new();
        let mut folders = vec![self.folder.path().join(NAME)];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
                match entry.file_type().unwrap().is_dir() {
                    true => folders.push(entry.path()),
                    false if is_part(&entry.file_name().to_string_lossy()) => found.push(entry.path()),
                    false => {}
                }
            }
        }
        found
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn fail(&self, requests: u32) {
        let all = Trouble { method: None, query: "", fault: Fault::Status(503), left: requests };
        *self.trouble.lock().unwrap() = vec![all];
    }

    /// So many requests of a method are answered wrongly.
    pub fn trouble(&self, method: Method, fault: Fault, requests: u32) {
        *self.trouble.lock().unwrap() = vec![Trouble { method: Some(method), query: "", fault, left: requests }];
    }

    /// So many requests of each kind are answered wrongly: of a part that comes in pieces its beginning, the pieces, its end.
    pub fn trouble_with_pieces(&self, fault: Fault, requests: u32) {
        let kinds = [(Method::POST, "uploads"), (Method::PUT, "partNumber="), (Method::POST, "uploadId=")];
        let trouble = |(method, query)| Trouble { method: Some(method), query, fault, left: requests };
        *self.trouble.lock().unwrap() = kinds.map(trouble).into();
    }

    pub fn heal(&self) {
        self.trouble.lock().unwrap().clear();
    }

    pub fn failures_left(&self) -> u32 {
        self.trouble.lock().unwrap().iter().map(|trouble| trouble.left).sum()
    }
}

impl Trouble {
    fn of(&mut self, method: &Method, query: &str) -> Option<Fault> {
        let concerns = self.method.as_ref().is_none_or(|own| own == method) && query.contains(self.query);
        (concerns && self.left > 0).then(|| {
            self.left -= 1;
            self.fault
        })
    }
}

async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, service: S3Service, trouble: Arc<Mutex<Vec<Trouble>>>) {
    loop {
        let Ok((socket, _)) = listener.accept().await else { return };
        let (service, trouble) = (service.clone(), Arc::clone(&trouble));
        let answer = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
            let (method, query) = (request.method(), request.uri().query().unwrap_or_default());
            let fault = trouble.lock().unwrap().iter_mut().find_map(|trouble| trouble.of(method, query));
            answer(service.clone(), request, fault)
        });
        let tls = tls.clone();
        tokio::spawn(async move {
            let builder = Builder::new(TokioExecutor::new());
            // a connection that ends badly is its client's to notice
            let _ = match tls {
                None => builder.serve_connection(TokioIo::new(socket), answer).await,
                Some(tls) => match tls.accept(socket).await {
                    Ok(socket) => builder.serve_connection(TokioIo::new(socket), answer).await,
                    Err(_) => return,
                },
            };
        });
    }
}

/// An error ends the connection.
async fn answer(
    service: S3Service,
    request: Request<hyper::body::Incoming>,
    fault: Option<Fault>,
) -> Result<Response<Body>, String> {
    match fault {
        Some(Fault::Status(status)) => {
            let body = Body::from("<Error><Code>SlowDown</Code></Error>");
            return Ok(Response::builder().status(status).body(body).unwrap());
        }
        Some(Fault::Silent) => std::future::pending().await,
        _ => {}
    }
    let answer = hyper::service::Service::call(&service, request).await.map_err(|e| format!("{e:?}"))?;
    let answer = answer.map(Body::new);
    let Some(fault) = fault else { return Ok(answer) };
    let (mut head, body) = answer.into_parts();
    let whole = to_bytes(body, usize::MAX).await.map_err(|e| e.to_string())?;
    let half = whole.slice(..whole.len() / 2);
    let body = match fault {
        Fault::Status(_) | Fault::Silent => unreachable!("answered above"),
        Fault::Late(pause) => {
            tokio::time::sleep(pause).await;
            whole.into()
        }
        Fault::Lost => return Err("the connection ends".into()),
        Fault::Drip => Body::from_stream(stream::unfold(whole, |mut left| async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            (!left.is_empty()).then(|| (Ok::<_, String>(left.split_to(1)), left))
        })),
        Fault::Stall => Body::from_stream(stream::unfold(Some(half), |half| async move {
            let Some(half) = half else { std::future::pending().await };
            Some((Ok::<_, String>(half), None))
        })),
        Fault::Cut => Body::from_stream(stream::iter([Ok(half), Err("the connection ends")])),
        Fault::Short => {
            head.headers.insert(CONTENT_LENGTH, half.len().into());
            half.into()
        }
        Fault::Changed => {
            let mut bytes = whole.to_vec();
            bytes[whole.len() / 2] ^= 1;
            bytes.into()
        }
    };
    Ok(Response::from_parts(head, body))
}
