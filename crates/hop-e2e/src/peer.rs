//! The peers of the matrix: what each is called, which version is here, what it can be asked to do.

use crate::Run;
use crate::matrix::Operation::{self, Download, Edit, Exec, Login, Pty, Sftp, Upload};
use crate::program::{self, program};
use crate::sshd::Release;

/// A program that logs in to our server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// OpenSSH ssh.
    Ssh(Release),
    /// OpenSSH scp over SFTP.
    Scp(Release),
    /// OpenSSH scp with its old protocol.
    ScpLegacy(Release),
    /// OpenSSH sftp.
    SftpClient(Release),
    /// dropbear's dbclient.
    Dbclient,
    /// PuTTY's plink.
    Plink,
    /// PuTTY's psftp.
    Psftp,
    /// paramiko, Python.
    Paramiko,
    /// asyncssh, Python.
    Asyncssh,
    /// libssh, through the Python package ssh-python.
    Libssh,
    /// libssh2, through the Python package ssh2-python.
    Libssh2,
    /// ssh2, npm.
    NodeSsh2,
    /// lftp.
    Lftp,
    /// rclone.
    Rclone,
    /// rsync over ssh.
    Rsync,
    /// git over ssh.
    Git,
    /// sshfs.
    Sshfs,
    /// vim with netrw's scp:// addresses.
    Vim,
}

/// What the matrix says about one peer and one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell {
    /// A test covers it.
    Tested,
    /// It makes no sense, for this reason.
    NotApplicable(&'static str),
}

impl Peer {
    /// All of them, in the order of the matrix.
    pub const ALL: [Self; 22] = [
        Self::Ssh(Release::V9_2),
        Self::Ssh(Release::V10_0),
        Self::Scp(Release::V9_2),
        Self::Scp(Release::V10_0),
        Self::ScpLegacy(Release::V9_2),
        Self::ScpLegacy(Release::V10_0),
        Self::SftpClient(Release::V9_2),
        Self::SftpClient(Release::V10_0),
        Self::Dbclient,
        Self::Plink,
        Self::Psftp,
        Self::Paramiko,
        Self::Asyncssh,
        Self::Libssh,
        Self::Libssh2,
        Self::NodeSsh2,
        Self::Lftp,
        Self::Rclone,
        Self::Rsync,
        Self::Git,
        Self::Sshfs,
        Self::Vim,
    ];

