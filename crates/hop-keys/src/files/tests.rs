use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::KeyAlgorithm;
use crate::test_tools::ssh_keygen;

fn key() -> PrivateKey {
    PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().mode() & 0o777
}

#[test]
fn a_saved_key_is_private_and_never_replaced() {
    let keygen = ssh_keygen();
    let path = PathBuf::from(keygen.path("key"));
    let (one, two) = (key(), key());
    save_private_key(&path, &one, "one").unwrap();
    assert_eq!(mode(&path), 0o600);
    let loaded = load_private_key(&path, None).unwrap();
    assert_eq!((loaded.public(), loaded.comment()), (one.public(), "one"));
    assert_eq!(keygen.read(&keygen.path("key.pub")), format!("{}\n", one.public().to_line("one")));
    assert_eq!(keygen.run(&["-y", "-f", &keygen.path("key")]).trim(), one.public().to_line("one"));
    let refusal = save_private_key(&path, &two, "two").unwrap_err();
    assert!(
        matches!(&refusal, FileError::Write { source, .. } if source.kind() == io::ErrorKind::AlreadyExists)
    );
    assert_eq!(load_private_key(&path, None).unwrap().public(), one.public());
    let files = std::fs::read_dir(path.parent().unwrap()).unwrap().count();
    assert_eq!(files, 2, "a draft was left behind");
}

#[test]
fn keys_that_others_can_read_are_refused() {
    let keygen = ssh_keygen();
    let path = PathBuf::from(keygen.path("key"));
    save_private_key(&path, &key(), "").unwrap();
    for mode in [0o640, 0o604, 0o644, 0o610] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let refusal = load_private_key(&path, None).unwrap_err().to_string();
        let expected = format!("can be read by others (mode {mode:03o})\nhint: chmod 600 {}", path.display());
        assert!(refusal.ends_with(&expected), "{refusal}");
    }
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).unwrap();
    assert!(load_private_key(&path, None).is_ok());
}

#[test]
fn errors_name_the_file() {
    let keygen = ssh_keygen();
    let missing = keygen.path("missing");
    let empty = keygen.write_secret("empty", "");
    let long = keygen.write_secret("long", &"x".repeat(70_000));
    let said = |result: Result<PrivateKey, FileError>| result.unwrap_err().to_string();
    assert!(
        said(load_private_key(Path::new(&missing), None)).starts_with(&format!("cannot read {missing}: "))
    );
    assert!(said(load_private_key(Path::new(&empty), None)).contains(&empty));
    assert!(said(load_private_key(Path::new(&long), None)).contains("longer than 65536 bytes"));
    assert!(matches!(load_certificate(Path::new(&empty)), Err(FileError::PublicKey { .. })));
    assert!(matches!(load_authorized_keys(Path::new(&missing)), Err(FileError::Read { .. })));
    assert!(matches!(load_ca_keys(Path::new(&missing)), Err(FileError::Read { .. })));
}

#[test]
fn a_revocation_list_that_cannot_be_read_is_an_error() {
    let keygen = ssh_keygen();
    let missing = keygen.path("missing");
    assert!(matches!(load_revocation_list(Path::new(&missing)), Err(FileError::Read { .. })));
    let good = RevocationList::new().to_bytes(1, 2, "");
    let table: &[(&str, &[u8], bool)] = &[
        ("empty", b"", false),
        ("cut", &good[..20], false),
        ("other", b"hello\n", false),
        ("good", &good, true),
    ];
    for (name, contents, usable) in table {
        let path = keygen.write(name, contents);
        assert_eq!(load_revocation_list(Path::new(&path)).is_ok(), *usable, "{name}");
    }
}

#[test]
fn problems_name_file_and_line() {
    let keygen = ssh_keygen();
    let line = key().public().to_line("ca");
    let text = format!("# CAs\n{line}\ncert-authority {line}\n{}\nssh-ed25519 AAA\n", &line[..30]);
    let path = keygen.write("cas", &text);
    let (keys, problems) = load_ca_keys(Path::new(&path)).unwrap();
    assert_eq!(keys.len(), 1);
    let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        said[0],
        format!("{path}:3: only bare public keys may stand here, without options or markers")
    );
    assert!(said[1].starts_with(&format!("{path}:4: ")), "{said:?}");
    assert_eq!(said[2], format!("{path}:5: the base64 of the key is broken; was the line wrapped or cut?"));
    let (keys, problems) = load_authorized_keys(Path::new(&path)).unwrap();
    assert_eq!((keys.len(), problems.len()), (2, 2));
}
