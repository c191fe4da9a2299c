//! The data directory: what is where, whose it is, and whether it can be trusted.

use super::passage;
use super::role::Role;
use super::users::Users;
use crate::error::{CommandError, ErrorKind};
use rustix::fs::{FlockOperation, Gid, Uid, chown};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::fs::{DirBuilder, File};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The note's name.
const NOTE: &str = "site.json";

/// What `hop admin` wants to know of a site.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SiteNote {
    /// Where SSH listens.
    pub(crate) ssh: SocketAddr,
    /// Where the pages listen.
    pub(crate) http: SocketAddr,
    /// Whether projects are kept apart.
    pub(crate) sandbox: bool,
    /// The gateway's host keys, as `ALGORITHM BASE64`: for a keeper that is started by itself.
    #[serde(default)]
    pub(crate) host_keys: Vec<String>,
}

/// A data directory that was made or checked.
#[derive(Clone, Debug)]
pub(crate) struct DataDirectory {
    root: PathBuf,
}

impl DataDirectory {
    /// Makes what is missing and checks what is there.
    pub(crate) fn prepare(path: &Path, users: &Users) -> Result<Self, CommandError> {
        let us = rustix::process::geteuid().as_raw();
        // Other users pass through to their own folder; nobody but the owner sees what there is.
        let passage = if users.projects().is_some() { 0o711 } else { 0o700 };
        let directory =
            Self { root: std::path::absolute(path).map_err(|error| cannot("use", path, &error))? };
        folder(&directory.root, passage, us, true)?;
        folder(&directory.site(), 0o700, users.site(), false)?;
        folder(&directory.signer(), 0o700, users.signer(), false)?;
        folder(&directory.keeper(), passage, us, false)?;
        folder(&directory.projects(), passage, us, false)?;
        folder(&directory.run(), passage, us, false)?;
        folder(&directory.site_run(), passage, users.site(), false)?;
        Ok(directory)
    }

    /// One that a site has prepared, to be read by `hop admin`.
    pub(crate) fn find(path: &Path) -> Result<Self, CommandError> {
        let directory =
            Self { root: std::path::absolute(path).map_err(|error| cannot("use", path, &error))? };
        match directory.site().is_dir() {
            true => Ok(directory),
            false => Err(CommandError::new(
                ErrorKind::Config,
                format!("there is no site in {}", directory.root.display()),
            )
            .hint("--data DIR says where hop up keeps it; --config FILE names the settings of hop serve")),
        }
    }

    /// The same directory by a path that the site's users can pass.
    pub(crate) fn within_reach(self, users: &Users) -> Result<Self, CommandError> {
        Ok(Self { root: passage::to(&self.root, users)? })
    }

    /// Everything.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Records and host keys: the site's.
    pub(crate) fn site(&self) -> PathBuf {
        self.root.join("site")
    }

    /// CA keys: the signer's.
    pub(crate) fn signer(&self) -> PathBuf {
        self.root.join("signer")
    }

    /// Sockets and made files of running projects: the keeper's.
    pub(crate) fn keeper(&self) -> PathBuf {
        self.root.join("keeper")
    }

    /// A folder for each project.
    pub(crate) fn projects(&self) -> PathBuf {
        self.root.join("projects")
    }

    /// The sockets of keeper and signer.
    pub(crate) fn run(&self) -> PathBuf {
        self.root.join("run")
    }

    /// The sockets of the site: projects reach the web through one.
    pub(crate) fn site_run(&self) -> PathBuf {
        self.root.join("site-run")
    }

    /// Notes what `hop admin` wants to know of the site that runs here.
    pub(crate) fn note(&self, note: &SiteNote) -> Result<(), CommandError> {
        let path = self.run().join(NOTE);
        let text = serde_json::to_vec(note).map_err(|error| cannot("write", &path, &error.into()))?;
        std::fs::write(&path, text).map_err(|error| cannot("write", &path, &error))
    }

