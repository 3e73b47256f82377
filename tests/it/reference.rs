//! `docs/CONFIGURATION.md` is made from the types of the command line, and is what they say now.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use clap::{Arg, Command, CommandFactory as _};
use hedui::cli::Cli;

const PAGE: &str = "docs/CONFIGURATION.md";
const HEAD: &str = "# Configuration of the linkage server

Everything that the server is told stands on its command line; secrets stand in files that it names. This page is made from
the program's own types by `HEDUI_WRITE=1 cargo test --test it reference`; a test keeps it so. What to do with it: [OPERATING.md](OPERATING.md).

Of the environment it reads:

| variable | what |
|---|---|
| `HEDUI_LOG` | what the log tells: `warn,hedui=info` |
| `PGPASSFILE` | the file with the database's password; without it `~/.pgpass` |
| `PGHOST`, `PGPORT`, `PGUSER`, `PGSSLMODE`, `PGSSLROOTCERT` and their like, as libpq has them | what `--database` leaves out |
| `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION`, `AWS_ENDPOINT_URL` | what `--parts-config` leaves out. No other of these names is read, and no machine asked for a key |
| `SSL_CERT_FILE`, `SSL_CERT_DIR` | where the authorities stand by which a bucket is trusted, beside `ca` of `--parts-config` |
";

fn page() -> String {
    let mut page = HEAD.to_owned();
    let cli = Cli::command();
    let server = cli.find_subcommand("server").unwrap();
    for verb in server.get_subcommands() {
        command(&mut page, "server", verb);
    }
    command(&mut page, "audit", cli.find_subcommand("audit").unwrap().find_subcommand("export").unwrap());
    page
}

fn command(page: &mut String, group: &str, command: &Command) {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    writeln!(page, "\n## `hedui {group} {}`\n\n{about}.\n", command.get_name()).unwrap();
    writeln!(page, "| option | default | what |\n|---|---|---|").unwrap();
    for argument in command.get_arguments().filter(|argument| !argument.is_hide_set() && argument.get_id() != "help") {
        let (name, default, help) = (name(argument), default(argument), help(argument));
        writeln!(page, "| {name} | {default} | {help} |").unwrap();
    }
}

fn name(argument: &Arg) -> String {
    let takes = argument.get_action().takes_values();
    let value = argument.get_value_names().and_then(|names| names.first()).map(ToString::to_string).unwrap_or_default();
    match argument.get_long() {
        Some(long) if takes => format!("`--{long} {value}`"),
        Some(long) => format!("`--{long}`"),
        None => format!("`{value}`"),
    }
}

fn default(argument: &Arg) -> String {
    let defaults: Vec<String> =
        argument.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
    match defaults.as_slice() {
        [] if argument.is_required_set() => "required".into(),
        [] => String::new(),
        defaults if !argument.get_action().takes_values() => defaults.join(", "),
        defaults => format!("`{}`", defaults.join(", ")),
    }
}

fn help(argument: &Arg) -> String {
    let help = argument.get_help().map(ToString::to_string).unwrap_or_default().replace('|', "\\|");
    let named = argument.get_possible_values();
    let is_switch = !argument.get_action().takes_values();
    if named.is_empty() || is_switch {
        return help;
    }
    let word = |value: &clap::builder::PossibleValue| {
        let help = value.get_help().map(|help| format!(" ({help})")).unwrap_or_default();
        format!("`{}`{help}", value.get_name())
    };
    format!("{help}: {}", named.iter().map(word).collect::<Vec<_>>().join(", "))
}

#[test]
fn the_page_of_the_configuration_is_what_the_types_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let page = page();
    if std::env::var_os("HEDUI_WRITE").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "{PAGE} is old: HEDUI_WRITE=1 cargo test --test it reference");
    assert!(page.contains("| `--log-key FILE` | required |") && page.contains("`worker` (Index and match)"), "{page}");
}

#[test]
fn the_buckets_variables_are_those_that_the_page_names() {
    let named = |text: &str| -> BTreeSet<String> {
        let words = text.split(|c: char| !(c.is_ascii_uppercase() || c == '_'));
        words.filter(|word| word.starts_with("AWS_")).map(str::to_owned).collect()
    };
    let read = named(&crate::harness::repository("src/server/parts.rs"));
    assert_eq!(named(HEAD), read);
    assert_eq!(read.len(), 5);
    assert!(named(&crate::harness::repository("docs/OPERATING.md")).is_subset(&read));
}

/// The files that a page tells to install name options that there are.
#[test]
fn the_unit_and_the_container_name_options_that_there_are() {
    let cli = Cli::command();
    let run = cli.find_subcommand("server").unwrap().find_subcommand("run").unwrap();
    let known: Vec<String> =
        run.get_arguments().filter_map(|argument| argument.get_long().map(|long| format!("--{long}"))).collect();
    for file in ["docs/deploy/Containerfile", "docs/deploy/hedui-server.service"] {
        let text = crate::harness::repository(file);
        let lines = text.lines().filter(|line| {
            !line.starts_with('#') && (line.contains("hedui") || line.contains("--tls") || line.contains("--manifest"))
        });
        let named = lines.flat_map(|line| line.split([' ', '"', ',', '='])).filter(|word| word.starts_with("--"));
        let cargos =
            ["--release", "--locked", "--package", "--no-default-features", "--features", "--no-cache", "--from"];
        let named: Vec<&str> = named.filter(|word| !cargos.contains(word)).collect();
        assert!(!named.is_empty(), "{file}");
        for option in named {
            assert!(known.iter().any(|known| known == option), "{file}: {option}");
        }
    }
}

/// What `run` refuses it refuses each time; what is away may come.
#[test]
fn the_unit_starts_again_only_what_may_help() {
    let unit = crate::harness::repository("docs/deploy/hedui-server.service");
    let says = |line: &str| unit.lines().any(|said| said == line);
    assert!(says("Restart=on-failure") && says("RestartPreventExitStatus=1 2") && says("StartLimitIntervalSec=0"));
    // of a command before the start that fails, `RestartPreventExitStatus` says nothing: it would be tried for ever
    assert!(!unit.contains("ExecStartPre="));
}
