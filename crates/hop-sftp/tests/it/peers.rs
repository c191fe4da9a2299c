//! Where the programs under test and their peers are.

use std::path::{Path, PathBuf};

/// Our server on standard input and output.
pub(crate) const OUR_SERVER: &str = env!("CARGO_BIN_EXE_sftp-stdio");

/// OpenSSH's server.
pub(crate) fn openssh_server() -> &'static Path {
    program("/usr/lib/openssh/sftp-server", "openssh-sftp-server")
}

/// OpenSSH's `sftp` client.
pub(crate) fn openssh_client() -> &'static Path {
    program("/usr/bin/sftp", "openssh-client")
}

/// Python, for calls that need unsafe code here.
pub(crate) fn python() -> PathBuf {
    program("/usr/bin/python3", "python3").to_owned()
}

fn program(path: &'static str, package: &str) -> &'static Path {
    let path = Path::new(path);
    assert!(path.exists(), "{} is missing: install the Debian package {package}", path.display());
    path
}
