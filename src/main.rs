//! `hedui`: the command.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser as _;
use hedui::cli::{self, Cli};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let cli = Cli::parse();
    hedui::terminal::end_where_nothing_can_be_printed();
    if let Err(failure) = hedui::keyfile::no_core_dumps() {
        hedui::terminal::tell(&failure);
        return failure.exit.into();
    }
    let filter = EnvFilter::try_from_env("HEDUI_LOG").unwrap_or_else(|_| EnvFilter::new("warn,hedui=info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    // a log that cannot be written ends no server
    let log = log.log_internal_errors(false);
    let logs_json = cli.logs_json();
    if logs_json {
        log.json().flatten_event(true).init();
    } else if std::io::stderr().is_terminal() {
        log.init();
    } else {
        log.with_ansi(false).init();
    }
    let Err(failure) = cli::run(cli) else { return ExitCode::SUCCESS };
    if logs_json {
        tracing::error!(hint = failure.hint.as_deref(), "{}", failure.message);
    } else {
        hedui::terminal::tell(&failure);
    }
    failure.exit.into()
}
