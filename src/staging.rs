//! Output folders and files that appear whole or not at all.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::failure::{Failure, Outcome};

/// A folder in the making, beside its final place; readable by its owner only.
///
/// Dropped before [`Staging::finish`], it is removed.
pub struct Staging {
    partial: PathBuf,
    target: PathBuf,
}

impl Staging {
    pub fn new(target: &Path) -> Outcome<Self> {
        if target.exists() {
            return Err(Failure::refused(format!("{}: exists already", target.display()))
                .hint("name another folder, or move this one away"));
        }
        let name =
            target.file_name().ok_or_else(|| Failure::usage(format!("{}: not a folder name", target.display())))?;
        let partial = target.with_file_name(partial_name(&name.to_string_lossy()));
        if partial.exists() {
            // left by a process that was killed: it holds nothing that was ever promised
            std::fs::remove_dir_all(&partial).map_err(|e| Failure::file("remove", &partial, &e))?;
        }
        private_folder(&partial)?;
        Ok(Self { partial, target: target.to_owned() })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.partial.join(name)
    }

    /// Writes (or writes anew) one file of the folder.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Outcome {
        write_private(&self.path(name), bytes)
    }

    /// Moves the folder to its final place.
    pub fn finish(self) -> Outcome {
        std::fs::rename(&self.partial, &self.target).map_err(|e| Failure::file("write", &self.target, &e))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // after `finish` there is nothing left to remove; on failure the failure itself is what matters
        let _ = std::fs::remove_dir_all(&self.partial);
    }
}

fn partial_name(name: &str) -> String {
    format!(".{name}.partial")
}

/// Whether a path is called like something in the making.
pub fn is_partial(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with('.') && name.ends_with(".partial")
}

/// A file in the making, beside its final place; readable by its owner only.
///
/// Dropped before [`NewFile::finish`], it is removed.
pub struct NewFile {
    file: BufWriter<NamedTempFile>,
    target: PathBuf,
}

impl NewFile {
    pub fn create(target: &Path) -> Outcome<Self> {
        if target.is_dir() {
            return Err(Failure::refused(format!("{}: cannot write: this is a folder", target.display())));
        }
        let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file =
            NamedTempFile::with_prefix_in(".partial.", folder).map_err(|e| Failure::file("write", target, &e))?;
        Ok(Self { file: BufWriter::new(file), target: target.to_owned() })
    }

    /// Moves the file, on disk by now, to its final place; what stood there is replaced.
    pub fn finish(self) -> Outcome {
        let file = self.file.into_inner().map_err(std::io::IntoInnerError::into_error);
        let kept = file.and_then(|file| file.as_file().sync_all().map(|()| file));
        let kept = kept.and_then(|file| file.persist(&self.target).map_err(|e| e.error));
        kept.map(drop).map_err(|e| Failure::file("write", &self.target, &e))
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

/// A slip of the keyboard must not cost a file that is read: no output may be an input, by whatever name. An input that is
/// no file (a preset's name, `-`) cannot be lost.
pub fn refuse_to_overwrite<'p>(inputs: &[&Path], outputs: impl IntoIterator<Item = &'p PathBuf>) -> Outcome {
    let file = |path: &Path| std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()));
    let read: Vec<_> = inputs.iter().filter_map(|path| file(path)).collect();
    match outputs.into_iter().find(|out| file(out).is_some_and(|out| read.contains(&out))) {
        None => Ok(()),
        Some(out) => {
            Err(Failure::usage(format!("{}: this is a file to read", out.display())).hint("name another file to write"))
        }
    }
}

/// What somebody may have worked on is not written over.
pub fn refuse_existing(path: &Path) -> Outcome {
    if path.exists() { Err(Failure::refused(format!("{}: exists already", path.display()))) } else { Ok(()) }
}

/// A folder, and those above it, that only this user can enter.
pub fn private_folder(path: &Path) -> Outcome {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|e| Failure::file("create", path, &e))
}

/// A file that only this user can read, on disk when this returns.
pub fn write_private(path: &Path, bytes: &[u8]) -> Outcome {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    written.map_err(|e| Failure::file("write", path, &e))
}

/// As [`write_private`], replacing the file in one step: it holds the old bytes or the new.
pub fn replace_private(path: &Path, bytes: &[u8]) -> Outcome {
    let name = path.file_name().map_or_else(Default::default, |name| name.to_string_lossy());
    let partial = path.with_file_name(partial_name(&name));
    write_private(&partial, bytes)?;
    std::fs::rename(&partial, path).map_err(|e| Failure::file("write", path, &e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_appears_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("out");
        {
            let staging = Staging::new(&target).unwrap();
            staging.write("a", b"1").unwrap();
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "dropped, removed");

        let staging = Staging::new(&target).unwrap();
        staging.write("a", b"2").unwrap();
        staging.finish().unwrap();
        assert_eq!(std::fs::read(target.join("a")).unwrap(), b"2");
        assert!(Staging::new(&target).is_err(), "never over an existing folder");
    }
}
