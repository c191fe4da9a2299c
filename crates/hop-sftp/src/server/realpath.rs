//! Canonical paths: absolute, without `.`, `..` and symbolic links.
//!
//! Differs from realpath(3) as OpenSSH's does: the last component need not exist, so that a client can ask for the
//! full name of a file it is about to create; with a slash behind it, it must.

use rustix::fs::{CWD, readlinkat};
use rustix::io::Errno;

/// Symbolic links followed before the path counts as a loop; Linux's own bound.
const MAX_LINKS: usize = 40;

/// Longest path, in bytes without a terminator; Linux's own bound.
const MAX_LENGTH: usize = 4095;

/// Resolves `path`, taking a relative one from `base`, which must be absolute and canonical.
pub(crate) fn resolve(base: &[u8], path: &[u8]) -> Result<Vec<u8>, Errno> {
    if path.len() > MAX_LENGTH {
        return Err(Errno::NAMETOOLONG);
    }
    if path.contains(&0) {
        // readlinkat would say the same, but from it "invalid" means "no symbolic link".
        return Err(Errno::INVAL);
    }
    let mut resolved = if path.starts_with(b"/") { Vec::new() } else { base.to_vec() };
    if resolved == b"/" {
        resolved.clear();
    }
    let mut left = path.to_vec();
    let mut links = 0_usize;
    while !left.is_empty() {
        let (component, rest) = match left.iter().position(|byte| *byte == b'/') {
            Some(slash) => {
                let rest = left.split_off(slash);
                (std::mem::take(&mut left), Some(rest.get(1..).unwrap_or_default().to_vec()))
            }
            None => (std::mem::take(&mut left), None),
        };
        let is_last = rest.is_none();
        left = rest.unwrap_or_default();
        match component.as_slice() {
            b"" | b"." => continue,
            b".." => {
                let parent = resolved.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                resolved.truncate(parent);
                continue;
            }
            name => {
                resolved.push(b'/');
                resolved.extend_from_slice(name);
            }
        }
        if resolved.len() > MAX_LENGTH {
            return Err(Errno::NAMETOOLONG);
        }
        match readlinkat(CWD, &resolved, Vec::new()) {
            Ok(target) => {
                links = links.saturating_add(1);
                if links > MAX_LINKS {
                    return Err(Errno::LOOP);
                }
                let target = target.as_bytes();
                let parent = resolved.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                resolved.truncate(if target.starts_with(b"/") { 0 } else { parent });
                let mut longer = target.to_vec();
                if !is_last {
                    longer.push(b'/');
                    longer.append(&mut left);
                }
                if longer.len() > MAX_LENGTH {
                    return Err(Errno::NAMETOOLONG);
                }
                left = longer;
            }
            // Exists and is no symbolic link.
            Err(Errno::INVAL) => {}
            Err(Errno::NOENT) if is_last => {}
            Err(error) => return Err(error),
        }
    }
    if resolved.is_empty() {
        resolved.push(b'/');
    }
    Ok(resolved)
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::symlink;

    use proptest::prelude::*;
    use rustix::io::Errno;

    use super::resolve;

    #[test]
    fn table() {
        let root = tempfile::tempdir().expect("a temporary directory");
        let base = root.path().canonicalize().expect("it exists");
        std::fs::create_dir(base.join("dir")).expect("mkdir");
        std::fs::write(base.join("file"), b"").expect("write");
        for (target, link) in [
            ("dir", "to-dir"),
            ("to-dir/../file", "to-file"),
            ("nowhere", "dangling"),
            ("loop-b", "loop-a"),
            ("loop-a", "loop-b"),
            ("/", "to-root"),
        ] {
            symlink(target, base.join(link)).expect("symlink");
        }
        let base = base.as_os_str().as_bytes();
        for (path, expected) in [
            ("", Ok("")),
            (".", Ok("")),
            ("./dir/.", Ok("/dir")),
            ("file", Ok("/file")),
            ("file/", Ok("/file")),
            ("file/../dir", Ok("/dir")),
            ("new", Ok("/new")),
            ("new/", Err(Errno::NOENT)),
            ("new/x", Err(Errno::NOENT)),
            ("file/x", Err(Errno::NOTDIR)),
            ("to-dir", Ok("/dir")),
            ("to-dir/", Ok("/dir")),
            ("to-dir/new", Ok("/dir/new")),
            ("to-file", Ok("/file")),
            ("dangling", Ok("/nowhere")),
            ("dangling/", Err(Errno::NOENT)),
            ("loop-a", Err(Errno::LOOP)),
        ] {
            let expected = expected.map(|tail| [base, tail.as_bytes()].concat());
            assert_eq!(resolve(base, path.as_bytes()), expected, "{path}");
            let absolute = [base, b"/", path.as_bytes()].concat();
            assert_eq!(resolve(b"/", &absolute), expected, "absolute {path}");
        }
        assert_eq!(resolve(base, b"to-root/../.."), Ok(b"/".to_vec()));
        assert_eq!(resolve(base, b"/../.."), Ok(b"/".to_vec()));
        assert_eq!(resolve(b"/", b"."), Ok(b"/".to_vec()));
        assert_eq!(resolve(base, b"a\0b"), Err(Errno::INVAL));
        assert_eq!(resolve(base, &[b'a'; 5000]), Err(Errno::NAMETOOLONG));
    }

    proptest! {
        #[test]
        fn never_panics_and_is_always_absolute(path in prop::collection::vec(prop_oneof![Just(b'/'), Just(b'.'), any::<u8>()], 0..60)) {
            if let Ok(resolved) = resolve(b"/usr", &path) {
                prop_assert!(resolved.starts_with(b"/"));
                prop_assert!(!resolved.windows(2).any(|pair| pair == b"//"));
            }
        }
    }
}