    /// What was noted of the site that runs here, or ran last; `None` when there is nothing.
    pub(crate) fn noted(&self) -> Option<SiteNote> {
        serde_json::from_slice(&std::fs::read(self.run().join(NOTE)).ok()?).ok()
    }

    /// Takes a part in the directory: each runs once.
    pub(crate) fn lock(&self, role: Role) -> Result<File, CommandError> {
        let path = self.run().join(format!("{role}.lock"));
        let open = File::options().create(true).truncate(false).write(true).mode(0o600).open(&path);
        let lock = open.map_err(|error| cannot("write", &path, &error))?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(lock),
            Err(Errno::WOULDBLOCK) => Err(CommandError::new(
                ErrorKind::Unavailable,
                format!("another hop uses {} already, as its {role}", self.root.display()),
            )
            .hint("stop it first, or choose another place with --data DIR")),
            Err(error) => Err(cannot("lock", &path, &error.into())),
        }
    }

    /// The program that the site's processes and projects run: a copy that all of them may execute, when they are
    /// other users than we.
    pub(crate) fn program(&self, users: &Users) -> Result<PathBuf, CommandError> {
        let own = std::env::current_exe()
            .map_err(|error| CommandError::new(ErrorKind::Internal, format!("who am I? {error}")))?;
        if users.projects().is_none() {
            return Ok(own);
        }
        let folder_path = self.root.join("bin");
        folder(&folder_path, 0o711, 0, false)?;
        let copy = folder_path.join("hop");
        let failed = |error: io::Error| cannot("write", &copy, &error);
        let new = folder_path.join(format!(".hop.{}", std::process::id()));
        std::fs::copy(&own, &new).map_err(failed)?;
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o755)).map_err(failed)?;
        // Those who run the old one keep it.
        std::fs::rename(&new, &copy).map_err(failed)?;
        Ok(copy)
    }
}

/// Makes a folder or checks the one that is there. `parents` makes those above it, too.
fn folder(path: &Path, mode: u32, owner: u32, parents: bool) -> Result<(), CommandError> {
    let made = DirBuilder::new().recursive(parents).mode(mode).create(path);
    match made {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => {
            return Err(cannot("make", path, &error).hint("--data DIR chooses another place"));
        }
    }
    let found = std::fs::symlink_metadata(path).map_err(|error| cannot("read", path, &error))?;
    if !found.is_dir() {
        return Err(CommandError::new(
            ErrorKind::Config,
            format!("{} should be a folder of the site, and is something else", path.display()),
        )
        .hint("move it away, or choose another place with --data DIR"));
    }
    let us = rustix::process::geteuid().as_raw();
    if us == 0 && owner != 0 && found.uid() == 0 {
        chown(path, Some(Uid::from_raw(owner)), Some(Gid::from_raw(owner)))
            .map_err(|error| cannot("give away", path, &io::Error::from(error)))?;
    } else if found.uid() != owner {
        return Err(CommandError::new(
            ErrorKind::Config,
            format!("{} belongs to user {}, and should belong to {owner}", path.display(), found.uid()),
        )
        .hint(
            "a site goes on as who started it first: start it as that user, or choose another --data DIR",
        ));
    }
    let found_mode = found.mode() & 0o777;
    if found_mode & !mode & 0o777 != 0 {
        return Err(CommandError::new(
            ErrorKind::Config,
            format!("{} is open to others (mode {found_mode:03o})", path.display()),
        )
        .hint(format!("chmod {mode:o} {}", path.display())));
    }
    if found_mode != mode {
        // The umask, or a tighter mode that other users cannot pass.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
            .map_err(|error| cannot("set the mode of", path, &error))?;
    }
    Ok(())
}

fn cannot(what: &str, path: &Path, error: &io::Error) -> CommandError {
    CommandError::new(ErrorKind::Config, format!("cannot {what} {}: {error}", path.display()))
}