    /// Its name in the matrix.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ssh(_) => "ssh",
            Self::Scp(_) => "scp",
            Self::ScpLegacy(_) => "scp -O",
            Self::SftpClient(_) => "sftp",
            Self::Dbclient => "dbclient",
            Self::Plink => "plink",
            Self::Psftp => "psftp",
            Self::Paramiko => "paramiko",
            Self::Asyncssh => "asyncssh",
            Self::Libssh => "libssh",
            Self::Libssh2 => "libssh2",
            Self::NodeSsh2 => "ssh2 (npm)",
            Self::Lftp => "lftp",
            Self::Rclone => "rclone",
            Self::Rsync => "rsync",
            Self::Git => "git",
            Self::Sshfs => "sshfs",
            Self::Vim => "vim scp://",
        }
    }

    /// The version that is installed here, as the program tells it.
    #[must_use]
    pub fn version(self) -> String {
        let debian = |command: &str, option: &str| words(Run::new(program(command)).arg(option));
        match self {
            Self::Ssh(release)
            | Self::Scp(release)
            | Self::ScpLegacy(release)
            | Self::SftpClient(release) => words(Run::from_words(&release.words("ssh")).arg("-V")),
            Self::Dbclient => debian("dbclient", "-V"),
            Self::Plink => debian("plink", "-V"),
            Self::Psftp => debian("psftp", "-V"),
            Self::Paramiko => python_package("paramiko"),
            Self::Asyncssh => python_package("asyncssh"),
            Self::Libssh => python_package("ssh-python"),
            Self::Libssh2 => python_package("ssh2-python"),
            Self::NodeSsh2 => {
                let tell = ["-p", "require('ssh2/package.json').version"];
                first_line(Run::new("node").args(tell).current_dir(&program::node_folder()))
            }
            Self::Lftp => debian("lftp", "--version"),
            Self::Rclone => debian("rclone", "--version"),
            Self::Rsync => debian("rsync", "--version"),
            Self::Git => debian("git", "--version"),
            // Its first line is fusermount's.
            Self::Sshfs => {
                let told = Run::new(program("sshfs")).arg("--version").success().stdout();
                let line = told.lines().find(|l| l.starts_with("SSHFS")).unwrap_or_default();
                line.trim_start_matches("SSHFS version ").to_owned()
            }
            Self::Vim => debian("vim", "--version"),
        }
    }

    /// Whether a test covers the operation, or why there is none.
    #[must_use]
    pub fn cell(self, operation: Operation) -> Cell {
        use Cell::{NotApplicable, Tested};
        match (self, operation) {
            (Self::Vim, Edit) => Tested,
            (_, Edit) => NotApplicable("no editor"),
            (_, Login) => Tested,
            (Self::Ssh(_), Exec | Pty | Upload | Download) => Tested,
            (Self::Ssh(_), operation) if operation.needs_openssh() => Tested,
            (_, operation) if operation.needs_openssh() => NotApplicable("a feature of OpenSSH's ssh"),
            (Self::Ssh(_), _) => NotApplicable("ssh has no file commands; see sftp"),
            (Self::Scp(_) | Self::ScpLegacy(_), Upload | Download) => Tested,
            (Self::Scp(_) | Self::ScpLegacy(_), Sftp) => NotApplicable("scp only copies"),
            (Self::Scp(_) | Self::ScpLegacy(_), _) => NotApplicable("scp runs no commands"),
            (Self::SftpClient(_) | Self::Psftp, Upload | Download | Sftp) => Tested,
            (Self::SftpClient(_) | Self::Psftp, _) => NotApplicable("an SFTP client runs no commands"),
            (Self::Dbclient | Self::Plink, Exec | Pty | Upload | Download) => Tested,
            (Self::Dbclient, _) => Tested,
            (Self::Plink, _) => NotApplicable("plink has no file commands; see psftp"),
            (Self::Paramiko | Self::Asyncssh | Self::Libssh | Self::Libssh2 | Self::NodeSsh2, _) => Tested,
            (Self::Lftp | Self::Rclone | Self::Sshfs, Upload | Download | Sftp) => Tested,
            (Self::Lftp | Self::Rclone | Self::Sshfs, _) => NotApplicable("a file client runs no commands"),
            (Self::Rsync, Upload | Download) => Tested,
            (Self::Rsync, _) => NotApplicable("rsync runs its own protocol only"),
            (Self::Git, Upload | Download) => Tested,
            (Self::Git, _) => NotApplicable("git runs its own protocol only"),
            (Self::Vim, _) => NotApplicable("an editor; see edit"),
        }
    }
}

/// The first word with a digit in it, and the packager's word behind it: `OpenSSH_9.2p1 Debian-2+deb12u10`.
fn words(run: Run) -> String {
    let line = first_line(run);
    let mut words = line.split([' ', ',']).skip_while(|w| !w.contains(|c: char| c.is_ascii_digit()));
    let version = words.next().unwrap_or(&line);
    match words.next() {
        Some(packager) if packager.contains("deb") => format!("{version} {packager}"),
        _ => version.to_owned(),
    }
}

/// The first line that a program prints on either stream.
fn first_line(run: Run) -> String {
    let finished = run.finish();
    let text = finished.stdout() + &finished.stderr();
    let line = text.lines().map(str::trim).find(|l| !l.is_empty()).unwrap_or_default().to_owned();
    assert!(!line.is_empty(), "no version printed\n{finished}");
    line
}

fn python_package(name: &str) -> String {
    first_line(Run::new(program::python()).arg(program::scripts_folder().join("version.py")).arg(name))
}
