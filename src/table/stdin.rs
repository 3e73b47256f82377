//! Standard input that an interrupt ends: a blocked read would wait for the next line for ever.

use std::io::{self, Read};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::terminal::Interrupt;

pub(super) struct Stdin(Interrupt);

/// What reading stopped with.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("interrupted")]
pub(super) struct Interrupted;

impl Stdin {
    pub fn new() -> Self {
        Self(Interrupt::listen())
    }

    /// Waits until there is something to read, or the end.
    fn wait(&self) -> io::Result<()> {
        let stdin = io::stdin();
        let step = Timespec::try_from(Duration::from_millis(100)).expect("a tenth of a second fits");
        loop {
            self.0.check().map_err(|_| io::Error::other(Interrupted))?;
            match poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&step)) {
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => return Ok(()),
                Err(e) => return Err(e.into()),
            }
        }
    }
}

impl Read for Stdin {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.wait()?;
        rustix::io::read(io::stdin(), into).map_err(io::Error::from)
    }
}
