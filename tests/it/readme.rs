//! The README's walk-through is run as it stands.

use std::net::TcpListener;
use std::process::Command;

use crate::harness::repository;

/// The fenced `sh` blocks below the heading.
fn walk_through(readme: &str, heading: &str) -> String {
    let (_, section) = readme.split_once(heading).expect("the heading is there");
    let section = section.split("\n## ").next().unwrap();
    let blocks = section.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap());
    blocks.collect()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn replay(readme: &str, heading: &str) {
    let script = walk_through(&repository(readme), heading);
    assert!(script.contains("hedui office report"), "the walk-through goes to the end");
    let script = script.replace("8443", &free_port().to_string()).replace("8444", &free_port().to_string());
    let folder = tempfile::tempdir().unwrap();
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_hedui")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let script = format!("set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{script}");
    let output =
        Command::new("bash").args(["-c", &script]).current_dir(folder.path()).env("PATH", path).output().unwrap();
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let reports = std::fs::read_dir(folder.path().join("reports")).unwrap().count();
    assert!(reports > 10, "{reports} files of reports");
}

#[test]
fn the_walk_through_works_as_written() {
    replay("README.md", "## With your own files");
}

#[test]
fn the_chinese_walk_through_works_as_written() {
    replay("README.zh-CN.md", "## 用自己的文件");
}
