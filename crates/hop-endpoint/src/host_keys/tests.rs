//! Keys on disk: made once, kept, judged; ssh-keygen is the witness.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::*;
use crate::private_dir::PrivateDir;

fn directory() -> PrivateDir {
    PrivateDir::create(&std::env::temp_dir()).unwrap()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().mode() & 0o777
}

fn keygen(arguments: &[&str]) -> String {
    let output = Command::new("ssh-keygen").args(arguments).output();
    let output = output.expect("Debian package openssh-client is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn write_key(path: &Path) {
    let key = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
    assert!(publish(path, key.to_openssh("test").as_bytes()).unwrap());
    std::fs::write(with_suffix(path, ".pub"), key.public().to_line("test")).unwrap();
}

#[test]
fn made_once_and_kept() {
    let parent = directory();
    let state = parent.path().join("a/b");
    let first = keep(&state).unwrap();
    let algorithms: Vec<_> = first.iter().map(|key| key.private.public().algorithm()).collect();
    assert_eq!(algorithms, [KeyAlgorithm::Ed25519, KeyAlgorithm::Rsa]);
    assert_eq!(mode(&state), 0o700);
    for key in &first {
        assert!(key.new);
        assert_eq!(mode(&key.path), 0o600);
        let listed = keygen(&["-l", "-f", key.path.to_str().unwrap()]);
        assert!(listed.contains(&key.fingerprint().to_string()), "{listed}");
    }
    let again = keep(&state).unwrap();
    for (first, again) in first.iter().zip(&again) {
        assert!(!again.new);
        assert_eq!(first.fingerprint(), again.fingerprint());
    }
    let names: Vec<_> = std::fs::read_dir(&state).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 4, "no drafts are left: {names:?}");
}

#[test]
fn who_comes_second_takes_the_key_of_the_first() {
    let state = directory();
    let path = state.path().join("key");
    assert!(publish(&path, b"first").unwrap());
    assert!(!publish(&path, b"second").unwrap());
    assert_eq!(std::fs::read(&path).unwrap(), b"first");
}

#[test]
fn bad_files_are_errors_that_name_them() {
    let state = directory();
    let at = |name: &str| state.path().join(name);
    std::fs::write(at("empty"), b"").unwrap();
    std::fs::write(at("long"), vec![b'x'; 70_000]).unwrap();
    std::fs::write(at("binary"), b"\xff\xfe").unwrap();
    std::fs::create_dir(at("directory")).unwrap();
    write_key(&at("exposed"));
    for name in ["empty", "long", "binary"] {
        std::fs::set_permissions(at(name), PermissionsExt::from_mode(0o600)).unwrap();
    }
    std::fs::set_permissions(at("directory"), PermissionsExt::from_mode(0o700)).unwrap();
    std::fs::set_permissions(at("exposed"), PermissionsExt::from_mode(0o640)).unwrap();
    for name in ["missing", "empty", "long", "binary", "directory", "exposed"] {
        let error = load(&[at(name)]).unwrap_err().to_string();
        assert!(error.contains(at(name).to_str().unwrap()), "{error}");
    }
    let exposed = load(&[at("exposed")]).unwrap_err();
    assert!(exposed.to_string().contains("hint: chmod 600"), "{exposed}");
    assert!(matches!(load(&[]).unwrap_err(), HostKeyError::None));
}

#[test]
fn a_broken_kept_key_is_not_replaced() {
    let state = directory();
    let path = state.path().join("ssh_host_ed25519_key");
    assert!(publish(&path, b"damaged").unwrap());
    assert!(matches!(keep(state.path()).unwrap_err(), HostKeyError::Private { .. }));
    assert_eq!(std::fs::read(&path).unwrap(), b"damaged");
}

#[test]
fn a_directory_that_others_write_is_refused() {
    let state = directory();
    std::fs::set_permissions(state.path(), PermissionsExt::from_mode(0o777)).unwrap();
    assert!(matches!(keep(state.path()).unwrap_err(), HostKeyError::SharedDirectory { mode: 0o777, .. }));
}

#[test]
fn the_certificate_beside_a_key_is_its_own_or_an_error() {
    let state = directory();
    let at = |name: &str| state.path().join(name);
    let [ca, key, other] = ["ca", "key", "other"].map(at);
    for path in [&ca, &key, &other] {
        write_key(path);
    }
    let public = with_suffix(&key, ".pub");
    let sign = |kind: &[&str], target: &Path| {
        let ca = ca.to_str().unwrap();
        keygen(&[&["-q", "-s", ca, "-I", "id", "-n", "host"], kind, &[target.to_str().unwrap()]].concat());
    };
    sign(&["-h"], &public);
    let loaded = load(std::slice::from_ref(&key)).unwrap();
    assert_eq!(loaded[0].certificate.as_ref().unwrap().principals(), ["host"]);
    std::fs::copy(at("key-cert.pub"), at("other-cert.pub")).unwrap();
    assert!(matches!(load(&[other]).unwrap_err(), HostKeyError::ForeignCertificate { .. }));
    sign(&[], &public);
    assert!(matches!(load(&[key]).unwrap_err(), HostKeyError::ForeignCertificate { .. }));
}
