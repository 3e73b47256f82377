//! The routes: each decodes, calls one thing, answers. A file a resource.

mod acts;
mod address;
mod answers;
mod batches;
mod body;
mod caller;
mod commissions;
mod connection;
mod crowd;
mod epochs;
mod forms;
mod listener;
mod log;
mod notices;
mod operator;
mod pace;
mod problem;
mod project;
mod rate;
mod receipts;
mod tally;
mod trust;
mod wait;

pub use listener::cannot_listen;
pub use rate::{Rate, Refusals};

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use hedui_protocol::problem::{Problem as Document, ProblemKind};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use self::crowd::Most;
use self::listener::TlsListener;
use self::problem::Problem;
use self::tally::Told;
use self::trust::Trust;
use super::epochs::Epochs;
use super::serving::Serving;
use super::{Addresses, Config, Linkage, descriptors};
use crate::failure::{Failure, Outcome};

/// Longest time for one request, its body included.
const TIMEOUT: Duration = Duration::from_secs(100);
/// Longest time that requests under way are waited for at the end: less than a service manager waits.
const LAST: Duration = Duration::from_secs(25);

type State = axum::extract::State<Arc<Linkage>>;

/// Serves parties and operator until SIGINT or SIGTERM, of which it tells `stop`. `hangups`: when the certificate files are to
/// be read anew.
pub async fn serve(
    config: &Config,
    epochs: Arc<Epochs>,
    hangups: Signal,
    stop: &watch::Sender<bool>,
    ready: impl FnOnce(&Addresses),
) -> Outcome {
    let (certificates, taken_up) = config.certificates.clone().follow(hangups)?;
    let (most, told) = (Most::of_parties(descriptors::allowed()), Arc::<Told>::default());
    let parties = match config.role.answers_parties() {
        true => Some(TlsListener::bind(config.listen, certificates.clone(), most, Arc::clone(&told)).await?),
        false => None,
    };
    let (listen, most) = (config.operator_listen, Most::OF_OPERATOR);
    let operator = TlsListener::bind(listen, certificates.clone(), most, Arc::clone(&told)).await?;
    let addresses = Addresses { parties: parties.as_ref().map(TlsListener::address), operator: operator.address() };
    if let Some(address) = addresses.parties {
        tracing::info!("Serving parties on {address}");
    }
    tracing::info!("Serving the operator on {}", addresses.operator);
    let mut serving = config.role.answers_parties().then(|| Serving::new(Arc::clone(&epochs), config.rate, taken_up));
    if let Some(serving) = &mut serving {
        serving.begin().await.map_err(Failure::try_again)?;
    }
    // whoever hears that the server is ready may stop it
    let signal = signals();
    ready(&addresses);

    let trust = Trust::new(certificates, Arc::clone(&told));
    let trusted = |routes: Router| routes.layer(from_fn_with_state(trust.clone(), trust::still));
    let party_routes = trusted(epochs::routes(Arc::clone(&epochs), party_routes, guarded));
    let operator_routes = trusted(operator::routes(epochs));
    let parties = async {
        if let Some(parties) = parties {
            parties.serve(party_routes, stop.subscribe()).await;
        }
    };
    let saying = async {
        if let Some(serving) = serving {
            serving.follow(stop.subscribe()).await;
        }
    };
    let all = async { tokio::join!(parties, operator.serve(operator_routes, stop.subscribe()), saying) };
    let patience = async {
        signal.await;
        tracing::info!("Stopping: requests under way are finished first");
        stop.send_replace(true);
        tokio::time::sleep(LAST).await;
    };
    tokio::select! { _ = all => {}, () = patience => {}, () = told.tell_on() => {} }
    Ok(())
}

fn party_routes() -> Router<Arc<Linkage>> {
    Router::new()
        .merge(project::routes())
        .merge(batches::routes())
        .merge(commissions::routes())
        .merge(answers::routes())
        .merge(notices::routes())
        .merge(log::routes())
        .merge(acts::routes())
        .fallback(async || address::no_route())
        .method_not_allowed_fallback(async || address::other_method())
}

/// An epoch's routes behind everything that a request passes: its pace, its receipt, its time.
fn guarded(linkage: Arc<Linkage>, routes: Router<Arc<Linkage>>) -> Router {
    routes
        .layer(DefaultBodyLimit::max(body::JSON_BYTES as usize))
        .layer(from_fn(pace::paced))
        .layer(from_fn(in_time))
        .layer(from_fn_with_state(Arc::clone(&linkage), epochs::unless_erased))
        .layer(from_fn_with_state(Arc::clone(&linkage), receipts::receipted))
        .layer(from_fn_with_state(Arc::clone(&linkage), rate::limited))
        .with_state(linkage)
}

/// A slow request is cut off; the client may send it again.
async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem(Document::new(ProblemKind::Internal, "the request took too long")).into_response(),
    }
}

/// SIGINT or SIGTERM, from now on.
fn signals() -> impl Future<Output = ()> {
    let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM can be handled");
    let mut interrupt = signal(SignalKind::interrupt()).expect("SIGINT can be handled");
    async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    }
}
