//! Whether an exported log is whole, and the one that was signed: to its own checkpoint, and to what others have seen.

use std::collections::BTreeSet;

use hedui_protocol::ids::TreeHash;
use hedui_protocol::log::{Checkpoint, Hashes, Tree, leaf_hash};

use super::{Exported, Finding};

/// The roots of the first 0, 1, 2 … entries, as they are here.
pub struct Roots(Vec<TreeHash>);

impl Roots {
    fn of(lines: &[Vec<u8>]) -> Self {
        let (mut hashes, mut roots) = (Hashes::new(), Vec::with_capacity(lines.len() + 1));
        for (size, line) in (0..).zip(lines) {
            let tree = Tree::new(size, &hashes);
            roots.push(tree.root().expect("all hashes are here"));
            let stored = tree.next(leaf_hash(line)).expect("all hashes are here");
            hashes.extend(stored);
        }
        roots.push(Tree::new(lines.len() as u64, &hashes).root().expect("all hashes are here"));
        Self(roots)
    }

    fn at(&self, size: u64) -> Option<TreeHash> {
        self.0.get(usize::try_from(size).ok()?).copied()
    }
}

/// Looks at numbers, at the trees that entries name, and at the log's own checkpoint: the roots, and how many entries are
/// signed.
pub fn of_itself(log: &Exported, found: &mut Vec<Finding>) -> (Roots, u64) {
    let before = found.len();
    for (number, entry) in (0..).zip(&log.entries) {
        if entry.is_none() {
            found.push(Finding::at(number, "unreadable", format!("entry {number} does not read as one")));
        }
    }
    numbers(log, found);
    let roots = Roots::of(&log.lines);
    if found.len() == before {
        trees(log, &roots, found);
    }
    let mut size = 0;
    match log.checkpoint.clone() {
        Some(note) => match log.signed(note) {
            Ok(checkpoint) => {
                size = checkpoint.size;
                match roots.at(size) {
                    // entries name the trees before them: nothing but this speaks against the last one
                    Some(root)
                        if root != checkpoint.root && found.len() == before && size == log.lines.len() as u64 =>
                    {
                        let detail = "the last entry that the log's own checkpoint signs was changed, or the checkpoint is another log's";
                        found.push(Finding::at(size.saturating_sub(1), "changed", detail));
                    }
                    _ => signed(checkpoint, "the log's own checkpoint", log, &roots, found.len() > before, found),
                }
                if size < log.lines.len() as u64 {
                    let detail =
                        "the log's checkpoint signs the entries before this one: nothing proves the later ones";
                    found.push(Finding::at(
                        size,
                        "unsigned",
                        format!("{detail}, export it again when a server has run"),
                    ));
                }
            }
            Err(why) => found.push(Finding::new("unsound-checkpoint", format!("the log's own checkpoint: {why}"))),
        },
        None => found.push(Finding::new("unsigned", "the log has no signed checkpoint: it proves nothing")),
    }
    (roots, size)
}

/// Every entry says how many came before it.
fn numbers(log: &Exported, found: &mut Vec<Finding>) {
    let said: Vec<u64> = log.entries.iter().flatten().map(|entry| entry.number).collect();
    let distinct: BTreeSet<u64> = said.iter().copied().collect();
    let mut expected = 0;
    for number in &distinct {
        if *number > expected {
            let gap = if *number == expected + 1 {
                format!("entry {expected} is")
            } else {
                format!("entries {expected} to {} are", number - 1)
            };
            // an entry that does not read has been told already
            if log.entries.iter().all(Option::is_some) {
                found.push(Finding::at(expected, "dropped", format!("{gap} missing")));
            }
        }
        expected = number + 1;
    }
    if distinct.len() < said.len() {
        found.push(Finding::new("repeated", "two entries have one number"));
    }
    if let Some(pair) = said.windows(2).find(|pair| pair[0] > pair[1]) {
        found.push(Finding::at(pair[1], "reordered", format!("entry {} stands after entry {}", pair[1], pair[0])));
    }
}

/// Every entry names the tree that it continues. The first that names another shows where something was changed.
fn trees(log: &Exported, roots: &Roots, found: &mut Vec<Finding>) {
    let entries = log.entries.iter().flatten();
    let Some(first) = entries.into_iter().find(|entry| Some(entry.tree) != roots.at(entry.number)) else { return };
    let number = first.number;
    let detail = match number {
        0 => "entry 0 was changed: it continues a log that is not here".to_owned(),
        _ => format!(
            "entry {} was changed, or what entry {number} says of it: entry {number} continues another log",
            number - 1
        ),
    };
    found.push(Finding::at(number.saturating_sub(1), "changed", detail));
}

/// Whether a tree that somebody has seen signed is this log's. `broken`: the log is known not to be what was signed.
pub fn signed(
    checkpoint: Checkpoint,
    whose: &str,
    log: &Exported,
    roots: &Roots,
    broken: bool,
    found: &mut Vec<Finding>,
) {
    let (size, here) = (checkpoint.size, log.lines.len());
    match roots.at(size) {
        None => found.push(Finding::new(
            "rolled-back",
            format!("{whose} signs {size} entries, and there are {here}: the last ones were dropped, or an older log was put back"),
        )),
        Some(root) if root == checkpoint.root => {}
        Some(_) if broken => found.push(Finding::new(
            "differs",
            format!("{whose} signs {size} entries that are not the first {size} of this log"),
        )),
        Some(_) => found.push(Finding::new(
            "forked",
            format!("{whose} signs {size} other entries than the first {size} of this log: two logs were told as one"),
        )),
    }
}
