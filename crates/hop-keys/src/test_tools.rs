//! For this crate's tests: the real ssh-keygen in a directory of its own.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::certificate::Fields;
use crate::fingerprint::sha256;
use crate::wire::{Put as _, Reader};
use crate::{Certificate, CertificateKind, KeyAlgorithm, PrivateKey, PublicKey};

/// The kinds of key that need no token.
pub(crate) const SOFTWARE_KEYS: [KeyAlgorithm; 5] = [
    KeyAlgorithm::Ed25519,
    KeyAlgorithm::EcdsaNistp256,
    KeyAlgorithm::EcdsaNistp384,
    KeyAlgorithm::EcdsaNistp521,
    KeyAlgorithm::Rsa,
];

/// The real ssh-keygen, working in a directory that is removed afterwards.
pub(crate) struct SshKeygen {
    directory: PathBuf,
}

/// A fresh directory for one test.
pub(crate) fn ssh_keygen() -> SshKeygen {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let directory = std::env::temp_dir().join(format!("hop-keys-{}-{number}", std::process::id()));
    std::fs::create_dir(&directory).unwrap();
    SshKeygen { directory }
}

impl SshKeygen {
    pub(crate) fn path(&self, name: &str) -> String {
        self.directory.join(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn read(&self, path: &str) -> String {
        std::fs::read_to_string(path).unwrap()
    }

    pub(crate) fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::write(&path, contents).unwrap();
        path
    }

    /// ssh-keygen refuses private keys that others may read.
    pub(crate) fn write_secret(&self, name: &str, contents: &str) -> String {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.write(name, contents);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// Runs it; anything but success fails the test.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "ssh-keygen {arguments:?}: {stderr}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub(crate) fn output(&self, arguments: &[&str]) -> Output {
        Command::new("ssh-keygen")
            .args(arguments)
            .current_dir(&self.directory)
            .output()
            .expect("ssh-keygen is missing: install the Debian package openssh-client")
    }
}

impl Drop for SshKeygen {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// What a FIDO token does, done by a software key.
pub(crate) struct Token {
    pub(crate) public: PublicKey,
    secret: PrivateKey,
}

/// A token with a key of this kind.
pub(crate) fn token(algorithm: KeyAlgorithm) -> Token {
    let software = match algorithm {
        KeyAlgorithm::SkEd25519 => KeyAlgorithm::Ed25519,
        KeyAlgorithm::SkEcdsaNistp256 => KeyAlgorithm::EcdsaNistp256,
        other => panic!("{other} keys are not on tokens"),
    };
    let secret = PrivateKey::generate(software).unwrap();
    let mut reader = Reader::new(secret.public().blob());
    reader.string("name").unwrap();
    let mut blob = Vec::new();
    blob.put_string(algorithm.name().as_bytes());
    blob.extend_from_slice(reader.rest());
    blob.put_string(b"ssh:");
    Token { public: PublicKey::from_blob(&blob).unwrap(), secret }
}

impl Token {
    /// Signs as OpenSSH's PROTOCOL.u2f says.
    pub(crate) fn sign(&self, message: &[u8], flags: u8, counter: u32) -> Vec<u8> {
        let mut assertion = sha256(b"ssh:").to_vec();
        assertion.push(flags);
        assertion.put_u32(counter);
        assertion.extend_from_slice(&sha256(message));
        let signed = self.secret.sign(self.secret.signature_algorithms()[0], &assertion).unwrap();
        let mut reader = Reader::new(&signed);
        reader.string("name").unwrap();
        let mut blob = Vec::new();
        blob.put_string(self.public.algorithm().name().as_bytes());
        blob.put_string(reader.string("signature").unwrap());
        blob.push(flags);
        blob.put_u32(counter);
        blob
    }
}

/// The time of every certificate test: 2026-11-22 12:00 UTC.
pub(crate) const NOW: u64 = 1_795_348_800;

/// A certificate's contents that the tests then bend.
pub(crate) fn fields(key: &PublicKey, kind: CertificateKind, principals: &[&str]) -> Fields {
    Fields {
        key: key.clone(),
        kind,
        serial: 1,
        key_id: "key id".to_owned(),
        principals: principals.iter().map(|name| (*name).to_owned()).collect(),
        valid_after: NOW - 60,
        valid_before: NOW + 3600,
        critical_options: BTreeMap::new(),
        extensions: BTreeMap::new(),
    }
}

/// Signs whatever the fields say, without the builder's rules.
pub(crate) fn raw_certificate(fields: &Fields, ca: &PrivateKey) -> Certificate {
    let mut blob = fields.encode(&[7; 32], ca.public());
    let signature = ca.sign(ca.signature_algorithms()[0], &blob).unwrap();
    blob.put_string(&signature);
    Certificate::from_blob(&blob).unwrap()
}
