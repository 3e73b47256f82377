//! The routes: each decodes, calls one thing, answers. A file a resource.

mod answers;
mod batches;
mod body;
mod caller;
mod commissions;
mod forms;
mod listener;
mod log;
mod notices;
mod operator;
mod pace;
mod problem;
mod project;
mod receipts;
mod trust;
mod wait;

pub use pace::Pace;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use hedui_protocol::problem::{Problem as Document, ProblemKind};
use tokio::sync::watch;

use self::caller::Caller;
use self::listener::TlsListener;
use self::problem::Problem;
use super::{Addresses, Config, Linkage};
use crate::failure::{Failure, Outcome};

/// The largest JSON body; a part may be as long as its batch header says.
const JSON_BYTES: usize = 256 << 20;
/// Longest time for one request, its body included.
const TIMEOUT: Duration = Duration::from_secs(100);

type State = axum::extract::State<Arc<Linkage>>;

/// Serves parties and operator until SIGINT or SIGTERM.
pub async fn serve(config: &Config, linkage: Arc<Linkage>, ready: impl FnOnce(&Addresses)) -> Outcome {
    let certificates = config.certificates.clone().follow()?;
    let parties = match config.role.answers_parties() {
        true => Some(TlsListener::bind(config.listen, certificates.clone()).await?),
        false => None,
    };
    let operator = TlsListener::bind(config.operator_listen, certificates.clone()).await?;
    let addresses = Addresses { parties: parties.as_ref().map(TlsListener::address), operator: operator.address() };
    if let Some(address) = addresses.parties {
        tracing::info!("Serving parties on {address}");
    }
    tracing::info!("Serving the operator on {}", addresses.operator);
    ready(&addresses);

    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        wait_for_signal().await;
        tracing::info!("Stopping: requests under way are finished first");
        let _ = stop.send(true);
    });
    let until = |mut stopped: watch::Receiver<bool>| async move {
        let _ = stopped.wait_for(|stop| *stop).await;
    };
    let trusted = |routes: Router| routes.layer(from_fn_with_state(certificates.clone(), trust::still));
    let party_routes = trusted(party_routes(Arc::clone(&linkage))).into_make_service_with_connect_info::<Caller>();
    let operator_routes = trusted(operator::routes(linkage)).into_make_service_with_connect_info::<Caller>();
    let both = async {
        let until_stopped = until(stopped.clone());
        let parties = async {
            match parties {
                Some(parties) => axum::serve(parties, party_routes).with_graceful_shutdown(until_stopped).await,
                None => {
                    until_stopped.await;
                    Ok(())
                }
            }
        };
        let operator = axum::serve(operator, operator_routes).with_graceful_shutdown(until(stopped.clone()));
        tokio::try_join!(parties, operator.into_future())
    };
    // clients that keep their connections open do not keep the server
    let patience = async {
        until(stopped.clone()).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
    };
    tokio::select! {
        served = both => served.map(drop).map_err(|e| Failure::refused(format!("cannot serve: {e}"))),
        () = patience => Ok(()),
    }
}

fn party_routes(linkage: Arc<Linkage>) -> Router {
    Router::new()
        .merge(project::routes())
        .merge(batches::routes())
        .merge(commissions::routes())
        .merge(answers::routes())
        .merge(notices::routes())
        .merge(log::routes())
        .layer(DefaultBodyLimit::max(JSON_BYTES))
        .layer(from_fn(in_time))
        .layer(from_fn_with_state(Arc::clone(&linkage), receipts::receipted))
        .layer(from_fn_with_state(Arc::clone(&linkage), pace::paced))
        .fallback(async || Problem(Document::new(ProblemKind::NotFound, "there is no such route")))
        .with_state(linkage)
}

/// A slow request is cut off; the client may send it again.
async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem(Document::new(ProblemKind::Internal, "the request took too long")).into_response(),
    }
}

async fn wait_for_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM can be handled");
    let mut interrupt = signal(SignalKind::interrupt()).expect("SIGINT can be handled");
    tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
}
