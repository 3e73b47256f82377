//! Files that hold secrets: read only if nobody else can, written so that nobody else can; and no core dumps.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::process::{Resource, Rlimit};
use zeroize::Zeroizing;

use crate::failure::{Failure, Outcome};

/// A key file is small; more than this is something else.
const LONGEST: u64 = 16 * 1024;

/// Reads a key file: no link, this user's own, mode 0600 or stricter; or a descriptor, as `/dev/fd/3`.
pub fn read(path: &Path) -> Outcome<Zeroizing<Vec<u8>>> {
    let file = open_private(path)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(64));
    file.take(LONGEST).read_to_end(&mut bytes).map_err(|e| Failure::file("read", path, &e))?;
    Ok(bytes)
}

/// Refuses a secret that group or others may read, without keeping it open.
pub fn refuse_if_readable_by_others(path: &Path) -> Outcome {
    open_private(path).map(drop)
}

fn open_private(path: &Path) -> Outcome<File> {
    // a descriptor that the caller opened is named by a link of the kernel's
    let descriptor = ["/dev/fd", "/proc/self/fd"].iter().any(|folder| path.parent() == Some(Path::new(folder)));
    let follow = if descriptor { OFlags::empty() } else { OFlags::NOFOLLOW };
    let flags = i32::try_from(follow.bits()).expect("open flags fit");
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = file.map_err(|e| match rustix::io::Errno::from_io_error(&e) {
        Some(rustix::io::Errno::LOOP) => {
            Failure::refused(format!("{}: the key file is a link", path.display())).hint("name the file itself")
        }
        _ => Failure::file("read", path, &e),
    })?;
    let meta = file.metadata().map_err(|e| Failure::file("read", path, &e))?;
    if meta.is_file() && meta.mode() & 0o077 != 0 {
        return Err(Failure::refused(format!("{}: the key file is readable by others", path.display()))
            .hint(format!("chmod 600 {}", path.display())));
    }
    if meta.is_file() && meta.uid() != rustix::process::geteuid().as_raw() {
        return Err(Failure::refused(format!("{}: the key file belongs to another user", path.display())));
    }
    Ok(file)
}

/// A core dump would write keys and personal data to disk.
pub fn no_core_dumps() -> Outcome {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    rustix::process::setrlimit(Resource::Core, none)
        .map_err(|e| Failure::refused(format!("cannot switch core dumps off: {e}")))
}

/// Writes a new file that only this user can read; never over an existing one.
pub fn create(path: &Path, bytes: &[u8]) -> Outcome {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.map_err(|e| match e.kind() {
        std::io::ErrorKind::AlreadyExists => Failure::refused(format!("{}: exists already", path.display()))
            .hint("a key is never overwritten; name another file, or move this one away"),
        _ => Failure::file("write", path, &e),
    })?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|e| Failure::file("write", path, &e))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn only_a_private_plain_file_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        create(&path, b"secret").unwrap();
        assert_eq!(read(&path).unwrap().as_slice(), b"secret");
        assert!(create(&path, b"other").is_err(), "never overwritten");

        let link = folder.path().join("link");
        symlink(&path, &link).unwrap();
        assert!(read(&link).unwrap_err().message.contains("link"));

        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(read(&path).unwrap_err().message.contains("readable by others"));
    }

    #[cfg(any(feature = "agency", feature = "office"))]
    proptest::proptest! {
        #[test]
        fn any_bytes_are_a_key_or_refused_and_never_shown(bytes in proptest::collection::vec(0u8..4, 30..35)) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("key");
            create(&path, &bytes).unwrap();
            let read = read(&path).unwrap();
            proptest::prop_assert_eq!(read.as_slice(), bytes.as_slice());
            let right = bytes.len() == 32 && bytes.iter().any(|byte| *byte != bytes[0]);
            proptest::prop_assert_eq!(hedui_protocol::secret::checked(&read).is_ok(), right);
        }
    }
}
