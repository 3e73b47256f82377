//! A bucket of its own for a test: the S3 protocol, signed, over HTTP or TLS, on a temporary folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

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

pub struct Bucket {
    folder: tempfile::TempDir,
    endpoint: String,
    /// The authority that its certificate is of.
    pub ca: Option<String>,
    /// Requests that are answered with 503 from now on.
    failing: Arc<AtomicU32>,
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
        let failing = Arc::new(AtomicU32::new(0));
        runtime.spawn(serve(listener, tls, service, Arc::clone(&failing)));
        Self { folder, endpoint, ca: None, failing, _runtime: runtime }
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
        let mut found = Vec::new();
        let mut folders = vec![self.folder.path().join(NAME)];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
                match entry.file_type().unwrap().is_dir() {
                    true => folders.push(entry.path()),
                    false if entry.path().extension().is_some_and(|kind| kind == "parquet") => found.push(entry.path()),
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
        self.failing.store(requests, Ordering::SeqCst);
    }

    pub fn failures_left(&self) -> u32 {
        self.failing.load(Ordering::SeqCst)
    }
}

async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, service: S3Service, failing: Arc<AtomicU32>) {
    loop {
        let Ok((socket, _)) = listener.accept().await else { return };
        let (service, failing) = (service.clone(), Arc::clone(&failing));
        let answer = hyper::service::service_fn(move |request| {
            let fails = failing.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
            let service = service.clone();
            async move {
                if fails {
                    let body = s3s::Body::from("<Error><Code>SlowDown</Code></Error>".to_owned());
                    return Ok(hyper::Response::builder().status(503).body(body).expect("a status and a text"));
                }
                hyper::service::Service::call(&service, request).await
            }
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
