//! The street between the houses: mutual TLS, and the typed client that the agency and the office use.

#[cfg(any(feature = "agency", feature = "auditor", feature = "office", feature = "operator"))]
pub mod client;
pub mod tls;
#[cfg(any(feature = "agency", feature = "auditor", feature = "office", feature = "operator"))]
pub mod witness;

#[cfg(any(feature = "agency", feature = "auditor", feature = "office", feature = "operator"))]
use std::time::Duration;

#[cfg(any(feature = "agency", feature = "auditor", feature = "office", feature = "operator"))]
use crate::failure::{Failure, Outcome};
#[cfg(any(feature = "agency", feature = "auditor", feature = "office", feature = "operator"))]
use crate::terminal::Interrupt;

/// Runs a client command to its end, or to an interrupt: what it sends may be cut off anywhere and sent again.
#[cfg(any(feature = "agency", feature = "auditor", feature = "office", feature = "operator"))]
pub fn block_on<T>(work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    let interrupt = Interrupt::listen();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("the operating system gives threads").block_on(async {
        tokio::select! {
            done = work => done,
            () = raised(&interrupt) => Err(Failure::interrupted()),
        }
    })
}

#[cfg(any(feature = "agency", feature = "auditor", feature = "office", feature = "operator"))]
async fn raised(interrupt: &Interrupt) {
    while interrupt.check().is_ok() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
