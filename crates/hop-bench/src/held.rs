//! A login that is held, twice: by hop's broker, and by OpenSSH's own ControlMaster; both to one sshd.
//!
//! Must stay true: the same ssh makes both, with the same words; nothing of the caller's own files is read or written.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hop_connect::mux::MuxClient;
use hop_connect::mux::client::Ended;
use hop_connect::mux::message::NewSession;
use nix::unistd::{Uid, User};

use crate::error::Error;
use crate::lab::{Cipher, Lab};
use crate::process::finish;
use crate::server::{Kind, Running};

/// Both logins; they end with it.
pub(crate) struct Held<'l> {
    lab: &'l Lab,
    _server: Running,
    config: PathBuf,
    master: PathBuf,
}

impl<'l> Held<'l> {
    /// Starts an sshd and logs in to it twice.
    pub(crate) fn open(lab: &'l Lab) -> Result<Self, Error> {
        let server = Running::start(lab, Kind::Sshd)?;
        // Writes the configuration that all read.
        drop(lab.client("ssh", &server, Cipher::Aes256Gcm)?);
        let _ = lab.empty_folder("held", false)?;
        let held =
            Self { lab, _server: server, config: lab.path("ssh_config"), master: lab.path("held/master") };
        held.write_settings()?;
        // Detached, it would keep the pipes of whoever waits for its output.
        let mut master = held.ssh("ControlMaster=yes");
        master
            .args(["-o", "ControlPersist=no", "-fNT", "server"])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        finish(&mut master)?;
        finish(
            held.hop(&["login", "server"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()),
        )?;
        Ok(held)
    }

    /// A command over OpenSSH's own master.
    pub(crate) fn by_openssh(&self) -> Command {
        let mut command = self.ssh("ControlMaster=no");
        command.args(["server", "true"]);
        quiet(command)
    }

    /// The same over ours.
    pub(crate) fn by_hop(&self) -> Command {
        quiet(self.hop(&["exec", "server", "--", "true"]))
    }

    /// The same without a program: ssh's master is asked from here.
    pub(crate) fn by_nothing(&self) -> Result<(), Error> {
        let null = File::options().read(true).write(true).open("/dev/null");
        let null = null.map_err(Error::system("opening /dev/null"))?;
        let session = NewSession { command: "true".to_owned(), ..NewSession::default() };
        let session = MuxClient::open_session(&self.master, session, [null.as_fd(); 3]);
        let ended = session.and_then(|session| session.wait(|| {})).map_err(Error::Master)?;
        match ended {
            Ended::Exit(0) => Ok(()),
            Ended::Exit(_) | Ended::WithoutStatus => Err(Error::Unexpected("`true` failed")),
        }
    }

    /// A folder with a configuration for [`Self::by_openssh_over_ours`]: the block that asks `hop ensure`, or its socket and no
    /// more.
    pub(crate) fn write_block(&self, asks: bool) -> Result<PathBuf, Error> {
        let name = if asks { "held/with_block" } else { "held/without_block" };
        let folder = self.lab.empty_folder(name, false)?;
        let shown = finish(self.hop(&["ssh-config", "show", "server"]).stdout(Stdio::piped()))?;
        let block = if asks {
            shown
        } else {
            let socket = |line: &&str| line.trim_start().starts_with("ControlPath ");
            let line =
                shown.lines().find(socket).ok_or(Error::Unexpected("hop's block has no ControlPath"))?;
            format!("Host server\n{line}\n")
        };
        let rest = std::fs::read_to_string(&self.config).map_err(Error::file(&self.config))?;
        let path = folder.join("config");
        std::fs::write(&path, block + "\n" + &rest).map_err(Error::file(&path))?;
        Ok(folder)
    }

    /// The same as [`Self::by_openssh`] over our master.
    pub(crate) fn by_openssh_over_ours(&self, folder: &Path) -> Result<Command, Error> {
        // An ssh with -F does not ride: its configuration is another one than the login's. So it finds this one in its home,
        // which ssh takes from passwd.
        let home = User::from_uid(Uid::effective()).ok().flatten().map(|user| user.dir);
        let home = home.ok_or(Error::Unexpected("this account is not in passwd"))?;
        let mut command = Command::new("bwrap");
        command.args(["--dev-bind", "/", "/", "--tmpfs"]).arg(&home);
        command.arg("--bind").arg(folder).arg(home.join(".ssh")).args(["--", "ssh", "server", "true"]);
        self.set_environment(&mut command);
        Ok(quiet(command))
    }

    fn ssh(&self, setting: &str) -> Command {
        let mut command = Command::new("ssh");
        command.arg("-F").arg(&self.config).args(["-o", setting, "-o"]);
        command.arg(format!("ControlPath={}", self.master.display()));
        self.set_environment(&mut command);
        command
    }

    fn hop(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.lab.path("bin/hop"));
        command.args(words);
        self.set_environment(&mut command);
        command
    }

    fn set_environment(&self, command: &mut Command) {
        command.env("HOP_SOCKET_DIR", self.lab.path("held/s")).env_remove("SSH_AUTH_SOCK");
        command.env("XDG_CONFIG_HOME", self.lab.path("held")).env("XDG_STATE_HOME", self.lab.path("held"));
    }

    /// What hop calls as ssh reads the lab's configuration, as every other client here.
    fn write_settings(&self) -> Result<(), Error> {
        use std::os::unix::fs::PermissionsExt;
        let wrapper = self.lab.path("held/ssh");
        let text = format!("#!/bin/sh\nexec ssh -F {} \"$@\"\n", self.config.display());
        std::fs::write(&wrapper, text).map_err(Error::file(&wrapper))?;
        std::fs::set_permissions(&wrapper, PermissionsExt::from_mode(0o755))
            .map_err(Error::file(&wrapper))?;
        let folder = self.lab.path("held/hop");
        std::fs::create_dir(&folder).map_err(Error::file(&folder))?;
        let settings = folder.join("config.toml");
        let text = format!("[default]\nprogram = \"{}\"\n", wrapper.display());
        std::fs::write(&settings, text).map_err(Error::file(&settings))
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // The server's end is the end of both, if these fail.
        let _ended = finish(&mut quiet(self.hop(&["daemon", "stop"])));
        let mut exit = self.ssh("ControlMaster=no");
        exit.args(["-O", "exit", "server"]);
        let _ended = finish(&mut quiet(exit));
    }
}

fn quiet(mut command: Command) -> Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}
