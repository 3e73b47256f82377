//! Threads for work that nobody waits for: building indexes, checking parts, large commissions. They give way to the others,
//! so that a household is verified as quickly while an agency submits a million rows.

use rayon::{ThreadPool, ThreadPoolBuilder};
use tokio::sync::oneshot;

use super::error::{ServerError, ServerResult};
use crate::failure::{Failure, Outcome};

pub struct Background(ThreadPool);

/// How far the threads give way (nice(2)): to a thread at 0 the scheduler gives some nine times as much.
const NICE: i32 = 10;

impl Background {
    pub fn new() -> Outcome<Self> {
        // nice(2) is of the calling thread alone on Linux; where it fails, the work is done all the same
        let give_way = |_| {
            let _ = rustix::process::nice(NICE);
        };
        let pool =
            ThreadPoolBuilder::new().thread_name(|number| format!("background-{number}")).start_handler(give_way);
        // who asked hears of it
        let pool = pool.panic_handler(|_| tracing::error!("Background work ended in a panic"));
        pool.build().map(Self).map_err(|e| Failure::refused(format!("cannot start threads: {e}")))
    }

    /// Runs work on these threads; what it does in parallel stays on them.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> ServerResult<T> + Send + 'static,
    ) -> ServerResult<T> {
        let (done, answer) = oneshot::channel();
        self.0.spawn(move || drop(done.send(work())));
        answer.await.map_err(|_| ServerError::Failed("background work ended in a panic".into()))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn its_threads_give_way_and_others_do_not() {
        let nice = || Ok(rustix::process::nice(0).unwrap());
        let here = nice().unwrap();
        assert_eq!(
            Background::new().unwrap().run(nice).await.unwrap(),
            (here + NICE).min(19),
            "19 is the end of the scale"
        );
        assert_eq!(nice().unwrap(), here, "this thread is as it was");
    }
}
