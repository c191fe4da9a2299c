//! The account that is logged in to. A login shell that reads start-up files would cost more than all that is
//! measured, so root makes an account with dash and removes it; without root it is the caller's own.

use std::path::Path;

use nix::unistd::{Uid, User};

use crate::error::Error;
use crate::process;

/// The account that root makes.
const NAME: &str = "hop-bench";
const SHELL: &str = "/bin/dash";

/// Who is logged in to.
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) shell: String,
    made: bool,
}

impl Account {
    /// The account to use, its home in `home`.
    pub(crate) fn set_up(home: &Path) -> Result<Self, Error> {
        if !Uid::effective().is_root() {
            return Self::of(User::from_uid(Uid::effective()), false);
        }
        if find(User::from_name(NAME))?.is_some() {
            // Of a run that was killed.
            remove()?;
        }
        // A password of "*" is none; useradd's own "!" would be a locked account, which sshd refuses.
        process::run("useradd", |command| {
            command.args(["--no-create-home", "--no-log-init", "--password", "*", "--shell", SHELL]);
            command.arg("--home-dir").arg(home).arg(NAME);
        })?;
        Self::of(User::from_name(NAME), true)
    }

    fn of(user: nix::Result<Option<User>>, made: bool) -> Result<Self, Error> {
        let user = find(user)?.ok_or(Error::Unexpected("the account to log in to is not in passwd"))?;
        Ok(Self {
            name: user.name,
            uid: user.uid.as_raw(),
            gid: user.gid.as_raw(),
            shell: user.shell.display().to_string(),
            made,
        })
    }

    /// Whether the account was made for this run, which also means that we are root.
    pub(crate) fn is_made(&self) -> bool {
        self.made
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        if self.made
            && let Err(error) = remove()
        {
            eprintln!("warning: the account {NAME} is left behind: {error}");
        }
    }
}

fn find(user: nix::Result<Option<User>>) -> Result<Option<User>, Error> {
    user.map_err(|errno| Error::System { what: "reading the user database", source: errno.into() })
}

fn remove() -> Result<(), Error> {
    process::run("userdel", |command| {
        command.arg(NAME);
    })
}
