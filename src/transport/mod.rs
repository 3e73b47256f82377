//! The street between the houses: mutual TLS, and the typed client that the agency and the office use.

#[cfg(any(feature = "agency", feature = "office"))]
pub mod client;
pub mod tls;

/// Runs a client command to its end.
#[cfg(any(feature = "agency", feature = "office"))]
pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("the operating system gives threads").block_on(work)
}
