//! Key pairs made by ssh-keygen, in the forms that each peer reads.

use std::path::{Path, PathBuf};

use crate::program::program;
use crate::{Run, Scratch};

/// A key pair on disk, without a passphrase.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The private key in OpenSSH's format; the public key lies beside it with `.pub`.
    pub private: PathBuf,
    /// The public key's line.
    pub public: String,
}

impl Identity {
    /// Makes an Ed25519 key.
    #[must_use]
    pub fn ed25519(scratch: &Scratch, name: &str) -> Self {
        Self::generate(scratch, name, "ed25519", &[])
    }

    /// Makes a key of any type that ssh-keygen knows, with more of its options.
    #[must_use]
    pub fn generate(scratch: &Scratch, name: &str, algorithm: &str, options: &[&str]) -> Self {
        let private = scratch.join(name);
        let _ = Run::new(program("ssh-keygen"))
            .args(["-q", "-N", "", "-C", name, "-t", algorithm])
            .args(options)
            .arg("-f")
            .arg(&private)
            .env("SSH_SK_PROVIDER", SK_DUMMY)
            .success();
        Self::read(private)
    }

    /// One that is there.
    pub(crate) fn read(private: PathBuf) -> Self {
        let public = with_suffix(&private, ".pub");
        let public = std::fs::read_to_string(&public).expect("ssh-keygen wrote a public key");
        Self { private, public: public.trim_end().to_owned() }
    }

    /// The algorithm and the key, without the comment: what known_hosts wants.
    #[must_use]
    pub fn public_without_comment(&self) -> String {
        self.public.split(' ').take(2).collect::<Vec<_>>().join(" ")
    }

    /// `SHA256:…` as ssh-keygen prints it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let listed = Run::new(program("ssh-keygen")).arg("-lf").arg(&self.private).success().stdout();
        listed.split(' ').nth(1).expect("ssh-keygen -l prints the fingerprint second").to_owned()
    }

    /// The same key in PuTTY's format.
    #[must_use]
    pub fn putty(&self) -> PathBuf {
        let path = with_suffix(&self.private, ".ppk");
        let _ = Run::new(program("puttygen")).arg(&self.private).arg("-o").arg(&path).success();
        path
    }

    /// The same key in dropbear's format.
    #[must_use]
    pub fn dropbear(&self) -> PathBuf {
        let path = with_suffix(&self.private, ".dropbear");
        let _ = Run::new(program("dropbearconvert"))
            .args(["openssh", "dropbear"])
            .arg(&self.private)
            .arg(&path)
            .success();
        path
    }
}

/// The security key without hardware from OpenSSH's own tests (Debian package openssh-tests).
pub const SK_DUMMY: &str = "/usr/lib/openssh/regress/misc/sk-dummy/sk-dummy.so";

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
