//! One connection, from its handshake to its end: HTTP within its limits, and no longer than it is used.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::server::TlsStream;

use super::caller::Caller;

/// How long a request's head may take, and how long a connection waits for the next (HTTP/1).
const HEAD: Duration = Duration::from_secs(20);
/// Headers of one request, and their bytes together.
const HEADERS: usize = 64;
const HEAD_BYTES: usize = 32 << 10;
/// Requests under way at once on one connection (HTTP/2).
const STREAMS: u32 = 64;
/// How often the other end is asked whether it is still there, and how long it may take to say so (HTTP/2).
const ASK: Duration = Duration::from_secs(20);
/// How long a connection may be without a request that is being answered: waiting, dripping, or not taking its answer.
const IDLE: Duration = Duration::from_secs(60);
/// How long the end of a connection may take.
const END: Duration = Duration::from_secs(5);

/// A request may end its connection: its own answer is the last.
#[derive(Clone, Default)]
pub struct Ending(Arc<watch::Sender<bool>>);

impl Ending {
    /// False where it had begun before.
    pub fn begin(&self) -> bool {
        !self.0.send_replace(true)
    }

    fn has_begun(&self) -> bool {
        *self.0.borrow()
    }
}

pub async fn serve(stream: TlsStream<TcpStream>, caller: Caller, routes: Router, mut stop: watch::Receiver<bool>) {
    let builder = builder(stream.get_ref().1.alpn_protocol() == Some(b"h2"));
    let under_way = Arc::new(watch::Sender::new(0usize));
    let unused = unused(under_way.subscribe());
    let (ending, routes) = (Ending::default(), TowerToHyperService::new(routes));
    let mut ended = ending.0.subscribe();
    let answer = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(caller.clone()));
        request.extensions_mut().insert(ending.clone());
        let request_under_way = UnderWay::begin(&under_way);
        let (answer, has_ended) = (routes.call(request), ending.has_begun());
        async move {
            if has_ended {
                return Err("the connection is to end");
            }
            let answer = answer.await.unwrap_or_else(|never: Infallible| match never {});
            drop(request_under_way);
            Ok(answer)
        }
    });
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), answer));
    // a connection that ends badly is its client's to notice
    let end = tokio::select! {
        _ = connection.as_mut() => return,
        () = unused => END,
        _ = ended.wait_for(|ended| *ended) => END,
        // what is under way is finished, and goes out, as long as the server waits for it; where nothing is, the end is now
        _ = stop.wait_for(|stop| *stop) => Duration::MAX,
    };
    connection.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(end, connection).await;
}

fn builder(http2: bool) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_headers(HEADERS)
        .max_buf_size(HEAD_BYTES)
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(HEAD_BYTES as u32)
        .max_concurrent_streams(STREAMS)
        .keep_alive_interval(ASK)
        .keep_alive_timeout(ASK);
    // said in the handshake: nothing has to be guessed from the first bytes
    if http2 { builder.http2_only() } else { builder.http1_only() }
}

/// Ends when no request has been under way for a while.
async fn unused(mut under_way: watch::Receiver<usize>) {
    loop {
        let busy = *under_way.borrow_and_update() > 0;
        let changed = under_way.changed();
        let changed = if busy {
            changed.await
        } else {
            match tokio::time::timeout(IDLE, changed).await {
                Ok(changed) => changed,
                Err(_) => return,
            }
        };
        // the sender lives as long as the connection
        if changed.is_err() {
            return;
        }
    }
}

struct UnderWay(Arc<watch::Sender<usize>>);

impl UnderWay {
    fn begin(under_way: &Arc<watch::Sender<usize>>) -> Self {
        under_way.send_modify(|count| *count += 1);
        Self(Arc::clone(under_way))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}
