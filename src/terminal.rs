//! What a person sees while a command works: progress on stderr, and how a failure reads.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::failure::{Exit, Failure, Outcome};

/// How a shell tells that SIGPIPE ended a command.
const CLOSED_PIPE: i32 = 141;

/// A progress bar over a known number of things; silent where stderr is no terminal.
pub fn bar(length: u64, what: &str) -> ProgressBar {
    styled(ProgressBar::new(length), what, "{msg:28} {wide_bar:.cyan/dim} {human_pos}/{human_len} {eta:>4}")
}

/// A progress bar over so many things that only their rate is read.
pub fn rate_bar(length: u64, what: &str) -> ProgressBar {
    // indicatif's own rate has four decimals
    styled(ProgressBar::new(length), what, "{msg:28} {wide_bar:.cyan/dim} {percent:>3} % {rate:>15} {eta:>4}")
}

/// A counter where the end is not known.
pub fn counter(what: &str) -> ProgressBar {
    styled(ProgressBar::no_length(), what, "{msg:28} {human_pos} in {elapsed}")
}

fn styled(bar: ProgressBar, what: &str, template: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    let style = ProgressStyle::with_template(template).expect("the templates above are valid");
    let rate = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
        let _ = write!(out, "{:.0} million/s", state.per_sec() / 1e6);
    };
    let style = style.with_key("rate", rate);
    bar.with_style(style.progress_chars("━━─")).with_message(what.to_owned())
}

/// An interrupt (SIGINT, SIGTERM, or a terminal that closes), as a flag that long loops look at.
#[derive(Clone, Debug)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// A second interrupt ends the process at once.
    pub fn listen() -> Self {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            let ends_now = signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&flag));
            let sets_flag = ends_now.and_then(|_| signal_hook::flag::register(signal, Arc::clone(&flag)));
            sets_flag.expect("these signals can be handled");
        }
        Self(flag)
    }

    pub fn never() -> Self {
        Self(Arc::default())
    }

    pub fn check(&self) -> Outcome {
        if self.0.load(Ordering::Relaxed) { Err(Failure::interrupted()) } else { Ok(()) }
    }
}

/// The most memory that this process has had resident, in bytes; 0 where the system does not tell.
pub fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    1024 * kibibytes.unwrap_or(0)
}

/// Ends the process where its output has nowhere to go. Who pipes it into `head` has seen enough, and hears no panic message; what
/// was not said to its end is no success either, whatever it came to.
pub fn end_where_nothing_can_be_printed() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let message = panic.payload().downcast_ref::<String>();
        let Some(why) = message.and_then(|message| message.strip_prefix("failed printing to stdout: ")) else {
            return tell(panic);
        };
        if why.starts_with("Broken pipe") {
            std::process::exit(CLOSED_PIPE);
        }
        note(format!("error: standard output cannot be written: {why}"));
        std::process::exit(Exit::TryAgain.code().into());
    }));
}

/// Tells a failure on stderr: `error:` where and why, `hint:` what to do.
pub fn tell(failure: &Failure) {
    note(format!("error: {}", failure.message));
    if let Some(hint) = &failure.hint {
        note(format!("hint: {hint}"));
    }
}

/// A remark on stderr that is no error.
pub fn note(text: impl std::fmt::Display) {
    // where nobody hears it, what is done is done all the same
    let _ = writeln!(std::io::stderr(), "{text}");
}
