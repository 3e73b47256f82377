//! File descriptors: as many as the machine lets this process have.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// With fewer than this a flood of connections is felt.
const ENOUGH: u64 = 4096;
/// What is taken where nothing limits it.
const MOST: u64 = 1 << 20;

/// Raises the limit to what may be had without asking.
pub fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current < limit.maximum {
        // kept as it is where the machine refuses
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
    if allowed() < ENOUGH {
        tracing::warn!("This server may open only {} files and connections", allowed());
    }
}

/// How many this process may have open.
pub fn allowed() -> u64 {
    getrlimit(Resource::Nofile).current.map_or(MOST, |limit| limit.min(MOST))
}
