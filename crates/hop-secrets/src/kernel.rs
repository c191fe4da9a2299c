//! Keys of files that the kernel holds for a while, so that a passphrase is typed once a day.
//!
//! They are in the user's keyring: the user's processes find them, and they go with a time limit or the machine.

use crate::FileKey;
use linux_keyutils::{KeyPermissionsBuilder, KeyRing, KeyRingIdentifier, Permission};
use std::path::Path;
use std::time::Duration;
use zeroize::Zeroizing;

/// The kernel's keyring of the user. Where there is none (some containers), nothing is kept and nothing found.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeptKeys;

impl KeptKeys {
    /// Keeps the key of a file; whether the kernel does.
    pub fn keep(self, file: &Path, key: &FileKey, time: Duration) -> bool {
        let kept = || {
            let ring = KeyRing::from_special_id(KeyRingIdentifier::User, true)?;
            let kept = ring.add_key(&name(file), key.0.as_ref())?;
            // A process of the same user reads it also when its session did not inherit the user's keyring.
            let whole = || Permission::ALL;
            kept.set_perms(KeyPermissionsBuilder::builder().posessor(whole()).user(whole()).build())?;
            kept.set_timeout(usize::try_from(time.as_secs()).unwrap_or(usize::MAX))
        };
        kept().is_ok()
    }

    /// The key that was kept.
    pub fn find(self, file: &Path) -> Option<FileKey> {
        let ring = KeyRing::from_special_id(KeyRingIdentifier::User, false).ok()?;
        let kept = ring.search(&name(file)).ok()?;
        let mut key = Zeroizing::new([0_u8; 32]);
        let length = kept.read(&mut *key).ok()?;
        (length == key.len()).then_some(FileKey(key))
    }

    /// Forgets it.
    pub fn forget(self, file: &Path) {
        let found = KeyRing::from_special_id(KeyRingIdentifier::User, false)
            .and_then(|ring| ring.search(&name(file)));
        if let Ok(found) = found {
            // It may have ended in between.
            let _ = found.invalidate();
        }
    }
}

fn name(file: &Path) -> String {
    format!("hop:{}", file.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_kept_until_it_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secrets");
        assert!(KeptKeys.find(&file).is_none());
        let key = FileKey(Zeroizing::new([7; 32]));
        assert!(KeptKeys.keep(&file, &key, Duration::from_secs(60)), "this kernel keeps no keys");
        assert_eq!(KeptKeys.find(&file).unwrap().0, key.0);
        KeptKeys.forget(&file);
        assert!(KeptKeys.find(&file).is_none());
    }
}
