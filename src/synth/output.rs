//! The files: new, readable for their owner alone, written line by line.

use super::error::SynthError;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
};

/// A file being written. It looks like personal data, so nobody else may read it.
pub(super) struct Output {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Output {
    pub(super) fn create(folder: &Path, name: &str) -> Result<Self, SynthError> {
        let path = folder.join(name);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        match options.open(&path) {
            Ok(file) => Ok(Self { path, file: BufWriter::with_capacity(1 << 16, file) }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(SynthError::AlreadyThere { path }),
            Err(source) => Err(SynthError::Unwritable { path, source }),
        }
    }

    pub(super) fn line(&mut self, line: &str) -> Result<(), SynthError> {
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.write_all(b"\n"));
        written.map_err(|source| SynthError::Unwritable { path: self.path.clone(), source })
    }

    pub(super) fn finish(mut self) -> Result<(), SynthError> {
        self.file.flush().map_err(SynthError::unwritable(self.path))
    }
}

/// Makes the folder, and sees that none of the files is there before the first of them is begun.
pub(super) fn prepare(folder: &Path, names: impl IntoIterator<Item = String>) -> Result<(), SynthError> {
    fs::create_dir_all(folder).map_err(SynthError::unwritable(folder))?;
    for name in names {
        let path = folder.join(name);
        if path.symlink_metadata().is_ok() {
            return Err(SynthError::AlreadyThere { path });
        }
    }
    Ok(())
}
