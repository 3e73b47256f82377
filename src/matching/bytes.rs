//! Bytes that an index is read from: in memory, or where they lie in a file.

#[cfg(feature = "server")]
use std::fs::File;
use std::ops::Deref;
#[cfg(feature = "server")]
use std::path::Path;

#[cfg(feature = "server")]
use memmap2::Mmap;

pub enum Bytes {
    Memory(Vec<u8>),
    #[cfg(feature = "server")]
    Mapped(Mmap),
}

impl Bytes {
    /// Maps a file that its writer has finished and nobody changes again.
    #[cfg(feature = "server")]
    pub fn map(path: &Path) -> std::io::Result<Self> {
        let file = File::open(path)?;
        // SAFETY: the file is written once, under another name, and only then renamed to `path`; this process and its
        // locked data folder never write to it again, so the mapped bytes do not change while they are borrowed.
        let map = unsafe { Mmap::map(&file)? };
        Ok(Self::Mapped(map))
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Memory(bytes) => bytes,
            #[cfg(feature = "server")]
            Self::Mapped(map) => map,
        }
    }
}
