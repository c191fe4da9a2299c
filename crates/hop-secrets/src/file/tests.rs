//! Files of secrets: what is stored is found, and nothing else opens them.

use super::*;
use crate::Kind;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

const QUICK: Cost = Cost { memory: 64, passes: 1 };

fn file(folder: &tempfile::TempDir) -> EncryptedFile {
    let user = std::fs::metadata(folder.path()).unwrap().uid();
    EncryptedFile::at(folder.path().join("made/secrets"), user)
}

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

#[test]
fn what_is_stored_is_found_by_another_process_with_the_passphrase() {
    let folder = tempfile::tempdir().unwrap();
    let open = file(&folder).create(&secret("correct horse"), QUICK).unwrap();
    let (saga, token) =
        (Label::new("saga", Kind::Password), Label::new("https://hub.example.org", Kind::Token));
    open.set(&saga, &secret("hunter2")).unwrap();
    open.set(&token, &secret("t0k3n")).unwrap();
    open.set(&saga, &secret("hunter3")).unwrap();
    assert_eq!(std::fs::metadata(open.path()).unwrap().permissions().mode() & 0o777, 0o600);
    let raw = std::fs::read(open.path()).unwrap();
    for word in ["hunter", "t0k3n", "saga", "hub.example"] {
        assert!(!raw.windows(word.len()).any(|part| part == word.as_bytes()), "{word} is readable");
    }

    let again = file(&folder).open(&secret("correct horse")).unwrap();
    assert_eq!(again.find(&saga).unwrap().unwrap().expose(), "hunter3");
    assert_eq!(again.list().unwrap(), [token.clone(), saga.clone()]);
    assert!(again.remove(&saga).unwrap() && !again.remove(&saga).unwrap());
    assert!(open.find(&saga).unwrap().is_none(), "an open one is read anew");
    let with_key = file(&folder).open_with(open.key().clone()).unwrap();
    assert_eq!(with_key.find(&token).unwrap().unwrap().expose(), "t0k3n");
}

#[test]
fn nothing_else_opens_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder).create(&secret("right"), QUICK).unwrap().path().to_owned();
    assert!(matches!(file(&folder).open(&secret("wrong")), Err(FileError::WrongKey { .. })));
    assert!(matches!(file(&folder).create(&secret("right"), QUICK), Err(FileError::Exists { .. })));
    assert!(matches!(file(&folder).create(&secret(""), QUICK), Err(FileError::EmptyPassphrase)));
    let good = std::fs::read(&path).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        std::fs::write(&path, &bad).unwrap();
        assert!(file(&folder).open(&secret("right")).is_err(), "byte {at} changed");
        std::fs::write(&path, &good[..at]).unwrap();
        assert!(file(&folder).open(&secret("right")).is_err(), "cut at byte {at}");
    }
    std::fs::write(&path, &good).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(file(&folder).open(&secret("right")), Err(FileError::Exposed(_))));
}

#[test]
fn a_file_cannot_ask_for_all_memory() {
    let header = Header::new(Cost { memory: u32::MAX, passes: 1 });
    assert!(header.key(&secret("x")).is_none());
}

#[test]
fn writers_at_once_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let key = file(&folder).create(&secret("x"), QUICK).unwrap().key().clone();
    std::thread::scope(|scope| {
        for writer in 0..8 {
            let open = file(&folder).open_with(key.clone()).unwrap();
            scope.spawn(move || {
                for n in 0..8 {
                    let label = Label::new(format!("{writer}-{n}"), Kind::Password);
                    open.set(&label, &secret("x")).unwrap();
                }
            });
        }
    });
    assert_eq!(file(&folder).open_with(key).unwrap().list().unwrap().len(), 64);
}
