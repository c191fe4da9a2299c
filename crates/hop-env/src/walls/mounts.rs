//! Mounts as the walls need them: nothing in a project's view has devices or set-user-id programs.

use super::{Step, WallsError};
use rustix::mount::{MountFlags, mount_bind_recursive, mount_remount};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Mounts `source` with all below it at `target`, which exists.
pub(super) fn bind(source: &Path, target: &Path, writable: bool) -> Result<(), WallsError> {
    mount_bind_recursive(source, target).step(|| format!("mount {}", target.display()))?;
    restrict(target, if writable { MountFlags::empty() } else { MountFlags::RDONLY })
}

/// Makes what is at `target` a mount of its own that changes no more.
pub(super) fn read_only(target: &Path) -> Result<(), WallsError> {
    bind(target, target, false)
}

/// Makes a mount read-only, without what lies below it.
pub(super) fn freeze(target: &Path) -> Result<(), WallsError> {
    let own = below(target)?.into_iter().find(|(place, _)| place == target);
    remount(target, MountFlags::RDONLY, own.map_or(MountFlags::empty(), |(_, flags)| flags))
}

/// Gives these flags to a mount and to all below it.
fn restrict(target: &Path, flags: MountFlags) -> Result<(), WallsError> {
    // What was mounted in the host's namespace keeps its flags: taking one away is refused.
    for (place, kept) in below(target)? {
        remount(&place, flags | MountFlags::NOSUID | MountFlags::NODEV, kept)?;
    }
    Ok(())
}

fn remount(target: &Path, flags: MountFlags, kept: MountFlags) -> Result<(), WallsError> {
    mount_remount(target, MountFlags::BIND | flags | kept, c"")
        .step(|| format!("restrict the mount at {}", target.display()))
}

/// The mounts at and below a path, with the flags that they have.
fn below(target: &Path) -> Result<Vec<(PathBuf, MountFlags)>, WallsError> {
    let path = "/proc/self/mountinfo";
    let table = std::fs::read(path).step(|| format!("read {path}"))?;
    Ok(table
        .split(|byte| *byte == b'\n')
        .filter_map(entry)
        .filter(|(place, _)| place.starts_with(target))
        .collect())
}

/// The place and the flags of one line (proc(5): the fifth and sixth field).
fn entry(line: &[u8]) -> Option<(PathBuf, MountFlags)> {
    let mut fields = line.split(|byte| *byte == b' ').skip(4);
    let place = PathBuf::from(unescaped(fields.next()?));
    let options = fields.next()?;
    let known = [
        ("ro", MountFlags::RDONLY),
        ("nosuid", MountFlags::NOSUID),
        ("nodev", MountFlags::NODEV),
        ("noexec", MountFlags::NOEXEC),
        ("noatime", MountFlags::NOATIME),
        ("nodiratime", MountFlags::NODIRATIME),
        ("relatime", MountFlags::RELATIME),
    ];
    let has = |name: &str| options.split(|byte| *byte == b',').any(|option| option == name.as_bytes());
    let flags = known.into_iter().filter(|(name, _)| has(name)).map(|(_, flag)| flag).collect();
    Some((place, flags))
}

/// Blanks, tabs, newlines and backslashes stand as three octal digits.
fn unescaped(field: &[u8]) -> OsString {
    let mut bytes = Vec::new();
    let mut rest = field;
    while let Some((first, more)) = rest.split_first() {
        let octal = more.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if *first == b'\\' => {
                bytes.push(byte);
                rest = more.get(3..).unwrap_or_default();
            }
            _ => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    OsString::from_vec(bytes)
}

/// A path below the new root.
pub(super) fn placed(root: &Path, target: &Path) -> PathBuf {
    let relative = target.strip_prefix("/").unwrap_or(target);
    // Joining nothing would add a slash.
    if relative.as_os_str().as_bytes().is_empty() { root.to_owned() } else { root.join(relative) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_mount_table() {
        let line = br"36 35 98:0 /mnt1 /a\040b\134c rw,noexec,noatime master:1 - ext3 /dev/root rw";
        let (place, flags) = entry(line).unwrap();
        assert_eq!(place, Path::new("/a b\\c"));
        assert_eq!(flags, MountFlags::NOEXEC | MountFlags::NOATIME);
        assert_eq!(entry(b""), None);
    }

    #[test]
    fn paths_below_the_root() {
        assert_eq!(placed(Path::new("/tmp"), Path::new("/")), Path::new("/tmp"));
        assert_eq!(placed(Path::new("/tmp"), Path::new("/usr/bin")), Path::new("/tmp/usr/bin"));
    }
}
